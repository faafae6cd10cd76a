"""A gateway that compares prompts keeps the number of the breakpoint that changed, and no more."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.config.settings import FILE_NAME
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.gateways import RunningGateway

MARK = {"cache_control": {"type": "ephemeral"}}
PLAN = "a plan that nobody else may know"


def ask(gateway: RunningGateway, system: str, session: str | None = "s-1") -> None:
    body = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 10,
        "system": [{"type": "text", "text": system, **MARK}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": PLAN, **MARK}]}],
    }
    headers = {"x-api-key": gateway.admin_key}
    if session is not None:
        headers["x-claude-code-session-id"] = session
    answer = gateway.client.call("POST", "/v1/messages", json.dumps(body).encode(), headers)
    assert answer.status == 200, answer.body


def changes(gateway: RunningGateway, count: int) -> list[int | None]:
    def read() -> list[int | None]:
        with closing(sqlite3.connect(gateway.data / FILE_NAME)) as database:
            asked = "SELECT prefix_change FROM usage ORDER BY at_ms, request_id"
            return [row[0] for row in database.execute(asked)]

    until(lambda: len(read()) >= count)
    return read()


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_the_breakpoint_that_changed_is_kept_and_nothing_else(
    start_gateway: Callable[..., RunningGateway], enabled: str
) -> None:
    gateway = start_gateway(f"[cache_report]\nenabled = {enabled}\n")
    if enabled == "true":
        until(lambda: gateway.gateway.handler.pipeline.prefixes is not None)
    for system in ("Be kind.", "Be kind.", "It is nine o'clock."):
        ask(gateway, system)
    ask(gateway, "Be kind.", session=None)
    expected: list[Any] = [None, 0, 1, None] if enabled == "true" else [None] * 4
    assert changes(gateway, 4) == expected
    kept = b"".join(path.read_bytes() for path in gateway.data.rglob("*") if path.is_file())
    assert PLAN.encode() not in kept


def test_it_can_be_switched_while_the_gateway_runs(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = start_gateway()
    assert gateway.gateway.handler.pipeline.prefixes is None
    file = gateway.data.parent / "apertis.toml"
    for wanted in (True, False, True):
        file.write_text(f"[cache_report]\nenabled = {str(wanted).lower()}\n")
        gateway.gateway._loop.call_soon_threadsafe(gateway.gateway.reload)
        until(lambda: (gateway.gateway.handler.pipeline.prefixes is not None) is wanted)  # noqa: B023
