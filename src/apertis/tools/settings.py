"""The settings of a run, checked before anything is sent, apart from the parameters of calls."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import msgspec

from apertis.errors import ParameterError
from apertis.sansio.marks import without_absent
from apertis.tools.loop import Limits, check_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

# A tool that is never given up would hold its run for ever.
DEFAULT_TOOL_TIMEOUT = 300.0
CONTEXT_MANAGEMENT_BETA = "context-management-2025-06-27"
# Of the tool results before them the model has made what it needs.
_KEPT_TOOL_USES = 3
# Tools of the API that run at the caller's side; all others with a `type` run at the service.
_CLIENT_TYPES = re.compile(r"(custom|(bash|text_editor|memory|computer)_\d+)\Z")
_LIMITS = ("max_turns", "max_total_tokens", "max_cost_usd", "max_seconds")
_OWN = frozenset(
    {
        *_LIMITS,
        *("tools", "stream", "max_iterations", "max_concurrent_calls", "tool_timeout", "approve"),
        *("checkpoint", "context_budget", "keep_tool_choice", "progress", "messages"),
        *("output_format", "repair"),
    }
)


@runtime_checkable
class RunnableTool(Protocol):
    """A tool as a run knows it: what `@tool` makes."""

    @property
    def name(self) -> str:
        """The name that the model calls it by."""
        ...

    @property
    def is_async(self) -> bool:
        """True if `call` returns what is to be awaited."""
        ...

    def to_param(self) -> Mapping[str, Any]:
        """Return the tool as a request has it."""
        ...

    def call(self, input: Mapping[str, Any], /) -> object:
        """Run the tool."""
        ...


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a run; `params` is what each request has, but for its messages."""

    tools: dict[str, Any]
    params: dict[str, Any]
    messages: tuple[Any, ...]
    limits: Limits
    stream: bool = False
    max_concurrent_calls: int | None = None
    tool_timeout: float | None = None
    approve: Callable[..., Any] | None = None
    checkpoint: Any = None
    keep_tool_choice: bool = False
    progress: Any = None
    output: Any = None
    repair: int = 0

    def needs_approval(self, name: str) -> bool:
        """Return whether a tool may run only if somebody allows it."""
        return bool(getattr(self.tools[name], "needs_approval", False))

    def timeout_of(self, name: str) -> float | None:
        """Return the deadline of a call of a tool: its own, else that of the run."""
        own: float | None = getattr(self.tools[name], "timeout", None)
        return self.tool_timeout if own is None else own

    @property
    def idempotent(self) -> frozenset[str]:
        """The tools that may be called again when it is not known whether they were."""
        tools = self.tools.items()
        return frozenset(name for name, tool in tools if getattr(tool, "idempotent", False))


def settings_of(
    given: Mapping[str, Any],
    make_tool: Callable[[Any], Any],
    *,
    serial: bool = False,
) -> RunSettings:
    """Return the settings of a run. `serial`: by the rules of programs for `tool_runner`.

    Raises:
        ParameterError: One cannot work; it says which, and what to do.
    """
    given = without_absent(given)
    params = {name: value for name, value in given.items() if name not in _OWN}
    tools, definitions = tools_of(given.get("tools"), make_tool, strict=not serial)
    if "tools" in given:
        params["tools"] = definitions
    _manage_context(params, given.get("context_budget"))
    concurrent = given.get("max_concurrent_calls", 1 if serial else None)
    _check_count("max_concurrent_calls", concurrent)
    timeout = given.get("tool_timeout", None if serial else DEFAULT_TOOL_TIMEOUT)
    check_duration("tool_timeout", timeout)
    approve = given.get("approve")
    if approve is not None and not callable(approve):
        raise ParameterError(
            "approve: expected a function of a call that returns True, False, Allow(...), "
            f"Deny(...), or None to pause; got {approve!r}",
            param="approve",
        )
    messages: Any = given.get("messages")
    return RunSettings(
        tools=tools,
        params=params,
        messages=tuple(messages) if _is_list(messages) else (),
        limits=limits_of(given),
        stream=bool(given.get("stream")),
        max_concurrent_calls=concurrent,
        tool_timeout=timeout,
        approve=approve,
        checkpoint=given.get("checkpoint"),
        keep_tool_choice=bool(given.get("keep_tool_choice")),
        progress=given.get("progress"),
    )


def resumed_settings(
    kept: Mapping[str, Any],
    names: Collection[str],
    given: Mapping[str, Any],
    make_tool: Callable[[Any], Any],
) -> RunSettings:
    """Return the settings of a run that goes on: those of its checkpoint, changed by those given.

    The definitions of its tools stay as they were sent. `names` are the tools that it had; each
    must be given again, since a checkpoint holds no program.
    """
    given = without_absent(given)
    if "messages" in given:
        raise ParameterError(
            "messages: a run that goes on has its own; use runner.append_messages to add some",
            param="messages",
        )
    runnable, definitions = tools_of(given.get("tools"), make_tool)
    if missing := [name for name in names if name not in runnable]:
        raise ParameterError(
            f"tools: the run of this checkpoint has a tool named {missing[0]!r}, and none was "
            "given; pass all of its tools in tools=[...]",
            param="tools",
        )
    older = {name: value for name, value in kept.items() if name != "tools"}
    if given.get("max_iterations") is not None:
        older.pop("max_turns", None)
    chosen = settings_of({**older, **given}, make_tool)
    sent = list(kept.get("tools", ()))
    had = {definition.get("name") for definition in sent}
    sent += [definition for definition in definitions if definition.get("name") not in had]
    params = {**chosen.params, "tools": sent} if sent else chosen.params
    return msgspec.structs.replace(chosen, params=params)


def limits_of(given: Mapping[str, Any]) -> Limits:
    """Return the limits among some settings."""
    limits = {name: given[name] for name in _LIMITS if name in given}
    if given.get("max_iterations") is not None:
        if limits.get("max_turns") is not None:
            raise ParameterError(
                "max_iterations: another name of max_turns; give one of them",
                param="max_iterations",
            )
        limits["max_turns"] = given["max_iterations"]
    cost = limits.get("max_cost_usd")
    if isinstance(cost, str | int | float) and not isinstance(cost, bool):
        try:
            limits["max_cost_usd"] = Decimal(str(cost))
        except InvalidOperation:
            raise ParameterError(
                f"max_cost_usd: {cost!r} is no number", param="max_cost_usd"
            ) from None
    checked = Limits(**limits)
    check_limits(checked)
    return checked


def tools_of(
    given: Any, make_tool: Callable[[Any], Any], *, strict: bool = True
) -> tuple[dict[str, Any], list[Any]]:
    """Return the tools that can be run, by name, and all definitions for requests.

    Functions are made tools of. With `strict`, a definition whose tool nobody would run is an
    error.
    """
    if given is None:
        return {}, []
    if not hasattr(given, "__iter__") or isinstance(given, str | bytes) or hasattr(given, "keys"):
        raise ParameterError("tools: expected a list of tools", param="tools")
    runnable: dict[str, Any] = {}
    definitions: list[Any] = []
    names: dict[str, int] = {}
    for index, entry in enumerate(given):
        where = f"tools[{index}]"
        tool = entry
        if not isinstance(tool, RunnableTool) and not hasattr(tool, "keys") and callable(tool):
            tool = make_tool(tool)
        if isinstance(tool, RunnableTool):
            name: Any = tool.name
            definition = dict(tool.to_param())
            runnable[name] = tool
        elif hasattr(tool, "keys"):
            definition = dict(tool)
            name = definition.get("name")
            if strict and _CLIENT_TYPES.match(str(definition.get("type", "custom"))):
                raise ParameterError(
                    f"{where}: {name!r} has a definition and nothing that runs it; "
                    "give a function with @tool instead",
                    param=where,
                )
        else:
            raise ParameterError(
                f"{where}: expected a tool, a function or a definition of a tool of the service, "
                f"got {type(entry).__name__}",
                param=where,
            )
        if isinstance(name, str):
            if name in names:
                raise ParameterError(
                    f"{where}: the name {name!r} is taken by tools[{names[name]}]; "
                    "a name tells which tool is called, so give another one",
                    param=where,
                )
            names[name] = index
        definitions.append(definition)
    return runnable, definitions


def check_duration(name: str, value: Any) -> None:
    """Reject what is no number of seconds above 0, nor None."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and 0 < value < float("inf")):
        raise ParameterError(
            f"{name}: expected a number of seconds above 0, or None for no limit; got {value!r}",
            param=name,
        )


def _check_count(name: str, value: Any) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (whole and value > 0):
        raise ParameterError(
            f"{name}: expected a whole number above 0, or None for no limit; got {value!r}",
            param=name,
        )


def _manage_context(params: dict[str, Any], budget: Any) -> None:
    if budget is None:
        return
    _check_count("context_budget", budget)
    if params.get("context_management") is not None:
        raise ParameterError(
            "context_budget: context_management is given too; give one of them",
            param="context_budget",
        )
    params["context_management"] = {
        "edits": [
            {
                "type": "clear_tool_uses_20250919",
                "trigger": {"type": "input_tokens", "value": budget},
                "keep": {"type": "tool_uses", "value": _KEPT_TOOL_USES},
            }
        ]
    }
    betas: Any = params.get("betas") or ()
    listed: list[str] = [betas] if isinstance(betas, str) else list(betas)
    if CONTEXT_MANAGEMENT_BETA not in listed:
        params["betas"] = [*listed, CONTEXT_MANAGEMENT_BETA]


def _is_list(value: Any) -> bool:
    return hasattr(cast("object", value), "__iter__") and not isinstance(value, str | bytes | dict)
