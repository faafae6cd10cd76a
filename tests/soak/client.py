"""A connection to the gateway that knows as much of HTTP as the load needs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

__all__ = ["Answer", "Client"]


@dataclass
class Answer:
    """What came; `whole` is False when the caller left before the end."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool


class Client:
    """One connection, made anew when it is gone."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes = b"",
        leave_after: int | None = None,
    ) -> Answer:
        """Call; with `leave_after`, leave when so many pieces of a stream came."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        fields = {"host": "soak", "content-length": str(len(body)), **headers}
        lines = [f"{method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in fields.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        told = {n.lower(): v for n, v in (line.split(": ", 1) for line in head[1:-2])}
        status = int(head[0].split(" ")[1])
        if "chunked" not in told.get("transfer-encoding", ""):
            said = await reader.readexactly(int(told.get("content-length", 0)))
            return Answer(status, told, said, whole=True)
        said = b""
        while size := int(await reader.readline(), 16):
            said += (await reader.readexactly(size + 2))[:-2]
            if leave_after is not None and said.count(b"text_delta") >= leave_after:
                self.close()
                return Answer(status, told, said, whole=False)
        await reader.readline()
        return Answer(status, told, said, whole=True)

    def close(self) -> None:
        """Drop the connection."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None
