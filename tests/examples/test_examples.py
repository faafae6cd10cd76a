"""Every example runs, against the real server, and prints what its docstring says."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kit.processes import Served, apertis_serve

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
PAGE = Path(__file__).parents[3] / "shared" / "tools" / "run_page.py"

# What must be in the output, besides that the program ends well and is silent on stderr.
OUTPUT = {
    "create": r"\w+",
    "system_prompt": r"\w+",
    "multi_turn": r"(?s)User: My name is Ada\.\nClaude: \w.*User: What is my name\?\nClaude: \w",
    "stream": r"(?s)\w+.*\(end_turn, [1-9]\d* output tokens\)",
    "vision_url": r"\w+",
    "vision_file": r"(?i)png",
    "tool_use": r"(?s)^get_temperature\(\{\"city\": \"Lisbon\".*\n.*\w+",
    "typed_tools": r"It is 21 degrees (celsius|fahrenheit) in Tokyo",
    "tool_runner": r"(?s)^get_temperature\(.*Lisbon.*\n.*end_turn after 2 turns, \$0\.\d+",
    "extended_thinking": r"(?s)^Thinking: \w.*\nAnswer: \w",
    "structured_output": r"(?s)^.+ \(-?\d+\), .*while it streamed\nOutputTruncatedError at \$",
    "cost": r"one call: \$0\.\d+\nall calls: \$0\.\d+; \$0\.00\d+ is left\nnot sent, as .* \$0\.",
    "metadata": r"(?s)Message: msg_.* from claude-haiku-5-5.*Request: req_\w+, HTTP 200, 0 retries",
    "async_gather": r"(?s)Lima: \w.*Oslo: \w.*Accra: \w",
    "models": r"(?s)claude-sonnet-5-5: .*claude-haiku-5-5 was created at \d{4}",
    "count_tokens": r"^[1-9]\d* input tokens",
    "batches": r"(?s)msgbatch_\w+ is .*2 of 2 succeeded\n.*(sum|capital): \w",
    "errors_and_retries": r"(?s)is wrong: .*messages.*refused: invalid_api_key\n.*0 retries: \w",
    "moving_from_anthropic": (
        r"(?s)post /v1/messages: 200\n\['\w.*application/json end_turn\n.*400 invalid_request"
    ),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with apertis_serve(tmp_path_factory.mktemp("service")) as served:
        yield served


@pytest.mark.parametrize("program", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs_and_prints_what_it_promises(program: Path, service: Served) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("APERTIS_")}
    environment["APERTIS_BASE_URL"] = service.base_url
    environment["APERTIS_API_KEY"] = service.api_key
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program)],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(OUTPUT[program.stem], done.stdout), done.stdout


@pytest.mark.parametrize("program", EXAMPLES, ids=lambda path: path.stem)
def test_it_reads_as_documentation(program: Path) -> None:
    source = program.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(source))
    assert docstring is not None
    assert docstring.splitlines()[0].endswith(".")
    assert len(source.splitlines()) <= 70


@pytest.mark.corpus
def test_the_programs_of_the_documentation_page_run_unchanged(service: Served) -> None:
    arguments = ["--base-url", service.base_url, "--api-key", service.api_key]
    done = subprocess.run(
        [sys.executable, str(PAGE), *arguments, "--python", sys.executable],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "9 of 9 programs" in done.stdout
