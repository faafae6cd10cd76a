"""`apertis serve`: the server in the foreground."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from apertis.cli.exits import ExitCode
from apertis.errors import ConfigurationError

if TYPE_CHECKING:
    from apertis.gateway.config import Settings
    from apertis.gateway.store.key_file import OpenedKeys

__all__ = ["command"]

_EPILOG = """\b
Examples:
  apertis serve
  apertis serve --port 0 --json           a free port, told as JSON
  apertis serve --data ./state --new-key  replace the key
  apertis serve --tokens-per-second 40    answer as slowly as a model

\b
The key is made at the first start and shown once; only its hash is kept.
Settings can also come from the environment: APERTIS_HOST, APERTIS_PORT, APERTIS_DATA,
APERTIS_SANDBOX_FIRST_TOKEN_SECONDS, APERTIS_SANDBOX_TOKENS_PER_SECOND.
"""


@click.command("serve", epilog=_EPILOG)
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes a free one.  [default: 8000]",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for what the server keeps.  [default: the platform's data directory]",
)
@click.option("--new-key", is_flag=True, help="Make a new key; the old one stops working.")
@click.option(
    "--first-token-seconds",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long the sandbox thinks before its first token.",
)
@click.option(
    "--tokens-per-second",
    type=click.FloatRange(min=0),
    metavar="TOKENS",
    help="How fast the sandbox speaks; 0 is as fast as it can.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the address and a new key as JSON.")
def command(
    *,
    host: str | None,
    port: int | None,
    data: Path | None,
    new_key: bool,
    first_token_seconds: float | None,
    tokens_per_second: float | None,
    as_json: bool,
) -> int:
    """Serve the Messages API offline, from the sandbox.

    The sandbox is a deterministic stand-in for Claude: it speaks the whole protocol, and is no
    model.
    """
    try:
        from apertis.gateway.app import create_app
        from apertis.gateway.config import read_settings
        from apertis.gateway.server import Server, bind, url_of
        from apertis.gateway.store.key_file import open_keys
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the server needs {error.name}: pip install 'apertis[gateway]'"
        ) from error
    settings = read_settings(
        os.environ,
        data=data,
        host=host,
        port=port,
        first_token_seconds=first_token_seconds,
        tokens_per_second=tokens_per_second,
    )
    # The port comes first: a start that fails must not show, and so use up, the key.
    with bind(settings.server.host, settings.server.port) as listener:
        keys = open_keys(settings.store.directory, replace=new_key)
        url = url_of(listener)
        server = Server(create_app(settings, keys.records), listener)
        announce = _json_line(url, keys) if as_json else _announcement(url, settings, keys)
        server.serve_until_stopped(ready=lambda: click.echo(announce))
    return ExitCode.OK


def _json_line(url: str, keys: OpenedKeys) -> str:
    return msgspec.json.encode({"base_url": url, "api_key": keys.new_secret}).decode()


def _announcement(url: str, settings: Settings, keys: OpenedKeys) -> str:
    lines = [
        f"Serving the Messages API at {url}",
        "Upstream: the sandbox, a deterministic stand-in for Claude. It is not a model.",
        f"Data: {settings.store.data}",
    ]
    if not settings.server.is_loopback:
        lines.append(
            f"Others can reach {settings.server.host}, without TLS: "
            "keys and content travel in the clear."
        )
    if keys.new_secret is not None:
        shown = keys.new_secret
        lines.append("The key below is shown only now; only its hash is kept.")
    else:
        hint = keys.records[0].hint if keys.records else "the key"
        shown = "<your key>"
        lines.append(f"Key: {hint}, shown when it was made. For another: apertis serve --new-key")
    lines += ["", f"  export APERTIS_BASE_URL={url}", f"  export APERTIS_API_KEY='{shown}'", ""]
    return "\n".join([*lines, "Ctrl-C stops it."])
