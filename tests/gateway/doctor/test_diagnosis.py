"""All findings together, in the order in which a gateway starts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.config.origin import SettingsError
from apertis.gateway.doctor.diagnosis import configuration_findings, diagnose
from apertis.gateway.finding import State

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.configuration import Read


def test_each_problem_of_the_settings_is_a_finding(read_file: Read) -> None:
    with pytest.raises(SettingsError) as caught:
        read_file('[server]\nport = "http"\n[limits]\nin_flight = -1\n')
    findings = configuration_findings(caught.value)
    assert [finding.state for finding in findings] == [State.FAIL, State.FAIL]
    assert ["server.port" in findings[0].message, "limits.in_flight" in findings[1].message] == [
        True,
        True,
    ]
    assert all(finding.advice for finding in findings)


def test_a_gateway_that_was_never_started_has_no_fault(read_file: Read, tmp_path: Path) -> None:
    reading = read_file(f'[store]\ndata = "{tmp_path / "data"}"\n[server]\nport = 0\n')
    findings = asyncio.run(diagnose(reading))
    subjects = [finding.subject for finding in findings]
    assert (subjects[0], State.FAIL in [finding.state for finding in findings]) == (
        "configuration",
        False,
    )
    # Whoever looks leaves nothing behind.
    assert not (tmp_path / "data").exists()
