"""A test suite's own errors and messages."""

import pickle

import anthropic
from anthropic.types import Message, TextBlock, Usage

try:
    import httpx2 as httpx
except ImportError:
    import httpx

request = httpx.Request("POST", "https://api.example/v1/messages")
response = httpx.Response(429, request=request, headers={"request-id": "req_1"})
error = anthropic.RateLimitError(
    "Slow down", response=response, body={"error": {"type": "rate_limit_error", "message": "Slow"}}
)
print(error.status_code, error.message, error.type, error.request_id, error.request.method)
print(anthropic.APIConnectionError(request=request).request.url.host)
print(type(anthropic.APITimeoutError(request)).__mro__[1].__name__)
print(pickle.loads(pickle.dumps(error)).status_code)
message = Message(
    id="msg_1",
    content=[TextBlock(text="Hi", type="text", citations=None)],
    model="claude-sonnet-5-5",
    role="assistant",
    stop_reason="end_turn",
    stop_sequence=None,
    type="message",
    usage=Usage(input_tokens=1, output_tokens=2),
)
print(message.content[0].text, message.model_dump()["usage"]["output_tokens"])
