"""Let the model think before it answers, and show both apart."""

from apertis import Apertis


def main() -> None:
    with Apertis() as client:
        message = client.messages.create(
            model="claude-sonnet-4.5",
            max_tokens=4096,
            thinking={"type": "enabled", "budget_tokens": 2048},
            messages=[{"role": "user", "content": "Is 3599 a prime number?"}],
        )
    print(f"Thinking: {message.thinking}")
    print(f"Answer: {message.text}")


if __name__ == "__main__":
    main()
