"""What can go wrong, and what is read of it."""

import anthropic

client = anthropic.Anthropic(max_retries=0)
request = {"model": "claude-sonnet-5-5", "max_tokens": 16}
try:
    client.messages.create(**request, messages=[{"role": "robot", "content": "x"}])
except anthropic.BadRequestError as error:
    print(error.status_code, error.type, error.request.method, error.request.url.path)
    print(error.response.status_code, error.response.json()["error"]["type"])
    print(isinstance(error, anthropic.APIStatusError), error.request_id is not None)
    print(error.body["error"]["type"], error.error_code)
hello = [{"role": "user", "content": "x"}]
try:
    client.with_options(api_key="sk-wrong-wrong-wrong").messages.create(**request, messages=hello)
except (anthropic.AuthenticationError, anthropic.PermissionDeniedError) as error:
    print(type(error).__name__, error.status_code)
try:
    client.messages.create(**request, messages=hello, model="no-such-model", extra_body={})
except TypeError:
    print("TypeError")
nowhere = anthropic.Anthropic(base_url="http://127.0.0.1:1", max_retries=0, api_key="x")
try:
    nowhere.messages.create(**request, messages=hello)
except anthropic.APITimeoutError:
    print("too late")
except anthropic.APIConnectionError as error:
    print("unreachable", error.request.url.host)
for kind in (anthropic.RateLimitError, anthropic.InternalServerError, anthropic.APIError):
    print(issubclass(kind, anthropic.AnthropicError))
