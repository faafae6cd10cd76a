"""Count the tokens of a request before you send it."""

from apertis import Apertis


def main() -> None:
    with Apertis() as client:
        count = client.messages.count_tokens(
            model="claude-sonnet-5-5",
            system="You are a librarian.",
            messages=[{"role": "user", "content": "Which books about whales do you have?"}],
        )
    print(f"{count.input_tokens} input tokens")


if __name__ == "__main__":
    main()
