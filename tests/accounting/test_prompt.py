"""What a body holds; what follows from it is tested with the estimates."""

from __future__ import annotations

import msgspec
import pytest

from apertis.accounting.prompt import MAX_WINDOW, read_prompt


def test_what_a_body_asks_for_is_in_its_prompt() -> None:
    prompt = read_prompt(
        msgspec.json.encode(
            {
                "system": [{"type": "text", "text": "s", "cache_control": {"ttl": "5m"}}],
                "speed": "fast",
                "inference_geo": "us",
                "tools": [{"type": "web_search_20250305", "name": "s", "max_uses": 3}],
                "messages": [
                    {"content": [{"type": "image", "source": {"type": "base64", "data": "AAAA"}}]}
                ],
            }
        )
    )
    assert (prompt.cached, prompt.hour, prompt.fast, prompt.us_only) == (True, False, True, True)
    assert (prompt.searches, prompt.images, prompt.own_tools) == (3, 1, 1)
    assert prompt.allowance() == 6_000 + 3 * 12_000
    assert prompt.likely() < prompt.largest() < MAX_WINDOW


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"system":{"cache_control":1}}'])
def test_a_body_that_cannot_be_read_may_hold_whatever_is_dear(body: bytes) -> None:
    prompt = read_prompt(body)
    assert prompt.largest() == MAX_WINDOW
    assert prompt.cached
    assert prompt.hour
    assert prompt.fast
    assert prompt.us_only
    assert prompt.searches == 100
