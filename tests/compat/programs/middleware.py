"""Middleware around each attempt."""

import asyncio

import anthropic
from anthropic import APIRequest, Middleware

seen = []


def note(request: APIRequest, call_next):
    seen.append((request.method, request.url, request.json["max_tokens"], request.retries_taken))
    response = call_next(request.copy(body={**request.json, "max_tokens": 8}))
    seen.append(response.status_code)
    return response


class Note(Middleware):
    async def handle_async(self, request, call_next):
        response = await call_next(request)
        message = await response.parse()
        seen.append(message.type)
        return response


REQUEST = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Tell me a long story about the sea."}],
}
message = anthropic.Anthropic(middleware=[note]).messages.create(**REQUEST)
print(message.stop_reason, message.usage.output_tokens)


async def main() -> None:
    async with anthropic.AsyncAnthropic() as client:
        print((await client.with_middleware(Note()).messages.create(**REQUEST)).type)


asyncio.run(main())
print(seen)
