"""What a request may use at the most, from its body alone."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.accounting.estimate import Estimate
from apertis.accounting.prices import Price, PriceTable, cost_units, price_of_dollars
from apertis.accounting.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

PRICE = price_of_dollars(Decimal(5), Decimal(25))
PICTURE = base64.b64encode(bytes(300_000)).decode()


def body(content: object = "Hi", **fields: Any) -> bytes:
    given = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": content}]}
    return msgspec.json.encode({**given, **fields})


def reserved(body: bytes, max_tokens: int, price: Price) -> int:
    return Estimate(body).reservation_units(max_tokens, (price,))


def image(**source: Any) -> dict[str, Any]:
    return {"type": "image", "source": source or {"type": "url", "url": "https://a.example/b"}}


INLINE = image(type="base64", media_type="image/png", data=PICTURE)


def pdf(size: int) -> dict[str, Any]:
    data = base64.b64encode(bytes(size)).decode()
    return {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": data},
    }


def test_text_counts_for_a_token_in_two_bytes() -> None:
    small, large = body("a" * 1000), body("a" * 3000)
    assert Estimate(large).input_tokens - Estimate(small).input_tokens == 1000
    assert Estimate(small).input_tokens >= len(small) // 2


@pytest.mark.parametrize(
    "content",
    [
        [INLINE],
        [{"type": "tool_result", "tool_use_id": "t", "content": [INLINE]}],
        [image()],
        [image(type="file", file_id="file_1")],
    ],
)
def test_a_picture_counts_for_what_it_is_scaled_to_not_for_its_bytes(content: object) -> None:
    assert 5_000 <= Estimate(body(content)).input_tokens < 5_500
    assert 1_600 <= Estimate(body(content)).likely_tokens < 2_000


def test_text_that_is_named_like_a_picture_is_text() -> None:
    source = {"type": "base64", "data": PICTURE}
    tool = {
        "type": "tool_use",
        "id": "t",
        "name": "n",
        "input": {"type": "image", "source": source},
    }
    text = {"type": "document", "source": {"type": "text", "data": PICTURE}}
    for content in ([tool], [text], PICTURE):
        assert Estimate(body(content)).input_tokens >= len(PICTURE) // 2


def test_a_document_counts_for_its_bytes_and_an_unseen_one_for_a_whole_context() -> None:
    assert Estimate(body([pdf(100)])).input_tokens >= 8_000
    assert 400_000 <= Estimate(body([pdf(300_000)])).input_tokens < 410_000
    unseen = {"type": "document", "source": {"type": "url", "url": "https://a.example/b.pdf"}}
    assert Estimate(body([unseen])).input_tokens == 1_000_000
    assert Estimate(body([unseen])).likely_tokens < 10_000


def test_no_prompt_is_larger_than_the_largest_context() -> None:
    assert Estimate(body("a" * 5_000_000)).input_tokens == 1_000_000
    assert Estimate(body([pdf(3_000_000)])).input_tokens == 1_000_000


def test_what_the_api_adds_is_allowed_for() -> None:
    plain = Estimate(body()).input_tokens
    tool = {"name": "a", "input_schema": {}}
    own = {"type": "bash_20250124", "name": "bash"}
    assert Estimate(body(tools=[tool])).input_tokens > plain + 1_000
    assert Estimate(body(tools=[own])).input_tokens > plain + 7_000
    callers = {**tool, "allowed_callers": ["code_execution_20260120"]}
    assert Estimate(body(tools=[callers])).input_tokens > plain + 7_000
    assert Estimate(body(output_config={"format": {}})).input_tokens > plain + 1_000
    assert Estimate(body(mcp_servers=[{"type": "url"}])).input_tokens > plain + 6_000
    cited = {"type": "text", "text": "a", "citations": {"enabled": True}}
    assert Estimate(body([cited])).input_tokens > plain + 1_000


EPHEMERAL = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


@pytest.mark.parametrize(
    ("control", "factor"),
    [(EPHEMERAL, "1.25"), ({**EPHEMERAL, "ttl": "5m"}, "1.25"), (HOUR, "2"), (None, "1")],
)
@pytest.mark.parametrize("place", ["body", "system", "content", "nested", "tool"])
def test_a_body_that_caches_pays_the_price_of_writing(
    control: object, factor: str, place: str
) -> None:
    block = {"type": "text", "text": "a", "cache_control": control}
    given = {
        "body": body(cache_control=control),
        "system": body(system=[block]),
        "content": body([block]),
        "nested": body([{"type": "tool_result", "tool_use_id": "t", "content": [block]}]),
        "tool": body(tools=[{"name": "a", "input_schema": {}, "cache_control": control}]),
    }[place]
    tokens = Estimate(given).input_tokens
    price = price_of_dollars(Decimal(5) * Decimal(factor), Decimal(25))
    assert reserved(given, 0, PRICE) == cost_units(Tokens(input=tokens), price)


def test_the_answer_counts_with_all_its_tokens() -> None:
    assert reserved(body(), 100, PRICE) - reserved(body(), 0, PRICE) == 1250
    assert reserved(body(), -5, PRICE) == reserved(body(), 0, PRICE)


@pytest.mark.parametrize(
    ("fields", "percent"),
    [
        ({"speed": "fast"}, 200),
        ({"speed": "standard"}, 100),
        ({"inference_geo": "us"}, 110),
        ({"inference_geo": "global"}, 100),
        ({"speed": "fast", "inference_geo": "us"}, 220),
    ],
)
def test_dearer_ways_to_answer_are_reserved_when_they_are_asked_for(
    fields: dict[str, str], percent: int
) -> None:
    price = PriceTable().find("claude-opus-5")
    assert price is not None
    given = body(**fields)
    tokens = Tokens(input=Estimate(given).input_tokens, output=1000)
    # Of this price an input token is 2.5 units, so both sides are whole.
    assert reserved(given, 1000, price) == -(-cost_units(tokens, price) * percent // 100)


@pytest.mark.parametrize(
    ("max_uses", "searches"),
    [
        (3, 3),
        (None, 10),
        (0, 10),
        (-1, 10),
        (2.5, 3),
        (3.0, 3),
        pytest.param(10**400, 100, id="huge"),
        pytest.param(-(10**400), 10, id="far below"),
        (1e9, 100),
        ("5", 100),
        ([], 100),
        (True, 100),
    ],
)
def test_searches_are_reserved(max_uses: object, searches: int) -> None:
    free = msgspec.structs.replace(PRICE, web_search=0)
    tool = {"type": "web_search_20250305", "name": "web_search", "max_uses": max_uses}
    given = json.dumps({"messages": [], "tools": [tool]}).encode()
    assert reserved(given, 1, PRICE) - reserved(given, 1, free) == 5_000 * searches


@pytest.mark.parametrize(
    "strange",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"messages":7}',
        b'{"messages":[[]]}',
        b'{"system":{"cache_control":1}}',
        b'{"messages":[{"content":[{"content":[7]}]}]}',
        b'{"messages":[{"content":' + b"[" * 50_000,
    ],
)
def test_a_body_of_another_shape_is_reserved_at_the_dearest(strange: bytes) -> None:
    # What cannot be read may name documents of any size, and ask for searches.
    tokens = Tokens(cache_write_1h=1_000_000, output=10, web_search_requests=10)
    assert reserved(strange, 10, PRICE) >= cost_units(tokens, PRICE)
    assert Estimate(strange).likely_tokens > 0


LETTERS = st.text(st.characters(codec="utf-8"), max_size=40)
CONTROL = st.sampled_from([None, EPHEMERAL, HOUR])
TEXT = st.builds(
    lambda text, control: {"type": "text", "text": text, "cache_control": control}, LETTERS, CONTROL
)
BLOCK = st.one_of(
    TEXT,
    st.just(image()),
    st.builds(lambda n: image(type="base64", data="A" * n), st.integers(4, 4000)),
    st.builds(lambda inner: {"type": "tool_result", "content": inner}, st.lists(TEXT, max_size=3)),
)
RATE = st.integers(0, 10**8)


def texts(value: object) -> list[str]:
    """All text in a body that a model reads."""
    if isinstance(value, dict):
        return [text for name, part in value.items() if name != "source" for text in texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts(part)]
    return [value] if isinstance(value, str) else []


@given(
    st.one_of(LETTERS, st.lists(BLOCK, max_size=6)),
    st.lists(TEXT, max_size=2),
    st.integers(0, 5000),
    st.builds(
        Price, input=RATE, output=RATE, cache_read=RATE, cache_write_5m=RATE, cache_write_1h=RATE
    ),
    st.booleans(),
    st.data(),
)
@settings(max_examples=200)
def test_no_tokenizer_within_the_bound_makes_a_request_cost_more_than_was_reserved(
    content: str | list[dict[str, Any]],
    system: list[object],
    max_tokens: int,
    price: Price,
    spaced: bool,
    data: st.DataObject,
) -> None:
    request = {"system": system, "messages": [{"role": "user", "content": content}]}
    encoded = msgspec.json.encode(request)
    if spaced:
        encoded = msgspec.json.format(encoded, indent=1)
    pictures = 5_000 * sum(isinstance(block, dict) and "source" in block for block in content)
    # A token for every two bytes of text, and what stands around each message.
    tokens = sum(-(-len(text.encode()) // 2) for text in texts(request)) + pictures + 10
    left = tokens
    shares: dict[str, int] = {}
    kinds = ["cache_read"]
    kinds += ["cache_write_5m"] * (b'"ephemeral"' in encoded)
    kinds += ["cache_write_1h"] * (b'"1h"' in encoded)
    for kind in kinds:
        shares[kind] = data.draw(st.integers(0, left))
        left -= shares[kind]
    used = Tokens(
        input=left,
        output=data.draw(st.integers(0, max_tokens)),
        cache_read=shares["cache_read"],
        cache_write_5m=shares.get("cache_write_5m", 0),
        cache_write_1h=shares.get("cache_write_1h", 0),
    )
    assert Estimate(encoded).input_tokens >= used.prompt
    assert reserved(encoded, max_tokens, price) >= cost_units(used, price)


class Members(list[tuple[str, Any]]):
    """The members of a JSON object in their order, whatever their names."""


def written(value: object) -> str:
    if isinstance(value, Members):
        inside = ",".join(f"{json.dumps(name)}:{written(part)}" for name, part in value)
        return f"{{{inside}}}"
    if isinstance(value, list):
        return f"[{','.join(map(written, cast('list[object]', value)))}]"
    return json.dumps(value)


def taken(value: object, *, first: bool) -> object:
    """What a server reads that takes names in any case, and the first or the last of two."""
    if isinstance(value, Members):
        pairs = [(name.casefold(), taken(part, first=first)) for name, part in value]
        return dict(reversed(pairs) if first else pairs)
    if isinstance(value, list):
        return [taken(part, first=first) for part in cast("list[object]", value)]
    return value


@st.composite
def objects(draw: st.DrawFn, fields: Mapping[str, st.SearchStrategy[Any]]) -> Members:
    """An object of some of the fields, with some names twice, in any case and escaped."""
    names = draw(st.lists(st.sampled_from(sorted(fields)), max_size=len(fields) + 1))
    members = Members()
    for name in names:
        written_as = draw(st.sampled_from([name] * 3 + [name.upper(), name.title(), _long_s(name)]))
        members.append((written_as, draw(fields[name])))
    return members


def _long_s(name: str) -> str:
    return name.replace("s", "\u017f")


CACHES = objects({"type": st.just("ephemeral"), "ttl": st.sampled_from(["5m", "1h", None])})
LEAVES = objects(
    {
        "type": st.sampled_from(["text", "tool_addition", "thinking"]),
        "text": st.just("hello"),
        "cache_control": CACHES,
        "citations": st.sampled_from([None, {"enabled": True}]),
    }
)
SOURCES = objects(
    {
        "type": st.sampled_from(["base64", "url", "text", "content"]),
        "data": st.integers(0, 3000).map(lambda size: "A" * size),
        "content": st.lists(LEAVES, max_size=2),
    }
)
BLOCKS = objects(
    {
        "type": st.sampled_from(["text", "image", "document", "tool_result"]),
        "source": st.one_of(st.none(), SOURCES),
        "content": st.one_of(st.just("hi"), st.lists(LEAVES, max_size=2)),
        "cache_control": st.one_of(st.none(), CACHES),
    }
)
TOOLS = objects(
    {
        "type": st.sampled_from(["custom", "web_search_20250305", "bash_20250124"]),
        "max_uses": st.sampled_from([None, 1, 3, 100, -1, 0.5, "7"]),
        "cache_control": CACHES,
        "allowed_callers": st.just(["direct"]),
        "input_schema": st.just({"type": "object", "Type": 1, "source": {"MAX_USES": 2}}),
    }
)
MESSAGES = objects(
    {"role": st.just("user"), "content": st.one_of(st.just("hi"), st.lists(BLOCKS, max_size=2))}
)


@given(st.lists(MESSAGES, max_size=2), st.lists(TOOLS, max_size=2), st.lists(LEAVES, max_size=1))
@settings(max_examples=500, deadline=None)
def test_no_reading_of_a_body_costs_more_than_was_reserved(
    messages: list[Members], tools: list[Members], system: list[Members]
) -> None:
    document = Members([("messages", messages), ("tools", tools), ("system", system)])
    units = reserved(written(document).encode(), 10, PRICE)
    for first in (True, False):
        one = json.dumps(taken(document, first=first), separators=(",", ":")).encode()
        # Both sides are rounded up to a token.
        assert units + PRICE.cache_write_1h // 1000 >= Estimate(one).reservation_units(
            10, (PRICE,)
        ), one


@pytest.mark.parametrize(
    "hidden",
    [
        '{"messages":[{"content":[{"type":"document","source":{"type":"url"},"source":null}]}]}',
        '{"messages":[{"content":[{"type":"document","Source":{"type":"url"}}]}]}',
        '{"messages":[{"content":[{"type":"document","\u017fource":{"type":"url"}}]}]}',
        '{"messages":[{"content":[{"type":"document","s\\u006furce":{"type":"url"}}]}]}',
        '{"messages":[{"content":[{"type":"document","type":"text","source":{"type":"url"}}]}]}',
        '{"messages":[{"content":[{"source":{"type":"url"},"type":"document"}],"content":"x"}]}',
        '{"tools":[{"type":"web_search_20250305","max_uses":100,"max_uses":1}]}',
        '{"tools":[{"type":"web_search_20250305","MAX_USES":100,"max_uses":1}]}',
        '{"tools":[{"type":"web_search_20250305","type":"custom"}]}',
        '{"Speed":"fast"}',
    ],
)
def test_what_a_body_hides_is_reserved(hidden: str) -> None:
    assert Estimate(hidden.encode()).input_tokens == 1_000_000


def test_a_cached_block_that_is_hidden_is_reserved_as_cached() -> None:
    block = b'{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}'
    shown = b'{"messages":[{"content":"x","content":[%b]}]}' % block
    hidden = b'{"messages":[{"content":[%b],"content":"x"}]}' % block
    assert reserved(hidden, 10, PRICE) == reserved(shown, 10, PRICE)


def test_names_in_schemas_and_inputs_are_nobodys() -> None:
    tool = {"name": "t", "input_schema": {"Type": 1, "SOURCE": {}, "Max_uses": 1}}
    use = {"type": "tool_use", "id": "t", "name": "t", "input": {"Content": [{"Type": "document"}]}}
    given = body([use, image()], tools=[tool])
    assert Estimate(given).input_tokens < 10_000
