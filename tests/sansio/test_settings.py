"""What a client was told, and the heads that follow from it."""

from __future__ import annotations

from typing import Any

import pytest

from apertis.errors import ConfigurationError, MissingAPIKeyError
from apertis.sansio.call import Call
from apertis.sansio.marks import NOT_GIVEN
from apertis.sansio.settings import MAX_KEPT_HEADS, ClientSettings, settings_from
from apertis.sansio.timeouts import Timeout

KEY = "sk-0123456789"


def settings(**given: Any) -> ClientSettings:
    return settings_from({}, {"api_key": KEY, "base_url": "http://h:1/p", **given}, "1.2.3")


def call(**fields: Any) -> Call[Any]:
    return Call(**{"method": "GET", "path": "/v1/x", "read": lambda _: None, **fields})


def test_a_head_is_whole() -> None:
    assert settings().head(call()) == (
        b"GET /p/v1/x HTTP/1.1\r\nhost: h:1\r\naccept: application/json\r\n"
        b"accept-encoding: gzip, deflate\r\nuser-agent: Apertis/Python 1.2.3\r\n"
        b"anthropic-version: 2023-06-01\r\nauthorization: Bearer sk-0123456789\r\n\r\n"
    )


def test_a_kept_head_is_no_other_calls_head() -> None:
    """The head of a call is kept for the next one: only what makes them equal may be shared."""
    calls = [
        call(),
        call(method="DELETE"),
        call(path="/v1/y"),
        call(method="POST", body=b"{}"),
        call(method="POST", body=b"{...}"),
        call(method="POST", body=b"{}", streamed=True),
        call(query={"a": 1}),
        call(headers={"x-a": "b"}),
        call(headers={"user-agent": None}),
    ]
    one = settings()
    first = [one.head(item) for item in calls]
    assert [one.head(item) for item in reversed(calls)] == first[::-1]
    assert [settings().head(item) for item in calls] == first
    assert len(set(first)) == len(first)


def test_a_copy_does_not_send_the_heads_of_its_original() -> None:
    one = settings()
    one.head(call())
    other = one.changed(api_key="sk-another", base_url="https://elsewhere.example")
    assert b"sk-another" in other.head(call())
    assert b"elsewhere.example" in other.head(call())
    assert KEY.encode() not in other.head(call())


def test_the_length_of_a_body_is_told() -> None:
    head = settings().head(call(method="POST", body=b"12345"))
    assert head.endswith(b"content-length: 5\r\n\r\n")
    assert b"content-type: application/json\r\n" in head


def test_a_stream_is_not_asked_for_compressed() -> None:
    """Compression makes proxies hold events back."""
    assert b"accept-encoding: identity" in settings().head(call(streamed=True))


def test_the_environment_fills_in() -> None:
    environ = {"APERTIS_API_KEY": "sk-env", "APERTIS_BASE_URL": "http://env:2"}
    found = settings_from(environ, {}, "1")
    assert (found.api_key, found.origin.host) == ("sk-env", "env")
    found = settings_from(environ, {"api_key": "sk-a", "base_url": "http://a"}, "1")
    assert (found.api_key, found.origin.host) == ("sk-a", "a")
    assert settings_from({}, {}, "1").origin.host == "api.apertis.ai"


def test_a_missing_key_is_an_error_of_the_call() -> None:
    with pytest.raises(MissingAPIKeyError):
        settings_from({}, {}, "1").head(call())
    assert settings_from({}, {}, "1").head(call(headers={"x-api-key": "k"}))


def test_the_secrets_of_a_call_are_the_keys_however_they_are_sent() -> None:
    def secrets(of: Call[Any], **given: Any) -> set[str]:
        return set(settings_from({}, given, "1").secrets_of(of))

    plain = call()
    assert secrets(plain) == set()
    assert secrets(plain, api_key="sk-one") == {"sk-one"}
    headers = {"x-api-key": "sk-two", "authorization": "Bearer sk-three", "x-plain": "shown"}
    given = secrets(plain, api_key="sk-one", default_headers=headers)
    assert given == {"sk-one", "sk-two", "sk-three", "Bearer sk-three"}
    own = call(headers={"X-Api-Key": "sk-four", "authorization": None})
    assert secrets(own, api_key="sk-one", default_headers=headers) == {"sk-one", "sk-four"}


def test_what_is_not_given_stays() -> None:
    one = settings(timeout=5, max_retries=7, max_retry_after=9)
    same = one.changed(timeout=NOT_GIVEN, max_retries=NOT_GIVEN)
    assert (same.timeout, same.retry) == (5, one.retry)
    assert one.changed(max_retries=1).retry.max_retry_after == 9
    assert one.changed(timeout=None).timeout is None


def test_the_wishes_of_a_call_win() -> None:
    one = settings(timeout=5, max_retries=7)
    assert one.timeout_of(call()).total == 5
    assert one.timeout_of(call(timeout=2)).total == 2
    assert one.timeout_of(call(timeout=None)) == Timeout(None, None, None, None)
    assert one.timeout_of(call(streamed=True)).total is None
    assert one.retry_of(call(max_retries=0)).max_retries == 0
    assert one.retry_of(call()).max_retries == 7


def test_a_setting_that_is_none_is_named() -> None:
    with pytest.raises(ConfigurationError, match="colour"):
        settings(colour="red")


def test_no_repr_has_the_key() -> None:
    assert KEY not in repr(settings(default_headers={"x-api-key": KEY}))


def test_the_heads_that_are_kept_are_few() -> None:
    """A client that asks for a thousand batches does not keep a thousand heads."""
    client = settings()
    for number in range(1000):
        head = client.head(call(path=f"/v1/messages/batches/{number}"))
        assert head.startswith(f"GET /p/v1/messages/batches/{number} HTTP/1.1\r\n".encode())
    assert len(client.heads) <= MAX_KEPT_HEADS
