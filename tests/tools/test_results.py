"""What tools return as the content of a result."""

from __future__ import annotations

import base64
import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec
import pydantic
import pytest

from apertis.tools.results import MAX_RESULT_CHARACTERS, result_content

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
IMAGE = {
    "type": "image",
    "source": {
        "type": "base64",
        "media_type": "image/png",
        "data": base64.b64encode(PNG).decode(),
    },
}
TEXT = {"type": "text", "text": "x"}


@dataclasses.dataclass
class Point:
    x: int


class Place(msgspec.Struct):
    x: int


class Spot(pydantic.BaseModel):
    x: int


@pytest.mark.parametrize("value", [Point(1), Place(1), Spot(x=1), {"x": 1}])
def test_an_object_is_json(value: Any) -> None:
    assert result_content(value) == '{"x":1}'
    assert result_content([value]) == '[{"x":1}]'


@pytest.mark.parametrize("value", [{"type": "dog"}, {"type": "image"}, {"type": ["text"]}])
def test_data_with_a_type_is_no_block(value: Any) -> None:
    assert result_content(value) == msgspec.json.encode(value).decode()


def test_bytes_paths_and_blocks_mix(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    assert result_content(PNG) == [IMAGE]
    assert result_content(TEXT) == [TEXT]
    assert result_content((path, "x", TEXT)) == [IMAGE, TEXT, TEXT]
    assert result_content(b"%PDF-1.7")[0]["type"] == "document"


def test_a_value_that_json_cannot_say_is_an_error_that_names_its_type() -> None:
    with pytest.raises(TypeError, match="a value of object"):
        result_content(object())


def test_a_text_without_end_is_cut_and_says_so() -> None:
    content = result_content("x" * (MAX_RESULT_CHARACTERS + 1))
    assert content.endswith(f"... (cut: it had {MAX_RESULT_CHARACTERS + 1} characters)")
    assert result_content("x" * MAX_RESULT_CHARACTERS) == "x" * MAX_RESULT_CHARACTERS
