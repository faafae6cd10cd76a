"""The tree of errors: its shape, its words, and what survives a pickle."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any

import pytest

from apertis import errors
from apertis.errors import (
    BY_STATUS,
    STATUS_BY_TYPE,
    ApertisError,
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    ParameterError,
    RateLimitError,
    RedirectError,
    StreamTimeoutError,
    StreamTruncatedError,
    redact,
    status_error_class,
)
from apertis.models import Headers, decode_message

CLASSES: list[type[ApertisError]] = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, ApertisError)
]
PARTIAL = decode_message(
    b'{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text",'
    b'"text":"Hi","citations":null},{"type":"hologram","z":1}],'
    b'"usage":{"input_tokens":1,"output_tokens":2}}'
)


def test_the_tree_is_printed_as_it_is() -> None:
    """Every class, under its parent, with its status: the docstring is what users read."""
    text = inspect.getdoc(errors) or ""
    assert {kind.__name__ for kind in CLASSES} <= set(re.findall(r"\w+", text))
    printed = {name: int(status) for name, status in re.findall(r"(\w+Error) (\d{3})\b", text)}
    assert printed == {kind.__name__: status for status, kind in BY_STATUS.items()}


def test_the_bases_are_those_that_programs_catch() -> None:
    assert issubclass(ParameterError, TypeError)
    assert issubclass(ConfigurationError, ValueError)
    assert APITimeoutError.__bases__ == (APIConnectionError,)
    assert set(StreamTimeoutError.__mro__) >= {StreamTruncatedError, APITimeoutError}
    assert issubclass(StreamTruncatedError, APIConnectionError)
    assert not issubclass(APIResponseError, APIConnectionError | APIStatusError)
    assert not issubclass(ParameterError, APIError)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *BY_STATUS.items(),
        (300, RedirectError),
        (399, RedirectError),
        (418, APIStatusError),
        (500, errors.InternalServerError),
        (502, errors.InternalServerError),
        (599, errors.InternalServerError),
        (100, APIStatusError),
    ],
)
def test_a_status_stands_for_a_class(status: int, kind: type[APIStatusError]) -> None:
    assert status_error_class(status) is kind


def test_every_type_of_an_error_event_stands_for_a_class_of_its_own_name() -> None:
    named = {name: status_error_class(status).__name__ for name, status in STATUS_BY_TYPE.items()}
    assert named["overloaded_error"] == "OverloadedError"
    assert named["rate_limit_error"] == "RateLimitError"
    assert "APIStatusError" not in named.values()


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: str(kind.__name__))
def test_every_error_pickles_and_copies(kind: type[ApertisError]) -> None:
    error: Any = kind("what happened")
    error.request_id, error.retries, error.partial = "req_1", 2, PARTIAL
    error.headers, error.body = Headers({"retry-after": "3"}), {"error": {"message": "m"}}
    error.__cause__ = ConnectionResetError(104, "Connection reset by peer")
    copies: list[Any] = [pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)]
    for again in copies:
        assert str(again) == "what happened"
        assert again.args == error.args
        assert (again.request_id, again.retries) == ("req_1", 2)
        assert again.partial == PARTIAL
        assert again.partial.to_dict() == PARTIAL.to_dict()
        assert again.headers["Retry-After"] == "3"
        assert again.body == error.body
        assert type(again) is kind


def test_a_parameter_error_keeps_its_parameter() -> None:
    assert pickle.loads(pickle.dumps(ParameterError("m", param="top_p"))).param == "top_p"


def test_fields_that_were_not_told_are_none() -> None:
    error = RateLimitError("m")
    assert error.request_id is None
    assert error.partial is None
    assert error.retry_after is None
    assert (error.type, error.code, error.param, error.body, error.headers) == (None,) * 5


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("key sk-abcdefgh1234 here", "key sk-*** here"),
        ("sk-ant-api03-AbC_d-efgh", "sk-ant-***"),
        ("sk-sub-abcdefgh", "sk-sub-***"),
        ('{"key": "sk-abcdefgh"}', '{"key": "sk-***"}'),
        ("a task-oriented text", "a task-oriented text"),
        ("sk-short", "sk-short"),
        ("", ""),
    ],
)
def test_what_looks_like_a_key_is_blanked(said: str, shown: str) -> None:
    assert redact(said) == shown
    assert str(ApertisError(said)) == shown
    assert said == shown or said not in repr(APIError(said))


def test_a_secret_of_any_form_can_be_named() -> None:
    assert redact("the word open-sesame is mine", "open-sesame") == "the word *** is mine"


@pytest.mark.parametrize(
    ("key", "text", "shown"),
    [
        ("k", "unknown key: k", "unknown key: ***"),
        ("test", "the latest test", "the latest ***"),
        ("long-enough", "xlong-enoughx", "x***x"),
        ("a+b", "a+b aab", "*** aab"),
    ],
)
def test_a_stand_in_for_a_key_garbles_no_words(key: str, text: str, shown: str) -> None:
    assert redact(text, key) == shown
