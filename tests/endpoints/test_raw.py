"""Calls for which there is no method yet."""

from __future__ import annotations

from typing import Any

import pytest

from apertis.endpoints import raw
from apertis.errors import ParameterError
from apertis.models import Headers, Malformed
from apertis.sansio.outcome import Response


def answer(body: bytes, content_type: str = "application/json") -> Response:
    return Response(200, Headers([("content-type", content_type)]), body)


def test_any_method_and_any_path_become_a_call() -> None:
    call = raw.request("patch", "/v1/x", {"a": 1}, {"extra_query": {"q": 1}})
    assert (call.method, call.path, call.body) == ("PATCH", "/v1/x", b'{"a":1}')
    assert call.query == {"q": 1}
    assert raw.request("GET", "/v1/x", None, {}).body is None


@pytest.mark.parametrize(
    ("method", "path", "options", "param"),
    [
        ("BREW", "/x", {}, "method"),
        (5, "/x", {}, "method"),
        ("GET", "x", {}, "path"),
        ("GET", None, {}, "path"),
        ("GET", "/x", {"modle": "m"}, "modle"),
    ],
)
def test_what_cannot_be_sent_is_named(
    method: Any, path: Any, options: dict[str, Any], param: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        raw.request(method, path, None, options)
    assert caught.value.param == param
    assert param in str(caught.value)


@pytest.mark.parametrize(
    ("response", "result"),
    [
        (answer(b""), None),
        (answer(b"[1]"), [1]),
        (answer(b"{}", "application/problem+json; charset=utf-8"), {}),
        (answer(b"[1]", "text/plain"), "[1]"),
        (answer(b"\xff", ""), "\ufffd"),
    ],
)
def test_an_answer_is_what_its_type_says(response: Response, result: object) -> None:
    assert raw.request("GET", "/x", None, {}).read(response) == result


def test_json_that_cannot_be_read_is_an_error_of_the_answer() -> None:
    with pytest.raises(Malformed):
        raw.request("GET", "/x", None, {}).read(answer(b"{"))
