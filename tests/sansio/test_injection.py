"""What a caller's own HTTP client is told, and what its failures mean."""

from __future__ import annotations

import types

import httpx2
import pytest

from apertis.errors import ConfigurationError
from apertis.sansio.injection import (
    Failures,
    expect_body,
    looks_like_client,
    package_of,
    refuse_options,
    request_arguments,
)
from apertis.sansio.request import Origin
from apertis.sansio.settings import MAX_CONNECTIONS
from apertis.sansio.timeouts import Limits

LIMITS = Limits(connect=1.0, response=2.0, idle=3.0, until=100.0)
ORIGIN = Origin("http", "h", 1, "/p")
FAILURES = Failures(httpx2, "http://h:1", LIMITS)


def test_a_request_is_told_with_the_time_that_is_left() -> None:
    head = b"POST /p/v1/x HTTP/1.1\r\nhost: h:1\r\nx-a: b\r\ncontent-length: 2\r\n\r\n"
    arguments = request_arguments(ORIGIN, "POST", head, b"{}", LIMITS, 98.5)
    assert (arguments["method"], arguments["url"]) == ("POST", "http://h:1/p/v1/x")
    assert arguments["content"] == b"{}"
    # The client sets its own host, which HTTP/2 needs, and its own length.
    assert arguments["headers"] == [(b"x-a", b"b")]
    assert arguments["timeout"] == {"connect": 1.0, "read": 1.5, "write": 1.5, "pool": 1.0}


def test_a_host_of_the_callers_own_is_kept() -> None:
    head = b"GET /v1/x HTTP/1.1\r\nhost: other\r\n\r\n"
    arguments = request_arguments(ORIGIN, "GET", head, b"", LIMITS, 0.0)
    assert arguments["headers"] == [(b"host", b"other")]
    assert arguments["content"] is None


def test_the_body_is_waited_for_as_long_as_pieces_come() -> None:
    request = types.SimpleNamespace(extensions={"timeout": {"read": 2.0, "connect": 1.0}})
    expect_body(request, LIMITS, now=0.0)
    assert request.extensions["timeout"] == {"read": 3.0, "connect": 1.0}
    expect_body(types.SimpleNamespace(extensions={}), LIMITS, now=0.0)


@pytest.mark.parametrize(
    ("error", "now", "deadline"),
    [
        (httpx2.ReadTimeout("late"), 0.0, "response"),
        (httpx2.ConnectTimeout("late"), 0.0, "connect"),
        (httpx2.PoolTimeout("late"), 0.0, "connect"),
        (TimeoutError(), 0.0, "response"),
        (httpx2.ReadTimeout("late"), 100.0, "total"),
    ],
)
def test_a_wait_that_was_too_long_names_its_deadline(
    error: Exception, now: float, deadline: str
) -> None:
    failure = FAILURES.failure(error, "response", now)
    assert (failure.deadline, failure.cause, failure.permanent) == (deadline, error, False)
    assert failure.reason.endswith(f"(timeout: {deadline})")


@pytest.mark.parametrize(
    ("error", "said", "permanent"),
    [
        (httpx2.ConnectError("refused"), "cannot connect to http://h:1: refused", False),
        (httpx2.ReadError(""), "the connection to http://h:1 broke: ReadError", False),
        (httpx2.DecodingError("odd"), "the connection to http://h:1 broke: odd", False),
        (httpx2.UnsupportedProtocol("gopher"), "the connection to http://h:1 broke", True),
        (httpx2.TooManyRedirects("round"), "http_client raised TooManyRedirects: round", True),
        (httpx2.InvalidURL("odd"), "http_client raised InvalidURL: odd", True),
        (ValueError("a hook"), "http_client raised ValueError: a hook", False),
    ],
)
def test_other_failures_say_what_happened_and_whether_another_try_can_help(
    error: Exception, said: str, permanent: bool
) -> None:
    failure = FAILURES.failure(error, "response", now=0.0)
    assert failure.reason.startswith(said)
    assert (failure.permanent, failure.deadline) == (permanent, None)


def test_a_client_is_known_by_what_it_has() -> None:
    assert looks_like_client(httpx2.Client(), asynchronous=False)
    assert looks_like_client(httpx2.AsyncClient(), asynchronous=True)
    assert not looks_like_client(httpx2.Client(), asynchronous=True)
    assert not looks_like_client(httpx2.Client, asynchronous=False)
    assert not looks_like_client(None, asynchronous=False)


def test_the_package_of_a_class_that_is_derived_is_found() -> None:
    class Own(httpx2.Client):
        pass

    assert package_of(Own()) == "httpx2"
    with pytest.raises(ConfigurationError, match="httpx2 or httpx"):
        package_of(object())


def test_settings_of_built_in_connections_are_refused_beside_a_client() -> None:
    refuse_options(proxy=None, ssl_context=None, max_connections=MAX_CONNECTIONS)
    with pytest.raises(ConfigurationError, match=r"^proxy and max_connections: "):
        refuse_options(proxy="http://p", ssl_context=None, max_connections=1)
