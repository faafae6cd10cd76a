"""Batches from their requests to their results: what is decided on the way."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import msgspec

from apertis.errors import APIConnectionError, APIStatusError, ParameterError
from apertis.models import SucceededResult
from apertis.progress import reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from apertis.models import MessageBatch, MessageBatchIndividualResponse

# So many times in a row a batch may not be told of before its caller hears of it.
MAX_FAILURES = 10
_MIN_FAILED_STATUS = 500


class BatchRun(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that has ended, with its results in the order of its requests.

    `failed` are those without a message: errored, canceled or expired. `missing` are the
    `custom_id`s of requests of which the results say nothing.
    """

    batch: MessageBatch
    succeeded: tuple[MessageBatchIndividualResponse, ...]
    failed: tuple[MessageBatchIndividualResponse, ...]
    missing: tuple[str, ...] = ()

    @property
    def cost(self) -> Decimal | None:
        """The cost of the messages in dollars; None where that of one is not known."""
        total = Decimal(0)
        for entry in self.succeeded:
            if isinstance(entry.result, SucceededResult):
                cost = entry.result.message.cost
                if cost is None:
                    return None
                total += cost
        return total

    def __repr__(self) -> str:
        # The rest is what users and a model said.
        return (
            f"BatchRun(batch={self.batch.id!r}, succeeded={len(self.succeeded)}, "
            f"failed={len(self.failed)}, missing={len(self.missing)})"
        )


def names_of(requests: Any, batch_id: str | None) -> list[str]:
    """Return the `custom_id`s of requests, in their order.

    Raises:
        ParameterError: There are none, or one has no name of its own.
    """
    if requests is None and batch_id is not None:
        return []
    if not isinstance(requests, list | tuple) or not requests:
        raise ParameterError(
            "requests: expected a list of at least one request; to go on with a batch that was "
            "created earlier, give its batch_id",
            param="requests",
        )
    names: dict[str, int] = {}
    for place, request in enumerate(cast("Sequence[Any]", requests)):
        is_object = isinstance(request, dict)
        name = cast("dict[str, Any]", request).get("custom_id") if is_object else None
        where = f"requests[{place}].custom_id"
        if not isinstance(name, str) or not name:
            raise ParameterError(f"{where}: expected a text", param=where)
        if name in names:
            raise ParameterError(
                f"{where}: {name[:64]!r} is the name of requests[{names[name]}] too; each needs "
                "one of its own",
                param=where,
            )
        names[name] = place
    return list(names)


def in_order(
    batch: MessageBatch,
    names: Sequence[str],
    found: Mapping[str, MessageBatchIndividualResponse],
) -> BatchRun:
    """Sort results, by name, in the order of these names; what has another name comes last."""
    order = dict.fromkeys((*names, *found))
    entries = [found[name] for name in order if name in found]
    return BatchRun(
        batch=batch,
        succeeded=tuple(entry for entry in entries if entry.result.type == "succeeded"),
        failed=tuple(entry for entry in entries if entry.result.type != "succeeded"),
        missing=tuple(name for name in names if name not in found),
    )


def is_passing(error: Exception, failures: int) -> bool:
    """Return whether a batch may be asked for again after this, the so-many-th failure in a row."""
    if failures >= MAX_FAILURES:
        return False
    if isinstance(error, APIStatusError):
        return error.status_code >= _MIN_FAILED_STATUS or error.status_code in (408, 429)
    return isinstance(error, APIConnectionError)


def progress_reporter(wish: Any) -> Callable[[MessageBatch], Any] | None:
    """Return the function that is told of each state of a batch."""
    return reporter(wish, "MessageBatch", "requests", _draw)


def _draw(bar: Any, batch: MessageBatch) -> None:
    counts = batch.request_counts
    over = counts.succeeded + counts.errored + counts.canceled + counts.expired
    bar.total, bar.n = over + counts.processing, over
    bar.set_postfix(failed=over - counts.succeeded)
    if batch.processing_status == "ended":
        bar.close()
