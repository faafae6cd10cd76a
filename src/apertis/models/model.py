"""What every model shares: equality, copies, pickling, and the way back to JSON.

A model that was decoded keeps what it was decoded from in its `__dict__`, next to the fields that
this version does not know. It is not part of its value: `repr` and `==` leave it out.
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    NoReturn,
    Self,
    TypeVar,
    cast,
    dataclass_transform,
)

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    class _Keywords(type(msgspec.Struct)):
        # msgspec takes `kw_only` from the class statement alone, not from a parent.
        def __new__(cls, name, bases, namespace, **config):
            config.setdefault("kw_only", True)
            return super().__new__(cls, name, bases, namespace, **config)

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
Wire = bytes | msgspec.Raw | dict[str, Any]


class Model(_Struct):
    """A value of the API: immutable, comparable, and able to say itself as JSON again."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON that this was decoded from, as a new dict.

        Nulls that were sent are there, keys that were not sent are not, and fields that this
        version does not know are there too. For an object made by hand: its set fields.
        """
        wire: Wire | None = self.__dict__.get("_wire")
        if wire is None:
            return _fields_of(self)
        if isinstance(wire, dict):
            return _plain_object(wire)
        document: dict[str, Any] = msgspec.json.decode(wire)
        return document

    def to_json(self, indent: int | None = None) -> str:
        """`to_dict()` as JSON text; `indent` is in spaces, without it everything is on one line."""
        text = msgspec.json.encode(self.to_dict())
        return (msgspec.json.format(text, indent=indent) if indent else text).decode()

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return super().__eq__(other) and _unknown_fields(self) == _unknown_fields(other)

    def __hash__(self) -> int:
        return super().__hash__()

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return _restored, (type(self), fields, self.__dict__)

    def __copy__(self) -> Self:
        return _restored(
            type(self),
            {name: getattr(self, name) for name in self.__struct_fields__},
            self.__dict__,
        )


class Result(Model):
    """A model that is the whole answer of a call."""

    @property
    def response(self) -> ResponseInfo:
        """How the answer came: status, headers, request id, retries, elapsed time, rate limits.

        Raises:
            AttributeError: This object is not the answer of a call.
        """
        info: ResponseInfo | None = self.__dict__.get("_response")
        if info is None:
            raise AttributeError(
                f"this {type(self).__name__} has no `response`: it did not come from a call, "
                "but was made by hand or stood inside another answer"
            )
        return info

    @property
    def request_id(self) -> str | None:
        """The service's name for the request, to quote to its support; None when it gave none."""
        info: ResponseInfo | None = self.__dict__.get("_response")
        return info.request_id if info else None


class Unknown(Model):
    """Stands for a variant that this version does not know.

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


def attach_response(model: Model, info: ResponseInfo) -> None:
    """Let the result of a call know how it came."""
    model.__dict__["_response"] = info


def attach_unknown(model: Model, fields: Mapping[str, Any]) -> None:
    """Make fields that the model's class does not know readable as attributes.

    A name that would hide something of the class, or that is private, stays in `to_dict()` alone.
    """
    kind = type(model)
    for name, value in fields.items():
        if not name.startswith("_") and not hasattr(kind, name):
            model.__dict__[name] = value


def embedded(model: Model) -> msgspec.Raw | dict[str, Any]:
    """What the JSON encoder is to write for a model: the bytes that came, where there are any."""
    wire: Wire | None = model.__dict__.get("_wire")
    if wire is None:
        return _fields_of(model)
    return msgspec.Raw(wire) if isinstance(wire, bytes) else wire


def _plain(value: Any) -> Any:
    """A copy of JSON data, in which models are said as JSON too."""
    if isinstance(value, dict):
        return _plain_object(cast("dict[str, Any]", value))
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[object]", value)]
    return value.to_dict() if isinstance(value, Model) else value


def _plain_object(value: dict[str, Any]) -> dict[str, Any]:
    return {key: _plain(item) for key, item in value.items()}


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
            fields[field.encode_name] = _plain(value)
    return fields | _plain_object(_unknown_fields(model))


def _unknown_fields(model: object) -> dict[str, Any]:
    return {name: value for name, value in model.__dict__.items() if name[0] != "_"}


def _restored(kind: type[M], fields: dict[str, Any], state: dict[str, Any]) -> M:
    model = kind(**fields)
    model.__dict__.update(state)
    return model


def no_such_attribute(model: Model, name: str, hint: str = "") -> NoReturn:
    """Say that a model has no such attribute, and what it has instead."""
    known = ", ".join(model.__struct_fields__)
    raise AttributeError(f"{type(model).__name__} has no {name!r}; it has {known}{hint}")
