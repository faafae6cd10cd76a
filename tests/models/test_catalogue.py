"""Models in the catalogue, token counts and batches."""

import json
from typing import Any

import pytest

from apertis.models import (
    DeletedMessageBatch,
    ErroredResult,
    ExpiredResult,
    Malformed,
    MessageBatch,
    MessageBatchIndividualResponse,
    MessageTokensCount,
    ModelInfo,
    SucceededResult,
    UnknownBatchResult,
    decode,
    decode_page,
)

SHAPES: list[dict[str, Any]] = [
    {"data": [{"id": "m", "name": "M"}]},
    {
        "object": "list",
        "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "a"}],
    },
    {
        "data": [
            {
                "type": "model",
                "id": "m",
                "display_name": "The M",
                "created_at": "2026-01-01T00:00:00Z",
                "lifecycle": "active",
                "max_tokens": 64000,
                "capabilities": {
                    "batch": {"supported": True},
                    "thinking": {
                        "supported": True,
                        "types": {"adaptive": {"supported": True}, "enabled": {"supported": False}},
                    },
                    "telepathy": {"supported": False},
                },
            }
        ],
        "has_more": False,
        "first_id": "m",
        "last_id": "m",
    },
]


@pytest.mark.parametrize(
    ("shape", "name"), [*zip(SHAPES, ["M", "m", "The M"], strict=True)], ids=["docs", "list", "api"]
)
def test_every_shape_of_the_list_is_read(shape: dict[str, Any], name: str) -> None:
    page = decode_page(ModelInfo, json.dumps(shape).encode())
    assert page.data[0].id == "m"
    assert page.data[0].display_name == name
    assert page.to_dict() == shape
    assert page.data[0].to_dict() == shape["data"][0]


def test_capabilities_are_typed_and_open() -> None:
    model = decode(ModelInfo, json.dumps(SHAPES[2]["data"][0]).encode())
    assert model.capabilities is not None
    assert model.capabilities.thinking is not None
    assert model.capabilities.thinking.types is not None
    assert model.capabilities.thinking.types.adaptive is not None
    assert model.capabilities.thinking.types.adaptive.supported
    assert model.capabilities.telepathy == {"supported": False}  # type: ignore[attr-defined]


def test_a_null_display_name_falls_back() -> None:
    assert decode(ModelInfo, b'{"id": "m", "display_name": null}').display_name == "m"


def test_a_model_without_an_id_is_malformed() -> None:
    with pytest.raises(Malformed, match="id: is missing"):
        decode(ModelInfo, b'{"name": "M"}')


def test_a_token_count_is_read() -> None:
    assert decode(MessageTokensCount, b'{"input_tokens": 12}').input_tokens == 12
    text = b'{"input_tokens": 1, "context_management": {"original_input_tokens": 5}}'
    cleared = decode(MessageTokensCount, text).context_management
    assert cleared is not None
    assert cleared.original_input_tokens == 5


def test_a_batch_is_read() -> None:
    counts = {"processing": 1, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    document = {
        "id": "b",
        "type": "message_batch",
        "processing_status": "in_progress",
        "request_counts": counts,
        "created_at": "2026-01-01T00:00:00Z",
        "expires_at": "2026-01-02T00:00:00Z",
        "ended_at": None,
        "results_url": None,
    }
    batch = decode(MessageBatch, json.dumps(document).encode())
    assert (batch.processing_status, batch.request_counts.processing) == ("in_progress", 1)
    assert batch.to_dict() == document
    gone = decode(DeletedMessageBatch, b'{"id": "b", "type": "message_batch_deleted"}')
    assert gone.id == "b"
    with pytest.raises(Malformed, match="type: expected message_batch, got 'message'"):
        decode(MessageBatch, b'{"id": "b", "type": "message"}')


def test_every_outcome_of_a_request_of_a_batch_is_read() -> None:
    def result(outcome: dict[str, Any]) -> Any:
        line = {"custom_id": "c", "result": outcome}
        read = decode(MessageBatchIndividualResponse, json.dumps(line).encode())
        assert read.to_dict() == line
        return read.result

    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Hi"}],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    succeeded = result({"type": "succeeded", "message": answer})
    assert isinstance(succeeded, SucceededResult)
    assert succeeded.message.text == "Hi"
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}
    errored = result({"type": "errored", "error": error})
    assert isinstance(errored, ErroredResult)
    assert errored.error.error.message == "no"
    assert isinstance(result({"type": "expired"}), ExpiredResult)
    unknown = result({"type": "postponed", "until": "noon"})
    assert isinstance(unknown, UnknownBatchResult)
    assert unknown.until == "noon"
