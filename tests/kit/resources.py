"""The resources of the admin API on a real store of each kind, called without HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec
import pytest

from apertis.gateway.admin.resources import Call, Resources
from apertis.gateway.errors import Refusal

if TYPE_CHECKING:
    from tests.kit.stores import Opened

NOW = 1_800_000_000.0


class Asking:
    """Asks as an administrator does, and gives JSON values."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.store = opened.store
        self.now = NOW
        self.caught_up = 0
        self.resources = Resources(opened.store, lambda: self.now, self._catch_up)

    async def _catch_up(self) -> None:
        self.caught_up += 1

    def run(self, work: Any) -> Any:
        return self.opened.run(work)

    def answer(self, method: str, path: str, body: object = None, **query: object) -> Any:
        """Ask; `/x/{id}/y` is written with the id in its place."""
        for its_method, route, _ in self.resources.routes():
            head, placed, tail = route.partition("{id}")
            inside = path[len(head) : len(path) - len(tail)] if placed else ""
            if its_method == method and route.replace("{id}", inside) == path and "/" not in inside:
                if placed and not inside:
                    continue
                raw = b"" if body is None else json.dumps(body).encode()
                call = Call(actor="key_me", id=inside, query=urlencode(query), body=raw)
                return self.run(self.resources.answer(method, route, call))
        raise AssertionError(f"no route: {method} {path}")

    def __call__(self, method: str, path: str, body: object = None, **query: object) -> Any:
        """Ask for what is not refused."""
        answer = self.answer(method, "/admin/v1" + path, body, **query)
        assert not isinstance(answer, Refusal), answer
        return msgspec.json.decode(msgspec.json.encode(answer))

    def refused(
        self, method: str, path: str, body: object = None, **query: object
    ) -> tuple[int, str | None, str]:
        """Ask for what is refused: status, field and message."""
        answer = self.answer(method, "/admin/v1" + path, body, **query)
        assert isinstance(answer, Refusal), answer
        return answer.status, answer.param, answer.message

    def audit(self, **query: object) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self("GET", "/audit", None, **query)["data"]
        return found


@pytest.fixture
def asking(opened: Opened) -> Asking:
    return Asking(opened)
