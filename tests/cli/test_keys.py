"""`apertis keys` on a real store."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from apertis.cli.exit_codes import ExitCode
from apertis.cli.group import apertis, run
from apertis.gateway.keys.directory import Directory
from apertis.gateway.store.database import Store
from apertis.gateway.store.keys import StoredKeys

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from apertis.gateway.keys.record import KeyRecord

SECRET = re.compile(r"sk-[A-Za-z0-9]{48}")


class Keys:
    """Runs `apertis keys ... --data` in this process."""

    def __init__(self, data: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.data = data
        self._capture = capture

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Run, and give what was said: stdout, or stderr when it is to fail."""
        self._capture.readouterr()
        exit_code = run(["keys", *arguments, "--data", str(self.data)])
        out, err = self._capture.readouterr()
        assert exit_code == code, err
        if code:
            assert out == ""
            assert err.endswith("\n")
            *place, told = err.splitlines()
            assert place in ([], [f"apertis: the store {self.data / 'apertis.sqlite3'}"])
            assert told.startswith("apertis: ")
            return told
        return out

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Keys:
    return Keys(tmp_path / "data", capsys)


def store(keys: Keys, work: Callable[[Store], Awaitable[object]]) -> None:
    async def opened() -> None:
        async with await Store.open(keys.data) as store:
            await work(store)

    asyncio.run(opened())


def directory(data: Path) -> Directory:
    """The keys as a gateway on this data would meet them."""

    async def read() -> Directory:
        async with await Store.open(data) as store:
            return Directory(await store.keys.list())

    return asyncio.run(read())


def test_a_key_is_made_and_its_secret_stands_alone_on_stdout(
    keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    out = keys("create", "--name", "ci")
    assert SECRET.fullmatch(out.rstrip("\n"))
    found = directory(keys.data).find(out.strip(), time.time())
    assert found is not None
    assert found.record.name == "ci"
    assert found.record.quota_units is None
    assert found.record.models is None
    assert found.record.expires_at is None
    assert run(["keys", "create", "--name", "x", "--data", str(keys.data)]) == 0
    assert "shown only now" in capsys.readouterr().err


def test_every_option_sets_its_field(keys: Keys) -> None:
    made = keys.json(
        *("create", "--name", "all", "--owner", "ann", "--tag", "a", "--tag", "b,c"),
        *("--quota", "1_000", "--model", "claude-haiku-*,claude-opus-4-5", "--address", "10.0.0.1"),
        *("--address", "2001:db8::/32", "--expires", "2030-01-02", "--fallback-model", "m1,m2"),
        *("--fallback-timeout", "5000", "--fallback", "--rate", "10/1s", "--in-flight", "4"),
        *("--tokens-per-minute", "9", "--cache", "--billing-policy", "--admin"),
    )
    secret = made.pop("secret")
    assert SECRET.fullmatch(secret)
    kept = keys.json("show", made["id"])
    assert kept == made
    assert {name: value for name, value in made.items() if name not in ("id", "created_at")} == {
        "name": "all",
        **dict.fromkeys(("person", "person_id", "group", "group_id")),
        "owner": "ann",
        "tags": ["a", "b", "c"],
        "hint": f"sk-...{secret[-4:]}",
        "admin": True,
        "status": "enabled",
        "kind": "key",
        "quota_units": 1000,
        "used_units": 0,
        "remaining_units": 1000,
        "models": ["claude-haiku-*", "claude-opus-4-5"],
        "addresses": ["10.0.0.1", "2001:db8::/32"],
        "expires_at": "2030-01-02T00:00:00Z",
        "fallback_models": ["m1", "m2"],
        "fallback_timeout_ms": 5000,
        "fallback_enabled": True,
        "requests_limit": "10/1s",
        "tokens_per_minute": 9,
        "in_flight": 4,
        "response_cache": True,
        "billing_policy": True,
    }


def test_every_option_can_be_taken_back(keys: Keys) -> None:
    plain = keys.json("create", "--name", "plain")
    keys(
        *("update", "plain", "--owner", "ann", "--tag", "a", "--quota-usd", "1.5", "--model", "m"),
        *("--address", "10.0.0.1", "--expires", "1h", "--fallback-model", "m", "--no-fallback"),
        *("--fallback-timeout", "5000", "--rate", "none", "--in-flight", "0", "--cache"),
        *("--tokens-per-minute", "0", "--name", "other"),
    )
    changed = keys.json("show", "other")
    assert (changed["quota_units"], changed["requests_limit"]) == (750_000, "0")
    assert (changed["in_flight"], changed["fallback_enabled"]) == (0, False)
    back = keys.json(
        *("update", "other", "--owner", "", "--tag", "none", "--quota", "unlimited"),
        *("--model", "all", "--address", "all", "--expires", "never", "--fallback-model", "none"),
        *("--default-fallback", "--fallback-timeout", "default", "--rate", "default"),
        *("--in-flight", "default", "--tokens-per-minute", "default", "--no-cache"),
        *("--name", "plain"),
    )
    plain.pop("secret")
    assert back == plain


def test_a_span_ends_the_key_that_long_from_now(keys: Keys) -> None:
    before = int(time.time())
    keys("create", "--name", "a", "--expires", "30d")
    [key] = directory(keys.data).all()
    assert key.record.expires_at is not None
    assert before + 30 * 86_400 <= key.record.expires_at <= time.time() + 30 * 86_400


def test_a_rotated_key_lets_the_old_secret_in_for_the_grace(keys: Keys) -> None:
    old = keys("create", "--name", "ci").strip()
    new = keys("rotate", "ci", "--grace", "1h").strip()
    now = time.time()
    assert directory(keys.data).find(old, now) is not None
    assert directory(keys.data).find(old, now + 3601) is None
    assert directory(keys.data).find(new, now + 3601) is not None
    keys("rotate", "ci", "--grace", "0")
    assert directory(keys.data).find(new, now) is None


def test_a_key_is_disabled_enabled_and_deleted(keys: Keys) -> None:
    key_id = keys.json("create", "--name", "ci")["id"]
    assert keys("disable", "ci") == f"ci ({key_id}) is disabled.\n"
    assert keys("enable", key_id) == f"ci ({key_id}) is enabled.\n"
    assert keys.json("delete", "ci", "--yes")["status"] == "deleted"
    assert keys("list") == ""
    assert keys.json("list") == []
    assert [key["status"] for key in keys.json("list", "--all")] == ["deleted"]
    assert "deletion is final" in keys("enable", "ci", code=ExitCode.SERVICE)


def test_a_script_deletes_without_being_asked(keys: Keys) -> None:
    key_id = keys.json("create", "--name", "ci")["id"]
    assert keys("delete", "ci") == f"ci ({key_id}) is deleted.\n"
    assert keys.json("list") == []


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [(b"y\n", "deleted", ExitCode.OK), (b"\n", "enabled", ExitCode.INTERRUPTED)],
)
def test_on_a_terminal_deleting_asks(keys: Keys, answer: bytes, status: str, code: int) -> None:
    key_id = keys.json("create", "--name", "ci")["id"]
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    done = subprocess.run(
        [sys.executable, "-m", "apertis.cli", "keys", "delete", "ci", "--data", str(keys.data)],
        stdin=theirs,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == code, done.stderr
    assert f"Delete ci ({key_id}) for good? [y/N]" in done.stderr
    assert keys.json("show", key_id)["status"] == status


def test_a_list_is_a_line_a_key_in_a_pipe(keys: Keys) -> None:
    key = keys.json("create", "--name", "ci", "--owner", "ann", "--quota-usd", "2.50", "--admin")
    keys("create", "--name", "open", "--expires", "2030-01-02")
    first, second = sorted(keys("list").splitlines(), key=lambda line: line.split("\t")[1])
    assert first.split("\t") == [
        *(key["id"], "ci", "enabled, admin", "ann", key["hint"], "$0", "$2.5", "never"),
    ]
    assert second.split("\t")[6:] == ["unlimited", "2030-01-02"]


def test_a_sheet_shows_the_key_and_no_secret(keys: Keys) -> None:
    secret = keys("create", "--name", "ci", "--quota-usd", "3", "--model", "m").strip()
    shown = keys("show", "ci")
    assert re.search(r"^Left +\$3 of \$3$", shown, re.MULTILINE)
    assert re.search(r"^Models +m$", shown, re.MULTILINE)
    assert secret not in shown


def test_a_name_of_two_keys_is_told_with_their_ids(keys: Keys) -> None:
    ids = [keys.json("create", "--name", name)["id"] for name in ("twin", "other")]
    store(keys, lambda store: store.keys.update(ids[1], name="twin"))
    told = keys("disable", "twin", code=ExitCode.SERVICE)
    assert all(key_id in told for key_id in ids)
    keys("delete", ids[0], "--yes")
    assert ids[1] in keys("disable", "twin")


def test_names_differ_in_case_and_the_nearest_is_suggested(keys: Keys) -> None:
    keys("create", "--name", "Ann")
    assert "did you mean 'Ann'?" in keys("show", "ann", code=ExitCode.SERVICE)


def test_the_last_administrator_cannot_be_deleted(keys: Keys) -> None:
    keys("create", "--name", "root", "--admin")
    assert "last administrator" in keys("delete", "root", "--yes", code=ExitCode.SERVICE)
    assert "last administrator" in keys("update", "root", "--no-admin", code=ExitCode.SERVICE)
    assert keys.json("show", "root")["admin"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--quota", "much"], "--quota takes a whole number or 'unlimited'"),
        (["--quota", "-5"], "--quota takes a whole number"),
        (["--quota", "5", "--quota-usd", "1"], "--quota and --quota-usd exclude each other"),
        (["--quota-usd", "cheap"], "--quota-usd: "),
        (["--quota-usd", "0.000001"], "--quota-usd must be"),
        (["--quota", "9" * 30], "--quota: expected int <= "),
        (["--address", "10.0.0.0/33"], "--address is '10.0.0.0/33': expected an address"),
        (["--model", "two words"], "--model is 'two words': expected"),
        (["--expires", "soon"], "--expires must be a date or time"),
        (["--rate", "fast"], "--rate is 'fast': expected a rate"),
        (["--fallback-timeout", "1"], "--fallback-timeout is 1: expected 5000 to 300000"),
        (["--in-flight", "some"], "--in-flight takes a whole number or 'default'"),
        (["--owner", "a\x1b[2J"], "--owner is 'a\\x1b[2J': expected"),
        (["--name", ""], "--name: expected str of length >= 1"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(keys: Keys, arguments: list[str], told: str) -> None:
    keys("create", "--name", "ci")
    assert told in keys("update", "ci", *arguments, code=ExitCode.USAGE)
    assert [key["name"] for key in keys.json("list")] == ["ci"]


def test_a_name_that_is_taken_is_refused_with_its_key(keys: Keys) -> None:
    key_id = keys.json("create", "--name", "ci")["id"]
    keys("create", "--name", "ann")
    for arguments in (["create", "--name", "ci"], ["update", "ann", "--name", "ci"]):
        told = keys(*arguments, code=ExitCode.USAGE)
        assert "--name ci is taken" in told
        assert key_id in told
    keys("update", "ann", "--name", "ann", "--owner", "ann")
    keys("delete", "ci", "--yes")
    assert keys.json("create", "--name", "ci")["name"] == "ci"


def test_a_key_that_would_be_over_is_not_made(keys: Keys) -> None:
    told = keys("create", "--name", "old", "--expires", "2020-01-01", code=ExitCode.USAGE)
    assert "--expires is 2020-01-01T00:00:00Z" in told
    assert not keys.data.exists()
    assert "--expires" in keys("create", "--name", "old", "--expires", "0d", code=ExitCode.USAGE)


def test_a_key_whose_time_is_over_shows_as_expired(keys: Keys) -> None:
    key_id = keys.json("create", "--name", "ci", "--expires", "1h")["id"]
    keys("create", "--name", "open", "--expires", "1h")
    keys("update", "ci", "--expires", "2020-01-01")
    by_name = {row[1]: row for line in keys("list").splitlines() if (row := line.split("\t"))}
    assert (by_name["ci"][2], by_name["open"][2]) == ("expired", "enabled")
    assert re.search(r"^Status +expired$", keys("show", key_id), re.MULTILINE)
    keys("disable", "ci")
    assert re.search(r"^Status +disabled$", keys("show", key_id), re.MULTILINE)


def test_on_a_terminal_money_is_rounded_to_cents(
    keys: Keys, on_terminal: Callable[..., str]
) -> None:
    keys("create", "--name", "ci", "--quota-usd", "1234.567890")
    keys("create", "--name", "small", "--quota", "1")
    shown = on_terminal("keys", "list", "--data", str(keys.data), columns=100)
    assert re.search(r"^ *ci .* \$0\.00 +\$1,234\.57 +never", shown, re.MULTILINE)
    assert re.search(r"^ *small .* \$0\.00 +<\$0\.01 +never", shown, re.MULTILINE)


def test_a_wrong_grace_is_refused(keys: Keys) -> None:
    keys("create", "--name", "ci")
    for grace in ("367d", "1", "long"):
        assert "--grace must be a span" in keys("rotate", "ci", "--grace", grace, code=2)


@pytest.mark.parametrize("action", ["list", "show x", "update x", "disable x", "rotate x"])
def test_a_place_without_a_gateway_is_told_and_stays_as_it_is(keys: Keys, action: str) -> None:
    told = keys(*action.split(), code=ExitCode.CONFIGURATION)
    assert str(keys.data) in told
    assert not keys.data.exists()


def test_the_place_can_come_from_a_configuration_file(
    tmp_path: Path, keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    keys("create", "--name", "ci")
    config = tmp_path / "apertis.toml"
    config.write_text(f'[store]\ndata = "{keys.data.as_posix()}"\n', "utf-8")
    assert run(["keys", "list", "--json", "--config", str(config)]) == 0
    assert [key["name"] for key in json.loads(capsys.readouterr().out)] == ["ci"]


@pytest.mark.parametrize(
    "command", ["create", "list", "show", "update", "rotate", "disable", "enable", "delete"]
)
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(apertis, ["keys", command, "--help"])
    assert result.exit_code == 0
    assert "--data" in result.output
    assert "--json" in result.output


def test_keys_can_be_changed_beside_a_running_gateway(
    keys: Keys, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    async def change() -> list[str]:
        async with await Store.open(keys.data, exclusive=True) as store:
            before = await store.keys.current_version()
            done = await asyncio.to_thread(
                command, "keys", "create", "--name", "late", "--data", str(keys.data)
            )
            assert done.returncode == 0, done.stderr
            return [record.name for record in await store.keys.changes_since(before)]

    assert asyncio.run(change()) == ["late"]


@pytest.mark.parametrize(
    ("arguments", "listed"),
    [
        (("update", "ci", "--owner", "ann"), 1),
        (("update", "ci", "--name", "cd"), 2),
        (("rotate", "ci"), 1),
        (("disable", "ci"), 1),
        (("delete", "ci", "--yes"), 1),
    ],
)
def test_a_command_opens_the_store_once_and_lists_keys_no_more_than_it_must(
    keys: Keys, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], listed: int
) -> None:
    keys("create", "--name", "ci")
    keys("create", "--name", "boss", "--admin")
    calls: list[str] = []
    opened, listing = Store.open, StoredKeys.list

    async def counted_open(*of: Any, **options: Any) -> Store:
        calls.append("open")
        return await opened(*of, **options)

    async def counted_list(of: StoredKeys) -> tuple[KeyRecord, ...]:
        calls.append("list")
        return await listing(of)

    monkeypatch.setattr(Store, "open", counted_open)
    monkeypatch.setattr(StoredKeys, "list", counted_list)
    keys(*arguments)
    assert (calls.count("open"), calls.count("list")) == (1, listed)


def test_the_store_of_a_configuration_is_opened_without_the_upstreams_credentials(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "apertis.toml"
    file.write_text(
        'store.data = "state"\n[[upstreams]]\nname = "a"\napi_key_env = "NOT_SET_HERE"\n'
    )
    assert run(["keys", "create", "--name", "ci", "--config", str(file)]) == 0
    assert SECRET.fullmatch(capsys.readouterr().out.strip())
    assert (tmp_path / "state" / "apertis.sqlite3").exists()
