"""The values that a page of the console is given, and those that it gives back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from apertis.gateway.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apertis.accounting.prices import Price
    from apertis.gateway.admin.key_search import KeySearch
    from apertis.gateway.admin.keys import KeyAdministration
    from apertis.gateway.admin.people_search import PeopleSearch
    from apertis.gateway.admin.resources import Resources
    from apertis.gateway.budgets.budgets import Budgets
    from apertis.gateway.config import Settings
    from apertis.gateway.keys.directory import Directory
    from apertis.gateway.people.organization import Organization
    from apertis.gateway.routing.router import UpstreamState
    from apertis.gateway.signin.console_sessions import ConsoleSessions
    from apertis.gateway.signin.device_flow import DeviceFlow
    from apertis.gateway.signin.roles import PageName, Viewer
    from apertis.gateway.store.database import Store
    from apertis.gateway.upstreams.contract import Upstream


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the gateway that pages show and change. `now` gives Unix seconds.

    What a reload of the configuration replaces is asked for each time.
    """

    store: Store
    directory: Directory
    budgets: Budgets
    keys: KeyAdministration
    key_search: KeySearch
    people_search: PeopleSearch
    resources: Resources
    sessions: ConsoleSessions
    sign_ins: DeviceFlow
    settings: Callable[[], Settings]
    upstreams: Callable[[], Mapping[str, Upstream]]
    upstream_states: Callable[[], Sequence[UpstreamState]]
    upstream_headers: Callable[[], Mapping[str, Sequence[tuple[bytes, bytes]]]]
    """Of each upstream the headers of its last response."""
    price: Callable[[str], Price | None]
    newer: Callable[[], Awaitable[None]]
    """Returns when this gateway acts on what was changed before."""
    now: Callable[[], float]
    kept: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """Kept by a page for its next viewers, by its name; gone with the process."""

    @property
    def organization(self) -> Organization:
        """People, groups and limits as this gateway knows them."""
        return self.budgets.organization


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for a page. Of `query` and `form` the last value of each name counts."""

    viewer: Viewer
    zone: str
    """The viewer's time zone."""
    base_url: str
    """The URL at which this gateway is reached; never read from the request's `Host`."""
    address: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    form: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    values: Mapping[str, Sequence[str]] = field(
        default_factory=dict[str, "Sequence[str]"], repr=False
    )
    """All values of each name in the form."""

    def given(self, *names: str) -> dict[str, str]:
        """Return what the query has for these names, without what is empty."""
        return {name: text for name in names if (text := self.query.get(name, "").strip())}


@dataclass(frozen=True, slots=True)
class Page:
    """A page to render: its template, within the frame of the console."""

    template: str
    title: str
    context: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    status: int = 200
    error: str = ""
    """The reason that it was not done; shown above the page."""
    scripts: tuple[str, ...] = ()
    """Its own files of `static/`, besides those of all pages."""

    def refused(self, refusal: Refusal | None) -> Page:
        """Return the page with the reason that something was not done, if there is one."""
        if refusal is None:
            return self
        # What the API calls null is an empty field.
        words = refusal.message.replace(", or null", ", or nothing")
        return replace(self, status=refusal.status, error=words)


@dataclass(frozen=True, slots=True)
class Done:
    """Something was changed: go on at a path of the console, and say what was done there."""

    to: str
    notice: str = ""


@dataclass(frozen=True, slots=True)
class Download:
    """A file to save."""

    body: bytes = field(repr=False)
    media_type: str
    filename: str


def link(path: str, query: Mapping[str, object]) -> str:
    """Return the URL of a page with a query."""
    return f"{path}?{urlencode(query, errors='replace')}" if query else path


Response = Page | Done | Download | Refusal
Work = Callable[[Parts, Asked], Awaitable[Response]]


class Place(NamedTuple):
    """A path below `/console`, and what is done there.

    Who may see `page` may GET it; `change` answers POST, and decides by `signin.roles` itself.
    `shared`: one rendering serves all viewers with the same scope, query and zone for five seconds,
    so nothing in it may be the viewer's own.
    """

    path: str
    page: PageName
    see: Work | None = None
    change: Work | None = None
    shared: bool = False
