"""The sandbox as a service: a request in, a reply out."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote

from apertis.sandbox.batches import Batches, allowed_methods, results_reply
from apertis.sandbox.catalogue import find_model, list_models
from apertis.sandbox.compose import compose
from apertis.sandbox.faults import HEADER, Fault, damage, parse_fault, refused_at_once
from apertis.sandbox.reply import Reply, SandboxRefusal, Speed, Wait, error_reply, json_reply
from apertis.sandbox.streaming import event_stream
from apertis.sandbox.threads import Threads, unsupported_in_batches
from apertis.sandbox.tokens import ESTIMATE_HEADER, input_usage
from apertis.sandbox.validation import Accepted, check, read_json
from apertis.sandbox.values import JsonObject, stable_id

if TYPE_CHECKING:
    from collections.abc import Mapping

_STAND_IN = ("x-apertis-sandbox", "stand-in; no model")
_MODELS = "/v1/models"
_BATCHES = "/v1/messages/batches"

_Outcome: TypeAlias = JsonObject | SandboxRefusal


class Sandbox:
    """A deterministic stand-in for Claude that speaks the whole Messages API.

    The same request gets the same response, down to its ids: there is no clock, no chance and no
    network in it. It remembers three things only: batches, threads, and how often a counted fault
    has struck; their ids are new each time.
    It does not authenticate: that is for the server around it. An instance is for one thread.
    """

    def __init__(
        self,
        speed: Speed = Speed(),  # noqa: B008  # It is a frozen value.
        batch_seed: str = "",
    ) -> None:
        self._speed = speed
        self._batches = Batches(batch_seed)
        self._threads = Threads(batch_seed)
        self._struck: dict[str, int] = {}

    def reply(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, query: str = ""
    ) -> Reply:
        """Return the response to one request.

        `path` is without the query; header names are in lower case. Every reply has a `request-id`
        and says in `x-apertis-sandbox` what it comes from; `x-sandbox-fault` (see
        `apertis.sandbox.faults`) spoils it on demand.
        """
        request_id = stable_id("req_011", hashlib.sha256(body).digest(), f"{method} {path}?{query}")
        reply = self._with_fault(method, path, headers, body, query, request_id)
        return Reply(reply.status, (*reply.headers, _STAND_IN), reply.steps)

    def _with_fault(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, query: str, id: str
    ) -> Reply:
        asked = headers.get(HEADER, "").strip()
        fault = parse_fault(asked) if asked else None
        if isinstance(fault, SandboxRefusal):
            return error_reply(fault, id)
        if fault is None or not self._strikes(fault):
            return self._answer(method, path, headers, body, query, id)
        reply = None
        if fault.kind == "status":
            reply = refused_at_once(fault, False, id)
        if reply is None:
            good = self._answer(method, path, headers, body, query, id)
            streamed = good.header("content-type") == "text/event-stream; charset=utf-8"
            reply = refused_at_once(fault, streamed, id) or damage(fault, good)
        return reply

    def _strikes(self, fault: Fault) -> bool:
        if fault.times is None:
            return True
        self._struck[fault.id] = self._struck.get(fault.id, 0) + 1
        return self._struck[fault.id] <= fault.times

    def _answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, query: str, id: str
    ) -> Reply:
        allowed = _allowed(path)
        if not allowed:
            return error_reply(SandboxRefusal(404, f"Not Found: {path}"), id)
        if method not in allowed:
            refusal = SandboxRefusal(
                405, f"Method Not Allowed: {path} takes {' and '.join(allowed)}"
            )
            return error_reply(refusal, id, ("allow", ", ".join(allowed)))
        if path.startswith(_MODELS):
            return _plain(_models(path, query), id)
        needs_body = method == "POST" and not path.endswith("/cancel")
        request = read_json(body) if needs_body else {}
        if isinstance(request, SandboxRefusal):
            return error_reply(request, id)
        if path.startswith(_BATCHES):
            return self._batch(method, path, query, request, headers, id)
        counting = path.endswith("/count_tokens")
        request = self._threads.join(request)
        if isinstance(request, SandboxRefusal):
            return error_reply(request, id)
        accepted = check(request, headers, counting)
        if isinstance(accepted, SandboxRefusal):
            return error_reply(accepted, id)
        if counting:
            tokens = input_usage(request, accepted.attachments).total
            return json_reply(200, {"input_tokens": tokens}, id, ESTIMATE_HEADER)
        return self._message(accepted, len(body), id)

    def _message(self, accepted: Accepted, body_bytes: int, id: str) -> Reply:
        message = self._threads.keep(accepted.request, compose(accepted), body_bytes)
        if accepted.request.get("stream"):
            head = (
                ("content-type", "text/event-stream; charset=utf-8"),
                ("cache-control", "no-cache"),
                ("request-id", id),
                ESTIMATE_HEADER,
            )
            return Reply(200, head, tuple(event_stream(message, self._speed)))
        reply = json_reply(200, message, id, ESTIMATE_HEADER)
        seconds = self._speed.first_token_seconds
        seconds += self._speed.seconds_for(message["usage"]["output_tokens"])
        return Reply(200, reply.headers, (Wait(seconds), *reply.steps)) if seconds else reply

    def _batch(
        self,
        method: str,
        path: str,
        query: str,
        body: JsonObject,
        headers: Mapping[str, str],
        id: str,
    ) -> Reply:
        def answer(params: JsonObject) -> JsonObject | SandboxRefusal:
            accepted = unsupported_in_batches(params) or check(params, headers)
            return accepted if isinstance(accepted, SandboxRefusal) else compose(accepted)

        outcome = self._batches.reply(method, path, query, _origin(headers), body, answer)
        if isinstance(outcome, bytes):
            return results_reply(outcome, id)
        return _plain(outcome, id)


def _allowed(path: str) -> tuple[str, ...]:
    if path in ("/v1/messages", "/v1/messages/count_tokens"):
        return ("POST",)
    if path == _MODELS or path.startswith(f"{_MODELS}/"):
        return ("GET",)
    return allowed_methods(path)


def _models(path: str, query: str) -> _Outcome:
    if path == _MODELS:
        return list_models(query)
    name = unquote(path.removeprefix(f"{_MODELS}/"))
    model = find_model(name)
    return SandboxRefusal(404, f"model: {name}") if model is None else model.entry()


def _origin(headers: Mapping[str, str]) -> str:
    host = headers.get("host", "")
    return f"{headers.get('x-forwarded-proto', 'http')}://{host}" if host else ""


def _plain(outcome: _Outcome, id: str) -> Reply:
    return (
        error_reply(outcome, id)
        if isinstance(outcome, SandboxRefusal)
        else json_reply(200, outcome, id)
    )
