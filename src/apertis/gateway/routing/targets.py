"""The upstreams that serve a model, by any of its names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apertis.gateway.config import ModelSettings, UpstreamSettings


class Target(msgspec.Struct, frozen=True):
    """An upstream, and the name of the model there."""

    upstream: str
    model: str
    """The name to send: it differs from the one asked for if that was an alias."""
    id: str
    """The name by which callers, keys and prices know the model."""


_DOT_IN_NUMBER = re.compile(r"(?<=\d)\.(?=\d)")


class Route(msgspec.Struct, frozen=True):
    """One of the upstreams of a model."""

    target: Target
    # Lower first: the priority, then 0 for an upstream that names the model and 1 for one that
    # takes any.
    rank: tuple[int, int]
    weight: int


class Group(msgspec.Struct, frozen=True):
    """All upstreams of a model, lowest rank first."""

    id: str
    routes: tuple[Route, ...]
    targets: tuple[Target, ...]
    # What the model that answers may be called: upstreams can give one alias to several models.
    ids: tuple[str, ...]


def dashed(name: str) -> str:
    """Return the spelling of a model's name with dashes in its version: `claude-sonnet-4-5`."""
    return _DOT_IN_NUMBER.sub("-", name) if "." in name else name


class Names:
    """The upstreams of a model, found by id, alias, or the other spelling of either."""

    __slots__ = ("_exact", "_folded", "_known", "_upstreams")

    def __init__(self, upstreams: tuple[UpstreamSettings, ...], known_ids: Iterable[str]) -> None:
        self._upstreams = upstreams
        self._exact = [_exact_names(upstream) for upstream in upstreams]
        self._folded = [
            {dashed(name): model for name, model in reversed(names.items())}
            for names in self._exact
        ]
        # The first one wins, so that what a list says twice does not depend on its end.
        self._known = {dashed(known): known for known in reversed([*known_ids])}

    def group(self, model: str) -> Group:
        """Return the upstreams that serve a model; without any, the group is empty."""
        found = [names.get(model) for names in self._exact]
        if not any(found):
            folded = dashed(model)
            found = [names.get(folded) for names in self._folded]
        named = next((entry for entry in found if entry), None)
        # An alias means nothing to an upstream that was not told of it.
        model_id = named.id if named else self._known.get(dashed(model), model)
        routes = [
            _route(upstream, entry, model_id)
            for upstream, entry in zip(self._upstreams, found, strict=True)
            if entry or not upstream.models
        ]
        routes.sort(key=lambda route: route.rank)
        targets = tuple(route.target for route in routes)
        ids = tuple(dict.fromkeys(target.id for target in targets)) or (model_id,)
        return Group(model_id, tuple(routes), targets, ids)


def _exact_names(upstream: UpstreamSettings) -> dict[str, ModelSettings]:
    names = {alias: model for model in reversed(upstream.models) for alias in model.aliases}
    # A model's own id is stronger than an alias of another one.
    return names | {model.id: model for model in reversed(upstream.models)}


def _route(upstream: UpstreamSettings, entry: ModelSettings | None, model_id: str) -> Route:
    if entry is None:
        target = Target(upstream.name, model_id, model_id)
        return Route(target, (upstream.priority, 1), upstream.weight)
    target = Target(upstream.name, entry.upstream_model or entry.id, entry.id)
    priority = upstream.priority if entry.priority is None else entry.priority
    weight = upstream.weight if entry.weight is None else entry.weight
    return Route(target, (priority, 0), weight)
