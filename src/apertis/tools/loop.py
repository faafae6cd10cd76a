"""The loop of a run of tools as a state machine: no I/O, no clock.

Theory of operation. A `Run` is a frozen value: the conversation as it was last sent, the response
to it while that is open, the calls that the response wants, and the sums of all turns. `advance`
says what a shell is to do next, and the shell tells what came of it:

    Ask      send the conversation; `answered` takes the response in
    Decide   say of each call whether it may run; `decided`
    Execute  run calls: `begun` when each begins, `finished` when it has a result
    Stop     the run has ended; `Run.reason` says why

A response is open until all of its calls have results. Then the response and one user message with
the results, in the order of the calls, become part of the conversation: both or neither. Each
`tool_use` has therefore exactly one `tool_result`, also where a call was denied, names no tool, or
is never run because the response was cut off or the time is up; the result then says so.

Calls are told apart by their place in the response: an id is the model's word and could come
twice.
What a shell lost while a call ran is told by `recovered`: a call that had begun and has no result
is interrupted, and runs again only if its tool says that this does no harm.

A program may own a turn (`appended`): what it appended then stands for response and results.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import msgspec

from apertis.errors import ParameterError
from apertis.models import Message, ServerToolUsage, ToolUseBlock, Usage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

Status: TypeAlias = Literal["wanted", "allowed", "begun", "finished"]
Outcome: TypeAlias = Literal[
    "ok", "error", "timeout", "denied", "unknown_tool", "interrupted", "not_run"
]

# The response is whole, and the model waits for results; or the service gave the turn back unended.
_GO_ON = frozenset({"tool_use", "pause_turn", "compaction"})

_replace = msgspec.structs.replace


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that the model wants: what an approval is about."""

    id: str
    name: str
    input: dict[str, Any]


class ToolCallRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call that is over, with the input that it ran with; `seconds` is how long it took."""

    id: str
    name: str
    input: dict[str, Any]
    outcome: Outcome
    seconds: float
    turn: int


class Allow(msgspec.Struct, frozen=True):
    """Let a call run; `input` replaces what the model wanted to give it."""

    input: dict[str, Any] | None = None


class Deny(msgspec.Struct, frozen=True):
    """Do not run a call. The model reads the reason."""

    reason: str | None = None


class CallState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call of the open response, and how far it is."""

    id: str
    name: str
    input: dict[str, Any]
    status: Status = "wanted"
    outcome: Outcome = "ok"
    result: dict[str, Any] | None = None
    seconds: float = 0.0


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of a run; None for none. Each is looked at before a request is sent.

    For tokens and cost that is with the most that the request may add.
    """

    max_turns: int | None = None
    max_total_tokens: int | None = None
    max_cost_usd: Decimal | None = None
    max_seconds: float | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run between two steps."""

    messages: tuple[Any, ...]
    message: Message | None = None
    is_open: bool = False
    is_owned: bool = False
    calls: tuple[CallState, ...] = ()
    records: tuple[ToolCallRecord, ...] = ()
    turns: int = 0
    usage: Usage = Usage(input_tokens=0, output_tokens=0)
    cost: Decimal | None = Decimal(0)
    reason: str | None = None


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a run, or the place where it waits for approval.

    `reason` is the stop reason of the last message (`end_turn`, `max_tokens`, `refusal`, ...), the
    limit that ended it (`max_turns`, `max_total_tokens`, `max_cost_usd`, `max_seconds`), or
    `approval`: `pending` then has the calls that wait. `messages` is the whole conversation, which
    can be sent on. `usage` and `cost` are those of all turns; `cost` is None where a price is
    unknown.
    """

    reason: str
    message: Message | None
    messages: list[Any]
    usage: Usage
    cost: Decimal | None
    turns: int
    tool_calls: tuple[ToolCallRecord, ...]
    seconds: float
    pending: tuple[ToolCall, ...] = ()

    def __repr__(self) -> str:
        # The rest is what a user and a model said.
        return (
            f"RunResult(reason={self.reason!r}, turns={self.turns}, "
            f"tool_calls={len(self.tool_calls)}, cost={self.cost}, seconds={self.seconds:.3f})"
        )


class Ask(msgspec.Struct, frozen=True):
    """Send the conversation."""


class Decide(msgspec.Struct, frozen=True):
    """Say of these calls, by their places, whether they may run."""

    places: tuple[int, ...]


class Execute(msgspec.Struct, frozen=True):
    """Run these calls, by their places."""

    places: tuple[int, ...]


class Stop(msgspec.Struct, frozen=True):
    """The run has ended."""


Action: TypeAlias = Ask | Decide | Execute | Stop
_ASK, _STOP = Ask(), Stop()


def advance(run: Run, limits: Limits, seconds: float) -> tuple[Run, Action]:
    """Return what is to be done next; `seconds` is how long the run has taken so far."""
    if run.is_open:
        run, action = proceed(run, limits, seconds)
        if not isinstance(action, Stop):
            return run, action
        run = _closed(run)
    reason = run.reason or _limit(run, limits, seconds)
    if reason is None:
        return run, _ASK
    return (run if run.reason else _replace(run, reason=reason)), _STOP


def reserved(run: Run, limits: Limits, tokens: int, cost: Decimal | None) -> Run:
    """Return the run, ended if a request of at most `tokens` and `cost` could exceed a limit.

    A cost of None may be any.
    """
    most = limits.max_total_tokens
    if most is not None and total_tokens(run.usage) + tokens > most:
        return _replace(run, reason="max_total_tokens")
    allowed = limits.max_cost_usd
    if allowed is not None and (run.cost is None or cost is None or run.cost + cost > allowed):
        return _replace(run, reason="max_cost_usd")
    return run


def proceed(run: Run, limits: Limits, seconds: float) -> tuple[Run, Action]:
    """Return what is to be done next for the open response; `Stop` when all calls have results."""
    if run.is_owned:
        # The program has the turn: no result would be sent.
        return run, _STOP
    if limits.max_seconds is not None and seconds >= limits.max_seconds:
        run = _not_run(run, "the time of the run was up")
    if places := _places(run, "wanted"):
        return run, Decide(places)
    if places := _places(run, "allowed"):
        return run, Execute(places)
    return run, _STOP


def answered(run: Run, message: Message, cost: Decimal | None, tools: Collection[str]) -> Run:
    """Take in the response to the conversation; `tools` are the names that can be run."""
    wanted = [block for block in message.content if isinstance(block, ToolUseBlock)]
    goes_on = message.stop_reason in _GO_ON and bool(message.content)
    if message.stop_reason == "tool_use" and not wanted:
        goes_on = False
    run = _replace(
        run,
        message=message,
        is_open=True,
        calls=tuple(
            CallState(id=block.id, name=block.name, input=block.input)
            if block.name in tools
            else _unknown(block, tools)
            for block in wanted
        ),
        turns=run.turns + 1,
        usage=_sum(run.usage, message.usage),
        cost=None if run.cost is None or cost is None else run.cost + cost,
        reason=None if goes_on else message.stop_reason or "unknown",
    )
    # What was cut off may not be what the model meant.
    return run if goes_on else _not_run(run, f"the response ended with {message.stop_reason}")


def decided(run: Run, place: int, decision: Allow | Deny) -> Run:
    """Take in whether a call may run."""
    call = run.calls[place]
    if isinstance(decision, Allow):
        changed = call.input if decision.input is None else decision.input
        return _with(run, place, _replace(call, status="allowed", input=changed))
    why = f": {decision.reason}" if decision.reason else "."
    return finished(run, place, f"The call was denied{why}", "denied", 0.0)


def begun(run: Run, place: int) -> Run:
    """Mark a call as begun."""
    return _with(run, place, _replace(run.calls[place], status="begun"))


def finished(run: Run, place: int, content: Any, outcome: Outcome, seconds: float) -> Run:
    """Take in the result of a call; `content` is text or a list of blocks."""
    return _with(run, place, _ended(run.calls[place], content, outcome, seconds))


def recovered(run: Run, idempotent: Collection[str]) -> Run:
    """Return the run after its shell was lost; tools with these names may run again."""
    for place, call in enumerate(run.calls):
        if call.status == "begun":
            if call.name in idempotent:
                run = _with(run, place, _replace(call, status="allowed"))
            else:
                text = (
                    "The call was interrupted: it had begun, and whether it was carried out is not "
                    "known. Look at what it has done before it is called again."
                )
                run = finished(run, place, text, "interrupted", 0.0)
    return run


def appended(run: Run, messages: Iterable[Any], *, owns: bool) -> Run:
    """Add messages of the program; with `owns` it has the turn from now on."""
    return _replace(run, messages=(*run.messages, *messages), is_owned=run.is_owned or owns)


def corrected(run: Run, text: str) -> Run:
    """Ask for the final answer again; `text` says why."""
    run = _closed(run)
    return _replace(run, messages=(*run.messages, {"role": "user", "content": text}), reason=None)


def results_message(run: Run) -> dict[str, Any] | None:
    """Return the user message with the results of the open response; None if it wants none."""
    results = [call.result for call in run.calls if call.result is not None]
    return {"role": "user", "content": results} if results else None


def pending(run: Run) -> tuple[ToolCall, ...]:
    """Return the calls that nobody decided on yet."""
    calls = (run.calls[place] for place in _places(run, "wanted"))
    return tuple(ToolCall(id=call.id, name=call.name, input=call.input) for call in calls)


def result_of(run: Run, seconds: float, reason: str) -> RunResult:
    """Return what is to be told of a run that has ended or waits."""
    return RunResult(
        reason=reason,
        message=run.message,
        messages=[*run.messages],
        usage=run.usage,
        cost=run.cost,
        turns=run.turns,
        tool_calls=run.records,
        seconds=seconds,
        pending=pending(run),
    )


def decision_of(value: object, where: str) -> Allow | Deny:
    """Return the decision that a value says: a bool, `Allow`, `Deny`, or the same as JSON."""
    if isinstance(value, Allow | Deny):
        return value
    if isinstance(value, bool):
        return Allow() if value else Deny()
    if isinstance(value, dict):
        said = cast("dict[str, Any]", value)
        allow = said.get("allow")
        fitting = {"allow", "input"} if allow else {"allow", "reason"}
        if isinstance(allow, bool) and said.keys() <= fitting:
            return Allow(said.get("input")) if allow else Deny(said.get("reason"))
    raise ParameterError(
        f"{where}: expected True, False, Allow(...), Deny(...), "
        '{"allow": true, "input": {...}} or {"allow": false, "reason": "..."}, '
        f"got {value!r}",
        param=where,
    )


def decisions_for(run: Run, decisions: Mapping[str, object]) -> dict[int, Allow | Deny]:
    """Return the decisions by place; one for each call that waits, and for no other."""
    waiting = _places(run, "wanted")
    known = {run.calls[place].id for place in waiting}
    if unknown := sorted(decisions.keys() - known):
        raise ParameterError(
            f"decisions: no call waits under the id {unknown[0]!r}; "
            f"waiting: {', '.join(sorted(known)) or 'none'}",
            param="decisions",
        )
    if missing := [run.calls[p] for p in waiting if run.calls[p].id not in decisions]:
        raise ParameterError(
            f"decisions: none for {missing[0].id!r}, a call of {missing[0].name!r}; "
            "give one for each call that waits",
            param="decisions",
        )
    return {
        place: decision_of(decisions[run.calls[place].id], f"decisions[{run.calls[place].id!r}]")
        for place in waiting
    }


def total_tokens(usage: Usage) -> int:
    """Return all tokens of a usage: read, written to and from the cache, and generated."""
    cached = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
    return usage.input_tokens + cached + usage.output_tokens


def freed_choice(choice: object) -> object:
    """Return the tool choice after a turn that was forced to call a tool: the model may choose.

    Else it would have to call a tool for ever.
    """
    if not isinstance(choice, dict):
        return choice
    kept = cast("dict[str, Any]", choice)
    if kept.get("type") not in {"any", "tool"}:
        return kept
    return {"type": "auto"} | {k: v for k, v in kept.items() if k == "disable_parallel_tool_use"}


def check_limits(limits: Limits) -> None:
    """Reject limits that would let nothing run."""
    for name in limits.__struct_fields__:
        value = getattr(limits, name)
        whole = name in {"max_turns", "max_total_tokens"}
        kinds = int if whole else (int, float, Decimal)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, kinds) or not value > 0:
            raise ParameterError(
                f"{name}: expected a {'whole number' if whole else 'number'} above 0, "
                f"or None for no limit; got {value!r}",
                param=name,
            )


def _places(run: Run, status: Status) -> tuple[int, ...]:
    return tuple(place for place, call in enumerate(run.calls) if call.status == status)


def _with(run: Run, place: int, call: CallState) -> Run:
    return _replace(run, calls=(*run.calls[:place], call, *run.calls[place + 1 :]))


def _ended(call: CallState, content: Any, outcome: Outcome, seconds: float) -> CallState:
    result = {"type": "tool_result", "tool_use_id": call.id, "content": content}
    if outcome != "ok":
        result["is_error"] = True
    return _replace(call, status="finished", outcome=outcome, result=result, seconds=seconds)


def _unknown(block: ToolUseBlock, tools: Collection[str]) -> CallState:
    there = f"The tools are: {', '.join(sorted(tools))}." if tools else "There are no tools."
    call = CallState(id=block.id, name=block.name, input=block.input)
    return _ended(call, f"There is no tool named {block.name!r}. {there}", "unknown_tool", 0.0)


def _not_run(run: Run, why: str) -> Run:
    for place, call in enumerate(run.calls):
        if call.status in {"wanted", "allowed"}:
            run = finished(run, place, f"The call was not run: {why}.", "not_run", 0.0)
    return run


def _closed(run: Run) -> Run:
    added: Sequence[Any] = ()
    if not run.is_owned and run.message is not None and run.message.content:
        results = results_message(run)
        added = (run.message.to_param(), results) if results else (run.message.to_param(),)
    over = (
        ToolCallRecord(
            id=call.id,
            name=call.name,
            input=call.input,
            outcome=call.outcome,
            seconds=call.seconds,
            turn=run.turns,
        )
        for call in run.calls
        if call.status == "finished"
    )
    return _replace(
        run,
        messages=(*run.messages, *added),
        is_open=False,
        is_owned=False,
        calls=(),
        records=(*run.records, *over),
    )


def _limit(run: Run, limits: Limits, seconds: float) -> str | None:
    if limits.max_turns is not None and run.turns >= limits.max_turns:
        return "max_turns"
    if limits.max_total_tokens is not None and total_tokens(run.usage) >= limits.max_total_tokens:
        return "max_total_tokens"
    # A cost that is not known may be any.
    if limits.max_cost_usd is not None and (run.cost is None or run.cost >= limits.max_cost_usd):
        return "max_cost_usd"
    if limits.max_seconds is not None and seconds >= limits.max_seconds:
        return "max_seconds"
    return None


_COUNTERS = (
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
)


def _sum(one: Usage, other: Usage) -> Usage:
    counters: dict[str, Any] = {
        name: _plus(getattr(one, name), getattr(other, name)) for name in _COUNTERS
    }
    first, second = one.server_tool_use, other.server_tool_use
    if first is None or second is None:
        requests = first or second
    else:
        requests = ServerToolUsage(
            web_search_requests=first.web_search_requests + second.web_search_requests,
            web_fetch_requests=first.web_fetch_requests + second.web_fetch_requests,
        )
    return Usage(**counters, server_tool_use=requests)


def _plus(one: int | None, other: int | None) -> int | None:
    return one if other is None else (one or 0) + other
