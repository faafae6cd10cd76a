"""How often a call is tried, after how long, and what is told of it."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from apertis import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    RateLimitError,
    ServiceUnavailableError,
    Timeout,
)
from apertis.testing import (
    AwaitDisconnect,
    Close,
    Exchange,
    Reset,
    ScriptedServer,
    json_response,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis import Apertis

    Connect = Callable[..., Apertis]

SOON = {"retry-after-ms": "1"}
COUNT = {"input_tokens": 7}
GOOD = json_response(200, COUNT)
ASK: dict[str, Any] = {"model": "m", "messages": []}


def no(status: int, **headers: str) -> bytes:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return json_response(status, {"error": {"message": "No.", "type": "t"}}, SOON | given)


def tries(connect: Connect, *script: Any, **settings: Any) -> tuple[int, Any]:
    """How many requests arrived, and what came of the call."""
    with ScriptedServer(list(script)) as server:
        client = connect(api_key="sk-test-0123456789", base_url=server.base_url, **settings)
        try:
            outcome: Any = client.messages.count_tokens(**ASK)
        except APIError as error:
            outcome = error
        return len(server.requests), outcome


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_tried_again(connect: Connect, status: int) -> None:
    count, outcome = tries(connect, no(status), no(status), GOOD)
    assert count == 3
    assert outcome.input_tokens == 7
    assert outcome.response.retries == 2


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 413, 422, 499])
def test_what_is_final_is_raised_at_once(connect: Connect, status: int) -> None:
    count, outcome = tries(connect, no(status))
    assert count == 1
    assert isinstance(outcome, APIStatusError)
    assert (outcome.status, outcome.retries) == (status, 0)


def test_two_retries_are_the_default(connect: Connect) -> None:
    count, outcome = tries(connect, no(429), no(500), no(503))
    assert count == 3
    assert type(outcome) is ServiceUnavailableError
    assert outcome.retries == 2


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_the_number_is_a_setting(connect: Connect, retries: int) -> None:
    assert tries(connect, *[no(500)] * (retries + 1), max_retries=retries)[0] == retries + 1


def test_the_number_may_differ_for_a_call_and_for_a_copy(connect: Connect) -> None:
    with ScriptedServer([no(500)] * 5) as server:
        client = connect(api_key="sk-test-0123456789", base_url=server.base_url, max_retries=1)
        with pytest.raises(APIStatusError):
            client.messages.count_tokens(**ASK, max_retries=0)
        with pytest.raises(APIStatusError):
            client.messages.count_tokens(**ASK)
        with pytest.raises(APIStatusError):
            client.with_options(max_retries=0).messages.count_tokens(**ASK, max_retries=1)
        assert len(server.requests) == 5


def test_the_service_may_want_or_forbid_another_try(connect: Connect) -> None:
    assert tries(connect, no(529, x_should_retry="false"))[0] == 1
    assert tries(connect, no(400, x_should_retry="true"), GOOD)[0] == 2


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("step", [Close, Reset])
def test_a_connection_that_breaks_is_tried_again(connect: Connect, step: Any) -> None:
    count, outcome = tries(connect, Exchange(step), Exchange(GOOD[:-4], step), GOOD)
    assert count == 3
    assert outcome.response.retries == 2


@pytest.mark.usefixtures("quick")
def test_the_last_break_is_raised(connect: Connect) -> None:
    count, outcome = tries(connect, Exchange(Close), Exchange(Reset), max_retries=1)
    assert count == 2
    assert type(outcome) is APIConnectionError
    assert outcome.retries == 1


@pytest.mark.usefixtures("quick")
def test_an_answer_that_does_not_come_in_time_is_tried_again(connect: Connect) -> None:
    slow = Exchange(AwaitDisconnect())
    count, outcome = tries(connect, slow, GOOD, timeout=Timeout(response=0.05))
    assert (count, outcome.input_tokens) == (2, 7)


def test_an_answer_that_cannot_be_read_is_not_tried_again(connect: Connect) -> None:
    assert tries(connect, json_response(200, {"no": "count"}))[0] == 1


def test_a_second_try_is_the_same_request(connect: Connect) -> None:
    with ScriptedServer([no(500), GOOD]) as server:
        client = connect(api_key="sk-test-0123456789", base_url=server.base_url)
        client.messages.count_tokens(**ASK, extra_headers={"x-a": "b"})
        first, second = server.requests
    assert (first.target, first.raw_headers, first.body) == (
        second.target,
        second.raw_headers,
        second.body,
    )


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"retry-after": "61"}, id="seconds"),
        pytest.param({"retry-after": "3600"}, id="an hour"),
        pytest.param({"retry-after-ms": "60001"}, id="milliseconds"),
        pytest.param({"retry-after": formatdate(time.time() + 600, usegmt=True)}, id="a date"),
    ],
)
def test_a_wait_that_is_too_long_is_the_callers_to_decide(
    connect: Connect, headers: dict[str, str]
) -> None:
    busy = json_response(429, {"error": {"message": "m", "type": "t"}}, headers)
    count, outcome = tries(connect, busy)
    assert count == 1
    assert type(outcome) is RateLimitError
    assert outcome.retry_after is not None
    assert outcome.retry_after > 60


def test_how_long_is_too_long_is_a_setting(connect: Connect) -> None:
    assert tries(connect, no(429, retry_after_ms="20"), max_retry_after=0.01)[0] == 1
    assert tries(connect, no(429, retry_after_ms="20"), GOOD, max_retry_after=0.03)[0] == 2


def test_the_wait_is_the_one_that_the_service_asked_for(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    async def async_sleep(_: object, seconds: float) -> None:
        waited.append(seconds)

    # In the senders alone: the servers of the tests live in this process, and sleep too.
    monkeypatch.setattr("apertis.sync.wire.Wire.sleep", lambda _, seconds: waited.append(seconds))
    monkeypatch.setattr("apertis.aio.wire.Wire.sleep", async_sleep)
    asked = [no(429, retry_after_ms="1500"), no(503, retry_after_ms="x", retry_after="2"), GOOD]
    assert tries(connect, *asked)[0] == 3
    assert waited == [1.5, 2.0]
    waited.clear()
    unasked = json_response(500, {})
    assert tries(connect, *[unasked] * 4, GOOD, max_retries=4)[0] == 5
    assert all(
        0.75 * most <= seconds <= most for seconds, most in zip(waited, (0.5, 1, 2, 4), strict=True)
    )


def test_the_total_deadline_holds_over_all_tries(connect: Connect) -> None:
    """The next try would begin after the end: the last error is raised instead of a wait."""
    busy = no(500, retry_after_ms="30000")
    count, outcome = tries(connect, busy, timeout=Timeout(total=5), max_retry_after=60)
    assert count == 1
    assert isinstance(outcome, APIStatusError)


@pytest.mark.usefixtures("quick")
def test_the_total_deadline_ends_a_try_that_is_under_way(connect: Connect) -> None:
    script = [no(500), Exchange(AwaitDisconnect())]
    count, outcome = tries(connect, *script, timeout=Timeout(total=0.15), max_retries=9)
    assert count == 2
    assert isinstance(outcome, APITimeoutError)
    assert outcome.deadline == "total"
    assert outcome.retries == 1


def test_a_number_is_a_deadline_for_the_whole_call(connect: Connect) -> None:
    count, outcome = tries(connect, Exchange(AwaitDisconnect()), timeout=0.05, max_retries=9)
    assert count == 1
    assert isinstance(outcome, APITimeoutError)
    assert outcome.deadline in {"response", "total"}
