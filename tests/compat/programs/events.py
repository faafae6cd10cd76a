"""Events of a stream, raw and derived."""

import anthropic
from anthropic import Anthropic

client = Anthropic()
request = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Say hello."}],
}
with client.messages.stream(**request) as stream:
    for event in stream:
        if event.type == "text":
            print("text", repr(event.text))
        elif event.type == "content_block_stop":
            print("block", event.content_block.type)
        elif event.type == "message_stop":
            print("message", event.message.stop_reason)
    print(stream.current_message_snapshot.content[0].text == stream.get_final_text())
text = ""
for event in client.messages.create(**request, stream=True):
    if event.type == "content_block_delta" and event.delta.type == "text_delta":
        text += event.delta.text
    elif event.type == "message_delta":
        print(event.delta.stop_reason, event.usage.output_tokens > 0)
print(text)
print(isinstance(client.messages.create(**request, stream=True), anthropic.Stream))
