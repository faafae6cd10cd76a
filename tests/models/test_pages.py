"""Pages of a list: the part that a limit and an id ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.models.pages import span

LISTS = st.lists(st.text(max_size=3), unique=True, max_size=12)


@given(LISTS, st.integers(1, 5))
def test_pages_forward_give_the_whole_list_once(ids: list[str], limit: int) -> None:
    found: list[str] = []
    more = True
    while more:
        start, end, more = span(ids, limit, found[-1] if found else None)
        found += ids[start:end]
    assert found == ids


@given(LISTS.filter(bool), st.integers(1, 5))
def test_pages_backward_give_what_stands_before(ids: list[str], limit: int) -> None:
    found: list[str] = [ids[-1]]
    more = True
    while more:
        start, end, more = span(ids, limit, before_id=found[0])
        assert end - start <= limit
        found[:0] = ids[start:end]
    assert found == ids


@pytest.mark.parametrize("cursor", [{"after_id": "c"}, {"before_id": "c"}])
def test_an_id_that_is_not_in_the_list_is_an_error(cursor: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="c"):
        span(["a", "b"], 1, **cursor)
