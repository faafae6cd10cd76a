"""A streamed response on its way: the upstream's own bytes, whole events at a time, and its usage.

The bytes are copied, never rebuilt. A reader beside them takes the usage, and tells whether the
stream came to its end. One that is truncated ends in an `error` event; what was used is booked
before the last bytes are handed out, however the stream ends.

Theory of operation. What one event costs is `_pass`: the upstream's connection gives it what came,
in the turn of the event loop in which it came (`UpstreamAnswer.pour`). It cuts that behind its last
whole event (`EventFraming.feed`: usually it is whole already, and passes as it is), shows it to the
reader (`StreamReader.feed`: a piece of text is known by its first bytes, and only counted), and
writes it to the client. No task wakes, and nothing is copied; the task that runs the stream waits
for its end, or for a client that is full: then `_pass` says that it wants no more for now.

A stream has three times. Before it is handed out, `begin` or `hold` read its first events, within a
time: `begin` so that a fault at the start can still be an error with a status, `hold` up to the
first content, while another target could answer instead. What they read waits in `_ready`. `first`
gives it, or waits for what did not come in time, and `pass_on` writes the rest. Behind the end of
the message, `_tail` gives what may follow. `_finish` books it, once, at the first of: the end of
the message, an `error` event, a fault, the caller's leaving (`close`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from apertis.accounting.readers import StreamReader
from apertis.accounting.tokens import NO_TOKENS, Use
from apertis.gateway.errors import Refusal, upstream_error, upstream_timeout
from apertis.gateway.upstreams.contract import UpstreamFailure
from apertis.gateway.upstreams.outcome import Fault, Outcome, outcome_of_fault
from apertis.sansio.sse import EventFraming, EventTooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.request.charge import Charge
    from apertis.gateway.request.context import Progress
    from apertis.gateway.upstreams.contract import UpstreamAnswer

# After `message_stop` nothing of weight follows; the rest is awaited only so that the connection
# can be kept.
_TAIL_SECONDS = 1.0
# What comes before the first content is small. What is not must not fill the memory.
_MAX_HELD_BYTES = 2**20


class Relay:
    """One stream: `begin` until it may be handed out, `first`, `pass_on` to its end, `close`."""

    __slots__ = (
        "_answer",
        "_broken",
        "_charge",
        "_copy",
        "_ended",
        "_failed",
        "_found",
        "_framing",
        "_on_outcome",
        "_on_whole",
        "_outcome_of_error",
        "_progress",
        "_ready",
        "_write",
        "reader",
    )

    def __init__(
        self,
        answer: UpstreamAnswer,
        progress: Progress,
        charge: Charge | None,
        on_outcome: Callable[[Outcome], None],
        outcome_of_error: Callable[[str | None], Outcome],
    ) -> None:
        self.reader = StreamReader()
        self._answer = answer
        self._progress = progress
        self._charge = charge
        self._outcome_of_error = outcome_of_error
        self._on_outcome: Callable[[Outcome], None] | None = on_outcome
        self._framing = EventFraming()
        self._found: bytes | Refusal | None = None
        # Blocks that came before the stream was handed out.
        self._ready: list[bytes] = []
        self._copy: Callable[[bytes], None] | None = None
        self._on_whole: Callable[[], None] | None = None
        self._broken: Refusal | None = None
        self._failed = Outcome.MALFORMED
        self._ended = False
        self._write: Callable[[bytes], bool] = _nowhere

    async def hold(self, patience_seconds: float | None) -> Outcome:
        """Read up to the first content, keeping what came; nothing of it was handed out yet.

        After `patience_seconds` without content the stream is handed out as far as received: a
        caller who hears nothing for long gives up. None waits for as long as this task is let.
        """
        reader = self.reader
        clock = asyncio.get_running_loop().time
        until = None if patience_seconds is None else clock() + patience_seconds
        held = 0
        while not (reader.content_started or reader.stopped or reader.error_type):
            block = await self._pull(None if until is None else max(until - clock(), 0.0))
            if block is None:
                return Outcome.OK
            if isinstance(block, Refusal):
                return self._outcome()
            if not block:
                self._broken = _truncated()
                return Outcome.MALFORMED
            self._ready.append(block)
            held += len(block)
            if held > _MAX_HELD_BYTES:
                # Comments or pings without end; whoever reads them can tell when it is enough.
                return Outcome.OK
        if not reader.error_type:
            return Outcome.OK
        # Whether it is handed out or given up for another one: the upstream said this.
        self._report(self._outcome())
        return self._outcome()

    async def begin(self, patience_seconds: float) -> Outcome:
        """Read the first events, or wait so long for them: then the stream is handed out."""
        block = await self._pull(patience_seconds)
        if block is None:
            return Outcome.OK
        if isinstance(block, Refusal):
            return self._outcome()
        if not block:
            self._broken = _truncated()
            return Outcome.MALFORMED
        self._ready.append(block)
        return Outcome.OK

    def committed(self) -> None:
        """Keep the usage that the stream began with, as its first bytes are about to leave."""
        if self._charge is not None and not self._charge.settled:
            self._charge.begin(self.reader.use)

    def copy_to(self, copy: Callable[[bytes], None], on_whole: Callable[[], None]) -> None:
        """Show each block that is given out, and tell when the message came to its end."""
        self._copy = copy
        self._on_whole = on_whole

    def on_whole(self, do: Callable[[], None]) -> None:
        """Do this when the message came to its end, before its last bytes are given out."""
        self._on_whole = do

    @property
    def is_over(self) -> bool:
        """True if the caller has received the stream's end: that of the message, or an error."""
        if self._broken is not None:
            # An end that the reader saw behind a fault is not given out.
            return self._ended
        return self._ended or self.reader.stopped or self.reader.error_type is not None

    async def first(self) -> bytes:
        """Give the first whole events; `committed` comes before they leave."""
        if self._ready:
            block = b"".join(self._ready)
            self._ready.clear()
            return self._noted(block)
        if self._broken is not None:
            return self._given(self._broken)
        return self._given(await self._pull() or b"")

    async def pass_on(self, write: Callable[[bytes], bool]) -> bool:
        """Give what follows to `write` as it comes; False once that returns False, True at the end.

        Nothing is left unbooked at the end.
        """
        self._write = write
        while not self._ended:
            if self._broken is not None:
                block = self._given(self._broken)
            elif self.reader.is_over:
                block = self._noted(await self._tail())
            else:
                ended = await self._answer.pour(self._pass)
                if ended is False:
                    if self._broken is None and not self.reader.is_over:
                        return False
                    continue
                block = self._given(self._end_of_body(ended))
            if block and not write(block):
                return self._ended
        return True

    def _pass(self, chunk: bytes) -> bool:
        """Hand out what came, up to its last whole event; False if there is more to do."""
        block = self._cut(chunk)
        if not block:
            return True
        if isinstance(block, Refusal):
            return False
        is_over = self.reader.is_over
        if is_over or self._copy is not None:
            self._noted(block)
        return self._write(block) and not is_over

    def _given(self, block: bytes | Refusal) -> bytes:
        if isinstance(block, bytes) and block:
            return self._noted(block)
        self._ended = True
        if block == b"":
            # The regular end of the body, and no end of the message in it.
            self._broken = _truncated()
        refusal = self._broken or _truncated()
        self._progress.code = refusal.code
        self._finish()
        return refusal.event(self._progress.context.id)

    def _noted(self, block: bytes) -> bytes:
        """Copy what is handed out next, and book what it ends."""
        if self._copy is not None:
            self._copy(block)
        if self.reader.stopped or self.reader.error_type:
            self._finish()
        return block

    async def _pull(self, seconds: float | None = None) -> bytes | Refusal | None:
        """Read whole events; b"" at the end of the body, the refusal when it is truncated.

        None after so many seconds; `first` gives what comes then.
        """
        self._found = None
        ended = await self._answer.pour(self._find, seconds)
        return self._found if ended is False else self._end_of_body(ended)

    def _find(self, chunk: bytes) -> bool:
        self._found = self._cut(chunk) or None
        return self._found is None

    def _cut(self, chunk: bytes) -> bytes | Refusal:
        """Read what came, and give it up to its last whole event; b"" while there is none."""
        reader = self.reader
        begun = reader.content_started
        try:
            block = self._framing.feed(chunk)
        except EventTooLargeError:
            self._broken = upstream_error("its stream has an event without an end")
            return self._broken
        if block:
            reader.feed(block)
            if reader.malformed is not None:
                return self._before_fault(block, begun, reader.malformed)
        return block

    def _end_of_body(self, ended: UpstreamFailure | bool) -> bytes | Refusal:
        if not isinstance(ended, UpstreamFailure):
            return self._unterminated()
        self._progress.reason = ended.reason
        self._broken = _refusal_of(ended)
        self._failed = outcome_of_fault(ended.kind)
        return self._broken

    def _before_fault(self, block: bytes, begun: bool, reason: str) -> bytes | Refusal:
        """Give what came in one piece with a fault, and before it, if there is content by then.

        How the upstream's bytes fall into pieces is chance, and must not decide who answers.
        """
        self._progress.reason = reason
        self._broken = upstream_error(f"its stream is malformed: {reason}")
        sound = block[: self.reader.sound_bytes]
        return sound if sound and (begun or b"content_block" in sound) else self._broken

    def _unterminated(self) -> bytes:
        """Give what is left at the end of the body if it ends the message; else it is cut off.

        Some upstreams leave out the blank line behind their last event.
        """
        rest = self._framing.drain()
        if b"message_stop" not in rest and b"error" not in rest:
            return b""
        reader = self.reader
        reader.feed(rest + b"\n\n")
        ended = (reader.stopped or reader.error_type) and reader.malformed is None
        return rest if ended else b""

    async def _tail(self) -> bytes:
        """Yield what follows the end of the message, as received: a comment, or nothing."""
        kept = self._framing.drain()
        if kept:
            return kept
        try:
            async with asyncio.timeout(_TAIL_SECONDS):
                chunk = await self._answer.read()
        except TimeoutError:
            chunk = b""
        if isinstance(chunk, bytes) and chunk:
            return chunk
        self._ended = True
        return b""

    def _outcome(self) -> Outcome:
        if self._broken is not None:
            # What came in one piece with the fault, be it the end of the message, is not given out.
            return self._failed
        if self.reader.error_type:
            return self._outcome_of_error(self.reader.error_type)
        return Outcome.OK if self.reader.stopped else self._failed

    def _finish(self) -> None:
        """Book the stream, once."""
        reader, charge = self.reader, self._charge
        if reader.error_type and self._progress.code is None:
            self._progress.code = reader.error_type
        if charge is not None and not charge.settled:
            self._settle(charge)
        self._report(self._outcome())
        whole, self._on_whole = self._on_whole, None
        if whole is not None and reader.stopped and self._broken is None:
            self._copy = None
            whole()

    def _settle(self, charge: Charge) -> None:
        reader = self.reader
        use, interrupted = reader.use, not reader.stopped
        if reader.malformed is not None and not reader.content_started:
            # Whether such a stream is handed out or rejected depends on how its bytes fall into
            # pieces. What it costs must not: no response came.
            charge.settle()
        elif use is not None:
            charge.settle(
                use,
                reader.others,
                output_seen=reader.output_seen,
                estimated=reader.estimated,
                interrupted=interrupted,
            )
        elif interrupted:
            said = charge.guess(reader.output_seen) if reader.content_started else NO_TOKENS
            charge.settle(Use(said), estimated=True, interrupted=True)
        else:
            charge.settle_unread(reader.output_seen)

    def _report(self, outcome: Outcome) -> None:
        report, self._on_outcome = self._on_outcome, None
        if report is not None:
            report(outcome)

    def discard(self) -> None:
        """Give the stream up before anything of it was handed out: another one answers."""
        self._on_outcome = None
        self._charge = None
        self._drop()

    def close(self) -> None:
        """End the stream here, wherever it is; what was used is booked."""
        if not self._ended and not (self.reader.stopped or self.reader.error_type):
            self._report(Outcome.LEFT)
        self._finish()
        self._drop()

    def _drop(self) -> None:
        self._ended = True
        self._answer.close()


def _nowhere(block: bytes) -> bool:  # noqa: ARG001
    return False


def _truncated() -> Refusal:
    return upstream_error("its stream ended before the end of the message")


def _refusal_of(failure: UpstreamFailure) -> Refusal:
    # The reason names the address of the upstream, which callers need not know.
    if failure.kind is Fault.TIMEOUT:
        return upstream_timeout("its stream stopped")
    return upstream_error("its stream broke off")
