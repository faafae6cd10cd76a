"""Headers and bodies of responses, read whole and as they come."""

import json

from anthropic import Anthropic

client = Anthropic()
request = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Say hello."}],
}
response = client.messages.with_raw_response.create(**request)
message = response.parse()
print(message.content[0].text)
print(response.status_code, response.headers["Content-Type"], response.request_id is not None)
print(response.http_request.method, response.http_request.url.path, response.retries_taken)
print(response.http_response.json()["type"], response.elapsed.total_seconds() > 0)
with client.messages.with_streaming_response.create(**request) as response:
    print(response.headers.get("content-type"))
    print(json.loads("".join(response.iter_lines()))["role"])
stream = client.messages.with_raw_response.create(**request, stream=True).parse()
print([event.type for event in stream][-1])
print(
    client.messages.with_raw_response.count_tokens(
        model=request["model"], messages=request["messages"]
    )
    .parse()
    .input_tokens
    > 0
)
with client.with_streaming_response.messages.create(**request, stream=True) as response:
    lines = [line for line in response.iter_lines() if line.startswith("event:")]
print(lines[0], lines[-1])
