"""Import of a table in the console: looked at first, then done; secrets in one file alone."""

from __future__ import annotations

import csv
import html
import io
import re
from typing import TYPE_CHECKING

import pytest

from tests.kit.consoles import words_of
from tests.kit.http import Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.consoles import Office
    from tests.kit.http import Response

TABLE = "name;email;group;monthly_usd;key\r\nAda;ada@example.com;Research;12,50;ada-laptop\r\n"


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    return open_office()


def check(office: Office, table: str) -> Response:
    return office.administrator.send("/people/import", {"table": table, "step": "check"})


def seen_in(page: Response) -> str:
    found = re.search(r'name="seen" value="(\w+)"', page.body.decode())
    assert found is not None
    return found[1]


def people(office: Office) -> list[str]:
    return [
        one["name"] for one in office.gateway.client.call("GET", "/admin/v1/people").json["data"]
    ]


def test_a_table_is_shown_as_what_would_happen_and_then_imported_with_its_secrets(
    office: Office,
) -> None:
    page = check(office, TABLE)
    words = words_of(page)
    assert page.status == 200
    assert "What would happen: 4 changes" in words
    for line in ("create group Research", "create person Ada", "create monthly budget Ada $12.50"):
        assert line in words
    assert "create key ada-laptop" in words
    assert "Ada" not in people(office)
    sent = {"table": TABLE, "step": "import", "seen": seen_in(page)}
    done = office.administrator.send("/people/import", sent)
    assert done.status == 200
    assert done.headers["content-type"].startswith("text/csv")
    assert done.headers["cache-control"] == "no-store"
    assert "attachment" in done.headers["content-disposition"]
    ((key, _, secret),) = list(csv.reader(io.StringIO(done.body.decode())))[1:]
    assert key == "ada-laptop"
    assert Client(office.gateway.client.port, secret).call("GET", "/v1/models").status == 200
    # Once: the same again makes nothing, and tells no secret.
    again = office.administrator.send("/people/import", sent)
    assert "Nothing changes" in words_of(again)
    for path in ("/people", "/keys", "/audit", "/people/import"):
        assert secret not in office.administrator.see(path).body.decode()
    assert secret not in office.gateway.log.read_text()


def test_a_table_that_makes_no_keys_needs_no_file(office: Office) -> None:
    table = "name,key\nBen,\n"
    sent = {"table": table, "step": "import", "seen": seen_in(check(office, table))}
    done = office.administrator.send("/people/import", sent)
    assert (done.status, done.headers["location"]) == (303, "/console/people")
    assert "Ben" in people(office)


def test_a_table_that_was_changed_after_it_was_looked_at_is_looked_at_again(
    office: Office,
) -> None:
    seen = seen_in(check(office, "name\nCleo\n"))
    for mark in (seen, "", "x"):
        sent = {"table": "name\nMallory\n", "step": "import", "seen": mark}
        page = office.administrator.send("/people/import", sent)
        assert "What would happen" in words_of(page)
    assert not {"Cleo", "Mallory"} & set(people(office))


def test_all_that_is_wrong_is_told_by_line_and_the_table_stays(office: Office) -> None:
    script = "<script>alert(1)</script>"
    table = f"name,email,monthly_usd\n{script},nowhere,\nEve,,lots\nDan,dan@example.com,5\n"
    page = check(office, table)
    words = words_of(page)
    assert page.status == 400
    assert "2 'email' is 'nowhere'" in words
    assert "3 monthly_usd is 'lots'" in words
    text = page.body.decode()
    assert html.escape(table.replace('"', "&#34;")) in text
    assert script not in text
    assert 'value="import"' not in text
    sent = {"table": table, "step": "import", "seen": seen_in(page)}
    assert office.administrator.send("/people/import", sent).status == 400
    assert "Dan" not in people(office)


@pytest.mark.parametrize("table", ["", "\n", "name", "nobody knows\nx\n", "\0"])
def test_what_is_no_table_is_told(office: Office, table: str) -> None:
    assert check(office, table).status == 400


@pytest.mark.parametrize("role", ["viewer", "group_administrator", "member"])
def test_only_administrators_import(office: Office, role: str) -> None:
    visitor = office.visitors[role]
    assert visitor.see("/people/import").status == 403
    sent = {"form_token": visitor.form_token(), "table": TABLE, "step": "check"}
    assert visitor.send("/people/import", sent).status == 403
