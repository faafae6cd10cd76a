"""Runs a script in an interpreter in which some modules' sources read differently.

What is derived from one definition can be shown so: a definition is added, and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Each old text must stand in its module once.
_CHANGED = """
import importlib.machinery, json, sys
changes = json.loads(sys.argv.pop(1))
whole = importlib.machinery.SourceFileLoader.get_code
def get_code(self, name):
    if name not in changes:
        return whole(self, name)
    source = self.get_data(self.path).decode()
    for old, new in changes[name]:
        assert source.count(old) == 1, (name, old)
        source = source.replace(old, new)
    return compile(source, self.path, "exec")
importlib.machinery.SourceFileLoader.get_code = get_code
"""


def run_changed(
    changes: Mapping[str, Sequence[tuple[str, str]]], script: str, *arguments: str
) -> list[str]:
    """Run a script with texts of modules replaced; the lines that it printed."""
    done = subprocess.run(
        [sys.executable, "-c", _CHANGED + script, json.dumps(changes), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
