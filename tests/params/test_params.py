"""The parameters as they are at run time."""

import subprocess
import sys
from typing import Any

from apertis import params


def test_every_exported_name_is_there() -> None:
    for name in params.__all__:
        assert getattr(params, name) is not None


def test_required_fields_are_required() -> None:
    required: dict[str, set[str]] = {
        "CreateParams": {"model", "max_tokens", "messages"},
        "StreamParams": {"model", "max_tokens", "messages"},
        "CountTokensParams": {"model", "messages"},
        "BatchMessageParams": {"model", "max_tokens", "messages"},
        "BatchCreateParams": {"requests"},
        "ListParams": set(),
        "ToolParam": {"name", "input_schema"},
        "MessageParam": {"role", "content"},
        "ToolResultBlockParam": {"type", "tool_use_id"},
        "FallbackBlockParam": set(),
    }
    for name, fields in required.items():
        kind: Any = getattr(params, name)
        assert kind.__total__ in {True, False}
        assert isinstance(kind(), dict)
        declared = {
            field
            for field, annotation in _annotations(kind).items()
            if "Required[" in annotation or (kind.__total__ and "NotRequired[" not in annotation)
        }
        assert declared == fields, name


def _annotations(kind: Any) -> dict[str, str]:
    # Read as text: what stands behind the names is there for checkers alone.
    texts = kind.__annotations__.items()
    return {name: getattr(value, "__forward_arg__", str(value)) for name, value in texts}


def test_calls_take_the_services_parameters_and_the_options_of_a_call() -> None:
    create = set(_annotations(params.CreateParams))
    assert create >= {"temperature", "top_p", "top_k", "fallback_models", "compression", "betas"}
    assert create >= {"extra_headers", "extra_query", "extra_body", "timeout", "max_retries"}
    assert "stream" not in create
    batch = set(_annotations(params.BatchMessageParams))
    assert not batch & {"extra_headers", "extra_body", "timeout", "max_retries", "betas"}
    assert set(_annotations(params.CountTokensParams)) <= create


def test_they_import_neither_the_models_nor_what_they_can_do_without() -> None:
    """pydantic needs the `TypedDict` of `typing_extensions` before Python 3.12."""
    code = (
        "import sys, apertis.params\n"
        "needless = {'msgspec', 'apertis.models', 'pydantic'}\n"
        "needless |= {'typing_extensions'} if sys.version_info >= (3, 12) else set()\n"
        "assert not needless & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_they_are_typed_dicts_where_typing_extensions_is_missing_too() -> None:
    code = (
        "import sys\n"
        "sys.modules['typing_extensions'] = None\n"
        "import typing, apertis.params\n"
        "assert typing.is_typeddict(apertis.params.CreateParams)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_clients_load_no_parameters() -> None:
    code = (
        "import sys, apertis\n"
        "apertis.Apertis, apertis.AsyncApertis\n"
        "needless = {'apertis.params', 'apertis.params.calls', 'pydantic', 'pydantic_core'}\n"
        "assert not needless & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
