"""`apertis ask`: one question, its response as it comes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from apertis import Apertis, document, image
from apertis.cli.terminal import echo, one_line
from apertis.errors import ParameterError
from apertis.models import TextEvent, ThinkingEvent

if TYPE_CHECKING:
    from apertis.cli.render import Output
    from apertis.models import Message
    from apertis.params import ContentBlockParam, CreateParams, ThinkingParam

_DEFAULT_MODEL = "claude-sonnet-5-5"
_DEFAULT_MAX_TOKENS = 4096
_ADAPTIVE_THINKING_TOKENS = 8000
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
# Text has none of these, in whatever encoding of a byte a character; nearly all other data has.
_BINARY = bytes({*range(0x20)} - {*b"\t\n\r\f\b\x1b"})
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")

_EPILOG = """\b
Examples:
  apertis ask "What is recursion?"
  apertis ask --system "Answer in French." "What is recursion?"
  apertis ask --image chart.png "What does this chart say?"
  apertis ask --file a.pdf --file https://example.com/b.pdf "Compare these."
  apertis ask --thinking "Is 3599 prime?"
  git diff | apertis ask "Review this change."
  apertis ask "What is on it?" < photo.jpg
  apertis ask --no-stream "Name a color." > answer.txt

\b
Text that is piped in follows the question; a picture or a PDF comes before
it. On a terminal the answer is rendered as Markdown, in a pipe it stays plain
text; thinking goes to stderr there.
"""


@click.command("ask", epilog=_EPILOG)
@click.argument("question", nargs=-1)
@click.option(
    "-m",
    "--model",
    envvar="APERTIS_MODEL",
    default=_DEFAULT_MODEL,
    show_default=True,
    help="Model to ask.",
)
@click.option("-s", "--system", metavar="TEXT", help="System prompt.")
@click.option(
    "-i", "--image", "images", multiple=True, metavar="PATH|URL", help="Image; repeatable."
)
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    metavar="PATH|URL",
    help="PDF, text or image; repeatable.",
)
@click.option(
    "--stream/--no-stream", default=True, help="Print the response while it is generated."
)
@click.option("--thinking", is_flag=True, help="Use extended thinking, and show it.")
@click.option(
    "--thinking-budget",
    metavar="TOKENS|adaptive",
    help="Thinking budget: models before Claude Opus 4.7 take a number, newer ones "
    "'adaptive' only.  [default: adaptive] Implies --thinking.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    help=f"Maximum output tokens.  [default: {_DEFAULT_MAX_TOKENS}, plus the thinking]",
)
@click.option("-u", "--usage", "with_usage", is_flag=True, help="Print the tokens used, on stderr.")
def command(
    *,
    question: tuple[str, ...],
    model: str,
    system: str | None,
    images: tuple[str, ...],
    files: tuple[str, ...],
    stream: bool,
    thinking: bool,
    thinking_budget: str | None,
    max_tokens: int | None,
    with_usage: bool,
) -> None:
    """Ask a question."""
    attached = [*(_image(source) for source in images), *(_file(source) for source in files)]
    parameters: CreateParams = {
        "model": model,
        "max_tokens": max_tokens or _DEFAULT_MAX_TOKENS,
        "messages": [{"role": "user", "content": _content(" ".join(question), attached)}],
    }
    if system is not None:
        parameters["system"] = system
    if thinking or thinking_budget is not None:
        parameters["thinking"], room = _thinking(thinking_budget)
        parameters["max_tokens"] = max_tokens or _DEFAULT_MAX_TOKENS + room

    from apertis.cli.render import open_output

    with Apertis() as client, open_output() as output:
        message = (_streamed if stream else _whole)(client, parameters, output)
    if message.stop_reason == "max_tokens":
        limit = parameters["max_tokens"]
        echo(f"apertis: the response was truncated at --max-tokens {limit}", err=True)
    elif message.stop_reason == "refusal":
        echo("apertis: the model refused to go on", err=True)
    if with_usage:
        echo(f"apertis: {_usage(message)}", err=True)


def _content(question: str, attached: list[ContentBlockParam]) -> str | list[ContentBlockParam]:
    piped = b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()
    text = _text(piped)
    if text is None:
        attached = [*attached, _block(piped, "stdin")]
    prompt = "\n\n".join(part for part in (question.strip(), (text or "").strip()) if part)
    if not prompt and not attached:
        raise click.UsageError("nothing to ask: give a question, or pipe text in")
    if not attached:
        return prompt
    return [*attached, {"type": "text", "text": prompt}] if prompt else attached


def _text(data: bytes) -> str | None:
    """Decode piped text; None for what is none.

    Bytes of an older encoding are shown as such, not rejected.
    """
    if data.startswith(_BYTE_ORDER_MARKS):
        return data.decode("utf-16", errors="replace")
    if b"%PDF-" in data[:1024] or len(data) != len(data.translate(None, _BINARY)):
        return None
    return data.decode("utf-8-sig", errors="replace")


def _image(source: str) -> ContentBlockParam:
    try:
        return image(source)
    except ParameterError as error:
        raise ParameterError(f"--image: {error}") from error


def _file(source: str) -> ContentBlockParam:
    if source.lower().startswith(("http://", "https://")):
        path = source.lower().partition("?")[0].partition("#")[0]
        return image(source) if path.endswith(_IMAGE_SUFFIXES) else document(source)
    try:
        data = Path(source).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ParameterError(f"--file: cannot read {one_line(source)!r}: {reason}") from error
    return _block(data, f"--file {one_line(source)}", Path(source).name)


def _block(data: bytes, name: str, title: str | None = None) -> ContentBlockParam:
    try:
        return image(data)
    except ParameterError:
        pass
    try:
        return document(data, title=title)
    except ParameterError as error:
        raise ParameterError(f"{name}: {error}") from error


def _usage(message: Message) -> str:
    usage = message.usage
    counts = [
        (usage.input_tokens, "input"),
        (usage.cache_read_input_tokens or 0, "read from the cache"),
        (usage.cache_creation_input_tokens or 0, "written to the cache"),
        (usage.output_tokens, "output"),
    ]
    shown = (f"{count:,} {name}" for count, name in counts if count or name in ("input", "output"))
    return f"tokens: {', '.join(shown)}"


def _thinking(budget: str | None) -> tuple[ThinkingParam, int]:
    """Build the `thinking` parameter, and tell how many tokens it may take."""
    if budget in (None, "adaptive"):
        # Newer models show what they think only when they are asked to.
        return {"type": "adaptive", "display": "summarized"}, _ADAPTIVE_THINKING_TOKENS
    try:
        tokens = int(budget or "")
    except ValueError:
        message = f"must be a number of tokens or 'adaptive', not {one_line(str(budget))!r}"
        raise click.BadParameter(message, param_hint="'--thinking-budget'") from None
    return {"type": "enabled", "budget_tokens": tokens}, tokens


def _streamed(client: Apertis, parameters: CreateParams, output: Output) -> Message:
    with client.messages.stream(**parameters) as stream:
        for event in stream:
            if isinstance(event, TextEvent):
                output.text(event.text)
            elif isinstance(event, ThinkingEvent):
                output.thinking(event.thinking)
        return stream.get_final_message()


def _whole(client: Apertis, parameters: CreateParams, output: Output) -> Message:
    message = client.messages.create(**parameters)
    if message.thinking:
        output.thinking(message.thinking)
    output.text(message.text)
    return message
