"""Responses as bytes, read back as an HTTP client reads them."""

from __future__ import annotations

import http.client
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.testing import http_chunk, json_response, sse_event, sse_head, sse_response

if TYPE_CHECKING:
    import socket


def read(raw: bytes) -> http.client.HTTPResponse:
    class Socket:
        def makefile(self, *_: object) -> io.BytesIO:
            return io.BytesIO(raw)

    sock: socket.socket = Socket()  # type: ignore[assignment]
    response = http.client.HTTPResponse(sock)
    response.begin()
    return response


@pytest.mark.parametrize(
    ("status", "reason"), [(200, "OK"), (404, "Not Found"), (529, "Status"), (599, "Status")]
)
def test_a_json_response_is_a_whole_http_response(status: int, reason: str) -> None:
    response = read(json_response(status, {"é": 1}, {"request-id": "req_1"}))
    assert (response.status, response.reason) == (status, reason)
    assert response.getheader("request-id") == "req_1"
    assert response.getheader("content-type") == "application/json"
    assert json.loads(response.read()) == {"é": 1}


def test_headers_that_are_given_replace_the_usual_ones() -> None:
    response = read(json_response(200, [], {"content-type": "text/plain"}))
    assert response.headers.get_all("content-type") == ["text/plain"]


def test_an_event_is_named_by_the_type_of_its_data() -> None:
    assert sse_event({"type": "ping", "n": 1}) == b'event: ping\ndata: {"type":"ping","n":1}\n\n'


@given(st.lists(st.fixed_dictionaries({"type": st.sampled_from(["ping", "error"])})))
def test_an_event_stream_is_its_events_in_chunks(events: list[dict[str, Any]]) -> None:
    response = read(sse_response(events, {"x-a": "b"}))
    assert response.getheader("x-a") == "b"
    assert response.read() == b"".join(map(sse_event, events))


def test_what_was_cut_lacks_the_last_chunk_alone() -> None:
    events = [{"type": "ping"}]
    cut = sse_response(events, complete=False)
    assert cut + http_chunk(b"") == sse_response(events)
    assert cut == sse_head() + http_chunk(sse_event(events[0]))
    with pytest.raises(http.client.IncompleteRead):
        read(cut).read()
