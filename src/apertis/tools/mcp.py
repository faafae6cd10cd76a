"""Tools, content and messages of MCP servers, by the `mcp` package: `pip install 'apertis[mcp]'`.

The session is the caller's; nothing of the package is imported here. Its first version writes
fields as `inputSchema`, the second as `input_schema`; both are read.
"""

from __future__ import annotations

import base64
from importlib import import_module
from typing import TYPE_CHECKING, Any

from apertis.errors import ParameterError
from apertis.tools.results import result_content
from apertis.tools.tool import Tool, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_EARLIER = {
    "input_schema": "inputSchema",
    "is_error": "isError",
    "mime_type": "mimeType",
    "next_cursor": "nextCursor",
    "structured_content": "structuredContent",
}


async def mcp_tools(
    session: Any,
    *,
    only: Iterable[str] | None = None,
    needs_approval: bool = False,
    timeout: float | None = None,  # noqa: ASYNC109 - the deadline of each tool.
) -> list[Tool]:
    """Return the tools of an MCP server, as async tools that call it.

    `session` is an initialized `mcp.ClientSession`, or an `mcp.Client`, which must stay open while
    the tools are in use. `only` names the tools that are wanted.

    Raises:
        ParameterError: A tool that is wanted is not there.
    """
    wanted = None if only is None else list(only)
    found: dict[str, Tool] = {}
    cursor: str | None = None
    while True:
        page = await _page(session, cursor)
        for described in page.tools:
            tool = mcp_tool(described, session, needs_approval=needs_approval, timeout=timeout)
            found[tool.name] = tool
        cursor = _field(page, "next_cursor")
        if not cursor:
            break
    for name in wanted or ():
        if name not in found:
            known = ", ".join(found) or "none"
            raise ParameterError(
                f"only: the MCP server has no tool {name!r}; it has {known}", param="only"
            )
    return [tool for tool in found.values() if wanted is None or tool.name in wanted]


async def _page(session: Any, cursor: str | None) -> Any:
    if cursor is None:
        return await session.list_tools()
    try:
        return await session.list_tools(cursor=cursor)
    except TypeError:
        # A session of the second version.
        kind = import_module("mcp.types").PaginatedRequestParams
        return await session.list_tools(params=kind(cursor=cursor))


def mcp_tool(
    tool: Any, session: Any, *, needs_approval: bool = False, timeout: float | None = None
) -> Tool:
    """Return one tool of an MCP server, by its description from `list_tools`."""
    name: str = tool.name

    async def call(given: Mapping[str, Any]) -> Any:
        return mcp_result(await session.call_tool(name, dict(given)))

    hints = getattr(tool, "annotations", None)
    idempotent = bool(
        getattr(hints, "idempotent_hint", None) or getattr(hints, "idempotentHint", None)
    )
    return _MCPTool(
        name=name,
        description=tool.description or getattr(tool, "title", None) or "",
        input_schema=_field(tool, "input_schema"),
        function=call,
        idempotent=idempotent,
        needs_approval=needs_approval,
        timeout=timeout,
        is_async=True,
    )


class _MCPTool(Tool):
    def call(self, input: Mapping[str, Any]) -> Any:
        return self.function(input)


def mcp_result(result: Any) -> Any:
    """Return the result of an MCP tool as the content of a `tool_result`.

    Raises:
        ToolError: The tool failed; the error has the content.
    """
    parts: list[Any] = list(getattr(result, "content", None) or ())
    content: Any = [_result_block(part) for part in parts]
    structured = _field(result, "structured_content")
    if not content:
        content = "" if structured is None else result_content(structured)
    if _field(result, "is_error"):
        raise ToolError(content or "the tool failed")
    return content


def mcp_content(content: Any, *, cache_control: Any = None) -> dict[str, Any]:
    """Return a content block of MCP as one of a message: text, an image, an embedded resource.

    Raises:
        ParameterError: The API has no block for it.
    """
    kind: str = content.type
    if kind == "text":
        block: dict[str, Any] = {"type": "text", "text": content.text}
    elif kind == "image":
        media_type = _field(content, "mime_type")
        if media_type not in _IMAGES:
            raise _not_taken(f"an image of type {media_type!r}")
        block = _image(media_type, content.data)
    elif kind == "resource":
        block = _resource(content.resource)
    else:
        raise _not_taken(f"content of type {kind!r}")
    return block if cache_control is None else {**block, "cache_control": cache_control}


def mcp_message(message: Any, *, cache_control: Any = None) -> dict[str, Any]:
    """Return a message of an MCP prompt as one of a conversation."""
    return {
        "role": message.role,
        "content": [mcp_content(message.content, cache_control=cache_control)],
    }


def mcp_resource_to_content(result: Any, *, cache_control: Any = None) -> dict[str, Any]:
    """Return what was read of an MCP resource as a content block: the first part that has one.

    Raises:
        ParameterError: The API has no block for any of it.
    """
    fault = _not_taken("a resource without contents")
    for part in result.contents:
        try:
            block = _resource(part)
        except ParameterError as error:
            fault = error
            continue
        return block if cache_control is None else {**block, "cache_control": cache_control}
    raise fault


def _result_block(content: Any) -> dict[str, Any]:
    """Return a block for a result; what the API has none for is told the model in words."""
    try:
        return mcp_content(content)
    except ParameterError:
        kind: str = content.type
        place = getattr(content, "uri", None)
        media_type = _field(content, "mime_type")
        told = ": ".join(str(part) for part in (kind, place or media_type) if part)
        return {"type": "text", "text": f"[{told}]"}


def _resource(resource: Any) -> dict[str, Any]:
    media_type: str | None = _field(resource, "mime_type")
    text: str | None = getattr(resource, "text", None)
    data: str | None = getattr(resource, "blob", None)
    if data is not None and media_type in _IMAGES:
        return _image(media_type, data)
    if data is not None and media_type == "application/pdf":
        source = {"type": "base64", "media_type": media_type, "data": data}
        return {"type": "document", "source": source}
    if text is None and data is not None and (media_type or "text/").startswith("text/"):
        try:
            text = base64.b64decode(data).decode()
        except ValueError:
            text = None
    if text is None:
        raise _not_taken(f"a resource of type {media_type!r} ({resource.uri})")
    return {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": text},
    }


def _image(media_type: str | None, data: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _not_taken(told: str) -> ParameterError:
    return ParameterError(f"the API takes no such block: {told}", param="content")


def _field(value: Any, name: str) -> Any:
    return getattr(value, name, None) if hasattr(value, name) else _earlier(value, name)


def _earlier(value: Any, name: str) -> Any:
    return getattr(value, _EARLIER[name], None)
