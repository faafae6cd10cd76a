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
    ALERT_PARAMETERS,
    AUDIT_PARAMETERS,
    CACHE_PARAMETERS,
    CACHE_REPORT_PARAMETERS,
    COMPONENTS,
    GROUP_PARAMETERS,
    LIMIT_PARAMETERS,
    LIMIT_REMOVAL_PARAMETERS,
    LIST_PARAMETERS,
    OWN_USAGE_PARAMETERS,
    PERSON_PARAMETERS,
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
_GROUP = "/admin/v1/groups/{group_id}"
_PERSON = "/admin/v1/people/{person_id}"
_LIMIT = "/admin/v1/limits/{limit_id}"
_MANAGED = "/admin/v1/managed-settings/{managed_id}"


def _message(
    id: str, summary: str, answer: str | None = None, body: str | None = None, **more: Any
) -> _Operation:
    return _Operation(id, "messages", summary, answer, body, **more)


def _state(id: str, summary: str, answer: str | None = None, **more: Any) -> _Operation:
    unless: dict[str, Any] = {"refusals": _ALWAYS, "open": True}
    return _Operation(id, "operation", summary, answer, **(unless | more))


def _change(
    id: str, summary: str, body: str | None = None, answer: str = "KeyView", **more: Any
) -> _Operation:
    return _Operation(id, "admin", summary, answer, body, _ADMIN_CHANGE, **more)


def _read(
    id: str, summary: str, answer: str, *also: int, query: tuple[Json, ...] = ()
) -> _Operation:
    return _Operation(id, "admin", summary, answer, refusals=(*also, *_ADMIN), parameters=query)


_OPERATIONS: dict[str, _Operation] = {
    "post /v1/messages": _message(
        "createMessage",
        "The model's response, whole or as a stream of events.",
        "Message",
        body="MessagesRequest",
    ),
    "post /v1/messages/count_tokens": _message(
        "countTokens", "How many input tokens a request has.", "CountTokens", "CountTokensRequest"
    ),
    "get /v1/messages/batches": _message("listBatches", "The key's batches.", "BatchList"),
    "post /v1/messages/batches": _message("createBatch", "A new batch.", "Batch", "BatchRequest"),
    f"get {_BATCH}": _message("getBatch", "One batch.", "Batch"),
    f"delete {_BATCH}": _message("deleteBatch", "The batch is deleted.", "Deleted"),
    f"post {_BATCH}/cancel": _message("cancelBatch", "The batch is being canceled.", "Batch"),
    f"get {_BATCH}/results": _message(
        "readBatchResults", "The results, a JSON object a line.", media="application/x-jsonl"
    ),
    "get /v1/models": _Operation(
        "listModels",
        "models",
        "The models that the key may use.",
        "ModelList",
        parameters=_MODEL_PAGE,
        refusals=(400, *_WITH_KEY),
    ),
    "get /v1/models/{model_id}": _Operation(
        "getModel", "models", "One model.", "Model", refusals=(404, *_WITH_KEY)
    ),
    "get /api/user/token": _Operation(
        "readToken", "account", "The calling key's quota.", "Token", refusals=(503, *_WITH_KEY)
    ),
    "get /api/oauth/usage": _Operation(
        "readSpend",
        "account",
        "The caller's budgets, as Claude Code asks for them.",
        "Spend",
        refusals=(503, *_WITH_KEY),
    ),
    "get /v1/me/usage": _Operation(
        "readOwnUsage",
        "account",
        "The caller's limits, and usage of the running month by day and model.",
        "OwnUsage",
        refusals=(400, 503, *_WITH_KEY),
        parameters=OWN_USAGE_PARAMETERS,
    ),
    "get /": _state(
        "readHome", "What this is; by `Accept` as JSON or as a page too.", media="text/plain"
    ),
    "get /api/hello": _state("hello", "The gateway is there.", "Status"),
    "get /healthz": _state("isAlive", "The process is alive.", "Status"),
    "get /readyz": _state(
        "isReady",
        "The store and at least one upstream can be used.",
        "Status",
        otherwise=(503, "No request can be served now; `reason` says why.", "Status"),
    ),
    "get /metrics": _state(
        "readMetrics",
        "Metrics for Prometheus; from another machine for an administrator's key.",
        media="text/plain",
        refusals=_WITH_KEY,
        open=False,
    ),
    "get /openapi.json": _state("readOpenApi", "This document.", "Document"),
    "get /admin/v1/keys": _read("listKeys", "Keys, in pages.", "KeyPage", query=LIST_PARAMETERS),
    "post /admin/v1/keys": _change(
        "createKey", "The new key; its secret is in this response only.", "NewKeyFields"
    ),
    f"get {_KEY}": _read("getKey", "One key.", "KeyView", 404),
    f"patch {_KEY}": _change("changeKey", "The key with the fields that were given.", "KeyFields"),
    f"delete {_KEY}": _change("deleteKey", "The deleted key."),
    f"post {_KEY}/rotate": _change(
        "rotateKey",
        "The key with its new secret, which is in this response only.",
        "RotateFields",
        optional_body=True,
    ),
    f"post {_KEY}/enable": _change("enableKey", "The enabled key."),
    f"post {_KEY}/disable": _change("disableKey", "The disabled key."),
    "get /admin/v1/groups": _read(
        "listGroups", "Groups, in pages.", "GroupPage", query=GROUP_PARAMETERS
    ),
    "post /admin/v1/groups": _change(
        "createGroup", "The new group.", "NewGroupFields", "GroupView"
    ),
    f"get {_GROUP}": _read("getGroup", "One group.", "GroupView", 404),
    f"patch {_GROUP}": _change(
        "changeGroup", "The group with the fields that were given.", "GroupFields", "GroupView"
    ),
    f"delete {_GROUP}": _change(
        "removeGroup", "The removed group, which nothing was in.", answer="GroupView"
    ),
    "get /admin/v1/people": _read(
        "listPeople", "People, in pages.", "PersonPage", query=PERSON_PARAMETERS
    ),
    "post /admin/v1/people": _change(
        "createPerson", "The new person.", "NewPersonFields", "PersonView"
    ),
    "post /admin/v1/people/import": _change(
        "importPeople",
        "What was made and changed; the secrets of new keys are in this response only.",
        "ImportFields",
        "Imported",
    ),
    "post /admin/v1/people/adopt-owners": _change(
        "adoptOwners",
        "People made of the owners of keys.",
        "AdoptFields",
        "Adopted",
        optional_body=True,
    ),
    f"get {_PERSON}": _read("getPerson", "One person.", "PersonView", 404),
    f"patch {_PERSON}": _change(
        "changePerson", "The person with the fields that were given.", "PersonFields", "PersonView"
    ),
    f"delete {_PERSON}": _change(
        "removePerson", "What is left of the person: an id.", answer="PersonView"
    ),
    f"post {_PERSON}/enable": _change("enablePerson", "The enabled person.", answer="PersonView"),
    f"post {_PERSON}/disable": _change(
        "disablePerson", "The person, whose keys work no more.", answer="PersonView"
    ),
    "get /admin/v1/limits": _read(
        "listLimits",
        "Limits with what is spent of them, in pages.",
        "LimitPage",
        *(404, 409),
        query=LIMIT_PARAMETERS,
    ),
    "post /admin/v1/limits": _change("createLimit", "The new limit.", "LimitFields", "LimitView"),
    f"get {_LIMIT}": _read("getLimit", "One limit.", "LimitView", 404),
    f"patch {_LIMIT}": _change(
        "changeLimit", "The limit with the fields that were given.", "LimitChanges", "LimitView"
    ),
    f"delete {_LIMIT}": _change(
        "removeLimit",
        "The removed limit.",
        answer="LimitView",
        parameters=LIMIT_REMOVAL_PARAMETERS,
    ),
    "get /admin/v1/audit": _read(
        "readAudit", "Changes, the newest first.", "AuditPage", query=AUDIT_PARAMETERS
    ),
    "get /admin/v1/replicas": _read(
        "listReplicas", "The gateways of the store, and what each may spend.", "ReplicaPage"
    ),
    "get /admin/v1/alerts": _read(
        "listAlerts",
        "Alerts with what became of each, the newest first.",
        "AlertPage",
        query=ALERT_PARAMETERS,
    ),
    "get /admin/v1/managed-settings": _read(
        "listManagedSettings",
        "Managed settings of Claude Code, of all groups that have any.",
        "ManagedPage",
    ),
    "post /admin/v1/managed-settings": _change(
        "saveManagedSettings",
        "The managed settings as they are now, or as they would be.",
        "ManagedFields",
        "ManagedView",
    ),
    f"get {_MANAGED}": _read(
        "getManagedSettings",
        "Managed settings of a group, by its id, or of `everybody`.",
        "ManagedView",
        404,
    ),
    f"delete {_MANAGED}": _change(
        "removeManagedSettings", "The removed managed settings.", answer="ManagedView"
    ),
    "get /admin/v1/usage": _read(
        "reportUsage",
        "Requests, errors, tokens by class and cost.",
        "UsageReport",
        *(404, 409),
        query=USAGE_PARAMETERS,
    ),
    "get /admin/v1/usage/cache": _read(
        "reportCaching",
        "What prompt caches saved, what misses cost, and what caused them.",
        "CacheReport",
        *(404, 409),
        query=CACHE_REPORT_PARAMETERS,
    ),
    "get /admin/v1/upstreams": _read("listUpstreams", "How the upstreams fare.", "UpstreamList"),
    "delete /admin/v1/cache": _read(
        "purgeCache", "The number of removed responses.", "Purged", 404, 409, query=CACHE_PARAMETERS
    ),
}

PATHS: Json = {}
for _name, _operation in _OPERATIONS.items():
    _method, _, _path = _name.partition(" ")
    PATHS.setdefault(_path, {})[_method] = _operation.json(_path)


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
    ("admin", "Keys, people, limits, usage and more. Needs an administrator's key."),
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
