"""A sandbox to ask, and images and documents to show it."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from apertis.sandbox import Reply, Sandbox, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MODEL = "claude-sonnet-4.5"


@dataclass(frozen=True)
class Answer:
    """A reply with its steps carried out."""

    status: int
    headers: dict[str, str]
    body: bytes
    steps: tuple[Any, ...]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"]["message"])

    @property
    def text(self) -> str:
        return "".join(block.get("text", "") for block in self.json["content"])

    @property
    def events(self) -> list[dict[str, Any]]:
        events = []
        for chunk in self.body.decode().split("\n\n")[:-1]:
            name, data = chunk.split("\n")
            event = json.loads(data.removeprefix("data: "))
            assert name == f"event: {event['type']}"
            events.append(event)
        return events

    @property
    def waited(self) -> float:
        return sum(step.seconds for step in self.steps if isinstance(step, Wait))


def carried_out(reply: Reply) -> Answer:
    steps = tuple(reply.steps)
    body = b"".join(step for step in steps if isinstance(step, bytes))
    return Answer(reply.status, dict(reply.headers), body, steps)


@dataclass
class Client:
    """Asks one sandbox; a message needs only what a test is about."""

    sandbox: Sandbox

    def send(
        self,
        method: str,
        path: str,
        body: object = b"",
        query: str = "",
        headers: Mapping[str, str] = {},
    ) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return carried_out(self.sandbox.reply(method, path, headers, data, query))

    def request(self, content: object = "Hello!", **fields: Any) -> dict[str, Any]:
        messages = [{"role": "user", "content": content}]
        return {"model": MODEL, "max_tokens": 1024, "messages": messages, **fields}

    def ask(self, content: object = "Hello!", **fields: Any) -> Answer:
        headers = fields.pop("headers", {})
        body = self.request(content, **fields)
        return self.send("POST", "/v1/messages", body, headers=headers)

    def count(self, content: object = "Hello!", **fields: Any) -> Answer:
        body = self.request(content, **fields)
        return self.send("POST", "/v1/messages/count_tokens", body)


@pytest.fixture
def client() -> Client:
    return Client(Sandbox())


@pytest.fixture
def new_client() -> Callable[[Sandbox], Client]:
    return Client


@pytest.fixture
def assemble() -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
    """Puts events together again, in a plain way of its own."""
    return _assemble


def _assemble(events: list[dict[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {}
    pieces: dict[int, str] = {}
    for event in events:
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                assert event["index"] == len(message["content"])
                message["content"].append(event["content_block"])
            case "content_block_delta":
                _add(message["content"][event["index"]], event["delta"], pieces, event["index"])
            case "content_block_stop" if event["index"] in pieces:
                written = pieces[event["index"]]
                message["content"][event["index"]]["input"] = json.loads(written or "{}")
            case "message_delta":
                message |= event["delta"]
                message["usage"] |= event["usage"]
    return message


def _add(block: dict[str, Any], delta: dict[str, Any], pieces: dict[int, str], index: int) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] += delta["signature"]
        case "citations_delta":
            block["citations"].append(delta["citation"])
        case "input_json_delta":
            pieces[index] = pieces.get(index, "") + delta["partial_json"]
        case other:
            raise AssertionError(other)


@pytest.fixture
def picture() -> Callable[[str, int, int], bytes]:
    """Makes the head of an image of a type and size, enough for what reads sizes."""
    return _picture


def _picture(kind: str, width: int, height: int) -> bytes:
    if kind == "gif":
        return b"GIF89a" + struct.pack("<HH", width, height) + b"\x00\x00\x00;"
    if kind == "jpeg":
        frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
        return b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + b"\xff\xd9"
    if kind == "webp":
        size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        chunk = b"VP8X" + struct.pack("<I", 10) + b"\x00\x00\x00\x00" + size
        return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + _png_chunk(b"IEND", b"")


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.fixture
def image_block() -> Callable[..., dict[str, Any]]:
    def make(data: bytes, media_type: str = "image/png") -> dict[str, Any]:
        text = base64.b64encode(data).decode()
        source = {"type": "base64", "media_type": media_type, "data": text}
        return {"type": "image", "source": source}

    return make


@pytest.fixture
def pdf() -> Callable[..., bytes]:
    """Makes a PDF with a line of text on each page."""
    return _pdf


def _pdf(*pages: str) -> bytes:
    kids = " ".join(f"{3 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
    ]
    font = "<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    for number, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Resources {font} "
            f"/Contents {4 + 2 * number} 0 R >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    return _pdf_file(objects)


def _pdf_file(objects: list[str]) -> bytes:
    data = b"%PDF-1.4\n"
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n{content}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    return (
        data
        + (
            f"xref\n0 {size}\n0000000000 65535 f \n{table}"
            f"trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{len(data)}\n%%EOF\n"
        ).encode()
    )


@pytest.fixture
def weather() -> dict[str, Any]:
    """The tool of the documentation page."""
    return {
        "name": "get_weather",
        "description": "Get the current weather in a given location",
        "input_schema": {
            "type": "object",
            "properties": {
                "location": {
                    "type": "string",
                    "description": "The city and state, e.g. San Francisco, CA",
                },
                "unit": {
                    "type": "string",
                    "enum": ["celsius", "fahrenheit"],
                    "description": "The unit of temperature",
                },
            },
            "required": ["location"],
        },
    }
