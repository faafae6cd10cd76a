"""The methods of `client.messages` and `client.models`."""

from __future__ import annotations

import sys
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, cast, overload

from apertis.aio.pages import AsyncPages
from apertis.aio.stream import (
    AsyncMessageStream,
    AsyncMessageStreamManager,
    AsyncStream,
    EventSource,
)
from apertis.endpoints import batches, messages, models
from apertis.endpoints.parameters import takes
from apertis.errors import APIError
from apertis.sansio.marks import is_absent

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Coroutine,
        Mapping,
        Sequence,
    )
    from typing import Concatenate, Unpack

    from apertis.aio.pages import AsyncPage
    from apertis.aio.raw import AsyncAPIResponse, AsyncRawCalls
    from apertis.aio.runner import AsyncToolRunner
    from apertis.aio.sender import Sender
    from apertis.endpoints.batch_runs import BatchRun
    from apertis.models import (
        DeletedMessageBatch,
        Message,
        MessageBatch,
        MessageBatchIndividualResponse,
        MessageTokensCount,
        ModelInfo,
        ParsedMessage,
    )
    from apertis.params import (
        BatchCreateParams,
        BatchRequestParam,
        CountTokensParams,
        CreateParams,
        ListParams,
        ModelListParams,
        OptionParams,
        ResumeParams,
        RunParams,
        StreamParams,
        ToolRunnerParams,
    )
    from apertis.sansio.call import Call
    from apertis.structured.output import OutputFormat, Via

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")


class AsyncHTTPResponses:
    """The responses of calls as HTTP: for `async with` blocks, wherever they can be had raw."""

    @cached_property
    def with_streaming_response(self) -> AsyncWithStreamingResponse:
        """The same as `with_raw_response`, for `async with` blocks."""
        own: Any = self
        return AsyncWithStreamingResponse(own.with_raw_response)


class AsyncBatches(AsyncHTTPResponses):
    """`client.messages.batches`."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    @cached_property
    def with_raw_response(self) -> AsyncBatchesWithRawResponse:
        """The same methods, which return the HTTP response."""
        return AsyncBatchesWithRawResponse(self._sender)

    @takes("BatchCreateParams")
    async def create(self, **params: Unpack[BatchCreateParams]) -> MessageBatch:
        """Create a batch; its results come within a day."""
        return await self._sender.send(batches.create(params))

    @takes("OptionParams")
    async def retrieve(
        self, message_batch_id: str, **options: Unpack[OptionParams]
    ) -> MessageBatch:
        """Return the current state of a batch."""
        return await self._sender.send(batches.retrieve(message_batch_id, options))

    @takes("ListParams")
    def list(self, **params: Unpack[ListParams]) -> AsyncPages[MessageBatch]:
        """List the batches, newest first; iterating continues over all pages."""
        return AsyncPages(self._sender, batches.list_, params)

    @takes("OptionParams")
    async def cancel(self, message_batch_id: str, **options: Unpack[OptionParams]) -> MessageBatch:
        """Cancel a batch; it is returned in its new state."""
        return await self._sender.send(batches.cancel(message_batch_id, options))

    @takes("OptionParams")
    async def delete(
        self, message_batch_id: str, **options: Unpack[OptionParams]
    ) -> DeletedMessageBatch:
        """Delete a batch that has ended."""
        return await self._sender.send(batches.delete(message_batch_id, options))

    @takes("OptionParams")
    async def results(
        self, message_batch_id: str, **options: Unpack[OptionParams]
    ) -> AsyncIterator[MessageBatchIndividualResponse]:
        """Return the results of an ended batch, one at a time as they are read; in no order."""
        return await self._sender.lines(batches.results(message_batch_id, options))

    @takes("OptionParams")
    async def wait(
        self,
        message_batch_id: str,
        *,
        poll_interval: float = 30.0,
        max_wait: float | None = None,
        progress: bool | Callable[[MessageBatch], Any] | None = None,
        **options: Unpack[OptionParams],
    ) -> MessageBatch:
        """Wait until the batch has ended and return it; ask every `poll_interval` seconds.

        `progress` is a function that is told each state of the batch, or True for a bar by `tqdm`
        (the extra `progress`). A service that fails for a while ends no wait.

        Raises:
            APITimeoutError: It has not ended after `max_wait` seconds; `deadline` is "total".
        """
        from apertis.endpoints import batch_runs

        batches.check_wait(poll_interval, max_wait)
        report = batch_runs.progress_reporter(progress)
        started, failures, batch = time.monotonic(), 0, None
        while True:
            try:
                batch = await self.retrieve(message_batch_id, **options)
                failures = 0
            except APIError as error:
                failures += 1
                if not batch_runs.is_passing(error, failures):
                    raise
            if batch is not None and not failures:
                if report is not None:
                    report(batch)
                if batches.ended(batch):
                    return batch
            waited = time.monotonic() - started
            if max_wait is not None and waited + poll_interval > max_wait:
                raise batches.not_ended_error(message_batch_id, batch, max_wait)
            await self._sender.transport.sleep(poll_interval)

    @takes("OptionParams")
    async def run(
        self,
        requests: Sequence[BatchRequestParam] | None = None,
        *,
        batch_id: str | None = None,
        poll_interval: float = 30.0,
        max_wait: float | None = None,
        progress: bool | Callable[[MessageBatch], Any] | None = None,
        **options: Unpack[OptionParams],
    ) -> BatchRun:
        """Create a batch, wait for its end, and return its results in the order of the requests.

        With `batch_id` it goes on with a batch that was created earlier, of the same requests.
        `poll_interval`, `max_wait` and `progress` are those of `wait`.

        Raises:
            ParameterError: Two requests have one `custom_id`, or one has none.
            APITimeoutError: It has not ended after `max_wait` seconds; its text names the batch.
        """
        from apertis.endpoints import batch_runs

        names = batch_runs.names_of(requests, batch_id)
        batches.check_wait(poll_interval, max_wait)
        batch_runs.progress_reporter(None if progress is True else progress)
        if batch_id is None:
            batch_id = (await self.create(requests=requests or (), **options)).id
        batch = await self.wait(
            batch_id,
            poll_interval=poll_interval,
            max_wait=max_wait,
            progress=progress,
            **options,
        )
        found: dict[str, MessageBatchIndividualResponse] = {}
        async for entry in await self.results(batch_id, **options):
            found[entry.custom_id] = entry
        return batch_runs.in_order(batch, names, found)


class AsyncMessages(AsyncHTTPResponses):
    """`client.messages`."""

    if TYPE_CHECKING:
        batches: AsyncBatches
    else:
        # Each has its own; `Mock(spec=...)` looks here.
        batches = AsyncBatches

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self.batches = AsyncBatches(sender)

    @cached_property
    def with_raw_response(self) -> AsyncMessagesWithRawResponse:
        """The same methods, which return the HTTP response."""
        return AsyncMessagesWithRawResponse(self._sender)

    @overload
    async def create(
        self, *, stream: Literal[False] | None = None, **params: Unpack[CreateParams]
    ) -> Message: ...
    @overload
    async def create(
        self, *, stream: Literal[True], **params: Unpack[CreateParams]
    ) -> AsyncStream: ...
    @overload
    async def create(
        self, *, stream: bool, **params: Unpack[CreateParams]
    ) -> Message | AsyncStream: ...
    @takes("CreateParams")
    async def create(
        self, *, stream: bool | None = None, **params: Unpack[CreateParams]
    ) -> Message | AsyncStream:
        """Send a request and return the model's message; with `stream=True`, its events.

        `max_tokens` above 21,333 is streamed underneath, so that no proxy cuts a silent
        connection; what comes back is the same. The parameters are those of
        https://docs.claude.com/en/api/messages; each is explained in `apertis.params`.

        Raises:
            ParameterError: A parameter is missing or cannot be sent.
            APIStatusError: The service rejected or failed.
            APIConnectionError: No complete answer came.
            APIResponseError: The response cannot be read.
        """
        if stream is True:
            return AsyncStream(await open_events(self._sender, messages.stream(params)))
        given: dict[str, Any] = {**params}
        if stream is not None and not is_absent(stream):
            given["stream"] = stream
        call = messages.create(given)
        if not call.streamed:
            return await self._sender.send(call)
        answer = await self._sender.open(call)
        if isinstance(answer, EventSource):
            return await AsyncMessageStream(answer).get_final_message()
        return answer

    @overload
    async def parse(
        self,
        *,
        output_format: type[T],
        via: Via | None = None,
        repair: int = 0,
        repair_max_tokens: int | None = None,
        **params: Unpack[CreateParams],
    ) -> ParsedMessage[T]: ...
    @overload
    async def parse(
        self,
        *,
        output_format: Any = None,
        via: Via | None = None,
        repair: int = 0,
        repair_max_tokens: int | None = None,
        **params: Unpack[CreateParams],
    ) -> ParsedMessage[Any]: ...
    @takes("CreateParams")
    async def parse(
        self,
        *,
        output_format: Any = None,
        via: Via | None = None,
        repair: int = 0,
        repair_max_tokens: int | None = None,
        **params: Unpack[CreateParams],
    ) -> ParsedMessage[Any]:
        """Send a request whose response is a value of a type: `parsed_output` of the message.

        `output_format` is a dataclass, a TypedDict, a `msgspec.Struct`, a pydantic model, or lists
        and unions of these. An answer that is not of the type is asked for again up to `repair`
        times, with the fault, as long as the repairs use no more than `repair_max_tokens` tokens.
        `via` is `"output_config"` or `"tool"`; by default what the model takes.

        Raises:
            OutputError: The answer was cut off, refused or invalid; it has message and usage.
            ParameterError: The type has no schema; or as `create`, which says the rest.
        """
        from apertis.structured.asking import Asking

        own = {"output_format": output_format, "via": via}
        repairs = {"repair": repair, "repair_max_tokens": repair_max_tokens}
        asking = Asking({**params, **own, **repairs})
        create = cast("Callable[..., Awaitable[Message]]", self.create)
        while asking.result is None:
            asking.take(await create(**asking.params))
        return cast("ParsedMessage[Any]", asking.result)

    @overload
    def stream(
        self, *, output_format: None = None, **params: Unpack[StreamParams]
    ) -> AsyncMessageStreamManager: ...
    @overload
    def stream(
        self, *, output_format: type[T], via: Via | None = None, **params: Unpack[StreamParams]
    ) -> AsyncMessageStreamManager[ParsedMessage[T]]: ...
    @overload
    def stream(
        self, *, output_format: Any, via: Via | None = None, **params: Unpack[StreamParams]
    ) -> AsyncMessageStreamManager[ParsedMessage[Any]]: ...
    @takes("StreamParams")
    def stream(
        self, *, output_format: Any = None, via: Via | None = None, **params: Unpack[StreamParams]
    ) -> AsyncMessageStreamManager[Any]:
        """Open the stream helper in an `async with` block: text, events, and the growing message.

        With `output_format`, as for `parse`, the final message has a `parsed_output`, and
        `partial_output` is the value as far as it has come.

        Raises, when the block begins or while it is read, what `create` raises, and
        `StreamTruncatedError` for a stream that ends early.
        """
        given, output = _asked(output_format, params, via)
        call = messages.stream(given)

        async def start() -> AsyncMessageStream[Any]:
            source = await open_events(self._sender, call)
            source.output = output
            return AsyncMessageStream(source)

        return AsyncMessageStreamManager(start)

    @overload
    def run(
        self,
        *,
        output_format: type[T],
        repair: int = 0,
        stream: Literal[False] | None = None,
        **params: Unpack[RunParams],
    ) -> AsyncToolRunner[ParsedMessage[T]]: ...
    @overload
    def run(
        self, *, stream: Literal[False] | None = None, **params: Unpack[RunParams]
    ) -> AsyncToolRunner[Message]: ...
    @overload
    def run(
        self,
        *,
        stream: Literal[True],
        output_format: Any = None,
        repair: int = 0,
        **params: Unpack[RunParams],
    ) -> AsyncToolRunner[AsyncMessageStream]: ...
    @overload
    def run(
        self,
        *,
        stream: bool,
        output_format: Any = None,
        repair: int = 0,
        **params: Unpack[RunParams],
    ) -> AsyncToolRunner[Message] | AsyncToolRunner[AsyncMessageStream]: ...
    @takes("RunParams")
    def run(
        self,
        *,
        stream: bool | None = None,
        output_format: Any = None,
        repair: int = 0,
        **params: Unpack[RunParams],
    ) -> Any:
        """Let the model call tools until it has its answer; nothing is sent before the first step.

        Iterate over what this returns for the messages of the model, or call `until_done()`; then
        `result` says why the run ended, and what it used. The calls of one turn run at the same
        time, each with a deadline. With `output_format`, the final answer is a value of that type
        as in `parse`; one that is not is asked for again up to `repair` times, within the limits
        of the run.

        Raises:
            OutputError: The final answer was cut off, refused or invalid.
            ParameterError: Two tools have one name, a tool has nothing that runs it, or a limit
                cannot work.
        """
        from apertis.aio import runner

        own = {"stream": stream, "output_format": output_format, "repair": repair}
        return runner.run(self, self._sender, {**params, **own})

    @overload
    def tool_runner(
        self,
        *,
        output_format: type[T],
        repair: int = 0,
        stream: Literal[False] | None = None,
        **params: Unpack[ToolRunnerParams],
    ) -> AsyncToolRunner[ParsedMessage[T]]: ...
    @overload
    def tool_runner(
        self, *, stream: Literal[False] | None = None, **params: Unpack[ToolRunnerParams]
    ) -> AsyncToolRunner[Message]: ...
    @overload
    def tool_runner(
        self,
        *,
        stream: Literal[True],
        output_format: Any = None,
        repair: int = 0,
        **params: Unpack[ToolRunnerParams],
    ) -> AsyncToolRunner[AsyncMessageStream]: ...
    @overload
    def tool_runner(
        self,
        *,
        stream: bool,
        output_format: Any = None,
        repair: int = 0,
        **params: Unpack[ToolRunnerParams],
    ) -> AsyncToolRunner[Message] | AsyncToolRunner[AsyncMessageStream]: ...
    @takes("ToolRunnerParams")
    def tool_runner(
        self,
        *,
        stream: bool | None = None,
        output_format: Any = None,
        repair: int = 0,
        **params: Unpack[ToolRunnerParams],
    ) -> Any:
        """Do as `run`, by the rules of programs written for this name.

        Calls run one after another and without a deadline, unless `max_concurrent_calls` and
        `tool_timeout` say otherwise. A definition without a function may be among the tools.
        """
        from apertis.aio import runner

        own = {"stream": stream, "output_format": output_format, "repair": repair}
        return runner.run(self, self._sender, {**params, **own}, serial=True)

    @takes("ResumeParams")
    def resume(
        self,
        source: Any,
        decisions: Mapping[str, Any] | None = None,
        *,
        stream: bool | None = None,
        output_format: Any = None,
        repair: int = 0,
        **params: Unpack[ResumeParams],
    ) -> AsyncToolRunner[Any]:
        """Go on with a run from its checkpoint: a path, JSON text, or the decoded object.

        `decisions` has one for each call that waits for approval, by its id. Give all `tools` of
        the run again; what else is given changes its settings. No finished call is repeated.

        Raises:
            ParameterError: The checkpoint cannot be read, or a tool of the run is missing.
        """
        from apertis.aio import runner

        own = {"stream": stream, "output_format": output_format, "repair": repair}
        given: dict[str, Any] = {**params, **own}
        return runner.resume(self, self._sender, source, decisions, given)

    @takes("CountTokensParams")
    async def count_tokens(
        self, *, output_format: Any = None, **params: Unpack[CountTokensParams]
    ) -> MessageTokensCount:
        """Count the input tokens that a request would have; `output_format` as for `parse`."""
        given, _ = _asked(output_format, params)
        return await self._sender.send(messages.count_tokens(given))


def _asked(
    output_format: Any, params: Mapping[str, Any], via: Via | None = None
) -> tuple[Mapping[str, Any], OutputFormat | None]:
    """Return the parameters that ask for a value of a type, and what reads it, if one is wanted."""
    if output_format is None or is_absent(output_format):
        return params, None
    is_dict = isinstance(output_format, dict)
    if is_dict and cast("dict[str, Any]", output_format).get("type") == "json_schema":
        # The field of an earlier beta, which is sent as it is.
        return {**params, "output_format": output_format}, None
    from apertis.structured.output import OutputFormat

    output = OutputFormat(output_format, params, via)
    return output.params, output


async def open_events(sender: Sender, call: Call[Message]) -> EventSource:
    """Return the events of a streamed call."""
    answer = await sender.open(call)
    if isinstance(answer, EventSource):
        return answer
    raise messages.not_streamed_error(answer)


class AsyncModels(AsyncHTTPResponses):
    """`client.models`."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    @cached_property
    def with_raw_response(self) -> AsyncModelsWithRawResponse:
        """The same methods, which return the HTTP response."""
        return AsyncModelsWithRawResponse(self._sender)

    @takes("ModelListParams")
    def list(self, **params: Unpack[ModelListParams]) -> AsyncPages[ModelInfo]:
        """List the models that the key may use; iterating continues over all pages."""
        return AsyncPages(self._sender, models.list_, params)

    @takes("OptionParams")
    async def retrieve(self, model_id: str, **options: Unpack[OptionParams]) -> ModelInfo:
        """Return one model."""
        return await self._sender.send(models.retrieve(model_id, options))


def _raw_calls(sender: Sender) -> AsyncRawCalls:
    from apertis.aio.raw import AsyncRawCalls

    return AsyncRawCalls(sender)


class _RawMethod(Generic[P, R]):
    """The type of a method that returns a response; all checkers bind it like one."""

    if TYPE_CHECKING:

        def __get__(
            self, instance: object, owner: Any = None
        ) -> Callable[P, Coroutine[Any, Any, AsyncAPIResponse[R]]]: ...


def _raw(method: Callable[Concatenate[Any, P], Awaitable[R]]) -> _RawMethod[P, R]:
    """Return the same method: over a sender of responses its result is one."""
    raw: Any = method
    return raw  # type: ignore[no-any-return]  # As the sender has it.


class AsyncBatchesWithRawResponse:
    """The methods of `client.messages.batches`, which return a response."""

    def __init__(self, sender: Sender) -> None:
        self._sender = _raw_calls(sender)

    create = _raw(AsyncBatches.create)
    retrieve = _raw(AsyncBatches.retrieve)
    cancel = _raw(AsyncBatches.cancel)
    delete = _raw(AsyncBatches.delete)
    results = _raw(AsyncBatches.results)

    @takes("ListParams")
    async def list(self, **params: Unpack[ListParams]) -> AsyncAPIResponse[AsyncPage[MessageBatch]]:
        """Return a page of the batches."""
        return await self._sender.page(batches.list_, params)


class AsyncMessagesWithRawResponse:
    """The methods of `client.messages`, which return a response."""

    def __init__(self, sender: Sender) -> None:
        self._sender = _raw_calls(sender)
        self.batches = AsyncBatchesWithRawResponse(sender)

    count_tokens = _raw(AsyncMessages.count_tokens)

    @overload
    async def create(
        self, *, stream: Literal[False] | None = None, **params: Unpack[CreateParams]
    ) -> AsyncAPIResponse[Message]: ...
    @overload
    async def create(
        self, *, stream: Literal[True], **params: Unpack[CreateParams]
    ) -> AsyncAPIResponse[AsyncStream]: ...
    @overload
    async def create(
        self, *, stream: bool, **params: Unpack[CreateParams]
    ) -> AsyncAPIResponse[Any]: ...
    @takes("CreateParams")
    async def create(
        self, *, stream: bool | None = None, **params: Unpack[CreateParams]
    ) -> AsyncAPIResponse[Any]:
        """Send a request; `parse()` gives the message, or with `stream=True` its events."""
        if stream is True:
            return await self._sender.open(messages.stream(params), AsyncStream)
        given: dict[str, Any] = {**params}
        if stream is not None and not is_absent(stream):
            given["stream"] = stream
        call = messages.create(given)
        if not call.streamed:
            return await self._sender.send(call)
        response = await self._sender.open(call, AsyncMessageStream)
        message = await (await response.parse()).get_final_message()
        return response.mapped(lambda _: message)

    @takes("CreateParams")
    async def parse(
        self, *, output_format: Any = None, via: Via | None = None, **params: Unpack[CreateParams]
    ) -> AsyncAPIResponse[ParsedMessage[Any]]:
        """Send a request whose response is a value of a type; `parse()` gives the message."""
        from apertis.structured.asking import Asking

        asking = Asking({**params, "output_format": output_format, "via": via})

        def make(message: Message) -> Any:
            if asking.result is None:
                asking.take(message)
            return asking.result

        create = cast("Callable[..., Awaitable[AsyncAPIResponse[Any]]]", self.create)
        return (await create(**asking.params)).mapped(make)

    @takes("StreamParams")
    async def stream(
        self, *, output_format: Any = None, via: Via | None = None, **params: Unpack[StreamParams]
    ) -> AsyncAPIResponse[AsyncMessageStream[Any]]:
        """Open a stream; `parse()` gives the stream helper."""
        given, output = _asked(output_format, params, via)

        def make(source: EventSource) -> AsyncMessageStream[Any]:
            source.output = output
            return AsyncMessageStream(source)

        return await self._sender.open(messages.stream(given), make)


class AsyncModelsWithRawResponse:
    """The methods of `client.models`, which return a response."""

    def __init__(self, sender: Sender) -> None:
        self._sender = _raw_calls(sender)

    retrieve = _raw(AsyncModels.retrieve)

    @takes("ModelListParams")
    async def list(
        self, **params: Unpack[ModelListParams]
    ) -> AsyncAPIResponse[AsyncPage[ModelInfo]]:
        """Return a page of the models."""
        return await self._sender.page(models.list_, params)


class AsyncWithRawResponse:
    """`client.with_raw_response`: the resources, whose methods return a response."""

    def __init__(self, sender: Sender) -> None:
        self.messages = AsyncMessagesWithRawResponse(sender)
        self.models = AsyncModelsWithRawResponse(sender)

    @property
    def beta(self) -> AsyncWithRawResponse:
        """The same: beta features are parameters."""
        return self


class AsyncResponseContextManager:
    """A response for an `async with` block, at whose end it is closed."""

    def __init__(self, start: Callable[[], Awaitable[Any]]) -> None:
        self._start = start
        self._response: Any = None

    async def __aenter__(self) -> Any:
        self._response = await self._start()
        return self._response

    async def __aexit__(self, *_: object) -> None:
        if self._response is not None:
            await self._response.close()


class AsyncWithStreamingResponse:
    """`with_streaming_response`: the same methods, each to be used in an `async with` block."""

    def __init__(self, resource: Any) -> None:
        self._resource = resource

    def __getattr__(self, name: str) -> Any:
        found: Any = getattr(self._resource, name)
        if not callable(found):
            return AsyncWithStreamingResponse(found)
        call: Any = found

        def method(*args: Any, **params: Any) -> AsyncResponseContextManager:
            async def start() -> Any:
                return await call(*args, **params)

            return AsyncResponseContextManager(start)

        return method


class AsyncBeta(AsyncHTTPResponses):
    """`client.beta`: `messages` and `models`; features are chosen by `betas=[...]`."""

    def __init__(self, messages: AsyncMessages, models: AsyncModels, sender: Sender) -> None:
        self.messages = messages
        self.models = models
        self._sender = sender

    @cached_property
    def with_raw_response(self) -> AsyncWithRawResponse:
        """The same resources, whose methods return the HTTP response."""
        return AsyncWithRawResponse(self._sender)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            from apertis.compat.names import no_such_name

            raise no_such_name("`client.beta`", name)


# jedi, which knows no `Unpack`, takes this for possible and finds the parameters there.
if TYPE_CHECKING and sys.platform == "jedi":
    from apertis.compat.completion import AsyncBatches, AsyncMessages, AsyncModels
