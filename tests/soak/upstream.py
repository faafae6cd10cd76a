"""The upstream of the load: it answers as each request says, and keeps its own books."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from fractions import Fraction
from math import ceil
from typing import Any

__all__ = ["PRICE", "Upstream", "Usage", "cost_of"]

PRICE = {"input_tokens": "3", "output_tokens": "15", "cache_read_input_tokens": "0.3"}

Usage = dict[str, int]


def cost_of(usage: Usage) -> int:
    """What an answer costs in units, in exact fractions of dollars per million tokens."""
    dollars = sum((Fraction(PRICE[name]) * usage[name] for name in PRICE), Fraction())
    return ceil(dollars * 500_000 / 1_000_000)


class Upstream:
    """Answers as each request's own text says, and books the usage of whole answers."""

    def __init__(self) -> None:
        self.books: dict[str, Usage] = {}
        # Calls that were never answered, and whose connection the gateway has closed.
        self.unanswered = self.given_up = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                asked = json.loads(await reader.readexactly(int(length[1]) if length else 0))
                plan = json.loads(asked["messages"][0]["content"])
                if plan["kind"] == "impatient":
                    # Nothing is said until the gateway gives up, because its caller did.
                    self.unanswered += 1
                    with contextlib.suppress(ConnectionError):
                        await reader.read(1)
                    self.given_up += 1
                    break
                if not await self._answer(plan, writer, stream=asked.get("stream", False)):
                    break
        writer.close()

    async def _answer(
        self, plan: dict[str, Any], writer: asyncio.StreamWriter, *, stream: bool
    ) -> bool:
        usage = plan["usage"]
        if plan["kind"] == "refused":
            error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
            await _document(writer, 529, error)
            return True
        message = {
            "id": plan["id"],
            "type": "message",
            "role": "assistant",
            "model": "model",
            "content": [{"type": "text", "text": "wxyz" * 20}],
            "stop_reason": "end_turn",
            "usage": usage,
        }
        if not stream:
            self.books[plan["id"]] = usage
            await _document(writer, 200, message)
            return True
        return await self._stream(plan, message, writer)

    async def _stream(
        self, plan: dict[str, Any], message: dict[str, Any], writer: asyncio.StreamWriter
    ) -> bool:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        writer.write(head + b"transfer-encoding: chunked\r\n\r\n")
        usage = {**plan["usage"], "output_tokens": 1}
        _event(writer, "message_start", message={**message, "content": [], "usage": usage})
        block = {"type": "text", "text": ""}
        _event(writer, "content_block_start", index=0, content_block=block)
        for _ in range(plan["deltas"]):
            delta = {"type": "text_delta", "text": "wxyz"}
            _event(writer, "content_block_delta", index=0, delta=delta)
            await writer.drain()
            await asyncio.sleep(0.001)
        if plan["kind"] == "error after":
            _event(writer, "error", error={"type": "overloaded_error", "message": "busy"})
        elif plan["kind"] == "cut after":
            return False
        else:
            self.books[plan["id"]] = plan["usage"]
            output = {"output_tokens": plan["usage"]["output_tokens"]}
            _event(writer, "content_block_stop", index=0)
            _event(writer, "message_delta", delta={"stop_reason": "end_turn"}, usage=output)
            _event(writer, "message_stop")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


def _event(writer: asyncio.StreamWriter, kind: str, **fields: Any) -> None:
    event = f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
    writer.write(b"%x\r\n%b\r\n" % (len(event), event))


async def _document(writer: asyncio.StreamWriter, status: int, document: Any) -> None:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status} -\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
