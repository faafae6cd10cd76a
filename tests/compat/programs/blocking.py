"""A question, a system prompt, a conversation of two turns."""

import anthropic

client = anthropic.Anthropic()
history = [{"role": "user", "content": "My name is Ada."}]
first = client.messages.create(
    model="claude-sonnet-5-5", max_tokens=64, system="Be brief.", messages=history
)
history.append({"role": "assistant", "content": first.content})
history.append({"role": "user", "content": "What is my name?"})
second = client.messages.create(model="claude-sonnet-5-5", max_tokens=64, messages=history)
for message in (first, second):
    print(message.role, message.stop_reason, message.usage.output_tokens > 0)
    for block in message.content:
        if block.type == "text":
            print(block.text)
