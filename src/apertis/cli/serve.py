"""`apertis serve`: the gateway in the foreground."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from apertis.cli.exit_codes import ExitCode
from apertis.cli.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.config import ServerSettings, Settings, UpstreamSettings

_EPILOG = """\b
Examples:
  apertis serve
  apertis serve --config apertis.toml     upstreams, limits, prices, TLS
  apertis serve --port 0 --json           a free port, printed as JSON
  apertis serve --workers 4               four processes, on several cores
  apertis serve --new-key                 a new secret for the administrator
  apertis serve --tokens-per-second 40    a sandbox as slow as a model

\b
The administrator's key is created at the first start and shown once; only its
hash is stored. Keys for others: apertis keys create --name NAME. If
ANTHROPIC_API_KEY is set, requests go to Anthropic, else to the sandbox. Every
setting can also come from the environment, such as APERTIS_HOST,
APERTIS_PORT, APERTIS_DATA, APERTIS_LIMITS_PER_KEY.
"""


@click.command("serve", epilog=_EPILOG)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration file (TOML).  [default: none, or APERTIS_CONFIG]",
)
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 picks a free one.  [default: 8000]",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Directory or .sqlite file of the data.  [default: the platform's data directory]",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="Processes that serve, on one port and one store (not on Windows).  [default: 1]",
)
@click.option("--new-key", is_flag=True, help="Give the administrator's key a new secret.")
@click.option(
    "--first-token-seconds",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Delay of the sandbox's first token.",
)
@click.option(
    "--tokens-per-second",
    type=click.FloatRange(min=0),
    metavar="TOKENS",
    help="Speed of the sandbox; 0 is as fast as possible.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the address and a new key as JSON.")
def command(*, new_key: bool, as_json: bool, **options: Any) -> int:
    """Share one Anthropic account: an API key and a budget for each person.

    Without an upstream of its own it answers from the sandbox, a deterministic stand-in for
    Claude: it implements the whole API, and is not a model.
    """
    from apertis.gateway.config import read_settings
    from apertis.gateway.gateway import Gateway
    from apertis.gateway.serving.server import Server, bind, settle_memory, url_of

    def read() -> Settings:
        return read_settings(os.environ, **options)

    settings = read()
    own = settings.server
    # The port comes first: a start that fails must not show, and so use up, the key.
    with bind(own.host, own.port) as listener:
        url = url_of(listener, tls=own.has_tls)

        def announce(secret: str | None, tell: Callable[..., None]) -> None:
            text = _json_line if as_json else _announcement
            echo(text(url, settings, secret))
            if as_json and (exposed := _exposed(own)) is not None:
                tell("warning", exposed)

        def ready() -> None:
            settle_memory()
            announce(gateway.secret, gateway.log.event)

        # The gateway's own log is JSON, and so are the warnings of libraries.
        logging.captureWarnings(True)
        if own.workers > 1:
            from apertis.cli.workers import serve_with_workers

            return serve_with_workers(
                settings, listener, options, reread=read, new_key=new_key, announce=announce
            )
        gateway = Gateway(settings, reread=read, new_key=new_key)
        server = Server(
            None,
            listener,
            service=gateway,
            stop_seconds=own.stop_seconds,
            tls=own.tls_files,
        )
        server.serve_until_stopped(ready)
    return ExitCode.SERVICE if gateway.lost_records else ExitCode.OK


def _json_line(url: str, settings: Settings, secret: str | None) -> str:
    told = {"base_url": url, "api_key": secret, "console_url": _console_url(url, settings)}
    return msgspec.json.encode(told).decode()


def _announcement(url: str, settings: Settings, secret: str | None) -> str:
    server = settings.server
    lines = [
        f"Serving the Messages API at {url}",
        *(_upstream_line(upstream) for upstream in settings.upstreams),
        f"Data: {_data(settings)}",
        *([f"Workers: {server.workers} processes"] if server.workers > 1 else []),
    ]
    if (exposed := _exposed(server)) is not None:
        lines.append(f"{exposed}.")
    key = secret or "<your key>"
    if secret is not None:
        lines.append("The administrator's key below is shown only now; only its hash is kept.")
    else:
        lines.append("The administrator's key was shown when it was made; another: --new-key")
    console = _console_url(url, settings)
    if console is not None:
        lines += [f"Console: {console}", *_ways_to_sign_in(settings, secret)]
    lines += [
        "",
        "  # Apertis's SDK",
        f"  export APERTIS_BASE_URL={url} APERTIS_API_KEY='{key}'",
        "  # anthropic's SDK",
        f"  export ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY='{key}'",
        "  # Claude Code",
        f"  export ANTHROPIC_BASE_URL={url} ANTHROPIC_AUTH_TOKEN='{key}' ANTHROPIC_API_KEY=",
        "",
        "A key for somebody else: apertis keys create --name NAME",
    ]
    return "\n".join([*lines, "Ctrl-C stops it."])


def _console_url(url: str, settings: Settings) -> str | None:
    """Return where people open the console; None where there is none."""
    if not settings.has_console:
        return None
    return f"{settings.server.public_url or url}/console/"


def _ways_to_sign_in(settings: Settings, secret: str | None) -> list[str]:
    ways: list[str] = [settings.oidc.name] if settings.has_oidc else []
    if settings.has_key_sign_in:
        ways.append("this key" if secret is not None else "an administrator's key, or your own")
    return [f"Sign in to it with {' or '.join(ways)}."] if ways else []


def _exposed(server: ServerSettings) -> str | None:
    if server.is_loopback or server.has_tls:
        return None
    return f"Others can reach {server.host}, without TLS: keys and content travel in the clear"


def _data(settings: Settings) -> str:
    store = settings.store
    if store.url is None:
        return str(store.sqlite_file)
    from apertis.gateway.store.location import location_of

    # The name of a database has no password in it, its URL may have one.
    return f"{location_of(store.url).name}; the usage journal below {store.directory}"


def _upstream_line(upstream: UpstreamSettings) -> str:
    from apertis.gateway.config.settings import UPSTREAM_KINDS

    kind = UPSTREAM_KINDS[upstream.kind]
    where = upstream.base_url or kind.url
    return f"Upstream: {upstream.name}, {where}" if where else f"Upstream: {kind.told}"
