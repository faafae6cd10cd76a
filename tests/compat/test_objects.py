"""Names of `anthropic.types` that are open objects here."""

from __future__ import annotations

from typing import get_args

from apertis.compat import objects
from apertis.models import UsageIteration
from apertis.params import ContainerParam


def test_an_object_is_made_by_its_name() -> None:
    assert objects.JSONObject(type="web_search_result", url="u") == {
        "type": "web_search_result",
        "url": "u",
    }


def test_unions_are_of_ours() -> None:
    assert get_args(objects.ContainerOrId) == (ContainerParam, str)
    assert get_args(objects.UsageIterations) == (UsageIteration,)
