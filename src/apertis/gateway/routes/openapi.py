"""The description of the gateway's own surface, `/openapi.json`: OpenAPI 3.1.

Shapes of the admin API come from the types that read and write it. What belongs to the upstream
(messages, batches) is described as far as the gateway looks at it, and stays open: fields that are
not named here pass.

The specification: https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from apertis.gateway.routes.openapi_paths import PATHS
from apertis.gateway.routes.openapi_schemas import COMPONENTS
from apertis.version import __version__

__all__ = ["document", "openapi_body"]

_DESCRIPTION = """\
Claude's Messages API behind keys, quotas and limits, byte for byte what the upstream said.

Send a key as `Authorization: Bearer sk-...` or as `x-api-key: sk-...`. A base URL that already
ends in `/v1` works too. Errors of the gateway have the shape of `Error`, and those of an upstream
pass as they came."""

_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key: `sk-...`."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
_TAGS = (
    ("messages", "Claude's Messages API, passed on to an upstream."),
    ("models", "What the key may use."),
    ("account", "What the key has left."),
    ("operation", "Whether the gateway runs, and how."),
    ("admin", "Keys, usage, upstreams and cache. Needs an administrator's key."),
)


def document() -> dict[str, Any]:
    """Describe all endpoints, as JSON values."""
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Apertis gateway",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"apiKey": []}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS],
        "paths": PATHS,
        "components": {**COMPONENTS, "securitySchemes": _SECURITY},
    }


@functools.cache
def openapi_body() -> bytes:
    """Encode the document once."""
    return msgspec.json.encode(document())
