"""Pages of the console as links lead to them."""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urljoin, urlsplit

from starlette.routing import compile_path

from apertis.gateway.console.application import PLACES
from apertis.gateway.signin.roles import PAGES

if TYPE_CHECKING:
    from apertis.gateway.console.pages import Place
    from tests.kit.gateways import RunningGateway

# Its scripts ask there, and no link leads there.
_OF_SCRIPTS = {"/chat/costs/{request_id}"}
SEEN = tuple(place for place in PLACES if place.see is not None and place.path not in _OF_SCRIPTS)
# Pages that the frame lists and that are there.
LISTED = tuple(page for page in PAGES if any(one.path == f"/{page}" for one in SEEN))
_MAX_OF_A_PLACE = 12
_TIMEOUT_SECONDS = 30
_PATTERNS = {place.path: compile_path(f"/console{place.path}")[0] for place in SEEN}


@dataclass(frozen=True)
class Found:
    """The answer to one GET."""

    path: str
    status: int
    headers: dict[str, str]
    body: str = field(repr=False)

    @property
    def is_page(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/html")


@dataclass
class Crawled:
    """What links lead to, by the path of its place."""

    places: dict[str, list[Found]] = field(default_factory=dict)
    elsewhere: list[Found] = field(default_factory=list)

    def last_of(self, place: Place) -> Found:
        """The last page of a place that a link led to; there must be one."""
        assert place.path in self.places, f"no link leads to /console{place.path}"
        return self.places[place.path][-1]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name in ("href", "hx-get"):
            if (where := given.get(name)) and tag != "link":
                self.found.append(where)


def sign_in(gateway: RunningGateway, key: str | None = None) -> str:
    """Sign in with a key, the administrator's if none is given; what the cookie header has then."""
    form = urlencode({"key": key or gateway.admin_key, "to": "/console/"})
    answer = _ask(gateway, "POST", "/console/sign-in", "", form)
    assert answer.status == 303, answer.body
    return answer.headers["set-cookie"].partition(";")[0]


def get(gateway: RunningGateway, path: str, cookie: str) -> Found:
    """Get a page."""
    return _ask(gateway, "GET", path, cookie)


def crawl(gateway: RunningGateway, cookie: str) -> Crawled:
    """Follow links from the first page, to a few pages of each place."""
    crawled = Crawled()
    waiting, known = ["/console/"], {"/console/"}
    while waiting:
        found = get(gateway, waiting.pop(0), cookie)
        place = next(
            (one for one, p in _PATTERNS.items() if p.match(urlsplit(found.path).path)), None
        )
        if place is None:
            crawled.elsewhere.append(found)
        else:
            crawled.places.setdefault(place, []).append(found)
        links = _Links()
        if found.is_page:
            links.feed(found.body)
        for link in [*links.found, found.headers.get("location", "")]:
            target = urlsplit(urljoin(found.path, link))
            path = target._replace(fragment="").geturl()
            if target.netloc or not path.startswith("/console/") or path in known:
                continue
            if "/static/" in path or _is_enough(crawled, waiting, target.path):
                continue
            known.add(path)
            waiting.append(path)
    return crawled


def _place_of(path: str) -> str | None:
    plain = urlsplit(path).path
    return next((place for place, pattern in _PATTERNS.items() if pattern.match(plain)), None)


def _is_enough(crawled: Crawled, waiting: list[str], path: str) -> bool:
    place = _place_of(path)
    if place is None:
        return False
    taken = sum(_place_of(one) == place for one in waiting)
    return taken + len(crawled.places.get(place, ())) >= _MAX_OF_A_PLACE


def _ask(
    gateway: RunningGateway, method: str, path: str, cookie: str, form: str | None = None
) -> Found:
    connection = http.client.HTTPConnection(
        "127.0.0.1", gateway.client.port, timeout=_TIMEOUT_SECONDS
    )
    headers = {"cookie": cookie, "accept": "text/html"}
    if form is not None:
        headers["content-type"] = "application/x-www-form-urlencoded"
    try:
        connection.request(method, path, form, headers)
        response = connection.getresponse()
        body = response.read().decode()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Found(path, response.status, named, body)
    finally:
        connection.close()
