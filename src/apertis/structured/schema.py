"""A type -> its JSON Schema, and decoded JSON -> a value of the type.

msgspec reads the types that it knows, pydantic those that are pydantic's, or that only it knows,
where the caller has loaded it. Unions of plain classes, which msgspec cannot tell apart, are read
by `structured.unions`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import lru_cache
from importlib import import_module
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeGuard,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from apertis.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    class Form(Protocol):
        """A type that is understood: its schema, and how to read a value of it."""

        def schema(self) -> dict[str, Any]:
            """Return the JSON Schema of the type."""
            ...

        def convert(self, value: Any) -> Any:
            """Return the value of the type that decoded JSON stands for."""
            ...


# What libraries and annotations raise for a type that has no schema.
_NO_TYPE = (TypeError, ValueError, NameError, AttributeError, KeyError, RecursionError)
_STRING_FORMATS = frozenset(
    (
        *("date-time", "time", "date", "duration", "email", "hostname", "uri"),
        *("ipv4", "ipv6", "uuid"),
    )
)
_PYDANTIC = frozenset({"pydantic", "pydantic_core", "annotated_types"})
_KINDS = (
    (bool, "a boolean"),
    (str, "a string"),
    (int, "an integer"),
    (float, "a number"),
    (Mapping, "an object"),
    (list, "an array"),
)
_PLACE = re.compile(r"(?s)(.*) - at `(?:key in )?(\$.*)`")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|\[(\.\.\.)\]")
_NAME = re.compile(r"[A-Za-z_]\w*")


class InvalidValueError(ValueError):
    """A value that is not of the type.

    `path` is its place (`$.items[3].price`), `expected` says what belongs there, `found` the kind
    of what is there. The text has nothing of the value; `detail`, which the text leaves out, may.
    """

    def __init__(self, path: str, expected: str, found: str, detail: str = "") -> None:
        super().__init__(f"at {path}: expected {expected}, found {found}")
        self.path = path
        self.expected = expected
        self.found = found
        self.detail = detail

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.expected, self.found, self.detail)


def schema_of(annotation: object, where: str) -> dict[str, Any]:
    """Return the JSON Schema of a type.

    Raises:
        ParameterError: The type has none; the error names `where` the type was given.
    """
    try:
        return form_of(annotation).schema()
    except _NO_TYPE as error:
        raise _no_schema(annotation, where, error) from error


def convert(annotation: object, value: object) -> Any:
    """Return the value of the type that decoded JSON stands for.

    Raises:
        InvalidValueError: It stands for none; the error names the place.
    """
    return form_of(annotation).convert(value)


def form_of(annotation: object) -> Form:
    """Return how the values of a type are read.

    Raises:
        TypeError: Neither msgspec nor a loaded pydantic knows the type.
    """
    try:
        return _form_of(annotation)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
    return _form_of.__wrapped__(annotation)


@lru_cache(maxsize=256)
def _form_of(annotation: object) -> Form:
    if _is_pydantic(annotation, set()):
        return _Pydantic(annotation)
    reason = without_msgspec(annotation)
    if reason is None:
        return _Msgspec(annotation)
    if "unions may not contain" in reason:
        form: Form = import_module("apertis.structured.unions").Mixed(annotation)
        return form
    if "pydantic" in sys.modules:
        return _Pydantic(annotation)
    raise TypeError(reason)


@lru_cache(maxsize=1024)
def without_msgspec(annotation: Any) -> str | None:
    """Return the reason that msgspec cannot read a type; None where it can."""
    try:
        msgspec.json.Decoder(annotation)
        msgspec.json.schema_components([annotation])
    except _NO_TYPE as error:
        return str(error) or type(error).__name__
    return None


def _no_schema(annotation: Any, where: str, error: Exception) -> ParameterError:
    if is_object(annotation):
        hint = "pass a schema as output_config={'format': {'type': 'json_schema', 'schema': ...}}"
        return ParameterError(f"{where}: expected a type, got a schema; {hint}", param=where)
    reason = str(error).replace("\n", " ")
    return ParameterError(
        f"{where}: {shown(annotation)} has no JSON Schema ({reason}); use a dataclass, a TypedDict,"
        " a msgspec.Struct, a pydantic model, or lists and unions of these",
        param=where,
    )


def shown(annotation: Any) -> str:
    """Return the name of a type, for people."""
    if get_args(annotation) or not callable(annotation):
        return str(annotation) if get_args(annotation) else f"a value of {_class(annotation)}"
    return str(getattr(annotation, "__qualname__", annotation))


def _class(value: object) -> str:
    return type(value).__name__


class _Msgspec:
    def __init__(self, annotation: Any) -> None:
        self._type = annotation

    def schema(self) -> dict[str, Any]:
        return rooted(msgspec.json.schema(self._type))

    def convert(self, value: Any) -> Any:
        return convert_by_msgspec(self._type, value)


def convert_by_msgspec(annotation: Any, value: Any) -> Any:
    """Return `msgspec.convert` of the value, with errors that say nothing of it."""
    try:
        return msgspec.convert(value, annotation, str_keys=True)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _from_msgspec(str(error), value) from None


def _from_msgspec(text: str, value: Any) -> InvalidValueError:
    told = _PLACE.fullmatch(text)
    reason, path = (told[1], told[2]) if told else (text, "$")
    steps = [name or (int(index) if index else None) for name, index, _ in _STEP.findall(path[1:])]
    found = _found(value, steps)
    if missing := re.fullmatch(r"Object missing required field `(.*)`", reason):
        return InvalidValueError(f"{path}.{missing[1]}", "a value", "nothing", text)
    if reason.startswith("Object contains unknown field"):
        return InvalidValueError(path, "no field that the type does not have", "one", text)
    expected = re.sub(r", got .*$", "", reason.removeprefix("Expected "))
    if not reason.startswith("Expected "):
        enum = reason.startswith("Invalid enum value")
        expected = "one of the values that are listed" if enum else "a value that the type accepts"
    return InvalidValueError(path, expected, found, text)


def _found(value: Any, steps: Sequence[str | int | None]) -> str:
    """Return the kind of what stands at a place."""
    for step in steps:
        try:
            value = value[step]
        except (TypeError, LookupError):
            return "another value"
    return kind_of(value)


def kind_of(value: object) -> str:
    """Return what JSON calls the kind of a value."""
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "null")


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a value is an object of JSON."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Return whether a value is an array of JSON."""
    return isinstance(value, list)


def place(path: str, step: str | int) -> str:
    """Return the path of a part."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    if _NAME.fullmatch(step):
        return f"{path}.{step}"
    return f"{path}[{msgspec.json.encode(step).decode()}]"


class _Pydantic:
    def __init__(self, annotation: Any) -> None:
        pydantic: Any = import_module("pydantic")
        self._invalid: type[Exception] = pydantic.ValidationError
        try:
            self._adapter: Any = pydantic.TypeAdapter(annotation)
        except pydantic.errors.PydanticUserError as error:
            raise TypeError(error.message) from error

    def schema(self) -> dict[str, Any]:
        errors: Any = import_module("pydantic.errors")
        try:
            return rooted(self._adapter.json_schema())
        except errors.PydanticUserError as error:
            raise TypeError(error.message) from error

    def convert(self, value: Any) -> Any:
        try:
            return self._adapter.validate_json(msgspec.json.encode(value))
        except self._invalid as error:
            raise _from_pydantic(error, value) from None


def _from_pydantic(error: Any, value: Any) -> InvalidValueError:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    missing = fault["type"] == "missing"
    location = list(fault["loc"])
    path, at = "$", value
    for number, step in enumerate(location):
        last = number == len(location) - 1
        if _has(at, step):
            at = at[step]
        elif not (missing and last):
            # The name of a member of a union, which is no part of the value.
            continue
        path = place(path, step)
    if missing:
        return InvalidValueError(path, "a value", "nothing", fault["msg"])
    # A validator of the caller's own may repeat the value.
    own = fault["type"] in {"value_error", "assertion_error"} or "custom" in fault["type"]
    expected = fault["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    if own or not fault["msg"].startswith("Input should be"):
        expected = f"a value that the type accepts ({fault['type']})"
    return InvalidValueError(path, expected, kind_of(at), fault["msg"])


def _has(value: object, step: object) -> bool:
    if is_array(value):
        return isinstance(step, int) and step < len(value)
    return is_object(value) and step in value


def _is_struct(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)


def _has_names(annotation: Any) -> bool:
    """Return whether a type is a TypedDict or a named tuple."""
    return hasattr(annotation, "__required_keys__") or hasattr(annotation, "_field_defaults")


def _is_pydantic(annotation: Any, seen: set[int]) -> bool:
    """Return whether a type, or a part of it, is made for pydantic."""
    if "pydantic" not in sys.modules or id(annotation) in seen:
        return False
    seen.add(id(annotation))
    if _is_struct(annotation):
        return False
    if hasattr(annotation, "__pydantic_core_schema__") or hasattr(
        annotation, "__get_pydantic_core_schema__"
    ):
        return True
    origin = get_origin(annotation)
    if origin is Literal:
        return False
    if origin is Annotated:
        modules = {type(part).__module__.partition(".")[0] for part in annotation.__metadata__}
        if modules & _PYDANTIC:
            return True
    if is_dataclass(annotation) or _has_names(annotation):
        try:
            hints = get_type_hints(annotation, include_extras=True)
        except _NO_TYPE:
            return False
        return any(_is_pydantic(hint, seen) for hint in hints.values())
    return any(_is_pydantic(part, seen) for part in get_args(annotation))


def rooted(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with its root written out, where nothing else refers to it."""
    reference = schema.get("$ref", "")
    definitions: dict[str, Any] = schema.get("$defs", {})
    name = reference.removeprefix("#/$defs/")
    if name not in definitions:
        return schema
    others = {key: value for key, value in definitions.items() if key != name}
    root = definitions[name]
    if _refers([root, others], reference):
        return schema
    return {**root, "$defs": others} if others else dict(root)


def _refers(schema: Any, reference: str) -> bool:
    if is_array(schema):
        return any(_refers(part, reference) for part in schema)
    if is_object(schema):
        return schema.get("$ref") == reference or _refers(list(schema.values()), reference)
    return False


def transform_schema(json_schema: object) -> dict[str, Any]:
    """Return a JSON Schema, or that of a type, in the form that the API takes.

    What the API does not know, `maximum` for example, goes into the description, and objects have
    the properties that are listed and no others.

    Raises:
        ParameterError: The schema says nothing that the API takes; the error names the place.
    """
    if not isinstance(json_schema, Mapping):
        json_schema = schema_of(json_schema, "transform_schema")
    return _transformed(json_schema, "$")


def _transformed(schema: Any, path: str) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        raise _not_taken(path, "it is no schema")
    left: dict[str, Any] = {**schema}
    result: dict[str, Any] = {}
    if (definitions := left.pop("$defs", None)) is not None:
        result["$defs"] = {
            name: _transformed(part, f"{path}.$defs.{name}") for name, part in definitions.items()
        }
    if (reference := left.pop("$ref", None)) is not None:
        return {**result, "$ref": reference}
    kind = left.pop("type", None)
    if is_array(kind):
        left["anyOf"] = [{**left, "type": each} for each in kind]
        left = {key: left[key] for key in ("anyOf", "description", "title") if key in left}
        for variant in left["anyOf"]:
            variant.pop("description", None)
            variant.pop("title", None)
        kind = None
    variants = {key: left.pop(key, None) for key in ("anyOf", "oneOf", "allOf")}
    literal = _take_literals(left, result)
    if literal:
        kind = None
    for key, parts in variants.items():
        if is_array(parts):
            name = "allOf" if key == "allOf" else "anyOf"
            result[name] = [
                _transformed(part, f"{path}.{key}[{i}]") for i, part in enumerate(parts)
            ]
            break
    else:
        if not literal:
            if kind is None:
                raise _not_taken(
                    path, "it has no 'type', 'anyOf', 'oneOf', 'allOf', 'enum' or 'const'"
                )
            result["type"] = kind
    result |= {key: left.pop(key) for key in ("description", "title") if left.get(key) is not None}
    if kind == "object":
        _object(left, result, path)
    elif kind == "string" and (form := left.pop("format", None)):
        # What is not taken comes last, as in anthropic's: the same schema has the same text.
        (result if form in _STRING_FORMATS else left)["format"] = form
    elif kind == "array":
        _array(left, result, path)
    left = {key: value for key, value in left.items() if key not in {"description", "title"}}
    if left:
        more = "{" + ", ".join(f"{key}: {value}" for key, value in left.items()) + "}"
        before = result.get("description")
        result["description"] = more if before is None else f"{before}\n\n{more}"
    return result


def _take_literals(left: dict[str, Any], result: dict[str, Any]) -> bool:
    enum = left.get("enum")
    if is_array(enum) and enum and all(map(_is_primitive, enum)):
        result["enum"] = list(left.pop("enum"))
    if "const" in left and _is_primitive(left["const"]):
        result["const"] = left.pop("const")
    return "enum" in result or "const" in result


def _is_primitive(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _object(left: dict[str, Any], result: dict[str, Any], path: str) -> None:
    properties: dict[str, Any] = left.pop("properties", None) or {}
    others = left.pop("additionalProperties", None)
    if not properties and others not in (None, False):
        raise _not_taken(path, "an object of any keys; list its keys, or use a list of pairs")
    result["properties"] = {
        name: _transformed(part, place(path, name)) for name, part in properties.items()
    }
    result["additionalProperties"] = False
    if (required := left.pop("required", None)) is not None:
        result["required"] = list(required) if is_array(required) else required


def _array(left: dict[str, Any], result: dict[str, Any], path: str) -> None:
    items = left.pop("items", None)
    if (first := left.pop("prefixItems", None)) is not None:
        # The API knows arrays of one kind of item.
        kinds = [_transformed(part, place(path, i)) for i, part in enumerate(first)]
        kinds = [part for i, part in enumerate(kinds) if part not in kinds[:i]]
        result["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        names = [part.get("title") or part.get("type") or "value" for part in first]
        left["in this order"] = names
    elif items is not None and items is not False:
        result["items"] = _transformed(items, f"{path}[]")
    if (least := left.pop("minItems", None)) is not None:
        (result if least in (0, 1) else left)["minItems"] = least


def _not_taken(path: str, reason: str) -> ParameterError:
    return ParameterError(f"the API does not take the schema at {path}: {reason}", param=path)
