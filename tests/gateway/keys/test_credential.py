from __future__ import annotations

import pytest

from apertis.gateway.keys.credential import credential_of


@pytest.mark.parametrize(
    ("headers", "credential"),
    [
        ({"authorization": "Bearer sk-first"}, "sk-first"),
        ({"authorization": "bearer   sk-first "}, "sk-first"),
        ({"x-api-key": " sk-first "}, "sk-first"),
        ({"authorization": "Bearer sk-first", "x-api-key": "sk-second"}, "sk-first"),
        ({"authorization": "Bearer ", "x-api-key": "sk-second"}, "sk-second"),
        ({"authorization": "Basic abc", "x-api-key": "sk-second"}, "sk-second"),
        ({"authorization": "Basic abc"}, None),
        ({"x-api-key": " "}, None),
        ({}, None),
    ],
)
def test_the_bearer_token_wins_over_the_key_header(
    headers: dict[str, str], credential: str | None
) -> None:
    assert credential_of(headers) == credential
