"""A loop with a tool, and the parameter types."""

from anthropic import Anthropic
from anthropic.types import MessageParam, TextBlock, ToolParam, ToolUseBlock

client = Anthropic()
tools: list[ToolParam] = [
    {
        "name": "get_temperature",
        "description": "The temperature in a city, in degrees Celsius",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    }
]
messages: list[MessageParam] = [{"role": "user", "content": "How warm is it in Lisbon?"}]
while True:
    message = client.messages.create(
        model="claude-sonnet-5-5", max_tokens=256, tools=tools, messages=messages
    )
    messages.append({"role": "assistant", "content": message.content})
    if message.stop_reason != "tool_use":
        break
    results = []
    for block in message.content:
        if isinstance(block, ToolUseBlock):
            print(block.name, sorted(block.input))
            results.append({"type": "tool_result", "tool_use_id": block.id, "content": "21"})
    messages.append({"role": "user", "content": results})
print(message.stop_reason, [type(b) is TextBlock for b in message.content])
