"""Text for a terminal, without characters that a terminal would interpret.

Answers of models, names of keys and messages of services can hold escape sequences, which move
the cursor, rename the window or fill the clipboard, and marks that reverse the reading order. All
that the command prints goes through `clean`; styles are added behind it.
"""

from __future__ import annotations

import sys
from typing import IO

import click
import msgspec

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")

_UNITS_PER_CENT = 5_000
_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
_KEPT = (ord("\n"), ord("\t"))
_CLEANED = {code: "?" for code in (*_CONTROLS, *_BIDI) if code not in _KEPT}
# Part of a line end of Windows; alone it would let a line write over itself.
_CLEANED[ord("\r")] = ""
# In JSON these can stand in strings only, where an escape means the same.
_JSON_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), *_BIDI)}


def clean(text: str) -> str:
    """Replace control characters by question marks; line feeds and tabs stay."""
    return text.translate(_CLEANED)


def one_line(text: str) -> str:
    """Put a text on one line, cleaned."""
    return clean(" ".join(text.split()))


def printable(text: str | None) -> str:
    """Make a text a cell of a table or a line: cleaned, without tabs and line feeds."""
    return clean(text or "").replace("\n", "?").replace("\t", "?")


def is_terminal(stream: IO[str] | None = None) -> bool:
    """Return whether people read a stream, by default stdout."""
    stream = sys.stdout if stream is None else stream
    return stream is not None and stream.isatty()


def echo(
    text: str = "",
    *,
    nl: bool = True,
    err: bool = False,
    bold: bool | None = None,
    fg: str | None = None,
) -> None:
    """Print a text, cleaned; bold or colored only where a terminal shows it."""
    cleaned = clean(text)
    if bold is not None or fg is not None:
        cleaned = click.style(cleaned, bold=bold, fg=fg)
    click.echo(cleaned, nl=nl, err=err)


def echo_json(value: object) -> None:
    """Print a value as indented JSON; it decodes to the value to the letter."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    click.echo(text.translate(_JSON_ESCAPES))


def cents(units: int) -> str:
    """Round units to cents, with the sign: `$12.35`, and `<$0.01` for what is less than one."""
    if 0 < units < _UNITS_PER_CENT:
        return "<$0.01"
    hundredths = (units + _UNITS_PER_CENT // 2) // _UNITS_PER_CENT
    return f"${hundredths // 100:,}.{hundredths % 100:02}"
