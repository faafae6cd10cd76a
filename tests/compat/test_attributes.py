"""Arguments and attributes that only programs for `anthropic` ask a client for."""

from __future__ import annotations

from typing import Any

import pytest

import apertis
from apertis import NOT_GIVEN, ConfigurationError
from tests.kit.exchanges import KEY


@pytest.mark.parametrize("kind", [apertis.Apertis, apertis.AsyncApertis])
@pytest.mark.parametrize("name", ["config", "credentials", "open_telemetry", "profile"])
def test_an_argument_of_another_product_may_be_none_and_else_says_what_to_do(
    kind: Any, name: str
) -> None:
    assert kind(api_key=KEY, **{name: None}).with_options(**{name: NOT_GIVEN}).api_key == KEY
    for made in (kind, kind(api_key=KEY).with_options):
        with pytest.raises(ConfigurationError, match=rf"{name} is not taken: `Anthropic\({name}="):
            made(api_key=KEY, **{name: {"a": 1}})


@pytest.mark.parametrize("kind", [apertis.Apertis, apertis.AsyncApertis])
def test_an_argument_that_nobody_knows_is_a_type_error(kind: Any) -> None:
    client = kind(api_key=KEY, webhook_key="w", _strict_response_validation=True)
    for made in (kind, client.with_options):
        with pytest.raises(TypeError, match="unexpected keyword argument 'modle'"):
            made(modle="m")


@pytest.mark.parametrize("kind", [apertis.Apertis, apertis.AsyncApertis])
def test_attributes_that_anthropic_has_at_its_clients(kind: Any) -> None:
    client = kind(api_key=KEY, default_query={"a": "b"}, default_headers={"x-a": "b"})
    assert dict(client.auth_headers) == {"authorization": f"Bearer {KEY}"}
    assert client.auth_headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(client.auth_headers)
    assert kind(api_key="sk-ant-api03-x").auth_headers["X-Api-Key"] == "sk-ant-api03-x"
    assert client._custom_query == {"a": "b"}
    assert client._custom_headers == {"x-a": "b"}
    assert client.user_agent.startswith("Apertis/Python ")
    assert client._strict_response_validation is False
    assert client.credentials is None
    assert "x-os" in client.platform_headers()

    class Own(kind):  # type: ignore[misc]
        @property
        def auth_headers(self) -> dict[str, str]:
            return {**super().auth_headers, "x-own": "1"}

    assert Own(api_key=KEY).auth_headers["x-own"] == "1"
