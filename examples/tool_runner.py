"""Let the model call functions until it has its answer, and ask before one that acts."""

from apertis import Apertis, ToolCall
from apertis.tools.tool import Tool


def get_temperature(city: str) -> str:
    return f"{10 + len(city)} degrees in {city}"


TEMPERATURE = Tool(
    name="get_temperature",
    description="Get the current temperature in a city.",
    input_schema={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
    function=get_temperature,
)


def approve(call: ToolCall) -> bool:
    print(f"{call.name}({call.input}) is allowed")
    return True


def main() -> None:
    with Apertis() as client:
        runner = client.messages.run(
            model="claude-sonnet-5-5",
            max_tokens=1024,
            messages=[{"role": "user", "content": "What is the temperature in Lisbon and Oslo?"}],
            tools=[TEMPERATURE],
            approve=approve,
            max_turns=5,
        )
        print(runner.until_done().text)
        result = runner.result
        print(f"{result.reason} after {result.turns} turns, ${result.cost}")


if __name__ == "__main__":
    main()
