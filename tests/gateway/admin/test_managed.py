"""Managed settings of Claude Code: checked, compared, kept by group, given to whom they are for."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.admin.managed import (
    DANGERS,
    MAX_BYTES,
    Danger,
    Preview,
    dangers_of,
    pretty,
    preview,
    read_settings,
)
from apertis.gateway.admin.resources import Call
from apertis.gateway.errors import Refusal
from apertis.gateway.serving.managed import canonical, checksum_of
from apertis.gateway.store.managed_settings import ManagedSettings
from tests.kit.consoles import make

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.gateways import RunningGateway
    from tests.kit.http import Client, Response

PATH = "/admin/v1/managed-settings"
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(1e-3, 1e6)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"])).filter(
                lambda name: not name.isdecimal()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(["b", "a", "é", "\ue000", "😀"]), VALUES, max_size=5)
# What the client does with the settings that it holds, in its own language.
SORTED_BY_JAVASCRIPT = """
const sorted = v => Array.isArray(v) ? v.map(sorted) : v && typeof v === "object"
  ? Object.fromEntries(Object.keys(v).sort().map(k => [k, sorted(v[k])])) : v;
const lines = require("fs").readFileSync(0, "utf8").split("\\n").filter(l => l);
process.stdout.write(lines.map(l => JSON.stringify(sorted(JSON.parse(l)))).join("\\n"));
"""


@given(OBJECTS)
def test_what_is_kept_is_what_was_written(settings: dict[str, Any]) -> None:
    kept = canonical(settings)
    assert json.loads(kept) == settings
    assert canonical(json.loads(kept)) == kept
    assert json.loads(pretty(kept)) == settings
    read = read_settings(json.dumps(settings, indent=4))
    assert isinstance(read, dict)
    assert canonical(read) == kept


def test_the_checksum_is_of_sorted_keys_without_spaces() -> None:
    text = canonical({"b": {"d": 1, "c": [1.0, "é"]}, "a": None})
    assert text == '{"a":null,"b":{"c":[1,"é"],"d":1}}'
    assert checksum_of(text) == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_javascript_writes_the_same_bytes() -> None:
    samples: list[dict[str, Any]] = []

    @given(OBJECTS)
    def collect(settings: dict[str, Any]) -> None:
        samples.append(settings)

    collect()
    samples.append({"\ue000": 1, "😀": 2, "big": 2**53 - 1, "tiny": 1e-4, "line": "\u2028\x7f\x01"})
    told = "\n".join(json.dumps(one) for one in samples)
    done = subprocess.run(
        ["node", "-e", SORTED_BY_JAVASCRIPT],
        input=told.encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.decode().split("\n") == [canonical(one) for one in samples]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "a JSON object"),
        ('"x"', "a JSON object"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"env": {"A": "1", "A": "2"}}', "'A' stands twice"),
        ('{"a": NaN}', "NaN"),
        ('{"a": 9007199254740993}', "cannot hold exactly"),
        ('{"a": 1e400}', "cannot be sent"),
        ('{"a": 0.00001}', "too small"),
        ('{"a": "\\ud800"}', "cannot be sent"),
        ('{"a":' * 40 + "1" + "}" * 40, "deeper than 32"),
        ('{"a":' * 100_000, "not JSON"),
        ('{"a": "' + "x" * MAX_BYTES + '"}', "longer than"),
    ],
)
def test_what_clients_could_not_read_is_rejected(text: str, words: str) -> None:
    refusal = read_settings(text)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400
    assert refusal.param == "settings"
    if not text.startswith('{"a":{"a"'):
        assert words in refusal.message


@given(VALUES)
def test_whatever_is_written_is_read_or_rejected(value: Any) -> None:
    assert isinstance(
        read_settings(json.dumps(value)), Refusal if type(value) is not dict else dict
    )


@pytest.mark.parametrize("name", sorted(DANGERS))
def test_what_acts_on_a_machine_is_named_wherever_it_stands(name: str) -> None:
    assert [one.path for one in dangers_of({name: "x", "model": "opus"})] == [name]
    assert [one.path for one in dangers_of({"a": [{"b": {name: "x"}}]})] == [f"a.b.{name}"]


@pytest.mark.parametrize(
    "name",
    [
        *("hooks", "apiKeyHelper", "env", "permissions", "skipWebFetchPreflight", "agent"),
        *("httpHookAllowedEnvVars", "autoMemoryDirectory", "allowedChannelPlugins", "sshConfigs"),
    ],
)
def test_the_best_known_ones_are_among_them(name: str) -> None:
    assert name in DANGERS


def test_harmless_settings_are_not_named_and_variables_are_by_their_names() -> None:
    assert dangers_of({"model": "opus", "cleanupPeriodDays": 3}) == ()
    (found,) = dangers_of({"env": {"NODE_OPTIONS": "secret", "PATH": "x"}})
    assert found.path == "env"
    assert "(NODE_OPTIONS, PATH)" in found.does
    assert "secret" not in found.does


def test_what_settings_say_is_in_no_representation() -> None:
    text = '{"env":{"TOKEN":"hush"}}'
    kept = ManagedSettings(group_id="", uuid="1", settings=text, version=1, changed_at=0)
    for one in (preview(text, None), kept, Call(actor="a", body=text.encode())):
        assert "hush" not in repr(one)


def test_a_preview_says_what_changes() -> None:
    shown = preview('{"hooks": {}, "model": "opus"}', '{"model":"sonnet"}')
    assert isinstance(shown, Preview)
    assert shown.text == '{"hooks":{},"model":"opus"}'
    assert shown.dangers == (Danger("hooks", DANGERS["hooks"]),)
    changed = [line for line in shown.diff if line[0] in "+-"]
    assert changed == ['-  "model": "sonnet"', '+  "hooks": {},', '+  "model": "opus"']
    same = preview('{ "model":"sonnet" }', '{"model":"sonnet"}')
    assert isinstance(same, Preview)
    assert same.diff == ()


HIDING = (
    *("\u2028", "\u2029", "\x85", "\x7f", "\u200b", "\u202e", "\u2066", "\ufeff", "\U000e0041"),
    *("\u034f", "\u2800", "\u3164", "\ufe00", "\uffa0", "\U000e0100", "\U000e01ef"),
)


@pytest.mark.parametrize("sign", HIDING, ids=ascii)
def test_nothing_that_is_saved_is_hidden_from_whoever_saves_it(sign: str) -> None:
    words = f"be kind{sign}++ run this{sign}-- and this{sign}@ too"
    shown = preview(
        json.dumps({"claudeMd": words, f"a{sign}": {"hooks": 1, "env": {sign: 1}}}), "{}"
    )
    assert isinstance(shown, Preview)
    added = [line[1:] for line in shown.diff if line.startswith("+")]
    # All of it, each setting on a line of its own, in letters that are seen.
    assert json.loads("".join(added)) == json.loads(shown.text)
    assert added == pretty(shown.text).split("\n")
    assert all(line.isprintable() for line in shown.diff)
    assert not any(sign in line for line in shown.diff)
    assert all(one.path.isprintable() and one.does.isprintable() for one in shown.dangers)


def call(gateway: RunningGateway, method: str, path: str = "", **fields: Any) -> Response:
    body = json.dumps(fields).encode() if fields else b""
    return gateway.client.call(method, f"{PATH}{path}", body)


@pytest.fixture
def gateway(start_gateway: Callable[..., RunningGateway]) -> RunningGateway:
    return start_gateway()


def ask(client: Client, **headers: str) -> Response:
    sent = {"authorization": f"Bearer {client.api_key}", **headers}
    return client.call("GET", "/managed/settings", headers=sent)


def test_the_innermost_group_decides_and_else_everybodys(gateway: RunningGateway) -> None:
    outer = make(gateway, "groups", name="Engineering")
    inner = make(gateway, "groups", name="Platform", parent="Engineering")
    make(gateway, "people", name="Paul", group="Platform")
    _, pauls = gateway.make_key(person="Paul")
    _, groups = gateway.make_key(group="Engineering")
    _, nobodys = gateway.make_key()
    for client in (pauls, groups, nobodys):
        missing = ask(client)
        assert (missing.status, missing.headers["x-should-retry"]) == (404, "false")
    assert call(gateway, "POST", settings={"of": "all"}).status == 200
    assert call(gateway, "POST", group="Engineering", settings={"of": "outer"}).status == 200
    told = [ask(client).json["settings"]["of"] for client in (pauls, groups, nobodys)]
    assert told == ["outer", "outer", "all"]
    # An empty policy is one.
    assert call(gateway, "POST", group=inner, settings={}).status == 200
    assert ask(pauls).json["settings"] == {}
    assert [one["group"] for one in call(gateway, "GET").json["data"]].count(None) == 1
    assert call(gateway, "DELETE", f"/{inner}").status == 200
    assert call(gateway, "DELETE", f"/{outer}").status == 200
    assert ask(pauls).json["settings"] == {"of": "all"}
    assert call(gateway, "DELETE", "/everybody").json["settings"] == {"of": "all"}
    assert call(gateway, "DELETE", "/everybody").status == 404
    assert call(gateway, "GET", "/everybody").status == 404
    assert ask(pauls).status == 404


def test_a_client_that_has_them_is_told_so(gateway: RunningGateway) -> None:
    _, client = gateway.make_key()
    assert client.call("GET", "/managed/settings", headers={}).status == 401
    saved = call(gateway, "POST", settings={"b": 1, "a": {"d": 1.0, "c": "é"}}).json
    answer = ask(client)
    assert answer.json.keys() == {"uuid", "checksum", "settings"}
    text = '{"a":{"c":"é","d":1},"b":1}'
    checksum = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    assert answer.json["checksum"] == saved["checksum"] == checksum
    assert answer.headers["etag"] == f'"{checksum}"'
    for known in (f'"{checksum}"', f'W/"{checksum}"', f'"x", "{checksum}"'):
        same = ask(client, **{"if-none-match": known})
        assert (same.status, same.body, same.headers["etag"]) == (304, b"", f'"{checksum}"')
    for other in ("*", '"x"', ""):
        assert ask(client, **{"if-none-match": other}).status == 200
    assert call(gateway, "POST", settings={"b": 2}).json["uuid"] == saved["uuid"]
    assert ask(client, **{"if-none-match": f'"{checksum}"'}).json["settings"] == {"b": 2}


def test_two_administrators_do_not_overwrite_each_other(gateway: RunningGateway) -> None:
    first = call(gateway, "POST", settings={"a": 1}, version=0)
    assert first.status == 200
    version = first.json["version"]
    assert call(gateway, "POST", settings={"a": 2}, version=0).status == 409
    assert call(gateway, "POST", settings={"a": 2}, version=version).json["version"] > version
    assert call(gateway, "POST", settings={"a": 3}, version=version).status == 409
    assert call(gateway, "GET", "/everybody").json["settings"] == {"a": 2}
    # Removed and made again is not what was seen.
    assert call(gateway, "DELETE", "/everybody").status == 200
    assert call(gateway, "POST", settings={"a": 4}).status == 200
    assert call(gateway, "POST", settings={"a": 5}, version=version).status == 409


def test_a_dry_run_keeps_nothing(gateway: RunningGateway) -> None:
    checked = call(gateway, "POST", settings={"hooks": {}}, dry_run=True)
    assert checked.status == 200
    assert checked.json["dangers"] == [{"path": "hooks", "does": DANGERS["hooks"]}]
    assert call(gateway, "GET").json["data"] == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"settings": []}, "settings"),
        ({"settings": {}, "group": "nobody"}, "group"),
        ({"settings": {}, "color": "red"}, "color"),
    ],
)
def test_errors_name_the_field(gateway: RunningGateway, fields: Any, param: str) -> None:
    refused = call(gateway, "POST", **fields)
    assert refused.status == 400
    assert refused.json["error"]["param"] == param
    assert call(gateway, "GET").json["data"] == []


def test_settings_that_are_missing_or_stand_twice_are_rejected(gateway: RunningGateway) -> None:
    for body in (b"{}", b'{"settings": {"a": 1, "a": 2}}'):
        refused = gateway.client.call("POST", PATH, body)
        assert refused.status == 400
        assert "settings" in refused.error["message"]


def test_changes_are_in_the_trail_without_what_may_be_secret(gateway: RunningGateway) -> None:
    call(gateway, "POST", settings={"env": {"TOKEN": "said-by-a-user"}})
    call(gateway, "POST", settings={"env": {"TOKEN": "said-by-a-user"}})
    call(gateway, "POST", settings={"model": "opus"})
    call(gateway, "DELETE", "/everybody")
    trail = gateway.client.call("GET", "/admin/v1/audit?subject=managed_settings")
    assert b"said-by-a-user" not in trail.body
    assert [one["action"] for one in trail.json["data"]] == ["remove", "change", "create"]
    assert trail.json["data"][1]["before"]["keys"] == ["env"]
    assert trail.json["data"][1]["after"]["keys"] == ["model"]
    assert {one["subject_id"] for one in trail.json["data"]} == {"everybody"}


def test_only_administrators_see_or_change_them(gateway: RunningGateway) -> None:
    _, client = gateway.make_key()
    for method in ("GET", "POST"):
        assert client.call(method, PATH, b"{}").status == 403
