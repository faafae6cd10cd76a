"""Constants and small functions at the root."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apertis

if TYPE_CHECKING:
    from pathlib import Path


def test_the_defaults_are_those_of_a_client() -> None:
    client = apertis.Apertis(api_key="k")
    assert client.timeout == apertis.DEFAULT_TIMEOUT
    assert client.max_retries == apertis.DEFAULT_MAX_RETRIES == 2
    assert apertis.DEFAULT_CONNECTION_LIMITS["max_connections"] == 1000
    assert apertis.DEFAULT_TIMEOUT.read == 600


def test_old_prompts_and_deprecated_models_are_there() -> None:
    assert (apertis.HUMAN_PROMPT, apertis.AI_PROMPT) == ("\n\nHuman:", "\n\nAssistant:")
    assert "claude-opus-4-5" in apertis.DEPRECATED_MODELS
    assert apertis.NoneType is type(None)


def test_a_file_is_its_name_and_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x")
    assert apertis.file_from_path(str(tmp_path / "a.txt")) == ("a.txt", b"x")


def test_options_and_streams_can_be_written_as_types() -> None:
    assert apertis.RequestOptions(timeout=3) == {"timeout": 3}
    for kind in (apertis.Stream[int], apertis.AsyncStream[int]):
        assert "Stream[int]" in str(kind)
