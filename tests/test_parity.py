"""The two clients have the same names, the same parameters, and the same words about them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from typing import Any

import pytest

import apertis.aio
import apertis.sync

PAIRS = {
    "client": [("Apertis", "AsyncApertis")],
    "resources": [
        ("Messages", "AsyncMessages"),
        ("Batches", "AsyncBatches"),
        ("Models", "AsyncModels"),
    ],
    "stream": [
        ("Stream", "AsyncStream"),
        ("MessageStream", "AsyncMessageStream"),
        ("MessageStreamManager", "AsyncMessageStreamManager"),
    ],
    "pages": [("Page", "AsyncPage")],
}
CLASSES = [
    pytest.param(
        getattr(importlib.import_module(f"apertis.sync.{module}"), sync),
        getattr(importlib.import_module(f"apertis.aio.{module}"), aio),
        id=sync,
    )
    for module, pairs in PAIRS.items()
    for sync, aio in pairs
]
# The async words for what a blocking class does with plain ones.
DUNDERS = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}


def members(kind: type) -> dict[str, Any]:
    """What a class itself defines for its users, by the blocking name."""
    return {
        DUNDERS.get(name, name): member
        for name, member in vars(kind).items()
        if not name.startswith("_") or name in DUNDERS or name in DUNDERS.values()
    }


def function_of(member: Any) -> Any:
    return member.fget if isinstance(member, property) else member


def signature(member: Any) -> list[tuple[str, Any, Any]]:
    function = function_of(member)
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in parameters]


def annotated(member: Any) -> dict[str, str]:
    found = getattr(function_of(member), "__annotations__", {})
    return {name: str(text) for name, text in found.items()}


def as_blocking(text: str) -> str:
    """The words for the asyncio client, said of the blocking one."""
    text = re.sub(r"\bAsync(?=[A-Z])", "", text)
    text = re.sub(r"\bAwaitable\[(\w+)\]", r"\1", text)
    text = re.sub(r"\bPages\b", "Page", text)
    text = re.sub(r"\b[Aa]n? `async with`", "a `with`", text)
    return " ".join(text.replace("async with", "with").split())


@pytest.mark.parametrize(("sync", "aio"), CLASSES)
def test_both_have_the_same_members(sync: type, aio: type) -> None:
    assert members(sync).keys() == members(aio).keys()


@pytest.mark.parametrize(("sync", "aio"), CLASSES)
def test_members_take_the_same_parameters(sync: type, aio: type) -> None:
    if sync.__name__ != "Page":
        # A page of the blocking client fetches itself; the other is made of what was fetched.
        assert signature(sync) == signature(aio)
    theirs = members(aio)
    for name, member in members(sync).items():
        assert isinstance(member, property) == isinstance(theirs[name], property), name
        if callable(member) or isinstance(member, property):
            assert signature(member) == signature(theirs[name]), name
            ours = annotated(member)
            returned = ours.pop("return", "")
            other = {k: as_blocking(v) for k, v in annotated(theirs[name]).items()}
            assert as_blocking(returned) == other.pop("return", ""), name
            assert ours == other, name


@pytest.mark.parametrize(("sync", "aio"), CLASSES)
def test_members_are_described_in_the_same_words(sync: type, aio: type) -> None:
    theirs = members(aio)
    for name, member in members(sync).items():
        if name.startswith("__"):
            continue
        ours, other = inspect.getdoc(member), inspect.getdoc(theirs[name])
        assert ours, f"{sync.__name__}.{name} is not described"
        assert other, f"{aio.__name__}.{name} is not described"
        assert as_blocking(ours) == as_blocking(other), name
    assert sync.__doc__
    assert aio.__doc__


def test_what_waits_is_awaited() -> None:
    client = dict(inspect.getmembers(apertis.AsyncApertis))
    for name in ("close", "request"):
        assert inspect.iscoroutinefunction(client[name])
    resources = importlib.import_module("apertis.aio.resources")
    for kind, names in {
        "AsyncMessages": ["create", "count_tokens"],
        "AsyncBatches": ["create", "retrieve", "cancel", "delete", "results", "wait"],
        "AsyncModels": ["retrieve"],
    }.items():
        for name in names:
            assert inspect.iscoroutinefunction(getattr(getattr(resources, kind), name)), name


def test_both_have_the_same_modules() -> None:
    files = [
        {m.name for m in pkgutil.iter_modules(p.__path__)} for p in (apertis.sync, apertis.aio)
    ]
    assert files[0] == files[1]
