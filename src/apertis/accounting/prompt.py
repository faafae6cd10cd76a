"""The contents of a body, as far as they change its number of tokens and their price."""

from __future__ import annotations

import math
import re
from typing import TypeAlias, TypeVar, cast

import msgspec
from jiter import from_json

from apertis.accounting.plain import PlainBody, read_plain, read_plain_part
from apertis.models.json import UNREADABLE

# The largest context window of any model.
MAX_WINDOW = 1_000_000
_BYTES_PER_TOKEN = 2
# 2576 x 1456 pixels at 750 pixels a token:
# https://platform.claude.com/docs/en/build-with-claude/vision
_IMAGE_TOKENS = 5_000
_LIKELY_IMAGE_TOKENS = 1_600
# A page takes up to 3,000 tokens of text and one picture, and about as many bytes or more: a token
# for each byte of Base64. A document by reference has any size.
_PAGE_TOKENS = 8_000
_LIKELY_PDF_BYTES = 10
_LIKELY_FEATURE_TOKENS = 400
# What the API puts around a prompt, and around tools, citations and a schema for the response:
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
_FRAME_TOKENS = 100
_FEATURE_TOKENS = 1_000
# For each tool that the API defines itself, for each MCP server and for a container with its
# skills: no less than any recorded request came to with all that its tools read on the way.
_OWN_TOOL_TOKENS = 6_000
_TOOL_TOKENS = {"code_execution": 20_000, "web_fetch": 12_000}
_CONTAINER_TOKENS = 8_000
# A search, and reading what it found. Without `max_uses` there are at most so many: the API's own
# limit of rounds in one request.
_SEARCH_TOKENS = 12_000
SEARCHES = 10
# With more than so many, what was found fills the largest window.
_MAX_SEARCHES = 100

T = TypeVar("T")


class _CacheControl(msgspec.Struct, gc=False):
    ttl: str | None = None


class _Source(msgspec.Struct, gc=False):
    type: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    content: _Content = None


class _Block(msgspec.Struct, gc=False):
    type: str | None = None
    cache_control: _CacheControl | None = None
    source: _Source | str | None = None
    content: _Content = None
    citations: msgspec.Raw = msgspec.Raw()


_Content: TypeAlias = "list[_Block] | _Block | str | None"


class _Message(msgspec.Struct, gc=False):
    content: _Content = None


class _Tool(msgspec.Struct, gc=False):
    type: str | None = None
    cache_control: _CacheControl | None = None
    max_uses: msgspec.Raw = msgspec.Raw()
    allowed_callers: msgspec.Raw = msgspec.Raw()


class _Body(msgspec.Struct):
    system: list[_Block] | str | None = None
    cache_control: _CacheControl | None = None
    speed: str | None = None
    inference_geo: str | None = None
    mcp_servers: list[msgspec.Raw] | None = None
    container: msgspec.Raw = msgspec.Raw()
    output_config: msgspec.Raw = msgspec.Raw()
    output_format: msgspec.Raw = msgspec.Raw()


# Tools bear the day of their version.
_VERSION = re.compile(r"_\d{8}\Z")
_BODY = msgspec.json.Decoder(_Body)
_MESSAGES = msgspec.json.Decoder(list[_Message])
_TOOLS = msgspec.json.Decoder(list[_Tool])
_PARTS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST: msgspec.json.Decoder[list[msgspec.Raw] | None] = msgspec.json.Decoder(
    list[msgspec.Raw] | None
)
_NULL = msgspec.Raw(b"null")
# To try each of many in vain costs more than to read all with care.
_MAX_TRIED = 1_000
# The names that change a price, and those under which they stand.
_NAMES = frozenset(
    name
    for kind in (_Body, _Message, _Block, _Tool, _Source, _CacheControl)
    for name in kind.__struct_fields__
) | {"messages", "tools"}
_READ_INSIDE = ("system", "cache_control", "content", "source")


class Prompt(msgspec.Struct):
    """The contents of a body, as far as they change the price."""

    text_bytes: int
    images: int = 0
    pdfs: int = 0
    pdf_bytes: int = 0
    references: int = 0
    own_tools: int = 0
    own_tokens: int = 0
    searches: int = 0
    cached: bool = False
    hour: bool = False
    fast: bool = False
    us_only: bool = False
    features: frozenset[str] = frozenset()

    def largest(self) -> int:
        """Return the most tokens that it comes to."""
        if self.references:
            return MAX_WINDOW
        text = -(-self.text_bytes // _BYTES_PER_TOKEN)
        shown = self.images * _IMAGE_TOKENS + self.pdfs * _PAGE_TOKENS + self.pdf_bytes
        hidden = len(self.features) * _FEATURE_TOKENS
        return min(text + shown + _FRAME_TOKENS + hidden + self.allowance(), MAX_WINDOW)

    def allowance(self) -> int:
        """Return what its tools may read on the way."""
        return self.own_tokens + self.searches * _SEARCH_TOKENS

    def likely(self) -> int:
        """Return about how many tokens it comes to.

        Three and a half bytes of JSON or ten of a PDF's Base64 for a token, 1,600 for a picture.
        """
        text = self.text_bytes * 2 // 7
        pages = (self.pdfs + self.references) * _PAGE_TOKENS // 4
        pages += self.pdf_bytes // _LIKELY_PDF_BYTES
        images = self.images * _LIKELY_IMAGE_TOKENS
        hidden = (len(self.features) + self.own_tools * 4) * _LIKELY_FEATURE_TOKENS
        return max(1, text + images + pages + hidden)

    def take(self, plain: PlainBody) -> None:
        """Take what hides nothing."""
        if plain.cached:
            self.cached = True
            self.hour = self.hour or plain.hour
        if plain.tools:
            self.features |= {"tools"}
        if plain.schema:
            self.features |= {"schema"}

    def read(self, body: _Body) -> None:
        """Take all but messages and tools."""
        self.fast = body.speed == "fast"
        self.us_only = body.inference_geo not in (None, "global")
        self._cache(body.cache_control)
        if isinstance(body.system, list):
            self.read_content(body.system)
        if body.output_config or body.output_format:
            self.features |= {"schema"}
        for _ in body.mcp_servers or ():
            self._own(_OWN_TOOL_TOKENS)
        if body.container and bytes(body.container) != b"null":
            self._own(_CONTAINER_TOKENS)

    def _own(self, tokens: int) -> None:
        self.own_tools += 1
        self.own_tokens += tokens

    def read_content(self, content: _Content) -> None:
        """Take the content of a message, a block or the system prompt."""
        if isinstance(content, list):
            for block in content:
                self._block(block)
        elif isinstance(content, _Block):
            self._block(content)

    def _block(self, block: _Block) -> None:
        if block.cache_control is not None:
            self._cache(block.cache_control)
        if isinstance(block.source, _Source):
            self._source(block.source, block.type)
        if block.content is not None:
            self.read_content(block.content)
        if block.citations:
            self.features |= {"citations"}
        elif block.type == "tool_addition":
            self.features |= {"tools"}

    def _source(self, source: _Source, kind: str | None) -> None:
        self.read_content(source.content)
        if source.type in ("text", "content"):
            return
        encoded = len(source.data) if source.type == "base64" else 0
        if kind == "image":
            self.text_bytes -= encoded
            self.images += 1
        elif kind == "document":
            self.text_bytes -= encoded
            self.pdf_bytes += encoded
            self.pdfs += encoded > 0
            self.references += encoded == 0

    def read_tool(self, tool: _Tool) -> None:
        """Take a tool."""
        self.features |= {"tools"}
        self._cache(tool.cache_control)
        kind = tool.type or "custom"
        if kind != "custom" or tool.allowed_callers:
            self._own(_TOOL_TOKENS.get(_VERSION.sub("", kind), _OWN_TOOL_TOKENS))
        if kind.startswith("web_search"):
            self.searches = min(self.searches + _searches(bytes(tool.max_uses)), _MAX_SEARCHES)

    def _cache(self, control: _CacheControl | None) -> None:
        if control is not None:
            self.cached = True
            self.hour = self.hour or control.ttl == "1h"


def read_prompt(body: bytes, plain: PlainBody | None = None) -> Prompt:
    """Read what a body holds, unless it was read as a plain one already; never an error."""
    prompt = Prompt(len(body))
    plain = plain or read_plain(body)
    if plain is not None:
        prompt.take(plain)
        return prompt
    try:
        _read_with_care(body, prompt)
    except UNREADABLE:
        # The upstream will hardly take it either. Until it says so, there may be in it whatever is
        # dear: documents by reference, searches, writes to the cache for an hour.
        prompt.cached = prompt.hour = prompt.fast = prompt.us_only = True
        prompt.references, prompt.searches = 1, _MAX_SEARCHES
    return prompt


def _read_with_care(body: bytes, prompt: Prompt) -> None:
    """Read a body part by part: most of its messages and tools hide nothing.

    Raises:
        msgspec.DecodeError: Something in it could be read as two things.
    """
    parts = _PARTS.decode(body)
    messages: list[msgspec.Raw] = _LIST.decode(parts.pop("messages", _NULL)) or []
    tools: list[msgspec.Raw] = _LIST.decode(parts.pop("tools", _NULL)) or []
    prompt.read(_sound(msgspec.json.encode(parts), _BODY))
    left = _take_plain(messages, prompt, is_tool=False)
    for message in _sound(msgspec.json.encode(left), _MESSAGES):
        prompt.read_content(message.content)
    left = _take_plain(tools, prompt, is_tool=True)
    for tool in _sound(msgspec.json.encode(left), _TOOLS):
        prompt.read_tool(tool)


def _take_plain(parts: list[msgspec.Raw], prompt: Prompt, *, is_tool: bool) -> list[msgspec.Raw]:
    """Take the parts that hide nothing; give those that may."""
    left: list[msgspec.Raw] = []
    for place, part in enumerate(parts):
        if len(left) == _MAX_TRIED:
            return left + parts[place:]
        plain = read_plain_part(part, is_tool=is_tool)
        if plain is None:
            left.append(part)
        else:
            prompt.take(plain)
    return left


def _sound(part: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode JSON in which every name is one thing to everybody, and stands once in its object.

    Of a name that stands twice an upstream may take the first, and servers written in Go take names
    in any case: what has such is not to be read as the cheaper of two.

    Raises:
        msgspec.DecodeError: It is no such JSON.
    """
    try:
        tree: object = from_json(
            part, catch_duplicate_keys=True, cache_mode="none", allow_inf_nan=False
        )
    except ValueError as error:
        raise msgspec.DecodeError(str(error)) from None
    left = [tree]
    while left:
        value = left.pop()
        if isinstance(value, list):
            left += cast("list[object]", value)
        elif isinstance(value, dict):
            fields = cast("dict[str, object]", value)
            if any(name not in _NAMES and name.casefold() in _NAMES for name in fields):
                raise msgspec.DecodeError("a name is written in an unusual case")
            left += [fields[name] for name in _READ_INSIDE if name in fields]
    return decoder.decode(part)


def _searches(max_uses: bytes) -> int:
    """Return the maximum number of searches of a tool; an invalid number sets no limit."""
    if max_uses in (b"", b"null"):
        return SEARCHES
    try:
        uses = float(max_uses)
    except ValueError:
        return _MAX_SEARCHES
    return math.ceil(min(uses, _MAX_SEARCHES)) if uses > 0 else SEARCHES
