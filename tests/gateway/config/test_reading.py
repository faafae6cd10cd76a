from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from apertis.errors import ConfigurationError
from apertis.gateway.config import (
    ServerSettings,
    Settings,
    StoreSettings,
    read_settings,
    read_store_settings,
)


def test_the_defaults_listen_on_loopback_and_keep_data_where_the_platform_says() -> None:
    settings = read_settings({})
    data = platformdirs.user_data_path("apertis", appauthor=False)
    assert settings == Settings(StoreSettings(data))


def test_every_setting_comes_from_the_environment() -> None:
    settings = read_settings(
        {
            "APERTIS_HOST": "::1",
            "APERTIS_PORT": "81",
            "APERTIS_DATA": "/data",
            "APERTIS_SANDBOX_FIRST_TOKEN_SECONDS": "0.5",
            "APERTIS_SANDBOX_TOKENS_PER_SECOND": "40",
        }
    )
    assert settings.server == ServerSettings("::1", 81)
    assert settings.store.data == Path("/data")
    assert settings.sandbox.first_token_seconds == 0.5
    assert settings.sandbox.tokens_per_second == 40


def test_what_is_given_wins_over_the_environment() -> None:
    environment = {"APERTIS_PORT": "not read", "APERTIS_SANDBOX_TOKENS_PER_SECOND": "40"}
    settings = read_settings(environment, port=0, tokens_per_second=0)
    assert settings.server.port == 0
    assert settings.sandbox.tokens_per_second is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APERTIS_PORT", "http"),
        ("APERTIS_PORT", "65536"),
        ("APERTIS_PORT", "-1"),
        ("APERTIS_SANDBOX_FIRST_TOKEN_SECONDS", "soon"),
        ("APERTIS_SANDBOX_FIRST_TOKEN_SECONDS", "-1"),
        ("APERTIS_SANDBOX_TOKENS_PER_SECOND", "inf"),
        ("APERTIS_SANDBOX_TOKENS_PER_SECOND", "nan"),
    ],
)
def test_a_bad_setting_is_named_with_its_value(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must .*{value}"):
        read_settings({name: value})


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.1", False),
        ("example.com", False),
    ],
)
def test_it_knows_whether_others_can_reach_it(host: str, loopback: bool) -> None:
    assert read_settings({}, host=host).server.is_loopback is loopback


def test_settings_do_not_change() -> None:
    with pytest.raises(AttributeError):
        read_settings({}).server.port = 1  # type: ignore[misc]


def test_the_store_is_read_without_the_credentials_of_the_upstreams(tmp_path: Path) -> None:
    file = tmp_path / "apertis.toml"
    file.write_text(
        "[store]\ndata = 'state'\n[[upstreams]]\nname = 'a'\napi_key_env = 'NOT_HERE'\n"
    )
    with pytest.raises(ConfigurationError, match="NOT_HERE"):
        read_settings({}, config=file)
    assert read_store_settings({}, config=file) == StoreSettings(tmp_path / "state")
    environment = {"APERTIS_CONFIG": str(file), "APERTIS_STORE_URL": "postgresql://db/x"}
    store = read_store_settings(environment, data=tmp_path)
    assert store == StoreSettings(tmp_path, "postgresql://db/x")
    with pytest.raises(ConfigurationError, match=r"^APERTIS_STORE_URL must be a URL"):
        read_store_settings({"APERTIS_STORE_URL": "x"})
