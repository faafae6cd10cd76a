"""Draws `docs/terminal.svg` of a real session: a gateway, a key for a colleague, a question, usage.

    python docs/record_terminal.py

Everything runs on this machine, against the sandbox. Run it when the output of a command changes.
"""

from __future__ import annotations

import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from apertis import Apertis

if TYPE_CHECKING:
    from collections.abc import Iterator

PICTURE = Path(__file__).resolve().parent / "terminal.svg"
COLUMNS = 96
APERTIS = [sys.executable, "-m", "apertis.cli"]
SESSION = (
    "apertis keys create --name ada --quota-usd 20 --expires 90d",
    'apertis ask "What is recursion?"',
    "apertis usage --by key,model",
)


@contextmanager
def gateway(data: Path) -> Iterator[dict[str, str]]:
    """Run a gateway; yield the environment that leads to it."""
    serve = [*APERTIS, "serve", "--port", "0", "--data", str(data), "--json"]
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with subprocess.Popen(
        serve, env=keep, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as running:
        assert running.stdout is not None
        told = json.loads(running.stdout.readline())
        shown = {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": "40"}
        try:
            yield {
                **keep,
                **shown,
                "APERTIS_BASE_URL": told["base_url"],
                "APERTIS_API_KEY": told["api_key"],
            }
        finally:
            running.terminate()


def printed(command: str, environment: dict[str, str]) -> str:
    """Run a command on a terminal and return what it prints, colors included."""
    words = command.replace('"', "'").split("'")
    arguments = [*words[0].split()[1:], *(word for word in words[1:] if word.strip())]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*APERTIS, *arguments], env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ):
        os.close(theirs)
        pieces = []
        with suppress(OSError):
            while piece := os.read(ours, 65536):
                pieces.append(piece)
    os.close(ours)
    return b"".join(pieces).decode().replace("\r\n", "\n")


def use(environment: dict[str, str]) -> None:
    """Send a few requests, so that there is usage to report."""
    with Apertis(
        base_url=environment["APERTIS_BASE_URL"], api_key=environment["APERTIS_API_KEY"]
    ) as client:
        for model, number in (("claude-sonnet-5-5", 12), ("claude-haiku-5-5", 30)):
            for _ in range(number):
                client.messages.create(
                    model=model,
                    max_tokens=1024,
                    messages=[{"role": "user", "content": "Write 200 words about rivers."}],
                )


def main() -> None:
    """Record the session and draw it."""
    folder = tempfile.mkdtemp()
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor")
    with gateway(Path(folder)) as administrator:
        colleague = administrator
        for command in SESSION:
            asks = command.startswith("apertis ask")
            text = printed(command, colleague if asks else administrator)
            text = text.replace(administrator["APERTIS_BASE_URL"], "http://127.0.0.1:8000")
            secret = re.search(r"sk-\w+", text)
            if secret is not None:
                colleague = {**administrator, "APERTIS_API_KEY": secret[0]}
                text = text.replace(secret[0], "sk-...")
            if asks:
                use(colleague)
            console.print(Text(f"$ {command}", style="bold"))
            console.print(Text.from_ansi(text))
    shutil.rmtree(folder, ignore_errors=True)
    drawn = console.export_svg(title="apertis", unique_id="apertis")
    # Fonts of the reader's machine: the picture loads nothing from anywhere.
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    PICTURE.write_text(re.sub(r"[ \t]+$", "", drawn, flags=re.MULTILINE), encoding="utf-8")


if __name__ == "__main__":
    main()
