"""May a call be tried again, and after how long."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.models import Headers
from apertis.sansio.outcome import Failure, Outcome, Response, StreamError
from apertis.sansio.retry import RetryPolicy, backoff

NOW = 1_790_000_000.0
POLICY = RetryPolicy()


def response(status: int, **headers: str) -> Response:
    pairs = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return Response(status, Headers(pairs), b"")


def stream_error(kind: str) -> StreamError:
    return StreamError({"type": "error", "error": {"type": kind}}, Headers([]))


def delay(outcome: Outcome, retries: int = 0, policy: RetryPolicy = POLICY) -> float | None:
    return policy.delay(retries, outcome, jitter=0.0, now=NOW)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529, 599])
def test_these_statuses_are_tried_again(status: int) -> None:
    assert delay(response(status)) == 0.5


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 413, 422, 499])
def test_these_statuses_are_final(status: int) -> None:
    assert delay(response(status)) is None


def test_the_service_has_the_last_word() -> None:
    assert delay(response(500, x_should_retry="false")) is None
    assert delay(response(400, x_should_retry="true")) == 0.5
    assert delay(response(400, x_should_retry="perhaps")) is None


def test_a_broken_connection_is_tried_again() -> None:
    assert delay(Failure("reset")) == 0.5
    assert delay(Failure("slow", deadline="connect")) == 0.5
    assert delay(Failure("slow", deadline="response")) == 0.5


def test_what_a_second_try_cannot_mend_is_final() -> None:
    assert delay(Failure("certificate", permanent=True)) is None
    assert delay(Failure("time is up", deadline="total")) is None
    assert delay(Failure("garbage", malformed=True)) is None


def test_an_error_event_counts_by_its_type() -> None:
    assert delay(stream_error("overloaded_error")) == 0.5
    assert delay(stream_error("rate_limit_error")) == 0.5
    assert delay(stream_error("api_error")) == 0.5
    assert delay(stream_error("something_new")) == 0.5
    assert delay(stream_error("invalid_request_error")) is None


def test_the_number_of_retries_is_kept() -> None:
    assert delay(response(500), retries=1) is not None
    assert delay(response(500), retries=2) is None
    assert delay(response(500), policy=RetryPolicy(max_retries=0)) is None


def test_the_wait_doubles_up_to_its_limit() -> None:
    assert [backoff(n, 0.0) for n in range(7)] == [0.5, 1, 2, 4, 8, 8, 8]


@given(st.integers(0, 5000), st.floats(0, 1))
def test_jitter_takes_off_a_quarter_at_the_most(retries: int, jitter: float) -> None:
    longest = backoff(retries, 0.0)
    assert 0.75 * longest <= backoff(retries, jitter) <= longest <= 8


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"retry_after": "3"}, 3, id="seconds"),
        pytest.param({"retry_after": "1.5"}, 1.5, id="a fraction"),
        pytest.param({"retry_after_ms": "250"}, 0.25, id="milliseconds"),
        pytest.param({"retry_after_ms": "250", "retry_after": "9"}, 0.25, id="the finer one wins"),
        pytest.param({"retry_after": formatdate(NOW + 7, usegmt=True)}, 7, id="a date"),
        pytest.param({"retry_after": formatdate(NOW - 7, usegmt=True)}, 0.5, id="a past date"),
        pytest.param({"retry_after": "0"}, 0.5, id="zero means when you like"),
        pytest.param({"retry_after": "soon"}, 0.5, id="no number"),
        pytest.param({"retry_after": "nan"}, 0.5, id="not a number"),
        pytest.param({"retry_after": "-5"}, 0.5, id="below zero"),
        pytest.param({"retry_after": "60"}, 60, id="the longest allowed"),
        pytest.param({"retry_after": "61"}, None, id="longer than allowed"),
        pytest.param({"retry_after": "3600"}, None, id="an hour"),
    ],
)
def test_the_service_may_say_how_long(headers: dict[str, str], expected: float | None) -> None:
    assert delay(response(429, **headers)) == expected
