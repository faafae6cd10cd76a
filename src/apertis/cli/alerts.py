"""`apertis alerts`: what was told, and whether it arrived."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import click

from apertis.cli.administration import (
    GatewayOptions,
    administration_of,
    place_options,
    settings_options,
)
from apertis.cli.exit_codes import ExitCode
from apertis.cli.tables import show_table
from apertis.cli.terminal import echo, echo_json, json_option, one_line
from apertis.errors import ConfigurationError, ParameterError

if TYPE_CHECKING:
    from pathlib import Path

    from apertis.gateway.admin.alerts import AlertView

_EPILOG = """\b
Examples:
  apertis alerts
  apertis alerts --failed
  apertis alerts --kind budget --level error
  apertis alerts --limit 1000 --json
  apertis alerts test --config apertis.toml

\b
Targets are set in the configuration file, in [[alerts.targets]]. A failed
attempt is made again for eight hours.
"""
_TEST_EPILOG = """\b
Examples:
  apertis alerts test --config apertis.toml
  apertis alerts test --target ops

\b
Exit code 0 if every target took it, else 1.
"""
_OPTIONS = {
    "limit": "--limit",
    "failed": "--failed",
    "after_id": "--after",
    "kind": "--kind",
    "level": "--level",
}
_COLORS = {"delivered": "green", "failed": "red"}


@click.group("alerts", epilog=_EPILOG, invoke_without_command=True)
@click.option("--failed", is_flag=True, help="Only those that a target did not take yet.")
@click.option("--kind", metavar="KIND", help="Only these: budget, breaker, key, spike, journal.")
@click.option("--level", metavar="LEVEL", help="Only these: info, warning, error.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many."
)
@click.option("--after", "after_id", metavar="ALERT", help="Only what comes after this one.")
@json_option
@place_options
@click.pass_context
def command(
    context: click.Context,
    *,
    failed: bool,
    kind: str | None,
    level: str | None,
    limit: int,
    after_id: str | None,
    as_json: bool,
    place: GatewayOptions,
) -> None:
    """Show what was told, the newest first, and what became of it at each target."""
    if context.invoked_subcommand is not None:
        return
    from apertis.gateway.admin.alerts import AlertPage
    from apertis.gateway.admin.resources import ALERTS

    query: dict[str, object] = {"limit": limit}
    if failed:
        query["failed"] = "true"
    if after_id is not None:
        query["after_id"] = after_id
    query |= {name: word for name, word in (("kind", kind), ("level", level)) if word is not None}
    page = administration_of(place, _OPTIONS).ask("GET", ALERTS, AlertPage, query=query)
    if as_json:
        echo_json(page)
        return
    show_table(
        ("Alert", "When", "Level", "Text", "Targets"),
        [(one.id, one.at, one.level, one.text, _ways(one)) for one in page.data],
        empty="No alerts.",
    )


def _ways(alert: AlertView) -> str:
    return "; ".join(
        f"{way.target} {way.state}" + (f" ({way.error})" if way.error else "")
        for way in alert.deliveries
    )


@command.command("test", epilog=_TEST_EPILOG)
@settings_options
@click.option("--target", "name", metavar="NAME", help="Only this target.")
@json_option
def test(*, config: Path | None, data: Path | None, name: str | None, as_json: bool) -> int:
    """Send a test through each target, and say what happened.

    It is sent from here, with the settings and the environment of this command.
    """
    from apertis.gateway.alerts.delivery import build_targets
    from apertis.gateway.alerts.watch import send_test
    from apertis.gateway.config import read_settings
    from apertis.gateway.store.alerts import new_message_id

    settings = read_settings(os.environ, config=config, data=data).alerts
    known = [target.name for target in settings.targets]
    if not known:
        raise ConfigurationError(
            "there is no target: name one in [[alerts.targets]] of the configuration file"
        )
    if name is not None and name not in known:
        raise ParameterError(f"--target: there is no {name!r}; there are {', '.join(known)}")
    targets = [target for target in build_targets(settings) if name in (None, target.name)]
    outcomes = asyncio.run(send_test(targets, new_message_id(), time.time()))
    if as_json:
        echo_json(
            {
                "targets": [
                    {"target": target, "delivered": outcome.error is None, "error": outcome.error}
                    for target, outcome in outcomes
                ]
            }
        )
    else:
        for target, outcome in outcomes:
            state = "delivered" if outcome.error is None else "failed"
            echo(f"{state:9}  ", nl=False, fg=_COLORS[state])
            echo(one_line(target + (f": {outcome.error}" if outcome.error else "")))
    failed = any(outcome.error is not None for _, outcome in outcomes)
    return ExitCode.SERVICE if failed else ExitCode.OK
