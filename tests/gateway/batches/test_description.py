"""What a description says of money."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apertis.gateway.batches.description import describe

ENDED = {"id": "b", "processing_status": "ended", "request_counts": {"succeeded": 0, "errored": 2}}


@pytest.mark.parametrize(
    ("changes", "over"),
    [
        ({}, True),
        ({"processing_status": "in_progress"}, False),
        ({"processing_status": "canceling"}, False),
        ({"request_counts": {"succeeded": 1}}, False),
        ({"request_counts": None}, False),
        ({"request_counts": {"succeeded": 1}, "archived_at": "2026-01-31T12:00:00Z"}, True),
    ],
)
def test_a_batch_is_over_when_nothing_of_it_can_cost_anything(
    changes: dict[str, Any], over: bool
) -> None:
    found = describe(json.dumps({**ENDED, **changes}).encode())
    assert found is not None
    assert (found.id, found.is_over) == ("b", over)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"type":"error"}', b'{"id":""}', b'{"id":7}'])
def test_what_is_no_batch_is_not_described(body: bytes) -> None:
    assert describe(body) is None


@pytest.mark.parametrize(
    "odd",
    [
        b'"display":"one \\ud83d"',
        b'"display":"\xff"',
        b'"display":' + b"[" * 3000 + b"]" * 3000,
        b'"request_counts":{"succeeded":2.0}',
        b'"request_counts":{"succeeded":"many"}',
        b'"request_counts":7,"processing_status":7,"archived_at":7',
    ],
)
def test_what_is_odd_in_a_description_does_not_hide_a_batch_that_exists(odd: bytes) -> None:
    description = describe(b'{"id":"b","processing_status":"ended",%b}' % odd)
    assert description is not None
    assert description.id == "b"
    assert not description.is_over
