"""`/v1/messages/batches`.

https://docs.claude.com/en/api/creating-message-batches
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from apertis.endpoints.parameters import body_of, path_part, sort
from apertis.errors import APITimeoutError, ParameterError
from apertis.models import (
    DeletedMessageBatch,
    MessageBatch,
    MessageBatchIndividualResponse,
    SucceededResult,
    decode,
    decode_page,
)
from apertis.sansio.marks import without_absent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from apertis.models import Page
    from apertis.sansio.call import Call
    from apertis.sansio.outcome import Response

_PATH = "/v1/messages/batches"


def create(params: Mapping[str, Any]) -> Call[MessageBatch]:
    """Return a new batch of requests."""
    requests: object = params.get("requests")
    if isinstance(requests, str | bytes | dict) or not hasattr(requests, "__iter__"):
        raise ParameterError(
            "requests: expected a list of {'custom_id': ..., 'params': {...}}", param="requests"
        )
    known = isinstance(requests, list | tuple)
    for index, request in enumerate(cast("Sequence[object]", requests) if known else ()):
        if not hasattr(request, "keys") and not hasattr(request, "model_dump"):
            raise ParameterError(
                f"requests[{index}]: expected {{'custom_id': ..., 'params': {{...}}}}, "
                f"got {type(request).__name__}",
                param=f"requests[{index}]",
            )
    return _call("POST", _PATH, params, _batch)


def retrieve(batch_id: str, options: Mapping[str, Any]) -> Call[MessageBatch]:
    """Return the current state of a batch."""
    return _call("GET", _of(batch_id), options, _batch)


def list_(params: Mapping[str, Any]) -> Call[Page[MessageBatch]]:
    """Return a page of batches, newest first."""
    return listing(_PATH, params, lambda response: decode_page(MessageBatch, response.body))


def cancel(batch_id: str, options: Mapping[str, Any]) -> Call[MessageBatch]:
    """Cancel a batch; it is returned in its new state."""
    return _call("POST", f"{_of(batch_id)}/cancel", options, _batch)


def delete(batch_id: str, options: Mapping[str, Any]) -> Call[DeletedMessageBatch]:
    """Return the batch's id, as a receipt."""

    def read(response: Response) -> DeletedMessageBatch:
        return decode(DeletedMessageBatch, response.body)

    return _call("DELETE", _of(batch_id), options, read)


def results(batch_id: str, options: Mapping[str, Any]) -> Call[MessageBatchIndividualResponse]:
    """Return the results as JSON lines; `read` takes one line."""

    def read(response: Response) -> MessageBatchIndividualResponse:
        found = decode(MessageBatchIndividualResponse, response.body)
        if isinstance(found.result, SucceededResult):
            # It costs what batches cost.
            found.result.message.__dict__["_batch"] = True
        return found

    return _call("GET", f"{_of(batch_id)}/results", options, read)


def ended(batch: MessageBatch) -> bool:
    """Return whether nothing of the batch is still to come."""
    return batch.processing_status == "ended"


def check_wait(poll_interval: float, max_wait: float | None) -> None:
    """Reject what is no time to wait."""
    for name, value in (("poll_interval", poll_interval), ("max_wait", max_wait)):
        known = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        if not known and (value is not None or name == "poll_interval"):
            raise ParameterError(
                f"{name}: expected a number of seconds, 0 or more; it is {value!r}", param=name
            )


def not_ended_error(batch_id: str, batch: MessageBatch | None, seconds: float) -> APITimeoutError:
    """Return the exception for a batch that takes longer than its caller wants to wait."""
    state = "not known yet" if batch is None else batch.processing_status
    return APITimeoutError(
        f"batch {batch_id} is {state} after {seconds:g} seconds; "
        "it goes on, and retrieve(), wait() or run(batch_id=...) can ask again"
    )


def listing(path: str, params: Mapping[str, Any], read: Callable[[Response], Any]) -> Call[Any]:
    """Return a call for one page of a list; the parameters go into the query."""
    given = sort(params)
    query = {**{k: v for k, v in given.body.items() if v is not None}, **(given.query or {})}
    return given._replace(query=query or None).call("GET", path, read)


def _of(batch_id: str) -> str:
    return f"{_PATH}/{path_part('message_batch_id', batch_id)}"


def _batch(response: Response) -> MessageBatch:
    return decode(MessageBatch, response.body)


def _call(
    method: str, path: str, params: Mapping[str, Any], read: Callable[[Response], Any]
) -> Call[Any]:
    given = sort(without_absent(params))
    body = body_of(given.body) if given.body or method == "POST" else None
    return given.call(method, path, read, body=body)
