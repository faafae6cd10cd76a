"""Lines by which programs reach this gateway, ready to be copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

YOUR_KEY = "<your key>"
"""The place of a secret that is not known any more."""
_MODEL = "claude-sonnet-5-5"
_CLAUDE_CODE = """\
export ANTHROPIC_BASE_URL={url}
export ANTHROPIC_AUTH_TOKEN='{secret}'
export ANTHROPIC_API_KEY=
claude
"""
_APERTIS = """\
from apertis import Apertis

with Apertis(base_url="{url}", api_key="{secret}") as client:
    message = client.messages.create(
        model="{model}",
        max_tokens=1024,
        messages=[{{"role": "user", "content": "Hello, Claude!"}}],
    )
    print(message.text)
"""
_ANTHROPIC = """\
from anthropic import Anthropic

client = Anthropic(base_url="{url}", api_key="{secret}")
message = client.messages.create(
    model="{model}",
    max_tokens=1024,
    messages=[{{"role": "user", "content": "Hello, Claude!"}}],
)
print(message.content)
"""
_TYPESCRIPT = """\
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({{ baseURL: "{url}", apiKey: "{secret}" }});
const message = await client.messages.create({{
  model: "{model}",
  max_tokens: 1024,
  messages: [{{ role: "user", content: "Hello, Claude!" }}],
}});
console.log(message.content);
"""
_CURL = """\
curl {url}/v1/messages \\
  -H 'x-api-key: {secret}' \\
  -H 'anthropic-version: 2023-06-01' \\
  -H 'content-type: application/json' \\
  -d '{{"model": "{model}", "max_tokens": 1024,
       "messages": [{{"role": "user", "content": "Hello, Claude!"}}]}}'
"""
_CURSOR = """\
{{
  "claudeCode.disableLoginPrompt": true,
  "claudeCode.environmentVariables": [
    {{ "name": "ANTHROPIC_BASE_URL", "value": "{url}" }},
    {{ "name": "ANTHROPIC_AUTH_TOKEN", "value": "{secret}" }},
    {{ "name": "ANTHROPIC_API_KEY", "value": "" }}
  ]
}}
"""
_LANGCHAIN = """\
from langchain_anthropic import ChatAnthropic

model = ChatAnthropic(model="{model}", base_url="{url}", api_key="{secret}", max_tokens=1024)
print(model.invoke("Hello, Claude!").content)
"""
_PROGRAMS = (
    ("Claude Code", _CLAUDE_CODE, "In a terminal; or as env in ~/.claude/settings.json."),
    ("Python: apertis", _APERTIS, "pip install apertis"),
    ("Python: anthropic", _ANTHROPIC, "pip install anthropic"),
    ("TypeScript", _TYPESCRIPT, "npm install @anthropic-ai/sdk"),
    ("curl", _CURL, ""),
    (
        "Cursor",
        _CURSOR,
        (
            "In Cursor's settings.json, for its extension Claude Code. Cursor's own chat asks by "
            "OpenAI's API and from its own servers, which is not this gateway's."
        ),
    ),
    ("LangChain", _LANGCHAIN, "pip install langchain-anthropic"),
)


class SetUp(NamedTuple):
    """The lines for one program; its id names them within a page."""

    id: str
    program: str
    text: str
    note: str

    # The lines have the secret of a key.
    def __repr__(self) -> str:
        """Say for what they are."""
        return f"SetUp({self.id!r})"


def set_up(
    base_url: str, secret: str = YOUR_KEY, models: Sequence[str] | None = None
) -> tuple[SetUp, ...]:
    """Return the lines for each program; `models` are those that the key may use."""
    plain = (name for name in models or () if not set("*?[\"'\\") & set(name))
    values = {"url": base_url, "secret": secret, "model": next(plain, _MODEL)}
    return tuple(
        SetUp(f"set-up-{number}", program, template.format(**values), note)
        for number, (program, template, note) in enumerate(_PROGRAMS)
    )
