"""Writes the mechanical half of `src/apertis/sync/` from `src/apertis/aio/`.

    python tools/generate_sync.py           write the modules
    python tools/generate_sync.py --check   say which are out of date; exit code 1 if any is

What reads and writes sockets differs in its nature and is written by hand: `wire`, `pool`,
`connection`, `dial`. Everything above them is the same text but for the substitutions below, which
are applied in their order. One that changes nothing in any module is an error.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "apertis" / "aio"
TARGET = ROOT / "src" / "apertis" / "sync"
MODULES = (
    *(
        "client",
        "injected",
        "metered",
        "middleware",
        "pages",
        "raw",
        "resources",
        "runner",
        "sender",
        "stream",
    ),
)
FIRST_LINE = (
    "# Generated from src/apertis/aio/{}.py by tools/generate_sync.py (make format). Do not edit.\n"
)

SUBSTITUTIONS = (
    # What only asyncio needs.
    (r"(?s)\n\nclass AsyncPages\(.*\Z", ""),
    (r"(?s)\n\ndef _anyio\(\).*?\n(?=\n\nclass)", ""),
    (
        (
            r'"""Read the end of the body, if it comes .*"""\n'
            r"        with _anyio\(\)\.move_on_after\(\w+\):\n            await self\.read\(\)"
        ),
        '"""Read the end of the body."""\n        self.read()',
    ),
    (r"await _anyio\(\)\.sleep\(", "time.sleep("),
    (r", in the event loop of the \w+: asyncio's or trio's", ""),
    (r"asynchronous=True", "asynchronous=False"),
    # A list is fetched when it is asked for, not when it is awaited.
    (r"import AsyncPages\b", "import Page, first_page"),
    (r"return AsyncPages\(", "return first_page("),
    (r"\bAsyncPages\b", "Page"),
    # Threads run the tools, and a file is written where it is asked for.
    (r"apertis\.tools\.tasks\b", "apertis.tools.threads"),
    (r"await asyncio\.to_thread\(([\w.]+), ", r"\1("),
    (r'\n +if hasattr\((\w+), "__await__"\):\n +(?:\1 = )?await .*', ""),
    (r"        kept: Any = target\(", "        target("),
    # Words about the client.
    (r"the asyncio client\b", "the blocking client"),
    (
        r"for asyncio; one serves any number of event loops\.",
        "that is safe to share between threads, and after a fork.",
    ),
    (r"httpx2\.AsyncClient", "httpx2.Client"),
    (r"\b([Aa])n `async with`", r"\1 `with`"),
    (r"RuntimeError:\n( +)# Another task", r"ValueError:\n\1# Another thread"),
    # What is there already may be awaited; a thread has it at once.
    (r"return Ready\((.+)\)\n", r"return \1\n"),
    # The language.
    (r"\bCoroutine\[Any, Any, (\w+\[\w+\])\]", r"\1"),
    (r"\bAwaitable\[(\w+(?:\[\w+\])?)\]", r"\1"),
    (r"\bAsyncGenerator\[(\w+), None\]", r"Generator[\1, None, None]"),
    (r"\b_?Async(?=[A-Z])", ""),
    (r"\basync (?=def|with|for)", ""),
    (r"\bawait ", ""),
    (r"\b__a(enter|exit|iter|next)__", r"__\1__"),
    (r"\banext\(", "next("),
    (r"\baclose\b(?=[(`])", "close"),
    (r"\baiter_bytes\b", "iter_bytes"),
    (r"for (\w+) in (.+):\n +yield \1\n", r"yield from \2\n"),
    (r"\bapertis\.aio\b", "apertis.sync"),
)


class UnusedSubstitutionError(Exception):
    """A substitution that changes no module: it, or what it was for, is gone."""


def generated(sources: dict[str, str]) -> dict[str, str]:
    """Return the blocking modules for these of asyncio, by name, before they are formatted."""
    texts = dict(sources)
    for pattern, replacement in SUBSTITUTIONS:
        changed = {name: re.sub(pattern, replacement, text) for name, text in texts.items()}
        if changed == texts:
            raise UnusedSubstitutionError(pattern)
        texts = changed
    return {name: FIRST_LINE.format(name) + text for name, text in texts.items()}


def formatted(text: str, path: Path) -> str:
    """Return the text as `make format` leaves it, without imports that nothing uses any more."""
    for command in (
        ["check", "--quiet", "--fix-only", "--select", "I,F401"],
        ["format", "--quiet"],
    ):
        text = subprocess.run(  # noqa: S603 - the project's own linter.
            [Path(sys.executable).parent / "ruff", *command, "--stdin-filename", path, "-"],
            input=text,
            capture_output=True,
            check=True,
            encoding="utf-8",
            cwd=ROOT,
        ).stdout
    return text


def main(arguments: list[str]) -> int:
    """Write the modules, or with `--check` compare them."""
    sources = {name: (SOURCE / f"{name}.py").read_text("utf-8") for name in MODULES}
    stale: list[str] = []
    for name, text in generated(sources).items():
        path = TARGET / f"{name}.py"
        wanted = formatted(text, path)
        if path.exists() and path.read_text("utf-8") == wanted:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if "--check" not in arguments:
            path.write_text(wanted, "utf-8")
    if "--check" not in arguments or not stale:
        return 0
    print(f"out of date: {', '.join(stale)}; run make format", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
