"""Read by type checkers, never run: the type that a caller asks for is the type that comes."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_type

from apertis import Apertis, AsyncApertis, Message, OutputError, ParsedMessage
from apertis.models import Usage

if TYPE_CHECKING:
    from apertis.params import MessageParam

client = Apertis()
aio = AsyncApertis()
hello: MessageParam = {"role": "user", "content": "Hello"}


@dataclass
class Film:
    title: str


def a_message_has_a_value_of_the_type() -> None:
    parse = client.messages.parse
    message = parse(model="m", max_tokens=5, messages=[hello], output_format=Film, repair=1)
    assert_type(message, ParsedMessage[Film])
    assert_type(message.parsed_output, Film | None)
    assert_type(message.attempts, tuple[Message, ...])
    assert_type(message.total_usage, Usage)
    films = parse(model="m", max_tokens=5, messages=[hello], output_format=list[Film])
    assert_type(films.parsed_output, list[Film] | None)
    union: Any = Film | int
    either = parse(model="m", max_tokens=5, messages=[hello], output_format=union)
    assert_type(either, ParsedMessage[Any])
    plain: Message = message
    plain.to_param()
    parse(model="m", max_tokens=5, messages=[hello], output_format=Film, via="prompt")  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]
    parse(model="m", messages=[hello], output_format=Film)  # type: ignore[call-overload]  # ty: ignore[no-matching-overload]


def a_stream_has_one_too() -> None:
    with client.messages.stream(model="m", max_tokens=5, messages=[hello]) as plain:
        assert_type(plain.get_final_message(), Message)
    with client.messages.stream(
        model="m", max_tokens=5, messages=[hello], output_format=Film, cache_control=None
    ) as stream:
        for value in stream.partial_outputs():
            assert_type(value, Any)
        assert_type(stream.get_final_message(), ParsedMessage[Film])
        assert_type(stream.get_final_message().parsed_output, Film | None)


async def the_other_client_gives_the_same() -> None:
    message = await aio.messages.parse(
        model="m", max_tokens=5, messages=[hello], output_format=Film
    )
    assert_type(message, ParsedMessage[Film])
    async with aio.messages.stream(
        model="m", max_tokens=5, messages=[hello], output_format=Film
    ) as stream:
        assert_type((await stream.get_final_message()).parsed_output, Film | None)


def an_error_has_what_came(error: OutputError) -> None:
    assert_type(error.partial, Message | None)
    assert_type(error.usage, Usage)
    assert_type(error.path, str)
