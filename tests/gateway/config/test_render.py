from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.gateway.config.read import read
from apertis.gateway.config.render import render

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.configuration import Read

TEXT = """
[server]
trusted_proxies = ["10.0.0.0/8"]
max_body_bytes = 1000001
stop_seconds = 0.25
[store]
data = "state"
[limits]
per_address = "0"
[cache]
max_bytes = "3MiB"
[sandbox]
tokens_per_second = 40
[[upstreams]]
name = "one"
api_key_env = "SECRET_OF_ONE"
models = ["m", { id = 'quo"ted', aliases = ["x"], upstream_model = "y", weight = 2 }]
[[upstreams]]
name = "two"
base_url = "http://two.example:81/v1"
api_key_file = "two.key"
auth = "bearer"
[[upstreams]]
name = "three"
kind = "sandbox"
[prices."claude.x"]
input = 0.3
output = 1.5
"""


def test_what_is_shown_is_a_file_that_gives_the_same(read_file: Read, tmp_path: Path) -> None:
    (tmp_path / "two.key").write_text("key-of-two")
    reading = read_file(TEXT, SECRET_OF_ONE="key-of-one")
    shown = render(reading)
    assert "key-of" not in shown
    other = tmp_path / "elsewhere" / "shown.toml"
    other.parent.mkdir()
    other.write_text(shown, encoding="utf-8")
    assert read({"SECRET_OF_ONE": "key-of-one"}, other) == reading


def test_the_defaults_are_shown_as_such(tmp_path: Path) -> None:
    reading = read({"APERTIS_PORT": "81"})
    lines = render(reading).splitlines()
    (tmp_path / "shown.toml").write_text("\n".join(lines))
    assert read({}, tmp_path / "shown.toml") == reading
    assert f"{'port = 81':44}  # APERTIS_PORT" in lines
    assert f"{'workers = 1':44}  # default" in lines
    assert f"{'# tls_key = (none)':44}  # default" in lines


def test_a_database_password_is_not_shown() -> None:
    shown = render(read({"APERTIS_STORE_URL": "postgresql://ann:hidden@db/x"}))
    assert 'url = "postgresql://ann:***@db/x"' in shown
    assert "hidden" not in shown
