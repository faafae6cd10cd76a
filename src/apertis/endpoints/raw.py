"""Requests to endpoints without a method of their own: any method, any path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from apertis.endpoints.parameters import sort
from apertis.errors import ParameterError
from apertis.models import Malformed
from apertis.models.json import UNREADABLE
from apertis.sansio.request import render_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.sansio.call import Call
    from apertis.sansio.outcome import Response

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


def request(method: str, path: str, json: Any, options: Mapping[str, Any]) -> Call[Any]:
    """Return the decoded JSON of the response; its text if it is not JSON; None if empty."""
    verb = method.upper() if isinstance(method, str) else method
    if verb not in _METHODS:
        raise ParameterError(f"method: {method!r} is none of {sorted(_METHODS)}", param="method")
    if not isinstance(path, str) or not path.startswith("/"):
        raise ParameterError(f"path: expected one like '/v1/models', got {path!r}", param="path")
    given = sort(options)
    if given.body:
        name = next(iter(given.body))
        raise ParameterError(f"{name}: unknown option", param=name)
    body = None if json is None else render_json(json)
    return given.call(verb, path, _read, body=body)


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
