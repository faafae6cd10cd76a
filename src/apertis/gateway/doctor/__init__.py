"""Checks of everything that a gateway depends on, with advice for each problem."""

from __future__ import annotations

from apertis.gateway.doctor.diagnosis import configuration_findings, diagnose, upstream_finding
from apertis.gateway.doctor.running import gateway_findings
from apertis.gateway.finding import Finding, State

__all__ = [
    "Finding",
    "State",
    "configuration_findings",
    "diagnose",
    "gateway_findings",
    "upstream_finding",
]
