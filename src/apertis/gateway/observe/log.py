"""The log: one line a request, and one for each event of the gateway itself; JSON or text.

Who, what, how long, how much: never content, never a secret.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import stat
import traceback
from datetime import UTC, datetime
from functools import lru_cache
from time import time
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from apertis.accounting.tokens import COLUMNS, counts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from apertis.gateway.request.context import Progress

# Lines wait this long for company: one system call writes them all.
_FLUSH_SECONDS = 0.1
_FLUSH_LINES = 256
# How often the end looks whether all is written.
_LOOK_SECONDS = 0.02
# A reader of the log that stops reading must not stop the gateway, nor fill its memory.
_MAX_PENDING_BYTES = 4 * 2**20
# What a pipe that says it has room takes without blocking (PIPE_BUF, on all systems at least 512).
_PIECE_BYTES = select.PIPE_BUF if hasattr(select, "PIPE_BUF") else 512
# Paths and messages can be as long as others want.
_MAX_TEXT_LENGTH = 300
# To round to whole ones is far faster than to three decimals.
_MICROSECONDS = 1_000_000

_ENCODER = msgspec.json.Encoder()


class _LineStart(msgspec.Struct, omit_defaults=True):
    time: str
    request_id: str
    method: str
    path: str
    status: int
    code: str | None = None
    reason: str | None = None
    client_request_id: str | None = None
    upstream_request_id: str | None = None
    address: str = ""
    key: str | None = None
    key_id: str | None = None
    session: str | None = None
    agent: str | None = None
    request_class: str | None = None
    model: str = ""
    requested_model: str = ""
    upstream: str = ""
    attempts: int = 0
    fallback: str | None = None
    stream: bool = False
    cached: bool = False
    estimated: bool = False
    interrupted: bool = False
    bill_to: str | None = None


if TYPE_CHECKING:
    _Counts = _LineStart
else:
    _Counts = msgspec.defstruct(
        "_Counts",
        [(column, int, 0) for column in COLUMNS.values()],
        bases=(_LineStart,),
        omit_defaults=True,
    )


class _Line(_Counts, omit_defaults=True):
    cost_units: int = 0
    queue_ms: float | None = None
    first_byte_ms: float | None = None
    total_ms: float = 0.0


_line_of: Callable[..., _Line] = _Line


class Log:
    """A writer of lines to a file descriptor, some at a time.

    A line can wait for a tenth of a second; what a full pipe does not take is kept up to 4 MB,
    then dropped and counted in the next line that can be written.
    """

    def __init__(
        self,
        descriptor: int | None,
        loop: asyncio.AbstractEventLoop,
        *,
        requests: bool = True,
        form: Literal["auto", "json", "text"] = "json",
        worker: int | None = None,
    ) -> None:
        # With workers, each line begins with its number as JSON and ends with it as text.
        self._mark = b"" if worker is None else b'{"worker":%d,' % worker
        self._end = b"\n" if worker is None else b"  worker %d\n" % worker
        # None: nothing is written.
        self._descriptor = descriptor
        self._writable = None if descriptor is None else _room_in(descriptor)
        # Whether requests have lines; events always do.
        self.requests = requests and descriptor is not None
        self.form = form
        self._loop = loop
        self._lines: list[bytes] = []
        self._rest = b""
        self._dropped = 0
        # Whether the last write failed, and whether the loop tells when there is room.
        self._failed = False
        self._waits = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def form(self) -> Literal["auto", "json", "text"]:
        """The format of a line; `auto` is text on a terminal, JSON elsewhere."""
        return self._form

    @form.setter
    def form(self, form: Literal["auto", "json", "text"]) -> None:
        self._form: Literal["auto", "json", "text"] = form
        descriptor = self._descriptor
        on_terminal = descriptor is not None and os.isatty(descriptor)
        self._is_text = form == "text" or (form == "auto" and on_terminal)

    def add(self, progress: Progress, finished: float) -> None:
        """Note a request that ended at `finished`, on the monotonic clock."""
        if not self.requests:
            return
        if self._is_text:
            self._lines.append(_short_line(progress, finished))
        else:
            self._lines.append(_ENCODER.encode(_line(progress, finished)))
        if len(self._lines) >= _FLUSH_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(_FLUSH_SECONDS, self.flush)

    def event(self, level: str, text: str, **facts: object) -> None:
        """Note something about the gateway itself."""
        if self._is_text:
            self._lines.append(_short_event(level, text, facts))
        else:
            line = {"time": _moment(time()), "level": level, "event": text, **facts}
            self._lines.append(_ENCODER.encode(line))
        self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._dropped and not self._rest:
            dropped = {"dropped_log_lines": self._dropped}
            if self._is_text:
                line = _short_event("warning", "lines of the log were dropped", dropped)
            else:
                line = _ENCODER.encode(dropped)
            self._lines.insert(0, line)
            self._dropped = 0
        if len(self._rest) > _MAX_PENDING_BYTES:
            self._dropped += len(self._lines)
            self._lines.clear()
        data = b"".join((self._rest, *self._marked(self._lines)))
        self._lines.clear()
        if self._descriptor is None:
            return
        written = self._written(self._descriptor, data)
        self._rest = data[written:]
        self._go_on(self._descriptor)

    def _marked(self, lines: list[bytes]) -> Iterator[bytes]:
        if self._is_text:
            return (line + self._end for line in lines)
        if self._mark:
            return (self._mark + line[1:] + b"\n" for line in lines)
        return (line + b"\n" for line in lines)

    async def close(self, patience_seconds: float) -> None:
        """Write what is left, as far as a slow reader takes it in that time."""
        self.flush()
        end = self._loop.time() + patience_seconds
        # The loop writes meanwhile; to tell of the end would cost each flush something.
        while self._waits and self._loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        if self._waits and self._descriptor is not None:
            self._loop.remove_writer(self._descriptor)
        if self._timer is not None:
            self._timer.cancel()

    def _go_on(self, descriptor: int) -> None:
        """See to it that what is left is written as soon as there is room."""
        waits = bool(self._rest) and self._writable is not None and not self._failed
        if waits != self._waits:
            self._waits = waits
            if waits:
                self._loop.add_writer(descriptor, self.flush)
            else:
                self._loop.remove_writer(descriptor)
        if self._rest and not waits:
            # A reader that went away may come back.
            self._timer = self._loop.call_later(_FLUSH_SECONDS, self.flush)

    def _written(self, descriptor: int, data: bytes) -> int:
        """Write what can be written now; a closed or full log is no reason to refuse requests."""
        written = 0
        self._failed = False
        try:
            if self._writable is None:
                return os.write(descriptor, data) if data else 0
            # The descriptor blocks, and whoever shares it may rely on that.
            while written < len(data) and self._writable():
                piece = data[written : written + _PIECE_BYTES]
                # Whole lines, where they fit: other processes may write between two pieces.
                end = piece.rfind(b"\n") + 1
                written += os.write(descriptor, piece[:end] if end else piece)
        except OSError:
            self._failed = True
        return written


def _room_in(descriptor: int) -> Callable[[], bool] | None:
    """Tell whether a pipe, a socket or a terminal takes bytes now; None: a file always does."""
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return None
    if is_file or not hasattr(select, "poll"):
        return None
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return lambda: bool(poll.poll(0))


class EventHandler(logging.Handler):
    """A handler that turns logs of libraries into events: warnings and worse, with tracebacks.

    A trace names files and lines; it shows no values. Neither do messages beyond their first line,
    where some libraries show what they had in hand.
    """

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record down."""
        facts: dict[str, object] = {"logger": record.name}
        if record.exc_info and record.exc_info[0] is not None:
            kind, _, trace = record.exc_info
            facts["exception"] = kind.__name__
            facts["trace"] = [
                f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(trace)
            ]
        text = record.getMessage().partition("\n")[0][:_MAX_TEXT_LENGTH]
        self._log.event(record.levelname.lower(), text, **facts)


def _line(progress: Progress, finished: float) -> _Line:
    context, used, key = progress.context, progress.used, progress.key
    started, sent, first = context.started, progress.sent, progress.first_byte
    # In the order of the fields: a name for each would cost as much as the line itself.
    return _line_of(
        _moment(context.at),
        context.id,
        context.method,
        context.path[:_MAX_TEXT_LENGTH],
        progress.status,
        progress.code,
        progress.reason,
        context.client_request_id,
        progress.upstream_request_id,
        context.address,
        None if key is None else key.record.name,
        None if key is None else key.record.id,
        context.session,
        context.agent,
        context.request_class,
        progress.model,
        "" if progress.requested_model == progress.model else progress.requested_model,
        progress.upstream,
        0 if progress.attempts == 1 else progress.attempts,
        progress.fallback_reason,
        progress.streamed,
        progress.cached,
        used.estimated,
        progress.interrupted,
        progress.bill_to,
        *counts_of(used.tokens),
        used.cost_units,
        None if sent is None else round((sent - started) * _MICROSECONDS) / 1000,
        None if first is None else round((first - started) * _MICROSECONDS) / 1000,
        round((finished - started) * _MICROSECONDS) / 1000,
    )


def _short_line(progress: Progress, finished: float) -> bytes:
    context, tokens = progress.context, progress.used.tokens
    parts = [
        _clock(context.at),
        context.method,
        context.path[:_MAX_TEXT_LENGTH],
        str(progress.status),
        *([progress.code] if progress.code else []),
        *([progress.model] if progress.model else []),
    ]
    if tokens.total:
        parts.append(f"{tokens.prompt} in {tokens.output} out")
    if progress.used.cost_units:
        parts.append(f"${progress.cost_dollars:.4f}")
    parts += ["cached"] * progress.cached + ["estimated"] * progress.used.estimated
    parts += ["interrupted"] * progress.interrupted
    parts.append(f"{(finished - context.started) * 1000:.0f} ms")
    if progress.key is not None:
        parts.append(progress.key.record.name)
    return _printable("  ".join(parts))


def _short_event(level: str, text: str, facts: Mapping[str, object]) -> bytes:
    told = ", ".join(f"{name}: {value}" for name, value in facts.items() if name != "trace")
    lines = [f"{_clock(time())}  {level}: {text}{f' ({told})' if told else ''}"]
    trace = facts.get("trace")
    if isinstance(trace, list):
        lines += [f"  {line}" for line in cast("list[object]", trace)]
    return b"\n".join(map(_printable, lines))


def _printable(text: str) -> bytes:
    """Return a line without control characters, whatever callers and upstreams call things."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "?" for char in text)
    return text.encode("utf-8", "replace")


def _clock(at: float) -> str:
    """Return the time of day as this machine's clock on the wall shows it."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").removesuffix("+00:00")


def _moment(at: float) -> str:
    """Return a time in UTC, to the millisecond; most requests share their second with others."""
    seconds = int(at)
    return f"{_second(seconds)}.{int((at - seconds) * 1000):03d}Z"
