"""Settings in the console: as they are, with where each came from, and without a secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.kit.consoles import sign_in, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.consoles import Office
    from tests.kit.gateways import RunningGateway
    from tests.kit.http import Response

CONFIG = """
[limits]
per_key = "600/1m"

[valkey]
url = "valkey://user:hidden-of-valkey@127.0.0.1:9/0"

[[alerts.targets]]
name = "ops"
url_env = "HOOK"

[[upstreams]]
name = "sandbox"
kind = "sandbox"
models = ["claude-sonnet-4-5", "<script>alert(1)</script>"]

[[upstreams]]
name = "other"
base_url = "http://127.0.0.1:9"
api_key_env = "OTHER_KEY"
priority = 3

[prices."claude-sonnet-4-5"]
input = 3
output = 15
"""
SECRETS = {
    "OTHER_KEY": "sk-ant-hidden-of-other",
    "HOOK": "slack://T1/A1/hidden-of-hook",
    "APERTIS_MONEY_REFUSAL": "402",
}


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    return open_office(CONFIG, **SECRETS)


@pytest.mark.parametrize(
    ("role", "status"),
    [("administrator", 200), ("viewer", 200), ("group_administrator", 403), ("member", 403)],
)
def test_they_are_shown_to_whoever_sees_the_whole_gateway(
    office: Office, role: str, status: int
) -> None:
    assert office.visitors[role].see("/settings").status == status
    assert office.visitors[role].send("/settings").status in (403, 405)


def row(page: Response, table: str, name: str) -> str:
    """The words of a setting's row in the first table of this title."""
    text = page.body.decode()
    part = text[text.index(f"<h2>{table} ") :]
    found = re.search(rf'<tr[^>]*><th scope="row">{name}\b.*?</tr>', part, re.DOTALL)
    assert found is not None
    return " ".join(re.sub(r"<[^>]*>", " ", found[0]).replace("&#34;", '"').split())


def test_each_setting_says_where_it_came_from(office: Office) -> None:
    page = office.administrator.see("/settings")
    assert row(page, "[limits]", "per_key") == 'per_key "600/1m" apertis.toml:3'
    assert row(page, "[limits]", "per_address") == 'per_address "1500/3m" default'
    assert row(page, "[money]", "refusal") == 'refusal "402" APERTIS_MONEY_REFUSAL'
    assert row(page, "[server]", "port") == "port restart 0 --port"
    assert row(page, "[store]", "audit_days").endswith("default")
    assert row(page, "[[upstreams]]", "name") == 'name "sandbox" apertis.toml:12'
    assert row(page, "[prices.claude-sonnet-4-5]", "input") == 'input "3" apertis.toml:23'
    words = words_of(page)
    assert f"Read from {office.gateway.data.parent / 'apertis.toml'}" in words
    assert "docs/configuration.md#limits" in words


def test_what_is_at_its_default_can_be_left_out(office: Office) -> None:
    page = office.administrator.see("/settings?only=given")
    assert row(page, "[limits]", "per_key").endswith("apertis.toml:3")
    assert "per_address" not in words_of(page)
    assert "[routing]" not in words_of(page)


def test_no_secret_is_shown(office: Office) -> None:
    text = office.administrator.see("/settings").body.decode()
    assert "hidden-of" not in text
    assert "OTHER_KEY" in text
    assert "HOOK" in text
    assert "valkey://user:***@127.0.0.1:9/0" in text
    assert office.gateway.admin_key not in text


def test_names_in_the_file_are_text(office: Office) -> None:
    page = office.administrator.see("/settings")
    assert "<script>alert" not in page.body.decode()
    assert "<script>alert(1)</script>" in words_of(page)


def test_settings_that_were_read_again_are_shown(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    running = start_gateway("[limits]\nper_key = '10/1m'\n")
    visitor = sign_in(running.client.port, running.admin_key)
    assert row(visitor.see("/settings"), "[limits]", "per_key").endswith('"10/1m" apertis.toml:2')
    file = running.data.parent / "apertis.toml"
    file.write_text("# One more line.\n[limits]\nper_key = '20/1m'\n")
    running.gateway.reload()
    page = visitor.see("/settings?only=given")
    assert row(page, "[limits]", "per_key") == 'per_key "20/1m" apertis.toml:3'
