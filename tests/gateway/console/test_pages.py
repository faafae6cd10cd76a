"""Links between pages, what a query has, and pages that say why something was not done."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.console.pages import Asked, Page, link
from apertis.gateway.errors import not_found
from apertis.gateway.signin.roles import Viewer


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=1)))
def test_a_link_has_all_of_its_query(query: dict[str, str]) -> None:
    # A half of a character, as a query may bring it, is written as a question mark.
    kept = {
        name.encode(errors="replace").decode(): text.encode(errors="replace").decode()
        for name, text in query.items()
    }
    parts = urlsplit(link("/console/keys", query))
    assert parts.path == "/console/keys"
    assert dict(parse_qsl(parts.query, strict_parsing=bool(query))) == kept


def test_what_is_empty_is_not_given() -> None:
    query = {"kind": " budget ", "level": "", "failed": "  ", "page": "2"}
    asked = Asked(
        viewer=Viewer(session="", role="viewer"),
        zone="UTC",
        base_url="",
        address="",
        path="/console/alerts",
        query=query,
    )
    assert asked.given("kind", "level", "failed", "other") == {"kind": "budget"}


def test_a_page_says_why_something_was_not_done() -> None:
    page = Page("keys.html", "Keys", {"total": 1})
    assert page.refused(None) is page
    refused = page.refused(not_found("There is no key 'x'"))
    assert (refused.status, refused.error) == (404, "There is no key 'x'")
    assert (refused.template, refused.context) == (page.template, page.context)
