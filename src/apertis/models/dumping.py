"""Models -> dicts, with what is left out and by which names: `model_dump` and its relations.

A model's document, which `to_dict()` gives, says which fields are set; their values are read from
the model, so that what was edited is what is dumped.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from apertis.models.fields import fields_of
from apertis.models.model import Model, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ALL = "__all__"
# What is dumped as it is.
_ATOMS = frozenset((str, int, float, bool, NoneType))


class Options(NamedTuple):
    """The choices that hold at every level."""

    as_json: bool = False
    by_alias: bool = False
    exclude_unset: bool = False
    exclude_defaults: bool = False
    exclude_none: bool = False


def dumped(model: Model, include: Any, exclude: Any, options: Options) -> dict[str, Any]:
    """Return a model as a dict, without what `include` and `exclude` leave out."""
    return _model(model, model.to_dict(), _choice(include, exclude), options)


def dumped_values(
    values: Mapping[str, Any],
    mode: str = "python",
    include: Any = None,
    exclude: Any = None,
    by_alias: bool | None = None,
    exclude_unset: bool = False,
    exclude_none: bool = False,
) -> dict[str, Any]:
    """Return named values as a dict, the models among them dumped too."""
    options = Options(mode == "json", bool(by_alias), exclude_unset, False, exclude_none)
    return _mapping(values, None, _choice(include, exclude), options)


def names_set(model: Model) -> set[str]:
    """Return the names of the fields that were sent, or given to a model made by hand."""
    document = model.to_dict()
    kind: Any = type(model)
    fields = fields_of(kind).values()
    return {field.name for field in fields if (field.alias or field.name) in document}


def unknown_fields(model: Model) -> dict[str, Any]:
    """Return the fields that a model's class does not know."""
    return dict(_extra(model, model.to_dict()))


class _Choice(NamedTuple):
    """The parts to include, and to exclude: None, a set of keys, or a mapping of them."""

    include: Any = None
    exclude: Any = None

    def of(self, key: str | int, length: int = 0) -> _Choice | None:
        """Return the choice inside a field or an item; None when that is left out."""
        if self is _EVERYTHING:
            return self
        keys = (key, _ALL) if isinstance(key, str) else (key, key - length, _ALL)
        included, excluded = _inside(self.include, keys), _inside(self.exclude, keys)
        if excluded is True or (self.include is not None and included is None):
            return None
        return _choice(None if included is True else included, excluded)


_EVERYTHING = _Choice()


def _choice(include: Any, exclude: Any) -> _Choice:
    return _EVERYTHING if include is None and exclude is None else _Choice(include, exclude)


def _inside(chosen: Any, keys: Iterable[str | int]) -> Any:
    """Return what is chosen at a place: None for nothing, True for all of it, or a part of it."""
    if not isinstance(chosen, Mapping):
        return True if chosen is not None and any(key in chosen for key in keys) else None
    choices = cast("Mapping[object, object]", chosen)
    found: Any = None
    for key in keys:
        part = choices.get(key)
        if part is True or part is ...:
            return True
        if part is not None and part is not False:
            found = part if found is None else {**_as_mapping(found), **_as_mapping(part)}
    return found


def _as_mapping(chosen: Any) -> dict[Any, Any]:
    if isinstance(chosen, Mapping):
        return dict(cast("Mapping[object, object]", chosen))
    return dict.fromkeys(chosen, True)


class _Shape(NamedTuple):
    # Each field: its name, its name in JSON, whether None is its default, whether few know it.
    fields: list[tuple[str, str, bool, bool]]
    keys: frozenset[str]


@cache
def _shape(kind: Any) -> _Shape:
    fields = [
        (field.name, field.alias or field.name, field.default is None, name in kind._when_sent)
        for name, field in fields_of(kind).items()
    ]
    return _Shape(fields, frozenset([key for _, key, _, _ in fields]))


def _extra(model: Model, document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    kind: Any = type(model)
    if not isinstance(model, Unknown):
        keys = _shape(kind).keys
        for key, value in document.items():
            if key not in keys:
                yield key, model.__dict__.get(key, value)


def _model(
    model: Model, document: Mapping[str, Any], choice: _Choice, options: Options
) -> dict[str, Any]:
    if isinstance(model, Unknown):
        return _mapping({"type": model.type, **model.data}, document, choice, options)
    kind: Any = type(model)
    shape = _shape(kind)
    result: dict[str, Any] = {}
    for name, key, optional, rare in shape.fields:
        value = getattr(model, name)
        if value is None and (options.exclude_none or (optional and options.exclude_defaults)):
            continue
        if (rare or options.exclude_unset) and key not in document:
            continue
        inside = choice if choice is _EVERYTHING else choice.of(name)
        if inside is not None:
            said = key if options.by_alias else name
            result[said] = (
                value
                if type(value) in _ATOMS
                else _value(value, document.get(key), inside, options)
            )
    if not document.keys() <= shape.keys:
        for key, value in _extra(model, document):
            inside = choice.of(key)
            if inside is not None and not (options.exclude_none and value is None):
                result[key] = _value(value, document.get(key), inside, options)
    return result


def _value(value: Any, document: Any, choice: _Choice, options: Options) -> Any:
    if type(value) in _ATOMS:
        return value
    if isinstance(value, Model):
        known = cast("dict[str, Any]", document) if isinstance(document, dict) else value.to_dict()
        return _model(value, known, choice, options)
    if isinstance(value, list | tuple):
        return _items([*cast("list[object]", value)], document, choice, options)
    if isinstance(value, Mapping):
        return _mapping(cast("Mapping[str, Any]", value), document, choice, options)
    if options.as_json and isinstance(value, datetime):
        return str(value)
    return value


def _items(items: list[object], document: Any, choice: _Choice, options: Options) -> list[Any]:
    documents = cast("list[object]", document) if isinstance(document, list) else []
    result: list[Any] = []
    for index, item in enumerate(items):
        inside = choice if choice is _EVERYTHING else choice.of(index, len(items))
        if inside is not None:
            part = documents[index] if index < len(documents) else None
            result.append(_value(item, part, inside, options))
    return result


def _mapping(
    value: Mapping[str, Any], document: Any, choice: _Choice, options: Options
) -> dict[str, Any]:
    documents = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    result: dict[str, Any] = {}
    for key, item in value.items():
        inside = choice if choice is _EVERYTHING else choice.of(key)
        if inside is not None:
            result[key] = _value(item, documents.get(key), inside, options)
    return result
