"""Stream a response: print its text as it arrives, then look at the finished message."""

from apertis import Apertis


def main() -> None:
    with (
        Apertis() as client,
        client.messages.stream(
            model="claude-sonnet-5-5",
            max_tokens=1024,
            messages=[{"role": "user", "content": "Write a haiku about rivers."}],
        ) as stream,
    ):
        for text in stream.text_stream:
            print(text, end="", flush=True)
        print()
        message = stream.get_final_message()
    print(f"({message.stop_reason}, {message.usage.output_tokens} output tokens)")


if __name__ == "__main__":
    main()
