"""The OpenAPI document: well formed, and true."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from apertis.gateway.admin.openapi import document, openapi_body
from apertis.gateway.errors import Refusal
from apertis.gateway.serving.endpoints import Endpoint, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.kit.administration import Administration, Answer
    from tests.kit.gateways import RunningGateway

DOCUMENT = document()
OPERATIONS = [
    (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]

# What these answer is made of what upstreams have.
UPSTREAMS_OWN = ("/v1/models", "/v1/messages/batches")

# The part of the specification that this document uses, closed so that a slip is found:
# https://spec.openapis.org/oas/v3.1.1.html
_REF = {
    "type": "object",
    "required": ["$ref"],
    "properties": {"$ref": {"type": "string", "pattern": "^#/components/"}},
    "additionalProperties": False,
}
_CONTENT = {
    "type": "object",
    "minProperties": 1,
    "propertyNames": {"pattern": "^[a-z]+/[a-z.+-]+$"},
    "additionalProperties": {
        "type": "object",
        "required": ["schema"],
        "properties": {"schema": {"type": "object"}},
        "additionalProperties": False,
    },
}
_RESPONSE = {
    "type": "object",
    "required": ["description"],
    "properties": {"description": {"type": "string", "minLength": 1}, "content": _CONTENT},
    "additionalProperties": False,
}
_PARAMETER = {
    "type": "object",
    "required": ["name", "in", "schema"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "in": {"enum": ["path", "query"]},
        "required": {"type": "boolean"},
        "description": {"type": "string"},
        "schema": {"type": "object"},
    },
    "additionalProperties": False,
    "if": {"properties": {"in": {"const": "path"}}},
    "then": {"required": ["required"], "properties": {"required": {"const": True}}},
}
_OPERATION = {
    "type": "object",
    "required": ["operationId", "tags", "summary", "responses"],
    "properties": {
        "operationId": {"type": "string", "pattern": "^[a-z][A-Za-z]+$"},
        "tags": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        "summary": {"type": "string", "minLength": 1},
        "parameters": {"type": "array", "items": _PARAMETER},
        "requestBody": {
            "type": "object",
            "required": ["content"],
            "properties": {"content": _CONTENT, "required": {"type": "boolean"}},
            "additionalProperties": False,
        },
        "responses": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": "^[1-5][0-9][0-9]$"},
            "additionalProperties": {"anyOf": [_REF, _RESPONSE]},
        },
        "security": {"type": "array"},
    },
    "additionalProperties": False,
}
OPENAPI = {
    "type": "object",
    "required": ["openapi", "info", "paths", "components"],
    "properties": {
        "openapi": {"const": "3.1.1"},
        "info": {"type": "object", "required": ["title", "version"]},
        "servers": {"type": "array", "items": {"type": "object", "required": ["url"]}},
        "security": {"type": "array", "items": {"type": "object"}},
        "tags": {"type": "array", "items": {"type": "object", "required": ["name"]}},
        "paths": {
            "type": "object",
            "propertyNames": {"pattern": "^/"},
            "additionalProperties": {
                "type": "object",
                "propertyNames": {"enum": ["get", "post", "patch", "delete"]},
                "additionalProperties": _OPERATION,
            },
        },
        "components": {
            "type": "object",
            "properties": {
                "schemas": {"type": "object", "additionalProperties": {"type": "object"}},
                "responses": {"type": "object", "additionalProperties": _RESPONSE},
                "securitySchemes": {
                    "type": "object",
                    "additionalProperties": {"type": "object", "required": ["type"]},
                },
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}


def schema_of(name: str) -> Draft202012Validator:
    """A validator of one component; references lead into the document."""
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    )


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


def test_the_document_has_the_form_of_openapi() -> None:
    Draft202012Validator(OPENAPI).validate(DOCUMENT)
    assert json.loads(openapi_body()) == DOCUMENT


def test_every_schema_is_a_json_schema() -> None:
    for node in nodes(DOCUMENT):
        for key in ("schema", "schemas"):
            found = node.get(key, {})
            for schema in found.values() if key == "schemas" else [found]:
                Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    used = set()
    for node in nodes(DOCUMENT):
        if "$ref" in node:
            _, components, kind, name = node["$ref"].split("/")
            assert name in DOCUMENT[components][kind], node
            used.add((kind, name))
    known = {(kind, n) for kind in ("schemas", "responses") for n in DOCUMENT["components"][kind]}
    assert known == used


def test_operations_have_names_and_groups_of_their_own() -> None:
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(ids) == len(set(ids))
    groups = {tag["name"] for tag in DOCUMENT["tags"]}
    assert {tag for _, _, operation in OPERATIONS for tag in operation["tags"]} == groups


def test_what_stands_in_a_path_is_a_parameter() -> None:
    for path, _, operation in OPERATIONS:
        declared = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
        assert declared == {part[1:-1] for part in path.split("/") if part.startswith("{")}


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_documented_path_is_one_that_the_gateway_has(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    found = resolve(method.upper(), path)
    assert not isinstance(found, Refusal)
    assert (found[0] is Endpoint.ADMIN) == ("admin" in operation["tags"])


def test_every_endpoint_of_the_gateway_is_documented() -> None:
    documented = set()
    for path, method, _ in OPERATIONS:
        found = resolve(method.upper(), path)
        assert not isinstance(found, Refusal)
        documented.add(found[0])
    # What is the console's own is no API: it changes with its pages. OAuth, Claude Code's managed
    # settings and OpenTelemetry are protocols of others.
    others = {Endpoint.SIGN_IN, Endpoint.MANAGED, Endpoint.TELEMETRY}
    assert documented == set(Endpoint) - {Endpoint.CONSOLE, Endpoint.CHAT} - others


def fits(answer: Answer, path: str, method: str) -> None:
    """Hold an answer against what the document says of it."""
    described = DOCUMENT["paths"][path][method]["responses"][str(answer.status)]
    if "$ref" in described:
        described = DOCUMENT["components"]["responses"][described["$ref"].rpartition("/")[2]]
    schema = described["content"]["application/json"]["schema"]
    schema_of(schema["$ref"].rpartition("/")[2]).validate(answer.json)


def closed(name: str) -> Draft202012Validator:
    """The validator of a component that also finds fields that are not documented."""
    components = DOCUMENT["components"]
    schema = {**components["schemas"][name], "additionalProperties": False}
    return Draft202012Validator({**schema, "components": components})


BODIES: dict[str, Any] = {
    "createGroup": {"name": "sales"},
    "changeGroup": {"parent": None},
    "createPerson": {"name": "Bob"},
    "changePerson": {"role": "viewer"},
    "importPeople": {"rows": [{"name": "Eve", "key_name": "eve"}]},
    "createLimit": {"gateway": True, "amount_usd": 5},
    "changeLimit": {"amount_usd": 2},
    "saveManagedSettings": {"group": "research", "settings": {"env": {"A": "1"}}},
}


def organized(call: Callable[..., Any]) -> dict[str, str]:
    """A group, a person and a limit, by what stands for them in paths."""
    made = {
        "{group_id}": ("/admin/v1/groups", {"name": "research"}),
        "{person_id}": ("/admin/v1/people", {"name": "Ann", "email": "ann@example.com"}),
        "{limit_id}": ("/admin/v1/limits", {"person": "Ann", "amount_usd": 1}),
    }
    ids = {placed: call("POST", path, body).json["id"] for placed, (path, body) in made.items()}
    return {**ids, "{managed_id}": ids["{group_id}"]}


def test_every_answer_of_the_admin_api_is_as_documented(admin: Administration) -> None:
    key_id = admin.key("sk-1", name="ann", quota_units=10, expires_at=2_000_000_000).id
    admin.used(key_id)
    admin.key("sk-2")
    admin.call("GET", "/admin/v1/keys")
    ids = {"{key_id}": key_id, **organized(admin.call)}
    bodies = {"createKey": {"name": "new"}, "changeKey": {"owner": "bob"}, **BODIES}
    order = [o for o in OPERATIONS if "admin" in o[2]["tags"]]
    order.sort(key=lambda o: o[1] == "delete")
    for path, method, operation in order:
        body = bodies.get(operation["operationId"])
        named = path
        for placed, id_ in ids.items():
            named = named.replace(placed, id_)
        answer = admin.call(method.upper(), named, body)
        assert answer.status == 200, (path, method, answer.body)
        fits(answer, path, method)
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        closed(schema["$ref"].rpartition("/")[2]).validate(answer.json)
        refused = admin.call(method.upper(), path, body, secret="sk-2")
        assert refused.status == 403
        fits(refused, path, method)


def test_every_group_of_usage_is_as_documented(admin: Administration) -> None:
    admin.used(admin.key("sk-1").id)
    for group in ("key", "model", "day", "session", "class", "agent", "upstream", "kind"):
        report = admin.call("GET", f"/admin/v1/usage?by={group}").json
        closed("UsageReport").validate(report)
        closed("UsageSums").validate(report["data"][0])
        assert group in report["data"][0]


def test_what_the_document_allows_for_a_key_is_what_the_api_takes(admin: Administration) -> None:
    for body, allowed in (
        ({"name": "a", "quota_usd": "1.5"}, True),
        ({"name": "a", "models": None, "quota_units": None}, True),
        ({"name": ""}, False),
        ({}, False),
        ({"name": "a", "quota_units": -1}, False),
        ({"name": "a", "colour": "red"}, False),
    ):
        assert schema_of("NewKeyFields").is_valid(body) == allowed
        assert (admin.call("POST", "/admin/v1/keys", body).status == 200) == allowed


def test_every_documented_path_of_a_running_gateway_answers_as_documented(
    sandbox_gateway: RunningGateway,
) -> None:
    key_id, caller = sandbox_gateway.make_key(quota_units=1_000_000, fallback_models=["m"])
    message = {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "Hello"}]}
    bodies: dict[str, Any] = {
        "createMessage": {**message, "max_tokens": 9},
        "countTokens": message,
        "createKey": {"name": "documented"},
        "changeKey": {"owner": "ann"},
        **BODIES,
    }
    names = {"key_id": key_id, "model_id": "claude-haiku-4-5"}

    def make(method: str, path: str, body: object) -> Any:
        return sandbox_gateway.client.call(method, path, json.dumps(body).encode())

    names |= {placed[1:-1]: id_ for placed, id_ in organized(make).items()}
    # Deleting comes last.
    for path, method, operation in sorted(OPERATIONS, key=lambda o: o[1] == "delete"):
        if path.startswith(UPSTREAMS_OWN):
            continue
        administers = "admin" in operation["tags"]
        client = sandbox_gateway.client if administers else caller
        body = bodies.get(operation["operationId"])
        raw = b"" if body is None else json.dumps(body).encode()
        answer = client.call(method.upper(), path.format(**names), raw)
        described = operation["responses"][str(answer.status)]
        assert answer.status == 200, (path, method, answer.body)
        media = answer.headers["content-type"].partition(";")[0]
        assert media in described["content"], (path, method, media)
        schema = described["content"][media]["schema"]
        if media == "application/json":
            schema_of(schema["$ref"].rpartition("/")[2]).validate(json.loads(answer.body))


def test_without_a_key_only_the_open_paths_answer(sandbox_gateway: RunningGateway) -> None:
    for path, method, operation in OPERATIONS:
        answer = sandbox_gateway.client.call(method.upper(), path, b"{}", {})
        if operation.get("security") == []:
            assert answer.status == 200, path
        elif path != "/metrics":
            # A scraper on the same machine needs no key.
            assert answer.status == 401, path
            schema_of("Error").validate(json.loads(answer.body))
