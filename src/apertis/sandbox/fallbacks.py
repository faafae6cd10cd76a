"""Fallbacks: the models that answer in turn when one declines.

https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from apertis.sandbox.catalogue import Model, find_model
from apertis.sandbox.values import JsonObject, is_object, objects_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apertis.sandbox.rules import Complaints
    from apertis.sandbox.tokens import InputUsage

# Each time that it stands in a prompt, one more model declines.
REFUSAL_TRIGGER = "ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL"
_DEFAULTS = ("claude-opus-4-8", "claude-opus-4-7")
_OWN = ("max_tokens", "thinking", "output_config", "speed")


@dataclass(frozen=True, slots=True)
class Hop:
    """One model of the chain, with the request as it is put to it."""

    model: Model
    request: JsonObject


def chain(request: JsonObject, model: Model) -> list[Hop]:
    """Return the requested model, then those that its `fallbacks` name, in turn."""
    hops = [Hop(model, request)]
    for entry in _entries(request):
        found = find_model(str(entry.get("model")))
        if found is not None:
            hops.append(Hop(found, _put_to(found, request, entry)))
    return hops


def fallback_problems(request: JsonObject) -> Complaints:
    """Check the models that `fallbacks` names."""
    for place, entry in enumerate(_entries(request)):
        path = f"fallbacks.{place}"
        model = find_model(entry["model"])
        if model is None or not model.answers:
            yield f"{path}.model: '{entry['model']}' is not a fallback model"
            continue
        most = entry.get("max_tokens") or request.get("max_tokens", 0)
        if most > model.max_tokens:
            yield (
                f"{path}.max_tokens: {most} > {model.max_tokens}, which is the maximum allowed "
                f"number of output tokens for {model.id}"
            )


def fallback_blocks(hops: list[Hop]) -> list[JsonObject]:
    """Return one block for each model that declined before the last of these."""
    named = [hops[0].request["model"], *(hop.model.id for hop in hops[1:])]
    trigger = {"type": "refusal", "category": None}
    return [
        {"type": "fallback", "from": {"model": one}, "to": {"model": other}, "trigger": trigger}
        for one, other in pairwise(named)
    ]


def iterations(
    hops: list[Hop], given: InputUsage, output_tokens: int, declined: bool
) -> Iterator[JsonObject]:
    """Return the usage of each model: all but the last declined, and wrote nothing."""
    last = len(hops) - 1
    for place, hop in enumerate(hops):
        served = place == last and place > 0 and not declined
        yield {
            "type": "fallback_message" if served else "message",
            "model": hop.model.id,
            **given.counts(),
            "output_tokens": output_tokens if place == last else 0,
        }


def _entries(request: JsonObject) -> list[JsonObject]:
    asked = request.get("fallbacks")
    if asked == "default":
        return [{"model": next(name for name in _DEFAULTS if name != request["model"])}]
    return objects_of(asked)


def _put_to(model: Model, request: JsonObject, entry: JsonObject) -> JsonObject:
    own = {name: entry[name] for name in _OWN if entry.get(name) is not None}
    if "output_config" in own:
        own["output_config"] = {**(request.get("output_config") or {}), **own["output_config"]}
    asked = {**request, **own, "model": model.id}
    thinking = asked.get("thinking")
    if is_object(thinking) and thinking["type"] not in model.thinking_types:
        del asked["thinking"]
    return asked
