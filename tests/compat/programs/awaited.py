"""Several questions at once, and a stream, by the asyncio client."""

import asyncio

from anthropic import AsyncAnthropic


async def ask(client: AsyncAnthropic, city: str) -> str:
    message = await client.messages.create(
        model="claude-sonnet-5-5",
        max_tokens=64,
        messages=[{"role": "user", "content": f"Where is {city}?"}],
    )
    return message.content[0].text


async def main() -> None:
    async with AsyncAnthropic(max_retries=1, timeout=30.0) as client:
        for answer in await asyncio.gather(*(ask(client, city) for city in ("Lima", "Oslo"))):
            print(answer)
        async with client.messages.stream(
            model="claude-sonnet-5-5",
            max_tokens=64,
            messages=[{"role": "user", "content": "Count to three."}],
        ) as stream:
            async for text in stream.text_stream:
                print(text, end="")
            print()
            print((await stream.get_final_message()).stop_reason)
        events = await client.messages.create(
            model="claude-sonnet-5-5",
            max_tokens=64,
            messages=[{"role": "user", "content": "Count to three."}],
            stream=True,
        )
        print([event.type async for event in events if event.type != "content_block_delta"])


asyncio.run(main())
