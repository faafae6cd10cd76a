"""`apertis.types`: the names of `anthropic.types`, in their places."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import apertis.models
import apertis.params
import apertis.types
import apertis.types.beta
import apertis.types.beta.messages
import apertis.types.messages
from apertis.compat.type_names import elsewhere
from apertis.models import Message, MessageDelta, TextBlock, ToolUseBlock, commands

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("types", "types.beta", "types.messages", "types.beta.messages")
NAMES = ROOT.parent / "shared" / "facts" / "moving-names.tsv"

# What public programs take, with what it stands for.
TAKEN: list[tuple[str, object]] = [
    ("types.Message", apertis.models.Message),
    ("types.TextBlock", apertis.models.TextBlock),
    ("types.MessageParam", apertis.params.MessageParam),
    ("types.Usage", apertis.models.Usage),
    ("types.ToolUnionParam", apertis.params.ToolUnionParam),
    ("types.ContentBlock", apertis.models.ContentBlock),
    ("types.RawMessageStreamEvent", apertis.models.StreamEvent),
    ("types.RawContentBlockDeltaEvent", apertis.models.ContentBlockDeltaEvent),
    ("types.ContentBlockStopEvent", apertis.models.ContentBlockStopEvent),
    ("types.RawMessageDeltaEvent", apertis.models.MessageDeltaEvent),
    ("types.CitationCharLocation", apertis.models.CharLocation),
    ("types.CitationsWebSearchResultLocation", apertis.models.WebSearchResultLocation),
    ("types.WebSearchResultBlock", apertis.models.WebSearchResult),
    ("types.WebFetchBlock", apertis.models.WebFetchResult),
    ("types.DocumentBlock", apertis.models.FetchedDocument),
    ("types.WebSearchTool20250305Param", apertis.params.WebSearchToolParam),
    ("types.UserMessageParam", apertis.params.MessageParam),
    ("types.ThinkingConfigParam", apertis.params.ThinkingParam),
    ("types.ThinkingConfigEnabledParam", apertis.params.ThinkingEnabledParam),
    ("types.CacheControlEphemeralParam", apertis.params.CacheControlParam),
    ("types.CitationCharLocationParam", apertis.params.CharLocationParam),
    ("types.MessageCreateParams", apertis.params.CreateParams),
    ("types.Model", str),
    ("types.ModelInfo", apertis.models.ModelInfo),
    ("types.StopReason", apertis.models.StopReason),
    ("types.messages.MessageBatch", apertis.models.MessageBatch),
    ("types.messages.MessageBatchSucceededResult", apertis.models.SucceededResult),
    ("types.messages.batch_create_params.Request", apertis.params.BatchRequestParam),
    ("types.messages.message_batch.MessageBatch", apertis.models.MessageBatch),
    ("types.message_create_params.MessageCreateParamsNonStreaming", apertis.params.CreateParams),
    ("types.message_create_params.MessageCreateParamsStreaming", apertis.params.CreateParams),
    ("types.parsed_message.ParsedMessage", apertis.models.Message),
    ("types.parsed_message.ParsedTextBlock", apertis.models.TextBlock),
    ("types.raw_message_delta_event.Delta", apertis.models.MessageDelta),
    ("types.cache_creation.CacheCreation", apertis.models.CacheCreation),
    ("types.model_param.ModelParam", str),
    ("types.container_params.ContainerParams", apertis.params.ContainerParam),
    ("types.computer_toolset_20260801_param.ComputerToolset20260801Param", None),
    ("types.tool_search_tool_bm25_20251119_param.ToolSearchToolBm25_20251119Param", None),
    ("types.shared.ErrorObject", apertis.models.ErrorDetail),
    ("types.beta.BetaMessage", apertis.models.Message),
    ("types.beta.BetaMessageParam", apertis.params.MessageParam),
    ("types.beta.BetaContentBlockParam", apertis.params.ContentBlockParam),
    ("types.beta.BetaIterationsUsage", list[apertis.models.UsageIteration]),
    ("types.beta.BetaStopReason", apertis.models.StopReason),
    ("types.beta.BetaCompactionContentBlockDelta", apertis.models.CompactionDelta),
    ("types.beta.BetaMemoryTool20250818ViewCommand", commands.MemoryViewCommand),
    ("types.beta.BetaBrowserNavigateToolUseBlock", apertis.models.ToolUseBlock),
    ("types.beta.MessageCreateParams", apertis.params.CreateParams),
    ("types.beta.beta_diagnostics.BetaDiagnostics", apertis.models.Diagnostics),
    ("types.beta.parsed_beta_message.ParsedBetaMessage", apertis.models.Message),
    ("types.beta.beta_raw_message_delta_event.Delta", apertis.models.MessageDelta),
    ("types.beta.message_create_params.MessageCreateParamsNonStreaming", None),
    ("types.beta.messages.BetaMessageBatch", apertis.models.MessageBatch),
    ("types.beta.messages.batch_create_params.Request", apertis.params.BatchRequestParam),
]


def taken(name: str) -> Any:
    """What `from apertis.<all but the last> import <the last>` gives."""
    module, _, attribute = name.rpartition(".")
    names: dict[str, Any] = {}
    exec(f"from apertis.{module} import {attribute} as taken", names)
    return names["taken"]


def test_what_is_had_by_these_names_is_made_pickled_and_told_apart() -> None:
    names: dict[str, Any] = {}
    exec("from apertis.types import *", names)
    block = names["TextBlock"](type="text", text="hi")
    assert isinstance(block, names["TextBlock"])
    assert not isinstance(block, names["ToolUseBlock"])
    assert pickle.loads(pickle.dumps(block)) == block
    assert pickle.loads(pickle.dumps(names["RawMessageDeltaEvent"])) is names["MessageDeltaEvent"]
    assert isinstance(
        taken("types.beta.BetaToolUseBlock")(id="t", name="n", input={}), ToolUseBlock
    )
    assert names["MessageParam"](role="user", content="hi") == {"role": "user", "content": "hi"}
    assert names["ImageTransformationsParam"](crop=True) == {"crop": True}
    assert taken("types.parsed_message.ParsedMessage")[dict] is Message
    assert taken("types.parsed_message.ParsedTextBlock")[dict] is TextBlock
    assert isinstance(taken("types.raw_message_delta_event.Delta")(), MessageDelta)


def test_commands_of_the_memory_tool_are_made_of_the_models_input() -> None:
    view = commands.MemoryViewCommand.model_validate({"command": "view", "path": "/memories"})
    assert view == commands.MemoryViewCommand(path="/memories")
    assert view.view_range is None
    assert commands.MemoryDeleteCommand(path="/a").to_dict() == {"path": "/a"}


@pytest.mark.parametrize(
    ("name", "belongs"),
    [
        ("types.beta.BetaSkill", "skills"),
        ("types.FileMetadata", "files"),
        ("types.beta.beta_file_metadata.BetaFileMetadata", "files"),
        ("types.beta.sessions.BetaManagedAgentsAgentMessageEvent", "Managed Agents"),
        ("types.beta.BetaManagedAgentsCustomToolParams", "Managed Agents"),
        ("types.beta.agents", "Managed Agents"),
        ("types.beta.vaults.VaultCreateParams", "Managed Agents"),
        ("types.beta.BetaWebhookEvent", "webhooks"),
        ("types.UserProfile", "administration"),
        ("types.beta.organization", "administration"),
        ("types.ToolNameConflictErrorDetails", "error_code"),
        ("types.CompletionCreateParams", "client.messages.create"),
        ("types.beta.ThreadCreateParams", "thread="),
    ],
)
def test_a_name_of_another_product_says_what_to_do(name: str, belongs: str) -> None:
    with pytest.raises(ImportError, match=re.escape(belongs)):
        taken(name)
    module, _, attribute = name.rpartition(".")
    if module in PACKAGES:
        package = importlib.import_module(f"apertis.{module}")
        assert not hasattr(package, attribute)
        with pytest.raises(AttributeError, match=re.escape(belongs)):
            getattr(package, attribute)


@pytest.mark.parametrize("name", ["types.Massage", "types.beta.BetaMassage", "types.massage.A"])
def test_a_name_of_nobody_is_not_found(name: str) -> None:
    with pytest.raises(ImportError, match=r"(?i)massage"):
        taken(name)


@pytest.mark.corpus
def test_every_name_that_public_programs_take_is_there_or_says_where_it_belongs() -> None:
    if not NAMES.exists():
        pytest.skip("needs ../shared")
    rows = [line.split("\t") for line in NAMES.read_text("utf-8").splitlines()[1:]]
    names = [name.removeprefix("anthropic.") for _, name in rows if ".types." in name]
    assert len(names) > 150
    absent = {}
    for name in names:
        try:
            taken(name)
        except ImportError as error:
            absent[name] = str(error)
    assert absent.keys() == {
        "types.beta.BetaManagedAgentsCustomToolParams",
        "types.beta.BetaSkill",
        "types.beta.beta_file_metadata.BetaFileMetadata",
        "types.beta.sessions.BetaManagedAgentsAgentMessageEvent",
    }
    assert all("another product" in reason for reason in absent.values())


def theirs(package: str) -> Path:
    spec = importlib.util.find_spec("anthropic")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("anthropic is not installed")
    return Path(spec.submodule_search_locations[0], *package.split("."))


@pytest.mark.parametrize("package", PACKAGES)
def test_each_name_that_theirs_exports_is_there_or_says_where_it_belongs(package: str) -> None:
    tree = ast.parse(theirs(package).joinpath("__init__.py").read_text("utf-8"))
    names = [
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    ]
    assert len(names) > 10
    module = importlib.import_module(f"apertis.{package}")
    nowhere = [name for name in names if not hasattr(module, name) and not elsewhere(name)]
    assert not nowhere


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)


CHECKERS = {
    "mypy": ["mypy", "--strict", "--no-error-summary"],
    "pyright": ["pyright", "--pythonpath", sys.executable],
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_type_checkers_see_the_real_types(checker: str) -> None:
    module = CHECKERS[checker][0]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    program = ROOT / "tests" / "typing" / "check_types.py"
    run = ran("-m", *CHECKERS[checker], str(program))
    assert run.returncode == 0, run.stdout + run.stderr
