"""Models -> dicts, with what is left out and by which names: `model_dump` and its relations.

A model's document, which `to_dict()` gives, says which fields are set; their values are read from
the model, so that what was edited is what is dumped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, get_args, get_origin

from apertis.models.fields import fields_of
from apertis.models.model import Model, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_ALL = "__all__"
# What a model holds beside its fields that says nothing of them.
_OWN = frozenset(("_prices", "_response", "_wire"))
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
    choice = _choice(include, exclude)
    if choice is _EVERYTHING and not (options.exclude_unset or options.exclude_defaults):
        try:
            return _whole(model, options)
        except _NeedsDocumentError:
            pass
    return _model(model, model.to_dict(), choice, options)


class _NeedsDocumentError(Exception):
    """The values alone do not tell what is dumped: that hangs on what was sent."""


class _Plan(NamedTuple):
    """A class's fields, as they are dumped when nothing of them is left out."""

    keys: tuple[str, ...]
    values: Callable[[Model], tuple[Any, ...]]
    # The keys of fields that may hold more than an atom, and of those that are rare.
    open: tuple[str, ...]
    rare: tuple[str, ...]


@cache
def _plan(kind: Any, by_alias: bool) -> _Plan:
    fields = () if issubclass(kind, Unknown) else _shape(kind).fields
    if not fields or any(rare and not optional for _, _, optional, rare in fields):
        raise _NeedsDocumentError
    names = [field[0] for field in fields]
    said = {name: key if by_alias else name for name, key, _, _ in fields}
    atoms = {field.name for field in fields_of(kind).values() if _is_atom(field.annotation)}
    return _Plan(
        keys=tuple(said.values()),
        # The first name twice, for one name alone would give no tuple.
        values=attrgetter(*names, names[0]),
        open=tuple(said[name] for name in names if name not in atoms),
        rare=tuple(said[name] for name, _, _, rare in fields if rare),
    )


def _is_atom(annotation: Any) -> bool:
    parts = get_args(annotation) or (annotation,)
    return {get_origin(part) or part for part in parts} <= {*_ATOMS, Literal}


def _whole(model: Model, options: Options) -> dict[str, Any]:
    """Return a model as a dict by its values alone.

    Raises:
        _NeedsDocumentError: It has fields that its class does not know, or was edited, or was
            sent one of the fields that are dumped where they were sent.
    """
    own = model.__dict__
    if own:
        wire = own.get("_wire")
        if not own.keys() <= _OWN or (wire is not None and _rare_nulls().search(wire)):
            raise _NeedsDocumentError
    keys, values, open_keys, rare_keys = _plan(cast("Any", type(model)), options.by_alias)
    result = dict(zip(keys, values(model), strict=False))
    for key in open_keys:
        value = result[key]
        if value is not None:
            result[key] = _whole_value(value, options)
    for key in rare_keys:
        if result[key] is None:
            del result[key]
    if options.exclude_none:
        return {key: value for key, value in result.items() if value is not None}
    return result


def _whole_value(value: Any, options: Options) -> Any:
    if type(value) in _ATOMS:
        return value
    if isinstance(value, Model):
        return _whole(value, options)
    if type(value) is list:
        return [_whole_value(item, options) for item in cast("list[object]", value)]
    return _value(value, None, _EVERYTHING, options)


@cache
def _rare_nulls() -> re.Pattern[bytes]:
    # A null among them is all that the values do not tell from a field that was not sent.
    keys = {name for kind in _kinds(Model) for name in cast("Any", kind)._when_sent}
    return re.compile(rb'"(?:%s)"\s*:\s*null' % b"|".join(key.encode() for key in sorted(keys)))


def _kinds(kind: type[Model]) -> Iterator[type[Model]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


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
