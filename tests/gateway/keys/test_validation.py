from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apertis.gateway.keys.record import problems_of
from apertis.gateway.keys.validation import MAX_UNITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.keys.record import KeyRecord

    MakeRecord = Callable[..., KeyRecord]


def test_a_record_with_every_setting_has_no_problems(make_record: MakeRecord) -> None:
    record = make_record(
        name="Production, Köln 🚀",
        owner="team@example.com",
        tags=("prod", "eu west"),
        quota_units=0,
        expires_at=0,
        models=("claude-sonnet-4.5", "code:claude-opus-4-6:web", "anthropic/claude-*", "*"),
        addresses=("192.168.1.0/24", "10.0.0.1", "::ffff:10.0.0.0/104", "2001:db8::/32"),
        fallback_models=("a", "b", "c", "d", "e"),
        fallback_timeout_ms=5_000,
        requests_limit="3000/1m",
        tokens_per_minute=0,
        in_flight=MAX_UNITS,
    )
    assert problems_of(record) == []


@pytest.mark.parametrize(
    ("field", "value", "place", "words"),
    [
        ("name", "", "name", ["1 to 200"]),
        ("name", " padded", "name", ["without spaces"]),
        ("name", "two\nlines", "name", ["printable"]),
        ("name", "n" * 201, "name", ["1 to 200", "..."]),
        ("name", "key_" + "a" * 20, "name", ["does not look like a key's id"]),
        ("owner", "", "owner", ["1 to 200"]),
        ("tags", ("fine", ""), "tags[1]", ["1 to 100"]),
        ("tags", ("a", "b", "a"), "tags[2]", ["once"]),
        ("tags", tuple(map(str, range(51))), "tags", ["at most 50", "51 tags"]),
        ("quota_units", -1, "quota_units", ["-1", "500,000"]),
        ("quota_units", MAX_UNITS + 1, "quota_units", [str(MAX_UNITS)]),
        ("expires_at", 253_402_300_800, "expires_at", ["Unix seconds"]),
        ("models", (), "models", ["null for all models"]),
        ("models", ("claude sonnet",), "models[0]", ["claude sonnet", "star"]),
        ("models", ("ok", "claude-*-x"), "models[1]", ["claude-*-x"]),
        ("models", ("",), "models[0]", ["model's id"]),
        ("addresses", (), "addresses", ["null for all addresses"]),
        ("addresses", ("10.0.0.0/8", "10.0.0.1/8"), "addresses[1]", ["write 10.0.0.0/8"]),
        ("addresses", ("localhost",), "addresses[0]", ["localhost", "neither"]),
        ("fallback_models", tuple("abcdef"), "fallback_models", ["at most 5"]),
        ("fallback_models", ("a", "b", "a"), "fallback_models[2]", ["once"]),
        ("fallback_models", ("claude-*",), "fallback_models[0]", ["model's id"]),
        ("fallback_timeout_ms", 4_999, "fallback_timeout_ms", ["5000 to 300000", "4999"]),
        ("fallback_timeout_ms", 300_001, "fallback_timeout_ms", ["5000 to 300000"]),
        ("requests_limit", "fast", "requests_limit", ["3000/1m", "fast"]),
        ("requests_limit", "0/1m", "requests_limit", ["3000/1m", "0/1m"]),
        ("tokens_per_minute", -5, "tokens_per_minute", ["-5"]),
        ("in_flight", -5, "in_flight", ["-5"]),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(
    make_record: MakeRecord, field: str, value: object, place: str, words: list[str]
) -> None:
    (problem,) = problems_of(make_record(**{field: value}))
    assert problem.field == place
    assert str(problem).startswith(f"'{place}' is ")
    assert all(word in str(problem) for word in words)


def test_all_problems_are_told_at_once(make_record: MakeRecord) -> None:
    record = make_record(name="", models=(" ",), in_flight=-1)
    assert [problem.field for problem in problems_of(record)] == ["name", "models[0]", "in_flight"]


def test_many_entries_are_refused(make_record: MakeRecord) -> None:
    record = make_record(models=tuple(f"m{number}" for number in range(1_001)))
    assert [problem.field for problem in problems_of(record)] == ["models"]
