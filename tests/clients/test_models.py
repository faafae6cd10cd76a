"""`client.models`, `messages.count_tokens` and `client.request`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from apertis import ApertisError, APIResponseError, NotFoundError, ParameterError
from apertis.testing import ScriptedServer, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis import Apertis

    Connect = Callable[..., Apertis]

KEY = "sk-test-0123456789"

SHAPES = [
    pytest.param({"data": [{"id": "m", "name": "The model"}]}, "The model", id="the docs"),
    pytest.param({"object": "list", "data": [{"id": "m", "object": "model"}]}, "m", id="OpenAI's"),
    pytest.param(
        {
            "data": [
                {
                    "type": "model",
                    "id": "m",
                    "display_name": "Model M",
                    "created_at": "2026-01-01T00:00:00Z",
                    "lifecycle": "active",
                    "max_tokens": 64_000,
                    "capabilities": {"thinking": {"supported": True}},
                    "new": 1,
                }
            ],
            "has_more": False,
            "first_id": "m",
            "last_id": "m",
        },
        "Model M",
        id="Anthropic's",
    ),
]


@pytest.mark.parametrize(("document", "name"), SHAPES)
def test_models_are_read_in_every_shape(
    connect: Connect, document: dict[str, Any], name: str
) -> None:
    with ScriptedServer([json_response(200, document, {"request-id": "req_1"})]) as server:
        page = connect(api_key=KEY, base_url=server.base_url).models.list()
        assert [(model.id, model.display_name) for model in page] == [("m", name)]
        assert server.requests[0].target == "/v1/models"
    assert page.data[0].to_dict() == document["data"][0]
    assert not page.has_next_page()
    assert page.response.request_id == "req_1"
    with pytest.raises(ApertisError, match="no page after"):
        page.get_next_page()


def pages(*names: str) -> list[bytes]:
    """As many pages as names, each of two models."""
    return [
        json_response(
            200,
            {
                "data": [{"id": f"{name}1"}, {"id": f"{name}2"}],
                "has_more": name != names[-1],
                "first_id": f"{name}1",
                "last_id": f"{name}2",
            },
        )
        for name in names
    ]


def test_iterating_follows_the_pages_forward(connect: Connect) -> None:
    with ScriptedServer(pages("a", "b", "c")) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        found = [m.id for m in client.models.list(limit=2, extra_headers={"x-a": "b"})]
        requests = server.requests
    assert found == ["a1", "a2", "b1", "b2", "c1", "c2"]
    assert [request.query for request in requests] == [
        "limit=2",
        "limit=2&after_id=a2",
        "limit=2&after_id=b2",
    ]
    assert all(request.headers["x-a"] == "b" for request in requests)


def test_iterating_follows_the_pages_backward(connect: Connect) -> None:
    with ScriptedServer(pages("c", "b")) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        found = [model.id for model in client.models.list(before_id="d1")]
        queries = [request.query for request in server.requests]
    assert found == ["c1", "c2", "b1", "b2"]
    assert queries == ["before_id=d1", "before_id=c1"]


def test_pages_can_be_taken_one_by_one(connect: Connect) -> None:
    with ScriptedServer(pages("a", "b") * 2) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        first = client.models.list()
        assert (first.has_more, first.first_id, first.last_id) == (True, "a1", "a2")
        second = first.get_next_page()
        assert [model.id for model in second.data] == ["b1", "b2"]
        assert not second.has_next_page()
        sizes = [len(page.data) for page in client.models.list().iter_pages()]
    assert sizes == [2, 2]


def test_a_page_that_leads_nowhere_ends_the_list(connect: Connect) -> None:
    """Without items or without an id, asking on would ask for the same page for ever."""
    for document in ({"data": [], "has_more": True}, {"data": [{"id": "m"}], "has_more": True}):
        with ScriptedServer([json_response(200, document)]) as server:
            client = connect(api_key=KEY, base_url=server.base_url)
            assert len(list(client.models.list())) == len(document["data"])  # type: ignore[arg-type]


def test_a_list_takes_several_values_of_a_parameter(connect: Connect) -> None:
    with ScriptedServer([json_response(200, {"data": []})]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        client.models.list(lifecycle=["active", "deprecated"], limit=5)
        assert server.requests[0].query == "lifecycle=active%2Cdeprecated&limit=5"


def test_one_model_is_asked_for_by_its_id(connect: Connect) -> None:
    answer = json_response(200, {"id": "claude-sonnet-4.5:web", "type": "model"})
    with ScriptedServer([answer]) as server:
        model = connect(api_key=KEY, base_url=server.base_url).models.retrieve(
            "claude-sonnet-4.5:web"
        )
        assert server.requests[0].target == "/v1/models/claude-sonnet-4.5:web"
    assert model.id == "claude-sonnet-4.5:web"


def test_an_unknown_model_is_not_found(connect: Connect) -> None:
    with (
        ScriptedServer([json_response(404, {"error": {"message": "m"}})]) as server,
        pytest.raises(NotFoundError),
    ):
        connect(api_key=KEY, base_url=server.base_url).models.retrieve("m")


@pytest.mark.parametrize("wrong", ["", "a/b", "..", None])
def test_what_is_no_model_id_is_named(connect: Connect, wrong: Any) -> None:
    with pytest.raises(ParameterError, match="model_id"):
        connect(api_key=KEY).models.retrieve(wrong)


BROKEN = [
    pytest.param(b"<html>", id="no JSON"),
    pytest.param(b"[]", id="a list"),
    pytest.param(b'{"data": 5}', id="no data"),
    pytest.param(b'{"data": [{"name": "no id"}]}', id="an item without id"),
]


@pytest.mark.parametrize("body", BROKEN)
def test_an_unreadable_list_is_an_error(connect: Connect, body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    with ScriptedServer([head % len(body) + body]) as server, pytest.raises(APIResponseError):
        connect(api_key=KEY, base_url=server.base_url).models.list()


def test_tokens_are_counted(connect: Connect) -> None:
    document = {"input_tokens": 14, "context_management": {"original_input_tokens": 20}, "new": 1}
    params: dict[str, Any] = {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "system": "s",
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "any"},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "output_config": {"effort": "low"},
    }
    with ScriptedServer([json_response(200, document)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        count = client.messages.count_tokens(**params)
        sent = server.requests[0]
    assert (sent.method, sent.target) == ("POST", "/v1/messages/count_tokens")
    assert sent.json() == params
    assert count.input_tokens == 14
    assert count.to_dict() == document


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_counting_needs_a_prompt(connect: Connect, missing: str) -> None:
    params: dict[str, Any] = {"model": "m", "messages": []}
    del params[missing]
    with pytest.raises(ParameterError, match=f"{missing}: required"):
        connect(api_key=KEY).messages.count_tokens(**params)


def test_any_endpoint_can_be_asked(connect: Connect) -> None:
    with ScriptedServer([json_response(200, {"ok": [1]})]) as server:
        client = connect(api_key=KEY, base_url=server.base_url + "/v1")
        answer = client.request(
            "post",
            "/v1/files?x=1",
            json={"a": "é"},
            betas=["files"],
            extra_query={"y": 2},
            extra_headers={"x-a": "b"},
        )
        sent = server.requests[0]
    assert answer == {"ok": [1]}
    assert (sent.method, sent.target) == ("POST", "/v1/files?x=1&y=2&beta=true")
    assert sent.json() == {"a": "é"}
    assert (sent.headers["x-a"], sent.headers["anthropic-beta"]) == ("b", "files")
    assert sent.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_every_method_can_be_used(connect: Connect, method: str) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n\r\n"
    body = b"" if method == "HEAD" else b"a plain text"
    with ScriptedServer([head + body]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        assert client.request(method, "/x") == (None if method == "HEAD" else "a plain text")
        sent = server.requests[0]
    assert (sent.method, sent.body) == (method, b"")
    assert "content-type" not in sent.headers


ANSWERS = [
    pytest.param(b"content-type: application/json\r\n", b"[1]", [1], id="JSON"),
    pytest.param(b"content-type: application/problem+json\r\n", b"{}", {}, id="a kind of JSON"),
    pytest.param(b"content-type: text/plain\r\n", "é".encode(), "é", id="text"),
    pytest.param(b"content-type: application/json\r\n", b"", None, id="nothing"),
]


@pytest.mark.parametrize(("head", "body", "expected"), ANSWERS)
def test_the_answer_is_what_it_says_it_is(
    connect: Connect, head: bytes, body: bytes, expected: Any
) -> None:
    answer = b"HTTP/1.1 200 OK\r\n%scontent-length: %d\r\n\r\n%s" % (head, len(body), body)
    with ScriptedServer([answer, b"HTTP/1.1 204 No Content\r\n\r\n"]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        assert client.request("GET", "/x") == expected
        assert client.request("GET", "/x") is None


@pytest.mark.parametrize("text", [b"{", b'{"a":"\xff"}', b"[" * 5000])
def test_json_that_is_none_is_an_error(connect: Connect, text: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    body = head % len(text) + text
    with ScriptedServer([body]) as server, pytest.raises(APIResponseError):
        connect(api_key=KEY, base_url=server.base_url).request("GET", "/x")


@pytest.mark.parametrize("body", [[1, {"a": None}], "text", 5, True, [], {}])
def test_any_json_can_be_sent(connect: Connect, body: Any) -> None:
    with ScriptedServer([json_response(200, {})]) as server:
        connect(api_key=KEY, base_url=server.base_url).request("POST", "/x", json=body)
        assert json.loads(server.requests[0].body) == body


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("FETCH", "/x"), "method"),
        ((5, "/x"), "method"),
        (("GET", "x"), "path"),
        (("GET", "https://elsewhere.example/x"), "path"),
        (("GET", None), "path"),
    ],
)
def test_wrong_requests_are_named(connect: Connect, arguments: Any, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        connect(api_key=KEY).request(*arguments)


@pytest.mark.parametrize("body", [["\ud800"], [object()], [float("nan")], {1, 2.5, object()}])
def test_a_body_that_is_no_json_is_an_error(connect: Connect, body: Any) -> None:
    with pytest.raises(ParameterError):
        connect(api_key=KEY).request("POST", "/x", json=body)


def test_an_option_that_is_none_is_named(connect: Connect) -> None:
    call: Any = connect(api_key=KEY).request
    with pytest.raises(ParameterError, match="colour"):
        call("GET", "/x", colour="red")


def test_a_path_cannot_smuggle_a_line(connect: Connect) -> None:
    with ScriptedServer([json_response(200, {})]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        client.request("GET", "/x y\r\nx-a: b#é")
        assert server.requests[0].target == "/x%20y%0D%0Ax-a:%20b%23%C3%A9"
        assert "x-a" not in server.requests[0].headers
