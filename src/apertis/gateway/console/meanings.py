"""Codes, reasons and classes of requests in plain words, each with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from apertis.gateway.routing.fallback import FallbackReason

if TYPE_CHECKING:
    from collections.abc import Mapping


class Meaning(NamedTuple):
    """Something that went wrong, in words, and what to do about it."""

    words: str
    advice: str


_UPSTREAM_LOG = "The gateway's log names the reason; see whether other requests fail there too."

# The gateway's own codes, and the types of errors that an upstream answers.
BY_CODE: Mapping[str, Meaning] = {
    "invalid_request": Meaning(
        "It was not a request that can be read.",
        "The message of the response says what is wrong with it; correct the program that sent it.",
    ),
    "missing_parameter": Meaning(
        "A field was missing: model, messages or max_tokens.",
        "Have the program send it.",
    ),
    "invalid_parameter": Meaning(
        "A field or header had a value that it cannot have.",
        "The message of the response names the field; correct the program that sent it.",
    ),
    "thread_unsupported_request": Meaning(
        "It went on with a conversation that this gateway cannot price or route.",
        "Have the program send the whole conversation, without 'thread'.",
    ),
    "missing_api_key": Meaning("No key was sent.", "Set the key in the program's settings."),
    "invalid_api_key": Meaning(
        "The key is unknown, deleted or disabled.",
        "Enable the key, or give its owner another one.",
    ),
    "expired_api_key": Meaning("The key has expired.", "Move its expiry, or make another key."),
    "quota_exceeded": Meaning(
        "A budget did not cover what the request might cost.",
        "Raise the limit, wait until it resets, or lower max_tokens.",
    ),
    "access_denied": Meaning(
        "The key may not do this.",
        "Use an administrator's key for administration; see what the key is allowed.",
    ),
    "model_access_denied": Meaning(
        "The key may not use the model, or the model has no price here.",
        "Add the model to the key's list, or a price for it to the settings.",
    ),
    "ip_not_allowed": Meaning(
        "The caller's address is not on the key's list.",
        "Add the address to the key, or call from one that is on it.",
    ),
    "endpoint_not_found": Meaning(
        "There is no such path.", "Correct the address in the program's settings."
    ),
    "model_not_found": Meaning(
        "No upstream has the model.",
        "Correct the model's name, or add the model to an upstream in the settings.",
    ),
    "not_found": Meaning(
        "What was asked for does not exist, or belongs to another key.",
        "See that the program uses the key with which it was made.",
    ),
    "method_not_allowed": Meaning(
        "The path has no such method.", "Correct the program that sent it."
    ),
    "request_timeout": Meaning(
        "The request stopped coming before it was complete.",
        "See whether the caller's connection is slow or breaks off.",
    ),
    "conflict": Meaning(
        "The change contradicted what is there.", "Read the current state, and try again."
    ),
    "request_too_large": Meaning(
        "The body was larger than is allowed.",
        "Send less: fewer or smaller images and files, or a shorter conversation.",
    ),
    "rate_limit_exceeded": Meaning(
        "A limit of this gateway for requests or tokens was met.",
        "Wait as long as retry-after says; raise the limit if this is too little.",
    ),
    "headers_too_large": Meaning(
        "The headers were larger than is allowed.", "Have the program send fewer or shorter ones."
    ),
    "internal_error": Meaning(
        "Something broke in the gateway.",
        "Its log has the trace: report it with the request's id.",
    ),
    "upstream_error": Meaning(
        "The upstream gave no response, broke one off, redirected, or rejected the gateway's key.",
        _UPSTREAM_LOG,
    ),
    "service_unavailable": Meaning(
        "The gateway could not keep what the request would use: its store or disk failed.",
        "See the page of the doctor, and the gateway's log.",
    ),
    "model_overloaded": Meaning(
        "All connections to the upstream were in use.",
        "Raise max_connections of the upstream, or spread the load.",
    ),
    "upstream_timeout": Meaning(
        "The upstream was silent for too long.",
        "See whether the upstream is well; the settings' routing section has the times.",
    ),
    "invalid_request_error": Meaning(
        "The upstream found fault with the request.",
        "The message of the response says what is wrong; correct the program that sent it.",
    ),
    "authentication_error": Meaning(
        "The upstream rejected the gateway's own key.",
        "Check the upstream's key in the settings; the doctor tries it.",
    ),
    "billing_error": Meaning(
        "The upstream's account cannot pay.", "Look into billing of the upstream's account."
    ),
    "permission_error": Meaning(
        "The upstream's account may not do this.",
        "Check what the upstream's account and its key are allowed.",
    ),
    "not_found_error": Meaning(
        "The upstream does not have what was asked for, such as the model.",
        "Correct the model's name; the page of upstreams lists the models that each has.",
    ),
    "rate_limit_error": Meaning(
        "The upstream's limit for the gateway's account was met.",
        "Wait, spread the load over time, have the limit raised, or add an upstream.",
    ),
    "timeout_error": Meaning(
        "The upstream took too long.", "Stream long responses, or ask for shorter ones."
    ),
    "api_error": Meaning("Something broke at the upstream.", "Try again; it is nobody's fault."),
    "overloaded_error": Meaning(
        "The upstream had too much to do.",
        "Try again later; fallback models or a second upstream help meanwhile.",
    ),
}
_LEFT = Meaning(
    "The caller closed its connection before the response was complete.",
    "What was used by then is booked, as far as it is known; see the caller's time-outs.",
)
_CUT = Meaning(
    "The response broke off before its end.",
    "What was used by then is booked; the caller got an error event, and can try again.",
)
_CALLERS = Meaning(
    "The upstream rejected the request.",
    "The message of the response says why; correct the program that sent it.",
)
_UPSTREAMS = Meaning("The upstream failed.", _UPSTREAM_LOG)
_LEFT_STATUS, _FIRST_FAULT = 499, 500


def meaning_of(status: int, code: str | None, *, interrupted: bool = False) -> Meaning:
    """Say why a request failed, and what to do."""
    if status == _LEFT_STATUS:
        return _LEFT
    known = BY_CODE.get(code or "")
    if known is not None:
        return known
    if interrupted:
        return _CUT
    return _CALLERS if status < _FIRST_FAULT else _UPSTREAMS


FALLBACK_REASONS: Mapping[str, str] = {
    FallbackReason.NOT_FOUND.value: "no upstream has the model that was asked for",
    FallbackReason.TIMEOUT.value: "the model that was asked for did not answer in time",
    FallbackReason.UNREACHABLE.value: "no upstream of the model that was asked for was reached",
    FallbackReason.RATE_LIMITED.value: "the upstream's limit for that model was met",
    FallbackReason.OVERLOADED.value: "the model that was asked for was overloaded",
    FallbackReason.FAILED.value: "the model that was asked for failed",
    FallbackReason.OVER_BUDGET.value: "no budget could pay for the model that was asked for",
}
"""Reasons that another model answered, as records have them."""

REQUEST_CLASSES: Mapping[str, str] = {
    "main": "what somebody typed",
    "subagent": "an agent that Claude Code started",
    "workflow": "a workflow",
    "compaction": "a long conversation made shorter",
    "auxiliary": "what Claude Code does besides, such as titles",
    "other": "of a class that is not known here",
}
"""Classes of Claude Code's requests, in words."""

MISSES: Mapping[str, str] = {
    "ttl_5m": "more than five minutes had passed since the last request",
    "ttl_1h": "more than an hour had passed since the last request",
    "upstream": "another upstream answered, which had nothing cached",
    "prefix": "what stands before the breakpoint had changed",
    "unknown": "nobody knows why",
}
"""Causes for which a prompt was not read from the cache, in words."""
