"""The story of one request, told by the pipeline's parts without a server."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.cache import ResponseCache
from apertis.gateway.config import read_settings
from apertis.gateway.errors import Refusal
from apertis.gateway.gateway import build_pipeline, build_router
from apertis.gateway.keys.directory import Directory, Key
from apertis.gateway.keys.record import KeyRecord
from apertis.gateway.keys.secrets import hash_secret
from apertis.gateway.limits.limiter import Limiter
from apertis.gateway.request.context import Progress, RequestContext
from apertis.gateway.request.forward import StreamedAnswer, WholeAnswer
from apertis.gateway.request.threads import Threads
from apertis.gateway.upstreams.contract import Request
from apertis.gateway.upstreams.sandbox import SandboxUpstream
from tests.kit.asking import relayed
from tests.kit.chains import Books, money_of, no_budgets, quota_chain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apertis.gateway.request.pipeline import Pipeline

SECRET = "sk-caller"
ASKED = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "Hi"}],
}

ONE_MODEL = """
[[upstreams]]
name = "sandbox"
kind = "sandbox"
models = ["claude-sonnet-4-5"]
"""


class Desk:
    """A pipeline before the sandbox, with one key."""

    def __init__(self, folder: Path, config: str = "", **key: Any) -> None:
        file = folder / "apertis.toml"
        file.write_text(config)
        settings = read_settings({}, config=file, data=folder / "data")
        record = KeyRecord(
            **{"id": "key_a", "name": "a", "hint": "", "created_at": 0, **key},
            sha256=hash_secret(SECRET),
        )
        self.books = Books()
        self.directory = Directory([record])
        self.progress = self._arrived()
        quota_chain(self.key)
        router = build_router(settings, None)
        self.pipeline: Pipeline = build_pipeline(
            settings,
            router,
            directory=self.directory,
            limiter=Limiter(settings.limits),
            budgets=no_budgets(),
            upstreams={upstream.name: SandboxUpstream(0, 0) for upstream in settings.upstreams},
            cache=ResponseCache(settings.cache),
            threads=Threads(None, lambda: 1.0, lambda _: None),  # type: ignore[arg-type]
            journal=self.books,  # type: ignore[arg-type]
        )

    @staticmethod
    def _arrived() -> Progress:
        return Progress(
            RequestContext("req_1", 1.0, 1.0, "POST", "/v1/messages", address="192.0.2.1")
        )

    @property
    def key(self) -> Key:
        key = self.directory.get("key_a")
        assert key is not None
        self.progress.key = key
        return key

    @staticmethod
    def request(secret: str = SECRET, /, **fields: Any) -> Request:
        body = json.dumps({**ASKED, **fields}).encode()
        headers = {"x-api-key": secret, "content-type": "application/json"}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        return Request(
            "req_1", "POST", "/v1/messages", "", headers, body, raw, target="/v1/messages"
        )

    def ask(self, **fields: Any) -> WholeAnswer | StreamedAnswer | Refusal:
        """Answer a request to its end."""
        self.progress = self._arrived()

        async def run() -> WholeAnswer | StreamedAnswer | Refusal:
            answer = await self.pipeline.messages(self.progress, self.key, self.request(**fields))
            if isinstance(answer, StreamedAnswer):
                await relayed(answer.relay)
            return answer

        return asyncio.run(run())

    def refused(self, **fields: Any) -> tuple[int, str | None]:
        refusal = self.ask(**fields)
        assert isinstance(refusal, Refusal)
        return refusal.status, refusal.code


@pytest.fixture
def desk(tmp_path: Path) -> Callable[..., Desk]:
    def make(config: str = "", **key: Any) -> Desk:
        return Desk(tmp_path, config, **key)

    return make


def test_a_key_is_let_in_by_its_secret_alone(desk: Callable[..., Desk]) -> None:
    made = desk()
    assert made.pipeline.admit(made.progress, SECRET) is None
    assert made.progress.key is made.key
    stranger = made.pipeline.admit(made.progress, "sk-stranger")
    assert isinstance(stranger, Refusal)
    assert (stranger.status, stranger.code) == (401, "invalid_api_key")


@pytest.mark.parametrize("limit", ["per_address", "per_key"])
def test_more_requests_than_the_limit_are_refused_with_a_wait(
    desk: Callable[..., Desk], limit: str
) -> None:
    made = desk(f'[limits]\n{limit} = "2/1h"\n')
    admitted = [made.pipeline.admit(made.progress, SECRET) for _ in range(3)]
    assert admitted[:2] == [None, None]
    assert isinstance(admitted[2], Refusal)
    assert admitted[2].status == 429
    assert made.progress.standing is not None
    assert made.progress.standing.remaining == 0


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_booked_by_what_it_used(desk: Callable[..., Desk], stream: bool) -> None:
    made = desk(quota_units=10**9)
    answer = made.ask(stream=stream)
    assert isinstance(answer, StreamedAnswer if stream else WholeAnswer)
    assert answer.status == 200
    (record,) = made.books.records
    assert (record.key_id, record.model, record.streamed) == ("key_a", ASKED["model"], stream)
    assert record.tokens.output > 0
    account = money_of(made.key)
    assert (account.reserved, account.used) == (0, record.cost_units)
    if isinstance(answer, WholeAnswer):
        assert json.loads(answer.body)["usage"]["output_tokens"] == record.tokens.output


@pytest.mark.parametrize(
    ("key", "fields", "refusal"),
    [
        ({"models": ("claude-opus-4-5",)}, {}, (403, "model_access_denied")),
        ({"quota_units": 1}, {}, (402, "quota_exceeded")),
        ({}, {"model": "nobody-serves"}, (404, "model_not_found")),
        ({"tokens_per_minute": 1}, {}, (429, "rate_limit_exceeded")),
    ],
)
def test_what_a_key_may_not_ask_reaches_nobody_and_costs_nothing(
    desk: Callable[..., Desk],
    key: dict[str, Any],
    fields: dict[str, Any],
    refusal: tuple[int, str],
) -> None:
    made = desk(ONE_MODEL, **key)
    assert made.refused(**fields) == refusal
    assert made.progress.sent is None
    account = money_of(made.key)
    assert (account.reserved, account.used) == (0, 0)


def test_a_body_that_is_no_request_is_refused_by_name(desk: Callable[..., Desk]) -> None:
    made = desk()
    refusal = made.ask(max_tokens="many")
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.param) == (400, "max_tokens")


def test_while_nothing_can_be_kept_nobody_is_served(desk: Callable[..., Desk]) -> None:
    made = desk()
    made.books.trouble = "the disk is full"
    assert made.refused()[0] == 503


def test_an_equal_request_is_answered_from_the_cache(desk: Callable[..., Desk]) -> None:
    made = desk(response_cache=True)
    first, second = made.ask(), made.ask()
    assert isinstance(first, WholeAnswer)
    assert isinstance(second, WholeAnswer)
    assert first.body == second.body
    assert made.progress.cached
    assert [record.cost_units == 0 for record in made.books.records] == [False, True]
