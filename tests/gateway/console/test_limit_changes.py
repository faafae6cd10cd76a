"""Limits are changed in the console: shown before, by whom it is theirs, and never over another."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.console.limits import dollars
from apertis.gateway.units import read_usd, usd
from tests.kit.consoles import words_of
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.consoles import Office, Visitor
    from tests.kit.http import Response

FORM = {
    "overdraft": "",
    "thresholds": "50, 75, 95, 100",
    "contact": "",
    "cheaper_model": "",
    "store_loss": "",
}
NEW = {**FORM, "period": "month", "zone": "UTC", "models": ""}
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    return open_office()


@pytest.fixture
def limit(office: Office) -> str:
    """A limit of a new group in Engineering, which a member with a key is in."""
    group = office.make("groups", name=f"team {len(office.ids)}", parent="Engineering")
    office.ids[group] = group
    office.make("people", name=f"person of {group}", group=group)
    office.gateway.make_key(name=f"key of {group}", person=f"person of {group}")
    return office.make("limits", group=group, amount_usd=100, period="month")


def read(office: Office, limit: str) -> dict[str, Any]:
    answer: dict[str, Any] = office.gateway.client.call("GET", f"/admin/v1/limits/{limit}").json
    return answer


def version_in(page: Response) -> str:
    found = re.search(r'name="version" value="(\d+)"', page.body.decode())
    assert found is not None
    return found[1]


def send(visitor: Visitor, limit: str, step: str, amount: str, **fields: str) -> Response:
    path = f"/budgets/limits/{limit}"
    version = fields.pop("version", None) or version_in(visitor.see(path))
    form = {**FORM, "step": step, "amount": amount, "version": version, **fields}
    return visitor.send(path, form)


def spend(office: Office, name: str) -> None:
    """Spend something as somebody, and wait until the store has it."""

    def requests() -> int:
        number: int = office.gateway.usage(person=name)["totals"]["requests"]
        return number

    before = requests()
    assert office.keys[name].ask("claude-sonnet-4-5").status == 200
    until(lambda: requests() > before)


def rows(page: Response) -> dict[str, tuple[str, str]]:
    """The fields that a preview says would change."""
    row = r'<th scope="row">(.*?)</th><td class="wrap">(.*?)</td><td class="wrap">(.*?)</td>'
    return {name: (old, new) for name, old, new in re.findall(row, page.body.decode())}


def test_what_would_change_is_shown_and_nothing_is_done(office: Office, limit: str) -> None:
    page = send(office.administrator, limit, "preview", "1,250.5", contact="Ann")
    assert page.status == 200
    assert rows(page) == {"Amount": ("$100.00", "$1,250.50"), "Contact": ("nobody", "Ann")}
    words = words_of(page)
    assert (
        "has spent $0.00 this month: 0.0 % of $100.00 a month before, 0.0 % of $1,250.50" in words
    )
    assert "It concerns 1 person and 1 key." in words
    assert "Nobody is over it: $1,250.50 is left." in words
    assert read(office, limit)["amount_usd"] == "100"


def test_a_change_is_saved_and_told(office: Office, limit: str) -> None:
    saved = send(
        office.administrator,
        limit,
        "save",
        "0.000002",
        overdraft="$1.50",
        thresholds="80 90%",
        cheaper_model="claude-haiku-4-5",
        store_loss="2",
    )
    assert (saved.status, saved.headers["location"]) == (303, f"/console/budgets/limits/{limit}")
    now = read(office, limit)
    assert now["amount_units"] == 1
    assert now["overdraft_units"] == 750_000
    assert now["thresholds"] == [80, 90]
    assert now["cheaper_model"] == "claude-haiku-4-5"
    assert now["store_loss_units"] == 1_000_000
    notice = saved.headers["set-cookie"].partition(";")[0]
    cookie = f"{office.administrator.cookie}; {notice}"
    page = office.administrator.see(f"/budgets/limits/{limit}", cookie=cookie)
    assert "is $0.000002 a month." in words_of(page)
    trail = office.gateway.client.call("GET", f"/admin/v1/audit?subject_id={limit}&limit=1").json
    (entry,) = trail["data"]
    assert entry["action"] == "change"
    assert entry["after"]["amount_units"] == 1


def test_a_preview_has_the_exact_numbers_of_what_is_spent(office: Office) -> None:
    limit = office.make("limits", person="Max", amount_usd=100, period="month")
    spend(office, "Max")
    spent = read(office, limit)["spent_units"]
    assert spent
    # Twice of what is spent, and then the half of it.
    page = send(office.administrator, limit, "preview", usd(2 * spent))
    words = words_of(page)
    amount = dollars(2 * spent)
    assert f"The person Max has spent {dollars(spent)} this month" in words
    assert f"50.0 % of {amount} a month after." in words
    assert f"Nobody is over it: {dollars(spent)} is left." in words
    assert "An alert tells at once that 50 % is passed." in words
    page = send(
        office.administrator, limit, "preview", usd(spent // 2), cheaper_model="claude-haiku-4-5"
    )
    words = words_of(page)
    share = spent * 1000 // (spent // 2) / 10
    assert f"{share} % of {dollars(spent // 2)} a month after." in words
    assert "The person Max is over it at once: requests of 1 key are answered by" in words
    assert "It concerns 1 person and 1 key." in words
    assert "An alert tells at once that 100 % is passed." in words
    page = send(office.administrator, limit, "preview", usd(spent), overdraft="1")
    assert "Nobody is over it: $1.00 is left, in the overdraft." in words_of(page)


def test_of_two_who_change_at_once_the_second_is_told(office: Office, limit: str) -> None:
    path = f"/budgets/limits/{limit}"
    first = version_in(office.administrator.see(path))
    second = version_in(office.group_administrator.see(path))
    assert first == second
    assert send(office.administrator, limit, "save", "200", version=first).status == 303
    for step in ("save", "preview"):
        page = send(office.group_administrator, limit, step, "50", version=second)
        assert page.status == 409
        words = words_of(page)
        assert "Somebody else changed this limit" in words
        # Both values: what was entered, and what it is by now.
        assert 'value="50"' in page.body.decode()
        assert "now: 200" in words
        assert read(office, limit)["amount_usd"] == "200"
    # With what is on that page it can be decided again.
    again = send(office.group_administrator, limit, "save", "50", version=version_in(page))
    assert again.status == 303
    assert read(office, limit)["amount_usd"] == "50"


def test_of_many_who_save_at_once_one_does(office: Office, limit: str) -> None:
    version = version_in(office.administrator.see(f"/budgets/limits/{limit}"))
    # Before it is several threads' to read.
    office.administrator.form_token()

    def save(amount: int) -> int:
        page = send(office.administrator, limit, "save", str(amount), version=version)
        return page.status

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(save, range(1, 9)))
    assert sorted(statuses) == [303, *[409] * 7]
    assert read(office, limit)["amount_usd"] == str(statuses.index(303) + 1)


def test_a_form_without_its_version_changes_nothing(office: Office, limit: str) -> None:
    for version in ("", "x", "-1", "99999999999999999999", "\u0661"):
        path = f"/budgets/limits/{limit}"
        form = {**FORM, "step": "save", "amount": "1", "version": version}
        assert office.administrator.send(path, form).status == 409
    assert read(office, limit)["amount_usd"] == "100"


def test_a_removal_is_shown_before_and_is_not_done_over_a_change(
    office: Office, limit: str
) -> None:
    path = f"/budgets/limits/{limit}"
    version = version_in(office.administrator.see(path))
    removal = {"act": "remove", "version": version}
    page = office.administrator.send(path, {**removal, "step": "preview"})
    assert page.status == 200
    assert rows(page)["Amount"] == ("$100.00", "")
    assert read(office, limit)["status"] == "enabled"
    assert send(office.administrator, limit, "save", "5").status == 303
    assert office.administrator.send(path, {**removal, "step": "save"}).status == 409
    assert read(office, limit)["status"] == "enabled"
    removal["version"] = version_in(office.administrator.see(path))
    done = office.administrator.send(path, {**removal, "step": "save"})
    assert (done.status, done.headers["location"]) == (303, "/console/budgets")
    assert read(office, limit)["status"] == "removed"
    page = office.administrator.see(path)
    assert "removed" in words_of(page)
    assert b'name="step"' not in page.body


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"amount": ""}, "Amount: say how many US dollars"),
        ({"amount": "1e3"}, "Amount: write US dollars"),
        ({"amount": "1,5"}, "Amount: write US dollars"),
        ({"amount": "0.000001"}, "in steps of 0.000002"),
        ({"amount": "99999999999999"}, "'amount_usd'"),
        ({"amount": "1", "overdraft": "-1"}, "Overdraft: write US dollars"),
        ({"amount": "1", "thresholds": "a lot"}, "Alert at: write percents"),
        ({"amount": "1", "thresholds": "5000"}, "1 to 1000 percent"),
        ({"amount": "1", "cheaper_model": "two words"}, "cheaper_model"),
        ({"amount": "1", "contact": "x" * 2000}, "contact"),
    ],
)
@pytest.mark.parametrize("step", ["preview", "save"])
def test_what_cannot_be_is_told_and_nothing_that_was_entered_is_lost(
    office: Office, limit: str, fields: dict[str, str], told: str, step: str
) -> None:
    page = send(office.administrator, limit, step, **{**FORM, **fields})
    assert page.status == 400
    assert told in words_of(page)
    for name, text in fields.items():
        assert f'name="{name}" value="{text}"' in page.body.decode()
    assert read(office, limit)["amount_usd"] == "100"


def test_going_back_from_a_preview_keeps_what_was_entered(office: Office, limit: str) -> None:
    page = send(office.administrator, limit, "edit", "77.5", contact=EVIL)
    assert 'value="77.5"' in page.body.decode()
    assert EVIL not in page.body.decode()
    assert "&lt;script&gt;" in page.body.decode()


def test_a_limit_above_that_is_less_is_named_to_whoever_sees_it(office: Office) -> None:
    outer = office.make("limits", group="Engineering", amount_usd=7, period="month")
    whole = office.make("limits", gateway=True, amount_usd=6, period="month")
    limit = office.make("limits", person="Paul", amount_usd=1, period="month")
    whole_words = "The whole gateway may spend $6.00 a month at most, which is less."
    outer_words = "The group Engineering may spend $7.00 a month at most, which is less."
    words = words_of(send(office.administrator, limit, "preview", "7"))
    assert whole_words in words
    assert outer_words not in words
    words = words_of(send(office.group_administrator, limit, "preview", "7.01"))
    assert outer_words in words
    # The gateway's limit is not theirs to see.
    assert whole_words not in words
    for made in (outer, whole):
        office.gateway.client.call("DELETE", f"/admin/v1/limits/{made}")


def test_nothing_to_change_is_said(office: Office, limit: str) -> None:
    page = send(office.administrator, limit, "preview", "100.00")
    assert "Nothing would change." in words_of(page)
    assert b'value="save"' not in page.body


def test_a_group_administrator_changes_the_limits_in_its_group_alone(office: Office) -> None:
    subjects: dict[str, dict[str, Any]] = {
        "own group": {"group": "Engineering"},
        "inner group": {"group": "Platform"},
        "member": {"person": "Max"},
        "member's key": {"key": "Paul's key"},
        "own person": {"person": "Greta"},
        "own key": {"key": "Greta's key"},
        "other group": {"group": "Sales"},
        "other person": {"person": "Sam"},
        "gateway": {"gateway": True},
    }
    limits = {
        name: office.make("limits", **subject, amount_usd=10, period="day")
        for name, subject in subjects.items()
    }
    may = {"inner group", "member", "member's key"}
    sees = {*may, "own group", "own person", "own key"}
    for name, limit in limits.items():
        path = f"/budgets/limits/{limit}"
        page = office.group_administrator.see(path)
        assert page.status == (200 if name in sees else 404), name
        assert (b'name="step"' in page.body) == (name in may), name
        version = str(read(office, limit)["version"])
        form = {**FORM, "amount": "99", "version": version, "step": "save"}
        for sent in (form, {**form, "step": "preview"}, {**form, "act": "remove"}):
            if name not in may:
                refused = office.group_administrator.send(path, sent)
                assert refused.status == (403 if name in sees else 404), name
        if name in may:
            assert office.group_administrator.send(path, form).status == 303, name
        amount = "99" if name in may else "10"
        assert read(office, limit)["amount_usd"] == amount, name


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("member", 403)])
def test_who_may_only_look_finds_no_forms_and_is_refused(
    office: Office, limit: str, role: str, status: int
) -> None:
    visitor = office.visitors[role]
    path = f"/budgets/limits/{limit}"
    assert b'name="step"' not in visitor.see(path).body
    assert visitor.see("/budgets/new").status == status
    form = {**FORM, "amount": "1", "version": str(read(office, limit)["version"])}
    for step in ("preview", "save", "edit"):
        assert visitor.send(path, {**form, "step": step}).status == status
        sent = {**NEW, "amount": "1", "of": "gateway:", "step": step}
        assert visitor.send("/budgets/new", sent).status == status
    assert read(office, limit)["amount_usd"] == "100"


def test_a_new_limit_counts_what_was_spent_already_and_says_so(office: Office) -> None:
    spend(office, "Paul")
    key = office.ids["Paul's key"]
    visitor = office.group_administrator
    page = visitor.see(f"/budgets/new?of=key:{key}")
    assert page.status == 200
    form = {**NEW, "of": f"key:{key}", "amount": "0.0002", "period": "week", "zone": "Asia/Tokyo"}
    page = visitor.send("/budgets/new", {**form, "step": "preview"})
    assert page.status == 200, words_of(page)
    assert rows(page)["Amount"] == ("", "$0.0002")
    assert rows(page)["Time zone"] == ("", "Asia/Tokyo")
    assert "The key Paul's key is over it at once: requests of 1 key are rejected" in words_of(page)
    made = visitor.send("/budgets/new", {**form, "step": "save"})
    assert made.status == 303
    limit = made.headers["location"].rpartition("/")[2]
    kept = read(office, limit)
    assert (kept["amount_usd"], kept["period"], kept["zone"]) == ("0.0002", "week", "Asia/Tokyo")
    assert kept["spent_units"] > 0
    again = visitor.send("/budgets/new", {**form, "step": "save"})
    assert again.status == 409
    assert "There is a limit of the same period" in words_of(again)
    assert office.keys["Paul"].ask("claude-sonnet-4-5").status in (402, 429)


def test_a_limit_for_each_session_and_some_models(office: Office) -> None:
    form = {
        **NEW,
        "of": "gateway:",
        "amount": "3",
        "models": "claude-opus-*, x",
        "per_session": "yes",
    }
    page = office.administrator.send("/budgets/new", {**form, "step": "preview"})
    assert (
        "Each session has the amount to itself; what it has spent before counts, too."
        in words_of(page)
    )
    made = office.administrator.send("/budgets/new", {**form, "step": "save"})
    limit = made.headers["location"].rpartition("/")[2]
    assert read(office, limit)["per_session"] is True
    assert read(office, limit)["models"] == ["claude-opus-*", "x"]
    page = send(office.administrator, limit, "preview", "2")
    assert "0 of 0 sessions are over it at once." in words_of(page)


def test_whose_a_new_limit_is_can_be_said_by_name(office: Office) -> None:
    page = office.administrator.see("/budgets/new?level=person&name=Sam")
    assert "New limit of the person Sam" in words_of(page)
    assert office.administrator.see("/budgets/new?level=key&name=Max%27s%20key").status == 200
    page = office.administrator.see("/budgets/new?level=group&name=Sale")
    assert page.status == 404
    assert "did you mean 'Sales'?" in words_of(page)
    # Of what others have nobody learns here whether it is there.
    for path in (f"of=person:{office.ids['Sam']}", "of=key:key_x", "level=key&name=Sam%27s%20key"):
        assert office.group_administrator.see(f"/budgets/new?{path}").status == 404
    assert office.administrator.see("/budgets/new?level=planet").status == 400
    assert office.administrator.see("/budgets/new?level=key").status == 400


def test_whose_a_new_limit_may_be_is_suggested_to_whoever_sees_them(office: Office) -> None:
    everybody, own = (
        set(
            re.findall(
                r'<option value="([^"]*)"></option>', visitor.see("/budgets/new").body.decode()
            )
        )
        for visitor in (office.administrator, office.group_administrator)
    )
    assert {"Platform", "Sales"} <= everybody
    assert own < everybody
    assert "Sales" not in own


def test_the_quota_of_a_key_is_changed_with_the_key(office: Office) -> None:
    key = office.ids["Max's key"]
    response = office.administrator.see(f"/budgets/limits/quota-{key}")
    assert (response.status, response.headers["location"]) == (303, f"/console/keys/{key}")


def test_names_are_text_in_forms_and_previews(office: Office) -> None:
    group = office.make("groups", name=EVIL)
    limit = office.make("limits", group=group, amount_usd=1, period="month")
    for page in (
        office.administrator.see(f"/budgets/limits/{limit}"),
        office.administrator.see(f"/budgets/new?of=group:{group}"),
        send(office.administrator, limit, "preview", "2"),
    ):
        assert page.status == 200
        assert EVIL.encode() not in page.body


@given(st.integers(0, 10**15))
def test_an_amount_is_read_as_it_is_shown(units: int) -> None:
    read_back = read_usd(dollars(units))
    assert read_back is not None
    assert read_back * 500_000 == units
    assert re.fullmatch(r"\$[0-9,]+\.[0-9]{2,6}", dollars(units))
