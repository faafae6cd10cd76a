"""Clients of other companies' clouds: named, compared with, never made."""

from __future__ import annotations

from typing import Any

import pytest

import apertis
from apertis import Apertis

CLOUDS = [name for name in apertis._LAZY if apertis._LAZY[name][0] == "apertis.compat.clouds"]


@pytest.mark.parametrize("name", CLOUDS)
def test_a_client_of_another_cloud_can_be_named_and_is_never_made(name: str) -> None:
    kind = getattr(apertis, name)
    assert not isinstance(Apertis(api_key="k"), (kind, type(None)))
    with pytest.raises(apertis.ConfigurationError, match=f"`{name}` belongs to .*another company"):
        kind(api_key="k")


def test_the_other_clouds_are_where_anthropic_has_them() -> None:
    assert len(CLOUDS) == 12
    names: dict[str, Any] = {}
    exec(
        "from apertis.lib.bedrock import AnthropicBedrock\n"
        "from apertis.lib.vertex import AsyncAnthropicVertex\n"
        "from apertis.lib.foundry import AnthropicFoundry\n",
        names,
    )
    assert names["AnthropicBedrock"] is apertis.AnthropicBedrock
