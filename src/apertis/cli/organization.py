"""Groups, people and limits as commands find them: by their ids or names, and all pages of them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click
import msgspec

from apertis.cli.terminal import printable
from apertis.errors import ApertisError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from apertis.cli.administration import Administration
    from apertis.gateway.admin.limits import LimitView
    from apertis.gateway.admin.people import GroupView, PersonView

_PAGE = 1000
_F = TypeVar("_F", bound="Callable[..., object]")


class _Named(Protocol):
    """A group or a person, as they are shown."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def status(self) -> str: ...


_Found = TypeVar("_Found", bound=_Named)


def all_groups(
    administration: Administration, query: Mapping[str, object] | None = None
) -> list[GroupView]:
    """Read all groups, in the order in which they were made."""
    from apertis.gateway.admin.people import GroupPage
    from apertis.gateway.admin.resources import GROUPS

    return _all(administration, GROUPS, GroupPage, query)


def all_people(
    administration: Administration, query: Mapping[str, object] | None = None
) -> list[PersonView]:
    """Read all people, in the order in which they were made."""
    from apertis.gateway.admin.people import PersonPage
    from apertis.gateway.admin.resources import PEOPLE

    return _all(administration, PEOPLE, PersonPage, query)


def all_limits(
    administration: Administration, query: Mapping[str, object] | None = None
) -> list[LimitView]:
    """Read all limits, in the order in which they were made."""
    from apertis.gateway.admin.limits import LimitPage
    from apertis.gateway.admin.resources import LIMITS

    return _all(administration, LIMITS, LimitPage, query)


def _all(
    administration: Administration, path: str, page: Any, query: Mapping[str, object] | None
) -> list[Any]:
    found: list[Any] = []
    asked: dict[str, object] = {"limit": _PAGE, **(query or {})}
    while True:
        part = administration.ask("GET", path, page, query=asked)
        found += part.data
        if not (part.has_more and part.last_id):
            return found
        asked["after_id"] = part.last_id


def find_group(administration: Administration, named: str) -> GroupView:
    """Find a group by its id or its name."""
    return _find(all_groups(administration, {"status": "all"}), named, "group")


def find_person(administration: Administration, named: str) -> PersonView:
    """Find a person by id or name."""
    return _find(all_people(administration, {"status": "all"}), named, "person")


def _find(records: Sequence[_Found], named: str, what: str) -> _Found:
    by_name = {record.name: record for record in records if record.status != "removed"}
    found = by_name.get(named) or next((record for record in records if record.id == named), None)
    if found is None:
        close = difflib.get_close_matches(named[:100], by_name, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ApertisError(f"There is no {what} '{named[:100]}'{hint}")
    return found


def called(record: _Named) -> str:
    """Name a group or a person to people."""
    return f"{printable(record.name)} ({printable(record.id)})"


def rate_options(command: _F) -> _F:
    """Add the limits of requests and tokens that groups and people can have."""
    for option in reversed(
        (
            click.option(
                "--rate", "requests_limit", metavar="RATE", help="Requests: 3000/1m; or 'none'."
            ),
            click.option("--tokens-per-minute", metavar="N", help="Tokens per minute; or 'none'."),
            click.option("--in-flight", metavar="N", help="Concurrent requests; or 'none'."),
        )
    ):
        command = option(command)
    return command


RATE_OPTIONS = {
    "requests_limit": "--rate",
    "tokens_per_minute": "--tokens-per-minute",
    "in_flight": "--in-flight",
}
_NUMBERS = frozenset(("tokens_per_minute", "in_flight"))
_T = TypeVar("_T", bound=msgspec.Struct)


def fields_of(type: type[_T], given: Mapping[str, object], options: Mapping[str, str]) -> _T:
    """Make the fields of a request of the options that were given.

    The word "none" takes away what an option sets. `ParameterError` names the wrong option.
    """
    values: dict[str, object] = {}
    for name, value in given.items():
        if value is None or value == ():
            continue
        if isinstance(value, str):
            text = value.strip()
            if name != "name" and text in ("", "none"):
                values[name] = None
                continue
            if name in _NUMBERS:
                number = text.replace("_", "").replace(",", "")
                if not (number.isascii() and number.isdecimal()):
                    message = f"{options[name]} takes a whole number or 'none', not {value!r}"
                    raise ParameterError(message, param=name)
                values[name] = int(number)
                continue
            values[name] = text
        else:
            values[name] = value
    return converted(values, type, options)


def converted(values: Mapping[str, object], type: type[_T], options: Mapping[str, str]) -> _T:
    """Make fields of their values; `ParameterError` names the option of the one that is wrong."""
    try:
        return msgspec.convert(values, type)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        name = place.strip("`").partition("[")[0]
        message = f"{options.get(name, 'a field')}: {what[:1].lower()}{what[1:]}"
        raise ParameterError(message.replace("`", ""), param=name) from None
