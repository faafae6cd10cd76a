"""Images and documents as content blocks: of a path, of bytes, of an open file, of a URL."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast, runtime_checkable

from apertis.errors import ParameterError

if TYPE_CHECKING:
    from apertis.params import (
        CacheControlParam,
        DocumentBlockParam,
        ImageBlockParam,
    )
    from apertis.params.content import ImageMediaType


@runtime_checkable
class BinaryFile(Protocol):
    """An open file whose `read` gives bytes."""

    def read(self) -> bytes:
        """Read all that is left of it."""
        ...


Source: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryFile"

_IMAGES = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WebP"}


def image(
    source: Source,
    *,
    media_type: ImageMediaType | None = None,
    cache_control: CacheControlParam | None = None,
) -> ImageBlockParam:
    """Create an image block for a message: PNG, JPEG, GIF or WebP.

    `source` is a path, the bytes, an open binary file, or an `http(s)` URL, which the service
    fetches. What kind of image it is, its first bytes say; `media_type` overrules them.

    Raises:
        ParameterError: The file cannot be read, or what it holds is no such image.
    """
    url = _url(source)
    block: ImageBlockParam
    if url is not None:
        block = {"type": "image", "source": {"type": "url", "url": url}}
    else:
        data, name = _bytes(source)
        kind = media_type or _image_type(data)
        if kind not in _IMAGES:
            seen = f"`media_type` is {media_type!r}" if media_type else _seen(data)
            raise ParameterError(
                f"{name} is not a supported image: {seen}. "
                f"The API takes {', '.join(_IMAGES.values())}.",
                param="source",
            )
        block = {
            "type": "image",
            "source": {
                "type": "base64",
                "media_type": cast("ImageMediaType", kind),
                "data": base64.b64encode(data).decode("ascii"),
            },
        }
    if cache_control is not None:
        block["cache_control"] = cache_control
    return block


def document(
    source: Source,
    *,
    title: str | None = None,
    context: str | None = None,
    citations: bool = False,
    cache_control: CacheControlParam | None = None,
) -> DocumentBlockParam:
    """Create a document block for a message: a PDF, or plain text in UTF-8.

    `source` is a path, the bytes, an open binary file, or an `http(s)` URL of a PDF, which the
    service fetches. `title` is what citations call it, `context` what the model is told about it;
    `citations` lets the model cite it.

    Raises:
        ParameterError: The file cannot be read, or is neither a PDF nor text.
    """
    url = _url(source)
    if url is not None:
        block: DocumentBlockParam = {"type": "document", "source": {"type": "url", "url": url}}
    else:
        block = _document_block(*_bytes(source))
    if title is not None:
        block["title"] = title
    if context is not None:
        block["context"] = context
    if citations:
        block["citations"] = {"enabled": True}
    if cache_control is not None:
        block["cache_control"] = cache_control
    return block


def _document_block(data: bytes, name: str) -> DocumentBlockParam:
    # The header may stand anywhere in a PDF's first kilobyte.
    if b"%PDF-" in data[:1024]:
        return {
            "type": "document",
            "source": {
                "type": "base64",
                "media_type": "application/pdf",
                "data": base64.b64encode(data).decode("ascii"),
            },
        }
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text or not text.strip():
        hint = " apertis.image(...) makes a block of an image." if _image_type(data) else ""
        raise ParameterError(
            f"{name} is not a supported document: {_seen(data)}. "
            f"The API takes PDF and plain text in UTF-8.{hint}",
            param="source",
        )
    return {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": text},
    }


def base64_text(source: Source, param: str) -> str:
    """Return the content of a path or an open file as base64 text; errors name `param`."""
    try:
        data, _ = _bytes(source)
    except ParameterError as error:
        raise ParameterError(f"{param}: {error}", param=param) from error
    return base64.b64encode(data).decode("ascii")


def _url(source: Source) -> str | None:
    if isinstance(source, str) and source[:8].lower().startswith(("http://", "https://")):
        return source
    return None


def _bytes(source: Source) -> tuple[bytes, str]:
    """Return a source's bytes, and its name for an error."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), "the data"
    if isinstance(source, str | os.PathLike):
        return _file(Path(source))
    if isinstance(cast("object", source), BinaryFile):
        try:
            data = cast("object", source.read())
        except (OSError, ValueError) as error:
            raise ParameterError(f"cannot read the file: {error}", param="source") from error
        if isinstance(data, bytes):
            return data, "the file"
        raise ParameterError(
            f"the file gave {type(data).__name__}, not bytes: open it with mode 'rb'",
            param="source",
        )
    raise ParameterError(
        "source must be a path, bytes, an open binary file or an http(s) URL, "
        f"not {type(source).__name__}",
        param="source",
    )


def _file(path: Path) -> tuple[bytes, str]:
    try:
        return path.read_bytes(), f"the file {str(path)[:200]!r}"
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        shown = str(path)
        hint = " Base64 text has to be decoded to bytes first." if len(shown) > 200 else ""
        raise ParameterError(
            f"cannot read the file {shown[:200]!r}: {reason}.{hint}", param="source"
        ) from error


def _image_type(data: bytes) -> str | None:
    """Return the media type that the first bytes indicate."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


_OTHERS = (
    (b"%PDF-", "a PDF; apertis.document(...) makes a block of it"),
    (b"BM", "a BMP image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"<svg", "an SVG image"),
    (b"<?xml", "XML, perhaps an SVG image"),
)


def _seen(data: bytes) -> str:
    if not data:
        return "it is empty"
    if data[4:8] == b"ftyp":
        return "it is a HEIC or AVIF image, or a video"
    kind = _image_type(data)
    if kind is not None:
        return f"it is a {_IMAGES[kind]} image"
    for start, name in _OTHERS:
        if data.startswith(start):
            return f"it is {name}"
    return f"it begins with {data[:8].hex(' ')}"
