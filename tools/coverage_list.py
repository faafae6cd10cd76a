"""Hold the branches that the tests reach against `tests/coverage.txt`, module by module.

The file has a module and its percentage a line, for those below 100. A module may only get better:
`--write` takes over what was measured where it is, and new modules begin at 90 or above.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "tests" / "coverage.txt"
MIN_NEW_PERCENT = 90.0
# Which of two branches a race takes differs from run to run.
SLACK_PERCENT = 1.0


def measured() -> dict[str, float]:
    """Read the percentages of lines and branches by module from what coverage.py has gathered."""
    command = [sys.executable, "-m", "coverage", "json", "--quiet", "-o", "-"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)  # noqa: S603
    files = json.loads(done.stdout)["files"]
    return {
        Path(name).relative_to("src").as_posix(): round(file["summary"]["percent_covered"], 1)
        for name, file in files.items()
    }


def listed() -> dict[str, float]:
    """Read the list."""
    lines = LIST.read_text("utf-8").splitlines() if LIST.exists() else []
    pairs = (line.split() for line in lines if line and not line.startswith("#"))
    return {name: float(percent) for name, percent in pairs}


def problems(now: dict[str, float], known: dict[str, float]) -> list[str]:
    """Name the modules that are covered less than the list says."""
    found: list[str] = []
    for name, percent in sorted(now.items()):
        least = known.get(name, MIN_NEW_PERCENT if known else 0.0)
        if percent < least - SLACK_PERCENT:
            found.append(f"{name}: {percent} % of its branches are tested, {least} % were")
    return found


def main() -> int:
    """Compare, and write the list anew on demand."""
    now, known = measured(), listed()
    found = problems(now, known)
    sys.stdout.write("".join(f"{line}\n" for line in found))
    if "--write" in sys.argv[1:]:
        better = {name: max(percent, known.get(name, 0.0)) for name, percent in now.items()}
        lines = [f"{name} {percent}\n" for name, percent in sorted(better.items()) if percent < 100]
        LIST.write_text("# Percent of lines and branches; may only grow.\n" + "".join(lines))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
