"""pydantic takes the models as fields, and the parameters as types."""

from __future__ import annotations

import json
from typing import Any

import pytest

import apertis.params
from apertis.models import ContentBlock, Message, TextBlock, ToolUseBlock, UnknownBlock, Usage

pydantic: Any = pytest.importorskip("pydantic", reason="pydantic is not installed")

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "text", "text": "Hi", "citations": None},
        {"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}},
        {"type": "hologram", "depth": 3},
    ],
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 2, "water": 3},
    "mood": "calm",
}
TYPED = [kind for kind in vars(apertis.params).values() if hasattr(kind, "__required_keys__")]


def test_a_message_is_validated_from_json_and_said_as_json() -> None:
    adapter = pydantic.TypeAdapter(Message)
    for message in (adapter.validate_python(MESSAGE), adapter.validate_json(json.dumps(MESSAGE))):
        assert isinstance(message, Message)
        assert isinstance(message.content[2], UnknownBlock)
        assert adapter.dump_python(message) == MESSAGE
        assert json.loads(adapter.dump_json(message)) == MESSAGE
        assert adapter.validate_python(message) is message
        message.content[1].input["a"] = 2
        assert adapter.dump_python(message)["content"][1]["input"] == {"a": 2}


def test_models_are_fields() -> None:
    turns = pydantic.create_model(
        "Turn",
        answer=(Message, ...),
        usage=(Usage | None, None),
        blocks=(list[ContentBlock], []),
        odd=(UnknownBlock | None, None),
    )
    turn = turns(
        answer=MESSAGE,
        usage=MESSAGE["usage"],
        blocks=MESSAGE["content"],
        odd=MESSAGE["content"][2],
    )
    assert [type(block) for block in turn.blocks] == [TextBlock, ToolUseBlock, UnknownBlock]
    assert turn.odd.depth == 3
    dumped = turn.model_dump()
    assert dumped["answer"] == MESSAGE
    assert dumped["blocks"] == MESSAGE["content"]
    assert dumped["usage"] == MESSAGE["usage"]
    assert turns.model_validate(turn.model_dump()) == turn
    assert turns.model_validate_json(turn.model_dump_json()) == turn
    assert turn.model_copy(deep=True) == turn
    for mode in ("validation", "serialization"):
        assert turns.model_json_schema(mode=mode)["properties"]["answer"]["type"] == "object"


@pytest.mark.parametrize(
    "wrong",
    [1, "x", [], None, {}, {**MESSAGE, "id": 1}, {**MESSAGE, "usage": {"a": "x"}}],
)
def test_what_is_no_message_is_a_validation_error(wrong: Any) -> None:
    with pytest.raises(pydantic.ValidationError):
        pydantic.TypeAdapter(Message).validate_python(wrong)


@pytest.mark.parametrize("kind", TYPED, ids=lambda kind: str(kind.__name__))
def test_every_parameter_class_is_a_type_for_pydantic(kind: Any) -> None:
    pytest.importorskip("typing_extensions", reason="typing_extensions is not installed")
    adapter = pydantic.TypeAdapter(kind)
    schema = adapter.json_schema()
    if schema.get("required") or "$ref" in schema:
        with pytest.raises(pydantic.ValidationError, match="Field required"):
            adapter.validate_python({})
    else:
        assert adapter.validate_python({}) == {}


def test_parameters_are_validated() -> None:
    assert len(TYPED) > 60
    call = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
    create = pydantic.TypeAdapter(apertis.params.CreateParams)
    assert create.validate_python({**call, "timeout": 3.5})["timeout"] == 3.5
    with pytest.raises(pydantic.ValidationError, match="max_tokens"):
        create.validate_python({**call, "max_tokens": "many"})
