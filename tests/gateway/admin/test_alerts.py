"""The list of alerts, over the operations that API and command line share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.gateway.store.alerts import Alert

if TYPE_CHECKING:
    from tests.kit.resources import Asking


def test_alerts_are_read_in_pages_and_forget_who_is_removed(asking: Asking) -> None:
    person = asking("POST", "/people", {"name": "Ann"})["id"]
    for number in range(3):
        alert = Alert(
            id=f"budget:{number}",
            kind="budget",
            level="error",
            text="The person Ann has spent it.",
            data={"subject": {"name": "Ann"}},
            subject_id=person,
        )
        asking.run(asking.store.alerts.claim([alert], {alert.id: ["ops"]}))
    page = asking("GET", "/alerts", None, limit=2)
    assert page["has_more"]
    rest = asking("GET", "/alerts", None, after_id=page["last_id"])
    ids = [alert["id"] for alert in (*page["data"], *rest["data"])]
    assert sorted(ids) == ["budget:0", "budget:1", "budget:2"]
    assert page["data"][0]["deliveries"][0]["state"] == "waiting"
    assert page["data"][0]["deliveries"][0]["attempts"] == 0
    assert asking.refused("GET", "/alerts", None, limit=0)[1] == "limit"
    asking("DELETE", f"/people/{person}")
    assert "Ann" not in str(asking("GET", "/alerts"))
