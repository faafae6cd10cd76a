"""The `apertis` command. Its libraries come with the extra `cli`."""

from __future__ import annotations

import importlib.util
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command with the arguments of the process, and exit with its code."""
    missing = [name for name in ("click", "rich") if importlib.util.find_spec(name) is None]
    if missing:
        from apertis.installation import install_command

        sys.stderr.write(
            f"apertis: the command needs {' and '.join(missing)}: {install_command('cli')}\n"
        )
        sys.exit(3)
    from apertis.cli.group import run

    sys.exit(run(sys.argv[1:]))
