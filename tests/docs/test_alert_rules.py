"""The rules for Prometheus ask for metrics that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from apertis.gateway.observe.metrics import Metrics

FILE = Path(__file__).parents[2] / "docs" / "gateway" / "apertis-alerts.yml"


def rules() -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    (group,) = yaml.safe_load(FILE.read_text(encoding="utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_each_rule_asks_for_a_metric_that_there_is() -> None:
    metrics = Metrics()
    metrics.breakers = lambda: {"a": 2}
    metrics.alerts = lambda: {("ops", "failed"): 1}
    known = set(re.findall(r"^# TYPE (\w+)", metrics.render().decode(), re.MULTILINE))
    for rule in rules():
        asked = set(re.findall(r"apertis_\w+", rule["expr"]))
        assert asked
        assert asked <= known, rule["alert"]


def test_each_rule_has_a_severity_and_a_sentence() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_takes_them() -> None:
    subprocess.run(["promtool", "check", "rules", FILE], check=True)
