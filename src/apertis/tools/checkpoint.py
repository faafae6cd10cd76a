"""The checkpoint of a run: a JSON document from which another process goes on.

Responses stand in it as the bytes that came, so that what is signed stays signed. The document has
what was said in the run. It has no key and no header; options of the connection are given again.
"""

from __future__ import annotations

import os
from decimal import Decimal  # noqa: TC003 - msgspec reads the annotations.
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import msgspec

from apertis.errors import ParameterError
from apertis.models import Malformed, Message, Usage, decode, decode_message
from apertis.models.json import UNREADABLE
from apertis.models.model import embedded
from apertis.sansio.request import render_json
from apertis.tools.loop import CallState, Limits, Run, ToolCallRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.tools.settings import RunSettings

T = TypeVar("T")

FORMAT = "apertis.run"
VERSION = 1
# They belong to the process: connections, and headers that may be secret.
_NOT_KEPT = frozenset({"extra_headers", "extra_query", "timeout", "max_retries"})


class _Document(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    format: str
    version: int
    params: dict[str, Any]
    limits: Limits
    max_concurrent_calls: int | None
    tool_timeout: float | None
    keep_tool_choice: bool
    tools: list[str]
    messages: list[msgspec.Raw]
    message: msgspec.Raw
    is_open: bool
    is_owned: bool
    calls: list[CallState]
    records: list[ToolCallRecord]
    turns: int
    usage: msgspec.Raw
    cost: Decimal | None
    seconds: float
    reason: str | None


class Checkpoint(NamedTuple):
    """A run as it was written down, and the settings that it had."""

    run: Run
    seconds: float
    tools: list[str]
    settings: dict[str, Any]


class _Version(msgspec.Struct):
    format: str = ""
    version: Any = None


class _Turn(msgspec.Struct):
    role: str
    content: msgspec.Raw


def written(run: Run, settings: RunSettings, seconds: float) -> bytes:
    """Return the checkpoint of a run."""
    params = {name: value for name, value in settings.params.items() if name not in _NOT_KEPT}
    document = {
        "format": FORMAT,
        "version": VERSION,
        "params": _rendered(params),
        "limits": settings.limits,
        "max_concurrent_calls": settings.max_concurrent_calls,
        "tool_timeout": settings.tool_timeout,
        "keep_tool_choice": settings.keep_tool_choice,
        "tools": [*settings.tools],
        "messages": [_rendered(message) for message in run.messages],
        "message": None if run.message is None else _whole(run.message),
        "is_open": run.is_open,
        "is_owned": run.is_owned,
        "calls": [_call(call) for call in run.calls],
        "records": run.records,
        "turns": run.turns,
        "usage": _rendered(run.usage),
        "cost": run.cost,
        "seconds": seconds,
        "reason": run.reason,
    }
    return msgspec.json.encode(document)


def read(source: Any) -> Checkpoint:
    """Return the checkpoint that some JSON holds: a path, text, bytes, or the decoded object.

    Raises:
        ParameterError: It is none, or of another version; the error names the place.
    """
    data = _bytes(source)
    try:
        head = msgspec.json.decode(data, type=_Version)
    except UNREADABLE as error:
        raise _wrong(f"it is not the JSON of a run: {error}") from error
    if head.format != FORMAT:
        raise _wrong(f'its "format" is {head.format!r}, and that of a run is {FORMAT!r}')
    if head.version != VERSION:
        raise _wrong(
            f'its "version" is {head.version!r}, and this version of apertis reads {VERSION}; '
            "go on with the version of apertis that wrote it, or begin a new run"
        )
    try:
        document = msgspec.json.decode(data, type=_Document)
        run = _run(document)
    except (*UNREADABLE, Malformed) as error:
        raise _wrong(
            f"{error}; it was changed after it was written: mend this place, or begin a new run"
        ) from error
    settings = {
        **document.params,
        **{name: getattr(document.limits, name) for name in document.limits.__struct_fields__},
        "max_concurrent_calls": document.max_concurrent_calls,
        "tool_timeout": document.tool_timeout,
        "keep_tool_choice": document.keep_tool_choice,
    }
    return Checkpoint(run, document.seconds, document.tools, settings)


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace a file in one step: a reader sees the old one or the new one, whole."""
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    # What was said in a run is for its owner.
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(target)


def check_target(target: Any) -> None:
    """Reject a place for checkpoints that is none, or that holds a run which has not ended."""
    if target is None or callable(target):
        return
    if not isinstance(target, str | os.PathLike):
        raise ParameterError(
            f"checkpoint: expected a path, or a function that takes the JSON; got {target!r}",
            param="checkpoint",
        )
    path = Path(cast("str", target))
    if path.exists() and read(path).run.reason is None:
        raise ParameterError(
            f"checkpoint: {path} holds a run that has not ended; go on with it by "
            "client.messages.resume(path, tools=[...]), or remove the file",
            param="checkpoint",
        )


def is_path(source: Any) -> bool:
    """Return whether a source is the path of a checkpoint, and no JSON."""
    if isinstance(source, str):
        return not source.lstrip().startswith("{")
    return isinstance(source, os.PathLike)


def _wrong(what: str) -> ParameterError:
    return ParameterError(f"checkpoint: {what}", param="checkpoint")


def _bytes(source: Any) -> bytes:
    if isinstance(source, dict):
        return render_json(source)
    if isinstance(source, bytes | bytearray):
        return bytes(source)
    if isinstance(source, str) and not is_path(source):
        return source.encode()
    if is_path(source):
        try:
            return Path(source).read_bytes()
        except OSError as error:
            raise _wrong(f"{source} cannot be read: {error.strerror}") from error
    raise _wrong(f"expected a path or JSON, got {type(source).__name__}")


def _rendered(value: Any) -> msgspec.Raw:
    return msgspec.Raw(render_json(value))


def _whole(message: Message) -> Any:
    document = embedded(message)
    if isinstance(document, dict):
        # One that was streamed was put together here; blocks that came whole are as they came.
        document["content"] = [embedded(block) for block in message.content]
    return document


def _call(call: CallState) -> dict[str, Any]:
    fields = msgspec.structs.asdict(call)
    return {**fields, "result": None if call.result is None else _rendered(call.result)}


def _run(document: _Document) -> Run:
    message = bytes(document.message)
    return Run(
        messages=tuple(
            _placed(f"$.messages[{index}]", _turn, raw)
            for index, raw in enumerate(document.messages)
        ),
        message=None if message == b"null" else _placed("$.message", decode_message, message),
        is_open=document.is_open,
        is_owned=document.is_owned,
        calls=tuple(document.calls),
        records=tuple(document.records),
        turns=document.turns,
        usage=_placed("$.usage", decode, Usage, bytes(document.usage)),
        cost=document.cost,
        reason=document.reason,
    )


def _placed(place: str, read: Callable[..., T], *given: Any) -> T:
    """Return what is read of a part of the document; an error names its place."""
    try:
        return read(*given)
    except (*UNREADABLE, Malformed) as error:
        raise Malformed(f"{error} - in `{place}`") from error


def _turn(raw: msgspec.Raw) -> dict[str, Any]:
    plain = msgspec.json.decode(raw, type=dict[str, Any])
    if plain.get("role") != "assistant" or not isinstance(plain.get("content"), list):
        return plain
    # Read as a response, so that each block keeps its bytes.
    content = bytes(msgspec.json.decode(raw, type=_Turn).content)
    usage = b'"usage":{"input_tokens":0,"output_tokens":0}'
    message = b'{"type":"message","id":"","model":"","role":"assistant",%b,"content":%b}'
    return {**plain, "content": decode_message(message % (usage, content)).content}
