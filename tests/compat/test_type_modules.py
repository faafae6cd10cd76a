"""The modules under `apertis.types`, and what type checkers read in their place."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import apertis.params
import apertis.types
from apertis.compat.type_names import elsewhere, name_of_module
from apertis.models import Message, TextBlock

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("types", "types.beta", "types.messages", "types.beta.messages")


def taken(name: str) -> Any:
    """What `from apertis.<all but the last> import <the last>` gives."""
    module, _, attribute = name.rpartition(".")
    names: dict[str, Any] = {}
    exec(f"from apertis.{module} import {attribute} as taken", names)
    return names["taken"]


def theirs(package: str) -> Path:
    spec = importlib.util.find_spec("anthropic")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("anthropic is not installed")
    return Path(spec.submodule_search_locations[0], *package.split("."))


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)


def own_module(name: str) -> str:
    spec = importlib.util.spec_from_file_location("tool", ROOT / "tools" / "generate_types.py")
    assert spec is not None
    assert spec.loader is not None
    tool: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    found: str = tool.module_of(name)
    return found


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("TextBlock", "text_block"),
        ("Base64PDFSourceParam", "base64_pdf_source_param"),
        ("BetaMCPToolUseBlock", "beta_mcp_tool_use_block"),
        ("URLPDFSourceParam", "url_pdf_source_param"),
        ("CodeExecutionTool20250522Param", "code_execution_tool_20250522_param"),
        ("BetaClearThinking20251015EditParam", "beta_clear_thinking_20251015_edit_param"),
        ("ToolSearchToolBm25_20251119Param", "tool_search_tool_bm25_20251119_param"),
        ("InputJSONDelta", "input_json_delta"),
    ],
)
def test_a_module_is_called_after_its_name(name: str, module: str) -> None:
    assert own_module(name) == module
    beta = "beta." if name.startswith("Beta") else ""
    assert taken(f"types.{beta}{module}.{name}") is not None


def test_modules_are_attributes_of_their_packages_too() -> None:
    types: Any = apertis.types
    assert types.text_block_param.TextBlockParam is apertis.params.TextBlockParam
    assert types.beta.beta_text_block.BetaTextBlock is TextBlock
    assert taken("types.tool_param").ToolParam is apertis.params.ToolParam
    code = "import apertis; print(apertis.types.beta.messages.BetaMessageBatch.__name__)"
    assert ran("-c", code).stdout == "MessageBatch\n"
    # As in theirs, a module has what it refers to.
    assert taken("types.message_param").TextBlockParam is apertis.params.TextBlockParam
    assert importlib.import_module("apertis.types.message").Message is Message
    assert taken("types.message").__all__ == ["Message"]


@pytest.mark.parametrize("package", PACKAGES)
def test_each_module_of_theirs_is_there_or_says_where_it_belongs(package: str) -> None:
    found = theirs(package)
    modules = {path.stem for path in found.glob("*.py")} - {"__init__"}
    modules |= {path.parent.name for path in found.glob("*/__init__.py")}
    packages = {"beta", "messages", "shared"}
    assert not [
        name for name in modules - packages if not name_of_module(name) and not elsewhere(name)
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_what_their_modules_define_is_in_ours(package: str) -> None:
    absent = []
    for path in theirs(package).glob("*.py"):
        if not name_of_module(path.stem):
            continue
        module = importlib.import_module(f"apertis.{package}.{path.stem}")
        tree = ast.parse(path.read_text("utf-8"))
        names = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        for node in tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", 0)]
            names += [target.id for target in targets if isinstance(target, ast.Name)]
        absent += [
            f"{path.stem}.{name}"
            for name in names
            if not name.startswith("_") and not hasattr(module, name) and not elsewhere(name)
        ]
    assert not absent


def test_the_stubs_are_fresh() -> None:
    tool = ROOT / "tools" / "generate_types.py"
    run = ran(str(tool), "--check")
    assert (run.returncode, run.stdout) == (0, "")


def test_neither_the_package_nor_its_client_loads_any_of_this() -> None:
    code = (
        "import sys, apertis; apertis.Apertis; apertis.Message(id='m', content=[], model='x', "
        "role='assistant', usage={'input_tokens': 1, 'output_tokens': 1}); "
        "print(*sorted(name for name in sys.modules if name.startswith(('apertis.types', "
        "'apertis.compat.type', 'apertis.compat.objects', 'apertis.models.dumping', "
        "'apertis.models.fields', 'apertis.models.commands'))))"
    )
    run = ran("-c", code)
    assert (run.stdout, run.stderr) == ("\n", "")
