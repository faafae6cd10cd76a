"""Requests to endpoints without a method of their own: any method, any path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, get_origin

import msgspec

from apertis.endpoints.messages import read_message
from apertis.endpoints.parameters import sort
from apertis.errors import ParameterError
from apertis.models import Malformed, Model, WholeResponse, decode
from apertis.models.json import UNREADABLE
from apertis.sansio.marks import without_absent
from apertis.sansio.request import render_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from apertis.sansio.call import Call
    from apertis.sansio.outcome import Response

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


def check(method: str, path: str) -> None:
    """Reject what is no method or no path."""
    if method not in _METHODS:
        raise ParameterError(f"method: {method!r} is none of {sorted(_METHODS)}", param="method")
    if not isinstance(path, str) or not path.startswith("/"):
        raise ParameterError(f"path: expected one like '/v1/models', got {path!r}", param="path")


def request(method: str, path: str, json: Any, options: Mapping[str, Any]) -> Call[Any]:
    """Return the decoded JSON of the response; its text if it is not JSON; None if empty."""
    verb = method.upper() if isinstance(method, str) else method
    check(verb, path)
    given = sort(options)
    if given.body:
        name = next(iter(given.body))
        raise ParameterError(f"{name}: unknown option", param=name)
    body = None if json is None else render_json(json)
    return given.call(verb, path, _read, body=body)


def verb(method: str, path: str, params: Mapping[str, Any]) -> Call[Any]:
    """Return the call of `client.get`, `client.post` and their like; its value is a `cast_to`."""
    given = without_absent(params)
    if unknown := given.keys() - {"body", "cast_to", "options", "stream", "stream_cls"}:
        raise ParameterError(f"{min(unknown)}: unknown option", param=min(unknown))
    options = without_absent(given.get("options") or {})
    if unknown := options.keys() - {*_OPTIONS, *_IGNORED}:
        raise ParameterError(f"options: unknown {min(unknown)!r}", param="options")
    sorted_ = sort({_OPTIONS[name]: value for name, value in options.items() if name in _OPTIONS})
    path = f"/{path}" if isinstance(path, str) and not path.startswith("/") else path
    check(method, path)
    body: Any = given.get("body")
    if sorted_.body:
        body = {**cast("dict[str, Any]", body or {}), **sorted_.body}
    streamed = given.get("stream") is True
    reads = read_message if streamed else cast_to(given.get("cast_to"))
    content = None if body is None else render_json(body)
    return sorted_.call(method, path, reads, body=content, streamed=streamed)


# The options of `anthropic`, by our names.
_OPTIONS = {
    "headers": "extra_headers",
    "params": "extra_query",
    "extra_json": "extra_body",
    "timeout": "timeout",
    "max_retries": "max_retries",
}


# Options of theirs that change nothing here.
_IGNORED = frozenset({"idempotency_key", "follow_redirects"})


def cast_to(to: Any) -> Callable[[Response], Any]:
    """Return the reader for what a caller wants of a response, as `cast_to` or `to` say it."""
    kind = get_origin(to) or to
    if kind is type(None):
        return lambda _: None
    if kind is str:
        return lambda response: response.body.decode("utf-8", "replace")
    if kind is bytes:
        return lambda response: response.body
    if isinstance(kind, type) and issubclass(kind, Model):
        return lambda response: decode(kind, response.body)
    if getattr(cast("object", kind), "__name__", "") == "Response":
        return lambda response: WholeResponse(
            response.status, response.headers, content=response.body
        )
    if kind in {object, dict, list, Any, None} or not isinstance(kind, type):
        return _read
    return lambda response: _converted(response, to)


def _converted(response: Response, to: Any) -> Any:
    try:
        return msgspec.json.decode(response.body, type=to)
    except (*UNREADABLE, msgspec.ValidationError, TypeError) as error:
        raise Malformed(str(error)) from error


def _read(response: Response) -> Any:
    if not response.body:
        return None
    kind = (response.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        return response.body.decode("utf-8", "replace")
    try:
        return msgspec.json.decode(response.body)
    except UNREADABLE as error:
        raise Malformed(str(error)) from error
