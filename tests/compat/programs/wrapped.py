"""Wrappers and their tests: other clouds by name, replaced methods, pages, closed streams."""

from unittest.mock import patch

import anthropic
from anthropic.types import Message, TextBlock, Usage

CLOUDS = (anthropic.AnthropicBedrock, anthropic.AnthropicVertex, anthropic.AnthropicFoundry)


class Own(anthropic.Anthropic):
    @property
    def auth_headers(self) -> dict[str, str]:
        return {**super().auth_headers, "x-team": "a"}


client = Own(credentials=None, _strict_response_validation=False)
print(isinstance(client, CLOUDS), list(client.auth_headers)[1:], dict(client._custom_query))

made = Message(
    id="msg_1",
    type="message",
    role="assistant",
    model="m",
    content=[TextBlock(type="text", text="mocked")],
    stop_reason="end_turn",
    stop_sequence=None,
    usage=Usage(input_tokens=1, output_tokens=1),
)
with patch.object(anthropic.resources.messages.Messages, "create", return_value=made) as create:
    print(client.messages.create(model="m", max_tokens=1, messages=[]).content, create.call_count)
print(made.usage, dict(made), "content" in Message.model_json_schema()["properties"])

prompt = {"model": "claude-sonnet-5-5", "max_tokens": 30}
stream = client.messages.create(**prompt, messages=[{"role": "user", "content": "Hi"}], stream=True)
print(next(stream).type, stream.response.status_code)
stream.response.close()
message = client.messages.create(**prompt, messages=[{"role": "user", "content": "Hi"}])
print(message.content, message.usage, message.model_dump(exclude={"id"}))

page = client.models.list(limit=2)
print(page.next_page_info() is not None, page.model_dump()["has_more"], len(page.to_dict()["data"]))
