"""Messages, events and models as dicts and as JSON."""

import json
from datetime import UTC, datetime

import anthropic
from anthropic.types import ContentBlock, Message, TextBlock, ToolUseBlock, Usage

client = anthropic.Anthropic()
message = client.messages.create(
    model="claude-sonnet-5-5",
    max_tokens=64,
    messages=[{"role": "user", "content": "Say hello."}],
)
print(isinstance(message, Message), sorted(message.model_dump()))
print(sorted(message.model_dump(exclude_none=True)))
print(message.content[0].model_dump(), message.content[0].model_dump_json())
print(message.model_dump(include={"content": {"__all__": {"text"}}, "role": True}))
print(sorted(message.model_dump(exclude={"content", "usage"}, exclude_none=True)))
print(list(message.usage.model_dump())[:3], sorted(message.usage.model_fields_set)[-2:])
print(json.loads(message.to_json())["content"] == message.to_dict()["content"])
copy = message.model_copy(update={"stop_reason": "refusal"}, deep=True)
print(copy.stop_reason, message.stop_reason, copy.content == message.content)
print(Message.model_validate(message.to_dict()) == message)
print(Message.model_validate_json(message.model_dump_json()).content == message.content)
print(list(TextBlock.model_fields), dict(message.content[0]))

# A turn of the conversation from dumped blocks.
turns = [
    {"role": "user", "content": "Say hello."},
    {"role": "assistant", "content": [block.model_dump() for block in message.content]},
    {"role": "user", "content": "Again."},
]
print(client.messages.create(model="claude-sonnet-5-5", max_tokens=9, messages=turns).type)

with client.messages.stream(
    model="claude-sonnet-5-5",
    max_tokens=64,
    messages=[{"role": "user", "content": "Say hello."}],
) as stream:
    for event in stream:
        if event.type in ("text", "content_block_delta", "content_block_start"):
            print(event.model_dump_json(exclude_none=True))
    final = stream.get_final_message()
print(type(final.usage) is Usage, [type(b) is TextBlock for b in final.content][:1] != [])


def shown(block: ContentBlock) -> str:
    if isinstance(block, ToolUseBlock):
        return block.name
    return block.text if isinstance(block, TextBlock) else block.type


made = Message(
    id="msg_1",
    content=[
        TextBlock(text="hi", type="text"),
        ToolUseBlock(id="toolu_1", input={"city": "Oslo"}, name="weather", type="tool_use"),
    ],
    model="claude-sonnet-5-5",
    role="assistant",
    stop_reason="tool_use",
    stop_sequence=None,
    type="message",
    usage=Usage(input_tokens=1, output_tokens=2),
)
print(
    [shown(block) for block in made.content], made.to_dict() == made.model_dump(exclude_unset=True)
)
print(made.model_dump_json(exclude_unset=True))
print(Message(**made.model_dump()) == made, Message.construct(**made.to_dict()).content[1].input)
try:
    TextBlock(type="text")
except ValueError as error:
    print("text" in str(error))

model = client.models.list(limit=1).data[0]
print(isinstance(model.created_at, datetime), model.created_at < datetime.now(UTC))
print(model.created_at.isoformat(), model.model_dump(mode="json")["created_at"])
