"""Pictures of the console in the documentation."""

from __future__ import annotations

import struct
from pathlib import Path

from tests.kit.crawling import LISTED

DOCS = Path(__file__).resolve().parents[2] / "docs" / "gateway"
PICTURES = DOCS / "pictures"
ALSO_DARK = ("overview", "budgets")
MAX_BYTES = 2 * 2**20
WIDTH = 1280


def test_every_page_of_the_console_has_a_picture_that_its_guide_shows() -> None:
    named = [*LISTED, "sign-in", *(f"{name}-dark" for name in ALSO_DARK)]
    assert {path.name for path in PICTURES.iterdir()} == {f"{name}.png" for name in named}
    guide = (DOCS / "console.md").read_text("utf-8")
    assert [name for name in named if f"](pictures/{name}.png)" not in guide] == []


def test_pictures_are_small_and_as_wide_as_a_page() -> None:
    pictures = {path.stem: path.read_bytes() for path in PICTURES.glob("*.png")}
    assert sum(map(len, pictures.values())) < MAX_BYTES
    for name, picture in pictures.items():
        assert picture.startswith(b"\x89PNG"), name
        width, height = struct.unpack(">II", picture[16:24])
        assert width == (WIDTH if name != "sign-in" else WIDTH // 2), name
        assert 300 < height <= 1100, name
