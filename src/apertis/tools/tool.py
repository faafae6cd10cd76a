"""A tool: a function with a name, a description and a schema, which the model may call."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    ParamSpec,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

import msgspec

from apertis.errors import ParameterError
from apertis.structured.schema import (
    InvalidValueError,
    convert,
    is_array,
    is_object,
    place,
    schema_of,
    transform_schema,
)
from apertis.tools.docstrings import parse
from apertis.tools.results import result_content as result_content

if TYPE_CHECKING:
    from apertis.params import AllowedCaller, CacheControlParam

P = ParamSpec("P")
R = TypeVar("R")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_EMPTY = inspect.Parameter.empty
_UNREADABLE = (NameError, TypeError, AttributeError, SyntaxError)


class ToolError(Exception):
    """A failure that a tool tells the model: text, or content blocks."""

    def __init__(self, content: Any) -> None:
        super().__init__(content if isinstance(content, str) else "the tool failed")
        self.content = content


@dataclass(frozen=True, kw_only=True, eq=False)
class Tool:
    """A function that the model may call."""

    name: str
    description: str = ""
    input_schema: Mapping[str, Any]
    function: Callable[..., Any] = field(repr=False)
    idempotent: bool = False
    needs_approval: bool = False
    timeout: float | None = None
    is_async: bool = False
    options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """More fields of the definition: `strict`, `cache_control` and others."""

    def to_param(self) -> dict[str, Any]:
        """Return the tool as a request has it."""
        described = {"description": self.description} if self.description else {}
        schema = dict(self.input_schema)
        return {"name": self.name, **described, "input_schema": schema, **self.options}

    def to_dict(self) -> dict[str, Any]:
        """Return the tool as a request has it; the name that `anthropic` has for `to_param`."""
        return self.to_param()

    def call(self, input: Mapping[str, Any]) -> Any:
        """Call the function; return its result, or what is to be awaited."""
        return self.function(**input)


@dataclass(frozen=True)
class _Parameter:
    name: str
    annotation: Any
    positional: bool
    required: bool
    default: Any = None
    fills: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class FunctionTool(Tool, Generic[P, R]):
    """A tool made of a typed function; it is called as the function is."""

    parameters: tuple[_Parameter, ...] | None = field(default=None, repr=False)
    """None where the schema was written by hand."""
    others: Any = field(default=_EMPTY, repr=False)
    """The type of further keys, where the function has `**kwargs`."""

    def __post_init__(self) -> None:
        kept: dict[str, Any] = {"__wrapped__": self.function}
        kept |= {key: getattr(self.function, key, None) for key in functools.WRAPPER_ASSIGNMENTS}
        for key, value in kept.items():
            if value is not None:
                object.__setattr__(self, key, value)

    if TYPE_CHECKING:
        __name__: str
        __qualname__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        return cast("R", self.function(*args, **kwargs))

    def __get__(self, instance: object, owner: type | None = None) -> FunctionTool[..., R]:
        # As a method: the tool of the object it is read from.
        if instance is None or not hasattr(self.function, "__get__"):
            return self
        bound: Any = self.function
        return replace(cast("FunctionTool[..., R]", self), function=bound.__get__(instance, owner))

    def __reduce__(self) -> str | tuple[Any, ...]:
        # Where the tool has taken the name of its function, it is found by this name.
        found: Any = sys.modules.get(self.__module__)
        name: str = getattr(self, "__qualname__", "")
        for step in name.split("."):
            found = getattr(found, step, None)
        if found is self:
            return name
        return _remade, ({part.name: getattr(self, part.name) for part in fields(self)},)

    @property
    def func(self) -> Callable[P, R]:
        """The function."""
        return self.function

    def call(self, input: Mapping[str, Any]) -> Any:
        """Call the function with the input of the model, converted to the annotated types.

        Raises:
            ToolError: The input is not what the function takes; the error names the place.
        """
        if not isinstance(cast("object", input), Mapping):
            raise ToolError(f"invalid input of {self.name}: expected an object")
        if self.parameters is None:
            return self.function(**input)
        try:
            args, named = self._arguments(self.parameters, input)
        except InvalidValueError as error:
            raise ToolError(f"invalid input of {self.name}: {error}") from None
        return self.function(*args, **named)

    def _arguments(
        self, parameters: tuple[_Parameter, ...], given: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        args: list[Any] = []
        named: dict[str, Any] = {}
        left = dict(given)
        for parameter in parameters:
            name = parameter.name
            if name in left:
                value = _converted(parameter.annotation, left.pop(name), name)
            elif parameter.required:
                raise InvalidValueError(place("$", name), "a value", "nothing")
            elif parameter.fills or parameter.positional:
                value = parameter.default
            else:
                continue
            if parameter.positional:
                args.append(value)
            else:
                named[name] = value
        if left and self.others is _EMPTY:
            known = ", ".join(parameter.name for parameter in parameters) or "none"
            raise InvalidValueError(place("$", next(iter(left))), f"no such key ({known})", "one")
        named |= {name: _converted(self.others, value, name) for name, value in left.items()}
        return args, named


def _remade(state: dict[str, Any]) -> FunctionTool[..., Any]:
    return FunctionTool(**state)


def _converted(annotation: Any, value: Any, name: str) -> Any:
    try:
        return convert(annotation, value)
    except InvalidValueError as error:
        path = place("$", name) + error.path.removeprefix("$")
        raise InvalidValueError(path, error.expected, error.found, error.detail) from None


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...
@overload
def tool(
    function: Callable[P, R],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    input_schema: Mapping[str, Any] | type | None = None,
    strict: bool | None = None,
    cache_control: CacheControlParam | None = None,
    defer_loading: bool | None = None,
    allowed_callers: Iterable[AllowedCaller] | None = None,
    input_examples: Iterable[Mapping[str, Any]] | None = None,
    eager_input_streaming: bool | None = None,
    idempotent: bool = False,
    needs_approval: bool = False,
    timeout: float | None = None,
) -> FunctionTool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    input_schema: Mapping[str, Any] | type | None = None,
    strict: bool | None = None,
    cache_control: CacheControlParam | None = None,
    defer_loading: bool | None = None,
    allowed_callers: Iterable[AllowedCaller] | None = None,
    input_examples: Iterable[Mapping[str, Any]] | None = None,
    eager_input_streaming: bool | None = None,
    idempotent: bool = False,
    needs_approval: bool = False,
    timeout: float | None = None,
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...


def tool(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    input_schema: Mapping[str, Any] | type | None = None,
    strict: bool | None = None,
    cache_control: CacheControlParam | None = None,
    defer_loading: bool | None = None,
    allowed_callers: Iterable[AllowedCaller] | None = None,
    input_examples: Iterable[Mapping[str, Any]] | None = None,
    eager_input_streaming: bool | None = None,
    idempotent: bool = False,
    needs_approval: bool = False,
    timeout: float | None = None,
) -> Any:
    """Make a tool of a typed function, sync or async, by the name of `@tool` or `@tool(...)`.

    Its schema comes from the signature, the descriptions from the docstring or from
    `Annotated[T, "text"]`. The model's input is converted to the annotated types.

    Raises:
        ParameterError: The function cannot be a tool; the error names the parameter.
    """
    names = _names_of_caller(inspect.currentframe())
    if function is None:
        return functools.partial(
            _with_names,
            names,
            name=name,
            description=description,
            input_schema=input_schema,
            strict=strict,
            cache_control=cache_control,
            defer_loading=defer_loading,
            allowed_callers=allowed_callers,
            input_examples=input_examples,
            eager_input_streaming=eager_input_streaming,
            idempotent=idempotent,
            needs_approval=needs_approval,
            timeout=timeout,
        )
    options = {
        "strict": strict,
        "cache_control": cache_control,
        "defer_loading": defer_loading,
        "allowed_callers": None if allowed_callers is None else list(allowed_callers),
        "input_examples": None if input_examples is None else list(input_examples),
        "eager_input_streaming": eager_input_streaming,
    }
    return _made(
        function,
        names,
        name,
        description,
        input_schema,
        {key: value for key, value in options.items() if value is not None},
        {"idempotent": idempotent, "needs_approval": needs_approval, "timeout": timeout},
    )


def _names_of_caller(frame: Any) -> dict[str, Any]:
    while frame.f_globals is globals():
        frame = frame.f_back
    return dict(frame.f_locals) if frame.f_locals is not frame.f_globals else {}


def _with_names(names: dict[str, Any], function: Any, **options: Any) -> Any:
    made = options.copy()
    own = {key: made.pop(key) for key in ("name", "description", "input_schema")}
    how = {key: made.pop(key) for key in ("idempotent", "needs_approval", "timeout")}
    more = {
        key: list(value) if key in {"allowed_callers", "input_examples"} else value
        for key, value in made.items()
        if value is not None
    }
    return _made(function, names, own["name"], own["description"], own["input_schema"], more, how)


def _made(
    function: Any,
    names: dict[str, Any],
    name: str | None,
    description: str | None,
    input_schema: Any,
    options: dict[str, Any],
    how: dict[str, Any],
) -> FunctionTool[..., Any]:
    if isinstance(function, FunctionTool):
        function = cast("Any", function).function
    if not callable(function):
        hint = "; make the tool of the bound method" if isinstance(function, classmethod) else ""
        kind = type(cast("object", function)).__name__
        raise ParameterError(f"tool: expected a function, got {kind}{hint}", param="function")
    bare = _bare(function)
    where = str(getattr(bare, "__qualname__", type(bare).__qualname__))
    given = name if name is not None else _name_of(bare)
    if not isinstance(cast("object", given), str) or not _NAME.fullmatch(given):
        raise ParameterError(
            f"{where}: {given!r} cannot be the name of a tool; give one of up to 128 letters, "
            "digits, _ and - with name=...",
            param="name",
        )
    text, texts = parse(_docstring(bare))
    parameters: tuple[_Parameter, ...] | None = None
    others: Any = _EMPTY
    if input_schema is None:
        parameters, others = _parameters(function, bare, where, names)
        schema = _schema(parameters, others, texts, where)
        if options.get("strict"):
            if others is not _EMPTY:
                raise ParameterError(
                    f"{where}: **kwargs takes any key, and strict=True none but those listed; "
                    "name the parameters",
                    param="strict",
                )
            schema = transform_schema(schema)
    elif isinstance(input_schema, Mapping):
        schema = dict(cast("Mapping[str, Any]", input_schema))
    else:
        schema = schema_of(input_schema, f"{where}, input_schema")
    return FunctionTool(
        name=given,
        description=text if description is None else description,
        input_schema=schema,
        function=function,
        is_async=_is_async(bare),
        options=options,
        parameters=parameters,
        others=others,
        **how,
    )


def _bare(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = cast("Any", function).func
    return function


def _name_of(bare: Any) -> str:
    return str(getattr(bare, "__name__", type(bare).__name__))


def _is_object(bare: Any) -> bool:
    return not isinstance(bare, type) and not hasattr(bare, "__name__")


def _docstring(bare: Any) -> str | None:
    own = inspect.getdoc(type(bare).__call__) if _is_object(bare) else None
    return own or inspect.getdoc(bare)


def _is_async(bare: Any) -> bool:
    return inspect.iscoroutinefunction(bare) or (
        _is_object(bare) and inspect.iscoroutinefunction(type(bare).__call__)
    )


def _parameters(
    function: Any, bare: Any, where: str, names: dict[str, Any]
) -> tuple[tuple[_Parameter, ...], Any]:
    try:
        signature = inspect.signature(function)
        holder = type(bare).__call__ if _is_object(bare) else bare
        holder = getattr(holder, "__init__") if isinstance(holder, type) else holder  # noqa: B009
        hints = get_type_hints(holder, None, names or None, include_extras=True)
    except (*_UNREADABLE, ValueError) as error:
        raise ParameterError(
            f"{where}: its annotations cannot be read ({error}); import the types where the "
            "function is defined, or pass input_schema={...}",
            param="function",
        ) from error
    found: list[_Parameter] = []
    others: Any = _EMPTY
    for index, parameter in enumerate(signature.parameters.values()):
        name = parameter.name
        if index == 0 and _is_self(name, where, function):
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise ParameterError(
                f"{where}, parameter '*{name}': the model names each argument; "
                f"take a list instead ({name}: list[...])",
                param=name,
            )
        if name not in hints:
            raise ParameterError(
                f"{where}, parameter {name!r}: it has no annotation, so the tool has no schema; "
                f"give it a type ({name}: str), or pass input_schema={{...}}",
                param=name,
            )
        if parameter.kind is parameter.VAR_KEYWORD:
            others = hints[name]
            continue
        found.append(_parameter(parameter, hints[name]))
    return tuple(found), others


def _is_self(name: str, where: str, function: Any) -> bool:
    """Return whether a first parameter is the object of a method that is not bound yet."""
    inside = where.rpartition(".")[0]
    method = bool(inside) and not inside.endswith("<locals>")
    return name in {"self", "cls"} and method and not inspect.ismethod(function)


def _parameter(parameter: inspect.Parameter, annotation: Any) -> _Parameter:
    default = parameter.default
    required, fills = default is _EMPTY, False
    if type(default).__module__.startswith("pydantic") and hasattr(default, "is_required"):
        # `x: int = Field(3, gt=0)`: the default is in what says more of the type.
        annotation = Annotated[annotation, default]
        required, fills = default.is_required(), True
        default = None if required else default.get_default(call_default_factory=True)
    positional = parameter.kind is parameter.POSITIONAL_ONLY
    return _Parameter(
        parameter.name, annotation, positional, required, None if required else default, fills
    )


def _schema(
    parameters: tuple[_Parameter, ...], others: Any, texts: dict[str, str], where: str
) -> dict[str, Any]:
    definitions: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    for parameter in parameters:
        name = parameter.name
        schema = _part(parameter.annotation, f"{where}, parameter {name!r}", definitions)
        if text := _text_of(parameter.annotation) or texts.get(name):
            schema["description"] = text
        if not parameter.required and "default" not in schema:
            try:
                schema["default"] = msgspec.to_builtins(parameter.default)
            except (TypeError, ValueError):
                # A default that JSON cannot say is the function's own matter.
                schema.pop("default", None)
        properties[name] = schema
    result: dict[str, Any] = {"type": "object", "properties": properties}
    if required := [parameter.name for parameter in parameters if parameter.required]:
        result["required"] = required
    result["additionalProperties"] = (
        False if others is _EMPTY else _part(others, f"{where}, **kwargs", definitions) or True
    )
    return {**result, "$defs": definitions} if definitions else result


def _part(annotation: Any, where: str, definitions: dict[str, Any]) -> dict[str, Any]:
    schema = dict(schema_of(annotation, where))
    parts: dict[str, Any] = schema.pop("$defs", {})
    renamed: dict[str, str] = {}
    for name, part in parts.items():
        free, number = name, 2
        while definitions.get(free, part) != part:
            free, number = f"{name}_{number}", number + 1
        renamed[f"#/$defs/{name}"] = f"#/$defs/{free}"
    schema = cast("dict[str, Any]", _referring(schema, renamed))
    for name, part in parts.items():
        free = renamed[f"#/$defs/{name}"].removeprefix("#/$defs/")
        definitions[free] = _referring(part, renamed)
    return schema


def _referring(schema: Any, renamed: Mapping[str, str]) -> Any:
    if is_object(schema):
        return {
            key: renamed.get(value, value)
            if key == "$ref" and isinstance(value, str)
            else _referring(value, renamed)
            for key, value in schema.items()
        }
    return [_referring(part, renamed) for part in schema] if is_array(schema) else schema


def _text_of(annotation: Any) -> str | None:
    """Return the description in an `Annotated` type: a text, or what has one."""
    if get_origin(annotation) is not Annotated:
        return None
    for extra in get_args(annotation)[1:]:
        for text in (
            extra,
            getattr(extra, "description", None),
            getattr(extra, "documentation", 0),
        ):
            if isinstance(text, str):
                return text
    return None
