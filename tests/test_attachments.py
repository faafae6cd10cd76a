"""Content blocks of files."""

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.attachments import document, image
from apertis.errors import ParameterError

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 20
GIF = b"GIF89a" + b"\0" * 20
WEBP = b"RIFF\x10\0\0\0WEBPVP8 "
PDF = b"%PDF-1.7\n%\xe2\xe3"


def source(block: Any) -> Any:
    return block["source"]


@pytest.mark.parametrize(
    ("data", "kind"),
    [(PNG, "image/png"), (JPEG, "image/jpeg"), (GIF, "image/gif"), (WEBP, "image/webp")],
)
def test_an_image_is_what_its_bytes_say_whatever_its_name_says(
    data: bytes, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "picture.txt"
    path.write_bytes(data)
    expected = {
        "type": "image",
        "source": {
            "type": "base64",
            "media_type": kind,
            "data": base64.b64encode(data).decode(),
        },
    }
    for given_as in (path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data)):
        assert image(given_as) == expected


def test_a_url_is_passed_on_and_not_fetched() -> None:
    url = "https://images.invalid/a.png"
    assert image(url) == {"type": "image", "source": {"type": "url", "url": url}}
    assert source(document("HTTP://x.invalid/a.pdf"))["url"] == "HTTP://x.invalid/a.pdf"


def test_options_stand_in_the_block_only_when_they_are_given() -> None:
    assert image(PNG, cache_control={"type": "ephemeral"})["cache_control"] == {"type": "ephemeral"}
    assert source(image(b"raw", media_type="image/png"))["media_type"] == "image/png"
    plain = document(PDF)
    assert set(plain) == {"type", "source"}
    full = document(
        PDF, title="T", context="C", citations=True, cache_control={"type": "ephemeral"}
    )
    assert {k: v for k, v in full.items() if k != "source"} == {
        "type": "document",
        "title": "T",
        "context": "C",
        "citations": {"enabled": True},
        "cache_control": {"type": "ephemeral"},
    }


def test_a_document_is_a_pdf_or_text() -> None:
    assert source(document(PDF)) == {
        "type": "base64",
        "media_type": "application/pdf",
        "data": base64.b64encode(PDF).decode(),
    }
    assert source(document(b"junk\n" + PDF))["media_type"] == "application/pdf"
    text = {"type": "text", "media_type": "text/plain", "data": "Grüße"}
    assert source(document("Grüße".encode())) == text
    assert source(document("Grüße".encode("utf-8-sig"))) == text


@pytest.mark.parametrize(
    ("make", "data", "words"),
    [
        (image, b"", "it is empty"),
        (image, PDF, "a PDF; apertis.document"),
        (image, b"BM" + b"\0" * 9, "a BMP image"),
        (image, b"\0\0\0\x18ftypheic", "HEIC"),
        (image, b"RIFF\x10\0\0\0WAVE", "52 49 46 46"),
        (image, b"hello world", "PNG, JPEG, GIF, WebP"),
        (document, PNG, "a PNG image.*apertis.image"),
        (document, b"", "it is empty"),
        (document, b"\xff\xfeh\0i\0", "plain text in UTF-8"),
        (document, b"a\0b", "61 00 62"),
    ],
)
def test_what_cannot_be_sent_is_named(make: Any, data: bytes, words: str) -> None:
    with pytest.raises(ParameterError, match=words) as caught:
        make(data)
    assert caught.value.param == "source"


def test_a_media_type_that_the_api_does_not_take_is_named() -> None:
    kind: Any = "image/jpg"
    with pytest.raises(ParameterError, match="`media_type` is 'image/jpg'"):
        image(JPEG, media_type=kind)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"nothing\.png.*No such file"):
        image(tmp_path / "nothing.png")
    with pytest.raises(ParameterError, match="Is a directory"):
        document(str(tmp_path))
    with pytest.raises(ParameterError, match="decoded to bytes first"):
        image("iVBORw0KGgo" * 100)
    with pytest.raises(ParameterError, match="null"):
        image("a\0b")


def test_what_is_no_source_is_named() -> None:
    wrong: Any = 3
    with pytest.raises(ParameterError, match="not int"):
        image(wrong)
    text: Any = io.StringIO("a")
    with pytest.raises(ParameterError, match="mode 'rb'"):
        document(text)


@given(st.binary(max_size=40))
def test_any_bytes_make_a_block_or_a_parameter_error(data: bytes) -> None:
    for make in (image, document):
        try:
            block: Any = make(data)
        except ParameterError:
            continue
        held = block["source"]
        if held["type"] == "base64":
            assert base64.b64decode(held["data"]) == data
        else:
            assert held["data"] == data.decode("utf-8-sig")


def test_a_file_that_is_closed_cannot_be_read() -> None:
    file = io.BytesIO(b"x")
    file.close()
    with pytest.raises(ParameterError, match=r"cannot read the file: .*closed"):
        image(file)
