"""An answer that is edited, and sent back."""

from anthropic import Anthropic

client = Anthropic()
question = {"role": "user", "content": "Say hello."}
message = client.messages.create(model="claude-sonnet-5-5", max_tokens=64, messages=[question])
message.content[0].text = "Hello from the editor."
message.usage.output_tokens += 1000
message.stop_reason = "max_tokens"
print(message.model_dump(include={"stop_reason": True, "role": True}))
print(message.usage.output_tokens > 1000, message.model_dump()["usage"]["output_tokens"] > 1000)
again = client.messages.create(
    model="claude-sonnet-5-5",
    max_tokens=128,
    messages=[
        question,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": "What did you say before?"},
    ],
)
print(again.content[0].text)
