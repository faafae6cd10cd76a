"""What load and upstream agree on: how a request asks for a stream, how an event is numbered.

A gateway passes the content of a request and the text of an event on, whatever else it changes,
so both stand there: `[[stream 000017 100 50]]` asks for stream 17 with 100 events 50 ms apart, and
the text `000017 000042 <nanoseconds> ` is its event 42, sent at that time of the machine's
monotonic clock, which all processes share.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

MODEL = "claude-sonnet-4-6"
# What a request may be answered with, and what each stream bills.
MAX_TOKENS = 1024
ASKED = re.compile(rb"\[\[stream (\d{6}) (\d+) (\d+)\]\]")
NUMBERED = re.compile(rb'"text": ?"(\d{6}) (\d{6}) (\d{18}) "')

_SENTENCE = 'The tide turns twice a day;\n"springs" follow the moon, as Poincaré wrote. '
_SENTENCES = 20


@dataclass(frozen=True, slots=True)
class StreamOrder:
    """One stream: its number, how many text deltas it has, and the milliseconds between them."""

    number: int
    events: int
    interval_ms: int

    @property
    def marker(self) -> str:
        return f"[[stream {self.number:06} {self.events} {self.interval_ms}]]"

    @classmethod
    def found_in(cls, body: bytes) -> StreamOrder | None:
        asked = ASKED.search(body)
        return cls(*map(int, asked.groups())) if asked else None


def request_body(size: int, stream: StreamOrder | None = None) -> bytes:
    """A request of exactly this many bytes: a conversation, in turns of about 2 KB."""
    opening = stream.marker if stream else "Why do the tides turn?"
    fields: dict[str, object] = {
        "model": MODEL,
        "max_tokens": MAX_TOKENS,
        "stream": stream is not None,
    }
    # Two messages a turn, so that the user has the last word.
    turn = [_SENTENCE * _SENTENCES] * 2
    alone = len(_encoded(fields, [opening]))
    each = len(_encoded(fields, [opening, *turn])) - alone
    said = [opening, *(turn * ((size - alone) // each))]
    missing = size - len(_encoded(fields, said))
    if missing < 0:
        raise ValueError(f"a request cannot be as small as {size} bytes")
    said[0] += "." * missing
    return _encoded(fields, said)


def event_prefix() -> bytes:
    """All of a text delta's event before its text."""
    return (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":"'
    )


EVENT_SUFFIX = b'"}}\n\n'


def _encoded(fields: dict[str, object], said: list[str]) -> bytes:
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(said)]
    document = fields | {"messages": messages}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
