from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.upstreams.headers import passed_down, request_head, request_target

OWN = b"host: upstream\r\naccept-encoding: identity\r\nx-api-key: ours\r\n"
VERSION = b"anthropic-version: 2023-06-01\r\n"


def head(*headers: tuple[bytes, bytes], method: str = "POST", length: int = 2) -> bytes:
    return request_head(method, "/v1/messages", OWN, headers, VERSION, length)


def lines(*headers: tuple[bytes, bytes], method: str = "POST", length: int = 2) -> list[bytes]:
    """What is there beyond the gateway's own lines."""
    written = head(*headers, method=method, length=length)
    start = b"%b /v1/messages HTTP/1.1\r\n" % method.encode() + OWN
    assert written.startswith(start)
    assert written.endswith(b"\r\n\r\n")
    return written[len(start) : -4].split(b"\r\n")


@pytest.mark.parametrize(
    "name",
    [
        b"anthropic-beta",
        b"anthropic-workspace-id",
        b"anthropic-something-new",
        b"content-encoding",
        b"content-type",
        b"idempotency-key",
        b"user-agent",
        b"x-app",
        b"x-claude-code-session-id",
        b"x-request-id",
        b"x-sandbox-fault",
        b"x-stainless-retry-count",
        b"x-something-new",
    ],
)
def test_what_is_not_named_passes(name: bytes) -> None:
    assert b"%b: some value" % name in lines((name, b"some value"))


@pytest.mark.parametrize(
    "name",
    [
        b"accept-encoding",
        b"authorization",
        b"cf-connecting-ip",
        b"connection",
        b"content-length",
        b"cookie",
        b"expect",
        b"forwarded",
        b"host",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"true-client-ip",
        b"upgrade",
        b"x-api-key",
        b"x-apertis-cache",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-real-ip",
        b"x-response-cache",
    ],
)
def test_what_is_the_hops_the_callers_or_the_gateways_own_stays(name: bytes) -> None:
    assert lines((name, b"theirs"), (b"x-app", b"cli")) == [
        b"content-length: 2",
        b"x-app: cli",
        VERSION.strip(),
    ]


def test_what_a_connection_header_names_stays_too() -> None:
    given = ((b"connection", b"close, X-Hop"), (b"x-hop", b"1"), (b"x-app", b"cli"))
    assert lines(*given) == [b"content-length: 2", b"x-app: cli", VERSION.strip()]


def test_a_header_that_comes_twice_goes_twice_and_in_order() -> None:
    betas = ((b"anthropic-beta", b"one"), (b"x-app", b"cli"), (b"anthropic-beta", b"two"))
    assert lines(*betas)[1:4] == [b"anthropic-beta: one", b"x-app: cli", b"anthropic-beta: two"]


@pytest.mark.parametrize("version", [b"2026-10-21", b"2023-06-01", b"", b"a-new-one"])
def test_a_callers_version_passes_and_only_its_absence_is_mended(version: bytes) -> None:
    given = b"anthropic-version: " + version
    assert lines((b"anthropic-version", version)) == [b"content-length: 2", given]
    assert lines()[-1] == VERSION.strip()


def test_a_version_inside_another_value_is_none() -> None:
    assert lines((b"x-app", b"anthropic-version: 1"))[-1] == VERSION.strip()


@pytest.mark.parametrize(
    ("method", "length", "expected"),
    [
        ("POST", 0, [b"content-length: 0"]),
        ("POST", 7, [b"content-length: 7"]),
        ("GET", 0, []),
        ("GET", 7, [b"content-length: 7"]),
        ("DELETE", 0, []),
    ],
)
def test_the_length_is_said_anew(method: str, length: int, expected: list[bytes]) -> None:
    assert lines(method=method, length=length)[:-1] == expected


@pytest.mark.parametrize(
    "bad",
    [
        (b"x-evil", b"a\r\nx-api-key: stolen"),
        (b"x-evil", b"a\nx-api-key: stolen"),
        (b"x-evil", b"a\r"),
        (b"x-evil", b"a\0b"),
        (b"x-evil\r\nx-api-key", b"stolen"),
        (b"x-evil: a\r\nx-api-key", b"stolen"),
        (b"x evil", b"a"),
        (b"x-evil:", b"a"),
        (b"content-length ", b"999"),
        (b"transfer-encoding\t", b"chunked"),
        (b"", b"a"),
        (b"anthropic-version", b"1\r\n\r\nGET / HTTP/1.1"),
    ],
)
def test_a_header_that_could_be_two_is_not_sent(bad: tuple[bytes, bytes]) -> None:
    kept = [b"content-length: 2", b"x-app: cli", b"x-last: 1", VERSION.strip()]
    assert lines((b"x-app", b"cli"), bad, (b"x-last", b"1")) == kept


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.binary(max_size=12) | st.sampled_from([b"connection", b"x-app", b"anthropic-beta"]),
            st.binary(max_size=30) | st.sampled_from([b"x-app", b"a\r\nb: c", b"close"]),
        ),
        max_size=6,
    )
)
def test_no_header_makes_another_line(given_headers: list[tuple[bytes, bytes]]) -> None:
    written = head(*given_headers)
    assert written.count(b"\r\n\r\n") == 1
    assert written.endswith(b"\r\n\r\n")
    rest = written.replace(b"\r\n", b"")
    assert not {*b"\r\n\0"} & {*rest}
    allowed = {b"host", b"accept-encoding", b"x-api-key", b"content-length", b"anthropic-version"}
    allowed |= {name for name, _ in given_headers}
    names = [line.partition(b":")[0] for line in written[:-4].split(b"\r\n")[1:]]
    assert {*names} <= allowed
    assert names.count(b"host") == names.count(b"x-api-key") == names.count(b"content-length") == 1


@pytest.mark.parametrize(
    "target",
    [
        "/v1/messages?beta=true",
        "/v1/messages?beta=true&beta=&=x&&a=%zz%20+'\"<>{}|^`",
        "/v1/models/a%2Fb?limit=1000",
        "/v1/messages?q=\xe9\xff",
    ],
)
def test_a_legal_target_stays_as_it_is(target: str) -> None:
    assert request_target(target) == target.encode("latin-1")


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ("/v1/models/a b", b"/v1/models/a%20b"),
        ("/v1/models/\r\nx: y", b"/v1/models/%0D%0Ax:%20y"),
        ("/v1/models/%20\u4e16", b"/v1/models/%20%E4%B8%96"),
        ("", b"/"),
    ],
)
def test_a_target_that_cannot_stand_in_a_request_is_encoded(target: str, sent: bytes) -> None:
    assert request_target(target) == sent


def test_an_answers_headers_come_down_as_an_open_list() -> None:
    headers = [
        (b"Request-Id", b"req_1"),
        (b"Retry-After", b"7"),
        (b"anthropic-ratelimit-unified-status", b"allowed"),
        (b"X-Something-New", b"A, b"),
        (b"content-length", b"3"),
        (b"vary", b"a"),
        (b"Vary", b"b"),
    ]
    expected = [(name.lower(), value) for name, value in headers]
    assert passed_down(headers) == expected


@pytest.mark.parametrize(
    "name",
    [
        b"Alt-Svc",
        b"Connection",
        b"Keep-Alive",
        b"Proxy-Authenticate",
        b"Set-Cookie",
        b"Strict-Transport-Security",
        b"Trailer",
        b"Transfer-Encoding",
        b"Upgrade",
    ],
)
def test_what_is_the_upstreams_hops_own_stays(name: bytes) -> None:
    headers = [(b"a", b"1"), (name, b"x"), (b"b", b"2")]
    assert passed_down(headers) == [(b"a", b"1"), (b"b", b"2")]


def test_what_an_answers_connection_names_stays_too() -> None:
    headers = [
        (b"Connection", b"close, X-Hop"),
        (b"X-HOP", b"1"),
        (b"set-cookie", b"s"),
        (b"A", b""),
    ]
    assert passed_down(headers) == [(b"a", b"")]
