"""What statuses, error types and failures stand for."""

from __future__ import annotations

import pytest

from apertis.gateway.routing import (
    Outcome,
    may_change_model,
    may_move,
    outcome_of_error,
    outcome_of_fault,
    outcome_of_status,
)
from apertis.gateway.upstreams.outcome import Fault

STATUSES = {
    200: Outcome.OK,
    204: Outcome.OK,
    302: Outcome.SERVER_ERROR,
    400: Outcome.CLIENT_FAULT,
    401: Outcome.BAD_KEY,
    402: Outcome.UNPAID,
    403: Outcome.FORBIDDEN,
    404: Outcome.MODEL_MISSING,
    408: Outcome.SERVER_ERROR,
    409: Outcome.CONFLICT,
    413: Outcome.CLIENT_FAULT,
    422: Outcome.CLIENT_FAULT,
    429: Outcome.RATE_LIMITED,
    500: Outcome.SERVER_ERROR,
    502: Outcome.SERVER_ERROR,
    503: Outcome.OVERLOADED,
    504: Outcome.SERVER_ERROR,
    529: Outcome.OVERLOADED,
}


@pytest.mark.parametrize(("status", "outcome"), STATUSES.items())
def test_a_status_stands_for_an_outcome(status: int, outcome: Outcome) -> None:
    assert outcome_of_status(status) is outcome


@pytest.mark.parametrize(
    ("error_type", "status"),
    [
        ("invalid_request_error", 400),
        ("authentication_error", 401),
        ("billing_error", 402),
        ("permission_error", 403),
        ("not_found_error", 404),
        ("conflict_error", 409),
        ("request_too_large", 413),
        ("rate_limit_error", 429),
        ("api_error", 500),
        ("timeout_error", 504),
        ("overloaded_error", 529),
    ],
)
def test_an_error_event_stands_for_what_its_status_would(error_type: str, status: int) -> None:
    assert outcome_of_error(error_type) is outcome_of_status(status)


@pytest.mark.parametrize("error_type", [None, "", "an_error_of_next_year"])
def test_an_error_that_nobody_knows_is_the_upstreams(error_type: str | None) -> None:
    assert outcome_of_error(error_type) is Outcome.SERVER_ERROR


def test_every_fault_stands_for_an_outcome() -> None:
    assert {fault: outcome_of_fault(fault) for fault in Fault} == {
        Fault.CONNECT: Outcome.UNREACHABLE,
        Fault.BUSY: Outcome.BUSY,
        Fault.TIMEOUT: Outcome.TIMEOUT,
        Fault.BROKEN: Outcome.MALFORMED,
    }


def test_no_violation_of_a_rule_is_answered_by_another_model() -> None:
    assert {
        outcome_of_status(s) for s in STATUSES if not may_change_model(outcome_of_status(s))
    } == {outcome_of_status(status) for status in (200, 400, 401, 402, 403, 413, 422)}


def test_only_the_requests_own_faults_stay_where_they_are() -> None:
    assert {outcome for outcome in Outcome if not may_move(outcome)} == {
        Outcome.OK,
        Outcome.CLIENT_FAULT,
        Outcome.LEFT,
    }
