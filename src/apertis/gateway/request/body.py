"""The fields of a request's body that the gateway reads, and its few edits of the bytes.

A body is read once, at its top level only: each field is known as a slice of the original bytes,
and nothing below is decoded, but for the messages of a large one: their one pass tells what they
may cost as well. An edit replaces, removes or adds top-level fields and keeps every
other byte, white space included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import msgspec

from apertis.accounting.estimate import Estimate
from apertis.accounting.plain import read_plain, read_plain_messages
from apertis.gateway.errors import Refusal, invalid_request, invalid_value, missing_parameter
from apertis.models.json import UNREADABLE, json_or_none
from apertis.sansio.slices import BOUNDS, MAX_FIELDS, MAX_VALUES, Bounds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from apertis.accounting.plain import PlainBody

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
# A key and what stands around it, from the end of the value before it (or the start of the object)
# to the first byte of its own. White space is JSON's own; that the JSON is sound is known by then.
_KEY = re.compile(
    rb'[ \t\n\r]*+[{,]?[ \t\n\r]*+("[^"\\]*+(?:\\.[^"\\]*+)*+")[ \t\n\r]*+:[ \t\n\r]*+'
)
_MESSAGES = re.compile(rb'"messages"[ \t\n\r]*+:[ \t\n\r]*+(?=\[)')
_NULL = b"null"
# Smaller ones are read faster in two passes than in three parts; and how much may stand before the
# messages of one that is larger.
_LARGE_BYTES = 16 * 1024
_MAX_FIRST_BYTES = 64 * 1024
_MAX_MODEL_LENGTH = 256
# No API has names near it; one is decoded, folded and compared.
_MAX_NAME_CHARACTERS = 256
# Pieces that stay in the cache of a core.
_CHECKED_BYTES = 64 * 1024
# What is not longer cannot have too much of anything.
_FEW_BYTES = min(MAX_FIELDS, MAX_VALUES)
_MAX_COUNT = 16
_GAP = re.compile(rb"[ \t\n\r]*+")
# They decide who answers, and what it costs. In another case they would be read by a server that
# takes names in any case, and by nobody here.
_DECISIVE = frozenset(
    {
        "bill_to",
        "billing_policy",
        "cache_control",
        "container",
        "fallbacks",
        "inference_geo",
        "max_tokens",
        "mcp_servers",
        "messages",
        "model",
        "previous_message_id",
        "speed",
        "stream",
        "system",
        "thread",
        "tools",
        "type",
    }
)

# Names that are the same in every case, in which they are nearly always written.
_PLAIN_NAMES = _DECISIVE | {
    "context_management",
    "metadata",
    "output_config",
    "service_tier",
    "stop_sequences",
    "temperature",
    "thinking",
    "tool_choice",
    "top_k",
    "top_p",
}
# As a number: of bytes `in` asks first whether they are one, and that costs far more than to look.
_BACKSLASH = 0x5C
_ENCODER = msgspec.json.Encoder()

# Of a field: its name, where its key begins, and where its value begins and ends.
Span: TypeAlias = tuple[str, int, int, int]
T = TypeVar("T")


class Body:
    """A JSON object as received, with its top-level fields as slices of its bytes."""

    __slots__ = (
        "_estimate",
        "_known_spans",
        "_plain",
        "data",
        "fields",
        "max_tokens",
        "model",
        "stream",
    )

    def __init__(
        self,
        data: bytes,
        fields: Mapping[str, msgspec.Raw],
        spans: list[Span] | None = None,
        plain: PlainBody | None = None,
    ) -> None:
        self.data = data
        self.fields = fields
        # Known from the start where they had to be found to tell whether a name stands twice.
        self._known_spans = spans
        self._plain = plain
        self._estimate: Estimate | None = None
        self.model = ""
        self.max_tokens = 0
        self.stream = False

    @property
    def estimate(self) -> Estimate:
        """The upper bound on what the request may use; read from the body at first access."""
        estimate = self._estimate
        if estimate is None:
            estimate = self._estimate = Estimate(self.data, self._plain)
        return estimate

    @property
    def spans(self) -> list[Span]:
        """The places of the fields, in their order."""
        spans = self._known_spans
        if spans is None:
            found = _spans(self.data, self.fields)
            # That no name stands twice is known by now.
            spans = self._known_spans = [] if isinstance(found, Refusal) else found
        return spans

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    @property
    def names(self) -> Collection[str]:
        """The names of the top-level fields."""
        return self.fields.keys()

    def raw(self, name: str) -> bytes | None:
        """Give a field's value as its bytes; None when the body has no such field."""
        value = self.fields.get(name)
        return None if value is None else bytes(value)

    def span(self, name: str) -> tuple[int, int]:
        """Return the span in `data` of the value of a present field."""
        return next((start, end) for known, _, start, end in self.spans if known == name)

    def count(self, name: str) -> int | None:
        """Read a whole number that is not negative; None when the field holds anything else."""
        return _count(self.raw(name))

    def value(self, name: str, type_: type[T]) -> T | None:
        """Decode a field; None when it is missing, null, or of another type."""
        raw = self.raw(name)
        if raw is None or raw == b"null":
            return None
        return json_or_none(raw, type_)

    def edited(
        self,
        replace: Mapping[str, bytes] | None = None,
        remove: Collection[str] = (),
        add: Mapping[str, bytes] | None = None,
    ) -> bytes:
        """Give the bytes with fields replaced, removed and added; all others stay as they are.

        The values are JSON. Without an edit it is the very body that came.
        """
        if not (replace or remove or add):
            return self.data
        replace = replace or {}
        kept = [span for span in self.spans if span[0] not in remove]
        if not self.spans:
            opening = self.data.index(b"{") + 1
            return self.data[:opening] + _members(add or {}) + self.data[opening:]
        pieces = [self.data[: self.spans[0][1]]]
        ends = {
            span[1]: before[3] for before, span in zip(self.spans, self.spans[1:], strict=False)
        }
        for place, (name, key, start, end) in enumerate(kept):
            if place:
                # What stood between a field and the one before it goes with it.
                pieces.append(self.data[ends[key] : key])
            pieces.append(self.data[key:start])
            pieces.append(replace[name] if name in replace else self.data[start:end])
        if add:
            pieces.append((b"," if kept else b"") + _members(add))
        pieces.append(self.data[self.spans[-1][3] :])
        return b"".join(pieces)


def _members(fields: Mapping[str, bytes]) -> bytes:
    return b",".join(msgspec.json.encode(name) + b":" + value for name, value in fields.items())


def read_object(data: bytes, bounds: Bounds = BOUNDS) -> Body | Refusal:
    """Read a JSON object, or say where it is wrong.

    Its structure is bounded before anything is decoded, so that nobody has the gateway make
    millions of values out of a few megabytes.

    A name that stands twice at the top level is rejected: the gateway and the upstream could each
    take another one of the two values for the model, or for the price. Names that differ in
    upper and lower case alone are one name here, as they are to servers written in Go.
    """
    refusal = _unsound(data, bounds)
    return _read_fields(data) if refusal is None else refusal


def _unsound(data: bytes, bounds: Bounds) -> Refusal | None:
    """Say why a body is not to be decoded."""
    if not data.isascii() and (fault := _not_utf8(data)) is not None:
        if _RAW_HALF.match(data, fault):
            return _half_pair(data, fault, "which is not UTF-8")
        return invalid_request(f"Invalid request format: the body is not UTF-8 (byte {fault})")
    if len(data) > _FEW_BYTES and (excess := bounds.excess(data)) is not None:
        return invalid_request(f"Invalid request format: a body has {excess} here")
    return None


def _read_fields(data: bytes) -> Body | Refusal:
    try:
        fields = _FIELDS.decode(data)
    except msgspec.ValidationError:
        return invalid_request("Invalid request format: the body must be a JSON object")
    except msgspec.DecodeError as error:
        at = _lone_escape(data, str(error))
        if at is not None:
            return _half_pair(data, at, data[at : at + 6].decode("latin-1"))
        return invalid_request(f"Invalid request format: {error}")
    except RecursionError:
        return invalid_request("Invalid request format: the JSON is nested too deeply")
    if fields.keys() <= _PLAIN_NAMES and _ENCODER.encode(fields) == data:
        # Written without a gap, each field once, and all names as the API writes them.
        return Body(data, fields)
    if len(fields) > MAX_FIELDS:
        return invalid_request(
            f"Invalid request format: an object has at most {MAX_FIELDS} fields here, "
            f"not {len(fields)}"
        )
    if (longest := max(map(len, fields), default=0)) > _MAX_NAME_CHARACTERS:
        return invalid_request(
            f"Invalid request format: the name of a field has at most {_MAX_NAME_CHARACTERS} "
            f"characters here, not {longest}"
        )
    spans = _spans(data, fields)
    if isinstance(spans, Refusal):
        return spans
    return Body(data, fields, spans)


def _read_conversation(data: bytes) -> Body | None:
    """Read a large body of plain messages in one pass; None for any other one.

    The messages are read as what they hold, which is asked for later anyway. With `null` in place
    of them the rest of the body is read like any other: both are sound, so the whole is.
    """
    found = _MESSAGES.match(data, data.find(b'"messages"', 0, _MAX_FIRST_BYTES))
    if found is None:
        return None
    start = found.end()
    view = memoryview(data)
    read = read_plain_messages(view[start:])
    if read is None:
        return None
    messages, length = read
    if length < len(data) // 2:
        # There is more to copy than to gain.
        return None
    rest = data[:start] + _NULL + data[start + length :]
    body = _read_fields(rest)
    if isinstance(body, Refusal):
        return None
    more = length - len(_NULL)
    spans = body.spans
    if ("messages", found.start(), start, start + len(_NULL)) not in spans:
        # They stood inside of another field.
        return None
    spans = [
        (name, key + more * (key > start), at + more * (at > start), end + more * (end > start))
        for name, key, at, end in spans
    ]
    fields = {**body.fields, "messages": msgspec.Raw(view[start : start + length])}
    plain = read_plain(rest)
    return Body(data, fields, spans, None if plain is None else plain.with_messages(messages))


# Half of a surrogate pair as UTF-8 would have it, which is none then.
_RAW_HALF = re.compile(rb"\xed[\xa0-\xbf]")
# A whole pair, which is consumed, or half of one, which is the group.
_PAIR = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89abAB][0-9a-fA-F]{2}"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)
_AT_BYTE = re.compile(r"\(byte (\d+)\)")
# Around the place that the parser names, which lies behind one escape or two.
_ESCAPE_BYTES = 6
_STEP = re.compile(rb'"((?:[^"\\]++|\\.)*+)(?:("(?=[ \t\n\r]*+:))|")?|[\[\]{},]', re.DOTALL)
# A person finds the place by its byte as well; a walk through millions keeps others waiting.
_MAX_STEPS = 100_000
_MAX_SHOWN_LENGTH = 64


def _lone_escape(data: bytes, said: str) -> int | None:
    """Find the lone surrogate that the parser stumbled over, if that was the problem.

    One in the last few bytes is to the parser the end of its input.
    """
    place = _AT_BYTE.search(said)
    if place is None and "truncated" not in said:
        return None
    near = int(place[1]) if place is not None else len(data)
    start = max(near - 4 * _ESCAPE_BYTES, 0)
    found = _PAIR.finditer(data, start, near + _ESCAPE_BYTES)
    halves = [match.start() for match in found if match[1] is not None]
    if not halves or (place is None and b'"' not in data[halves[-1] :]):
        return None
    return halves[-1]


def _half_pair(data: bytes, at: int, shown: str) -> Refusal:
    where = _path(data, at)
    return invalid_request(
        f"Invalid request format: half of a surrogate pair ({shown}) at byte {at}"
        f"{f', in {where}' if where else ''}; it is not a character: replace or remove it"
    )


def _path(data: bytes, end: int) -> str:
    """Return the path of the value at a byte, such as `messages[1].content[0].text`."""
    path: list[str | int] = []
    for step, token in enumerate(_STEP.finditer(data)):
        if token.start() >= end:
            break
        if step > _MAX_STEPS:
            return ""
        opening = token[0][:1]
        if opening == b'"':
            if token[2] is not None and path:
                inside = token.end() > end
                path[-1] = "" if inside else token[1].decode("utf-8", "replace")[:_MAX_SHOWN_LENGTH]
        elif opening == b"{":
            path.append("")
        elif opening == b"[":
            path.append(0)
        elif opening in b"]}":
            del path[-1:]
        elif path and isinstance(path[-1], int):
            path[-1] += 1
    names = (f"[{name}]" if isinstance(name, int) else f".{name}" if name else "" for name in path)
    return "".join(names).removeprefix(".")


def _not_utf8(data: bytes) -> int | None:
    """Find where a body is not UTF-8. A copy at four bytes a character is never made."""
    if len(data) <= _CHECKED_BYTES:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return error.start
        return None
    start = 0
    while start < len(data):
        end = start + _CHECKED_BYTES
        # A character has at most three bytes behind its first one.
        while end < len(data) and end > start + _CHECKED_BYTES - 3 and data[end] & 0xC0 == 0x80:
            end -= 1
        fault = _not_utf8(data[start:end])
        if fault is not None:
            return start + fault
        start = end
    return None


def _spans(data: bytes, fields: Mapping[str, msgspec.Raw]) -> list[Span] | Refusal:
    spans: list[Span] = []
    seen: set[str] = set()
    match = _KEY.match
    end = 0
    while len(seen) < len(fields):
        key = match(data, end)
        if key is None:
            break
        literal = key[1]
        name: str = (
            msgspec.json.decode(literal) if _BACKSLASH in literal else literal[1:-1].decode()
        )
        folded = name.casefold()
        if folded in seen:
            return _twice(name)
        if folded != name and folded in _DECISIVE:
            return invalid_request(
                f"Invalid request format: the field {name[:100]!r} must be written {folded!r}"
            )
        seen.add(folded)
        start = key.end()
        value = bytes(fields[name])
        # Only the value that was decoded may stand here: nobody can lead the walk astray.
        if not data.startswith(value, start):
            return _twice(name)
        end = start + len(value)
        spans.append((name, key.start(1), start, end))
    rest = data[spans[-1][3] :] if spans else b"}"
    if len(seen) < len(fields) or rest.strip(b" \t\n\r") != b"}":
        return _twice(None)
    return spans


def positions(
    data: bytes, start: int, entries: Sequence[msgspec.Raw]
) -> Iterator[tuple[int, bytes]]:
    """Find where each entry of the list that begins at `start` stands: between two is a comma."""
    position = start + 1
    for raw in entries:
        entry = bytes(raw)
        position = _skip(data, position)
        yield position, entry
        position = _skip(data, position + len(entry)) + 1


def _skip(data: bytes, position: int) -> int:
    gap = _GAP.match(data, position)
    return gap.end() if gap else position


def _twice(name: str | None) -> Refusal:
    which = f"the field {name[:100]!r}" if name is not None else "a field"
    return invalid_request(f"Invalid request format: {which} occurs twice in the body")


def _string(raw: bytes | None) -> str | None:
    if raw is None or not raw.startswith(b'"'):
        return None
    return msgspec.json.decode(raw, type=str) if _BACKSLASH in raw else raw[1:-1].decode()


def _count(raw: bytes | None) -> int | None:
    # Longer ones are no number of tokens, and would cost to be read.
    return int(raw) if raw is not None and raw.isdigit() and len(raw) < _MAX_COUNT else None


def peek(data: bytes, *, needs_max_tokens: bool) -> Body | Refusal:
    """Read what routing and money need: `model`, `max_tokens`, `stream`.

    The service requires `model`, `messages` and, where a response is made, `max_tokens`; all else
    is the upstream's to judge.
    """
    body: Body | Refusal | None = _unsound(data, BOUNDS)
    if body is None and len(data) > _LARGE_BYTES:
        body = _read_conversation(data)
    if body is None:
        body = _read_fields(data)
    if isinstance(body, Refusal):
        return body
    raw = body.fields.get
    model_raw = raw("model")
    if model_raw is None:
        return missing_parameter("model")
    model = _string(bytes(model_raw))
    if not model or len(model) > _MAX_MODEL_LENGTH:
        return invalid_value("model", f"a string of 1 to {_MAX_MODEL_LENGTH} characters")
    body.model = model
    if raw("messages") is None:
        return missing_parameter("messages")
    if needs_max_tokens:
        max_tokens_raw = raw("max_tokens")
        if max_tokens_raw is None:
            return missing_parameter("max_tokens")
        max_tokens = _count(bytes(max_tokens_raw))
        if max_tokens is None:
            return invalid_value("max_tokens", "a whole number from 1")
        body.max_tokens = max_tokens
        stream = raw("stream")
        body.stream = stream is not None and bytes(stream) == b"true"
    return body


FALLBACK_FIELDS = ("fallback_models", "fallback_timeout", "fallback_enabled")
# Values of OpenAI-style parameters that change nothing about a response.
_WITHOUT_EFFECT: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "seed": (),
}
_INSTEAD = {
    "n": "Claude gives one response per request; only 1 is possible",
    "presence_penalty": "Claude has no such parameter; only 0 is possible",
    "frequency_penalty": "Claude has no such parameter; only 0 is possible",
    "logit_bias": "Claude has no such parameter; only an empty one is possible",
    "response_format": "use 'output_config' with a 'format' of type 'json_schema' instead",
    "seed": "Claude cannot reproduce a response; leave it out",
}
_OWN = frozenset({*FALLBACK_FIELDS, "compression", "stop", "user", *_WITHOUT_EFFECT})
_MAX_STOPS = 4
_METADATA = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)


@dataclass(frozen=True, slots=True)
class Edits:
    """Top-level fields to remove, to replace and to add, values as JSON."""

    remove: tuple[str, ...] = ()
    replace: dict[str, bytes] = field(default_factory=dict[str, bytes])
    add: dict[str, bytes] = field(default_factory=dict[str, bytes])


NO_EDITS: Final = Edits()


def declared_edits(body: Body) -> Edits | Refusal:
    """Say what of a body is to be edited, or which field cannot be honored."""
    own = _OWN.intersection(body.fields)
    if not own:
        return NO_EDITS
    edits = Edits(tuple(sorted(own)))
    for name in edits.remove:
        if name in FALLBACK_FIELDS:
            continue
        try:
            value = msgspec.json.decode(body.raw(name) or b"null")
        except UNREADABLE:
            return invalid_value(name, "too large")
        if value is None:
            continue
        refusal: Refusal | None = None
        if name == "compression":
            refusal = _compression(value)
        elif name == "stop":
            refusal = _stop(body, value, edits)
        elif name == "user":
            refusal = _user(body, value, edits)
        elif not any(value == harmless for harmless in _WITHOUT_EFFECT[name]):
            refusal = invalid_value(name, _INSTEAD[name])
        if refusal is not None:
            return refusal
    return edits


def _compression(value: object) -> Refusal | None:
    try:
        asked = msgspec.convert(value, dict[str, object])
    except msgspec.ValidationError:
        asked = {}
    if asked.get("enabled") is False:
        return None
    return invalid_value(
        "compression",
        'this gateway does not compress histories; leave it out, or send {"enabled": false}',
    )


def _stop(body: Body, value: object, edits: Edits) -> Refusal | None:
    if "stop_sequences" in body:
        return invalid_value("stop", "'stop_sequences' is there already")
    try:
        stops = msgspec.convert(value, list[str] | str)
    except msgspec.ValidationError:
        stops = []
    if isinstance(stops, str):
        stops = [stops]
    if not 0 < len(stops) <= _MAX_STOPS:
        return invalid_value("stop", f"a string, or 1 to {_MAX_STOPS} of them")
    edits.add["stop_sequences"] = msgspec.json.encode(stops)
    return None


def _user(body: Body, value: object, edits: Edits) -> Refusal | None:
    if not isinstance(value, str):
        return invalid_value("user", "a string")
    raw = body.raw("metadata")
    fields: dict[str, msgspec.Raw] = {}
    known: object = None
    try:
        fields = _METADATA.decode(raw or b"null") or fields
        known = msgspec.json.decode(fields.get("user_id", b"null"))
    except UNREADABLE:
        # What is no object, or no name, is another one than this.
        known = 0
    own = msgspec.json.encode(value)
    if known not in (None, value):
        return invalid_value("user", "'metadata' names another 'user_id'")
    merged = msgspec.json.encode({**fields, "user_id": msgspec.Raw(own)})
    (edits.add if raw is None else edits.replace)["metadata"] = merged
    return None
