"""The admin API: who may call it, and what it does with keys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.admin.reading import read_body_as
from apertis.gateway.errors import Refusal
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.keys.secrets import hash_secret

if TYPE_CHECKING:
    from tests.kit.administration import Administration

KEYS = "/admin/v1/keys"
FIELDS = {
    "id", "name", "owner", "person", "person_id", "group", "group_id", "tags", "hint", "admin",
    "status", "kind", "quota_units", "used_units",
    "remaining_units", "models", "addresses", "expires_at", "fallback_models",
    "fallback_timeout_ms", "fallback_enabled", "requests_limit", "tokens_per_minute", "in_flight",
    "response_cache", "billing_policy", "created_at",
}  # fmt: skip
PATHS = [
    ("GET", KEYS),
    ("POST", KEYS),
    ("GET", KEYS + "/x"),
    ("PATCH", KEYS + "/x"),
    ("DELETE", KEYS + "/x"),
    ("POST", KEYS + "/x/rotate"),
    ("POST", KEYS + "/x/enable"),
    ("POST", KEYS + "/x/disable"),
    ("GET", "/admin/v1/usage"),
    ("GET", "/admin/v1/upstreams"),
    ("DELETE", "/admin/v1/cache"),
]


def create(admin: Administration, /, **fields: Any) -> dict[str, Any]:
    answer = admin.call("POST", KEYS, {"name": "ci", **fields})
    assert answer.status == 200, answer.body
    made: dict[str, Any] = answer.json
    return made


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_only_an_administrators_key_comes_in(admin: Administration, method: str, path: str) -> None:
    secret = create(admin)["secret"]
    assert admin.call(method, path, secret=secret).error == (403, "access_denied", None)


def test_a_new_key_has_the_documented_fields_and_its_secret_works_at_once(
    admin: Administration,
) -> None:
    made = create(admin, owner="ann", tags=["a", "b"], quota_usd="12.5", admin=True)
    assert made.keys() == FIELDS | {"secret"}
    assert made["quota_units"] == made["remaining_units"] == 6_250_000
    assert (made["owner"], made["tags"], made["admin"]) == ("ann", ["a", "b"], True)
    assert made["created_at"] == "2027-01-15T08:00:00Z"
    assert made["secret"].endswith(made["hint"][-4:])
    assert admin.call("GET", KEYS, secret=made["secret"]).status == 200


def test_a_secret_is_in_no_other_answer_and_not_in_the_store(admin: Administration) -> None:
    made = create(admin)
    for target in (KEYS, f"{KEYS}/{made['id']}", "/admin/v1/usage"):
        answer = admin.call("GET", target)
        assert made["secret"] not in answer.body.decode()
        assert hash_secret(made["secret"]) not in answer.body.decode()
        assert answer.headers["cache-control"] == "no-store"
    record = admin.loop.run(admin.store.keys.get(made["id"]))
    assert made["secret"] not in repr(record)


def test_every_field_can_be_set_and_taken_back(admin: Administration) -> None:
    given: dict[str, Any] = {
        "owner": "bob",
        "tags": ["x"],
        "quota_units": 5,
        "models": ["claude-haiku-*"],
        "addresses": ["10.0.0.0/8", "2001:db8::/32"],
        "expires_at": "2027-12-31T18:00:00Z",
        "fallback_models": ["claude-haiku-4-5"],
        "fallback_timeout_ms": 5000,
        "fallback_enabled": True,
        "requests_limit": "10/1s",
        "tokens_per_minute": 7,
        "in_flight": 3,
        "response_cache": True,
        "billing_policy": True,
        "admin": True,
    }
    made = create(admin)
    target = f"{KEYS}/{made['id']}"
    changed = admin.call("PATCH", target, given).json
    assert {name: changed[name] for name in given} == given
    empty = {name: made[name] for name in given}
    assert admin.call("PATCH", target, empty).json == {
        name: value for name, value in made.items() if name != "secret"
    }
    assert admin.call("GET", target).json["models"] is None


def test_a_change_acts_on_the_running_gateway_at_once(admin: Administration) -> None:
    made = create(admin)
    key = admin.directory.find(made["secret"], admin.now)
    assert key is not None
    admin.call("PATCH", f"{KEYS}/{made['id']}", {"models": ["a"], "quota_units": 9})
    assert not key.allows("b")
    assert key.record.quota_units == 9
    for action, status in (("disable", "disabled"), ("enable", "enabled")):
        admin.call("POST", f"{KEYS}/{made['id']}/{action}")
        assert key.record.status == status
    admin.call("DELETE", f"{KEYS}/{made['id']}")
    assert admin.directory.find(made["secret"], admin.now) is None


def test_a_change_here_does_not_hide_one_that_the_command_line_made_before(
    admin: Administration,
) -> None:
    made = create(admin)
    admin.loop.run(admin.store.keys.update(made["id"], status="disabled"))
    create(admin, name="another")
    key = admin.directory.get(made["id"])
    assert key is not None
    assert key.record.status == "disabled"


def test_a_rotated_key_keeps_its_old_secret_for_the_grace_that_is_asked(
    admin: Administration,
) -> None:
    made = create(admin)
    rotate = f"{KEYS}/{made['id']}/rotate"
    rotated = admin.call("POST", rotate, {"grace_seconds": 60}).json
    assert rotated["secret"] != made["secret"]
    for seconds, works in ((59, True), (60, False)):
        found = admin.directory.find(made["secret"], admin.now + seconds)
        assert (found is not None) == works
    again = admin.call("POST", rotate, {"grace_seconds": 0}).json
    assert admin.directory.find(rotated["secret"], admin.now) is None
    assert admin.directory.find(again["secret"], admin.now) is not None


def test_without_a_body_the_grace_is_a_day(admin: Administration) -> None:
    made = create(admin)
    assert admin.call("POST", f"{KEYS}/{made['id']}/rotate").status == 200
    assert admin.directory.find(made["secret"], admin.now + 86_399) is not None
    assert admin.directory.find(made["secret"], admin.now + 86_400) is None


@pytest.mark.parametrize(
    ("body", "code", "param", "told"),
    [
        (b"{", "invalid_request", None, "not JSON"),
        (b"\xff", "invalid_request", None, "not JSON"),
        (b"", "invalid_request", None, "not JSON"),
        ([], "invalid_request", None, "an object"),
        ({}, "missing_parameter", "name", "name"),
        ({"name": ""}, "invalid_parameter", "name", "length >= 1"),
        ({"name": 5}, "invalid_parameter", "name", "a string"),
        ({"name": " a"}, "invalid_parameter", "name", "without spaces"),
        ({"name": "a\u001b[2J"}, "invalid_parameter", "name", "printable"),
        ({"name": "a", "onwer": "b"}, "invalid_parameter", "onwer", "did you mean 'owner'?"),
        ({"name": "a", "zzz": 1}, "invalid_parameter", "zzz", "known: name, owner"),
        ({"name": "a", "used_units": 0}, "invalid_parameter", "used_units", "cannot be set"),
        ({"name": "a", "status": "enabled"}, "invalid_parameter", "status", "/enable"),
        ({"name": "a", "secret": "sk-1"}, "invalid_parameter", "secret", "makes it"),
        ({"name": "a", "quota_units": "5"}, "invalid_parameter", "quota_units", "an integer"),
        ({"name": "a", "quota_units": -1}, "invalid_parameter", "quota_units", ">= 0"),
        ({"name": "a", "quota_units": 1e300}, "invalid_parameter", "quota_units", "integer"),
        ({"name": "a", "quota_usd": -1}, "invalid_parameter", "quota_usd", "US dollars"),
        ({"name": "a", "quota_usd": "NaN"}, "invalid_parameter", "quota_usd", "NaN"),
        ({"name": "a", "quota_usd": "1e-7"}, "invalid_parameter", "quota_usd", "0.000002"),
        ({"name": "a", "quota_usd": "1e999"}, "invalid_parameter", "quota_usd", "1E+999"),
        ({"name": "a", "quota_usd": 1, "quota_units": 1}, "invalid_parameter", "quota_usd", "both"),
        ({"name": "a", "models": []}, "invalid_parameter", "models", "null for all"),
        ({"name": "a", "addresses": ["10.0.0.256"]}, "invalid_parameter", "addresses[0]", "IPv4"),
        ({"name": "a", "expires_at": "soon"}, "invalid_parameter", "expires_at", "soon"),
        ({"name": "a", "requests_limit": "fast"}, "invalid_parameter", "requests_limit", "rate"),
        ({"name": "a", "fallback_timeout_ms": 1}, "invalid_parameter", "fallback_timeout_ms", "5"),
        ({"name": "a", "admin": "yes"}, "invalid_parameter", "admin", "true or false"),
        ({"name": "a", "tags": ["b", "b"]}, "invalid_parameter", "tags[1]", "once"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name_and_nothing_is_made(
    admin: Administration, body: object, code: str, param: str | None, told: str
) -> None:
    answer = admin.call("POST", KEYS, body)
    assert answer.error == (400, code, param)
    assert told in answer.json["error"]["message"]
    assert len(admin.loop.run(admin.store.keys.list())) == 1
    made = create(admin)
    if code != "missing_parameter":
        target = f"{KEYS}/{made['id']}"
        assert admin.call("PATCH", target, body).error == (400, code, param)
        assert "secret" in made
        made.pop("secret")
        assert admin.call("GET", target).json == made


def test_dollars_are_read_exactly_as_numbers_and_as_strings(admin: Administration) -> None:
    assert create(admin, quota_usd=0.1)["quota_units"] == 50_000
    assert create(admin, quota_usd="0.000002")["quota_units"] == 1
    raw = b'{"name":"a","quota_usd":1.000000000000000000000000000000000001}'
    assert admin.call("POST", KEYS, raw).error == (400, "invalid_parameter", "quota_usd")
    assert create(admin, quota_usd=None)["remaining_units"] is None


def test_a_body_of_megabytes_is_not_read(admin: Administration) -> None:
    answer = admin.call("POST", KEYS, b'{"name":"' + b"a" * 2**20 + b'"}')
    assert answer.error == (413, "request_too_large", None)


def test_unknown_keys_paths_and_methods_are_told(admin: Administration) -> None:
    assert admin.call("GET", KEYS + "/key_none").error == (404, "not_found", None)
    assert admin.call("PATCH", KEYS + "/key_none", {}).error == (404, "not_found", None)
    assert admin.call("DELETE", KEYS + "/key_none").error == (404, "not_found", None)
    assert admin.call("GET", "/admin/v1/nothing").error == (404, "endpoint_not_found", None)
    assert admin.call("GET", KEYS + "/").error == (404, "endpoint_not_found", None)
    refused = admin.call("PUT", KEYS)
    assert refused.error == (405, "method_not_allowed", None)
    assert refused.headers["allow"] == "GET, POST"


def test_deletion_is_final_and_may_be_repeated(admin: Administration) -> None:
    target = f"{KEYS}/{create(admin)['id']}"
    assert admin.call("DELETE", target).json["status"] == "deleted"
    assert admin.call("DELETE", target).json["status"] == "deleted"
    for method, path in (("PATCH", ""), ("POST", "/enable"), ("POST", "/rotate")):
        assert admin.call(method, target + path, {}).error == (409, "conflict", None)
    assert admin.call("GET", target).json["status"] == "deleted"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "", None),
        ("POST", "/disable", None),
        ("PATCH", "", {"admin": False}),
        ("PATCH", "", {"expires_at": "2026-01-01"}),
    ],
)
def test_the_last_administrator_cannot_go(
    admin: Administration, method: str, path: str, body: object
) -> None:
    root = f"{KEYS}/key_{'0' * 20}"
    create(admin, name="no administrator")
    admin.key("sk-late", name="late", admin=True, expires_at=int(admin.now))
    admin.key("sk-off", name="off", admin=True, status="disabled")
    refused = admin.call(method, root + path, body)
    assert refused.error == (409, "conflict", None)
    assert "last administrator" in refused.json["error"]["message"]
    create(admin, name="second", admin=True)
    assert admin.call(method, root + path, body).status == 200


def test_what_does_not_touch_its_rights_may_be_changed_of_the_last_administrator(
    admin: Administration,
) -> None:
    root = f"{KEYS}/key_{'0' * 20}"
    assert admin.call("PATCH", root, {"name": "boss"}).json["name"] == "boss"
    assert admin.call("POST", root + "/rotate").status == 200


def test_keys_are_listed_in_pages_in_both_directions(admin: Administration) -> None:
    made = [admin.key(f"sk-{n}", name=f"k{n}", created_at=100 + n).id for n in range(5)]
    ids = [f"key_{'0' * 20}", *made]
    seen: list[str] = []
    target = KEYS + "?limit=4"
    while True:
        page = admin.call("GET", target).json
        seen += [key["id"] for key in page["data"]]
        assert (page["first_id"], page["last_id"]) == (seen[-len(page["data"])], seen[-1])
        if not page["has_more"]:
            break
        target = f"{KEYS}?limit=4&after_id={page['last_id']}"
    assert seen == ids
    before = admin.call("GET", f"{KEYS}?limit=2&before_id={ids[4]}").json
    assert [key["id"] for key in before["data"]] == ids[2:4]
    assert before["has_more"]
    assert not admin.call("GET", f"{KEYS}?limit=4&before_id={ids[4]}").json["has_more"]


def test_the_list_can_be_narrowed(admin: Administration) -> None:
    admin.key("sk-1", name="one", owner="ann", tags=("x",))
    admin.key("sk-2", name="two", owner="ann", status="disabled")
    admin.key("sk-3", name="three", status="deleted")

    def names(query: str) -> set[str]:
        return {key["name"] for key in admin.call("GET", f"{KEYS}?{query}").json["data"]}

    assert names("") == {"root", "one", "two"}
    assert names("status=all") == {"root", "one", "two", "three"}
    assert names("status=deleted") == {"three"}
    assert names("owner=ann") == {"one", "two"}
    assert names("owner=ann&status=enabled") == {"one"}
    assert names("tag=x") == {"one"}
    assert names("name=two") == {"two"}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=many", "limit"),
        ("limit=1&limit=2", "limit"),
        ("status=gone", "status"),
        ("after_id=key_none", "after_id"),
        ("after_id=a&before_id=b", "before_id"),
        ("page=2", "page"),
    ],
)
def test_a_wrong_query_is_refused_by_name(admin: Administration, query: str, param: str) -> None:
    assert admin.call("GET", f"{KEYS}?{query}").error == (400, "invalid_parameter", param)


def test_what_a_key_used_is_what_the_gateway_knows_already(admin: Administration) -> None:
    made = create(admin, quota_units=1000)
    key = admin.directory.get(made["id"])
    assert key is not None
    key.used_units += 300
    shown = admin.call("GET", f"{KEYS}/{made['id']}").json
    assert (shown["used_units"], shown["remaining_units"]) == (300, 700)


def test_a_request_keeps_the_id_that_it_has(admin: Administration) -> None:
    answer = admin.call("GET", KEYS + "/none", request_id="req_1")
    assert answer.headers["request-id"] == answer.json["request_id"] == "req_1"
    assert admin.call("GET", KEYS).headers["request-id"].startswith("req_")


def test_a_store_that_does_not_answer_is_told_as_unavailable(admin: Administration) -> None:
    admin.loop.run(_break(admin))
    assert admin.call("POST", KEYS, {"name": "a"}).error == (503, "service_unavailable", None)


async def _break(admin: Administration) -> None:
    """Take the tables away, as a failing disk would."""
    rename = "ALTER TABLE keys RENAME TO gone"
    await admin.store.keys._database.write(lambda at: at.exec_driver_sql(rename))


def test_the_breakers_of_all_upstreams_are_shown(admin: Administration) -> None:
    assert admin.call("GET", "/admin/v1/upstreams").json == {
        "data": [
            {"name": "main", "breaker": "closed", "cause": None, "failures": 0, "usable": True}
        ]
    }


def test_the_cache_is_purged_for_one_key_or_for_all(admin: Administration) -> None:
    made = create(admin, name="ann")
    for name in (b"a", b"b"):
        admin.cached(made["id"], name)
    admin.cached("key_other", b"c")
    cache = "/admin/v1/cache"
    assert admin.call("DELETE", cache + "?key=nobody").error == (404, "not_found", None)
    assert admin.call("DELETE", cache + "?key=ann").json == {"purged": 2}
    assert len(admin.cache) == 1
    assert admin.call("DELETE", cache).json == {"purged": 1}
    assert len(admin.cache) == 0


def test_answers_are_json_and_say_so(admin: Administration) -> None:
    answer = admin.call("GET", KEYS)
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert json.loads(answer.body)["data"][0]["name"] == "root"


def test_a_body_of_any_depth_is_refused_and_no_defect() -> None:
    refusal = read_body_as(b'{"name":' + b"[" * 100_000, KeyRecord)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400
