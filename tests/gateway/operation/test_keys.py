"""Keys that come, change and end while a gateway runs."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.gateways import RunningGateway


def test_a_key_ends_at_its_moment(sandbox_gateway: RunningGateway) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=2)
    _, client = sandbox_gateway.make_key(expires_at=moment.isoformat())
    statuses = [client.call("GET", "/v1/models").status]
    end = time.monotonic() + 30
    while statuses[-1] == 200 and time.monotonic() < end:
        before = time.time()
        statuses.append(client.call("GET", "/v1/models").status)
    assert set(statuses[:-1]) == {200}
    assert statuses[-1] == 401
    assert before >= int(moment.timestamp()) - 0.01
    assert b"expired_api_key" in client.call("GET", "/v1/models").body


def test_limits_are_switched_off_by_the_environment(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    running = start_gateway(APERTIS_LIMITS_PER_ADDRESS="0", APERTIS_LIMITS_PER_KEY="0")
    answers = [running.client.call("GET", "/v1/models") for _ in range(20)]
    assert {answer.status for answer in answers} == {200}
    assert not [name for name in answers[-1].headers if name.startswith("x-ratelimit")]
    limited = start_gateway(folder="limited", APERTIS_LIMITS_PER_KEY="3/1h")
    answers = [limited.client.call("GET", "/v1/models") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["x-ratelimit-limit"] == "3"
