"""Parameters, by the way they travel; and calls as data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apertis.endpoints import batches, messages, models, raw
from apertis.endpoints.parameters import path_part, sort
from apertis.errors import ParameterError
from apertis.sansio.marks import NOT_GIVEN

LEAST: dict[str, Any] = {"model": "m", "max_tokens": 5, "messages": []}


def test_what_is_no_option_is_the_body() -> None:
    given = sort({"model": "m", "of_next_year": 1})
    assert given.body == {"model": "m", "of_next_year": 1}
    assert (given.query, given.headers, given.timeout, given.max_retries) == (
        None,
        None,
        NOT_GIVEN,
        None,
    )


def test_options_leave_the_body() -> None:
    given = sort(
        {
            "model": "m",
            "betas": ("a", "b"),
            "user_profile_id": "u",
            "workspace_id": None,
            "extra_headers": {"X-A": "1", "Anthropic-User-Profile-Id": "v"},
            "extra_query": {"q": 1},
            "extra_body": {"model": "n"},
            "timeout": None,
            "max_retries": 0,
        }
    )
    assert given.body == {"model": "n"}
    assert given.query == {"q": 1, "beta": "true"}
    assert given.headers == {
        "anthropic-beta": "a,b",
        "anthropic-user-profile-id": "v",
        "x-a": "1",
    }
    assert (given.timeout, given.max_retries) == (None, 0)


def test_the_callers_own_objects_stay_as_they_are() -> None:
    params = {**LEAST, "extra_query": {"q": 1}, "betas": ["b"], "extra_body": {"x": 1}}
    before = json.dumps(params)
    messages.create(params)
    messages.stream(params)
    assert json.dumps(params) == before


@pytest.mark.parametrize("value", ["a", "claude-sonnet-4.5:web", "a.b", "é", "a&b"])
def test_an_id_can_stand_in_a_path(value: str) -> None:
    assert path_part("id", value) == value


@pytest.mark.parametrize(
    "value", ["", " ", ".", "..", "...", "a/b", "a?b", "a#b", "%2e", "a\nb", 5]
)
def test_what_leads_elsewhere_is_no_id(value: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        path_part("model_id", value)
    assert caught.value.param == "model_id"


@pytest.mark.parametrize(
    ("call", "method", "path", "streamed"),
    [
        (messages.create(LEAST), "POST", "/v1/messages", False),
        (messages.create({**LEAST, "max_tokens": 21_334}), "POST", "/v1/messages", True),
        (
            messages.create({**LEAST, "max_tokens": 99_999, "stream": False}),
            "POST",
            "/v1/messages",
            False,
        ),
        (messages.stream(LEAST), "POST", "/v1/messages", True),
        (messages.count_tokens(LEAST), "POST", "/v1/messages/count_tokens", False),
        (batches.create({"requests": []}), "POST", "/v1/messages/batches", False),
        (batches.retrieve("b", {}), "GET", "/v1/messages/batches/b", False),
        (batches.list_({}), "GET", "/v1/messages/batches", False),
        (batches.cancel("b", {}), "POST", "/v1/messages/batches/b/cancel", False),
        (batches.delete("b", {}), "DELETE", "/v1/messages/batches/b", False),
        (batches.results("b", {}), "GET", "/v1/messages/batches/b/results", False),
        (models.list_({}), "GET", "/v1/models", False),
        (models.retrieve("m", {}), "GET", "/v1/models/m", False),
        (raw.request("put", "/x", None, {}), "PUT", "/x", False),
    ],
)
def test_a_call_is_data(call: Any, method: str, path: str, streamed: bool) -> None:
    assert (call.method, call.path, call.streamed) == (method, path, streamed)
    assert (call.body is None) == (method != "POST")
