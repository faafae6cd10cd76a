# Generated from src/apertis/aio/resources.py by tools/generate_sync.py (make format). Do not edit.
"""The methods of `client.messages` and `client.models`."""

from __future__ import annotations

import sys
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, cast, overload

from apertis.endpoints import batches, messages, models
from apertis.endpoints.parameters import takes
from apertis.errors import APIError
from apertis.sansio.marks import is_absent
from apertis.sync.pages import Page, first_page
from apertis.sync.stream import (
    EventSource,
    MessageStream,
    MessageStreamManager,
    Stream,
)

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Iterator,
        Mapping,
        Sequence,
    )
    from typing import Concatenate, Unpack

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
    from apertis.sync.pages import Page
    from apertis.sync.raw import APIResponse, RawCalls
    from apertis.sync.runner import ToolRunner
    from apertis.sync.sender import Sender

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")


class HTTPResponses:
    """The responses of calls as HTTP: for `with` blocks, wherever they can be had raw."""

    @cached_property
    def with_streaming_response(self) -> WithStreamingResponse:
        """The same as `with_raw_response`, for `with` blocks."""
        own: Any = self
        return WithStreamingResponse(own.with_raw_response)


class Batches(HTTPResponses):
    """`client.messages.batches`."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    @cached_property
    def with_raw_response(self) -> BatchesWithRawResponse:
        """The same methods, which return the HTTP response."""
        return BatchesWithRawResponse(self._sender)

    @takes("BatchCreateParams")
    def create(self, **params: Unpack[BatchCreateParams]) -> MessageBatch:
        """Create a batch; its results come within a day."""
        return self._sender.send(batches.create(params))

    @takes("OptionParams")
    def retrieve(self, message_batch_id: str, **options: Unpack[OptionParams]) -> MessageBatch:
        """Return the current state of a batch."""
        return self._sender.send(batches.retrieve(message_batch_id, options))

    @takes("ListParams")
    def list(self, **params: Unpack[ListParams]) -> Page[MessageBatch]:
        """List the batches, newest first; iterating continues over all pages."""
        return first_page(self._sender, batches.list_, params)

    @takes("OptionParams")
    def cancel(self, message_batch_id: str, **options: Unpack[OptionParams]) -> MessageBatch:
        """Cancel a batch; it is returned in its new state."""
        return self._sender.send(batches.cancel(message_batch_id, options))

    @takes("OptionParams")
    def delete(self, message_batch_id: str, **options: Unpack[OptionParams]) -> DeletedMessageBatch:
        """Delete a batch that has ended."""
        return self._sender.send(batches.delete(message_batch_id, options))

    @takes("OptionParams")
    def results(
        self, message_batch_id: str, **options: Unpack[OptionParams]
    ) -> Iterator[MessageBatchIndividualResponse]:
        """Return the results of an ended batch, one at a time as they are read; in no order."""
        return self._sender.lines(batches.results(message_batch_id, options))

    @takes("OptionParams")
    def wait(
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
                batch = self.retrieve(message_batch_id, **options)
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
            self._sender.transport.sleep(poll_interval)

    @takes("OptionParams")
    def run(
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
            batch_id = (self.create(requests=requests or (), **options)).id
        batch = self.wait(
            batch_id,
            poll_interval=poll_interval,
            max_wait=max_wait,
            progress=progress,
            **options,
        )
        found: dict[str, MessageBatchIndividualResponse] = {}
        for entry in self.results(batch_id, **options):
            found[entry.custom_id] = entry
        return batch_runs.in_order(batch, names, found)


class Messages(HTTPResponses):
    """`client.messages`."""

    if TYPE_CHECKING:
        batches: Batches
    else:
        # Each has its own; `Mock(spec=...)` looks here.
        batches = Batches

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self.batches = Batches(sender)

    @cached_property
    def with_raw_response(self) -> MessagesWithRawResponse:
        """The same methods, which return the HTTP response."""
        return MessagesWithRawResponse(self._sender)

    @overload
    def create(
        self, *, stream: Literal[False] | None = None, **params: Unpack[CreateParams]
    ) -> Message: ...
    @overload
    def create(self, *, stream: Literal[True], **params: Unpack[CreateParams]) -> Stream: ...
    @overload
    def create(self, *, stream: bool, **params: Unpack[CreateParams]) -> Message | Stream: ...
    @takes("CreateParams")
    def create(
        self, *, stream: bool | None = None, **params: Unpack[CreateParams]
    ) -> Message | Stream:
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
            return Stream(open_events(self._sender, messages.stream(params)))
        given: dict[str, Any] = {**params}
        if stream is not None and not is_absent(stream):
            given["stream"] = stream
        call = messages.create(given)
        if not call.streamed:
            return self._sender.send(call)
        answer = self._sender.open(call)
        if isinstance(answer, EventSource):
            return MessageStream(answer).get_final_message()
        return answer

    @overload
    def parse(
        self,
        *,
        output_format: type[T],
        via: Via | None = None,
        repair: int = 0,
        repair_max_tokens: int | None = None,
        **params: Unpack[CreateParams],
    ) -> ParsedMessage[T]: ...
    @overload
    def parse(
        self,
        *,
        output_format: Any = None,
        via: Via | None = None,
        repair: int = 0,
        repair_max_tokens: int | None = None,
        **params: Unpack[CreateParams],
    ) -> ParsedMessage[Any]: ...
    @takes("CreateParams")
    def parse(
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
        create = cast("Callable[..., Message]", self.create)
        while asking.result is None:
            asking.take(create(**asking.params))
        return cast("ParsedMessage[Any]", asking.result)

    @overload
    def stream(
        self, *, output_format: None = None, **params: Unpack[StreamParams]
    ) -> MessageStreamManager: ...
    @overload
    def stream(
        self, *, output_format: type[T], via: Via | None = None, **params: Unpack[StreamParams]
    ) -> MessageStreamManager[ParsedMessage[T]]: ...
    @overload
    def stream(
        self, *, output_format: Any, via: Via | None = None, **params: Unpack[StreamParams]
    ) -> MessageStreamManager[ParsedMessage[Any]]: ...
    @takes("StreamParams")
    def stream(
        self, *, output_format: Any = None, via: Via | None = None, **params: Unpack[StreamParams]
    ) -> MessageStreamManager[Any]:
        """Open the stream helper in a `with` block: text, events, and the growing message.

        With `output_format`, as for `parse`, the final message has a `parsed_output`, and
        `partial_output` is the value as far as it has come.

        Raises, when the block begins or while it is read, what `create` raises, and
        `StreamTruncatedError` for a stream that ends early.
        """
        given, output = _asked(output_format, params, via)
        call = messages.stream(given)

        def start() -> MessageStream[Any]:
            source = open_events(self._sender, call)
            source.output = output
            return MessageStream(source)

        return MessageStreamManager(start)

    @overload
    def run(
        self,
        *,
        output_format: type[T],
        repair: int = 0,
        stream: Literal[False] | None = None,
        **params: Unpack[RunParams],
    ) -> ToolRunner[ParsedMessage[T]]: ...
    @overload
    def run(
        self, *, stream: Literal[False] | None = None, **params: Unpack[RunParams]
    ) -> ToolRunner[Message]: ...
    @overload
    def run(
        self,
        *,
        stream: Literal[True],
        output_format: Any = None,
        repair: int = 0,
        **params: Unpack[RunParams],
    ) -> ToolRunner[MessageStream]: ...
    @overload
    def run(
        self,
        *,
        stream: bool,
        output_format: Any = None,
        repair: int = 0,
        **params: Unpack[RunParams],
    ) -> ToolRunner[Message] | ToolRunner[MessageStream]: ...
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
        from apertis.sync import runner

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
    ) -> ToolRunner[ParsedMessage[T]]: ...
    @overload
    def tool_runner(
        self, *, stream: Literal[False] | None = None, **params: Unpack[ToolRunnerParams]
    ) -> ToolRunner[Message]: ...
    @overload
    def tool_runner(
        self,
        *,
        stream: Literal[True],
        output_format: Any = None,
        repair: int = 0,
        **params: Unpack[ToolRunnerParams],
    ) -> ToolRunner[MessageStream]: ...
    @overload
    def tool_runner(
        self,
        *,
        stream: bool,
        output_format: Any = None,
        repair: int = 0,
        **params: Unpack[ToolRunnerParams],
    ) -> ToolRunner[Message] | ToolRunner[MessageStream]: ...
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
        from apertis.sync import runner

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
    ) -> ToolRunner[Any]:
        """Go on with a run from its checkpoint: a path, JSON text, or the decoded object.

        `decisions` has one for each call that waits for approval, by its id. Give all `tools` of
        the run again; what else is given changes its settings. No finished call is repeated.

        Raises:
            ParameterError: The checkpoint cannot be read, or a tool of the run is missing.
        """
        from apertis.sync import runner

        own = {"stream": stream, "output_format": output_format, "repair": repair}
        given: dict[str, Any] = {**params, **own}
        return runner.resume(self, self._sender, source, decisions, given)

    @takes("CountTokensParams")
    def count_tokens(
        self, *, output_format: Any = None, **params: Unpack[CountTokensParams]
    ) -> MessageTokensCount:
        """Count the input tokens that a request would have; `output_format` as for `parse`."""
        given, _ = _asked(output_format, params)
        return self._sender.send(messages.count_tokens(given))


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


def open_events(sender: Sender, call: Call[Message]) -> EventSource:
    """Return the events of a streamed call."""
    answer = sender.open(call)
    if isinstance(answer, EventSource):
        return answer
    raise messages.not_streamed_error(answer)


class Models(HTTPResponses):
    """`client.models`."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    @cached_property
    def with_raw_response(self) -> ModelsWithRawResponse:
        """The same methods, which return the HTTP response."""
        return ModelsWithRawResponse(self._sender)

    @takes("ModelListParams")
    def list(self, **params: Unpack[ModelListParams]) -> Page[ModelInfo]:
        """List the models that the key may use; iterating continues over all pages."""
        return first_page(self._sender, models.list_, params)

    @takes("OptionParams")
    def retrieve(self, model_id: str, **options: Unpack[OptionParams]) -> ModelInfo:
        """Return one model."""
        return self._sender.send(models.retrieve(model_id, options))


def _raw_calls(sender: Sender) -> RawCalls:
    from apertis.sync.raw import RawCalls

    return RawCalls(sender)


class _RawMethod(Generic[P, R]):
    """The type of a method that returns a response; all checkers bind it like one."""

    if TYPE_CHECKING:

        def __get__(self, instance: object, owner: Any = None) -> Callable[P, APIResponse[R]]: ...


def _raw(method: Callable[Concatenate[Any, P], R]) -> _RawMethod[P, R]:
    """Return the same method: over a sender of responses its result is one."""
    raw: Any = method
    return raw  # type: ignore[no-any-return]  # As the sender has it.


class BatchesWithRawResponse:
    """The methods of `client.messages.batches`, which return a response."""

    def __init__(self, sender: Sender) -> None:
        self._sender = _raw_calls(sender)

    create = _raw(Batches.create)
    retrieve = _raw(Batches.retrieve)
    cancel = _raw(Batches.cancel)
    delete = _raw(Batches.delete)
    results = _raw(Batches.results)

    @takes("ListParams")
    def list(self, **params: Unpack[ListParams]) -> APIResponse[Page[MessageBatch]]:
        """Return a page of the batches."""
        return self._sender.page(batches.list_, params)


class MessagesWithRawResponse:
    """The methods of `client.messages`, which return a response."""

    def __init__(self, sender: Sender) -> None:
        self._sender = _raw_calls(sender)
        self.batches = BatchesWithRawResponse(sender)

    count_tokens = _raw(Messages.count_tokens)

    @overload
    def create(
        self, *, stream: Literal[False] | None = None, **params: Unpack[CreateParams]
    ) -> APIResponse[Message]: ...
    @overload
    def create(
        self, *, stream: Literal[True], **params: Unpack[CreateParams]
    ) -> APIResponse[Stream]: ...
    @overload
    def create(self, *, stream: bool, **params: Unpack[CreateParams]) -> APIResponse[Any]: ...
    @takes("CreateParams")
    def create(
        self, *, stream: bool | None = None, **params: Unpack[CreateParams]
    ) -> APIResponse[Any]:
        """Send a request; `parse()` gives the message, or with `stream=True` its events."""
        if stream is True:
            return self._sender.open(messages.stream(params), Stream)
        given: dict[str, Any] = {**params}
        if stream is not None and not is_absent(stream):
            given["stream"] = stream
        call = messages.create(given)
        if not call.streamed:
            return self._sender.send(call)
        response = self._sender.open(call, MessageStream)
        message = (response.parse()).get_final_message()
        return response.mapped(lambda _: message)

    @takes("CreateParams")
    def parse(
        self, *, output_format: Any = None, via: Via | None = None, **params: Unpack[CreateParams]
    ) -> APIResponse[ParsedMessage[Any]]:
        """Send a request whose response is a value of a type; `parse()` gives the message."""
        from apertis.structured.asking import Asking

        asking = Asking({**params, "output_format": output_format, "via": via})

        def make(message: Message) -> Any:
            if asking.result is None:
                asking.take(message)
            return asking.result

        create = cast("Callable[..., APIResponse[Any]]", self.create)
        return (create(**asking.params)).mapped(make)

    @takes("StreamParams")
    def stream(
        self, *, output_format: Any = None, via: Via | None = None, **params: Unpack[StreamParams]
    ) -> APIResponse[MessageStream[Any]]:
        """Open a stream; `parse()` gives the stream helper."""
        given, output = _asked(output_format, params, via)

        def make(source: EventSource) -> MessageStream[Any]:
            source.output = output
            return MessageStream(source)

        return self._sender.open(messages.stream(given), make)


class ModelsWithRawResponse:
    """The methods of `client.models`, which return a response."""

    def __init__(self, sender: Sender) -> None:
        self._sender = _raw_calls(sender)

    retrieve = _raw(Models.retrieve)

    @takes("ModelListParams")
    def list(self, **params: Unpack[ModelListParams]) -> APIResponse[Page[ModelInfo]]:
        """Return a page of the models."""
        return self._sender.page(models.list_, params)


class WithRawResponse:
    """`client.with_raw_response`: the resources, whose methods return a response."""

    def __init__(self, sender: Sender) -> None:
        self.messages = MessagesWithRawResponse(sender)
        self.models = ModelsWithRawResponse(sender)

    @property
    def beta(self) -> WithRawResponse:
        """The same: beta features are parameters."""
        return self


class ResponseContextManager:
    """A response for a `with` block, at whose end it is closed."""

    def __init__(self, start: Callable[[], Any]) -> None:
        self._start = start
        self._response: Any = None

    def __enter__(self) -> Any:
        self._response = self._start()
        return self._response

    def __exit__(self, *_: object) -> None:
        if self._response is not None:
            self._response.close()


class WithStreamingResponse:
    """`with_streaming_response`: the same methods, each to be used in a `with` block."""

    def __init__(self, resource: Any) -> None:
        self._resource = resource

    def __getattr__(self, name: str) -> Any:
        found: Any = getattr(self._resource, name)
        if not callable(found):
            return WithStreamingResponse(found)
        call: Any = found

        def method(*args: Any, **params: Any) -> ResponseContextManager:
            def start() -> Any:
                return call(*args, **params)

            return ResponseContextManager(start)

        return method


class Beta(HTTPResponses):
    """`client.beta`: `messages` and `models`; features are chosen by `betas=[...]`."""

    def __init__(self, messages: Messages, models: Models, sender: Sender) -> None:
        self.messages = messages
        self.models = models
        self._sender = sender

    @cached_property
    def with_raw_response(self) -> WithRawResponse:
        """The same resources, whose methods return the HTTP response."""
        return WithRawResponse(self._sender)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            from apertis.compat.names import no_such_name

            raise no_such_name("`client.beta`", name)


# jedi, which knows no `Unpack`, takes this for possible and finds the parameters there.
if TYPE_CHECKING and sys.platform == "jedi":
    from apertis.compat.completion import Batches, Messages, Models
