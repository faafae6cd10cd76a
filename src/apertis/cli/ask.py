"""`apertis ask`: one question, its answer as it comes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from apertis import Apertis, image
from apertis.cli.exits import one_line
from apertis.models import TextEvent, ThinkingEvent

if TYPE_CHECKING:
    from apertis.cli.render import Output
    from apertis.params import ContentBlockParam, CreateParams, ThinkingParam

__all__ = ["command"]

_DEFAULT_MODEL = "claude-sonnet-4.5"
_DEFAULT_MAX_TOKENS = 4096
_DEFAULT_THINKING_BUDGET = 8000

_EPILOG = """\b
Examples:
  apertis ask "What is recursion?"
  apertis ask --system "Answer in French." "What is recursion?"
  apertis ask --image chart.png "What does this chart say?"
  apertis ask --thinking "Is 3599 prime?"
  git diff | apertis ask "Review this change."
  apertis ask --no-stream "Name a colour." > answer.txt

\b
What is piped in follows the question. On a terminal the answer is rendered as Markdown, in a pipe
it stays plain text; thinking goes to stderr there.
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
    "-i",
    "--image",
    "images",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Image to look at; may be given several times.",
)
@click.option("--stream/--no-stream", default=True, help="Show the answer while it comes.")
@click.option("--thinking", is_flag=True, help="Let the model think first, and show it.")
@click.option(
    "--thinking-budget",
    metavar="TOKENS|adaptive",
    help=f"How much it may think (default {_DEFAULT_THINKING_BUDGET}); newer models take "
    "'adaptive' only. Implies --thinking.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    help=f"Limit of the answer.  [default: {_DEFAULT_MAX_TOKENS}, beside the thinking]",
)
def command(
    *,
    question: tuple[str, ...],
    model: str,
    system: str | None,
    images: tuple[Path, ...],
    stream: bool,
    thinking: bool,
    thinking_budget: str | None,
    max_tokens: int | None,
) -> None:
    """Ask a question."""
    prompt = _prompt(question)
    parameters: CreateParams = {
        "model": model,
        "max_tokens": max_tokens or _DEFAULT_MAX_TOKENS,
        "messages": [{"role": "user", "content": _content(prompt, images)}],
    }
    if system is not None:
        parameters["system"] = system
    if thinking or thinking_budget is not None:
        parameters["thinking"], room = _thinking(thinking_budget)
        parameters["max_tokens"] = max_tokens or _DEFAULT_MAX_TOKENS + room

    from apertis.cli.render import open_output

    with Apertis() as client, open_output() as output:
        stop_reason = (_streamed if stream else _whole)(client, parameters, output)
    if stop_reason == "max_tokens":
        limit = parameters["max_tokens"]
        click.echo(f"apertis: the answer was cut at --max-tokens {limit}", err=True)
    elif stop_reason == "refusal":
        click.echo("apertis: the model refused to go on", err=True)


def _prompt(question: tuple[str, ...]) -> str:
    """Join the question and what is piped in."""
    # What is piped in may be anything; bytes that are no UTF-8 are shown as such, not refused.
    waiting = b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()
    piped = waiting.decode("utf-8", errors="replace")
    prompt = "\n\n".join(part for part in (" ".join(question).strip(), piped.strip()) if part)
    if not prompt:
        raise click.UsageError("nothing to ask: give a question, or pipe text in")
    return prompt


def _content(prompt: str, images: tuple[Path, ...]) -> str | list[ContentBlockParam]:
    if not images:
        return prompt
    return [*(image(path) for path in images), {"type": "text", "text": prompt}]


def _thinking(budget: str | None) -> tuple[ThinkingParam, int]:
    """Build the `thinking` parameter, and tell how many tokens it may take."""
    if budget == "adaptive":
        return {"type": "adaptive"}, _DEFAULT_THINKING_BUDGET
    try:
        tokens = int(budget or _DEFAULT_THINKING_BUDGET)
    except ValueError:
        message = f"must be a number of tokens or 'adaptive', not {one_line(str(budget))!r}"
        raise click.BadParameter(message, param_hint="'--thinking-budget'") from None
    return {"type": "enabled", "budget_tokens": tokens}, tokens


def _streamed(client: Apertis, parameters: CreateParams, output: Output) -> str | None:
    with client.messages.stream(**parameters) as stream:
        for event in stream:
            if isinstance(event, TextEvent):
                output.text(event.text)
            elif isinstance(event, ThinkingEvent):
                output.thinking(event.thinking)
        return stream.get_final_message().stop_reason


def _whole(client: Apertis, parameters: CreateParams, output: Output) -> str | None:
    message = client.messages.create(**parameters)
    if message.thinking:
        output.thinking(message.thinking)
    output.text(message.text)
    return message.stop_reason
