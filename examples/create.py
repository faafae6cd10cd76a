"""Create a message and print its text."""

from apertis import Apertis


def main() -> None:
    with Apertis() as client:
        message = client.messages.create(
            model="claude-sonnet-5-5",
            max_tokens=1024,
            messages=[{"role": "user", "content": "Explain in one sentence what an API is."}],
        )
    print(message.text)


if __name__ == "__main__":
    main()
