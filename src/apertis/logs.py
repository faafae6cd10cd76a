"""Messages that the library sends to the standard `logging`, under the name `apertis`.

`APERTIS_LOG=info` writes a line a request, `APERTIS_LOG=debug` its headers and sizes as well. What
a user or a model said is never in them, and neither is a key.
"""

from __future__ import annotations

import logging
from logging import DEBUG, INFO
from typing import TYPE_CHECKING, Any

from apertis.errors import ConfigurationError
from apertis.sansio.outcome import Failure, Response, request_id
from apertis.sansio.request import shown_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.models import Headers
    from apertis.sansio.call import Call
    from apertis.sansio.outcome import Outcome
    from apertis.sansio.settings import ClientSettings

logger = logging.getLogger("apertis")

_LEVELS = {"info": INFO, "debug": DEBUG}


def configure(environ: Mapping[str, str]) -> None:
    """Do what `APERTIS_LOG` says; without it the application's own logging rules."""
    wish = environ.get("APERTIS_LOG", "").strip().lower()
    if not wish:
        return
    if wish not in _LEVELS:
        raise ConfigurationError(f"APERTIS_LOG must be info or debug; it is {wish!r}")
    logger.setLevel(_LEVELS[wish])
    if not logger.handlers and not logging.getLogger().handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        logger.addHandler(handler)


def sending(call: Call[Any], settings: ClientSettings) -> None:
    """Log the beginning of a call; ask for the level `DEBUG` before."""
    headers = shown_headers(settings.request_headers(call).items())
    logger.debug("%s %s, %d bytes, %s", call.method, call.path, len(call.body or b""), headers)


def answered(call: Call[Any], status: int, headers: Headers, seconds: float) -> None:
    """Log the head of a response; ask for the level `INFO` before."""
    name = request_id(headers) or "-"
    logger.info("%s %s %d in %.3f s (%s)", call.method, call.path, status, seconds, name)
    if logger.isEnabledFor(DEBUG):
        logger.debug("response headers %s", shown_headers(headers.items()))


def retrying(call: Call[Any], outcome: Outcome, delay: float, retries: int) -> None:
    """Log a failure that is retried."""
    if logger.isEnabledFor(INFO):
        why = _named(outcome)
        tries = retries + 1
        logger.info("%s %s again in %.2f s, try %d: %s", call.method, call.path, delay, tries, why)


def failed(call: Call[Any], outcome: Outcome, seconds: float) -> None:
    """Log a failure that is not retried."""
    if not logger.isEnabledFor(INFO):
        return
    if isinstance(outcome, Response):
        answered(call, outcome.status, outcome.headers, seconds)
    else:
        logger.info("%s %s failed in %.3f s: %s", call.method, call.path, seconds, _named(outcome))


def _named(outcome: Outcome) -> str:
    if isinstance(outcome, Failure):
        # What cannot be read is quoted in the reason, and may be what the model said.
        return "a response that cannot be read" if outcome.malformed else outcome.reason
    return str(outcome.status) if isinstance(outcome, Response) else "an error event"
