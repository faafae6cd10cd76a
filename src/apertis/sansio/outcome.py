"""The outcome of one attempt: a response or a failure, as values, and the error each stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from apertis.errors import (
    STATUS_BY_TYPE,
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    RedirectError,
    redact,
    status_error_class,
)
from apertis.models import WholeResponse
from apertis.models.json import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.models import Headers, RequestInfo

E = TypeVar("E", bound=APIError)

# Enough of an unreadable answer to recognize a proxy's page by.
SHOWN_CHARACTERS = 200
# Larger than any answer of the API that is not a stream; the same as for one event of those.
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class Response(msgspec.Struct, frozen=True):
    """A whole response."""

    status: int
    headers: Headers
    body: bytes

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes)"

    @property
    def ok(self) -> bool:
        """True if the status is a success."""
        return 200 <= self.status < 300


class Failure(msgspec.Struct, frozen=True):
    """No whole response: why, as a sentence, and which deadline passed, if one did.

    `where` is the server's address as a person would type it. `permanent` marks what a second try
    cannot fix: a certificate that does not fit, a host name that is none. `unsent`: no connection
    came about, and the request never left. `busy`: there was none to be had, and so nothing is
    known of the server. `status` and `headers` are those of a response that is `malformed`, where
    its head came.
    """

    reason: str
    where: str = ""
    deadline: str | None = None
    permanent: bool = False
    malformed: bool = False
    unsent: bool = False
    busy: bool = False
    cause: BaseException | None = None
    status: int = 200
    headers: Headers | None = None

    def of(self, status: int, headers: Headers) -> Failure:
        """Return the failure of a response with this head."""
        if not self.malformed:
            return self
        return msgspec.structs.replace(self, status=status, headers=headers)


TOO_LARGE = Failure(f"the response is larger than {MAX_ANSWER_BYTES} bytes", malformed=True)


def too_late(where: str, deadline: str) -> Failure:
    """Return the failure of a connection on which a deadline passed."""
    what = {"total": "the whole call took too long", "idle": "it fell silent"}
    said = what.get(deadline, "it did not answer in time")
    return Failure(f"{where}: {said} (timeout: {deadline})", where, deadline)


def broken(where: str, error: Exception) -> Failure:
    """Return the failure of a connection that broke."""
    text = str(getattr(error, "strerror", None) or error).lower()
    return Failure(f"the connection to {where} broke: {text}", where, cause=error)


def all_in_use(limit: int, deadline: str) -> Failure:
    """Return the failure of a wait for one of so many connections."""
    reason = f"all {limit} connections are in use (timeout: {deadline})"
    return Failure(reason, deadline=deadline, unsent=True, busy=True)


class StreamError(msgspec.Struct, frozen=True):
    """An error behind a 200, as its decoded document: an `error` event, or a body of that kind."""

    document: Mapping[str, Any]
    headers: Headers

    def __repr__(self) -> str:
        return f"StreamError({status_of(self.document)})"


Outcome = Response | Failure | StreamError

# As far as the word stands that tells an error document; a response is not searched to its end.
_SEARCHED_BYTES = 256


def judged(outcome: Response | Failure) -> Outcome:
    """Return the outcome, or the error that a 2xx carries, as some gateways send it."""
    if isinstance(outcome, Failure) or not outcome.ok:
        return outcome
    document = error_document(outcome.body)
    return outcome if document is None else StreamError(document, outcome.headers)


def error_document(body: bytes) -> dict[str, Any] | None:
    """Return the document, if a body is one that says an error."""
    if b'"error"' not in body[:_SEARCHED_BYTES]:
        return None
    document = _object(_document(body))
    error = _object(document.get("error"))
    told = document.get("type") == "error" or _text(error.get("message")) is not None
    return document if error and told and "id" not in document else None


def error_from(outcome: Outcome, *, now: float, retries: int = 0) -> APIError:
    """Return the exception for an unsuccessful outcome. `now` is in Unix seconds."""
    if isinstance(outcome, Failure):
        error = _connection_error(outcome)
    elif isinstance(outcome, StreamError):
        error = _status_error(
            status_of(outcome.document), outcome.headers, outcome.document, b"", now
        )
    else:
        document = _document(outcome.body)
        error = _status_error(outcome.status, outcome.headers, document, outcome.body, now)
    error.retries = retries
    if isinstance(error, APIStatusError) and not isinstance(outcome, Failure):
        status, body = 200, b""
        if isinstance(outcome, Response):
            status, body = outcome.status, outcome.body
        else:
            body = msgspec.json.encode(outcome.document)
        error.response = WholeResponse(status, outcome.headers, retries, content=body)
    return error


def tell_request(error: E, request: RequestInfo) -> E:
    """Return the error, which knows by now what was sent."""
    error.request = request
    if isinstance(error, APIStatusError | APIResponseError):
        whole = error.__dict__.get("response")
        if isinstance(whole, WholeResponse):
            error.response = msgspec.structs.replace(whole, request=request)
    return error


# What an error has of the service's own words.
_ECHOES = frozenset({"message", "body", "type", "code", "param", "location", "request_id"})


def blanked(error: E, secrets: tuple[str, ...]) -> E:
    """Return the error, with its request's secrets blanked wherever they were echoed."""
    for name in _ECHOES & error.__dict__.keys():
        error.__dict__[name] = _redacted(error.__dict__[name], secrets)
    error.args = (error.message,)
    came = error.__dict__.get("response")
    if isinstance(came, WholeResponse):
        content = redact(came.content.decode("utf-8", "surrogateescape"), *secrets)
        shown = content.encode("utf-8", "surrogateescape")
        error.__dict__["response"] = msgspec.structs.replace(came, content=shown)
    return error


def response_error(response: Response, reason: str) -> APIResponseError:
    """Return the exception for a 200 that is no response of the API."""
    shown = beginning(response.body)
    kind = response.headers.get("content-type") or "no content-type"
    came = f"it begins with {shown!r}" if shown else "it is empty"
    error = APIResponseError(f"the response cannot be read ({kind}): {reason}; {came}")
    error.status = response.status
    error.body = shown
    error.headers = response.headers
    error.response = WholeResponse(response.status, response.headers, content=response.body)
    error.request_id = request_id(response.headers)
    return error


def beginning(body: bytes) -> str:
    """Return the first characters of a body, for a person to look at."""
    text = body[: SHOWN_CHARACTERS * 4].decode("utf-8", "replace")
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def request_id(headers: Headers) -> str | None:
    """Return the service's name for the request."""
    return headers.get("request-id") or headers.get("x-request-id")


def retry_after(headers: Headers, now: float) -> float | None:
    """Return the seconds that the service asks to wait: `retry-after-ms`, else `retry-after`.

    The latter is a number of seconds or a date (RFC 9110, section 10.2.3).
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(milliseconds / 1000, 0.0)
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None or text is None:
        return seconds if seconds is None else max(seconds, 0.0)
    from email.utils import parsedate_to_datetime  # Slow to import, rarely used.

    try:
        return max(parsedate_to_datetime(text).timestamp() - now, 0.0)
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return None if value is None or value != value or value == float("inf") else value


def _connection_error(failure: Failure) -> APIError:
    kind: type[APIError] = APIConnectionError
    if failure.malformed:
        kind = APIResponseError
    elif failure.deadline is not None:
        kind = APITimeoutError
    error = kind(failure.reason)
    if isinstance(error, APIResponseError) and failure.headers is not None:
        error.status = failure.status
        error.headers = failure.headers
        error.request_id = request_id(failure.headers)
    if isinstance(error, APITimeoutError) and failure.deadline is not None:
        error.deadline = failure.deadline
    error.__cause__ = failure.cause
    return error


def _document(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except UNREADABLE:
        return beginning(body)


def status_of(document: object) -> int:
    """Return the HTTP status that an error document stands for, by its type."""
    kind = _facts(document).get("type")
    return STATUS_BY_TYPE.get(kind, 500) if isinstance(kind, str) else 500


def _facts(document: object) -> dict[str, Any]:
    """Return the inner object of `{"error": {...}}`, whatever really came."""
    outer = _object(document)
    inner = outer.get("error")
    if isinstance(inner, str):
        return {"message": inner}
    if inner is not None:
        return _object(inner)
    return outer if isinstance(outer.get("message"), str) else {}


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _status_error(
    status: int, headers: Headers, document: object, body: bytes, now: float
) -> APIStatusError:
    facts = _facts(document)
    said = _text(facts.get("message")) or beginning(body).strip() or "no explanation came"
    location = headers.get("location") if 300 <= status < 400 else None
    if location is not None:
        said = f"the server redirects to {location}; set base_url to where the service is"
    code = _text(facts.get("code"))
    error = status_error_class(status)(f"{status}{f' {code}' if code else ''}: {said}")
    error.status = status
    error.type = _text(facts.get("type"))
    error.code = code
    error.param = _text(facts.get("param"))
    error.body = document
    error.headers = headers
    error.retry_after = retry_after(headers, now)
    error.request_id = request_id(headers)
    if error.request_id is None:
        error.request_id = _text(_object(document).get("request_id"))
    if isinstance(error, RedirectError):
        error.location = location
    return error


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _redacted(value: object, secrets: tuple[str, ...]) -> object:
    if isinstance(value, str):
        return redact(value, *secrets)
    if isinstance(value, list):
        return [_redacted(item, secrets) for item in cast("list[object]", value)]
    items = _object(value)
    return {name: _redacted(item, secrets) for name, item in items.items()} if items else value
