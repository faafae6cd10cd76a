"""Inspect a response: its model, its usage, and its headers."""

from apertis import Apertis


def main() -> None:
    with Apertis() as client:
        message = client.messages.create(
            model="claude-haiku-5-5",
            max_tokens=256,
            messages=[{"role": "user", "content": "Hello!"}],
        )
    print(f"Message: {message.id} from {message.model}, ended by {message.stop_reason}")
    print(f"Usage: {message.usage.input_tokens} tokens in, {message.usage.output_tokens} out")
    response = message.response
    print(f"Request: {response.request_id}, HTTP {response.status}, {response.retries} retries")
    print(f"As JSON: {len(message.to_json())} characters")


if __name__ == "__main__":
    main()
