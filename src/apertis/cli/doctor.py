"""`apertis doctor`: check everything that a gateway depends on."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import click

from apertis.cli.administration import INSECURE_HELP, is_private, settings_options
from apertis.cli.exit_codes import ExitCode
from apertis.cli.terminal import echo, echo_json, json_option, one_line
from apertis.sansio.request import parse_base_url

if TYPE_CHECKING:
    from pathlib import Path

    from apertis.gateway.doctor import Finding

_EPILOG = """\b
Examples:
  apertis doctor
  apertis doctor --config apertis.toml
  apertis doctor --url http://127.0.0.1:8000
  apertis doctor --json | jq '.findings[] | select(.state != "ok")'

\b
Exit code 0 if nothing fails (there may be warnings), else 1.
"""
_COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command("doctor", epilog=_EPILOG)
@settings_options
@click.option(
    "--url", help="Check the gateway running there too.  [default: APERTIS_BASE_URL, if it is set]"
)
@click.option("--insecure", is_flag=True, help=INSECURE_HELP)
@json_option
def command(
    *, config: Path | None, data: Path | None, url: str | None, insecure: bool, as_json: bool
) -> int:
    """Check the configuration, the store, the upstreams, TLS and the address.

    Each is a line: ok, warn or fail, what was found, and what to do. The store is read beside a
    gateway that may be running on it; each upstream gets one real request, for its models. A
    running gateway is asked for its version, its readiness, and the models of APERTIS_API_KEY.
    """
    findings = _findings(config, data)
    url = url or os.environ.get("APERTIS_BASE_URL")
    if url is not None:
        findings += _running(url, insecure=insecure)
    failed = any(finding.state.value == "fail" for finding in findings)
    if as_json:
        report = {"ok": not failed, "findings": findings}
        echo_json(report)
    else:
        for finding in findings:
            state = finding.state.value
            echo(f"{state:4}", nl=False, fg=_COLORS[state])
            echo(f"  {_line(finding)}")
    return ExitCode.SERVICE if failed else ExitCode.OK


def _findings(config: Path | None, data: Path | None) -> tuple[Finding, ...]:
    from apertis.gateway.config.origin import SettingsError
    from apertis.gateway.config.read import read
    from apertis.gateway.config.sources import from_options
    from apertis.gateway.doctor import configuration_findings, diagnose

    options = from_options({"--data": (("store", "data"), data)})
    try:
        settings = read(os.environ, config, options)
    except SettingsError as error:
        return configuration_findings(error)
    return asyncio.run(diagnose(settings))


def _running(url: str, *, insecure: bool) -> tuple[Finding, ...]:
    from apertis.gateway.doctor import gateway_findings
    from apertis.gateway.finding import warn

    key = os.environ.get("APERTIS_API_KEY")
    if key is None or insecure or is_private(parse_base_url(url, name="--url")):
        return asyncio.run(gateway_findings(url, key))
    kept = warn(
        "gateway key",
        "APERTIS_API_KEY was not sent: it would travel in the clear",
        "use https, or add --insecure",
    )
    return (*asyncio.run(gateway_findings(url, None)), kept)


def _line(finding: Finding) -> str:
    text = f"{finding.subject}: {finding.message}"
    if finding.advice:
        text += f". What to do: {finding.advice}"
    return one_line(text)
