"""Use extended thinking, and print thinking and text apart."""

from apertis import Apertis


def main() -> None:
    with Apertis() as client:
        message = client.messages.create(
            model="claude-sonnet-5-5",
            max_tokens=4096,
            thinking={"type": "adaptive", "display": "summarized"},
            messages=[{"role": "user", "content": "Is 3599 a prime number?"}],
        )
    print(f"Thinking: {message.thinking}")
    print(f"Answer: {message.text}")


if __name__ == "__main__":
    main()
