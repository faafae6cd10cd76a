"""Ask several questions at once with the asynchronous client."""

import asyncio

from apertis import AsyncApertis

CITIES = ["Lima", "Oslo", "Accra"]


async def describe(client: AsyncApertis, city: str) -> str:
    message = await client.messages.create(
        model="claude-haiku-5-5",
        max_tokens=256,
        messages=[{"role": "user", "content": f"Describe {city} in one sentence."}],
    )
    return message.text


async def main() -> None:
    async with AsyncApertis() as client:
        answers = await asyncio.gather(*(describe(client, city) for city in CITIES))
    for city, answer in zip(CITIES, answers, strict=True):
        print(f"{city}: {answer}")


if __name__ == "__main__":
    asyncio.run(main())
