"""No test can reach a service that is paid for, whatever is set on the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAID = {
    "APERTIS_API_KEY": "sk-paid",
    "APERTIS_BASE_URL": "https://api.apertis.ai",
    "ANTHROPIC_API_KEY": "sk-ant-api-paid",
    "ANTHROPIC_AUTH_TOKEN": "paid",
    "ANTHROPIC_BASE_URL": "https://api.anthropic.com",
    "ANTHROPIC_CUSTOM_HEADERS": "authorization: Bearer paid",
}


def ran(*command: str) -> str:
    done = subprocess.run(
        command, env=os.environ | PAID, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_kit_removes_both_families_before_a_test_begins() -> None:
    program = (
        "from tests.kit.environment import MACHINE; import os;"
        "print([n for n in (*os.environ, *MACHINE) if n.startswith(('APERTIS', 'ANTHROPIC'))])"
    )
    assert ran(sys.executable, "-c", program) == "[]\n"


def test_no_recipe_of_make_gets_a_key(tmp_path: Path) -> None:
    makefile = tmp_path / "Makefile"
    makefile.write_text("include Makefile\n.PHONY: shown\nshown:\n\t@env\n", "utf-8")
    shown = ran("make", "-f", str(makefile), "shown")
    assert not any(name in shown for name in PAID)
