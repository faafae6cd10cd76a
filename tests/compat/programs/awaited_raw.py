"""The same of the asyncio client."""

import asyncio

import anthropic


async def main() -> None:
    client = anthropic.AsyncAnthropic()
    request = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "Say hello."}],
    }
    response = await client.messages.with_raw_response.create(**request)
    message = await response.parse()
    print(message.content[0].text, response.status_code)
    print((await response.json())["type"], len(await response.read()) > 0)
    async with client.messages.with_streaming_response.create(**request) as response:
        print(response.headers["content-type"])
        print("".join([line async for line in response.iter_lines()]).startswith("{"))
    page = await client.models.list(limit=2)
    print(len(page.data), page.has_more)
    print([model.type async for model in client.models.list(limit=100)][:2])
    await client.close()


asyncio.run(main())
