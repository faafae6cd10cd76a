"""The list of alerts, over the operations that API and command line share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.admin.alerts import try_targets
from apertis.gateway.config import AlertSettings
from apertis.gateway.errors import Refusal
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


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({"kind": "key"}, ["key:1"]),
        ({"level": "error"}, ["budget:1"]),
        ({"kind": "budget", "level": "info"}, ["budget:2"]),
        ({"kind": "spike"}, []),
    ],
)
def test_alerts_are_found_by_kind_and_level(
    asking: Asking, query: dict[str, object], ids: list[str]
) -> None:
    for alert in (
        Alert(id="budget:1", kind="budget", level="error", text="x", data={}),
        Alert(id="budget:2", kind="budget", level="info", text="x", data={}),
        Alert(id="key:1", kind="key", level="warning", text="x", data={}),
    ):
        asking.run(asking.store.alerts.claim([alert], {alert.id: []}))
    found = asking("GET", "/alerts", None, **query)["data"]
    assert [alert["id"] for alert in found] == ids
    assert {alert["kind"] for alert in found} <= {"budget", "key"}
    assert asking.refused("GET", "/alerts", None, kind="rumour")[:2] == (400, "kind")


def test_without_targets_there_is_nothing_to_test() -> None:
    refused = asyncio.run(try_targets(AlertSettings(), 0.0))
    assert isinstance(refused, Refusal)
    assert refused.status == 409
