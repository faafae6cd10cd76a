"""The names that a program may rely on."""

from __future__ import annotations

import importlib
import inspect

import pytest

import apertis
from apertis import errors

EXPECTED = {
    "Apertis",
    "AsyncApertis",
    "Timeout",
    "Stream",
    "AsyncStream",
    "MessageStream",
    "AsyncMessageStream",
    "Message",
    "image",
    "document",
    "__version__",
}


def test_the_names_are_these() -> None:
    kinds = {kind.__name__ for kind in vars(errors).values() if inspect.isclass(kind)}
    classes = {name for name in kinds if issubclass(getattr(errors, name), errors.ApertisError)}
    assert set(apertis.__all__) == EXPECTED | classes
    assert len(apertis.__all__) == len(set(apertis.__all__))


@pytest.mark.parametrize("name", apertis.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(apertis, name) is getattr(apertis, name)
    assert name in dir(apertis)


@pytest.mark.parametrize("module", ["apertis.models", "apertis.params", "apertis.testing"])
def test_every_name_of_the_other_public_modules_is_there(module: str) -> None:
    found = importlib.import_module(module)
    assert found.__all__
    for name in found.__all__:
        assert hasattr(found, name), name


def test_what_runs_and_sums_give_has_root_names() -> None:
    client = apertis.Apertis(api_key="k")
    assert type(client.spent) is apertis.Spent
    assert apertis.BatchRun.__module__ == "apertis.endpoints.batch_runs"


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Antropic'"):
        _ = apertis.Antropic


def test_a_client_has_the_resources_and_methods() -> None:
    client = apertis.Apertis(api_key="k")
    for path in (
        "messages.create",
        "messages.stream",
        "messages.count_tokens",
        "messages.batches.create",
        "messages.batches.retrieve",
        "messages.batches.list",
        "messages.batches.cancel",
        "messages.batches.delete",
        "messages.batches.results",
        "messages.batches.wait",
        "models.list",
        "models.retrieve",
        "request",
        "with_options",
        "close",
    ):
        found: object = client
        for name in path.split("."):
            found = getattr(found, name)
        assert callable(found), path


def test_a_star_import_gives_the_names() -> None:
    names: dict[str, object] = {}
    exec("from apertis import *", names)
    assert set(apertis.__all__) <= names.keys()
