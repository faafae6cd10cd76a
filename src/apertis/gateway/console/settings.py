"""Settings as they are, with where each came from; no secret is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from apertis.gateway.config.render import DEFAULT, tables
from apertis.gateway.config.settings import NEED_RESTART
from apertis.gateway.console.pages import Page, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apertis.gateway.config import Settings
    from apertis.gateway.console.pages import Asked, Parts


class Setting(NamedTuple):
    """A setting as it is shown."""

    name: str
    value: str | None
    origin: str
    is_default: bool
    needs_restart: bool


class Table(NamedTuple):
    """A table of settings: `[server]`, `[[upstreams]]`."""

    title: str
    anchor: str
    origin: str | None
    is_inner: bool
    settings: tuple[Setting, ...]
    # How many are not at their defaults.
    changed: int


async def see(parts: Parts, asked: Asked) -> Page:
    """Show them, or with `only=given` those alone that are not at their defaults."""
    settings = parts.settings()
    only_given = asked.query.get("only") == "given"
    found = list(shown(settings))
    if only_given:
        kept = (
            table._replace(settings=tuple(each for each in table.settings if not each.is_default))
            for table in found
        )
        found = [table for table in kept if table.settings]
    return Page(
        "settings.html",
        "Settings",
        {
            "file": None if settings.file is None else str(settings.file),
            "tables": found,
            "only_given": only_given,
            "data": str(settings.store.directory),
        },
    )


def shown(settings: Settings) -> Iterator[Table]:
    """Give the tables with their settings, each with where it came from."""
    whole: str | None = None
    for table in tables(settings):
        section = table.title.strip("[]").partition(".")[0]
        fixed = NEED_RESTART.get(section, ())
        whole = table.origin if not table.is_inner else whole
        found = tuple(
            Setting(
                name=each.name,
                value=each.value,
                origin=each.origin or whole or DEFAULT,
                is_default=(each.origin or whole) == DEFAULT,
                needs_restart=each.name in fixed and table.title == f"[{section}]",
            )
            for each in table.settings
        )
        yield Table(
            title=table.title,
            anchor=section,
            origin=table.origin,
            is_inner=table.is_inner,
            settings=found,
            changed=sum(not each.is_default for each in found),
        )


PLACES = (Place("/settings", "settings", see, shared=True),)
