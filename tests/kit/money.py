"""An upstream that keeps its own books, and a client that reads every answer to its end.

Each request says in its own text what the upstream is to do with it and what that uses, so that
any number of requests can be under way in any order. What things cost is worked out here with
fractions of dollars, and shares nothing with the gateway's arithmetic.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import subprocess
import threading
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any

import pytest

from apertis.testing import (
    AwaitDisconnect,
    Close,
    Exchange,
    Gate,
    Reset,
    ScriptedServer,
    http_chunk,
    json_response,
    sse_event,
    sse_head,
)
from tests.kit.chains import KeyMoney, money_of
from tests.kit.processes import start_serving
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from apertis.testing import RecordedRequest, Step
    from tests.kit.gateways import RunningGateway
    from tests.kit.processes import Served

UNITS_PER_DOLLAR = 500_000
# Dollars per million tokens, and per thousand searches; no two numbers are alike.
PRICES = {
    "alpha": {
        "input": "3.000002",
        "output": "15.7",
        "cache_read": "0.31",
        "cache_write_5m": "3.75",
        "cache_write_1h": "6.02",
        "web_search": "10.3",
    },
    "beta": {
        "input": "0.777778",
        "output": "4.1",
        "cache_read": "0.08",
        "cache_write_5m": "1.000004",
        "cache_write_1h": "1.6",
        "web_search": "9.9",
    },
}
CONFIG = """
[limits]
per_address = "0"
per_key = "0"
[routing]
breaker_failures = 100000
affinity = false
[[upstreams]]
name = "first"
kind = "anthropic"
base_url = "{url}"
api_key_env = "FIRST_KEY"
models = ["alpha", "free"]
[[upstreams]]
name = "second"
kind = "anthropic"
base_url = "{url}"
api_key_env = "SECOND_KEY"
models = ["alpha"]
priority = 1
[[upstreams]]
name = "third"
kind = "anthropic"
base_url = "{url}"
api_key_env = "THIRD_KEY"
models = {third}
"""
ENVIRONMENT = {"FIRST_KEY": "first", "SECOND_KEY": "second", "THIRD_KEY": "third"}

Usage = dict[str, Any]


def price_of(model: str, usage: Usage) -> int:
    """What an answer costs in units, by the price list above: one sum, rounded up once."""
    dollars = {name: Fraction(text) for name, text in PRICES[model].items()}
    written = usage.get("cache_creation") or {}
    tokens: dict[str, int] = {
        "input": usage.get("input_tokens", 0),
        "output": usage.get("output_tokens", 0),
        "cache_read": usage.get("cache_read_input_tokens", 0),
        "cache_write_5m": written.get("ephemeral_5m_input_tokens", 0),
        "cache_write_1h": written.get("ephemeral_1h_input_tokens", 0),
    }
    total = Fraction()
    for name, number in tokens.items():
        total += dollars[name] * number / 1_000_000
    searches: int = (usage.get("server_tool_use") or {}).get("web_search_requests", 0)
    total += dollars["web_search"] * searches / 1000
    return ceil(total * UNITS_PER_DOLLAR)


def bound_of(body: bytes) -> Usage:
    """The most that a body of text can use, as the documentation of quotas says it."""
    return {
        "input_tokens": ceil(Fraction(len(body), 2)) + 100,
        "output_tokens": json.loads(body)["max_tokens"],
    }


@dataclass
class Upstream:
    """Answers as each request's own plan says, and books what it reported as used.

    A plan is `{"id", "usage", "deltas", "hold", "do": {name of the upstream: word}}`. Words:
    `answer`; a status; `reset`, `hang`; for streams also `error first`, `cut first`,
    `hang first` (behind `message_start`), `error after`, `cut after`, `reset after`, `hang after`
    (behind so many pieces of four characters). With `"verbatim"` a text is the event stream, and
    an object the document, to answer with; `{"raw": ...}` has its bytes as Latin-1.
    """

    gate: Gate = field(default_factory=lambda: Gate(30))
    books: list[dict[str, Any]] = field(default_factory=list)
    calls: int = 0
    _lock: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, request: RecordedRequest) -> Exchange:
        asked = json.loads(request.body)
        plan = json.loads(asked["messages"][-1]["content"])
        name = request.headers["x-api-key"]
        word = plan.get("do", {}).get(name, "answer")
        usage = plan.get("usage") or {"input_tokens": 10, "output_tokens": 5}
        if usage == "bound":
            usage = bound_of(request.body)
        with self._lock:
            self.calls += 1
            self._lock.notify_all()
            if word == "answer":
                book = {"id": plan["id"], "by": name, "model": asked["model"], "usage": usage}
                self.books.append(book)
        if "verbatim" in plan:
            return _verbatim(plan["verbatim"])
        if word.isdigit():
            return _refused(int(word))
        if word in ("reset", "hang"):
            return Exchange(AwaitDisconnect(20) if word == "hang" else Reset)
        hold = (self.gate,) if plan.get("hold") else ()
        message = _message(plan["id"], asked["model"], usage)
        if not asked.get("stream"):
            return Exchange(*hold, json_response(200, message))
        return Exchange(*_stream(message, plan.get("deltas", 5), word, hold))

    async def called(self, count: int) -> None:
        """Wait until it has been asked so many times."""

        def wait() -> bool:
            with self._lock:
                return self._lock.wait_for(lambda: self.calls >= count, 20)

        assert await asyncio.to_thread(wait), f"{self.calls} calls, not {count}"

    def reported(self, model: str | None = None) -> list[Usage]:
        """The usage of all whole answers, or of those of a model."""
        return [book["usage"] for book in self.books if model in (None, book["model"])]


def _verbatim(said: str | dict[str, Any]) -> Exchange:
    """Answer with an event stream that is a text, or with a document."""
    if isinstance(said, dict) and "raw" in said:
        raw = said["raw"].encode("latin-1")
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        return Exchange(head % len(raw) + raw)
    if isinstance(said, dict):
        return Exchange(json_response(200, said))
    return Exchange(sse_head() + http_chunk(said.encode()) + http_chunk(b""))


def _refused(status: int) -> Exchange:
    kinds = {400: "invalid_request_error", 429: "rate_limit_error", 529: "overloaded_error"}
    error = {"type": kinds.get(status, "api_error"), "message": "no"}
    return Exchange(json_response(status, {"type": "error", "error": error}))


def _message(id_: str, model: str, usage: Usage) -> dict[str, Any]:
    return {
        "id": f"msg_{id_}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": "wxyz"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }


def _stream(message: dict[str, Any], deltas: int, word: str, hold: tuple[Gate, ...]) -> list[Step]:
    def chunk(kind: str, **fields: Any) -> bytes:
        return http_chunk(sse_event({"type": kind, **fields}))

    usage = message["usage"]
    started = {**message, "content": [], "stop_reason": None}
    started["usage"] = {**usage, "output_tokens": 1}
    start = sse_head() + chunk("message_start", message=started)
    error = chunk("error", error={"type": "overloaded_error", "message": "busy"})
    if word == "error first":
        return [start, error, http_chunk(b"")]
    if word == "cut first":
        return [start, Close]
    if word == "hang first":
        return [start, AwaitDisconnect(20)]
    piece = chunk("content_block_delta", index=0, delta={"type": "text_delta", "text": "wxyz"})
    begun = chunk("content_block_start", index=0, content_block={"type": "text", "text": ""})
    begun += piece * deltas
    if word.endswith(" after"):
        endings: dict[str, Step] = {
            "error": error + http_chunk(b""),
            "cut": Close,
            "reset": Reset,
            "hang": AwaitDisconnect(20),
        }
        return [start, *hold, begun, endings[word.removesuffix(" after")]]
    end = chunk("content_block_stop", index=0)
    end += chunk(
        "message_delta",
        delta={"stop_reason": "end_turn", "stop_sequence": None},
        usage={"output_tokens": usage["output_tokens"]},
    )
    end += chunk("message_stop") + http_chunk(b"")
    return [start, *hold, begun, end]


@dataclass(frozen=True)
class Answer:
    """What a client has of an answer; `whole` says whether it came to its regular end."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool

    @property
    def events(self) -> list[dict[str, Any]]:
        """The data of the events of a stream, as far as whole ones came."""
        blocks = self.body.split(b"\n\n")[:-1]
        return [json.loads(block.partition(b"data: ")[2]) for block in blocks]

    @property
    def pieces(self) -> int:
        """How many pieces of text came."""
        return self.body.count(b'"text_delta"')

    @property
    def stopped(self) -> bool:
        """Whether a stream came to the end of its message."""
        return self.whole and any(event["type"] == "message_stop" for event in self.events)


async def call(
    port: int,
    secret: str,
    body: bytes,
    headers: dict[str, str] | None = None,
    leave_after: int | None = None,
) -> Answer:
    """Ask once over a connection of its own; leave after so many pieces (0: with the head)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    fields = {
        "host": "gateway",
        "x-api-key": secret,
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        **(headers or {}),
    }
    lines = [f"{name}: {value}" for name, value in fields.items()]
    writer.write("\r\n".join(["POST /v1/messages HTTP/1.1", *lines, "", ""]).encode() + body)
    received = bytearray()
    whole = True
    try:
        while data := await reader.read(65536):
            received += data
            left = leave_after is not None and b"\r\n\r\n" in received
            if left and received.count(b'"text_delta"') >= (leave_after or 0):
                whole = False
                break
    except ConnectionError:
        whole = False
    finally:
        if not whole:
            writer.transport.abort()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return _answer(bytes(received), whole=whole)


def _answer(received: bytes, *, whole: bool) -> Answer:
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return Answer(0, {}, b"", whole=False)
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in pairs}
    if headers.get("transfer-encoding") == "chunked":
        body, ended = _joined(body)
    else:
        ended = len(body) == int(headers.get("content-length", -1))
    return Answer(int(first.split(" ")[1]), headers, body, whole and ended)


def _joined(chunked: bytes) -> tuple[bytes, bool]:
    body = b""
    while True:
        size, found, rest = chunked.partition(b"\r\n")
        if not found:
            return body, False
        length = int(size, 16)
        if length == 0:
            return body, rest == b"\r\n"
        body += rest[:length]
        if len(rest) < length + 2:
            return body, False
        chunked = rest[length + 2 :]


def rows_of(data: Path, key_id: str | None = None) -> list[dict[str, Any]]:
    """The records in the ledger, read beside the gateway."""
    with contextlib.closing(sqlite3.connect(data / "apertis.sqlite3", timeout=10)) as database:
        database.row_factory = sqlite3.Row
        found = database.execute(
            "select * from usage where ? is null or key_id = ? order by request_id",
            (key_id, key_id),
        )
        return [dict(row) for row in found]


def spent_by(data: Path, key_id: str) -> int:
    """What the store says that a key has used."""
    with contextlib.closing(sqlite3.connect(data / "apertis.sqlite3", timeout=10)) as database:
        found = database.execute("select used_units from key_usage where key_id = ?", (key_id,))
        row = found.fetchone()
        return 0 if row is None else int(row[0])


@dataclass(frozen=True)
class Money:
    """A gateway before the upstream that keeps books."""

    gateway: RunningGateway
    upstream: Upstream

    price_of = staticmethod(price_of)
    bound_of = staticmethod(bound_of)

    def key(self, **fields: Any) -> tuple[str, str]:
        """Make a key: its id and its secret."""
        id_, client = self.gateway.make_key(**fields)
        return id_, client.api_key

    @staticmethod
    def body(plan: dict[str, Any], *, stream: bool = False, **fields: Any) -> bytes:
        """A request that carries its plan; all ids are of one length, and so are the bodies."""
        asked = {"model": "alpha", "max_tokens": 40, **fields}
        if stream:
            asked["stream"] = True
        text = json.dumps({"id": "0000", **plan})
        return json.dumps({**asked, "messages": [{"role": "user", "content": text}]}).encode()

    async def ask(
        self,
        secret: str,
        body: bytes,
        headers: dict[str, str] | None = None,
        leave_after: int | None = None,
    ) -> Answer:
        """Ask the gateway."""
        return await call(self.gateway.client.port, secret, body, headers, leave_after)

    def ask_all(self, secret: str, bodies: list[bytes], at_once: int = 50) -> list[Answer]:
        """Ask for all of them, so many at once, and give the answers in their order."""

        async def run() -> list[Answer]:
            turns = asyncio.Semaphore(at_once)

            async def one(body: bytes) -> Answer:
                async with turns:
                    return await self.ask(secret, body)

            return await asyncio.gather(*map(one, bodies))

        return asyncio.run(run())

    def account(self, key_id: str) -> KeyMoney:
        """The money of a key as the running gateway has it."""
        key = self.gateway.gateway.directory.get(key_id)
        assert key is not None
        return money_of(key, self.gateway.gateway.budgets)

    def rows(self, key_id: str, count: int) -> list[dict[str, Any]]:
        """The records of a key, when there are so many."""
        until(lambda: len(rows_of(self.gateway.data, key_id)) >= count)
        rows = rows_of(self.gateway.data, key_id)
        assert len(rows) == count
        return rows

    def settled(self, key_id: str, count: int) -> list[dict[str, Any]]:
        """The same, once nothing is set aside; the sums of all three books are equal."""
        rows = self.rows(key_id, count)
        account = self.account(key_id)
        assert account.reserved == 0
        total = sum(row["cost_units"] for row in rows)
        assert account.used == spent_by(self.gateway.data, key_id) == total
        return rows


class Killable:
    """`apertis serve` as a process of its own, on data that outlives it."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self.data = folder / "data"
        self._home = folder
        self._secret = ""
        whole = CONFIG.format(url=base_url, third='["beta"]') + price_tables(PRICES)
        (folder / "apertis.toml").write_text(whole)
        self.served: Served | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start it; the administrator's secret is told at the first start."""
        self.served = start_serving(
            *("--config", "apertis.toml", "--data", "data", "--json"),
            home=self._home,
            log=subprocess.DEVNULL,
            environment={**ENVIRONMENT, "APERTIS_LOG_REQUESTS": "false"},
        )
        if wait:
            self.served.wait_until_it_serves()
            self._secret = self.served.api_key = self.served.api_key or self._secret

    @property
    def port(self) -> int:
        assert self.served is not None
        return int(self.served.base_url.rpartition(":")[2])

    def kill(self) -> None:
        """End it at once, as a machine that runs out of memory would."""
        assert self.served is not None
        self.served.close()

    def stop(self) -> int:
        """Ask it to end, and give its exit code."""
        assert self.served is not None
        with contextlib.closing(self.served):
            return self.served.stop()

    def admin(self, method: str, target: str, **fields: Any) -> dict[str, Any]:
        """Call the admin API."""
        assert self.served is not None
        body = json.dumps(fields).encode() if fields else b""
        response = self.served.call(method, f"/admin/v1/{target}", body)
        assert response.status == 200, response.body
        answer: dict[str, Any] = response.json
        return answer

    call = staticmethod(call)
    price_of = staticmethod(price_of)
    bound_of = staticmethod(bound_of)
    body = staticmethod(Money.body)

    def rows(self, key_id: str) -> list[dict[str, Any]]:
        """The records of a key in the ledger."""
        return rows_of(self.data, key_id)

    def spent(self, key_id: str) -> int:
        """What the store says that a key has used."""
        return spent_by(self.data, key_id)


@pytest.fixture
def killable(tmp_path: Path) -> Iterator[Killable]:
    with ScriptedServer(Upstream(), require_all=False) as server:
        gateway = Killable(tmp_path, server.base_url)
        yield gateway
        if gateway.served is not None:
            gateway.kill()


def price_tables(prices: dict[str, dict[str, str]]) -> str:
    return "".join(
        f"[prices.{model}]\n" + "".join(f'{name} = "{value}"\n' for name, value in price.items())
        for model, price in prices.items()
    )


@pytest.fixture
def open_money(start_gateway: Callable[..., RunningGateway]) -> Iterator[Callable[..., Money]]:
    """Start a gateway before a counting upstream; `config` is added to the usual one."""
    with contextlib.ExitStack() as stack:

        def start(config: str = "", *, third: str = '["beta"]') -> Money:
            upstream = Upstream()
            server = stack.enter_context(ScriptedServer(upstream, require_all=False))
            whole = CONFIG.format(url=server.base_url, third=third) + config + price_tables(PRICES)
            return Money(start_gateway(whole, **ENVIRONMENT), upstream)

        yield start


class UpstreamStage:
    """One server, on which each test puts the upstream that it wants."""

    upstream: Upstream

    def __call__(self, request: RecordedRequest) -> Exchange:
        return self.upstream(request)


@pytest.fixture(scope="session")
def lasting(
    run_gateways: Callable[..., contextlib.AbstractContextManager[RunningGateway]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RunningGateway, UpstreamStage]]:
    """A gateway for all tests that leave it as it was."""
    stage = UpstreamStage()
    with ScriptedServer(stage, require_all=False) as server:
        config = CONFIG.format(url=server.base_url, third='["beta"]') + price_tables(PRICES)
        with run_gateways(tmp_path_factory.mktemp("money"), config, ENVIRONMENT) as gateway:
            yield gateway, stage


@pytest.fixture
def money(lasting: tuple[RunningGateway, UpstreamStage]) -> Money:
    """A counting upstream of the test's own, behind a gateway that others use as well."""
    gateway, stage = lasting
    stage.upstream = Upstream()
    return Money(gateway, stage.upstream)
