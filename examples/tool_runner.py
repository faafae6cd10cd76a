"""Let the model call functions until it has its answer, and ask before one that acts."""

from apertis import Apertis, ToolCall, tool


@tool
def get_temperature(city: str) -> str:
    """Get the current temperature in a city."""
    return f"{10 + len(city)} degrees in {city}"


def approve(call: ToolCall) -> bool:
    print(f"{call.name}({call.input}) is allowed")
    return True


def main() -> None:
    with Apertis() as client:
        runner = client.messages.run(
            model="claude-sonnet-5-5",
            max_tokens=1024,
            messages=[{"role": "user", "content": "What is the temperature in Lisbon and Oslo?"}],
            tools=[get_temperature],
            approve=approve,
            max_turns=5,
        )
        print(runner.until_done().text)
        result = runner.result
        print(f"{result.reason} after {result.turns} turns, ${result.cost}")


if __name__ == "__main__":
    main()
