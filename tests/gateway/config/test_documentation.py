"""The configuration reference holds what it shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from apertis.gateway.config.settings import ModelSettings, PriceSettings, UpstreamSettings, kinds_of
from apertis.gateway.config.sources import SECTIONS

if TYPE_CHECKING:
    from tests.kit.configuration import Read

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_example_can_be_read(read_file: Read, tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for name in ("gateway.pem", "gateway.key", "reserve.key"):
        (tmp_path / name).write_text("something")
    settings = read_file(example, ANTHROPIC_API_KEY="k")
    assert [upstream.name for upstream in settings.upstreams] == ["anthropic", "anthropic-reserve"]


def test_every_setting_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for table in (*SECTIONS.values(), UpstreamSettings, ModelSettings, PriceSettings):
        for name in kinds_of(table):
            assert re.search(rf"^- `{name}`: \S", page, re.MULTILINE), (table, name)
    for section, table in SECTIONS.items():
        for name in kinds_of(table):
            assert f"`APERTIS_{section}_{name}`".upper() in page.upper()
