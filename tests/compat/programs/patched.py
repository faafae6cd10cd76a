"""Mocks in place of methods and clients."""

from unittest import mock

import anthropic
from anthropic.types import Message

client = anthropic.Anthropic(api_key="sk-test-0123456789")
with mock.patch.object(client.messages, "create") as create:
    create.return_value.content = [mock.Mock(text="mocked")]
    print(client.messages.create(model="m", max_tokens=1, messages=[]).content[0].text)
    print(create.call_args.kwargs["model"])
client.messages.with_raw_response.create = mock.Mock(return_value="raw")
print(client.messages.with_raw_response.create())
client.beta.messages.create = mock.Mock(return_value="beta")
print(client.beta.messages.create())
with mock.patch.object(anthropic, "Anthropic") as kind:
    print(anthropic.Anthropic() is kind.return_value)
print(isinstance(client, anthropic.Anthropic), isinstance(client, anthropic.Client))
asynchronous = mock.create_autospec(anthropic.AsyncAnthropic, instance=True)
print(isinstance(asynchronous, anthropic.AsyncAnthropic))
fake = mock.MagicMock(spec=Message)
fake.content = []
print(isinstance(fake, Message))
error = anthropic.APIStatusError(
    "No", response=mock.MagicMock(status_code=503, headers={}), body=None
)
print(error.status_code, error.body, str(error))
error = anthropic.RateLimitError(message="No", response=mock.Mock(status_code=429), body={})
print(error.status_code, error.message)
