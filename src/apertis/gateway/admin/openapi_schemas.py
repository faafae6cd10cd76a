"""The shapes in the gateway's OpenAPI document, and the responses that many endpoints share."""

from __future__ import annotations

from typing import Any

import msgspec

from apertis.gateway.admin.alerts import AlertListFields, AlertPage
from apertis.gateway.admin.audit import AuditFields, AuditPage
from apertis.gateway.admin.cache_report import CacheReport, CacheReportFields
from apertis.gateway.admin.key_fields import KeyFields, RotateFields
from apertis.gateway.admin.limits import (
    LimitChanges,
    LimitFields,
    LimitListFields,
    LimitPage,
    LimitRemoval,
)
from apertis.gateway.admin.managed import ManagedFields, ManagedPage
from apertis.gateway.admin.people import (
    Adopted,
    AdoptFields,
    GroupFields,
    GroupListFields,
    GroupPage,
    PersonFields,
    PersonListFields,
    PersonPage,
)
from apertis.gateway.admin.people_import import Imported, ImportFields
from apertis.gateway.admin.reading import CacheFields, ListFields
from apertis.gateway.admin.status import ReplicaPage
from apertis.gateway.admin.usage_report import UsageFields, UsageReport
from apertis.gateway.admin.views import KeyPage, KeyView, Purged, UpstreamList

Json = dict[str, Any]

_BODIES = (
    *(KeyFields, RotateFields, KeyView, KeyPage, UsageReport, CacheReport, UpstreamList, Purged),
    *(GroupFields, GroupPage, PersonFields, PersonPage, AdoptFields, Adopted),
    *(ImportFields, Imported, LimitFields, LimitChanges, LimitPage, AuditPage, ReplicaPage),
    *(AlertPage, ManagedFields, ManagedPage),
)
# Fields that a new one of these needs, which a change may leave out.
_NEEDED = {"KeyFields": "name", "GroupFields": "name", "PersonFields": "name"}

# What each rejected request may get; the codes are those of `apertis.gateway.errors`.
_REFUSALS = {
    400: "The request cannot be read, or a field of it cannot be: `param` names it.",
    401: "The key is missing, unknown, disabled or expired.",
    402: "The key's quota cannot pay for this.",
    403: "The key may not do this: the model, the address, or administration.",
    404: "There is no such path, model or object.",
    408: "The body stopped coming.",
    409: "The change contradicts what is there.",
    413: "The body is too large.",
    429: "Too many requests; `retry-after` tells the seconds to wait.",
    500: "A defect of the gateway.",
    502: "The upstream gave no response.",
    503: "The gateway, or every upstream, cannot serve now.",
    504: "The upstream did not answer in time.",
    529: "The upstream is overloaded.",
}


def ref(kind: str, name: str) -> Json:
    """Point at a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def _described(type: type[msgspec.Struct]) -> Json:
    _, components = msgspec.json.schema_components(
        [type], ref_template="#/components/schemas/{name}"
    )
    described: Json = components[type.__name__]
    return described


def _query_parameters(type: type[msgspec.Struct]) -> tuple[Json, ...]:
    schema = _described(type)
    return tuple(
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            **({"description": shape["description"]} if "description" in shape else {}),
            "schema": {key: value for key, value in shape.items() if key != "description"},
        }
        for name, shape in schema["properties"].items()
    )


def _object(required: Json, optional: Json | None = None, **more: Any) -> Json:
    """Describe an object that may have further fields."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": True,
        **more,
    }


_TEXT: Json = {"type": "string"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_FLAG: Json = {"type": "boolean"}
_OPEN_OBJECT: Json = {"type": "object", "additionalProperties": True}
_OPEN_OBJECTS: Json = {"type": "array", "items": _OPEN_OBJECT}
_NULLABLE_TEXT: Json = {"type": ["string", "null"]}

_ERROR = _object(
    {
        "type": {"const": "error"},
        "error": _object(
            {"type": _TEXT, "message": _TEXT},
            {"code": _TEXT, "param": _TEXT},
            description="`code` says exactly what it is; `param` names the field that is wrong.",
        ),
    },
    {"request_id": _TEXT},
    description="What went wrong, for Anthropic's and for OpenAI-style clients alike.",
)
_COUNT_TOKENS_REQUEST = _object(
    {"model": _TEXT, "messages": _OPEN_OBJECTS},
    {"system": {"anyOf": [_TEXT, _OPEN_OBJECTS]}},
)
_FALLBACK: Json = {
    "fallback_models": {"type": "array", "items": _TEXT, "maxItems": 5},
    "fallback_timeout": {
        "type": "integer",
        "minimum": 5000,
        "maximum": 300_000,
        "description": "Milliseconds until the next model is asked.",
    },
    "fallback_enabled": _FLAG,
}
_MESSAGES_REQUEST = _object(
    {**_COUNT_TOKENS_REQUEST["properties"], "max_tokens": {"type": "integer", "minimum": 1}},
    {"stream": _FLAG, **_FALLBACK},
    description="A request of the Messages API. `fallback_*` are the gateway's own fields; all "
    "others reach the upstream as they came.",
)
_MESSAGES_REQUEST["required"] = ["model", "messages", "max_tokens"]
_USAGE = _object({"input_tokens": _COUNT, "output_tokens": _COUNT})
_MESSAGE = _object(
    {
        "id": _TEXT,
        "type": {"const": "message"},
        "role": {"const": "assistant"},
        "content": _OPEN_OBJECTS,
        "model": _TEXT,
        "stop_reason": _NULLABLE_TEXT,
        "usage": _USAGE,
    }
)
_NAMED: Json = {"const": "model"}
_MODEL = _object(
    {"id": _TEXT, "type": _NAMED, "object": _NAMED, "display_name": _TEXT, "created_at": _TEXT}
)
_MODEL_LIST = _object(
    {
        "object": {"const": "list"},
        "data": {"type": "array", "items": ref("schemas", "Model")},
        "has_more": _FLAG,
        "first_id": _NULLABLE_TEXT,
        "last_id": _NULLABLE_TEXT,
    }
)
_NAMED_LIMIT: Json = {
    "level": {"type": "string", "enum": ["key", "person", "group", "gateway"]},
    "of": _TEXT,
    "period": {"type": "string", "enum": ["day", "week", "month", "total"]},
    "resets_at": {"type": ["string", "null"], "format": "date-time"},
    "contact": {"type": ["string", "null"]},
}
_TOKEN = _object(
    {
        "data": _object(
            {
                "name": _TEXT,
                "remain_quota": {"type": ["integer", "null"], "minimum": 0},
                "used_quota": _COUNT,
                "reserved_quota": _COUNT,
                "unlimited_quota": _FLAG,
                "models": {"type": ["array", "null"], "items": _TEXT},
                "expired_time": {"type": "integer", "description": "Unix seconds; -1: never."},
                "limit": {
                    "anyOf": [_object(_NAMED_LIMIT), {"type": "null"}],
                    "description": "The quota or limit that has the least left.",
                },
            }
        )
    },
    description="The remaining and used quota of the calling key, in units: 500,000 are 1 US "
    "dollar. `remain_quota` is neither used nor reserved by requests in progress, and what the "
    "tightest of the key's quota and limits has left.",
)
_PERCENT: Json = {"type": ["integer", "null"]}
_CENTS: Json = {"type": ["number", "null"], "minimum": 0, "description": "In US cents."}
_SPENT = {"used_credits": _CENTS}
_SPEND = _object(
    {
        "extra_usage": _object(
            {
                "is_enabled": _FLAG,
                "monthly_limit": _CENTS,
                **_SPENT,
                "utilization": _PERCENT,
                "currency": _TEXT,
            },
            {
                name: _object({"limit": _CENTS, **_SPENT, "utilization": _PERCENT})
                for name in ("daily", "weekly")
            },
        ),
        "limits": {
            "type": "array",
            "items": _object(
                {
                    "kind": _TEXT,
                    "group": _TEXT,
                    "percent": _COUNT,
                    "resets_at": {"type": ["string", "null"], "format": "date-time"},
                    "severity": {"type": "string", "enum": ["normal", "warning", "critical"]},
                    "is_active": _FLAG,
                }
            ),
        },
    },
    description="The budget that decides as `extra_usage`, and all of them as `limits`. Without "
    "any, what was spent in the running month, day and week in UTC.",
)
_WHO: Json = _object({"id": _TEXT, "name": _TEXT})
_OWN_USAGE = _object(
    {
        "key": _WHO,
        "person": {"anyOf": [_WHO, {"type": "null"}]},
        "groups": {"type": "array", "items": _WHO},
        "currency": _TEXT,
        "limits": {
            "type": "array",
            "items": _object(
                {
                    **_NAMED_LIMIT,
                    "id": _TEXT,
                    "zone": _TEXT,
                    "models": {"type": ["array", "null"], "items": _TEXT},
                    **{
                        f"{name}_{unit}": _COUNT if unit == "units" else _TEXT
                        for name in ("amount", "spent", "left")
                        for unit in ("units", "usd")
                    },
                    "percent": _COUNT,
                    "starts_at": {"type": ["string", "null"], "format": "date-time"},
                }
            ),
        },
        "from": {"type": "string", "format": "date-time"},
        "to": {"type": ["string", "null"], "format": "date-time"},
        "zone": _TEXT,
        "totals": {"anyOf": [ref("schemas", "UsageSums"), {"type": "null"}]},
        "days": {"type": "array", "items": ref("schemas", "UsageSums")},
        "models": {"type": "array", "items": ref("schemas", "UsageSums")},
    },
    description="All usage of the person whose key it is, or else of the key.",
)


def _components() -> Json:
    _, shapes = msgspec.json.schema_components(_BODIES, ref_template="#/components/schemas/{name}")
    shapes |= {
        "Error": _ERROR,
        "MessagesRequest": _MESSAGES_REQUEST,
        "Message": _MESSAGE,
        "CountTokensRequest": _COUNT_TOKENS_REQUEST,
        "CountTokens": _object({"input_tokens": _COUNT}),
        "Batch": _object({"id": _TEXT, "type": _TEXT, "processing_status": _TEXT}),
        "BatchList": _object({"data": _OPEN_OBJECTS}),
        "BatchRequest": _object({"requests": _OPEN_OBJECTS}),
        "Deleted": _object({"id": _TEXT, "type": _TEXT}),
        "Document": _object({"openapi": _TEXT}),
        "Model": _MODEL,
        "ModelList": _MODEL_LIST,
        "Token": _TOKEN,
        "Spend": _SPEND,
        "OwnUsage": _OWN_USAGE,
        "Status": _object({"status": _TEXT}, {"reason": _TEXT}),
    }
    for name, field in _NEEDED.items():
        shapes[f"New{name}"] = {**shapes[name], "title": f"New{name}", "required": [field]}
    body = {"application/json": {"schema": ref("schemas", "Error")}}
    refusals = {
        f"Error{status}": {"description": text, "content": body}
        for status, text in _REFUSALS.items()
    }
    return {"schemas": shapes, "responses": refusals}


COMPONENTS = _components()
LIST_PARAMETERS = _query_parameters(ListFields)
USAGE_PARAMETERS = _query_parameters(UsageFields)
CACHE_REPORT_PARAMETERS = _query_parameters(CacheReportFields)
GROUP_PARAMETERS = _query_parameters(GroupListFields)
PERSON_PARAMETERS = _query_parameters(PersonListFields)
LIMIT_PARAMETERS = _query_parameters(LimitListFields)
LIMIT_REMOVAL_PARAMETERS = _query_parameters(LimitRemoval)
ALERT_PARAMETERS = _query_parameters(AlertListFields)
AUDIT_PARAMETERS = _query_parameters(AuditFields)
CACHE_PARAMETERS = _query_parameters(CacheFields)
OWN_USAGE_PARAMETERS = (
    {
        "name": "zone",
        "in": "query",
        "required": False,
        "schema": {"type": "string", "default": "UTC"},
        "description": "The time zone of days and of the month, such as Europe/Berlin.",
    },
)
