"""`client.messages.run` and `tool_runner`: the shell around the loop in `apertis.tools.loop`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

import msgspec

from apertis.accounting.costs import has_price, message_cost
from apertis.accounting.spending import Request, dollars_of
from apertis.endpoints import messages as endpoint
from apertis.endpoints.messages import check_message
from apertis.endpoints.parameters import require_count
from apertis.errors import (
    APITimeoutError,
    BudgetExceededError,
    OutputError,
    OutputInvalidError,
    ParameterError,
)
from apertis.sansio.marks import NOT_GIVEN, is_absent
from apertis.sansio.timeouts import Timeout
from apertis.structured.asking import fault_text, run_output
from apertis.tools import checkpoint, loop, settings
from apertis.tools.context import ToolContext
from apertis.tools.progress import progress_of, progress_reporter
from apertis.tools.tasks import AsyncRunningCalls
from apertis.tools.tool import tool

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
    from typing import Self

    from apertis.aio.sender import Sender
    from apertis.aio.stream import AsyncMessageStream
    from apertis.models import Message, ParsedMessage
    from apertis.tools.loop import Run, RunResult
    from apertis.tools.settings import RunSettings

Item = TypeVar("Item")
T = TypeVar("T")


class AsyncToolRunner(Generic[Item]):
    """A run of tools: iterate over it for the messages of the model, or wait until it is done.

    Each step gives a message before its tools run, or with `stream=True` the stream of it. A run
    that waits for approval ends its iteration; `resume` goes on with it, in the same runner.
    """

    def __init__(
        self,
        messages: Any,
        sender: Sender,
        given: RunSettings,
        run: Run,
        seconds: float = 0.0,
    ) -> None:
        check_message({**given.params, "messages": list(run.messages)})
        limit, prices = given.limits.max_cost_usd, sender.settings.prices
        if limit is not None and not has_price(given.params["model"], prices):
            raise ParameterError(
                f"max_cost_usd: no price is known for the model {given.params['model']!r}, "
                "so what the run costs cannot be limited; use max_total_tokens",
                param="max_cost_usd",
            )
        self._messages = messages
        self._sender = sender
        self._settings = given
        self._run = run
        self._before = seconds
        self._started: float | None = None
        self._report = progress_reporter(given.progress)
        self._stream: AsyncMessageStream | None = None
        self._waits = False
        self._closed = False
        self._repairs = 0
        self._steps = self._iterate()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.result!r}>"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        return await anext(self._steps)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @overload
    async def until_done(self: AsyncToolRunner[ParsedMessage[T]]) -> ParsedMessage[T]: ...
    @overload
    async def until_done(self) -> Message: ...
    async def until_done(self) -> Any:
        """Run until the end, or until a call waits for approval; return the last message.

        Raises:
            OutputError: The final answer is not of the `output_format`.
        """
        async for _ in self._steps:
            pass
        if self._run.message is None:
            limit = self._run.reason
            if limit in {"max_total_tokens", "max_cost_usd"}:
                raise ParameterError(
                    f"{limit}: the first request alone could exceed the limit of "
                    f"{getattr(self._settings.limits, limit)}; lower max_tokens, shorten the "
                    "prompt, or raise the limit",
                    param=limit,
                )
            raise ParameterError("the run was closed before the model said anything")
        if self._run.reason == self._run.message.stop_reason:
            # One that a checkpoint held was not read yet.
            self._read(self._run.message)
        return self._run.message

    @property
    def result(self) -> RunResult:
        """The result so far: why the run ended, and the sums of its turns.

        `reason` is `approval` where it waits for `resume`, and `unfinished` before its end.
        """
        reason = self._run.reason or "unfinished"
        if self._run.is_open:
            reason = "unfinished"
        if self._waits:
            reason = "approval"
        elif self._closed and reason == "unfinished":
            reason = "closed"
        return loop.result_of(self._run, self._seconds(), reason)

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the next request."""
        return {**self._settings.params, "messages": list(self._run.messages)}

    def set_messages_params(
        self, params: Mapping[str, Any] | Callable[[dict[str, Any]], Mapping[str, Any]]
    ) -> None:
        """Set the parameters of the next requests: all of them, or a function of those so far.

        What is left out is no longer sent, but for `betas`, `user_profile_id`, `workspace_id` and
        the messages.
        """
        now = self.params
        given: dict[str, Any] = {**(params(now) if callable(params) else params)}
        kept = ("betas", "user_profile_id", "workspace_id")
        given = {name: now[name] for name in kept if name in now} | given
        messages = given.pop("messages", now["messages"])
        tools = dict(self._settings.tools)
        if "tools" in given:
            runnable, given["tools"] = settings.tools_of(given["tools"], tool, strict=False)
            names = {definition.get("name") for definition in given["tools"]}
            # A definition keeps what ran under its name.
            tools = {name: tool for name, tool in tools.items() if name in names} | runnable
        check_message({**given, "messages": messages})
        self._settings = msgspec.structs.replace(self._settings, params=given, tools=tools)
        self._run = msgspec.structs.replace(self._run, messages=tuple(messages))

    def append_messages(self, *messages: Any) -> None:
        """Add messages to the conversation.

        In the body of a loop the turn is the program's from then on: neither the model's message
        nor the results of its calls are added by the runner, and no further call of it runs.
        """
        in_turn = self._stream is not None or self._run.is_open
        self._run = loop.appended(self._run, messages, owns=in_turn)

    async def generate_tool_call_response(self) -> dict[str, Any] | None:
        """Run the calls of the last message now, and return the message with their results.

        No call runs twice. None if there are none, or if one waits for approval.
        """
        await self._take_stream()
        if not self._run.is_open:
            return None
        while True:
            self._run, action = loop.proceed(self._run, self._settings.limits, self._seconds())
            if isinstance(action, loop.Decide) and not await self._decide(action.places):
                return None
            if isinstance(action, loop.Execute):
                await self._execute(action.places)
            if isinstance(action, loop.Stop):
                return loop.results_message(self._run)

    def resume(self, decisions: Mapping[str, object] | None = None) -> Self:
        """Go on with a run that waits for approval, or that an error interrupted.

        `decisions` has one for each call that waits, by its id: True, False, `Allow(input=...)`,
        `Deny(reason)`, or the same as JSON.
        """
        run = loop.recovered(self._run, self._settings.idempotent)
        if decisions is not None:
            for place, decision in loop.decisions_for(run, decisions).items():
                run = loop.decided(run, place, decision)
        self._run = run
        self._waits = self._closed = False
        self._stream = None
        self._steps = self._iterate()
        return self

    def checkpoint(self) -> str:
        """Return the checkpoint of the run, a JSON document that `messages.resume` takes."""
        return checkpoint.written(self._run, self._settings, self._seconds()).decode()

    async def close(self) -> None:
        """Stop the run. What was running is cancelled; the run can be resumed."""
        self._closed = True
        await self._steps.aclose()

    def _seconds(self) -> float:
        passed = 0.0 if self._started is None else time.monotonic() - self._started
        return self._before + passed

    def _stop_clock(self) -> None:
        self._before = self._seconds()
        self._started = None

    async def _iterate(self) -> AsyncGenerator[Item, None]:
        AsyncRunningCalls.prepare()
        self._started = time.monotonic()
        try:
            while not self._closed:
                self._run, action = loop.advance(self._run, self._settings.limits, self._seconds())
                if isinstance(action, loop.Ask):
                    self._reserve()
                    if self._run.reason is not None:
                        continue
                    if self._settings.stream:
                        async with self._messages.stream(**self._request()) as stream:
                            self._stream = stream
                            yield cast("Item", stream)
                            await self._take_stream()
                        continue
                    message = await self._ask()
                    if message is None:
                        continue
                    await self._take(message)
                    yield cast("Item", message)
                elif isinstance(action, loop.Decide):
                    if not await self._decide(action.places):
                        self._waits = True
                        await self._save()
                        return
                elif isinstance(action, loop.Execute):
                    await self._execute(action.places)
                else:
                    await self._save()
                    return
        finally:
            self._stop_clock()

    def _reserve(self) -> None:
        """End the run if the next request could exceed its limit of tokens or of cost."""
        limits = self._settings.limits
        if limits.max_total_tokens is None and limits.max_cost_usd is None:
            return
        body = endpoint.create(self.params).body or b""
        request = Request(body, self._sender.settings.prices)
        cost = None
        if limits.max_cost_usd is not None:
            try:
                cost = dollars_of(request.most)
            except BudgetExceededError:
                # Without a price there is no bound.
                cost = None
        self._run = loop.reserved(self._run, limits, request.most_tokens, cost)

    def _request(self) -> dict[str, Any]:
        params = self.params
        if self._settings.limits.max_seconds is not None:
            left = max(self._settings.limits.max_seconds - self._seconds(), 0.001)
            given = params.get("timeout", NOT_GIVEN)
            if given is NOT_GIVEN:
                given = self._sender.settings.timeout
            limits = Timeout.of(given, streamed=self._settings.stream)
            total = left if limits.total is None else min(left, limits.total)
            params["timeout"] = Timeout(
                connect=limits.connect, response=limits.response, idle=limits.idle, total=total
            )
        return params

    async def _ask(self) -> Message | None:
        try:
            message: Message = await self._messages.create(**self._request())
        except APITimeoutError:
            limit = self._settings.limits.max_seconds
            if limit is None or self._seconds() < limit:
                raise
            # The time of the run was up before the answer came.
            self._run = msgspec.structs.replace(self._run, reason="max_seconds")
            return None
        return message

    async def _take_stream(self) -> None:
        if self._stream is not None:
            stream = self._stream
            message = await stream.get_final_message()
            self._stream = None
            await self._take(message)

    async def _take(self, message: Message) -> None:
        cost = message_cost(message)
        self._run = loop.answered(self._run, message, cost, self._settings.tools)
        params = self._settings.params
        if "tool_choice" in params and not self._settings.keep_tool_choice:
            freed = {**params, "tool_choice": loop.freed_choice(params["tool_choice"])}
            self._settings = msgspec.structs.replace(self._settings, params=freed)
        try:
            if self._run.reason is not None:
                self._read(message)
        except OutputInvalidError as error:
            if self._repairs >= self._settings.repair:
                raise
            self._repairs += 1
            self._run = loop.corrected(self._run, fault_text(error))
        finally:
            await self._save()

    def _read(self, message: Message) -> None:
        """Give the final answer its value."""
        if self._settings.output is None or "_parsed_output" in message.__dict__:
            return
        try:
            self._settings.output.read(message)
        except OutputError as error:
            error.usage = self._run.usage
            raise

    async def _decide(self, places: Iterable[int]) -> bool:
        """Ask for approval where it is due; return whether every call was decided on."""
        run = self._run
        everything = True
        for place in places:
            call = run.calls[place]
            decision: object = True
            if self._settings.approve is not None:
                wanted = loop.ToolCall(id=call.id, name=call.name, input=call.input)
                decision = self._settings.approve(wanted)
                if hasattr(decision, "__await__"):
                    decision = await cast("Any", decision)
            elif self._settings.needs_approval(call.name):
                decision = None
            if decision is None:
                everything = False
            else:
                said = loop.decision_of(decision, "approve")
                self._run = loop.decided(self._run, place, said)
        return everything

    async def _execute(self, places: tuple[int, ...]) -> None:
        """Run calls at the same time, as far as the limit lets them."""
        waiting = deque(places)
        limit = self._settings.max_concurrent_calls or len(places)
        running = AsyncRunningCalls()
        try:
            while waiting or len(running):
                starting: list[int] = []
                while waiting and len(running) + len(starting) < limit and self._left() != 0:
                    starting.append(waiting.popleft())
                for place in starting:
                    self._run = loop.begun(self._run, place)
                if starting:
                    await self._save()
                for place in starting:
                    self._start(running, place, alone=limit == 1)
                if not len(running):
                    # The time is up; the loop says so of those that wait.
                    return
                done = await running.next()
                self._run = loop.finished(
                    self._run, done.place, done.content, done.outcome, done.seconds
                )
                await self._save()
        finally:
            await running.abandon()

    def _start(self, running: AsyncRunningCalls, place: int, *, alone: bool) -> None:
        call = self._run.calls[place]
        tool = self._settings.tools[call.name]
        limits = (self._settings.timeout_of(call.name), self._left())
        timeout = min((limit for limit in limits if limit is not None), default=None)
        context = ToolContext(call.id, call.name, timeout)
        start = running.start_alone if alone and timeout is None else running.start
        start(place, tool, call.input, context)

    def _left(self) -> float | None:
        """Return the seconds that the run has left; None for no limit."""
        limit = self._settings.limits.max_seconds
        return None if limit is None else max(limit - self._seconds(), 0.0)

    async def _save(self) -> None:
        if self._report is not None:
            self._report(progress_of(self._run, self._seconds()))
        target = self._settings.checkpoint
        if target is None:
            return
        data = checkpoint.written(self._run, self._settings, self._seconds())
        if not callable(target):
            await asyncio.to_thread(checkpoint.write_file, target, data)
            return
        kept: Any = target(data.decode())
        if hasattr(kept, "__await__"):
            await kept


def run(
    messages: Any, sender: Sender, given: Mapping[str, Any], *, serial: bool = False
) -> AsyncToolRunner[Any]:
    """Return a runner that begins a run."""
    chosen = settings.settings_of(given, tool, serial=serial)
    check_message({**chosen.params, "messages": given.get("messages", NOT_GIVEN)})
    chosen = _with_output(chosen, given)
    checkpoint.check_target(chosen.checkpoint)
    return AsyncToolRunner(messages, sender, chosen, loop.Run(messages=chosen.messages))


def resume(
    messages: Any,
    sender: Sender,
    source: Any,
    decisions: Mapping[str, object] | None,
    given: Mapping[str, Any],
) -> AsyncToolRunner[Any]:
    """Return a runner that goes on from a checkpoint."""
    found = checkpoint.read(source)
    chosen = settings.resumed_settings(found.settings, found.tools, given, tool)
    if chosen.checkpoint is None and checkpoint.is_path(source):
        # The file that it was read from goes on to be its checkpoint.
        chosen = msgspec.structs.replace(chosen, checkpoint=source)
    # The request has its format from the checkpoint.
    kept = chosen.params
    bare = {name: value for name, value in kept.items() if name != "output_config"}
    chosen = _with_output(msgspec.structs.replace(chosen, params=bare), given)
    chosen = msgspec.structs.replace(chosen, params=kept)
    runner = AsyncToolRunner[Any](messages, sender, chosen, found.run, found.seconds)
    return runner.resume(decisions)


def _with_output(chosen: RunSettings, given: Mapping[str, Any]) -> RunSettings:
    """Return the settings with what is asked of the final answer."""
    kind, repair = given.get("output_format"), given.get("repair")
    repairs = 0 if repair is None or is_absent(repair) else require_count(given, "repair")
    if kind is None or is_absent(kind):
        return chosen
    if isinstance(kind, dict):
        # The field of an earlier beta, which is sent as it is.
        params: dict[str, Any] = {**chosen.params, "output_format": kind}
        return msgspec.structs.replace(chosen, params=params)
    output = run_output(kind, chosen.params)
    return msgspec.structs.replace(chosen, output=output, params=output.params, repair=repairs)
