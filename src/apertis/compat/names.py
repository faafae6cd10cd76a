"""Names of `anthropic` that belong to other products, or that Apertis has another way for."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from apertis.compat.type_modules import find_type_spec

OFFICIAL = "use the official `anthropic` package for it, beside this one or with our gateway"

# What a name stands for, and what to do; the first pattern that fits the whole dotted name counts.
ELSEWHERE = tuple(
    (re.compile(pattern), sentence)
    for pattern, sentence in (
        (
            r"(Async)?Anthropic(AWS|Bedrock\w*|Vertex|GoogleCloud|Foundry)",
            f"belongs to Claude on another company's cloud; {OFFICIAL}",
        ),
        (
            (
                r"(Async)?AccessToken\w*|AnthropicProvider|(Identity|Static|Env)Token\w*|TokenCache"
                r"|Credential(s|Result)\w*|WorkloadIdentity\w*|InMemoryConfig|BaseURLBoundProvider"
                r"|default_credentials|exchange_federation_assertion|lib\.credentials\b.*"
                r"|Anthropic\((_token_cache|config|credentials|profile)=\)"
            ),
            "belongs to their profiles and workload identity; pass `api_key` or `auth_token`",
        ),
        (
            (
                r"lib\.(environments|sessions)\b.*|lib\.tools\.(agent_toolset|_beta_session_runner)\b.*"
                r"|.*ManagedAgents?\w*.*|MANAGED_AGENTS_BETA"
            ),
            f"belongs to Managed Agents, another product; {OFFICIAL}",
        ),
        (
            (
                r"(resources\.)?(beta\.)?(Async)?(files|skills|user_profiles|organization|Files|Skills"
                r"|UserProfiles|Organization|agents|compliance|deployments|deployment_runs|dreams"
                r"|environments|memory_stores|sessions|tunnels|vaults|webhooks)(With\w+)?"
            ),
            (
                "belongs to another product than the Messages API; `client.request()` reaches its "
                f"endpoints where your service has them, or {OFFICIAL}"
            ),
        ),
        (
            r"lib\.threads\b.*",
            "belongs to threads that the service keeps; `thread=` of `messages.create` takes one",
        ),
        (
            r"APIWebhookValidationError|Anthropic\(webhook_key=\)",
            f"belongs to webhooks, another product; {OFFICIAL}",
        ),
        (
            r"BetaFallbackState|BetaRefusalFallbackMiddleware|lib\.middleware\b.*",
            (
                "is done by the service: pass `fallbacks=[{'model': ...}]`, or Apertis's own "
                "`fallback_models=[...]`, to `messages.create`"
            ),
        ),
        (
            r"(Resolved)?OpenTelemetry\w+|Anthropic\(open_telemetry=\)",
            (
                "belongs to their tracing; `middleware=` sees each attempt, and `message.response` "
                "tells of each response"
            ),
        ),
        (
            r"DefaultAioHttpClient",
            (
                "is not needed: the built-in connections are faster than aiohttp's; leave "
                "`http_client` out"
            ),
        ),
        (
            (
                r"(CMEK|ClaudeCode|Organization|ParentOrganization|RequestBody|Workspace"
                r"|LinkedOrganization|SandboxEgress|ContractSpend|EnforcedSpend|RampLimit)\w+Error"
            ),
            (
                "is a class for one cause; catch the class of its status, and look at "
                "`error.error_code`"
            ),
        ),
        (
            r"Completion\w*|resources\.(Async)?Completions?|completions",
            "belongs to text completions, which are gone; use `client.messages.create`",
        ),
    )
)

# Modules of `anthropic` that are not here by these names: what programs take from them is at our
# root, among its types, or in `DEEP`.
VIEW = re.compile(
    r"_(base_client|client|constants|exceptions|legacy_response|middleware|models|request|response"
    r"|streaming|types|utils|version)|pagination"
    r"|lib(\.streaming(\._\w+)?|\.tools|\.(aws|bedrock|foundry|google_cloud|vertex)(\._\w+)?)?"
    r"|resources(\.(beta|messages|models|batches))*"
)
DEEP = {
    "AsyncAPIClient": "apertis.aio.client:AsyncApertis",
    "AsyncBatches": "apertis.aio.resources:AsyncBatches",
    "AsyncBeta": "apertis.aio.resources:AsyncBeta",
    "AsyncHttpxClientWrapper": "apertis.compat.http_clients:DefaultAsyncHttpxClient",
    "AsyncMessages": "apertis.aio.resources:AsyncMessages",
    "AsyncModels": "apertis.aio.resources:AsyncModels",
    "AsyncPage": "apertis.aio.pages:AsyncPage",
    "Batches": "apertis.sync.resources:Batches",
    "Beta": "apertis.sync.resources:Beta",
    "BetaAbstractMemoryTool": "apertis.tools.memory:BetaAbstractMemoryTool",
    "BetaAsyncAbstractMemoryTool": "apertis.tools.memory:BetaAsyncAbstractMemoryTool",
    "BetaAsyncFunctionTool": "apertis.tools.tool:Tool",
    "BetaAsyncStreamingToolRunner": "apertis.aio.runner:AsyncToolRunner",
    "BetaAsyncToolRunner": "apertis.aio.runner:AsyncToolRunner",
    "BetaFunctionTool": "apertis.tools.tool:Tool",
    "BetaFunctionToolResultType": "typing:Any",
    "BetaStreamingToolRunner": "apertis.sync.runner:ToolRunner",
    "BetaToolLike": "typing:Any",
    "BetaToolRunner": "apertis.sync.runner:ToolRunner",
    "Body": "builtins:object",
    "Headers": "apertis.models:Headers",
    "LegacyAPIResponse": "apertis.sync.raw:APIResponse",
    "Messages": "apertis.sync.resources:Messages",
    "Models": "apertis.sync.resources:Models",
    "Query": "collections.abc:Mapping",
    "SyncAPIClient": "apertis.sync.client:Apertis",
    "SyncHttpxClientWrapper": "apertis.compat.http_clients:DefaultHttpxClient",
    "SyncPage": "apertis.sync.pages:Page",
    "is_given": "apertis.compat.values:is_given",
}


def sentence(name: str) -> str | None:
    """Return what a name of `anthropic` belongs to, and what to do; None if we do not know it."""
    for pattern, said in ELSEWHERE:
        if pattern.fullmatch(name):
            return f"`{name}` {said}"
    return None


def no_such_name(where: str, name: str) -> AttributeError:
    """Return the exception for a name that something of ours does not have."""
    said = sentence(name)
    reason = f": {said}" if said else ""
    return AttributeError(f"{where} has no attribute {name!r}{reason}", name=name)


def find_spec(fullname: str) -> ModuleSpec | None:
    """Return the spec of a module that shows names of our root; None for any other.

    Raises:
        ModuleNotFoundError: The module belongs to another product.
    """
    name = fullname.removeprefix("apertis.")
    if name.startswith("types."):
        return find_type_spec(fullname)
    if VIEW.fullmatch(name):
        return ModuleSpec(fullname, View(), is_package=True)
    if (said := sentence(name)) is not None:
        raise ModuleNotFoundError(f"no module {fullname!r}: {said}", name=fullname)
    return None


class View(Loader):
    """A loader of modules that show names of our root."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module, which has nothing of its own."""
        return ModuleType(spec.name, f"Names of `apertis`, where `anthropic` has them: {spec.name}")

    def exec_module(self, module: ModuleType) -> None:
        """Let the module look its names up."""
        own = module.__name__.removeprefix("apertis.")

        def found(name: str) -> Any:
            if name.startswith("__"):
                raise no_such_name(f"module {module.__name__!r}", name)
            if VIEW.fullmatch(f"{own}.{name}"):
                return import_module(f"{module.__name__}.{name}")
            if sentence(f"{own}.{name}"):
                raise no_such_name("module 'apertis'", f"{own}.{name}")
            if name in DEEP:
                place, _, attribute = DEEP[name].partition(":")
                return getattr(import_module(place), attribute)
            for place in ("apertis", "apertis.types", "apertis.types.beta"):
                if hasattr(of := import_module(place), name):
                    return getattr(of, name)
            raise no_such_name(f"module {module.__name__!r}", name)

        module.__dict__["__getattr__"] = found
