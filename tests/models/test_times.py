"""Moments are datetimes, and the text that came."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.models import Malformed, Message, MessageBatch, ModelInfo, Timestamp, decode
from apertis.models.times import moment

TEXT = "2024-09-24T18:37:24.100435Z"
AT = datetime(2024, 9, 24, 18, 37, 24, 100435, tzinfo=UTC)


def test_it_is_the_moment_and_the_text() -> None:
    time = Timestamp(TEXT)
    assert isinstance(time, datetime)
    assert time == AT
    assert hash(time) == hash(AT)
    assert (str(time), f"{time}", f"{time:%Y}") == (TEXT, TEXT, "2024")
    assert time.isoformat() == AT.isoformat()
    assert time.date() == date(2024, 9, 24)
    assert time < datetime.now(UTC)
    assert eval(repr(time)) == time


def test_what_is_computed_from_it_is_a_plain_datetime() -> None:
    time = Timestamp(TEXT)
    for made, expected in (
        (time + timedelta(days=1), AT + timedelta(days=1)),
        (time - timedelta(days=1), AT - timedelta(days=1)),
        (time.replace(year=2020), AT.replace(year=2020)),
        (time.astimezone(timezone(timedelta(hours=2))), AT),
        (Timestamp.now(UTC).replace(tzinfo=None), None),
    ):
        assert type(made) is datetime
        assert expected is None or made == expected
    assert time - AT == timedelta()


@given(st.datetimes(timezones=st.none() | st.timezones()).map(lambda at: at.isoformat()))
def test_it_is_pickled_and_copied_with_its_text(text: str) -> None:
    time = Timestamp(text)
    for twin in (pickle.loads(pickle.dumps(time)), copy.copy(time), copy.deepcopy(time)):
        assert twin == time
        assert str(twin) == text
    assert time == datetime.fromisoformat(text)


def test_it_is_made_of_another_datetime() -> None:
    assert str(Timestamp(AT)) == TEXT
    assert Timestamp(AT) == AT
    assert moment(Timestamp(TEXT)) == AT


def test_a_text_that_says_no_moment_stays_a_text() -> None:
    info = decode(ModelInfo, b'{"id":"m","created_at":"soon"}')
    assert info.created_at == "soon"
    assert info.to_dict() == {"id": "m", "created_at": "soon"}


@pytest.mark.parametrize("said", [2**70, 5, 1.5, True, [], {}, [2024, 1, 1]])
def test_what_is_no_text_is_refused_with_its_place(said: object) -> None:
    for data in ({"id": "m", "created_at": said}, {"id": "m", "created_at": said, "more": 1}):
        with pytest.raises(Malformed, match="created_at: expected str, got"):
            decode(ModelInfo, json.dumps(data).encode())


@pytest.mark.parametrize("slow", [{}, {"more": 1}], ids=["fast", "slow"])
def test_the_time_fields_are_moments(slow: dict[str, Any]) -> None:
    counts = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    names = ("created_at", "expires_at", "ended_at", "archived_at", "cancel_initiated_at")
    wire: dict[str, Any] = {
        "id": "b",
        "type": "message_batch",
        "processing_status": "ended",
        "request_counts": counts,
        **dict.fromkeys(names, TEXT),
        **slow,
    }
    batch = decode(MessageBatch, json.dumps(wire).encode())
    for name in names:
        time = getattr(batch, name)
        assert time == AT
        assert str(time) == TEXT
    assert batch.to_dict() == wire
    info = {"id": "m", "created_at": TEXT, "deprecated_at": TEXT, "retires_at": TEXT, **slow}
    model = decode(ModelInfo, json.dumps(info).encode())
    assert model.created_at == model.deprecated_at == model.retires_at == AT
    container = {"id": "c", "expires_at": TEXT}
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = Message.model_validate(
        {"id": "m", "type": "message", "role": "assistant", "model": "x", "content": []}
        | {"container": container, "usage": usage}
        | slow
    )
    assert message.container is not None
    assert message.container.expires_at == AT
    assert message.to_dict()["container"] == container
