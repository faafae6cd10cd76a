"""Tools made of functions."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import functools
import inspect
import json
import pickle
import types
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import apertis
from apertis.errors import ParameterError
from apertis.sansio.request import render_body
from apertis.testing import ScriptedServer
from apertis.tools.tool import ToolError, tool
from tests.tools.test_runner import DONE, call, says

if TYPE_CHECKING:
    from tests.kit.gateways import RunningGateway


class Unit(enum.Enum):
    C = "celsius"
    F = "fahrenheit"


@dataclasses.dataclass
class Place:
    city: str
    country: str = "JP"


class Spot(TypedDict):
    x: int


class Model(pydantic.BaseModel):
    x: int


class Struct(msgspec.Struct):
    x: int


@tool
def weather(place: str, *, days: int = 1, unit: Literal["c", "f"] | None = None) -> str:
    """Get the weather.

    Args:
        place: A city.
    """
    return f"{place} {days} {unit}"


def test_the_schema_is_that_of_the_signature() -> None:
    assert weather.to_param() == {
        "name": "weather",
        "description": "Get the weather.",
        "input_schema": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "A city."},
                "days": {"type": "integer", "default": 1},
                "unit": {"anyOf": [{"enum": ["c", "f"]}, {"type": "null"}], "default": None},
            },
            "required": ["place"],
            "additionalProperties": False,
        },
    }
    assert weather.to_dict() == weather.to_param()


def test_the_function_stays_what_it_was() -> None:
    assert weather("Kobe", days=2) == "Kobe 2 None"
    assert weather.__name__ == "weather"
    assert (weather.__doc__ or "").startswith("Get the weather.")
    assert list(inspect.signature(weather).parameters) == ["place", "days", "unit"]
    assert pickle.loads(pickle.dumps(weather)) is weather


def plain(x: int) -> int:
    return x + 1


def test_a_tool_beside_its_function_is_pickled() -> None:
    copy = pickle.loads(pickle.dumps(tool(plain, name="more")))
    assert (copy.name, copy.call({"x": 1})) == ("more", 2)


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (Unit, "celsius", Unit.C),
        (Place, {"city": "Kobe"}, Place("Kobe")),
        (list[Place], [{"city": "Kobe"}], [Place("Kobe")]),
        (Spot, {"x": 1}, {"x": 1}),
        (Model, {"x": 1}, Model(x=1)),
        (Struct, {"x": 1}, Struct(1)),
        (int | None, None, None),
        (Annotated[int, msgspec.Meta(ge=1)], 1, 1),
        (Annotated[int, pydantic.Field(ge=1)], 1, 1),
    ],
)
def test_the_input_comes_as_the_annotated_types(annotation: Any, value: Any, expected: Any) -> None:
    def same(value: Any) -> Any:
        return value

    same.__annotations__["value"] = annotation
    assert tool(same).call({"value": value}) == expected


@pytest.mark.parametrize(
    ("given_", "place"),
    [
        ({"place": 5}, r"at \$\.place: expected"),
        ({}, r"at \$\.place: expected a value, found nothing"),
        ({"place": "x", "other": 1}, r"at \$\.other: expected no such key"),
    ],
)
def test_an_invalid_input_names_its_place(given_: Any, place: str) -> None:
    with pytest.raises(ToolError, match=place):
        weather.call(given_)


def test_a_fault_deep_inside_has_its_path() -> None:
    @tool
    def go(places: list[Place]) -> None: ...

    with pytest.raises(ToolError, match=r"\$\.places\[0\]\.city"):
        go.call({"places": [{"city": 1}]})


def test_descriptions_come_from_annotations_first() -> None:
    @tool
    def go(
        a: Annotated[int, "A."],
        b: Annotated[int, msgspec.Meta(description="B.")],
        c: Annotated[int, pydantic.Field(description="C.")],
        d: Place,
    ) -> None:
        """Go.

        :param a: Other.
        :param d: D.
        """

    properties = go.input_schema["properties"]
    assert [properties[name]["description"] for name in "abcd"] == ["A.", "B.", "C.", "D."]


def test_two_types_of_one_name_keep_apart() -> None:
    def other() -> Any:
        @dataclasses.dataclass
        class Place:
            x: int

        return Place

    made = other()

    def go(a: Any, b: Any) -> None: ...

    go.__annotations__.update(a=list[Place], b=Any)
    go.__annotations__["b"] = types.GenericAlias(list, (made,))
    schema = tool(go).input_schema
    references = [schema["properties"][name]["items"]["$ref"] for name in "ab"]
    assert len(set(references)) == 2
    assert set(schema["$defs"]) == {text.rpartition("/")[2] for text in references}


def test_a_method_is_bound_to_its_object() -> None:
    class Desk:
        def __init__(self) -> None:
            self.seen = 0

        @tool
        def look(self, x: int) -> int:
            """Look."""
            self.seen += x
            return self.seen

    desk = Desk()
    assert list(desk.look.input_schema["properties"]) == ["x"]
    assert (desk.look.call({"x": 2}), desk.look(3)) == (2, 5)


def test_objects_that_are_called_and_partial_functions_are_tools() -> None:
    class Adder:
        """An adder."""

        def __call__(self, a: int, b: int) -> int:
            """Add."""
            return a + b

    def three(a: int, b: int, c: int) -> int:
        return a + b + c

    adder = tool(Adder(), name="add")
    assert (adder.description, adder.call({"a": 1, "b": 2})) == ("Add.", 3)
    part = tool(functools.partial(three, 1))
    assert (part.name, list(part.input_schema["properties"])) == ("three", ["b", "c"])
    assert part.call({"b": 2, "c": 3}) == 6


def test_positional_and_further_arguments_arrive() -> None:
    @tool
    def go(a: int, /, b: int = 2, **more: int) -> Any:
        return a, b, more

    assert go.input_schema["additionalProperties"] == {"type": "integer"}
    assert go.call({"a": 1, "z": 3}) == (1, 2, {"z": 3})


def test_a_coroutine_is_to_be_awaited() -> None:
    @apertis.beta_async_tool(name="later")
    async def go(x: int) -> int:
        return x

    assert go.is_async
    assert go.name == "later"
    assert asyncio.run(go.call({"x": 1})) == 1


def test_options_are_sent_and_those_of_the_runner_are_not() -> None:
    @apertis.beta_tool(
        description="D",
        strict=True,
        cache_control={"type": "ephemeral"},
        defer_loading=True,
        allowed_callers=("direct",),
        input_examples=[{"x": 1}],
        eager_input_streaming=True,
        idempotent=True,
        needs_approval=True,
        timeout=2,
    )
    def go(x: int) -> None: ...

    param = go.to_param()
    assert {key: param[key] for key in param if key not in {"name", "input_schema"}} == {
        "description": "D",
        "strict": True,
        "cache_control": {"type": "ephemeral"},
        "defer_loading": True,
        "allowed_callers": ["direct"],
        "input_examples": [{"x": 1}],
        "eager_input_streaming": True,
    }
    assert (go.idempotent, go.needs_approval, go.timeout) == (True, True, 2)


def test_a_schema_by_hand_needs_no_annotations() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"x": {}}}

    @tool(input_schema=schema)
    def go(x):  # type: ignore[no-untyped-def]  # pyright: ignore[reportUnknownParameterType, reportMissingParameterType]
        return x  # pyright: ignore[reportUnknownVariableType]

    assert go.input_schema == schema
    assert go.call({"x": 1}) == 1
    assert tool(plain, input_schema=Model).input_schema["required"] == ["x"]


def no_annotation(x): ...  # type: ignore[no-untyped-def]  # pyright: ignore[reportUnknownParameterType, reportMissingParameterType]


def stars(*texts: str) -> None: ...


def no_schema(x: slice) -> None: ...


def unknown(x: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


REJECTED: list[tuple[Any, str]] = [
    (no_annotation, "no_annotation, parameter 'x': it has no annotation"),
    (stars, r"stars, parameter '\*texts'.*texts: list"),
    (no_schema, "no_schema, parameter 'x'"),
    (unknown, "unknown: its annotations cannot be read.*Nowhere"),
    (lambda: 1, "cannot be the name of a tool"),
    (5, "expected a function, got int"),
]


@pytest.mark.parametrize(("function", "text"), REJECTED)
def test_what_cannot_be_a_tool_is_told_with_its_place(function: Any, text: str) -> None:
    with pytest.raises(ParameterError, match=text):
        tool(function)


def test_a_tool_is_sent_by_a_plain_request() -> None:
    body = msgspec.json.decode(render_body({"tools": [weather]}))
    assert body == {"tools": [weather.to_param()]}


KINDS = st.sampled_from([int, str, bool, list[int], dict[str, int], int | None, Place, Unit])


@given(st.data(), st.lists(KINDS, min_size=1, max_size=4))
def test_what_is_said_of_a_type_comes_back_as_its_value(data: Any, kinds: list[Any]) -> None:
    def go(**given: Any) -> Any:
        return given

    names = [f"p{i}" for i in range(len(kinds))]
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
        for name, kind in zip(names, kinds, strict=True)
    ]
    go.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    go.__annotations__ = dict(zip(names, kinds, strict=True))
    values = {name: data.draw(st.from_type(kind)) for name, kind in zip(names, kinds, strict=True)}
    made = tool(go)
    assert made.input_schema["required"] == names
    assert made.call(msgspec.to_builtins(values)) == values


def test_both_clients_send_a_tool_and_run_it(connect: Any) -> None:
    least: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    with ScriptedServer([says("tool_use", call("weather", place=5)), DONE, DONE]) as server:
        client = connect(api_key="k", base_url=server.base_url, max_retries=0)
        client.messages.run(**least, tools=[weather]).until_done()
        client.messages.create(**least, tools=[weather])
        first, second, plain = (json.loads(request.body) for request in server.requests)
    assert first["tools"] == plain["tools"] == [weather.to_param()]
    [result] = second["messages"][-1]["content"]
    assert result["is_error"] is True
    assert "at $.place: expected `str`, found an integer" in result["content"]


@pytest.mark.parametrize("ask", ["create", "stream", "count_tokens", "through the gateway"])
def test_two_tools_of_one_name_are_rejected_before_anything_is_sent(
    connect: Any, sandbox_gateway: RunningGateway, ask: str
) -> None:
    request: Any = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    limit: Any = {} if ask == "count_tokens" else {"max_tokens": 9}
    with ScriptedServer([]) as server:
        client = connect(api_key="k", base_url=server.base_url, max_retries=0)
        if ask == "through the gateway":
            _, key = sandbox_gateway.make_key()
            client = connect(api_key=key.api_key, base_url=sandbox_gateway.base_url)
            sent = client.messages.create(
                **request | limit | {"model": "claude-opus-4-5"}, tools=[weather]
            )
            assert sent.stop_reason is not None

        def go(*tools: Any) -> None:
            method = getattr(
                client.messages, ask if ask in {"stream", "count_tokens"} else "create"
            )
            answer = method(**request, **limit, tools=iter(tools))
            if ask == "stream":
                with answer as stream:
                    stream.get_final_message()

        for other in (weather, weather.to_param()):
            with pytest.raises(ParameterError, match=r"tools\[1\]: the name 'weather' is taken"):
                go(weather, other)
        assert server.requests == []


def test_a_limit_in_dollars_uses_the_prices_of_the_client(connect: Any) -> None:
    request: Any = {"model": "mine", "max_tokens": 9, "max_cost_usd": "1"}
    request["messages"] = [{"role": "user", "content": "Hi"}]
    with ScriptedServer([]) as server:
        prices = {"mine": {"input": 1, "output": 2}}
        priced = connect(api_key="k", base_url=server.base_url, prices=prices)
        assert priced.messages.run(**request, tools=[weather]) is not None
        plain = connect(api_key="k", base_url=server.base_url)
        with pytest.raises(ParameterError, match="no price is known for the model 'mine'"):
            plain.messages.run(**request, tools=[weather])
