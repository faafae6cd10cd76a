"""Where a request goes, its head, its body."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.errors import ConfigurationError, ParameterError
from apertis.models import decode_message
from apertis.sansio.request import (
    is_loopback,
    merge_headers,
    parse_base_url,
    render_body,
    render_head,
    render_json,
    shown_headers,
    target,
)


@pytest.mark.parametrize(
    ("url", "authority", "port", "prefix", "tls"),
    [
        ("https://api.apertis.ai", "api.apertis.ai", 443, "", True),
        ("http://localhost", "localhost", 80, "", False),
        ("http://localhost:8080/", "localhost:8080", 8080, "", False),
        ("https://h:443/v1", "h", 443, "", True),
        ("https://h:80/v1", "h:80", 80, "", True),
        ("http://[::1]:9/v1/", "[::1]:9", 9, "", False),
        ("https://H.Example/a/b/v1", "h.example", 443, "/a/b", True),
        ("https://bücher.example", "xn--bcher-kva.example", 443, "", True),
        ("https://h/a b/é", "h", 443, "/a%20b/%C3%A9", True),
        (" https://h/v1 \n", "h", 443, "", True),
        ("https://h/v1beta", "h", 443, "/v1beta", True),
        ("https://h/v1/messages-proxy", "h", 443, "/v1/messages-proxy", True),
    ],
)
def test_a_base_url_is_an_origin(
    url: str, authority: str, port: int, prefix: str, tls: bool
) -> None:
    origin = parse_base_url(url)
    assert (origin.authority, origin.port, origin.prefix, origin.tls) == (
        authority,
        port,
        prefix,
        tls,
    )
    assert origin.url == f"http{'s' * tls}://{authority}"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h",
        "//h",
        "http:/h",
        "http://",
        "http://h:x",
        "http://h:70000",
        "http://u:pw@h",
        "http://h/?q",
        "http://h/#f",
        "http://[::1",
        "http://" + "a" * 70 + ".example",
        "https://h/v1/messages",
        "https://h/a/v1/messages/",
        "https://h/v1/messages/count_tokens",
        "https://h/v1/chat/completions",
    ],
)
def test_what_is_no_base_url_is_named_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        parse_base_url(url)
    assert "pw" not in str(caught.value)


def test_a_later_layer_of_headers_wins_and_none_takes_out() -> None:
    merged = merge_headers({"A": "1", "B": "1"}, None, {"b": "2", "c": " 3\t"}, {"A": None})
    assert merged == {"b": "2", "c": "3"}


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_a_head_has_as_many_lines_as_headers_or_there_is_none(headers: dict[str, str]) -> None:
    """No name and no value begins a line of its own (RFC 9110, section 5.5)."""
    try:
        merged = merge_headers(headers)
    except ParameterError:
        return
    head = render_head("GET", "/", merged, None)
    assert head.count(b"\n") == len(merged) + 2
    assert head.endswith(b"\r\n\r\n")


def test_the_head_ends_before_the_body_begins() -> None:
    assert render_head("POST", "/v1/x?a=b", {"host": "h", "x": "é"}, 3) == (
        "POST /v1/x?a=b HTTP/1.1\r\nhost: h\r\nx: é\r\ncontent-length: 3\r\n\r\n".encode("latin-1")
    )


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/v1/x", None, "/p/v1/x"),
        ("/v1/x", {}, "/p/v1/x"),
        ("/v1/x", {"a": None}, "/p/v1/x"),
        ("/v1/x", {"a": True, "b": 1.5, "c": "é&="}, "/p/v1/x?a=true&b=1.5&c=%C3%A9%26%3D"),
        ("/v1/x?a=1", {"b": 2}, "/p/v1/x?a=1&b=2"),
        ("/v1/x", {"a": ["b", "c"]}, "/p/v1/x?a=b%2Cc"),
        ("/v1/%2F", None, "/p/v1/%2F"),
    ],
)
def test_a_target_is_encoded_once(path: str, query: Any, expected: str) -> None:
    assert target("/p", path, query) == expected


@given(st.text(max_size=20) | st.just("\ud800"))
def test_a_target_never_has_a_space_or_a_line_end(path: str) -> None:
    try:
        line = target("", "/" + path, {"q": path})
    except ParameterError:
        # Half of a surrogate pair is no character.
        assert not path.isascii()
        return
    assert line.isascii()
    assert line.isprintable()
    assert " " not in line


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text("ab", max_size=3), v, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text("ab", max_size=3), plain, max_size=3))
def test_a_body_is_the_json_of_its_parameters(params: dict[str, Any]) -> None:
    assert json.loads(render_body(params)) == params


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [{"b": b"x"}]}, "p.a[0].b"),
        ([[1.5, float("nan")]], "p[0][1]"),
        ({"a": object()}, "p.a"),
        ({"a": {"b": 1j}}, "p.a.b"),
    ],
)
def test_what_cannot_be_sent_is_named_by_its_place(value: Any, place: str) -> None:
    with pytest.raises(ParameterError) as caught:
        render_body({"p": value})
    assert caught.value.param == place
    assert str(caught.value).startswith(place + ": ")


def test_bytes_are_pointed_to_the_helper() -> None:
    with pytest.raises(ParameterError, match=r"apertis\.image\(\.\.\.\)"):
        render_body({"p": b"x"})


def test_an_answer_stands_in_a_body_as_the_bytes_that_came() -> None:
    block = b'{"type":"text",  "text":"\\u00e9", "new":1.0}'
    message = decode_message(
        b'{"id":"m","type":"message","role":"assistant","model":"m","content":[' + block + b"],"
        b'"usage":{"input_tokens":1,"output_tokens":1}}'
    )
    assert block in render_body({"messages": [message.to_param()]})
    assert block in render_body({"messages": [{"content": [message.content[0]]}]})


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Authorization", "***"),
        ("x-api-key", "***"),
        ("Set-Cookie", "***"),
        ("cf-access-client-secret", "***"),
        ("x-auth-token", "***"),
        ("anthropic-ratelimit-tokens-remaining", "v"),
        ("content-type", "v"),
    ],
)
def test_headers_are_shown_without_secrets(name: str, shown: str) -> None:
    assert shown_headers([(name, "v")]) == {name: shown}


HALF = "cut \ud83d"
CALL = b'{"type":"tool_use","id":"t","name":"n","input":{"a":[1]}}'
ANSWER = (
    b'{"id":"m","type":"message","role":"assistant","model":"m","content":[%s],'
    b'"usage":{"input_tokens":1,"output_tokens":1}}' % CALL
)


def edited() -> Any:
    message = decode_message(ANSWER)
    message.content[0].input["a"].append({"b": HALF})  # type: ignore[union-attr]
    return message


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({"system": HALF}, "system"),
        (
            {"messages": [{"content": "é"}, {"content": [{"type": "text", "text": HALF}]}]},
            "messages[1].content[0].text",
        ),
        ({"messages": [{}, edited()]}, "messages[1].content[0].input.a[1].b"),
        ({"messages": [{"content": edited().content}]}, "messages[0].content[0].input.a[1].b"),
        ({"requests": [{"params": {"system": (HALF,)}}]}, "requests[0].params.system[0]"),
        ({"metadata": {"a": 1, HALF: 2}}, "metadata"),
        ({"metadata": {"a": {HALF: HALF}}}, "metadata.a"),
        ({HALF: 2}, "the request"),
    ],
)
def test_half_a_surrogate_pair_is_said_to_be_that_with_its_place(params: Any, place: str) -> None:
    with pytest.raises(ParameterError) as caught:
        render_body(params)
    said = str(caught.value)
    assert caught.value.param == place
    assert said.startswith(f"{place}: half of a surrogate pair (U+D83D) at character 4")
    assert said.encode().isascii()


def test_half_a_surrogate_pair_in_any_json_has_its_place_too() -> None:
    with pytest.raises(ParameterError, match=r"^json\.a\[0\]: half of a surrogate pair") as caught:
        render_json({"a": [HALF]})
    assert caught.value.param == "json.a[0]"


@given(st.text(alphabet=st.characters(exclude_categories=[]) | st.just("\ud83d"), max_size=8))
def test_the_way_out_that_the_error_names_is_one(text: str) -> None:
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert json.loads(render_body({"system": whole})) == {"system": whole}
    if text == whole:
        assert json.loads(render_body({"system": text})) == {"system": text}
    else:
        with pytest.raises(ParameterError, match="surrogate"):
            render_body({"system": text})


def test_this_machine_is_known_by_name_and_address() -> None:
    assert [*map(is_loopback, ("localhost", "127.0.0.9", "::1"))] == [True] * 3
    assert [*map(is_loopback, ("example.com", "10.0.0.1", "::2", ""))] == [False] * 4
