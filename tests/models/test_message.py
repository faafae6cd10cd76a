"""The conveniences of a message and of its blocks."""

from typing import Any

import pytest

from apertis.models import (
    Headers,
    Message,
    MessageTokensCount,
    RedactedThinkingBlock,
    ResponseInfo,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    Usage,
    attach_response,
    build_block,
    decode,
)


def message(*content: Any) -> Message:
    return Message(
        id="msg_1",
        content=list(content),
        model="claude-x",
        role="assistant",
        usage=Usage(input_tokens=1, output_tokens=1),
    )


CALL = ToolUseBlock(id="t", name="weather", input={"city": "Kyoto"})


def test_text_joins_the_text_blocks_and_nothing_else() -> None:
    thought = ThinkingBlock(thinking="hm", signature="s")
    answer = message(thought, TextBlock(text="a"), CALL, TextBlock(text="b"))
    assert answer.text == "ab"
    assert answer.thinking == "hm"
    assert answer.tool_uses == [CALL]


def test_a_message_without_text_has_empty_text() -> None:
    assert (message().text, message().thinking, message().tool_uses) == ("", "", [])


@pytest.mark.parametrize(
    "block", [CALL, ThinkingBlock(thinking="hm"), RedactedThinkingBlock(data="x")]
)
def test_the_text_of_a_block_without_text_names_its_type_and_the_way_out(block: Any) -> None:
    with pytest.raises(AttributeError, match=rf"{block.type}.*message\.text"):
        _ = block.text
    assert getattr(block, "text", None) is None
    assert not hasattr(block, "text")


def test_any_other_missing_attribute_says_what_there_is() -> None:
    block: Any = CALL
    with pytest.raises(AttributeError, match="ToolUseBlock has no 'arguments'; it has id, name"):
        _ = block.arguments


def test_a_union_of_blocks_matches_by_pattern() -> None:
    match build_block({"type": "tool_use", "id": "t", "name": "weather", "input": {"a": 1}}):
        case ToolUseBlock(name="weather", input={"a": number}):
            assert number == 1
        case _:
            pytest.fail("the block did not match")


def test_a_message_becomes_a_turn_of_the_next_request() -> None:
    answer = message(TextBlock(text="a"))
    assert answer.to_param() == {"role": "assistant", "content": answer.content}


def test_a_result_knows_how_it_came_and_says_so_when_it_does_not() -> None:
    count = decode(MessageTokensCount, b'{"input_tokens": 7}')
    assert count.request_id is None
    with pytest.raises(AttributeError, match="MessageTokensCount has no `response`"):
        _ = count.response
    info = ResponseInfo(200, Headers([("request-id", "req_1")]))
    attach_response(count, info)
    assert count.response is info
    assert count.request_id == "req_1"
    assert count == decode(MessageTokensCount, b'{"input_tokens": 7}')
    assert count.to_dict() == {"input_tokens": 7}
