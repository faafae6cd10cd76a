"""Images and documents of a request: what their own bytes say about them."""

from __future__ import annotations

import binascii
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apertis.sandbox.values import JsonObject, blocks_of, is_object, objects_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_IMAGE_BYTES = 20 * 1024 * 1024
_MAX_IMAGE_PIXELS = 8000
# What a broken or encrypted file makes its reader raise; RecursionError and NotImplementedError
# are RuntimeErrors, KeyError and IndexError LookupErrors.
_BROKEN = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Attachment:
    """An image or a document.

    `source` is `base64`, `url`, `file`, `text` or `content`; `where` the URL or file id of one that
    is only named; `texts` the text by page, by block, or as a whole; None stands for unknown.
    """

    kind: str
    source: str
    title: str = ""
    where: str = ""
    media_type: str = ""
    size_bytes: int | None = None
    pixels: tuple[int, int] | None = None
    pages: int | None = None
    texts: tuple[str, ...] = ()
    citations: bool = False

    def describe(self) -> str:
        """Return one line of what is known, without its full stop."""
        if self.kind == "image":
            return self._describe_image()
        name = f" “{self.title}”" if self.title else ""
        if self.source == "url":
            return f"A document{name} at {self.where}, which I name but do not fetch"
        if self.source == "file":
            return f"A document{name} by its file id {self.where}, which I cannot open"
        if self.source == "base64" and self.media_type == "application/pdf":
            pages = "an unknown number of pages (pypdf is not installed)"
            if self.pages is not None:
                pages = count(self.pages, "page")
            return f"A PDF{name}: {pages}, {self.size_bytes:,} bytes"
        if self.source == "content":
            return f"A document{name} of {count(len(self.texts), 'block')}"
        words = sum(len(text.split()) for text in self.texts)
        return f"A text document{name} of {count(words, 'word')}"

    def _describe_image(self) -> str:
        if self.source == "url":
            return f"An image at {self.where}, which I name but do not fetch"
        if self.source == "file":
            return f"An image by its file id {self.where}, which I cannot open"
        form = self.media_type.removeprefix("image/").upper().replace("WEBP", "WebP")
        size = "of unknown size in pixels (imagesize is not installed)"
        if self.pixels is not None:
            size = f"{self.pixels[0]} by {self.pixels[1]} pixels"
        return f"A {form} image, {size}, {self.size_bytes:,} bytes"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The reason that an image or document is rejected, in the API's words."""

    message: str


def count(number: int, noun: str) -> str:
    """Format `1 page`, `2 pages`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def examine(request: JsonObject) -> dict[int, Attachment] | Unreadable:
    """Return every image, document and search result of the messages, by the identity of its block.

    The blocks live as long as the request does, so their identity is a key for that long. The
    first one that cannot be read is the response instead.
    """
    found: dict[int, Attachment] = {}
    for path, block in _attached(request):
        attachment = _examine_block(path, block)
        if isinstance(attachment, Unreadable):
            return attachment
        found[id(block)] = attachment
    return found


def _attached(request: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    for place, message in enumerate(objects_of(request.get("messages"))):
        yield from _attached_in(f"messages.{place}.content", message.get("content"))


def _attached_in(path: str, content: object) -> Iterator[tuple[str, JsonObject]]:
    for place, block in enumerate(blocks_of(content)):
        kind = block.get("type")
        if kind in ("image", "document", "search_result"):
            yield f"{path}.{place}.{kind}", block
        elif kind == "tool_result":
            yield from _attached_in(f"{path}.{place}.tool_result.content", block.get("content"))


def _examine_block(path: str, block: JsonObject) -> Attachment | Unreadable:
    kind = str(block["type"])
    setting = block.get("citations")
    citations = is_object(setting) and setting.get("enabled") is True
    if kind == "search_result":
        texts = tuple(str(part.get("text", "")) for part in blocks_of(block.get("content")))
        title, where = str(block.get("title", "")), str(block.get("source", ""))
        return Attachment(kind, "content", title, where, texts=texts, citations=citations)
    source: JsonObject = block["source"]
    title = str(block.get("title") or "")
    form = str(source["type"])
    if form in ("url", "file"):
        where = str(source.get("url") or source.get("file_id") or "")
        return Attachment(kind, form, title, where)
    if form == "text":
        text = str(source["data"])
        return Attachment(kind, form, title, texts=(text,), citations=citations)
    if form == "content":
        parts = tuple(str(part.get("text", "")) for part in blocks_of(source.get("content")))
        return Attachment(kind, form, title, texts=parts, citations=citations)
    data = _decode(str(source["data"]))
    if data is None:
        return Unreadable(f"{path}.source.base64: invalid base64 data")
    if kind == "image":
        return _examine_image(path, str(source["media_type"]), data)
    return _examine_pdf(path, title, data, citations)


def _decode(text: str) -> bytes | None:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None


def _examine_image(path: str, media_type: str, data: bytes) -> Attachment | Unreadable:
    path = f"{path}.source.base64"
    if len(data) > _MAX_IMAGE_BYTES:
        return Unreadable(
            f"{path}: image exceeds 20 MB maximum: {len(data)} bytes > {_MAX_IMAGE_BYTES} bytes"
        )
    found = _image_type(data)
    if found is None:
        return Unreadable("Could not process image")
    if found != media_type:
        return Unreadable(
            f"{path}.data: The image was specified using the {media_type} media type, "
            f"but the image appears to be a {found} image"
        )
    pixels = _image_pixels(data)
    if pixels is not None and min(pixels) < 1:
        return Unreadable("Could not process image")
    if pixels is not None and max(pixels) > _MAX_IMAGE_PIXELS:
        return Unreadable(
            f"{path}.data: At least one of the image dimensions exceed max allowed size: "
            f"{_MAX_IMAGE_PIXELS} pixels"
        )
    return Attachment("image", "base64", media_type=media_type, size_bytes=len(data), pixels=pixels)


def _image_type(data: bytes) -> str | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def _image_pixels(data: bytes) -> tuple[int, int] | None:
    """Return width and height; (-1, -1) for truncated data, None without imagesize."""
    try:
        import imagesize  # type: ignore[import-untyped]
    except ImportError:
        return None
    try:
        size: tuple[int, int] = imagesize.get(io.BytesIO(data))  # pyright: ignore[reportUnknownMemberType]
        return size
    except (ValueError, OSError, IndexError):
        return (-1, -1)


def _examine_pdf(path: str, title: str, data: bytes, citations: bool) -> Attachment | Unreadable:
    if not data.startswith(b"%PDF-"):
        return Unreadable(f"{path}.source.base64.data: The PDF specified was not valid.")
    read = _pdf_pages(data)
    if read is not None and not read:
        return Unreadable(f"{path}.source.base64.data: The PDF specified was not valid.")
    return Attachment(
        "document",
        "base64",
        title,
        media_type="application/pdf",
        size_bytes=len(data),
        pages=None if read is None else len(read),
        texts=tuple(read or ()),
        citations=citations,
    )


def _pdf_pages(data: bytes) -> list[str] | None:
    """Return the text of each page, nothing for a file that cannot be read, None without pypdf."""
    try:
        from pypdf import PdfReader
        from pypdf.errors import DependencyError, PyPdfError
    except ImportError:
        return None
    try:
        pages: Any = PdfReader(io.BytesIO(data)).pages
        return [re.sub(r"\s+", " ", page.extract_text()).strip() for page in pages]
    except (PyPdfError, DependencyError, *_BROKEN):
        # A broken file breaks the reader in as many ways; all of them mean the same here.
        return []
