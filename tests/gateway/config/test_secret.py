from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from apertis.gateway.config import Secret, Settings, StoreSettings, UpstreamSettings

TEXT = "sk-ant-0123456789"


def test_a_secret_shows_nothing_of_itself() -> None:
    secret = Secret(TEXT, setting="api_key_env", source="KEY")
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", f"{[secret]}"):
        assert "0123" not in shown
        assert "***" in shown
    assert secret.reveal() == TEXT


def test_settings_show_neither_keys_nor_passwords() -> None:
    store = StoreSettings(Path("d"), url="postgresql://ann:hidden@db/x")
    upstream = UpstreamSettings("a", api_key=Secret(TEXT))
    shown = repr(Settings(store, upstreams=(upstream,)))
    assert TEXT not in shown
    assert "hidden" not in shown


def test_secrets_are_equal_by_their_text_alone() -> None:
    assert Secret(TEXT, source="A") == Secret(TEXT, source="B")
    assert hash(Secret(TEXT, source="A")) == hash(Secret(TEXT))
    assert Secret(TEXT) != Secret("sk-other")
    assert Secret(TEXT) != TEXT


def test_a_secret_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret(TEXT))


def test_settings_with_a_secret_can_be_changed() -> None:
    upstream = UpstreamSettings("a", api_key=Secret(TEXT))
    assert replace(upstream, weight=2).api_key == Secret(TEXT)
