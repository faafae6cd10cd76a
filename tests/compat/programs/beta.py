"""Beta features, and marks for what is not given."""

import anthropic
from anthropic import NOT_GIVEN, Anthropic, omit


def ask(client: Anthropic, question: str, system=NOT_GIVEN, temperature=omit, tools=NOT_GIVEN):
    extra = {} if temperature is omit else {"temperature": temperature}
    return client.messages.create(
        model="claude-sonnet-5-5",
        max_tokens=64,
        messages=[{"role": "user", "content": question}],
        system=system,
        tools=tools,
        stop_sequences=omit,
        metadata=NOT_GIVEN,
        timeout=NOT_GIVEN,
        extra_body=extra,
    )


client = anthropic.Client()
print(ask(client, "Say hello.").content[0].text)
print(ask(client, "Say hello.", system="Be brief.").stop_reason)
message = client.beta.messages.create(
    model="claude-sonnet-5-5",
    max_tokens=64,
    messages=[{"role": "user", "content": "Say hello."}],
    betas=["context-management-2025-06-27"],
)
print(message.role, message.content[0].text)
count = client.beta.messages.count_tokens(
    model="claude-sonnet-5-5", messages=[{"role": "user", "content": "Say hello."}]
)
print(count.input_tokens)
print(client.beta.models.retrieve("claude-sonnet-5-5").id)
