"""Mocks that are made after a client have what it has, and nothing else."""

from __future__ import annotations

import asyncio
import inspect
from unittest.mock import MagicMock, Mock, create_autospec

import pytest

from apertis import Apertis, AsyncApertis


def result(value: object) -> object:
    async def awaited() -> object:
        return await value  # type: ignore[misc]

    return asyncio.run(awaited()) if inspect.isawaitable(value) else value


@pytest.mark.parametrize("kind", [Apertis, AsyncApertis])
@pytest.mark.parametrize(
    "make",
    [
        lambda kind: Mock(spec=kind),
        lambda kind: MagicMock(spec_set=kind),
        lambda kind: Mock(spec=kind(api_key="k")),
        create_autospec,
        lambda kind: create_autospec(kind, instance=True),
        lambda kind: create_autospec(kind)(api_key="k"),
        lambda kind: create_autospec(kind(api_key="k")),
    ],
    ids=["spec", "spec_set", "of a client", "autospec", "instance", "called", "autospec of one"],
)
def test_a_mock_of_a_client_has_its_resources(kind: type, make: object) -> None:
    client = make(kind)  # type: ignore[operator]
    client.messages.create.return_value = "answer"
    assert result(client.messages.create(model="m", max_tokens=1, messages=[])) == "answer"
    client.messages.batches.retrieve.return_value = "batch"
    assert result(client.messages.batches.retrieve("b")) == "batch"
    client.models.retrieve.return_value = "model"
    assert result(client.models.retrieve("m")) == "model"
    with pytest.raises(AttributeError):
        _ = client.completions


@pytest.mark.parametrize("kind", [Apertis, AsyncApertis])
def test_an_autospec_refuses_what_a_resource_does_not_have(kind: type) -> None:
    client = create_autospec(kind, instance=True)
    for part, name in (
        (client.messages, "send"),
        (client.messages.batches, "x"),
        (client.models, "y"),
    ):
        with pytest.raises(AttributeError):
            getattr(part, name)


@pytest.mark.parametrize("kind", [Apertis, AsyncApertis])
def test_each_client_has_resources_of_its_own(kind: type) -> None:
    one, other = kind(api_key="k"), kind(api_key="k")
    assert isinstance(one.messages, kind.messages)  # type: ignore[attr-defined]
    assert one.messages is not other.messages
    assert one.messages.batches is not other.messages.batches
