from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.config import read_settings
from apertis.gateway.config.kinds import MONEY, MONEY_STEP
from apertis.gateway.config.origin import SettingsError
from apertis.gateway.config.read import read

if TYPE_CHECKING:
    from tests.kit.configuration import Problems, Read


def value_of(read_file: Read, setting: str, written: str) -> Any:
    section, _, field = setting.partition(".")
    reading = read_file(f"[{section}]\n{field} = {written}\n")
    return getattr(getattr(reading, section), field)


@pytest.mark.parametrize(
    ("setting", "written", "value"),
    [
        ("server.host", '"::"', "::"),
        ("server.port", "0", 0),
        ("server.max_body_bytes", "1000", 1000),
        ("server.max_body_bytes", '"32MB"', 32_000_000),
        ("server.max_body_bytes", '"32 MiB"', 32 * 2**20),
        ("server.max_body_bytes", '"1.5k"', 1500),
        ("server.max_body_bytes", '"2gib"', 2**31),
        ("cache.max_bytes", "0", 0),
        ("server.stop_seconds", "0", 0.0),
        ("server.stop_seconds", "2.5", 2.5),
        ("server.stop_seconds", '"90s"', 90.0),
        ("server.stop_seconds", '"1.5h"', 5400.0),
        ("server.stop_seconds", '"250ms"', 0.25),
        ("server.trusted_proxies", '["10.0.0.1", "fd00::/8"]', ("10.0.0.1", "fd00::/8")),
        ("limits.per_key", "0", None),
        ("limits.per_key", '"0"', None),
        ("sandbox.tokens_per_second", "40", 40.0),
        ("routing.affinity", "false", False),
        ("money.unpriced", '"free"', "free"),
        ("money.billing_policy", '"free"', "free"),
        ("store.url", '"postgres://db/x"', "postgresql://db/x"),
    ],
)
def test_a_setting_is_read_in_each_of_its_forms(
    read_file: Read, setting: str, written: str, value: object
) -> None:
    found = value_of(read_file, setting, written)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("setting", "written"),
    [
        ("server.host", '""'),
        ("server.host", '" x"'),
        ("server.host", "1"),
        ("server.port", '"80"'),
        ("server.port", "65536"),
        ("server.port", "-1"),
        ("server.port", "80.0"),
        ("server.port", "true"),
        ("server.max_body_bytes", "0"),
        ("server.max_body_bytes", '"32XB"'),
        ("server.max_body_bytes", '"-1MB"'),
        ("server.max_body_bytes", "1.5"),
        ("server.body_timeout_seconds", "0"),
        ("server.body_timeout_seconds", "inf"),
        ("server.body_timeout_seconds", "nan"),
        ("server.body_timeout_seconds", '"1 week"'),
        ("server.body_timeout_seconds", "false"),
        ("server.anthropic_version", '"latest"'),
        ("server.trusted_proxies", '"10.0.0.1"'),
        ("server.trusted_proxies", '["10.0.0.1/8"]'),
        ("server.trusted_proxies", '["proxy.example.com"]'),
        ("server.trusted_proxies", "[1]"),
        ("limits.per_key", "5"),
        ("limits.per_key", "false"),
        ("limits.per_key", '"5/0m"'),
        ("limits.in_flight", "-1"),
        ("routing.affinity", '"yes"'),
        ("routing.fallback_timeout_ms", "4999"),
        ("routing.fallback_timeout_ms", "300001"),
        ("money.unpriced", '"ignore"'),
        ("money.billing_policy", '"theirs"'),
        ("store.data", '""'),
        ("store.url", '"sqlite:///x.db"'),
        ("store.url", '"postgresql://"'),
        ("sandbox.tokens_per_second", "-1"),
    ],
)
def test_what_a_setting_cannot_take_is_named_with_what_it_expects(
    problems_of: Problems, setting: str, written: str
) -> None:
    section, _, field = setting.partition(".")
    (problem,) = problems_of(f"[{section}]\n{field} = {written}\n")
    assert problem.startswith(f"apertis.toml:2: {setting} must be ")


def test_messages_say_the_value_and_what_is_expected(problems_of: Problems) -> None:
    text = (
        "[server]\nport = 'http'\ntrusted_proxies = [\n  '::1',\n  '10.1.2.3/8',\n]\n"
        "[limits]\nper_address = 'fast'\n"
    )
    assert problems_of(text) == [
        "apertis.toml:2: server.port must be a port from 0 to 65535, not 'http'",
        (
            "apertis.toml:3: server.trusted_proxies must be a list of addresses and networks: "
            "'10.1.2.3/8' names an address inside its network; the network is 10.0.0.0/8"
        ),
        (
            'apertis.toml:8: limits.per_address must be a rate such as "1500/3m" '
            "(units s, m, h, d), or \"0\" for no limit, not 'fast'"
        ),
    ]


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ann:hid%40den@db/x",
        "mysql://ann:hidden@db/x?a=1",
        "mysql://db/x?user=ann&password=hidden",
    ],
)
def test_a_database_password_is_not_shown(url: str) -> None:
    with pytest.raises(SettingsError) as failure:
        read({"APERTIS_STORE_URL": url})
    assert "mysql://" in str(failure.value)
    assert "hid" not in str(failure.value)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(SettingsError) as failure:
        read({"APERTIS_PORT": "x" * 5000})
    assert len(str(failure.value)) < 200


@given(st.decimals(0, 10**6, places=6).map(lambda amount: amount - amount % MONEY_STEP))
@settings(max_examples=200)
def test_money_is_exact(amount: Decimal) -> None:
    assert MONEY.read(str(amount), Path()) == amount
    assert Decimal(MONEY.write(amount).strip('"')) == amount


@pytest.mark.parametrize("data", ["x.db", "x.sqlite", "x.sqlite3"])
def test_data_may_name_the_database_file(tmp_path: Path, data: str) -> None:
    store = read_settings({}, data=tmp_path / data).store
    assert (store.sqlite_file, store.directory) == (tmp_path / data, tmp_path)


def test_data_may_name_a_directory(tmp_path: Path) -> None:
    store = read_settings({}, data=tmp_path).store
    assert (store.sqlite_file, store.directory) == (tmp_path / "apertis.sqlite3", tmp_path)
