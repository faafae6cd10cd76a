"""Headers, and what they tell of an answer."""

import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.models import Fallback, Headers, RateLimit, ResponseInfo


def info(**headers: str) -> ResponseInfo:
    return ResponseInfo(200, Headers([(k.replace("_", "-"), v) for k, v in headers.items()]))


def test_headers_are_found_in_any_case_as_text_or_bytes() -> None:
    headers = Headers([(b"Content-Type", b"text/plain"), (b"X-A", "é".encode("latin-1"))])
    assert headers["content-TYPE"] == "text/plain"
    assert headers.get("x-a") == "é"
    assert headers.get("x-b") is None
    assert "X-a" in headers
    assert "x-b" not in headers
    with pytest.raises(KeyError):
        _ = headers["x-b"]


def test_values_of_a_name_that_came_twice_are_joined_or_listed() -> None:
    headers = Headers([("Via", "a"), ("x", "1"), ("via", "b")])
    assert headers["via"] == "a, b"
    assert headers.get_list("VIA") == ["a", "b"]
    assert headers.get_list("none") == []
    assert dict(headers) == {"via": "a, b", "x": "1"}
    assert headers.multi_items() == [("via", "a"), ("via", "b"), ("x", "1")]


def test_headers_of_a_mapping_of_an_iterator_and_of_pairs_are_equal() -> None:
    pairs = [("a", "1"), ("B", "2")]
    assert Headers(dict(pairs)) == Headers(pairs) == Headers(iter(pairs))
    assert pickle.loads(pickle.dumps(Headers(iter(pairs)))) == Headers(pairs)
    assert Headers(pairs) != Headers([])
    assert Headers([("a", "1")]) != {"a": "1"}


def test_the_repr_shows_no_secret() -> None:
    names = ["Authorization", "X-API-Key", "Cookie", "Set-Cookie", "Proxy-Authorization"]
    shown = repr(ResponseInfo(200, Headers([*((n, "sk-hidden") for n in names), ("a", "open")])))
    assert "hidden" not in shown
    assert "open" in shown


def test_the_request_id_is_found_under_both_names() -> None:
    assert info(request_id="r").request_id == "r"
    assert info(x_request_id="x").request_id == "x"
    assert info().request_id is None


def test_rate_limits_of_the_service_and_of_the_upstream_are_told_apart() -> None:
    limits = info(
        x_ratelimit_limit="1500",
        x_ratelimit_remaining="1499",
        x_ratelimit_reset="1767225600",
        anthropic_ratelimit_input_tokens_limit="50000",
        anthropic_ratelimit_input_tokens_reset="2026-01-01T00:00:00Z",
        anthropic_ratelimit_requests_remaining="4",
    ).rate_limits
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert limits == {
        "service": RateLimit(1500, 1499, moment),
        "input-tokens": RateLimit(50000, None, moment),
        "requests": RateLimit(None, 4, None),
    }
    assert info().rate_limits == {}


@given(st.text())
def test_an_unreadable_rate_limit_is_none_and_no_error(text: str) -> None:
    limits = ResponseInfo(
        200,
        Headers([("x-ratelimit-limit", text), ("x-ratelimit-reset", text), ("x-ratelimit-x", "1")]),
    ).rate_limits
    assert list(limits) == ["service"]
    assert limits["service"].limit is None or text.strip().isdigit()


def test_a_moment_beyond_the_calendar_is_none() -> None:
    assert info(x_ratelimit_reset="9" * 18).rate_limits["service"].reset is None
    assert info(x_ratelimit_reset="9" * 5000).rate_limits["service"].reset is None


def test_a_fallback_is_told_by_four_headers() -> None:
    assert info().fallback is None
    assert info(x_fallback_used="false").fallback == Fallback(used=False)
    told = info(
        X_Fallback_Used="True",
        X_Fallback_From="a",
        X_Actual_Model="b",
        X_Fallback_Reason="primary_model_failed",
    ).fallback
    assert told == Fallback(used=True, model="b", requested="a", reason="primary_model_failed")
