"""Let the model call a function: run it, and send the result back."""

import json

from apertis import Apertis
from apertis.models import Message
from apertis.params import MessageParam, ToolParam, ToolResultBlockParam

TOOLS: list[ToolParam] = [
    {
        "name": "get_temperature",
        "description": "Get the current temperature in a city.",
        "input_schema": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city, e.g. Lisbon"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city"],
        },
    }
]


def get_temperature(city: str, unit: str = "celsius") -> str:
    celsius = 10 + len(city)
    degrees = celsius if unit == "celsius" else celsius * 9 / 5 + 32
    return json.dumps({"city": city, "temperature": degrees, "unit": unit})


def results_for(message: Message) -> list[ToolResultBlockParam]:
    results: list[ToolResultBlockParam] = []
    for call in message.tool_uses:
        print(f"{call.name}({json.dumps(call.input)})")
        output = get_temperature(**call.input)
        results.append({"type": "tool_result", "tool_use_id": call.id, "content": output})
    return results


def main() -> None:
    history: list[MessageParam] = [
        {"role": "user", "content": "What is the current temperature in Lisbon?"}
    ]
    with Apertis() as client:
        while True:
            message = client.messages.create(
                model="claude-sonnet-5-5", max_tokens=1024, tools=TOOLS, messages=history
            )
            if message.stop_reason != "tool_use":
                break
            history.append({"role": "assistant", "content": message.content})
            history.append({"role": "user", "content": results_for(message)})
    print(message.text)


if __name__ == "__main__":
    main()
