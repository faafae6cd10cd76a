"""`inspect.signature` shows what a method takes."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from apertis import Apertis, AsyncApertis
from apertis.params import (
    BatchCreateParams,
    CountTokensParams,
    CreateParams,
    ListParams,
    ModelListParams,
    OptionParams,
    StreamParams,
)

STREAM = {"output_format", "via"}
PARSE = {"output_format", "via", "repair", "repair_max_tokens"}
METHODS: list[tuple[str, Any, list[str], set[str]]] = [
    ("messages.create", CreateParams, ["model", "messages", "max_tokens", "stream"], {"stream"}),
    (
        "messages.stream",
        StreamParams,
        ["model", "messages", "max_tokens"],
        {"output_format", "via"},
    ),
    ("messages.parse", CreateParams, ["model", "messages", "max_tokens"], PARSE),
    ("messages.count_tokens", CountTokensParams, ["model", "messages"], {"output_format"}),
    ("messages.batches.create", BatchCreateParams, ["requests"], set()),
    ("messages.batches.list", ListParams, [], set()),
    ("messages.batches.retrieve", OptionParams, ["message_batch_id"], {"message_batch_id"}),
    ("messages.batches.results", OptionParams, ["message_batch_id"], {"message_batch_id"}),
    ("models.list", ModelListParams, [], set()),
    ("models.retrieve", OptionParams, ["model_id"], {"model_id"}),
    ("request", OptionParams, ["method", "path", "json"], {"method", "path", "json"}),
]


@pytest.mark.parametrize("kind", [Apertis, AsyncApertis])
@pytest.mark.parametrize(("name", "params", "first", "own"), METHODS, ids=[m[0] for m in METHODS])
def test_a_signature_shows_every_parameter(
    kind: type, name: str, params: Any, first: list[str], own: set[str]
) -> None:
    method: Any = kind(api_key="k")
    for step in name.split("."):
        method = getattr(method, step)
    signature = inspect.signature(method)
    assert isinstance(signature, inspect.Signature)
    assert list(signature.parameters)[: len(first)] == first
    assert set(signature.parameters) == params.__annotations__.keys() | own
    assert all(p.kind is not p.VAR_KEYWORD for p in signature.parameters.values())
    assert "Required" not in str(signature)
    unbound = inspect.signature(method.__func__)
    assert isinstance(unbound, inspect.Signature)
    assert next(iter(unbound.parameters)) == "self"
    assert str(unbound) == repr(unbound).removeprefix("<Signature ").removesuffix(">")
    assert unbound == unbound.replace()
    assert inspect.iscoroutinefunction(method) is inspect.iscoroutinefunction(method.__func__)


@pytest.mark.parametrize("kind", [Apertis, AsyncApertis])
def test_a_signature_tells_what_is_required(kind: type) -> None:
    signature = inspect.signature(kind(api_key="k").messages.create)
    parameters = signature.parameters
    required = [p.name for p in parameters.values() if p.default is p.empty]
    assert required == ["model", "messages", "max_tokens"]
    assert parameters["model"].annotation == "str"
    signature.bind(model="m", max_tokens=1, messages=[], stream=True, extra_body={})
    for wrong in ({}, {"model": "m", "max_tokens": 1, "messages": [], "max_token": 2}):
        with pytest.raises(TypeError):
            signature.bind(**wrong)
