"""Handle errors: a class for each status, with the service's reason and the request id.

Overload, rate limits and broken connections are tried again by themselves, twice by default;
what is raised is what still failed after that.
"""

from apertis import (
    Apertis,
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    Timeout,
)
from apertis.params import MessageParam

HELLO: list[MessageParam] = [{"role": "user", "content": "Hello!"}]


def main() -> None:
    client = Apertis(max_retries=3, timeout=Timeout(connect=5, response=60))
    with client:
        try:
            client.messages.create(model="claude-sonnet-5-5", max_tokens=256, messages=[])
        except BadRequestError as error:
            print(f"The request is wrong: {error.message} ({error.request_id})")

        stranger = client.with_options(api_key="sk-not-a-key-that-anybody-has")
        try:
            stranger.messages.create(model="claude-sonnet-5-5", max_tokens=256, messages=HELLO)
        except AuthenticationError as error:
            print(f"The key is refused: {error.code}")

        try:
            message = client.messages.create(
                model="claude-sonnet-5-5", max_tokens=256, messages=HELLO
            )
        except APIConnectionError as error:
            print(f"No answer: {error}")
        except APIStatusError as error:
            print(f"The service failed with {error.status}: {error}")
        else:
            print(f"An answer after {message.response.retries} retries: {message.text}")


if __name__ == "__main__":
    main()
