"""Run a program that was written for `anthropic`: its import is all that changed.

Names, marks such as `NOT_GIVEN`, raw responses, middleware and errors are those that it knows.
"""

from typing import Any

import apertis as anthropic
from apertis.types import MessageParam, TextBlock


def log(request: anthropic.APIRequest, call_next: anthropic.CallNext) -> Any:
    response = call_next(request)
    print(f"{request.method} {request.url}: {response.status_code}")
    return response


def main() -> None:
    client = anthropic.Anthropic(middleware=[log], max_retries=1)
    messages: list[MessageParam] = [{"role": "user", "content": "Name a river."}]
    message = client.beta.messages.create(
        model="claude-sonnet-5-5",
        max_tokens=100,
        messages=messages,
        system=anthropic.NOT_GIVEN,
    )
    print([block.text for block in message.content if isinstance(block, TextBlock)])
    print(sorted(message.model_dump())[:3])

    response = client.messages.with_raw_response.create(
        model="claude-sonnet-5-5", max_tokens=100, messages=messages
    )
    print(response.headers["content-type"], response.parse().stop_reason)

    wrong: list[Any] = [{"role": "robot", "content": "Beep"}]
    try:
        client.messages.create(model="claude-sonnet-5-5", max_tokens=100, messages=wrong)
    except anthropic.BadRequestError as error:
        print(error.status_code, error.response.json()["error"]["type"])


if __name__ == "__main__":
    main()
