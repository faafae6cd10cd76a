"""Templates, the forms of numbers and times in them, and renderings that serve many viewers."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from datetime import datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from apertis.gateway.budgets.periods import time_zone
from apertis.gateway.store.histogram import BOUNDS_MS
from apertis.gateway.units import UNITS_PER_DOLLAR, usd
from apertis.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

    from apertis.gateway.console.pages import Asked, Page

# Where a form has the viewer's token: a rendering that is shared has none of its own. Nobody can
# know it, so no name that a caller chose can have it.
FORM_TOKEN: Final = f"form-token-{secrets.token_hex(16)}"
_SHARED_SECONDS = 5.0
_MAX_RENDERINGS = 500
_CENTS = UNITS_PER_DOLLAR // 100
_THOUSAND = 1000


class Static:
    """The files that pages load, by name; each URL has a hash of its content."""

    _TYPES: Final = {
        "js": "text/javascript; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "svg": "image/svg+xml",
    }

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, str]] = {}

    def find(self, name: str) -> tuple[bytes, str] | None:
        """Return the content and media type of a file."""
        known = self._files.get(name)
        if known is None:
            folder, _, file = name.rpartition("/")
            kind = self._TYPES.get(file.rpartition(".")[2])
            if kind is None or folder not in ("", "vendor") or file.startswith("."):
                return None
            place = files("apertis.gateway.console").joinpath("static", *name.split("/"))
            if not place.is_file():
                return None
            known = self._files[name] = place.read_bytes(), kind
        return known

    def url(self, name: str) -> str:
        """Return the URL of a file, which changes with its content."""
        found = self.find(name)
        if found is None:
            raise LookupError(f"there is no static file {name!r}")
        return f"/console/static/{name}?v={hashlib.sha256(found[0]).hexdigest()[:12]}"


def environment(static: Static) -> Environment:
    """Make the templates' environment. All that is written into a page is escaped."""
    made = Environment(
        loader=PackageLoader("apertis.gateway.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Jinja's own type of it has the functions alone that it begins with.
    known: Any = made.globals
    known |= {
        "static": static.url,
        "version": __version__,
        "form_token": Markup('<input type="hidden" name="form_token" value="%s">') % FORM_TOKEN,
    }
    made.filters |= {
        "money": money,
        "exact_money": exact_money,
        "count": count,
        "percent": percent,
        "milliseconds": milliseconds,
        "percentile": percentile,
        "urldecode": unquote,
    }
    return made


def money(units: int) -> str:
    """Write units as people read dollars: `$1,234.50`, `$0.0042`; exact sums are in the title."""
    sign, units = ("-" if units < 0 else ""), abs(units)
    if units == 0:
        return "$0"
    if units < _CENTS:
        return f"{sign}${usd(units)}"
    return f"{sign}${units / UNITS_PER_DOLLAR:,.2f}"


def count(number: int) -> str:
    """Write a number: `12,345`, `1.23 M`."""
    if abs(number) < _THOUSAND**2:
        return f"{number:,}"
    for name, size in (("T", _THOUSAND**4), ("G", _THOUSAND**3), ("M", _THOUSAND**2)):
        if abs(number) >= size:
            return f"{number / size:,.2f} {name}"
    return f"{number:,}"


def percent(share: float | None) -> str:
    """Write a share of one: `12.3 %`; an en dash where there is none."""
    return "\N{EN DASH}" if share is None else f"{share * 100:.1f} %"


def milliseconds(value: float | None) -> str:
    """Write milliseconds: `350 ms`, `1.2 s`; an en dash where there are none."""
    if value is None:
        return "\N{EN DASH}"
    return f"{value:,.0f} ms" if value < _THOUSAND else f"{value / _THOUSAND:,.1f} s"


def exact_money(units: int) -> str:
    """Write units as dollars with all of their digits: `$1234.500001`."""
    return f"{'-' if units < 0 else ''}${usd(abs(units))}"


def percentile(value: int | None) -> str:
    """Write milliseconds that are read from a histogram, which has bounds on both sides."""
    if value == BOUNDS_MS[0]:
        return f"< {milliseconds(value)}"
    if value == BOUNDS_MS[-1]:
        return f"> {milliseconds(value)}"
    return milliseconds(value)


def moment(zone: str) -> Callable[[float | None], str]:
    """Return what writes Unix seconds in a time zone: `2026-12-31 18:00:05`."""
    place = time_zone(zone)

    def write(seconds: float | None) -> str:
        if seconds is None:
            return "\N{EN DASH}"
        return datetime.fromtimestamp(seconds, place).strftime("%Y-%m-%d %H:%M:%S")

    return write


class Renderings:
    """Renderings by what they depend on, each for five seconds; whoever comes meanwhile waits."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[Hashable, tuple[float, asyncio.Future[Any]]] = {}

    async def get(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Return what was rendered lately, or render it."""
        now = self._clock()
        known = self._known.get(key)
        if known is None or now >= known[0]:
            if len(self._known) >= _MAX_RENDERINGS:
                self._known.clear()
            task = asyncio.get_running_loop().create_task(make())
            known = self._known[key] = now + _SHARED_SECONDS, task
            task.add_done_callback(lambda done: self._drop_failed(key, done))
        # Whoever leaves does not take it from those who wait.
        return await asyncio.shield(known[1])

    def __len__(self) -> int:
        return len(self._known)

    def clear(self) -> None:
        """Forget all, since something was changed."""
        self._known.clear()

    def _drop_failed(self, key: Hashable, done: asyncio.Future[Any]) -> None:
        known = self._known.get(key)
        if (done.cancelled() or done.exception() is not None) and known and known[1] is done:
            del self._known[key]


def render(templates: Environment, page: Page, asked: Asked) -> str:
    """Render a page without its frame."""
    return templates.get_template(page.template).render(
        {
            **page.context,
            "asked": asked,
            "viewer": asked.viewer,
            "zone": asked.zone,
            "moment": moment(asked.zone),
            "error": page.error,
        }
    )
