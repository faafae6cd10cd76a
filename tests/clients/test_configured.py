"""What both clients have in common: settings that are seen and changed, and copies of a client."""

from __future__ import annotations

import copy
import pickle

import pytest

from apertis import Apertis, AsyncApertis

Client = Apertis | AsyncApertis


@pytest.fixture(params=[Apertis, AsyncApertis])
def client(request: pytest.FixtureRequest) -> Client:
    made: Client = request.param(api_key="sk-one", base_url="http://localhost:1/a/v1", timeout=3)
    return made


def test_settings_are_seen_as_they_were_given(client: Client) -> None:
    assert (client.api_key, client.auth_token, client.timeout) == ("sk-one", None, 3)
    assert (client.base_url, client.max_retries) == ("http://localhost:1/a", 2)
    assert client.default_headers["authorization"] == "Bearer sk-one"
    assert client.default_query == {}
    assert client.spent == 0
    assert not client.is_closed()


def test_a_changed_setting_is_what_the_next_request_has(client: Client) -> None:
    client.api_key, client.max_retries, client.timeout = "sk-two", 5, None
    assert (client.api_key, client.max_retries, client.timeout) == ("sk-two", 5, None)
    assert client.default_headers["authorization"] == "Bearer sk-two"
    client.auth_token = "token"
    assert (client.api_key, client.auth_token) == (None, "token")


def test_a_copy_does_not_change_with_the_client(client: Client) -> None:
    for made in (copy.copy(client), copy.deepcopy(client), client.with_options()):
        client.max_retries = 9
        assert made.max_retries == 2
        client.max_retries = 2


def test_a_client_is_not_pickled_and_has_no_other_names(client: Client) -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(client)
    with pytest.raises(AttributeError, match="letters"):
        _ = client.letters  # type: ignore[union-attr]
