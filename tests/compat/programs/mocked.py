"""A transport of httpx in place of a service, as test suites have it."""

import json
from unittest import mock

import anthropic
import httpx2

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5-5",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 2},
}
REQUEST = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 8,
    "messages": [{"role": "user", "content": "Hello"}],
}


def client(handler, **options):
    transport = httpx2.MockTransport(handler)
    return anthropic.Anthropic(
        api_key="sk-test-0123456789",
        base_url="https://api.example",
        http_client=httpx2.Client(transport=transport),
        **options,
    )


def outcome(handler, **options):
    seen = []

    def counted(request):
        seen.append(request)
        return handler(request)

    with mock.patch("time.sleep"):
        try:
            message = client(counted, **options).messages.create(**REQUEST)
            print(len(seen), message.content[0].text, json.loads(seen[-1].content) == REQUEST)
        except anthropic.APIStatusError as error:
            print(len(seen), type(error).__name__, error.status_code, error.request_id, error.body)
        except anthropic.APIError as error:
            print(len(seen), type(error).__name__, type(error.__cause__).__name__)


def failing(error):
    def handler(request):
        raise error

    return handler


def error_body(kind):
    return {"type": "error", "error": {"type": kind, "message": "No"}}


outcome(lambda _: httpx2.Response(200, json=MESSAGE))
for status, kind in (
    (400, "invalid_request_error"),
    (401, "authentication_error"),
    (404, "not_found_error"),
    (413, "request_too_large"),
    (429, "rate_limit_error"),
    (500, "api_error"),
    (529, "overloaded_error"),
):
    outcome(
        lambda _, status=status, kind=kind: httpx2.Response(
            status, json=error_body(kind), headers={"request-id": "req_1"}
        ),
        max_retries=1,
    )
outcome(failing(httpx2.ReadTimeout("slow")), max_retries=1)
outcome(failing(httpx2.ConnectError("down")), max_retries=0)
outcome(
    lambda _: httpx2.Response(429, json={}, headers={"x-should-retry": "false"}),
    max_retries=5,
)
raw = client(
    lambda _: httpx2.Response(200, json=MESSAGE, headers={"x-a": "b", "request-id": "req_2"})
).messages.with_raw_response.create(**REQUEST)
print(raw.headers["X-A"], raw.http_response.headers.get("x-a"), raw.request_id)
print(raw.http_request.headers["content-type"], raw.parse()._request_id)
print(raw.http_request.headers["authorization"])


def streamed(request):
    events = [
        {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "Hi"},
        },
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 2},
        },
        {"type": "message_stop"},
    ]
    text = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
    return httpx2.Response(200, text=text, headers={"content-type": "text/event-stream"})


with client(streamed).messages.stream(**REQUEST) as stream:
    print("".join(stream.text_stream), stream.get_final_message().stop_reason)
with client(streamed).messages.create(**REQUEST, stream=True) as events:
    print([event.type for event in events], events.response.status_code)
