"""A batch, from its creation to its results."""

import anthropic
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from anthropic.types.messages.batch_create_params import Request

client = anthropic.Anthropic()
batch = client.messages.batches.create(
    requests=[
        Request(
            custom_id=f"q{number}",
            params=MessageCreateParamsNonStreaming(
                model="claude-sonnet-5-5",
                max_tokens=32,
                messages=[{"role": "user", "content": f"What is {number} plus 1?"}],
            ),
        )
        for number in range(2)
    ]
)
while batch.processing_status != "ended":
    batch = client.messages.batches.retrieve(batch.id)
print(batch.request_counts.succeeded)
for entry in sorted(client.messages.batches.results(batch.id), key=lambda entry: entry.custom_id):
    if entry.result.type == "succeeded":
        print(entry.custom_id, entry.result.message.content[0].text)
print(batch.id in [listed.id for listed in client.messages.batches.list(limit=5)])
