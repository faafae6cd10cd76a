"""The lines that a key comes with: those that can be run here reach the gateway."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.console.set_up import YOUR_KEY, set_up

if TYPE_CHECKING:
    from tests.kit.gateways import RunningGateway

PROGRAMS = [one.program for one in set_up("http://127.0.0.1:1")]


def lines_for(program: str, base_url: str, secret: str) -> str:
    (found,) = (one.text for one in set_up(base_url, secret) if one.program == program)
    return found


@pytest.mark.parametrize(
    ("program", "module"), [("Python: apertis", "apertis"), ("Python: anthropic", "anthropic")]
)
def test_the_lines_for_python_run_as_they_are(
    sandbox_gateway: RunningGateway, program: str, module: str
) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    text = lines_for(program, sandbox_gateway.base_url, sandbox_gateway.admin_key)
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "sandbox" in done.stdout


def test_the_line_for_curl_runs_as_it_is(sandbox_gateway: RunningGateway) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    text = lines_for("curl", sandbox_gateway.base_url, sandbox_gateway.admin_key)
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        ["sh", "-c", text], capture_output=True, timeout=60, check=True, env=environment
    )
    assert json.loads(done.stdout)["type"] == "message"


def test_lines_with_a_secret_are_in_no_representation() -> None:
    assert "sk-hush" not in repr(set_up("http://127.0.0.1:8080", "sk-hush"))


def test_the_lines_for_cursor_are_settings_in_json() -> None:
    settings = json.loads(lines_for("Cursor", "https://claude.example.com", "sk-x"))
    variables = {one["name"]: one["value"] for one in settings["claudeCode.environmentVariables"]}
    assert variables == {
        "ANTHROPIC_BASE_URL": "https://claude.example.com",
        "ANTHROPIC_AUTH_TOKEN": "sk-x",
        "ANTHROPIC_API_KEY": "",
    }


@pytest.mark.parametrize("program", PROGRAMS)
def test_all_lines_have_the_address_and_the_place_of_the_secret(program: str) -> None:
    text = lines_for(program, "https://claude.example.com", "sk-x")
    assert "https://claude.example.com" in text
    assert "sk-x" in text
    (without,) = (
        one.text for one in set_up("https://claude.example.com") if one.program == program
    )
    assert YOUR_KEY in without


def test_the_model_is_one_that_the_key_may_use() -> None:
    python = set_up("http://x", "sk-x", ("claude-*", 'a"b', "claude-haiku-5-5"))[1].text
    assert 'model="claude-haiku-5-5"' in python
    assert 'model="claude-sonnet-5-5"' in set_up("http://x", "sk-x", ("claude-*",))[1].text
