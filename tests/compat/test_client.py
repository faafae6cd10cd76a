"""A client as programs for `anthropic` use one: options, marks, verbs, files, timeouts."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import pytest

import apertis
from apertis import NOT_GIVEN, ConfigurationError, ParameterError, Timeout, omit
from apertis.models import Message, ModelInfo, WholeResponse
from apertis.testing import (
    AwaitDisconnect,
    Exchange,
    ScriptedServer,
    json_response,
    sse_response,
)
from tests.kit.exchanges import ANSWER, EVENTS, HELLO, KEY, LEAST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apertis import Apertis
    from apertis.testing import RecordedRequest

    Connect = Callable[..., Apertis]

MARKS = [NOT_GIVEN, omit, anthropic.NOT_GIVEN, anthropic.omit]
PAGE = {"data": [], "has_more": False, "first_id": None, "last_id": None}
COUNT = {"input_tokens": 1}
OPTIONAL = (
    "system",
    "temperature",
    "tools",
    "thinking",
    "stop_sequences",
    "metadata",
    "tool_choice",
)


def sent(
    connect: Connect, call: Callable[[Any], Any], answer: object = ANSWER, **settings: Any
) -> RecordedRequest:
    """What arrives at the server for a call."""
    with ScriptedServer([json_response(200, answer)]) as server:
        call(connect(api_key=KEY, base_url=server.base_url, **settings))
        return server.requests[0]


@pytest.mark.parametrize("mark", MARKS)
def test_what_is_not_given_is_not_sent(connect: Connect, mark: Any) -> None:
    optional = dict.fromkeys(OPTIONAL, mark)
    options = dict.fromkeys(("extra_headers", "extra_query", "extra_body", "timeout"), mark)
    more = {"max_retries": mark, "betas": mark, "stream": mark, "workspace_id": mark}
    request = sent(connect, lambda c: c.messages.create(**LEAST, **optional, **options, **more))
    assert json.loads(request.body) == LEAST
    assert "anthropic-beta" not in request.headers
    assert request.query == ""


@pytest.mark.parametrize("mark", MARKS)
def test_marks_deep_inside_are_not_sent_either(connect: Connect, mark: Any) -> None:
    block = {"type": "text", "text": "Hello", "cache_control": mark}
    messages: Any = [{"role": "user", "content": [block]}]
    request = sent(connect, lambda c: c.messages.create(**{**LEAST, "messages": messages}))
    content = json.loads(request.body)["messages"][0]["content"]
    assert content == [{"type": "text", "text": "Hello"}]


@pytest.mark.parametrize("mark", MARKS)
def test_every_method_takes_marks(connect: Connect, mark: Any) -> None:
    prompt = {"model": "m", "messages": HELLO}
    marked = {"system": mark, "tools": mark}
    request = sent(connect, lambda c: c.messages.count_tokens(**prompt, **marked), COUNT)
    assert json.loads(request.body) == prompt
    paging = {"limit": mark, "after_id": mark, "before_id": mark}
    request = sent(connect, lambda c: list(c.messages.batches.list(**paging, betas=mark)), PAGE)
    assert request.query == ""
    more = {**PAGE, "data": [], "has_more": True, "last_id": "b"}
    assert sent(connect, lambda c: list(c.models.list(**paging)), more).query == ""
    wanted = [{"custom_id": "a", "params": {**LEAST, "system": mark}}]
    request = sent(
        connect,
        lambda c: c.messages.batches.with_raw_response.create(requests=wanted, betas=mark),
    )
    assert json.loads(request.body) == {"requests": [{"custom_id": "a", "params": LEAST}]}
    request = sent(
        connect, lambda c: c.messages.batches.with_raw_response.retrieve("b", timeout=mark)
    )
    assert request.body == b""


@pytest.mark.parametrize("mark", MARKS)
def test_what_is_required_is_missing_when_it_is_not_given(connect: Connect, mark: Any) -> None:
    client = connect(api_key=KEY, base_url="http://127.0.0.1:1")
    for name in LEAST:
        with pytest.raises(ParameterError, match=f"{name}: required, and missing"):
            client.messages.create(**{**LEAST, name: mark})


@pytest.mark.parametrize("mark", MARKS)
def test_a_client_takes_marks(connect: Connect, mark: Any) -> None:
    names = ("default_headers", "default_query", "http_client", "timeout", "max_retries")
    request = sent(connect, lambda c: c.messages.create(**LEAST), **dict.fromkeys(names, mark))
    assert json.loads(request.body) == LEAST
    more = ("api_key", "base_url", "set_default_headers", "set_default_query", "middleware")
    marked = dict.fromkeys((*names, *more), mark)
    request = sent(connect, lambda c: c.with_options(**marked).messages.create(**LEAST))
    assert request.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("mark", [omit, anthropic.omit, None])
def test_a_header_that_is_omitted_is_not_sent(connect: Connect, mark: Any) -> None:
    request = sent(
        connect,
        lambda c: c.messages.create(**LEAST, extra_headers={"anthropic-version": mark}),
        default_headers={"x-b": "2", "User-Agent": mark},
    )
    assert not {"anthropic-version", "user-agent"} & request.headers.keys()
    assert request.headers["x-b"] == "2"


def test_options_are_added_or_stand_in_place_of_others(connect: Connect) -> None:
    client = connect(
        api_key=KEY, default_headers={"x-a": "1"}, default_query={"a": "1"}, max_retries=5
    )
    added = client.with_options(default_headers={"x-b": "2"}, default_query={"b": 2})
    assert {k: v for k, v in added.default_headers.items() if k.startswith("x-")} == {
        "x-a": "1",
        "x-b": "2",
    }
    assert added.default_query == {"a": "1", "b": 2}
    placed = client.copy(set_default_headers={"x-b": "2"}, set_default_query={"b": "2"})
    assert "x-a" not in placed.default_headers
    assert placed.default_query == {"b": "2"}
    same = client.with_options(api_key=None, base_url=None, max_retries=None, default_headers=None)
    assert (same.max_retries, same.api_key, str(same.base_url)) == (
        5,
        KEY,
        str(client.base_url),
    )
    assert KEY not in repr(client.default_headers)


def test_the_query_of_a_client_is_sent_with_each_request(connect: Connect) -> None:
    request = sent(
        connect,
        lambda c: c.messages.create(**LEAST, extra_query={"b": "3"}),
        default_query={"a": "1", "b": "2"},
    )
    assert request.query == "a=1&b=3"


def test_a_client_tells_its_settings_and_some_can_be_set() -> None:
    url: Any = httpx2.URL("https://x.example/v1/")
    client = apertis.Client(api_key=KEY, base_url=url, timeout=5, max_retries=1)
    assert str(client.base_url) == "https://x.example"
    assert (client.base_url.host, client.base_url.scheme, client.base_url.port) == (
        "x.example",
        "https",
        None,
    )
    assert (client.api_key, client.timeout, client.max_retries) == (KEY, 5, 1)
    client.api_key, client.timeout, client.max_retries = "other", 6.0, 0
    assert (client.api_key, client.timeout, client.max_retries) == ("other", 6.0, 0)
    assert not client.is_closed()
    client.close()
    assert client.is_closed()


def test_a_token_goes_as_bearer_in_place_of_a_key(connect: Connect) -> None:
    request = sent(connect, lambda c: c.messages.create(**LEAST))
    assert request.headers["authorization"] == f"Bearer {KEY}"
    with ScriptedServer([json_response(200, ANSWER)] * 3) as server:
        client = connect(auth_token="token-123456", base_url=server.base_url)
        assert (client.auth_token, client.api_key) == ("token-123456", None)
        client.messages.create(**LEAST)
        keyed = client.with_options(api_key=KEY)
        assert (keyed.auth_token, keyed.api_key) == (None, KEY)
        keyed.messages.create(**LEAST)
        keyed.with_options(auth_token="token-123456").messages.create(**LEAST)
        sent_as = [request.headers["authorization"] for request in server.requests]
    assert sent_as == ["Bearer token-123456", f"Bearer {KEY}", "Bearer token-123456"]
    with pytest.raises(ConfigurationError, match="api_key and auth_token: pass one of them"):
        connect(api_key=KEY, auth_token="token-123456")
    with pytest.raises(ConfigurationError, match="auth_token must be text without spaces"):
        connect(auth_token="two words")


def test_another_http_client_is_used_by_the_copy_alone(connect: Connect) -> None:
    client = connect(api_key=KEY, base_url="http://127.0.0.1:1", max_retries=0)
    with pytest.raises(ConfigurationError, match="http_client must be an httpx2"):
        client.with_options(http_client=object())
    with pytest.raises(TypeError):
        client.with_options(http_client=object())


def test_a_path_that_has_no_method_is_asked_by_its_verb(connect: Connect) -> None:
    model = {"type": "model", "id": "m", "display_name": "M", "created_at": "2026-01-01T00:00:00Z"}
    script = [
        json_response(200, model),
        json_response(200, ANSWER),
        json_response(200, [1, 2]),
        json_response(200, {"a": 1}, headers={"x-thing": "t"}),
        json_response(200, {}),
        json_response(200, {}),
        sse_response(EVENTS),
    ]
    with ScriptedServer(script) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        assert client.get("/v1/models/m", cast_to=ModelInfo).id == "m"
        options = {"headers": {"x-a": "1"}, "params": {"q": "2"}, "timeout": 5, "max_retries": 0}
        message = client.post(
            "v1/messages", cast_to=Message, body=LEAST, options={**options, "extra_json": {"n": 1}}
        )
        assert message.text == "Hi."
        assert message.response.status_code == 200
        assert client.put("/v1/x", cast_to=list[int], body={}) == [1, 2]
        response = client.patch("/v1/x", cast_to=httpx2.Response, body={"b": NOT_GIVEN})
        assert isinstance(response, WholeResponse)
        assert (response.headers["X-Thing"], response.json()) == ("t", {"a": 1})
        assert client.delete("/v1/x", cast_to=type(None)) is None
        assert client.post("/v1/x", cast_to=object) == {}
        stream = client.post(
            "/v1/messages", cast_to=Message, body=LEAST, stream=True, stream_cls=apertis.Stream
        )
        assert len(list(stream)) == len(EVENTS)
        seen = [(request.method, request.path, request.query) for request in server.requests]
        assert seen == [
            ("GET", "/v1/models/m", ""),
            ("POST", "/v1/messages", "q=2"),
            ("PUT", "/v1/x", ""),
            ("PATCH", "/v1/x", ""),
            ("DELETE", "/v1/x", ""),
            ("POST", "/v1/x", ""),
            ("POST", "/v1/messages", ""),
        ]
        assert server.requests[1].headers["x-a"] == "1"
        assert json.loads(server.requests[1].body) == {**LEAST, "n": 1}
        assert server.requests[3].body == b"{}"


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"cast_too": dict}, "cast_too: unknown option"),
        ({"options": {"header": {}}}, "options: unknown 'header'"),
    ],
)
def test_an_option_of_a_verb_that_nobody_knows_is_an_error(
    connect: Connect, params: Any, fault: str
) -> None:
    with pytest.raises(ParameterError, match=fault):
        connect(api_key=KEY).get("/v1/x", **params)


@pytest.mark.parametrize("opened", [False, True])
def test_a_file_may_be_the_data_of_a_source(connect: Connect, tmp_path: Path, opened: bool) -> None:
    (tmp_path / "a.png").write_bytes(b"picture")
    file: Any = io.BytesIO(b"picture") if opened else tmp_path / "a.png"
    source = {"type": "base64", "media_type": "image/png", "data": file}
    messages: Any = ({"role": "user", "content": [{"type": "image", "source": source}]},)
    request = sent(connect, lambda c: c.messages.create(**{**LEAST, "messages": iter(messages)}))
    data = json.loads(request.body)["messages"][0]["content"][0]["source"]["data"]
    assert base64.b64decode(data) == b"picture"


def test_a_file_in_a_batch_is_read_too(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    source = {"type": "base64", "media_type": "application/pdf", "data": tmp_path / "a.pdf"}
    block = {"type": "document", "source": source}
    params = {**LEAST, "messages": [{"role": "user", "content": [block]}]}
    requests = [{"custom_id": "a", "params": params}]
    request = sent(
        connect, lambda c: c.messages.batches.with_raw_response.create(requests=requests)
    )
    assert base64.b64encode(b"%PDF-1.4") in request.body


def test_a_file_that_cannot_be_read_names_its_place(connect: Connect, tmp_path: Path) -> None:
    client = connect(api_key=KEY, base_url="http://127.0.0.1:1")
    for data, fault in (
        (tmp_path / "none.png", r"messages\[0\].content\[0\].source.data: cannot read the file"),
        (io.StringIO("x"), r"source.data: the file gave str, not bytes: open it with mode 'rb'"),
    ):
        source = {"type": "base64", "media_type": "image/png", "data": data}
        messages: Any = [{"role": "user", "content": [{"type": "image", "source": source}]}]
        with pytest.raises(ParameterError, match=fault):
            client.messages.create(**{**LEAST, "messages": messages})


def test_a_path_elsewhere_is_still_an_error(connect: Connect, tmp_path: Path) -> None:
    client: Any = connect(api_key=KEY, base_url="http://127.0.0.1:1")
    with pytest.raises(ParameterError, match="system: PosixPath cannot be sent as JSON"):
        client.messages.create(**LEAST, system=tmp_path)


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [
        (httpx2.Timeout(7.0, connect=2.0), Timeout(connect=2, response=7, idle=7)),
        (httpx2.Timeout(None), Timeout(None)),
        (Timeout(7.0, connect=2.0), Timeout(connect=2, response=7, idle=7)),
        (Timeout(connect=1, read=2, write=3, pool=4), Timeout(connect=1, response=2, idle=2)),
        (Timeout(timeout=9.0), Timeout(connect=9, response=9, idle=9)),
    ],
)
def test_timeouts_of_httpx_are_understood(timeout: Any, expected: Timeout) -> None:
    assert Timeout.of(timeout) == expected
    client = apertis.Client(api_key=KEY, timeout=timeout)
    assert client.timeout is timeout
    client.with_options(timeout=timeout)


def test_a_timeout_of_httpx_ends_a_call(connect: Connect) -> None:
    with ScriptedServer([Exchange(AwaitDisconnect())]) as server:
        client = connect(api_key=KEY, base_url=server.base_url, max_retries=0)
        timeout: Any = httpx2.Timeout(5.0, read=0.05)
        with pytest.raises(apertis.APITimeoutError) as caught:
            client.messages.create(**LEAST, timeout=timeout)
        assert caught.value.deadline == "response"


def test_a_page_is_dumped_as_its_data_and_names_the_next_one(connect: Connect) -> None:
    models = [
        {"id": "a", "type": "model", "display_name": "A", "created_at": "2026-01-01T00:00:00Z"}
    ]
    answer = {"data": models, "has_more": True, "first_id": "a", "last_id": "a"}
    last = {**answer, "has_more": False}
    with ScriptedServer([json_response(200, answer), json_response(200, last)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        page: Any = client.models.list(limit=1)
        assert page.next_page_info() == {"limit": 1, "after_id": "a"}
        assert page.to_dict() == answer
        assert json.loads(page.model_dump_json()) == {
            **answer,
            "data": [page.data[0].model_dump(mode="json")],
        }
        assert page.get_next_page().next_page_info() is None
        with pytest.raises(AttributeError, match="nothing"):
            _ = page.nothing


def test_closing_the_response_of_a_stream_hangs_up() -> None:
    script = [Exchange(sse_response(EVENTS[:2], complete=False), AwaitDisconnect())] * 2
    with ScriptedServer(script) as server:
        stream = apertis.Apertis(api_key=KEY, base_url=server.base_url).messages.create(
            **LEAST, stream=True
        )
        assert stream.response.status_code == 200
        stream.response.close()
        assert repr(stream.response) == "StreamResponse(200)"

        async def awaited() -> None:
            client = apertis.AsyncApertis(api_key=KEY, base_url=server.base_url)
            async with client.messages.stream(**LEAST) as stream:
                assert stream.response.status == 200
                await stream.response.aclose()
                assert repr(stream.response) == "AsyncStreamResponse(200)"

        asyncio.run(awaited())
