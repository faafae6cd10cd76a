"""`/v1/messages` and `/v1/messages/count_tokens`.

https://docs.claude.com/en/api/messages
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apertis.endpoints.parameters import require_count, require_messages, require_text, sort
from apertis.errors import APIResponseError, ParameterError
from apertis.models import Message, MessageTokensCount, decode, decode_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.sansio.call import Call
    from apertis.sansio.outcome import Response

# Above this many tokens a response may take longer than the ten minutes after which proxies and
# the service itself cut a silent connection: 600 s at 128,000 tokens an hour.
STREAM_ABOVE_MAX_TOKENS = 21_333

_PATH = "/v1/messages"


def create(params: Mapping[str, Any]) -> Call[Message]:
    """Return a whole message. The call is streamed where a plain one would time out."""
    check_message(params)
    long = params["max_tokens"] > STREAM_ABOVE_MAX_TOKENS
    if long and params.get("stream") is None:
        return stream(params)
    given = sort(params)
    return given.call("POST", _PATH, read_message, has_body=True)


def stream(params: Mapping[str, Any]) -> Call[Message]:
    """Return a message as an event stream."""
    check_message(params)
    given = sort({**params, "stream": True})
    return given.call("POST", _PATH, read_message, has_body=True, streamed=True)


def count_tokens(params: Mapping[str, Any]) -> Call[MessageTokensCount]:
    """Return the number of tokens that a request would have."""
    require_text(params, "model")
    require_messages(params)
    given = sort(params)
    return given.call("POST", f"{_PATH}/count_tokens", read_count, has_body=True)


def check_message(params: Mapping[str, Any]) -> None:
    """Reject what cannot be a request, naming the parameter; the rest is the service's to judge."""
    require_text(params, "model", " (for example 'claude-sonnet-5-5')")
    require_count(params, "max_tokens", " (the most tokens to generate, for example 1024)")
    require_messages(params)
    wish = params.get("stream")
    if wish is not None and not isinstance(wish, bool):
        raise ParameterError("stream: expected True or False", param="stream")


def not_streamed_error(message: Message) -> APIResponseError:
    """Return the exception for a whole message in place of events; it is in `partial`."""
    error = APIResponseError("an event stream was asked for, and a whole message came")
    error.partial = message
    error.request_id = message.request_id
    error.headers = message.response.headers
    error.retries = message.response.retries
    return error


def read_message(response: Response) -> Message:
    """Return the message in a response."""
    return decode_message(response.body)


def read_count(response: Response) -> MessageTokensCount:
    """Return the count in a response."""
    return decode(MessageTokensCount, response.body)
