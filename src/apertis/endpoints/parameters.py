"""Parameter handling shared by all endpoints: check, then sort into body, headers and options."""

from __future__ import annotations

from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from apertis.errors import ParameterError
from apertis.sansio.call import Call
from apertis.sansio.marks import NOT_GIVEN, NotGiven, is_absent, without_absent
from apertis.sansio.request import render_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from apertis.sansio.outcome import Response
    from apertis.sansio.timeouts import Timeout

T = TypeVar("T")
F = TypeVar("F")

_OPTIONS = frozenset({"extra_headers", "extra_query", "extra_body", "timeout", "max_retries"})
# These parameters travel as headers, by the API's own rule.
_HEADERS = {
    "user_profile_id": "anthropic-user-profile-id",
    "workspace_id": "anthropic-workspace-id",
}

_NOT_IN_BODY = _OPTIONS | _HEADERS.keys() | {"betas"}


class Sorted(NamedTuple):
    """Parameters by the way they travel."""

    body: dict[str, Any]
    query: dict[str, Any] | None
    headers: dict[str, Any] | None
    timeout: float | Timeout | NotGiven | None
    max_retries: int | None

    def call(
        self,
        method: str,
        path: str,
        read: Callable[[Response], T],
        *,
        body: bytes | None = None,
        has_body: bool = False,
        streamed: bool = False,
    ) -> Call[T]:
        """Build the call for these parameters; `body` holds those that belong in the body."""
        return Call(
            method,
            path,
            read,
            body=body_of(self.body) if has_body else body,
            query=self.query,
            headers=self.headers,
            streamed=streamed,
            timeout=self.timeout,
            max_retries=self.max_retries,
        )


def body_of(params: Mapping[str, Any]) -> bytes:
    """Return the JSON of parameters, with the files in them."""
    return render_body(params, _file_text)


def _file_text(file: Any, path: str) -> str:
    # Most requests have none.
    return str(import_module("apertis.attachments").base64_text(file, path))


def sort(params: Mapping[str, Any]) -> Sorted:
    """Return the parameters of a call, by the way they travel.

    A parameter that is not known here goes into the body as it is: the service answers for it.
    """
    if _NOT_IN_BODY.isdisjoint(params):
        return Sorted(dict(params), None, None, NOT_GIVEN, None)
    params = without_absent(params)
    body = {k: v for k, v in params.items() if k not in _OPTIONS and k not in _HEADERS}
    headers: dict[str, Any] = {}
    query = dict(_mapping(params, "extra_query"))
    betas = body.pop("betas", None)
    if betas:
        headers["anthropic-beta"] = ",".join(_texts("betas", betas))
        query.setdefault("beta", "true")
    for name, header in _HEADERS.items():
        if params.get(name) is not None:
            headers[header] = require_text(params, name)
    headers |= {str(k).lower(): v for k, v in _mapping(params, "extra_headers").items()}
    body |= _mapping(params, "extra_body")
    return Sorted(
        body,
        query or None,
        headers or None,
        params.get("timeout", NOT_GIVEN),
        params.get("max_retries"),
    )


def _mapping(params: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = params.get(name)
    if value is None:
        return {}
    if not hasattr(value, "keys"):
        raise ParameterError(f"{name}: expected a mapping, got {_kind(value)}", param=name)
    return value  # type: ignore[no-any-return]  # What has keys is a mapping to us.


def _texts(name: str, value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    texts = list(value) if hasattr(value, "__iter__") else [value]
    if not all(isinstance(text, str) for text in texts):
        raise ParameterError(f"{name}: expected a list of strings", param=name)
    return texts


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__


def require_text(params: Mapping[str, Any], name: str, hint: str = "") -> str:
    """Return the parameter, if it is there and is text with something in it."""
    value = params.get(name)
    if not isinstance(value, str) or not value:
        if name not in params or is_absent(value):
            raise ParameterError(f"{name}: required, and missing{hint}", param=name)
        shown = "an empty string" if value == "" else _kind(value)
        raise ParameterError(f"{name}: expected a string, got {shown}{hint}", param=name)
    return value


def require_count(params: Mapping[str, Any], name: str, hint: str = "") -> int:
    """Return the parameter, if it is there and is a whole number, 0 or more."""
    value = params.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        if name not in params or is_absent(value):
            raise ParameterError(f"{name}: required, and missing{hint}", param=name)
        raise ParameterError(f"{name}: expected a whole number, got {_kind(value)}", param=name)
    if value < 0:
        raise ParameterError(f"{name}: {value} is below 0", param=name)
    return value


def require_messages(params: Mapping[str, Any]) -> None:
    """Reject what cannot be a conversation."""
    if "messages" not in params:
        raise ParameterError(
            "messages: required, and missing (for example [{'role': 'user', 'content': 'Hello'}])",
            param="messages",
        )
    value: object = params["messages"]
    if not isinstance(value, (list, tuple)):
        if is_absent(value):
            require_messages({})
        name = type(value).__name__
        if isinstance(value, str | bytes | dict) or not hasattr(value, "__iter__"):
            raise ParameterError(
                f"messages: expected a list of messages, got {name}", param="messages"
            )
        return
    for index, message in enumerate(cast("Sequence[object]", value)):
        if type(message) is dict:
            continue
        if isinstance(message, str | bytes | int | float) or message is None:
            raise ParameterError(
                f"messages[{index}]: expected a message with role and content, "
                f"got {type(message).__name__}",
                param=f"messages[{index}]",
            )


def path_part(name: str, value: object) -> str:
    """Return an id that is safe in a path: a slash or dot segment would change the endpoint."""
    if not isinstance(value, str) or not value.strip():
        raise ParameterError(f"{name}: expected an id, got {value!r}", param=name)
    if any(c in "/?#%\\" or ord(c) < 33 for c in value) or set(value) == {"."}:
        raise ParameterError(f"{name}: {value!r} is not an id", param=name)
    return value


def takes(name: str) -> Callable[[F], F]:
    """Let `inspect.signature` show what a method's `**params` stand for: a class of `params`."""

    def signed(function: F) -> F:
        method: Any = function
        method.__signature__ = _Signature(method, name)
        return function

    return signed


class _Signature:
    """An `inspect.Signature`, made when somebody looks: a program that calls has no need of it."""

    __slots__ = ("_function", "_made", "_name")

    def __init__(self, function: Any, name: str) -> None:
        self._function = function
        self._name = name
        self._made: Any = None

    if not TYPE_CHECKING:

        @property
        def __class__(self):
            # By this `inspect` knows one of its own.
            return import_module("inspect").Signature

    def __getattr__(self, name: str) -> Any:
        return getattr(self._signature(), name)

    def __str__(self) -> str:
        return str(self._signature())

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return bool(self._signature() == other)

    def __hash__(self) -> int:
        return hash(self._signature())

    def _signature(self) -> Any:
        if self._made is None:
            self._made = _signature(self._function, self._name)
        return self._made


def _signature(function: Any, name: str) -> Any:
    inspect: Any = import_module("inspect")
    # The same function, without a signature that is said of it.
    plain = FunctionType(function.__code__, function.__globals__, function.__name__)
    plain.__defaults__, plain.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
    plain.__annotations__ = function.__annotations__
    signature = inspect.signature(plain)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    required: list[Any] = []
    optional: list[Any] = []
    kind: Any = getattr(import_module("apertis.params"), name)
    for field, annotation in kind.__annotations__.items():
        text: str = getattr(annotation, "__forward_arg__", annotation)
        bare = text.removeprefix("Required[")
        parameter = inspect.Parameter(
            field,
            inspect.Parameter.KEYWORD_ONLY,
            default=NOT_GIVEN if bare == text else inspect.Parameter.empty,
            annotation=text if bare == text else bare[:-1],
        )
        (optional if bare == text else required).append(parameter)
    leading = [p for p in own if p.kind is not p.KEYWORD_ONLY]
    named = [p for p in own if p.kind is p.KEYWORD_ONLY]
    return signature.replace(parameters=[*leading, *required, *named, *optional])
