"""A limit is changed in Chromium, in its place in the tree, and as well without scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.gateway.clients.installing import AXE
from tests.kit.browsers import accessibility_problems, sideways, signed_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.browsers import Browsing
    from tests.kit.consoles import Office


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    return open_office()


@pytest.mark.parametrize(
    ("scripts", "phone"), [(True, True), (False, False)], ids=["on a phone", "without scripts"]
)
def test_a_limit_is_changed_and_shown_before(
    office: Office, browsing: Browsing, *, scripts: bool, phone: bool
) -> None:
    name = f"group {scripts} {phone}"
    group = office.make("groups", name=name)
    limit = office.make("limits", group=group, amount_usd=100, period="month")
    page = signed_in(browsing.window(office.gateway, scripts=scripts, phone=phone), office.gateway)
    page.goto(f"/console/budgets?q={name}")
    page.get_by_role("link", name=f"Change the limit of {name}").click()
    page.get_by_label("Amount in US dollars").fill("1,250.50")
    # With scripts the form is in the tree; without them it has a page of its own.
    assert page.url.endswith(f"/limits/{limit}") is not scripts
    page.get_by_role("button", name="Show what would change").click()
    table = page.get_by_role("table")
    assert table.get_by_role("row").all_inner_texts()[1].split("\t") == [
        "Amount",
        "$100.00",
        "$1,250.50",
    ]
    if scripts:
        assert sideways(page) == []
        if AXE.missing is None:
            assert accessibility_problems(page) == []
    page.get_by_role("button", name="Back").click()
    assert page.get_by_label("Amount in US dollars").input_value() == "1,250.50"
    page.get_by_role("button", name="Show what would change").click()
    page.get_by_role("button", name="Save").click()
    page.get_by_text(f"The limit of the group {name} is $1,250.50 a month.").wait_for()
    answer = office.gateway.client.call("GET", f"/admin/v1/limits/{limit}").json
    assert answer["amount_usd"] == "1250.5"


def test_two_windows_change_one_limit_and_the_second_is_told(
    office: Office, browsing: Browsing
) -> None:
    limit = office.make("limits", group="Sales", amount_usd=100, period="month")
    windows = [signed_in(browsing.window(office.gateway), office.gateway) for _ in range(2)]
    for amount, page in zip(("200", "50"), windows, strict=True):
        page.goto(f"/console/budgets/limits/{limit}")
        page.get_by_label("Amount in US dollars").fill(amount)
        page.get_by_role("button", name="Show what would change").click()
    browsing.expected.append("409")
    for page in windows:
        page.get_by_role("button", name="Save").click()
    first, second = windows
    first.get_by_text("is $200.00 a month").wait_for()
    second.get_by_role("alert").get_by_text("Somebody else changed this limit").wait_for()
    assert second.get_by_label("Amount in US dollars").input_value() == "50"
    second.get_by_text("now: 200").wait_for()
