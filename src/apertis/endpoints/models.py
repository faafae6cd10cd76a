"""`/v1/models`.

https://docs.claude.com/en/api/models-list
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apertis.endpoints.batches import listing
from apertis.endpoints.parameters import path_part, sort
from apertis.models import ModelInfo, decode, decode_page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.models import Page
    from apertis.sansio.call import Call


def list_(params: Mapping[str, Any]) -> Call[Page[ModelInfo]]:
    """Return a page of the models that the key may use."""
    return listing("/v1/models", params, lambda response: decode_page(ModelInfo, response.body))


def retrieve(model_id: str, options: Mapping[str, Any]) -> Call[ModelInfo]:
    """Return one model."""
    path = f"/v1/models/{path_part('model_id', model_id)}"
    return sort(options).call("GET", path, lambda response: decode(ModelInfo, response.body))
