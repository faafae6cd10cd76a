"""The names of `anthropic`: each is here, or says what it belongs to."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import apertis
from apertis import Apertis, AsyncApertis
from apertis.compat.names import DEEP, ELSEWHERE, sentence

ROOT = Path(__file__).resolve().parents[2]
LISTED = ROOT.parent / "shared" / "facts" / "moving-names.tsv"
# The other rooms hold these.
OTHERS = re.compile(
    r"types(\.|$)|lib\.tools(\.|$)|tools(\.|$)|beta_(async_)?tool$|transform_schema$"
)
CLOUDS = [name for name in apertis._LAZY if apertis._LAZY[name][0] == "apertis.compat.clouds"]
ALIASES = {
    "APIResponseValidationError": "APIResponseError",
    "Anthropic": "Apertis",
    "AnthropicError": "ApertisError",
    "AsyncAnthropic": "AsyncApertis",
    "AsyncClient": "AsyncApertis",
    "Client": "Apertis",
    "DeadlineExceededError": "GatewayTimeoutError",
    "RequestTooLargeError": "ContentTooLargeError",
    "not_given": "NOT_GIVEN",
}


def listed() -> list[str]:
    if not LISTED.exists():
        return []
    names = [line.split("\t")[1] for line in LISTED.read_text("utf-8").splitlines()[1:]]
    return [name.partition(".")[2] for name in names if "." in name]


def lookup(name: str) -> Any:
    """What `from apertis.<module> import <name>` gives."""
    module, _, attribute = f"apertis.{name}".rpartition(".")
    found = importlib.import_module(module)
    try:
        return getattr(found, attribute)
    except AttributeError:
        if sentence(name):
            raise
        return importlib.import_module(f"apertis.{name}")


@pytest.mark.corpus
@pytest.mark.parametrize("name", [name for name in listed() if not OTHERS.match(name)])
def test_each_name_that_public_programs_take_is_here_or_says_where(name: str) -> None:
    if sentence(name):
        errors = (AttributeError, ImportError, apertis.ConfigurationError)
        with pytest.raises(errors, match=r"`\S+` (belongs to|is )"):
            lookup(name)()
    else:
        assert lookup(name) is not None


@pytest.mark.parametrize("name", sorted(apertis._LAZY))
def test_a_name_of_the_table_is_there(name: str) -> None:
    assert getattr(apertis, name) is getattr(apertis, name)
    assert name in dir(apertis)


def test_checkers_see_the_names_of_the_table() -> None:
    """What they read stands under TYPE_CHECKING; the table is what runs."""
    tree = ast.parse((ROOT / "src/apertis/__init__.py").read_text("utf-8"))
    (guarded,) = (n for n in tree.body if isinstance(n, ast.If))
    seen: set[str] = set()
    for node in guarded.body:
        if isinstance(node, ast.ImportFrom):
            seen |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            seen |= {target.id for target in targets if isinstance(target, ast.Name)}
    assert seen - {"Model", "types"} == set(apertis._LAZY)


@pytest.mark.parametrize(("theirs", "ours"), ALIASES.items())
def test_an_alias_is_ours(theirs: str, ours: str) -> None:
    assert getattr(apertis, theirs) is getattr(apertis, ours)


@pytest.mark.parametrize(
    "name",
    [
        *("_base_client", "_client", "_constants", "_exceptions", "_legacy_response", "_models"),
        *("_response", "_streaming", "_types", "_utils", "pagination", "lib", "lib.streaming"),
        *("lib.streaming._messages", "lib.streaming._beta_types", "lib.tools", "resources"),
        *("resources.messages", "resources.messages.messages", "resources.messages.batches"),
        *("resources.beta", "resources.beta.messages", "resources.beta.messages.messages"),
    ],
)
def test_a_module_of_theirs_shows_our_names(name: str) -> None:
    module = importlib.import_module(f"apertis.{name}")
    assert module.RateLimitError is apertis.RateLimitError
    assert not hasattr(module, "__wrapped__")


@pytest.mark.parametrize("name", sorted(DEEP))
def test_a_name_that_is_only_in_their_modules_is_there(name: str) -> None:
    assert getattr(importlib.import_module("apertis.resources"), name) is not None
    assert not hasattr(apertis, name)


def test_deep_imports_work_as_statements() -> None:
    names: dict[str, Any] = {}
    exec(
        "import apertis as anthropic\n"
        "from apertis._types import NOT_GIVEN, NotGiven\n"
        "from apertis._exceptions import APIStatusError, OverloadedError\n"
        "from apertis.lib.streaming import MessageStreamEvent, MessageStreamManager\n"
        "from apertis.lib import streaming\n"
        "from apertis.resources import AsyncMessages, Messages, messages\n"
        "from apertis.resources.messages import Messages as Same\n"
        "from apertis.resources.messages.messages import Message, RawMessageStreamEvent, Stream\n"
        "from apertis.lib.streaming._beta_types import BetaRawContentBlockStartEvent\n"
        "from apertis.pagination import SyncPage\n"
        "client = anthropic.Client(api_key='k')\n",
        names,
    )
    assert names["NOT_GIVEN"] is apertis.NOT_GIVEN
    assert isinstance(names["client"].messages, names["Messages"])
    assert names["Same"] is names["messages"].Messages is names["Messages"]


@pytest.mark.parametrize(
    "name",
    [
        *("CredentialsFile", "WorkloadIdentityCredentials", "AccessToken", "OpenTelemetryOptions"),
        *("BetaRefusalFallbackMiddleware", "DefaultAioHttpClient", "OrganizationOnHoldError"),
    ],
)
def test_a_name_of_another_product_says_so(name: str) -> None:
    with pytest.raises(AttributeError, match=f"has no attribute '{name}': `{name}` ") as caught:
        getattr(apertis, name)
    assert caught.value.name == name
    with pytest.raises(ImportError):
        exec(f"from apertis import {name}")


@pytest.mark.parametrize(
    "name", ["lib.credentials", "lib.environments", "lib.sessions", "lib.tools.agent_toolset"]
)
def test_a_module_of_another_product_says_so(name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=f"`{name}` belongs to"):
        importlib.import_module(f"apertis.{name}")


def test_a_module_that_nobody_has_is_not_found_as_ever() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'apertis\.nowhere'"):
        importlib.import_module("apertis.nowhere")


def test_no_sentence_is_for_a_name_that_is_here() -> None:
    assert [name for name in apertis._LAZY if sentence(name)] == CLOUDS
    assert all(said for _, said in ELSEWHERE)


@pytest.mark.parametrize("kind", [Apertis, AsyncApertis])
def test_a_resource_of_another_product_says_so(kind: Any) -> None:
    client = kind(api_key="k")
    for found in (client, client.beta):
        with pytest.raises(AttributeError, match="`files` belongs to another product"):
            _ = found.files
        with pytest.raises(AttributeError, match=r"has no attribute 'nothing'$"):
            _ = found.nothing


def test_a_module_of_theirs_is_an_attribute_before_it_is_imported() -> None:
    """`mock.patch.object(anthropic.resources.messages.Messages, "create")` goes this way."""
    code = "import apertis; print(apertis.resources.messages.Messages.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout == "Messages\n"
