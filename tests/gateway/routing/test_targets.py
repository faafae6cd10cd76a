"""A model is found by every one of its names."""

from __future__ import annotations

import pytest

from apertis.gateway.config import ModelSettings, UpstreamSettings
from apertis.gateway.routing import Target
from apertis.gateway.routing.targets import Names, dashed

SONNET = ModelSettings("claude-sonnet-4-5", aliases=("sonnet", "fast.v2"))
VENDOR = ModelSettings("claude-sonnet-4-5", upstream_model="vendor/sonnet@4.5", priority=3)


def names(*upstreams: UpstreamSettings, known: tuple[str, ...] = ()) -> Names:
    return Names(upstreams, known)


@pytest.mark.parametrize("name", ["claude-sonnet-4-5", "claude-sonnet-4.5", "sonnet", "fast.v2"])
def test_id_alias_and_dotted_spelling_find_a_model(name: str) -> None:
    group = names(UpstreamSettings("a", models=(SONNET,))).group(name)
    assert group.id == "claude-sonnet-4-5"
    assert group.targets == (Target("a", "claude-sonnet-4-5", "claude-sonnet-4-5"),)


def test_the_dashed_spelling_finds_a_dotted_id() -> None:
    upstream = UpstreamSettings("a", models=(ModelSettings("claude-haiku-4.5"),))
    assert names(upstream).group("claude-haiku-4-5").id == "claude-haiku-4.5"


def test_model_names_are_case_sensitive() -> None:
    group = names(UpstreamSettings("a", models=(SONNET,))).group("Sonnet")
    assert group.targets == ()


def test_the_exact_name_wins_over_the_other_spelling() -> None:
    models = (ModelSettings("m-1-2"), ModelSettings("m-1.2"))
    upstream = UpstreamSettings("a", models=models)
    assert names(upstream).group("m-1.2").id == "m-1.2"
    assert names(upstream).group("m-1-2").id == "m-1-2"


def test_an_id_wins_over_an_alias_of_another_model() -> None:
    models = (ModelSettings("m", aliases=("n",)), ModelSettings("n"))
    assert names(UpstreamSettings("a", models=models)).group("n").id == "n"


def test_the_name_that_the_upstream_knows_is_sent() -> None:
    group = names(UpstreamSettings("v", models=(VENDOR,))).group("claude-sonnet-4-5")
    assert group.targets == (Target("v", "vendor/sonnet@4.5", "claude-sonnet-4-5"),)


def test_an_upstream_without_a_list_takes_every_name_as_it_is() -> None:
    group = names(UpstreamSettings("any")).group("claude-of-next-year:4.5")
    assert group.targets == (Target("any", "claude-of-next-year:4.5", "claude-of-next-year:4.5"),)


def test_the_dotted_spelling_of_a_known_id_reaches_an_upstream_without_a_list() -> None:
    known = names(UpstreamSettings("any"), known=("claude-sonnet-4-5", "m-1.5"))
    assert known.group("claude-sonnet-4.5").targets[0].model == "claude-sonnet-4-5"
    assert known.group("m-1-5").targets[0].model == "m-1.5"
    assert known.group("claude-sonnet-4-5").targets[0].model == "claude-sonnet-4-5"


def test_an_alias_reaches_an_upstream_without_a_list_by_the_models_id() -> None:
    group = names(UpstreamSettings("any"), UpstreamSettings("a", models=(SONNET,))).group("sonnet")
    assert {target.upstream: target.model for target in group.targets} == {
        "a": "claude-sonnet-4-5",
        "any": "claude-sonnet-4-5",
    }


def test_who_names_the_model_goes_first_at_equal_priority() -> None:
    group = names(UpstreamSettings("any"), UpstreamSettings("a", models=(SONNET,))).group("sonnet")
    assert [target.upstream for target in group.targets] == ["a", "any"]


def test_priority_comes_before_all_else_and_a_models_own_is_stronger() -> None:
    group = names(
        UpstreamSettings("v", models=(VENDOR,)), UpstreamSettings("any", priority=2)
    ).group("claude-sonnet-4-5")
    assert [target.upstream for target in group.targets] == ["any", "v"]


def test_a_model_that_nobody_has_has_no_target() -> None:
    assert names(UpstreamSettings("a", models=(SONNET,))).group("gpt-4o").routes == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("claude-3.5-haiku", "claude-3-5-haiku"),
        ("a.b", "a.b"),
        ("v2.", "v2."),
        ("plain", "plain"),
    ],
)
def test_only_dots_inside_numbers_become_dashes(name: str, expected: str) -> None:
    assert dashed(name) == expected
