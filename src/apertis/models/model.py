"""The base of every model: equality, copies, pickling, making by hand, and conversion to JSON.

A model that was decoded keeps what it was decoded from in its `__dict__`, next to the fields that
this version does not know. It is not part of its value: `repr` and `==` leave it out. A model made
by hand was decoded, so to say, from the fields that it was given.

Fields can be set, and the lists and dicts in them are a program's to edit. What is dumped and
sent is what they hold by then: the bytes that came are compared with them first.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import NoneType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    NoReturn,
    Self,
    TypeVar,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
)
from warnings import warn

import msgspec

from apertis.models.times import Timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from apertis.models.fields import ModelField
    from apertis.models.response import ResponseInfo

    # Checkers read this class in place of msgspec's, which would have every subclass say again
    # that it is frozen and takes keywords only.
    @dataclass_transform(
        kw_only_default=True, frozen_default=True, field_specifiers=(msgspec.field,)
    )
    class _Struct:
        __struct_fields__: ClassVar[tuple[str, ...]]
        __struct_encode_fields__: ClassVar[tuple[str, ...]]

        def __init_subclass__(
            cls, *, tag: str | None = None, tag_field: str | None = None
        ) -> None: ...

    NotKnown = Literal["a type that this version does not know"]
else:
    NotKnown = str

    def _set(self, name, value):
        if name in self.__struct_fields__:
            msgspec.structs.force_setattr(self, name, value)
        else:
            self.__dict__[name] = value
        # It is not what came any more: neither by itself nor in what it is a part of.
        self.__dict__.pop("_wire", None)
        self.__dict__["_edited"] = True

    class _Keywords(type(msgspec.Struct)):
        # msgspec takes `kw_only` from the class statement alone, not from a parent.
        def __new__(cls, name, bases, namespace, **config):
            config.setdefault("kw_only", True)
            if "tag" in config:
                # A field for checkers, who may give it; for msgspec it is the tag.
                namespace["__annotations__"].pop("type")
            kind = super().__new__(cls, name, bases, namespace, **config)
            # Frozen for the hash and for checkers; what came may be edited all the same.
            kind.__setattr__ = _set
            return kind

        def __call__(cls, *fields, **named):
            # Decoders and `made` do not come by here.
            return import_module("apertis.models.building").made_by_hand(cls, fields, named)

    class _Struct(
        msgspec.Struct,
        metaclass=_Keywords,
        frozen=True,
        dict=True,
        forbid_unknown_fields=True,
        omit_defaults=True,
        repr_omit_defaults=True,
    ):
        pass


M = TypeVar("M", bound="Model")
Wire = bytes | msgspec.Raw
_Object = dict[str, Any]

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
# What `to_dict` does unless told otherwise.
_AS_SENT = ("json", True, True, False, False)
# Parameters of pydantic's methods that have no effect here: there is nothing to warn of, and there
# are no computed fields, no converters and no stricter or laxer ways to read.
_DUMPING = frozenset(
    (
        *("context", "exclude_computed_fields", "fallback", "polymorphic_serialization"),
        *("round_trip", "serialize_as_any", "warnings"),
    )
)
_VALIDATING = frozenset(("by_alias", "by_name", "context", "extra", "from_attributes", "strict"))
# What an encoder raises for values that are no JSON.
_NOT_JSON = (TypeError, ValueError, OverflowError, RecursionError)
# What cannot be edited.
_CLOSED = (str, int, float, bool, NoneType, Timestamp)

if TYPE_CHECKING:

    def made(kind: type[M], /, **fields: Any) -> M:
        """Make a model of values that are known to be right."""
        ...
else:
    # How msgspec makes a struct: the fields are taken as they are.
    made = type(msgspec.Struct).__call__


class _ModelFields:
    # A property of the class and of its objects.
    def __get__(self, model: object, kind: Any) -> dict[str, ModelField]:
        return dict(import_module("apertis.models.fields").fields_of(kind))


@cache
def _dumping() -> Any:
    # Loaded when a program first asks for what is there.
    return import_module("apertis.models.dumping")


class Model(_Struct):
    """A value of the API: comparable, and JSON again on demand."""

    # The fields whose items keep the JSON that they were decoded from.
    _keeping: ClassVar[frozenset[str]] = frozenset()
    # The fields that few services know: dumped where they were sent.
    _when_sent: ClassVar[frozenset[str]] = frozenset()

    model_config: ClassVar[_Object] = {"extra": "allow"}
    if TYPE_CHECKING:
        model_fields: ClassVar[dict[str, ModelField]]
    else:
        model_fields = _ModelFields()

    def to_dict(
        self,
        *,
        mode: str = "json",
        use_api_names: bool = True,
        exclude_unset: bool = True,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        warnings: bool = True,  # noqa: ARG002 - as anthropic takes it.
    ) -> _Object:
        """Return the JSON that this was decoded from, as a new dict, with what was edited since.

        Nulls that were sent are there, keys that were not sent are not, and fields that this
        version does not know are there too. For an object made by hand: its set fields. The
        parameters say otherwise, as those of `model_dump`.
        """
        if (mode, use_api_names, exclude_unset, exclude_defaults, exclude_none) != _AS_SENT:
            return self.model_dump(
                mode=mode,
                by_alias=use_api_names,
                exclude_unset=exclude_unset,
                exclude_defaults=exclude_defaults,
                exclude_none=exclude_none,
            )
        wire: Wire | None = self.__dict__.get("_wire")
        if wire is None or isinstance(self, Unknown):
            return _fields_of(self)
        return _restated(self, _decode(wire))

    def to_json(self, indent: int | None = None, **options: Any) -> str:
        """Return `to_dict(**options)` as JSON text, on one line or indented by `indent` spaces."""
        return _json_text(self.to_dict(**options), indent)

    def model_dump(
        self,
        *,
        mode: str = "python",
        include: Any = None,
        exclude: Any = None,
        by_alias: bool | None = None,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        **others: Any,
    ) -> _Object:
        """Return all fields as a dict, as pydantic's method of this name does.

        `include` and `exclude` are sets of names, or mappings that go on inside a field, with
        indexes and `__all__` for lists. `by_alias` takes the names of the API (`from` for `from_`);
        `exclude_unset` leaves out what was not sent, and `mode="json"` says times as text. The
        other parameters of pydantic's method are taken too, and change nothing.
        """
        _check_names("model_dump", others, _DUMPING)
        dumping = _dumping()
        options = dumping.Options(
            mode == "json", bool(by_alias), exclude_unset, exclude_defaults, exclude_none
        )
        result: _Object = dumping.dumped(self, include, exclude, options)
        return result

    def model_dump_json(
        self, *, indent: int | None = None, ensure_ascii: bool = False, **options: Any
    ) -> str:
        """Return `model_dump(mode="json", **options)` as JSON text."""
        text = _json_text(self.model_dump(mode="json", **options), indent)
        return _ascii(text) if ensure_ascii else text

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed; their values are not checked."""
        model: Self = import_module("copy").deepcopy(self) if deep else self.__copy__()
        if not update:
            return model
        fields = {name: update.get(name, getattr(model, name)) for name in self.__struct_fields__}
        more = {name: value for name, value in update.items() if name not in fields}
        document = self.to_dict()
        for name in self.__struct_fields__:
            if name in update:
                document[encode_name(type(self), name)] = plain(update[name])
        state = {key: value for key, value in model.__dict__.items() if key != "_wire"} | more
        model = _restored(type(self), fields, state)
        attach_document(model, document | more)
        return model

    @classmethod
    def model_validate(cls, obj: Any, **others: Any) -> Self:
        """Return a model of decoded JSON, or the model itself.

        Raises:
            ValueError: It lacks a field, or has one of the wrong type. The error names the place.
        """
        _check_names("model_validate", others, _VALIDATING)
        model: Self = import_module("apertis.models.wire").validated(cls, obj)
        return model

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **others: Any) -> Self:
        """Return a model of JSON text; as `model_validate`."""
        _check_names("model_validate_json", others, _VALIDATING)
        data = json_data.encode() if isinstance(json_data, str) else bytes(json_data)
        model: Self = import_module("apertis.models.wire").validated_json(cls, data)
        return model

    @classmethod
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:
        """Make a model of values that are not checked; a field that is missing is None."""
        building = import_module("apertis.models.building")
        model: Self = building.made_unchecked(cls, values, _fields_set)
        return model

    construct = model_construct

    @property
    def model_fields_set(self) -> set[str]:
        """The names of the fields that were sent, or given to a model made by hand."""
        names: set[str] = _dumping().names_set(self)
        return names

    @property
    def model_extra(self) -> _Object:
        """The fields that this version does not know."""
        fields: _Object = _dumping().unknown_fields(self)
        return fields

    @classmethod
    def model_json_schema(cls, **_: Any) -> _Object:
        """Return the JSON schema of the class."""
        schema: _Object = import_module("apertis.models.fields").schema_of(cls)
        return schema

    @classmethod
    def model_rebuild(cls, **_: Any) -> None:
        """Do nothing: a class is complete as it is."""

    @property
    def _request_id(self) -> str | None:
        """The `request_id` of the result of a call; None for anything else."""
        return None

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Yield each field's name and value, so that `dict(model)` gives them."""
        for name in self.model_fields:
            value = getattr(self, name)
            if value is not None or name not in self._when_sent:
                yield name, value
        yield from _unknown_fields(self).items()

    def __repr__(self) -> str:
        fields = ", ".join([f"{name}={value!r}" for name, value in self])
        return f"{type(self).__name__}({fields})"

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return super().__eq__(other) and _unknown_fields(self) == _unknown_fields(other)

    def __hash__(self) -> int:
        return super().__hash__()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        # pydantic asks for this, and is there when it does.
        schema: Any = import_module("pydantic_core").core_schema
        build = import_module("apertis.models.wire").build

        def validate(value: Any) -> Any:
            unknown = getattr(cls, "unknown_variant", None) or cls
            if isinstance(value, cls | unknown):
                return value
            if not isinstance(value, dict):
                raise ValueError(f"expected {cls.__name__} or an object of JSON")
            model = build(cls, value)
            # In a union each class is asked: what another one knows is not unknown.
            if not isinstance(model, cls) and model.type in _tags_beside(cls):
                raise ValueError(f"expected {cls.__name__}, got {model.type!r}")
            return model

        return schema.no_info_plain_validator_function(
            validate,
            json_schema_input_schema=schema.dict_schema(),
            serialization=schema.plain_serializer_function_ser_schema(
                cls.to_dict, return_schema=schema.dict_schema()
            ),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return _restored, (type(self), fields, self.__dict__)

    def __copy__(self) -> Self:
        return _restored(
            type(self),
            {name: getattr(self, name) for name in self.__struct_fields__},
            self.__dict__,
        )

    def __replace__(self, /, **changes: Any) -> Self:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return _restored(type(self), fields | changes, _unknown_fields(self))

    # The names that pydantic had before, at the end: they hide those of Python.

    def dict(self, **options: Any) -> _Object:
        """Return `model_dump(**options)`; deprecated."""
        _deprecated("dict", "model_dump")
        return self.model_dump(**options)

    def json(self, **options: Any) -> str:
        """Return `model_dump_json(**options)`; deprecated."""
        _deprecated("json", "model_dump_json")
        return self.model_dump_json(**options)

    @classmethod
    def parse_obj(cls, obj: Any) -> Self:
        """Return `model_validate(obj)`; deprecated."""
        _deprecated("parse_obj", "model_validate")
        return cls.model_validate(obj)

    @classmethod
    def parse_raw(cls, b: str | bytes) -> Self:
        """Return `model_validate_json(b)`; deprecated."""
        _deprecated("parse_raw", "model_validate_json")
        return cls.model_validate_json(b)

    def copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return `model_copy(...)`; deprecated."""
        _deprecated("copy", "model_copy")
        return self.model_copy(update=update, deep=deep)


class Result(Model):
    """A model that is the whole response of a call."""

    @property
    def response(self) -> ResponseInfo:
        """HTTP information: status, headers, request id, retries, elapsed time, rate limits.

        Raises:
            AttributeError: This object is not the response of a call.
        """
        info: ResponseInfo | None = self.__dict__.get("_response")
        if info is None:
            raise AttributeError(
                f"this {type(self).__name__} has no `response`: it is not the result of a call, "
                "but was created by hand or is part of another response"
            )
        return info

    @property
    def request_id(self) -> str | None:
        """The service's name for the request, to quote to its support; None when it gave none."""
        info: ResponseInfo | None = self.__dict__.get("_response")
        return info.request_id if info else None

    @property
    def _request_id(self) -> str | None:
        """The `request_id`, by the name that anthropic gives it."""
        return self.request_id


class Unknown(Model):
    """A variant that this version does not know.

    `type` is what the service calls it, `data` is all of it; the keys of `data` are attributes.
    """

    # Checkers see a literal that equals no known type, so that `x.type == "text"` rules it out.
    type: NotKnown
    data: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        data = self.__dict__ if name.startswith("_") else self.data
        if name in data:
            return data[name]
        raise AttributeError(f"this `{self.type}` has no {name!r}; it has {', '.join(data)}")


class Tagged(Model, tag_field="type"):
    """A variant of a union, told by its `type`."""

    # What stands for a variant that is not known; None where that is an error.
    unknown_variant: ClassVar[type[Unknown] | None] = None


def attach_wire(model: Model, wire: Wire) -> None:
    """Let a model know what it was decoded from."""
    model.__dict__["_wire"] = wire


def attach_document(model: Model, document: Mapping[str, Any]) -> None:
    """Let a model know which fields it was made of, as if it had been decoded from them."""
    try:
        model.__dict__["_wire"] = _encode(plain(document))
    except _NOT_JSON:
        # A program may put any object into a model; its fields alone are dumped then.
        model.__dict__.pop("_wire", None)


def attach_wires(models: Sequence[Model], wires: Sequence[Wire]) -> None:
    """Let each of these models know what it was decoded from."""
    for model, wire in zip(models, wires, strict=True):
        model.__dict__["_wire"] = wire


def attach_response(model: Model, info: ResponseInfo) -> None:
    """Let the result of a call know how it came."""
    model.__dict__["_response"] = info


def attach_prices(model: object, prices: Any) -> None:
    """Let the message in a batch's result know the prices of its client."""
    message = getattr(getattr(model, "result", None), "message", None)
    if isinstance(message, Model):
        message.__dict__["_prices"] = prices


def attach_unknown(model: Model, fields: Mapping[str, Any]) -> None:
    """Make fields that the model's class does not know readable as attributes.

    A name that would hide something of the class, or that is private, stays in `to_dict()` alone.
    """
    kind = type(model)
    for name, value in fields.items():
        model.__dict__[name if _readable(kind, name) else "_hidden"] = value


def _readable(kind: type[Model], name: str) -> bool:
    return not name.startswith("_") and not hasattr(kind, name)


def embedded(model: Model) -> msgspec.Raw | dict[str, Any]:
    """Return what to encode for a model: the bytes received, if they still match it."""
    wire: Wire | None = model.__dict__.get("_wire")
    if wire is None:
        return _fields_of(model)
    if isinstance(model, Unknown):
        return msgspec.Raw(wire) if _same(_decode(wire), model.data) else _fields_of(model)
    if values := _open_values(model):
        document = _decode(wire)
        for key, value in values:
            if not _says(document.get(key), value):
                return _restated(model, document)
    return msgspec.Raw(wire)


def _restated(model: Model, document: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON that a model was decoded from, with what the model holds by now."""
    kind: Any = type(model)
    for key, value in _open_values(model):
        was = document.get(key)
        if key in kind._keeping:
            document[key] = plain(value)
        elif not _says(was, value):
            document[key] = _restated_value(value, was)
    return document


def _restated_value(value: Any, was: Any) -> Any:
    if isinstance(value, list) and isinstance(was, list):
        parts = cast("list[object]", was)
        return [_restated_item(item, parts) for item in cast("list[object]", value)]
    if isinstance(value, Model) and isinstance(was, dict) and _is_part(value):
        return _restated(value, cast("dict[str, Any]", was))
    return plain(value)


def _restated_item(item: Any, parts: list[Any]) -> Any:
    if isinstance(item, Model) and _is_part(item):
        # One that was moved is still what it was decoded from.
        for part in parts:
            if _says(part, item):
                return plain(part)
    return plain(item)


def _is_part(model: Model) -> bool:
    """Return whether the JSON of a model is kept by one that it stands in, if at all."""
    own = model.__dict__.keys() & {"_edited", "_wire"}
    return not own and not isinstance(model, Unknown)


def _says(document: Any, value: Any) -> bool:
    """Return whether some JSON is what a value was decoded from, or what it could have been."""
    if isinstance(value, Model):
        if not _is_part(value):
            return _same(document, value.to_dict())
        return isinstance(document, dict) and _says_model(cast("dict[str, Any]", document), value)
    if isinstance(value, list):
        items = cast("list[object]", value)
        if not any(isinstance(item, Model) for item in items):
            return _same(document, items)
        parts = cast("list[object]", document)
        return (
            isinstance(document, list)
            and len(parts) == len(items)
            and all(map(_says, parts, items))
        )
    if isinstance(value, Timestamp):
        return bool(document == str(value))
    return _same(document, value) if isinstance(value, dict) else bool(document == value)


def _says_model(document: dict[str, Any], model: Model) -> bool:
    kind: Any = type(model)
    shape = _shape(kind)
    if shape.tag is not None and document.get("type", shape.tag) != shape.tag:
        return False
    values = [getattr(model, name) for name in shape.names]
    told = [*map(document.get, shape.keys)]
    if (shape.open or values != told) and not all(map(_says_field, told, values, shape.absent)):
        return False
    if not model.__dict__ and document.keys() <= shape.known:
        return True
    unknown = _unknown_fields(model)
    more = {key for key in document.keys() - shape.known if _readable(kind, key)}
    return unknown.keys() == more and all(_says(document[key], unknown[key]) for key in more)


def _says_field(document: Any, value: Any, absent: Any) -> bool:
    # What may be left out may also be null.
    return bool(value == absent) if document is None else _says(document, value)


def _tags_beside(kind: type[Model]) -> set[object]:
    base: Any = next(parent for parent in kind.__mro__ if "unknown_variant" in vars(parent))
    return {other.__struct_config__.tag for other in base.__subclasses__()}


def _open_values(model: Model) -> list[tuple[str, Any]]:
    """Return a model's mutable values by JSON name: lists, dicts, and models with such values."""
    kind: Any = type(model)
    values: list[tuple[str, Any]] = []
    for name, key in _shape(kind).open:
        value = getattr(model, name)
        if value is not None and _is_open(value):
            values.append((key, value))
    for name, value in model.__dict__.items():
        if name[0] != "_" and _is_open(value):
            values.append((name, value))
    return values


def _is_open(value: object) -> bool:
    if isinstance(value, Model) and not isinstance(value, Unknown):
        return "_edited" in value.__dict__ or bool(_open_values(value))
    return not isinstance(value, _CLOSED)


class _Shape(NamedTuple):
    """A class, as its JSON is compared with."""

    tag: str | None
    names: list[str]
    keys: list[str]
    # What each field holds where the JSON has nothing.
    absent: list[Any]
    known: frozenset[str]
    # The fields that can hold what can be edited.
    open: list[tuple[str, str]]


@cache
def _shape(kind: Any) -> _Shape:
    tag = kind.__struct_config__.tag
    fields = msgspec.structs.fields(kind)
    keys = [field.encode_name for field in fields]
    return _Shape(
        tag=tag,
        names=[field.name for field in fields],
        keys=keys,
        absent=[_absent(field) for field in fields],
        known=frozenset([*keys, *(["type"] if tag else [])]),
        open=[
            (field.name, field.encode_name)
            for field in fields
            if not {get_origin(part) or part for part in get_args(field.type) or (field.type,)}
            <= {*_CLOSED, Literal}
        ],
    )


def _absent(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.required else field.default


def _same(document: Any, value: Any) -> bool:
    """Return whether two values are the same JSON: 1 is not 1.0 or True, and key order counts."""
    if document != value:
        return False
    try:
        return _encode(document) == _encode(value)
    except _NOT_JSON:
        return repr(document) == repr(value)


def plain(value: Any) -> Any:
    """Return a copy of JSON data, in which models are said as JSON too."""
    if isinstance(value, dict):
        return _plain_object(cast("dict[str, Any]", value))
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[object]", value)]
    if isinstance(value, Timestamp):
        return str(value)
    return value.to_dict() if isinstance(value, Model) else value


def _plain_object(value: dict[str, Any]) -> dict[str, Any]:
    return {key: plain(item) for key, item in value.items()}


def _fields_of(model: Model) -> dict[str, Any]:
    if isinstance(model, Unknown):
        return {"type": model.type, **_plain_object(model.data)}
    struct: Any = model
    config: msgspec.structs.StructConfig = struct.__struct_config__
    fields: dict[str, Any] = {}
    if config.tag_field is not None:
        fields[config.tag_field] = config.tag
    for field in msgspec.structs.fields(struct):
        value = getattr(model, field.name)
        if field.required or value != field.default:
            fields[field.encode_name] = plain(value)
    return fields | _plain_object(_unknown_fields(model))


def _unknown_fields(model: object) -> dict[str, Any]:
    return {name: value for name, value in model.__dict__.items() if name[0] != "_"}


def _restored(kind: type[M], fields: dict[str, Any], state: dict[str, Any]) -> M:
    model = made(kind, **fields)
    model.__dict__.update(state)
    return model


def _json_text(document: _Object, indent: int | None) -> str:
    text = _encode(document)
    return (msgspec.json.format(text, indent=indent) if indent else text).decode()


def _ascii(text: str) -> str:
    # Outside of strings JSON is ASCII as it is.
    halves = text.encode("utf-16-be", "surrogatepass")
    units = [int.from_bytes(halves[i : i + 2], "big") for i in range(0, len(halves), 2)]
    return "".join([chr(unit) if unit < 128 else f"\\u{unit:04x}" for unit in units])


def _check_names(method: str, given: _Object, known: frozenset[str]) -> None:
    if unknown := given.keys() - known:
        raise TypeError(f"{method}() has no parameter {min(unknown)!r}")


def _deprecated(name: str, instead: str) -> None:
    text = f"`{name}` is deprecated: use `{instead}`"
    warn(text, DeprecationWarning, stacklevel=3)


def encode_name(kind: Any, name: str) -> str:
    """Return a field's name in JSON."""
    shape = _shape(kind)
    return shape.keys[shape.names.index(name)]


def no_such_attribute(model: Model, name: str, hint: str = "") -> NoReturn:
    """Say that a model has no such attribute, and what it has instead."""
    known = ", ".join(model.__struct_fields__)
    raise AttributeError(f"{type(model).__name__} has no {name!r}; it has {known}{hint}")
