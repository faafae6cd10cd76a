from __future__ import annotations

import base64
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.sandbox.attachments import Attachment, Unreadable, examine

if TYPE_CHECKING:
    from collections.abc import Callable


def pdf_block(data: bytes, **fields: Any) -> dict[str, Any]:
    text = base64.b64encode(data).decode()
    source = {"type": "base64", "media_type": "application/pdf", "data": text}
    return {"type": "document", "source": source, **fields}


@pytest.mark.parametrize(
    ("kind", "name"), [("png", "PNG"), ("gif", "GIF"), ("jpeg", "JPEG"), ("webp", "WebP")]
)
def test_an_image_is_told_by_format_pixels_and_bytes(
    client: Any,
    picture: Callable[[str, int, int], bytes],
    image_block: Callable[..., Any],
    kind: str,
    name: str,
) -> None:
    data = picture(kind, 640, 123)
    text = client.ask([image_block(data, f"image/{kind}")]).text
    assert f"A {name} image, 640 by 123 pixels, {len(data)} bytes" in text


def test_a_url_and_a_file_id_are_named_and_not_opened(client: Any) -> None:
    url = "https://example.com/cat.jpg"
    blocks = [
        {"type": "image", "source": {"type": "url", "url": url}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": {"type": "url", "url": f"{url}.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_2"}},
    ]
    text = client.ask(blocks).text
    assert f"An image at {url}, which I name but do not fetch" in text
    assert "An image by its file id file_1" in text
    assert f"A document at {url}.pdf" in text
    assert "A document by its file id file_2" in text


def test_earlier_images_are_still_known(
    client: Any, picture: Callable[[str, int, int], bytes], image_block: Callable[..., Any]
) -> None:
    messages = [
        {"role": "user", "content": [image_block(picture("png", 11, 12))]},
        {"role": "assistant", "content": "I see."},
        {"role": "user", "content": "And now?"},
    ]
    assert "11 by 12 pixels" in client.ask(messages=messages).text


def refusal(client: Any, block: Any) -> str:
    answer = client.ask([block])
    assert answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request_error"
    message: str = answer.error
    return message


def test_a_bad_image_is_refused_in_the_words_of_the_api(
    client: Any, picture: Callable[[str, int, int], bytes], image_block: Callable[..., Any]
) -> None:
    block = image_block(b"")
    block["source"]["data"] = "not base64!"
    assert "messages.0.content.0.image.source.base64: invalid base64" in refusal(client, block)
    assert refusal(client, image_block(b"just text")) == "Could not process image"
    assert refusal(client, image_block(picture("png", 9, 9)[:20])) == "Could not process image"
    wrong = refusal(client, image_block(picture("png", 9, 9), "image/jpeg"))
    assert "image/jpeg media type, but the image appears to be a image/png image" in wrong
    assert "8000 pixels" in refusal(client, image_block(picture("png", 9000, 9)))
    huge = picture("png", 9, 9) + bytes(21 * 1024 * 1024)
    assert "image exceeds 20 MB maximum" in refusal(client, image_block(huge))
    assert "media_type: Input should be" in refusal(client, image_block(b"x", "image/tiff"))


def test_a_pdf_is_told_by_its_pages(client: Any, pdf: Callable[..., bytes]) -> None:
    data = pdf("One", "Two", "Three")
    text = client.ask([pdf_block(data, title="Report")]).text
    assert f"A PDF “Report”: 3 pages, {len(data):,} bytes" in text
    assert "A PDF: 1 page," in client.ask([pdf_block(pdf("Only"))]).text


def test_a_bad_pdf_is_refused(client: Any, pdf: Callable[..., bytes]) -> None:
    assert refusal(client, pdf_block(b"no pdf")).endswith("The PDF specified was not valid.")
    assert refusal(client, pdf_block(b"%PDF-1.4\n")).endswith("The PDF specified was not valid.")


@pytest.mark.parametrize("algorithm", ["/Filter /Standard /V 9", "/Filter /Other"])
def test_a_pdf_that_is_locked_is_refused(
    client: Any, pdf: Callable[..., bytes], algorithm: str
) -> None:
    lock = f"trailer << /Encrypt << {algorithm} >> /ID [(a) (b)]"
    data = pdf("One").replace(b"trailer <<", lock.encode())
    assert refusal(client, pdf_block(data)).endswith("The PDF specified was not valid.")


def test_texts_and_blocks_are_told_by_their_length(client: Any) -> None:
    plain = {"type": "text", "media_type": "text/plain", "data": "four words are here"}
    parts = {"type": "content", "content": [{"type": "text", "text": "a"}] * 2}
    text = client.ask(
        [{"type": "document", "source": plain}, {"type": "document", "source": parts, "title": "T"}]
    ).text
    assert "A text document of 4 words" in text
    assert "A document “T” of 2 blocks" in text


def test_images_in_tool_results_are_seen(
    client: Any, picture: Callable[[str, int, int], bytes], image_block: Callable[..., Any]
) -> None:
    use = {"type": "tool_use", "id": "t", "name": "screenshot", "input": {}}
    content = [image_block(picture("gif", 31, 32), "image/gif")]
    result = {"type": "tool_result", "tool_use_id": "t", "content": content}
    messages = [
        {"role": "user", "content": "Look"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    assert "31 by 32 pixels" in client.ask(messages=messages).text


def test_without_the_libraries_the_sizes_are_unknown_and_it_says_so(
    client: Any,
    picture: Callable[[str, int, int], bytes],
    image_block: Callable[..., Any],
    pdf: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("imagesize", "pypdf", "pypdf.errors"):
        monkeypatch.setitem(sys.modules, name, None)
    answer = client.ask([image_block(picture("png", 9, 9)), pdf_block(pdf("One"))])
    assert "of unknown size in pixels (imagesize is not installed)" in answer.text
    assert "an unknown number of pages (pypdf is not installed)" in answer.text


MAGIC = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF1234WEBP", b"%PDF-1.7\n", b""]


@given(st.sampled_from(MAGIC), st.binary(max_size=200))
def test_any_bytes_are_examined_or_refused(magic: bytes, rest: bytes) -> None:
    data = base64.b64encode(magic + rest).decode()
    for kind, media_type in (("image", "image/png"), ("document", "application/pdf")):
        source = {"type": "base64", "media_type": media_type, "data": data}
        request = {"messages": [{"role": "user", "content": [{"type": kind, "source": source}]}]}
        found = examine(request)
        if not isinstance(found, Unreadable):
            assert all(isinstance(item, Attachment) for item in found.values())
