"""Secrets in Chromium: a new key's, copied and then gone; those of an import, in a file."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.kit.browsers import signed_in
from tests.kit.http import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.kit.browsers import Browsing
    from tests.kit.gateways import RunningGateway

TABLE = "name;group;key\r\nZo\u00eb;Labor;zoe-laptop\r\n"


@pytest.fixture(scope="module")
def gateway(
    run_gateways: Callable[..., AbstractContextManager[RunningGateway]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningGateway]:
    with run_gateways(tmp_path_factory.mktemp("secrets")) as running:
        yield running


@pytest.mark.parametrize("scripts", [True, False])
def test_a_secret_is_there_once_and_loading_the_page_again_makes_no_other_key(
    browsing: Browsing, gateway: RunningGateway, scripts: bool
) -> None:
    page = signed_in(browsing.window(gateway, scripts=scripts), gateway)
    name = f"once {scripts}"
    page.goto("/console/keys/new")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Make the key").click()
    secret = page.locator("#secret").inner_text()
    assert Client(gateway.client.port, secret).call("GET", "/v1/models").status == 200
    if scripts:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.locator("[data-copy=secret]").click()
        expect(page.locator("[data-copy=secret]")).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == secret
    else:
        # The browser sends the form again, which is refused.
        browsing.expected.append("409")
    page.reload()
    assert secret not in page.content()
    page.goto(f"/console/keys?q={name}")
    assert page.locator("#found tbody tr").count() == 1


@pytest.mark.parametrize(
    "content", [TABLE.encode(), TABLE.encode("utf-8-sig"), TABLE.encode("utf-16")]
)
def test_a_file_is_looked_at_imported_and_answered_with_the_secrets(
    browsing: Browsing, gateway: RunningGateway, tmp_path: Path, content: bytes
) -> None:
    for kind in ("people", "keys"):
        # Left by the test before: each file makes them anew.
        for one in gateway.client.call("GET", f"/admin/v1/{kind}").json["data"]:
            if one["name"] in ("Zo\u00eb", "zoe-laptop"):
                gateway.client.call("DELETE", f"/admin/v1/{kind}/{one['id']}")
    file = tmp_path / "people.csv"
    file.write_bytes(content)
    page = signed_in(browsing.window(gateway), gateway)
    page.goto("/console/people/import")
    page.get_by_label("A file").set_input_files(file)
    expect(page.get_by_label("Table")).to_have_value(re.compile("Zo\u00eb"))
    page.get_by_role("button", name="See what would happen").click()
    expect(page.locator("table")).to_contain_text("zoe-laptop")
    with page.expect_download() as download:
        page.get_by_role("button", name="Import").click()
    assert download.value.suggested_filename == "new-keys.csv"
    # The page is still there: it says that it is done, and does nothing twice.
    expect(page.locator("#saving")).to_contain_text("new-keys.csv")
    expect(page.get_by_role("button", name="Import")).to_be_disabled()
    rows = list(csv.DictReader(Path(download.value.path()).read_text("utf-8").splitlines()))
    assert [row["key"] for row in rows] == ["zoe-laptop"]
    secret = rows[0]["secret"]
    assert Client(gateway.client.port, secret).call("GET", "/v1/models").status == 200
