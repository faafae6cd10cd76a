"""What the service refuses becomes the error that a program can act on."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import apertis
from apertis import APIConnectionError, APIStatusError, RedirectError
from apertis.testing import Exchange, Reset, ScriptedServer, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis import Apertis

    Connect = Callable[..., Apertis]

KEY = "sk-0123456789abcdefghij"
LEAST: dict[str, Any] = {
    "model": "m",
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "said in confidence"}],
}
REPORTED = Path(__file__).resolve().parents[3] / "shared" / "recorded" / "reported_errors.jsonl"

CLASSES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    402: "PaymentRequiredError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    405: "APIStatusError",
    408: "RequestTimeoutError",
    409: "ConflictError",
    412: "PreconditionFailedError",
    413: "ContentTooLargeError",
    418: "APIStatusError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
    431: "RequestHeaderFieldsTooLargeError",
    499: "ClientClosedRequestError",
    500: "InternalServerError",
    501: "HTTPNotImplementedError",
    502: "InternalServerError",
    503: "ServiceUnavailableError",
    504: "GatewayTimeoutError",
    520: "InternalServerError",
    529: "OverloadedError",
}


def plain(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *headers, f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def refused(connect: Connect, answer: bytes, **params: Any) -> APIStatusError:
    """The error that this answer becomes."""
    with ScriptedServer([answer]) as server:
        client = connect(api_key=KEY, base_url=server.base_url, max_retries=0)
        with pytest.raises(APIStatusError) as caught:
            client.messages.create(**{**LEAST, **params})
    return caught.value


@pytest.mark.parametrize(("status", "name"), CLASSES.items())
@pytest.mark.parametrize("params", [{}, {"stream": True}], ids=["plain", "streamed"])
def test_every_status_has_its_class(
    connect: Connect, status: int, name: str, params: dict[str, Any]
) -> None:
    body = {"type": "error", "error": {"type": "some_error", "message": "No."}}
    error = refused(connect, json_response(status, body), **params)
    assert type(error) is getattr(apertis, name)
    assert (error.status, error.status_code, error.type) == (status, status, "some_error")
    assert str(error) == f"{status}: No."
    assert status < 500 or isinstance(error, apertis.InternalServerError)


def test_the_fields_say_what_the_service_said(connect: Connect) -> None:
    body = {
        "error": {
            "message": "Over your quota.",
            "type": "billing_error",
            "code": "quota_exceeded",
            "param": "max_tokens",
            "new": 1,
        }
    }
    headers = {"x-request-id": "req_1", "retry-after": "7", "x-one": "1"}
    error = refused(connect, json_response(402, body, headers))
    assert (error.type, error.code, error.param) == (
        "billing_error",
        "quota_exceeded",
        "max_tokens",
    )
    assert str(error) == "402 quota_exceeded: Over your quota."
    assert error.request_id == "req_1"
    assert error.retry_after == 7
    assert error.body == body
    assert error.headers is not None
    assert error.headers["X-One"] == "1"
    assert (error.retries, error.partial) == (0, None)


def test_the_body_may_name_the_request_where_no_header_does(connect: Connect) -> None:
    body = {"type": "error", "error": {"type": "x", "message": "m"}, "request_id": "req_9"}
    assert refused(connect, json_response(400, body)).request_id == "req_9"


BODIES = [
    pytest.param(b'{"error": "a text"}', "a text", {"error": "a text"}, id="error is text"),
    pytest.param(b'{"message": "m", "code": "c"}', "m", {"message": "m", "code": "c"}, id="flat"),
    pytest.param(b'{"detail": "Not Found"}', "Not Found", {"detail": "Not Found"}, id="detail"),
    pytest.param(b'{"error": null}', '{"error": null}', {"error": None}, id="error is null"),
    pytest.param(b'{"error": {"message": 5}}', "5", {"error": {"message": 5}}, id="odd types"),
    pytest.param(b"<html>Bad gateway</html>", "<html>Bad gateway</html>", ..., id="html"),
    pytest.param(b'{"error": {"mess', '{"error": {"mess', ..., id="cut"),
    pytest.param(b"", "no explanation came", "", id="empty"),
    pytest.param(b"\xff\xfe", "\ufffd", ..., id="not UTF-8"),
    pytest.param(b"[1, 2]", "[1, 2]", [1, 2], id="a list"),
    pytest.param(b"[" * 50_000, "[[[", ..., id="too deep"),
]


@pytest.mark.parametrize(("body", "said", "document"), BODIES)
def test_whatever_came_is_shown(connect: Connect, body: bytes, said: str, document: Any) -> None:
    error = refused(connect, plain(502, body, "content-type: text/html"))
    assert type(error) is apertis.InternalServerError
    assert said in str(error)
    assert len(str(error)) < 400
    if document is ...:
        assert error.body == body.decode("utf-8", "replace")[:200] + "…" * (len(body) > 200)
    else:
        assert error.body == document


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_reported_and_not_followed(connect: Connect, status: int) -> None:
    error = refused(connect, plain(status, b"", "location: https://elsewhere.example/v1"))
    assert isinstance(error, RedirectError)
    assert error.location == "https://elsewhere.example/v1"
    assert "base_url" in str(error)


def test_errors_pickle_with_all_they_know(connect: Connect) -> None:
    body = {"error": {"message": "m", "type": "t", "code": "c", "param": "p"}}
    error = refused(connect, json_response(429, body, {"retry-after": "2", "request-id": "r"}))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is apertis.RateLimitError
    assert str(again) == str(error)
    for name in ("status", "type", "code", "param", "request_id", "retry_after", "body", "headers"):
        assert getattr(again, name) == getattr(error, name), name


def test_a_broken_connection_pickles_too(connect: Connect) -> None:
    with ScriptedServer([Exchange(Reset)]) as server:
        client = connect(api_key=KEY, base_url=server.base_url, max_retries=0)
        with pytest.raises(APIConnectionError) as caught:
            client.messages.create(**LEAST)
        where = server.base_url.removeprefix("http://")
    assert isinstance(caught.value.__cause__, OSError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is type(caught.value)
    assert where in str(again)


def test_an_unreachable_server_is_one_line_that_helps(connect: Connect) -> None:
    with ScriptedServer([]) as server:
        port = server.port
    client = connect(api_key=KEY, base_url=f"http://127.0.0.1:{port}", max_retries=0)
    with pytest.raises(APIConnectionError) as caught:
        client.messages.create(**LEAST)
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "apertis serve" in str(caught.value)
    assert "\n" not in str(caught.value)


OTHER_KEYS = ["sk-ant-api03-abcdefgh_ijk-lmn", "sk-sub-0123456789", "sk-proj0123456789"]


@pytest.mark.parametrize("key", [KEY, "no-prefix-at-all-4711", *OTHER_KEYS])
def test_a_key_that_the_service_echoes_is_nowhere_in_the_error(connect: Connect, key: str) -> None:
    said = f"Incorrect API key provided: {key}. Keys are at https://apertis.ai/token."
    answers = [
        json_response(401, {"error": {"message": said, "type": "t", "code": "c", "param": key}}),
        json_response(401, {"error": said}, {"x-echo": key, "set-cookie": key}),
        plain(401, said.encode(), "content-type: text/plain"),
        plain(302, b"", f"location: https://elsewhere.example/?key={key}"),
        plain(200, said.encode(), "content-type: text/html"),
        json_response(200, {"error": said}),
    ]
    for answer in answers:
        with ScriptedServer([answer]) as server:
            client = connect(api_key=key, base_url=server.base_url, max_retries=0)
            with pytest.raises(apertis.APIError) as caught:
                client.messages.create(**LEAST)
        error: Any = caught.value
        shown = [str(error), repr(error), error.message, str(error.args), str(error.body)]
        shown += [str(getattr(error, "param", "")), str(getattr(error, "location", ""))]
        assert all(key not in text for text in shown), shown
        assert "***" in "".join(shown) or answer.startswith(b"HTTP/1.1 302")


def test_a_key_inside_a_stream_is_nowhere_in_the_error(connect: Connect) -> None:
    key = "no-prefix-at-all-4711"
    for body in (
        b'event: error\ndata: {"type":"error","error":{"type":"t","message":"%s"}}\n\n',
        b"data: oops %s\n\n",
    ):
        answer = plain(200, body % key.encode(), "content-type: text/event-stream")
        with ScriptedServer([answer]) as server:
            client = connect(api_key=key, base_url=server.base_url, max_retries=0)
            with pytest.raises(apertis.APIError) as caught:
                client.messages.create(**LEAST, stream=True)
        error: Any = caught.value
        assert key not in str(error) + repr(error) + str(getattr(error, "body", ""))
        assert "***" in str(error)


def test_what_a_user_said_is_in_no_error_of_ours(connect: Connect) -> None:
    error = refused(connect, plain(500, b""))
    assert "confidence" not in str(error) + repr(error)


REPORTS = (
    [json.loads(line) for line in REPORTED.read_text("utf-8").splitlines()]
    if REPORTED.exists()
    else []
)


@pytest.mark.corpus
@pytest.mark.parametrize("report", REPORTS, ids=lambda r: f"{r['status']}-{r.get('seen')}")
def test_errors_that_people_reported_are_understood(
    connect: Connect, report: dict[str, Any]
) -> None:
    body = report["body"].encode()
    headers = {"content-type": "application/json", **(report.get("headers") or {})}
    if report.get("in_stream"):
        headers["content-type"] = "text/event-stream"
    headers = {k: v for k, v in headers.items() if k not in {"content-length", "connection"}}
    answer = plain(report["status"], body, *(f"{k}: {v}" for k, v in headers.items()))
    error = refused(connect, answer, **({"stream": True} if report.get("in_stream") else {}))
    text = report["body"].split("data: ", 1)[-1] if report.get("in_stream") else report["body"]
    try:
        document = json.loads(text)
    except ValueError:
        assert error.body == text
        return
    assert error.body == document
    facts = document["error"] if isinstance(document.get("error"), dict) else {}
    assert error.type == facts.get("type")
    assert error.request_id in {document.get("request_id"), headers.get("request-id")}
    assert error.status == report["status"] or report.get("in_stream")
    assert str(facts.get("message", "")) in str(error)
    if error.type == "overloaded_error":
        assert type(error) is apertis.OverloadedError


def test_an_error_in_place_of_an_answer_is_that_error(connect: Connect) -> None:
    """Gateways that lost the status answer so; its type says whether a retry can help."""
    told = {"error": {"type": "invalid_request_error", "message": "no", "code": "c", "param": "p"}}
    error = refused(connect, json_response(200, told))
    assert type(error) is apertis.BadRequestError
    assert (error.status, error.code, error.param, error.body) == (400, "c", "p", told)
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "later"}}
    count = {"input_tokens": 7, "error": {"message": "a field that is new"}, "id": "x"}
    answers = [
        json_response(200, overloaded, {"retry-after-ms": "1"}),
        json_response(200, count),
    ]
    with ScriptedServer(answers) as server:
        client = connect(api_key=KEY, base_url=server.base_url)
        counted = client.messages.count_tokens(model="m", messages=[])
    assert (counted.input_tokens, counted.response.retries) == (7, 1)


def test_an_error_tells_how_its_answer_came(connect: Connect) -> None:
    error = refused(connect, json_response(429, {}, {"request-id": "r", "x-ratelimit-limit": "5"}))
    for known in (error, pickle.loads(pickle.dumps(error))):
        assert known.response.status_code == 429
        assert known.response.headers["Request-Id"] == known.response.request_id == "r"
        assert known.response.rate_limits["service"].limit == 5
