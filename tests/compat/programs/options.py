"""Settings of a client and of its copies."""

import anthropic

client = anthropic.Anthropic(
    timeout=anthropic.Timeout(30.0, connect=5.0),
    max_retries=3,
    default_headers={"x-team": "blue"},
    default_query={"trace": "1"},
)
print(client.max_retries, client.timeout.connect, client.timeout.read)
print(client.default_headers["x-team"], dict(client.default_query))
copy = client.with_options(max_retries=0, timeout=5.0, default_headers={"x-more": "1"})
print(copy.max_retries, copy.timeout, copy.default_headers["x-team"])
print("x-team" in client.copy(set_default_headers={"x-more": "1"}).default_headers)
print(client.is_closed(), anthropic.DEFAULT_MAX_RETRIES)
message = copy.messages.create(
    model="claude-sonnet-5-5",
    max_tokens=16,
    messages=[{"role": "user", "content": "Say hello."}],
    timeout=anthropic.Timeout(20.0),
    extra_headers={"x-one": "1"},
)
print(message.type)
model = client.get("/v1/models/claude-sonnet-5-5", cast_to=object)
print(model["id"])
print(
    client.post(
        "/v1/messages/count_tokens",
        cast_to=object,
        body={"model": "claude-sonnet-5-5", "messages": [{"role": "user", "content": "Hi"}]},
    )["input_tokens"]
    > 0
)
client.close()
print(client.is_closed())
