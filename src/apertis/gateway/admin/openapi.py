"""The description of the gateway's own surface, `/openapi.json`: OpenAPI 3.1.

Shapes of the admin API come from the types that read and write it. What belongs to the upstream
(messages, batches) is described as far as the gateway looks at it, and stays open: fields that are
not named here pass.

The specification: https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import msgspec

from apertis.gateway.admin.openapi_schemas import (
    CACHE_PARAMETERS,
    COMPONENTS,
    LIST_PARAMETERS,
    USAGE_PARAMETERS,
    ref,
)
from apertis.version import __version__

Json = dict[str, Any]

_ALWAYS = (500,)
_WITH_KEY = (401, 403, 429, *_ALWAYS)
_UPSTREAM = (400, 402, 404, 408, 413, 502, 503, 504, 529, *_WITH_KEY)
_ADMIN = (400, 503, *_WITH_KEY)
_ADMIN_CHANGE = (404, 409, 413, *_ADMIN)


@dataclass(frozen=True, slots=True)
class _Operation:
    """One method of one path."""

    id: str
    tag: str
    summary: str
    answer: str | None = None
    """The schema of a JSON answer."""
    body: str | None = None
    """The schema of the JSON body."""
    refusals: tuple[int, ...] = _UPSTREAM
    parameters: tuple[Json, ...] = ()
    media: str = "application/json"
    open: bool = False
    optional_body: bool = False
    otherwise: tuple[int, str, str] | None = None
    """Another answer that is no error: its status, what it means, its schema."""

    def json(self, path: str) -> Json:
        """Describe the operation."""
        places = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        in_path = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in places
        ]
        described: Json = {
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "responses": {"200": self._answer()}
            | {str(status): ref("responses", f"Error{status}") for status in sorted(self.refusals)},
        }
        if self.otherwise is not None:
            status, text, schema = self.otherwise
            content = {"application/json": {"schema": ref("schemas", schema)}}
            described["responses"][str(status)] = {"description": text, "content": content}
        parameters = [*in_path, *self.parameters]
        if parameters:
            described["parameters"] = parameters
        if self.body is not None:
            described["requestBody"] = {
                "required": not self.optional_body,
                "content": {"application/json": {"schema": ref("schemas", self.body)}},
            }
        if self.open:
            described["security"] = []
        return described

    def _answer(self) -> Json:
        schema = {"type": "string"} if self.answer is None else ref("schemas", self.answer)
        content: Json = {self.media: {"schema": schema}}
        if self.id == "createMessage":
            content["text/event-stream"] = {"schema": {"type": "string"}}
        return {"description": self.summary, "content": content}


_MODEL_PAGE = tuple(
    {"name": name, "in": "query", "required": False, "schema": schema}
    for name, schema in (
        ("limit", {"type": "integer", "minimum": 1, "maximum": 1000}),
        ("after_id", {"type": "string"}),
        ("before_id", {"type": "string"}),
    )
)
_BATCH = "/v1/messages/batches/{batch_id}"
_KEY = "/admin/v1/keys/{key_id}"

_OPERATIONS: tuple[tuple[str, str, _Operation], ...] = (
    (
        "/v1/messages",
        "post",
        _Operation(
            "createMessage",
            "messages",
            "The model's response, whole or as a stream of events.",
            "Message",
            "MessagesRequest",
        ),
    ),
    (
        "/v1/messages/count_tokens",
        "post",
        _Operation(
            "countTokens",
            "messages",
            "How many input tokens a request has.",
            "CountTokens",
            "CountTokensRequest",
        ),
    ),
    (
        "/v1/messages/batches",
        "get",
        _Operation("listBatches", "messages", "The key's batches.", "BatchList"),
    ),
    (
        "/v1/messages/batches",
        "post",
        _Operation("createBatch", "messages", "A new batch.", "Batch", "BatchRequest"),
    ),
    (_BATCH, "get", _Operation("getBatch", "messages", "One batch.", "Batch")),
    (_BATCH, "delete", _Operation("deleteBatch", "messages", "The batch is deleted.", "Deleted")),
    (
        _BATCH + "/cancel",
        "post",
        _Operation("cancelBatch", "messages", "The batch is being canceled.", "Batch"),
    ),
    (
        _BATCH + "/results",
        "get",
        _Operation(
            "readBatchResults",
            "messages",
            "The results, a JSON object a line.",
            media="application/x-jsonl",
        ),
    ),
    (
        "/v1/models",
        "get",
        _Operation(
            "listModels",
            "models",
            "The models that the key may use.",
            "ModelList",
            parameters=_MODEL_PAGE,
            refusals=(400, *_WITH_KEY),
        ),
    ),
    (
        "/v1/models/{model_id}",
        "get",
        _Operation("getModel", "models", "One model.", "Model", refusals=(404, *_WITH_KEY)),
    ),
    (
        "/api/user/token",
        "get",
        _Operation("readToken", "account", "The calling key's quota.", "Token", refusals=_WITH_KEY),
    ),
    (
        "/",
        "get",
        _Operation(
            "readHome",
            "operation",
            "What this is; by `Accept` as JSON or as a page too.",
            media="text/plain",
            refusals=_ALWAYS,
            open=True,
        ),
    ),
    (
        "/api/hello",
        "get",
        _Operation(
            "hello", "operation", "The gateway is there.", "Status", refusals=_ALWAYS, open=True
        ),
    ),
    (
        "/healthz",
        "get",
        _Operation(
            "isAlive", "operation", "The process is alive.", "Status", refusals=_ALWAYS, open=True
        ),
    ),
    (
        "/readyz",
        "get",
        _Operation(
            "isReady",
            "operation",
            "The store and at least one upstream can be used.",
            "Status",
            refusals=_ALWAYS,
            open=True,
            otherwise=(503, "No request can be served now; `reason` says why.", "Status"),
        ),
    ),
    (
        "/metrics",
        "get",
        _Operation(
            "readMetrics",
            "operation",
            "Metrics for Prometheus; from another machine for an administrator's key.",
            media="text/plain",
            refusals=_WITH_KEY,
        ),
    ),
    (
        "/openapi.json",
        "get",
        _Operation(
            "readOpenApi", "operation", "This document.", "Document", refusals=_ALWAYS, open=True
        ),
    ),
    (
        "/admin/v1/keys",
        "get",
        _Operation(
            "listKeys",
            "admin",
            "Keys, in pages.",
            "KeyPage",
            parameters=tuple(LIST_PARAMETERS),
            refusals=_ADMIN,
        ),
    ),
    (
        "/admin/v1/keys",
        "post",
        _Operation(
            "createKey",
            "admin",
            "The new key; its secret is in this response only.",
            "KeyView",
            "NewKeyFields",
            refusals=_ADMIN_CHANGE,
        ),
    ),
    (_KEY, "get", _Operation("getKey", "admin", "One key.", "KeyView", refusals=(404, *_ADMIN))),
    (
        _KEY,
        "patch",
        _Operation(
            "changeKey",
            "admin",
            "The key with the fields that were given.",
            "KeyView",
            "KeyFields",
            refusals=_ADMIN_CHANGE,
        ),
    ),
    (
        _KEY,
        "delete",
        _Operation("deleteKey", "admin", "The deleted key.", "KeyView", refusals=_ADMIN_CHANGE),
    ),
    (
        _KEY + "/rotate",
        "post",
        _Operation(
            "rotateKey",
            "admin",
            "The key with its new secret, which is in this response only.",
            "KeyView",
            "RotateFields",
            refusals=_ADMIN_CHANGE,
            optional_body=True,
        ),
    ),
    (
        _KEY + "/enable",
        "post",
        _Operation("enableKey", "admin", "The enabled key.", "KeyView", refusals=_ADMIN_CHANGE),
    ),
    (
        _KEY + "/disable",
        "post",
        _Operation("disableKey", "admin", "The disabled key.", "KeyView", refusals=_ADMIN_CHANGE),
    ),
    (
        "/admin/v1/usage",
        "get",
        _Operation(
            "reportUsage",
            "admin",
            "Requests, errors, tokens by class and cost.",
            "UsageReport",
            parameters=tuple(USAGE_PARAMETERS),
            refusals=(404, 409, *_ADMIN),
        ),
    ),
    (
        "/admin/v1/upstreams",
        "get",
        _Operation(
            "listUpstreams", "admin", "How the upstreams fare.", "UpstreamList", refusals=_ADMIN
        ),
    ),
    (
        "/admin/v1/cache",
        "delete",
        _Operation(
            "purgeCache",
            "admin",
            "The number of removed responses.",
            "Purged",
            parameters=tuple(CACHE_PARAMETERS),
            refusals=(404, 409, *_ADMIN),
        ),
    ),
)


def _paths() -> Json:
    paths: Json = {}
    for path, method, operation in _OPERATIONS:
        paths.setdefault(path, {})[method] = operation.json(path)
    return paths


PATHS = _paths()


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
