"""Message batches: many requests, answered within a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from apertis.models.events import ErrorDetail  # noqa: TC001 - msgspec reads the annotations.
from apertis.models.message import Message  # noqa: TC001 - msgspec reads the annotations.
from apertis.models.model import Model, Result, Tagged, Unknown
from apertis.models.times import Timestamp  # noqa: TC001 - msgspec reads the annotations.

ProcessingStatus: TypeAlias = Literal["in_progress", "canceling", "ended"]

if TYPE_CHECKING:
    OpenProcessingStatus: TypeAlias = ProcessingStatus | str
else:
    # The list above is what is known, not what may come.
    OpenProcessingStatus = str


class MessageBatchRequestCounts(Model):
    """The requests of a batch by state. All but `processing` stay 0 until the batch ends."""

    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class MessageBatch(Result, Tagged, tag="message_batch"):
    """A batch and how far it is."""

    type: Literal["message_batch"] = "message_batch"
    id: str
    processing_status: OpenProcessingStatus
    request_counts: MessageBatchRequestCounts
    created_at: Timestamp
    expires_at: Timestamp | None = None
    ended_at: Timestamp | None = None
    archived_at: Timestamp | None = None
    cancel_initiated_at: Timestamp | None = None
    results_url: str | None = None


class DeletedMessageBatch(Result, Tagged, tag="message_batch_deleted"):
    """A batch that is gone."""

    type: Literal["message_batch_deleted"] = "message_batch_deleted"
    id: str


class UnknownBatchResult(Unknown):
    """An outcome of a kind that this version does not know."""


class _BatchResult(Tagged):
    unknown_variant: ClassVar[type[Unknown] | None] = UnknownBatchResult


class SucceededResult(_BatchResult, tag="succeeded"):
    """The request was answered."""

    type: Literal["succeeded"] = "succeeded"
    message: Message


class ErrorResponse(Model):
    """An error as the API says it; `type` is `error`."""

    error: ErrorDetail
    type: str | None = None
    request_id: str | None = None


class ErroredResult(_BatchResult, tag="errored"):
    """The request failed; nothing is charged for it."""

    type: Literal["errored"] = "errored"
    error: ErrorResponse


class CanceledResult(_BatchResult, tag="canceled"):
    """The batch was canceled before the request's turn; nothing is charged for it."""

    type: Literal["canceled"] = "canceled"


class ExpiredResult(_BatchResult, tag="expired"):
    """The batch ran out of time before the request's turn; nothing is charged for it."""

    type: Literal["expired"] = "expired"


_Known = SucceededResult | ErroredResult | CanceledResult | ExpiredResult
if TYPE_CHECKING:
    BatchResult: TypeAlias = _Known | UnknownBatchResult
else:
    BatchResult = _Known


class MessageBatchIndividualResponse(Model):
    """The result of one request of a batch. They come in any order: match by `custom_id`."""

    custom_id: str
    result: BatchResult
