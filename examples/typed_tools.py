"""Offer a typed function to the model, and call it with the input that the model gives."""

from typing import Annotated, Literal

from apertis import Apertis, tool


@tool
def get_weather(
    location: Annotated[str, "The city and country"],
    unit: Literal["celsius", "fahrenheit"] = "celsius",
) -> str:
    """Get the current weather in a given location."""
    return f"It is 21 degrees {unit} in {location}."


def main() -> None:
    with Apertis() as client:
        message = client.messages.create(
            model="claude-sonnet-5-5",
            max_tokens=1024,
            tools=[get_weather],
            messages=[{"role": "user", "content": "What's the weather like in Tokyo?"}],
        )
        for call in message.tool_uses:
            print(get_weather.call(call.input))


if __name__ == "__main__":
    main()
