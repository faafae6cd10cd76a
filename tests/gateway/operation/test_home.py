"""What somebody sees who opens the gateway's address in a browser, or asks it with curl."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from apertis.version import __version__
from tests.kit.gateways import running_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kit.gateways import RunningGateway
    from tests.kit.http import Client, Response

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture(scope="module")
def without_console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway"), "[console]\nenabled = false\n") as own:
        yield own


def home(client: Client, accept: str, method: str = "GET") -> Response:
    return client.call(method, "/", headers={"accept": accept})


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (BROWSER, "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("*/*", "text/plain; charset=utf-8"),
    ],
)
def test_it_says_what_it_is_in_the_form_that_is_asked_for(
    without_console: RunningGateway, accept: str, kind: str
) -> None:
    client = without_console.client
    answer = home(client, accept)
    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    for said in (__version__, "/v1/messages", "/openapi.json", "/readyz"):
        assert said in answer.body.decode()
    assert without_console.admin_key not in answer.body.decode()
    assert str(without_console.data) not in answer.body.decode()
    head = home(client, accept, "HEAD")
    assert (head.status, head.body, head.headers["content-type"]) == (200, b"", kind)
    assert head.headers["content-length"] == answer.headers["content-length"]


def test_its_page_needs_nothing_and_may_do_nothing(without_console: RunningGateway) -> None:
    answer = home(without_console.client, BROWSER)
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["vary"] == "accept"
    tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            assert not {"src", "href", "style", "onload"} & {name for name, _ in attrs}

    Reader().feed(answer.body.decode())
    assert {"html", "title", "h1"} <= set(tags)
    assert not {"script", "style", "link", "img"} & set(tags)


def test_a_program_reads_its_name_and_version(sandbox_gateway: RunningGateway) -> None:
    said = json.loads(home(sandbox_gateway.client, "application/json").body)
    assert (said["name"], said["version"]) == ("apertis", __version__)


def test_a_browser_is_led_to_the_console_and_programs_are_not(
    sandbox_gateway: RunningGateway,
) -> None:
    client = sandbox_gateway.client
    answer = home(client, BROWSER)
    assert (answer.status, answer.headers["location"]) == (303, "/console/")
    assert home(client, "*/*").status == 200
    # Older versions of Claude Code ask by HEAD whether anybody is there.
    assert home(client, BROWSER, "HEAD").status == 200
