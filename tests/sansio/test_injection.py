"""What a caller's own HTTP client is told, and what its failures mean."""

from __future__ import annotations

import types
from typing import Any

import httpx2
import pytest

from apertis.errors import ConfigurationError
from apertis.sansio.call import Call
from apertis.sansio.injection import (
    Failures,
    expect_body,
    looks_like_client,
    package_of,
    refuse_options,
    request_arguments,
)
from apertis.sansio.settings import MAX_CONNECTIONS, settings_from
from apertis.sansio.timeouts import Limits

LIMITS = Limits(connect=1.0, response=2.0, idle=3.0, until=100.0)
FAILURES = Failures(httpx2, "http://h:1", LIMITS)


def test_a_request_is_told_with_the_time_that_is_left() -> None:
    settings = settings_from({}, {"api_key": "sk-x", "base_url": "http://h:1/p"}, "1")
    call: Call[Any] = Call("POST", "/v1/x", lambda _: None, b"{}")
    arguments = request_arguments(call, settings, LIMITS, now=98.5)
    assert (arguments["method"], arguments["url"]) == ("POST", "http://h:1/p/v1/x")
    assert arguments["content"] == b"{}"
    # HTTP/2 needs the host that the client sets itself.
    assert "host" not in arguments["headers"]
    assert arguments["timeout"] == {"connect": 1.0, "read": 1.5, "write": 1.5, "pool": 1.0}


def test_a_host_of_the_callers_own_is_kept() -> None:
    given = {"api_key": "sk-x", "base_url": "http://h:1", "default_headers": {"host": "other"}}
    call: Call[Any] = Call("GET", "/v1/x", lambda _: None)
    arguments = request_arguments(call, settings_from({}, given, "1"), LIMITS, now=0.0)
    assert arguments["headers"]["host"] == "other"


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
    with pytest.raises(ConfigurationError, match="object is no client of httpx2 or httpx"):
        package_of(object())


def test_settings_of_built_in_connections_are_refused_beside_a_client() -> None:
    refuse_options(proxy=None, ssl_context=None, max_connections=MAX_CONNECTIONS)
    with pytest.raises(ConfigurationError, match=r"^proxy and max_connections: "):
        refuse_options(proxy="http://p", ssl_context=None, max_connections=1)
