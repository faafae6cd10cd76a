"""Threads: conversations that the sandbox holds, so that a request brings only what is new.

https://platform.claude.com/docs/en/build-with-claude/message-threads
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from apertis.sandbox.reply import SandboxRefusal, json_bytes
from apertis.sandbox.values import JsonObject, fingerprint, is_array, is_object, stable_id

_MAX_THREADS = 1000
_MAX_HELD_BYTES = 64 * 1024 * 1024
# What a thread keeps as it was created.
_KEPT = ("system", "tools")


@dataclass(frozen=True, slots=True)
class _Held:
    """A conversation up to the response that names it; without messages once it was continued."""

    messages: tuple[Any, ...] | None
    kept: JsonObject
    size_bytes: int


@dataclass(slots=True)
class Threads:
    """The newest threads of one sandbox: up to 1,000 of them, and 64 MiB of their JSON.

    Each response of a thread has an id of its own, also to a request that was made before. Whoever
    keeps the ids beyond the life of a sandbox gives each a `seed` of its own.
    """

    seed: str = ""
    held: dict[str, _Held] = field(default_factory=dict[str, _Held])
    held_bytes: int = 0
    answered: int = 0

    def join(self, request: JsonObject) -> JsonObject | SandboxRefusal:
        """Return the request with the whole conversation in it, or why its thread cannot go on.

        A request that continues no thread is given back as it is; so is one that is not well
        formed, which `check` refuses.
        """
        previous = _previous_id(request)
        if previous is None or not is_array(request.get("messages")):
            return request
        thread = self.held.get(previous)
        if thread is None:
            return _refused(
                404,
                "thread_not_found",
                f"No thread was found for `previous_message_id` {previous}. Send the whole "
                'conversation with `thread: {"type": "create"}` to start a new one.',
            )
        if thread.messages is None:
            return _refused(
                400,
                "thread_already_continued",
                f"The response {previous} has already been continued. Continue from the thread's "
                "most recent response.",
            )
        changed = [
            name
            for name in _KEPT
            if request.get(name) is not None and request[name] != thread.kept.get(name)
        ]
        if changed:
            return _refused(
                400,
                "thread_fingerprint_mismatch",
                f"{' and '.join(f'`{name}`' for name in changed)} must stay as the thread was "
                "created with. Leave out what does not change, or start a new thread.",
            )
        whole = [*thread.messages, *request["messages"]]
        return {**request, **thread.kept, "messages": whole}

    def keep(self, request: JsonObject, message: JsonObject, added_bytes: int) -> JsonObject:
        """Hold an answered conversation under its response, which is given back with its id.

        A refusal is not held, nor what a fallback model has written.
        """
        if not is_object(request.get("thread")):
            return message
        self.answered += 1
        seed = fingerprint(request)
        message = {**message, "id": stable_id("msg_01", seed, f"{self.seed}{self.answered}")}
        previous = _previous_id(request)
        size = added_bytes + len(json_bytes(message["content"]))
        if previous in self.held:
            size += self.held[previous].size_bytes
            self._let_go(previous)
            self._hold(previous, _Held(None, {}, 0))
        by_fallback = message["content"] and message["content"][0]["type"] == "fallback"
        if message["stop_reason"] == "refusal" or by_fallback:
            return message
        answer = {"role": "assistant", "content": message["content"]}
        messages = (*request["messages"], *([answer] if message["content"] else []))
        kept = {name: request[name] for name in _KEPT if request.get(name) is not None}
        self._hold(message["id"], _Held(messages, kept, size))
        return message

    def _hold(self, id: str, thread: _Held) -> None:
        self.held[id] = thread
        self.held_bytes += thread.size_bytes
        while len(self.held) > _MAX_THREADS or self.held_bytes > _MAX_HELD_BYTES:
            self._let_go(next(iter(self.held)))

    def _let_go(self, id: str) -> None:
        self.held_bytes -= self.held.pop(id).size_bytes


def unsupported_in_batches(params: JsonObject) -> SandboxRefusal | None:
    """Return the reason that a request of a batch cannot be in a thread; None if it is not."""
    if params.get("thread") is None:
        return None
    return _refused(
        400,
        "thread_unsupported_request",
        "thread: threads are not supported in batches. Send the whole conversation without it.",
    )


def _previous_id(request: JsonObject) -> str | None:
    thread = request.get("thread")
    if not is_object(thread) or thread.get("type") != "continue":
        return None
    named = thread.get("previous_message_id")
    return named if isinstance(named, str) else None


def _refused(status: int, code: str, message: str) -> SandboxRefusal:
    return SandboxRefusal(status, message, details={"error_code": code})
