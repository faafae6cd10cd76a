"""An MCP server for tests: over stdio, or over HTTP at the port that is given."""

from __future__ import annotations

import base64
import sys

from mcp.server import MCPServer
from mcp.types import ImageContent

server = MCPServer("test")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("no luck")


@server.tool(structured_output=False)
def draw() -> ImageContent:
    """Draw."""
    data = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
    return ImageContent(type="image", data=data, mime_type="image/png")


@server.resource("note://one")
def note() -> str:
    return "a note"


@server.prompt()
def ask(topic: str) -> str:
    return f"Tell me of {topic}."


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run()
