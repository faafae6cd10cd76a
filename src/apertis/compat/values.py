"""Constants and small functions that `anthropic` has at its root."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from apertis.sansio.marks import is_absent
from apertis.sansio.retry import RetryPolicy
from apertis.sansio.settings import MAX_CONNECTIONS
from apertis.sansio.timeouts import Timeout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from typing import TypedDict

    class RequestOptions(TypedDict, total=False):
        """The `options` of `client.get`, `client.post` and their like."""

        headers: Mapping[str, Any]
        params: Mapping[str, Any]
        extra_json: Mapping[str, Any]
        max_retries: int
        timeout: float | Timeout | None

else:
    RequestOptions = dict

HUMAN_PROMPT = "\n\nHuman:"
AI_PROMPT = "\n\nAssistant:"
DEFAULT_TIMEOUT = Timeout()
DEFAULT_MAX_RETRIES = RetryPolicy().max_retries
DEFAULT_CONNECTION_LIMITS = {"max_connections": MAX_CONNECTIONS, "max_keepalive_connections": 100}
# Announced by Anthropic, with the day on which each is switched off.
DEPRECATED_MODELS = {
    "claude-opus-4-5": "January 22nd, 2027",
    "claude-opus-4-5-20251101": "January 22nd, 2027",
    "claude-sonnet-4-5": "November 30th, 2026",
    "claude-sonnet-4-5-20250929": "November 30th, 2026",
}
NoneType = type(None)


def is_given(value: object) -> bool:
    """Return whether a value is not one of the marks for no value."""
    return not is_absent(value)


def file_from_path(path: str | PathLike[str]) -> tuple[str, bytes]:
    """Return a file's name and its bytes."""
    return Path(path).name, Path(path).read_bytes()
