"""From one page to the next."""

from __future__ import annotations

from typing import Any

import pytest

from apertis.endpoints.paging import following
from apertis.models import ModelInfo, Page


def page(*ids: str, more: bool = True, told: bool = True) -> Page[ModelInfo]:
    return Page(
        data=[ModelInfo(id=name) for name in ids],
        has_more=more,
        first_id=ids[0] if told and ids else None,
        last_id=ids[-1] if told and ids else None,
    )


@pytest.mark.parametrize(
    ("params", "found", "expected"),
    [
        pytest.param({}, page("a", "b"), {"after_id": "b"}, id="forward"),
        pytest.param({"limit": 2}, page("a", "b"), {"limit": 2, "after_id": "b"}, id="kept"),
        pytest.param({"after_id": "x"}, page("y"), {"after_id": "y"}, id="on"),
        pytest.param({"before_id": "x"}, page("a", "b"), {"before_id": "a"}, id="backward"),
        pytest.param({"before_id": None}, page("a", "b"), {"after_id": "b"}, id="none is forward"),
        pytest.param({}, page("a", more=False), None, id="the last"),
        pytest.param({}, page(), None, id="empty"),
        pytest.param({}, page("a", told=False), None, id="no cursor"),
        pytest.param({"after_id": "b"}, page("a", "b"), None, id="the same page again"),
        pytest.param({"before_id": "a"}, page("a", "b"), None, id="the same page backward"),
    ],
)
def test_the_next_page_follows_from_this_one(
    params: dict[str, Any], found: Page[ModelInfo], expected: dict[str, Any] | None
) -> None:
    before = dict(params)
    assert following(params, found) == expected
    assert params == before
