"""What the tests promise of themselves: where they stand, how they wait, what they are called."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "apertis"
MAX_UNTESTED = 26
MAX_CONFTEST_LINES = 20

# Modules without a test of their own name. This list may only become shorter.
UNTESTED = """
aio/sender.py
cli/key_tables.py
gateway/admin/key_fields.py gateway/admin/openapi_schemas.py gateway/admin/views.py
gateway/batches/upstream.py
gateway/finding.py
gateway/serving/answers.py
gateway/store/connections.py gateway/store/records.py
gateway/upstreams/contract.py gateway/upstreams/messages_api.py
models/blocks.py models/building.py models/citations.py models/events.py models/model.py
params/calls.py params/content.py params/options.py params/tools.py
sandbox/reply.py
testing/stand_in.py
"""

# The modules in which time passes unused, and how often. Giving others their turn is no waiting.
WAITS = {
    # For other processes, and for a server to have read what was sent: nothing tells of either.
    "kit/waiting.py": 2,
    # A load lasts as long as it is told, at the pace that it is told; `make test` runs none.
    "soak/__main__.py": 2,
    "soak/traffic.py": 2,
    "soak/upstream.py": 1,
}


def has_own_test(module: Path) -> bool:
    return any(TESTS.rglob(f"test_{module.stem}.py"))


def modules() -> list[Path]:
    """The modules that people write and others import."""
    found = [
        path
        for path in SOURCE.rglob("*.py")
        if not path.name.startswith("__") and "migrations" not in path.parts
    ]
    return [path for path in found if not path.read_text("utf-8").startswith("# Generated from")]


def test_every_module_has_a_test_of_its_name_or_is_on_the_list_that_shrinks() -> None:
    without = {str(path.relative_to(SOURCE)) for path in modules() if not has_own_test(path)}
    assert without == set(UNTESTED.split())
    assert len(without) <= MAX_UNTESTED


def test_what_tests_share_is_in_the_kit() -> None:
    for path in TESTS.glob("**/*/conftest.py"):
        assert len(path.read_text("utf-8").splitlines()) <= MAX_CONFTEST_LINES, path
    imported = [
        path
        for path in TESTS.rglob("*.py")
        if re.search(r"^\s*from tests\.\S*conftest import", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert imported == []


def sleeps(path: Path) -> int:
    """How often a module waits for a time; `asyncio.sleep(0)` gives others their turn."""
    count = 0
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("sleep"):
            turn = len(node.args) == 1 and ast.unparse(node.args[0]) == "0"
            count += not turn
    return count


def test_no_test_waits_for_a_time_but_those_that_say_why() -> None:
    found = {str(path.relative_to(TESTS)): sleeps(path) for path in TESTS.rglob("*.py")}
    assert {name: count for name, count in found.items() if count} == WAITS


def test_the_names_of_tests_are_sentences() -> None:
    short = [
        f"{path.relative_to(TESTS)}: {name}"
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
        if len(name.split("_")) < 4
    ]
    assert short == []
