"""Recorded exchanges with the API, for the tests that are marked `corpus`."""

import json
from pathlib import Path
from typing import Any

import pytest

RECORDED = Path(__file__).parents[3] / "shared" / "recorded"


@pytest.fixture(scope="session")
def recorded() -> list[dict[str, Any]]:
    """The recorded answers with status 200, each as its file says it."""
    exchanges = [json.loads(path.read_bytes()) for path in sorted(RECORDED.glob("*.json"))]
    return [exchange for exchange in exchanges if exchange["response"]["status"] == 200]


@pytest.fixture(scope="session")
def recorded_messages(recorded: list[dict[str, Any]]) -> list[bytes]:
    """The bodies of recorded answers that are messages."""
    bodies = [e["response"]["body_text"] for e in recorded if e["kind"] == "messages"]
    return [body.encode() for body in bodies if body.lstrip().startswith("{")]


@pytest.fixture(scope="session")
def recorded_events(recorded: list[dict[str, Any]]) -> list[bytes]:
    """The data of every event of the recorded streams."""
    bodies = [e["response"]["body_text"] for e in recorded]
    lines = [line for body in bodies for line in body.split("\n") if line.startswith("data:")]
    return [line[5:].strip().encode() for line in lines]
