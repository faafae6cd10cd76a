"""From one page of a list to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apertis.sansio.marks import without_absent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.models import Page


def following(params: Mapping[str, Any], page: Page[Any]) -> dict[str, Any] | None:
    """Return the parameters of the page after this one; None after the last.

    A list that was asked for with `before_id` goes on backwards. A service that does not heed the
    place it was asked for gives the same page again: that one is the last.
    """
    params = without_absent(params)
    backwards = params.get("before_id") is not None
    cursor = page.first_id if backwards else page.last_id
    if not page.has_more or not page.data or cursor is None:
        return None
    if cursor == params.get("before_id" if backwards else "after_id"):
        return None
    rest = {k: v for k, v in params.items() if k not in {"after_id", "before_id"}}
    return {**rest, "before_id" if backwards else "after_id": cursor}
