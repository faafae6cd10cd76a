from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from apertis import Apertis
from apertis.gateway.catalogue.catalogue import Catalogue
from apertis.gateway.config import ModelSettings, UpstreamSettings
from apertis.gateway.errors import Refusal
from apertis.gateway.upstreams.anthropic import AnthropicUpstream
from apertis.gateway.upstreams.sandbox import SandboxUpstream
from apertis.testing import Close, Exchange, RecordedRequest, ScriptedServer, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from apertis.gateway.upstreams.contract import Upstream
    from tests.kit.gateways import RunningGateway
    from tests.kit.http import Client

NOW = 1_800_000_000.0


def everything(name: str) -> bool:
    return True


def listing(*ids: str, has_more: bool = False, **fields: Any) -> bytes:
    data = [{"type": "model", "id": id, "display_name": id.title(), **fields} for id in ids]
    cursors = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
    return json_response(200, {"data": data, "has_more": has_more, **cursors})


NOT_FOUND = json_response(404, {"type": "error", "error": {"type": "not_found_error"}})
FAILS = json_response(500, {"type": "error"})


class Shown:
    """Asks a catalogue, and reads what it says."""

    def __init__(self, catalogue: Catalogue, allows: Callable[[str], bool] = everything) -> None:
        self.catalogue = catalogue
        self.allows = allows

    async def ids(self, query: str = "", now: float = NOW) -> list[str]:
        body = await self.catalogue.list(query, self.allows, now)
        assert isinstance(body, bytes), body
        return [entry["id"] for entry in json.loads(body)["data"]]

    async def model(self, name: str, now: float = NOW) -> dict[str, Any]:
        body = await self.catalogue.retrieve(name, self.allows, now)
        assert isinstance(body, bytes), body
        decoded: dict[str, Any] = json.loads(body)
        return decoded

    async def refused(self, name: str | None = None, now: float = NOW) -> tuple[int, str]:
        if name is None:
            refusal = await self.catalogue.list("", self.allows, now)
        else:
            refusal = await self.catalogue.retrieve(name, self.allows, now)
        assert isinstance(refusal, Refusal)
        return refusal.status, refusal.code


def sources(
    *given: tuple[ScriptedServer | None, tuple[ModelSettings, ...]],
) -> tuple[list[UpstreamSettings], dict[str, Upstream]]:
    """Upstreams in this order of priority; None stands for the sandbox."""
    settings: list[UpstreamSettings] = []
    upstreams: dict[str, Upstream] = {}
    for priority, (server, models) in enumerate(given):
        name = f"u{priority}"
        settings.append(UpstreamSettings(name, models=models, priority=priority))
        upstreams[name] = (
            SandboxUpstream(0, None, name=name)
            if server is None
            else AnthropicUpstream(name, server.base_url, api_key="sk-ours")
        )
    # The order of the tables means nothing.
    return settings[::-1], upstreams


def asking(
    work: Callable[[Shown], Any],
    *given: tuple[ScriptedServer | None, tuple[ModelSettings, ...]],
    allows: Callable[[str], bool] = everything,
    usual: tuple[str, ...] = (),
) -> Any:
    async def main() -> Any:
        settings, upstreams = sources(*given)
        catalogue = Catalogue(settings, upstreams, usual)
        try:
            return await work(Shown(catalogue, allows))
        finally:
            catalogue.close()
            for upstream in upstreams.values():
                await upstream.close()

    return asyncio.run(main())


def test_the_list_of_an_upstream_that_passes_every_name_is_its_own() -> None:
    async def work(shown: Shown) -> None:
        body = await shown.catalogue.list("limit=1", everything, NOW)
        assert isinstance(body, bytes)
        page = json.loads(body)
        assert (page["object"], page["has_more"]) == ("list", True)
        assert (page["first_id"], page["last_id"]) == ("claude-b", "claude-b")
        [entry] = page["data"]
        assert entry["max_tokens"] == 7
        assert (entry["object"], entry["lifecycle"], entry["owned_by"]) == (
            "model",
            "active",
            "anthropic",
        )
        assert await shown.ids() == ["claude-b", "claude-a"]

    with ScriptedServer([listing("claude-b", "claude-a", max_tokens=7)]) as server:
        asking(work, (server, ()))
        (request,) = server.requests
    assert (request.method, request.target) == ("GET", "/v1/models?limit=1000")
    assert request.headers["x-api-key"] == "sk-ours"
    assert request.headers["anthropic-version"] == "2023-06-01"


def test_all_pages_of_it_are_read() -> None:
    script = [listing("a", "b c&d", has_more=True), listing("e", has_more=True), listing("f")]
    with ScriptedServer(script) as server:
        assert asking(Shown.ids, (server, ())) == ["a", "b c&d", "e", "f"]
        queries = [request.query for request in server.requests]
    assert queries == ["limit=1000", "limit=1000&after_id=b%20c%26d", "limit=1000&after_id=e"]


def test_an_upstream_that_does_not_heed_the_cursor_is_not_asked_for_ever() -> None:
    with ScriptedServer([listing("a", has_more=True)] * 2) as server:
        assert asking(Shown.ids, (server, ())) == ["a"]


def test_it_is_kept_for_five_minutes_and_longer_while_it_cannot_be_read() -> None:
    async def work(shown: Shown) -> list[list[str]]:
        return [await shown.ids(now=NOW + later) for later in (0, 299, 300, 329, 330)]

    with ScriptedServer([listing("a"), FAILS, listing("b")]) as server:
        assert asking(work, (server, ())) == [["a"], ["a"], ["a"], ["a"], ["b"]]


@pytest.mark.parametrize(
    "answer",
    [
        FAILS,
        json_response(401, {"type": "error"}),
        json_response(200, {"data": "nothing"}),
        json_response(200, []),
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n<html",
        Exchange(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Close),
    ],
)
def test_a_list_that_was_never_read_is_no_empty_list(answer: bytes | Exchange) -> None:
    with ScriptedServer([answer]) as server:
        refused = asking(Shown.refused, (server, ()))
    assert refused == (503, "service_unavailable")


def test_an_upstream_without_a_list_has_the_usual_models() -> None:
    async def work(shown: Shown) -> None:
        assert await shown.ids() == ["claude-u", "claude-v"]
        assert (await shown.model("claude-u"))["id"] == "claude-u"
        assert await shown.refused("claude-w") == (404, "model_not_found")

    with ScriptedServer([NOT_FOUND] * 3) as server:
        asking(work, (server, ()), usual=("claude-u", "claude-v"))


def test_an_upstream_with_a_list_has_no_other_models() -> None:
    with ScriptedServer([listing("a")]) as server:
        assert asking(Shown.ids, (server, ()), usual=("claude-u",)) == ["a"]
    with ScriptedServer([listing()]) as server:
        assert asking(Shown.ids, (server, ()), usual=("claude-u",)) == []


def test_one_upstream_that_fails_does_not_hide_the_others() -> None:
    with ScriptedServer([FAILS]) as broken:
        found = asking(Shown.ids, (broken, ()), (None, (ModelSettings("mine"),)))
    assert found == ["mine"]


CONFIGURED = (
    ModelSettings("fast", aliases=("quick", "claude-haiku"), upstream_model="claude-x"),
    ModelSettings("claude-opus-4-5-20251101"),
)


def test_configured_models_are_shown_by_their_own_names_with_what_is_known_of_them() -> None:
    async def work(shown: Shown) -> None:
        assert await shown.ids() == ["fast", "claude-opus-4-5-20251101"]
        fast = await shown.model("quick")
        assert (fast["id"], fast["display_name"], fast["max_tokens"]) == ("fast", "Claude-X", 7)
        opus = await shown.model("claude-opus-4-5-20251101")
        assert opus["created_at"] == "2025-11-01T00:00:00Z"
        # Other models of the upstream are not on offer.
        assert await shown.refused("claude-x") == (404, "model_not_found")
        assert await shown.refused("claude-y") == (404, "model_not_found")

    with ScriptedServer([listing("claude-x", "claude-y", max_tokens=7)]) as server:
        asking(work, (server, CONFIGURED))


def test_configured_models_are_there_although_their_upstream_is_not() -> None:
    async def work(shown: Shown) -> None:
        assert await shown.ids() == ["fast", "claude-opus-4-5-20251101"]
        assert (await shown.model("quick"))["display_name"] == "fast"

    with ScriptedServer([FAILS]) as server:
        asking(work, (server, CONFIGURED))


def test_only_what_the_key_may_use_is_shown() -> None:
    async def work(shown: Shown) -> None:
        assert await shown.ids() == ["fast", "b"]
        assert await shown.refused("a") == (404, "model_not_found")
        # An alias that is allowed shows its model, by whichever of its names.
        assert (await shown.model("fast"))["id"] == "fast"
        assert (await shown.model("b"))["id"] == "b"

    with ScriptedServer([listing("a", "b")]) as server:
        asking(
            work,
            (None, (CONFIGURED[0],)),
            (server, ()),
            allows=lambda name: name in {"quick", "b"},
        )


def test_pages_are_of_what_is_shown() -> None:
    async def work(shown: Shown) -> None:
        body = await shown.catalogue.list("limit=1", shown.allows, NOW)
        assert isinstance(body, bytes)
        assert json.loads(body)["has_more"] is False
        refusal = await shown.catalogue.list("after_id=a", shown.allows, NOW)
        assert isinstance(refusal, Refusal)
        assert (refusal.status, refusal.param) == (400, "after_id")

    with ScriptedServer([listing("a", "b")]) as server:
        asking(work, (server, ()), allows=lambda name: name == "b")


def test_a_model_of_two_upstreams_is_shown_once_as_the_first_has_it() -> None:
    async def work(shown: Shown) -> None:
        assert await shown.ids() == ["b", "a", "c"]
        assert (await shown.model("a"))["rank"] == 1

    first, second = listing("b", "a", rank=1), listing("a", "c", rank=2)
    with ScriptedServer([first]) as one, ScriptedServer([second]) as two:
        asking(work, (one, ()), (two, ()))


def test_an_alias_that_only_the_upstream_knows_is_looked_up_and_remembered() -> None:
    answer = json_response(200, {"id": "claude-x-20260101", "display_name": "X", "new": [1]})

    async def work(shown: Shown) -> None:
        for later in (0, 299):
            model = await shown.model("claude-x/latest", NOW + later)
            assert (model["id"], model["new"], model["object"]) == (
                "claude-x-20260101",
                [1],
                "model",
            )
            assert await shown.refused("nothing", NOW + later) == (404, "model_not_found")

    def answering(request: RecordedRequest) -> Exchange | bytes:
        by_target = {
            "/v1/models?limit=1000": listing("a"),
            "/v1/models/claude-x%2Flatest": answer,
            "/v1/models/nothing": NOT_FOUND,
        }
        return by_target[request.target]

    with ScriptedServer(answering) as server:
        asking(work, (server, ()))
        assert len(server.requests) == 3


def test_names_that_callers_make_up_do_not_fill_the_memory() -> None:
    async def work(shown: Shown) -> int:
        for number in range(400):
            await shown.refused(f"m{number}")
        (source,) = shown.catalogue._sources
        assert await shown.refused("x" * 100_000) == (404, "model_not_found")
        return len(source._looked_up)

    with ScriptedServer(lambda _: NOT_FOUND) as server:
        assert asking(work, (server, ())) == 256
        assert len(server.requests) == 401


def test_a_model_that_cannot_be_looked_up_is_not_said_to_be_missing() -> None:
    async def work(shown: Shown) -> None:
        assert await shown.refused("a") == (503, "service_unavailable")

    with ScriptedServer(lambda _: FAILS) as server:
        asking(work, (server, ()))


def test_the_sandbox_lists_its_models_and_knows_its_aliases() -> None:
    async def work(shown: Shown) -> None:
        ids = await shown.ids()
        assert len(ids) > 10
        assert (await shown.model("claude-opus-4-5"))["id"] == "claude-opus-4-5-20251101"
        assert (await shown.model("claude-opus-4-5"))["capabilities"]["batch"] == {
            "supported": True
        }
        assert await shown.refused("gpt-9") == (404, "model_not_found")

    asking(work, (None, ()))


@pytest.mark.parametrize(
    ("odd", "shown"),
    [
        (b'{"id":"odd","display_name":"One \\ud83d"}', ["a", "odd", "b"]),
        (b'{"id":"odd","display_name":"One \xff"}', ["a", "odd", "b"]),
        (b'{"id":"odd","display_name":' + b"[" * 3000 + b"]" * 3000 + b"}", ["a", "b"]),
        (b'{"id":"odd","capabilities":[{"x":7}],"created":1e400}', ["a", "odd", "b"]),
        (b'{"id":7}', ["a", "b"]),
        (b"null", ["a", "b"]),
        (b'"odd"', ["a", "b"]),
    ],
)
def test_an_odd_model_does_not_hide_the_others(odd: bytes, shown: list[str]) -> None:
    body = b'{"data":[{"id":"a"},%b,{"id":"b"}],"has_more":false,"last_id":"b"}' % odd
    with ScriptedServer([json_response(200, msgspec.Raw(body))]) as server:
        assert asking(Shown.ids, (server, ())) == shown


CONFIG = """
[limits]
per_address = "0"
per_key = "0"

[[upstreams]]
name = "sandbox"
kind = "sandbox"
models = [
    "claude-sonnet-4-5",
    "claude-opus-4-1",
    {id = "house", aliases = ["fast"], upstream_model = "claude-haiku-4-5"},
]
"""


def ids(client: Client, query: str = "") -> list[str]:
    answer = client.call("GET", f"/v1/models?{query}")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    return [model["id"] for model in json.loads(answer.body)["data"]]


@pytest.fixture
def gateway(start_gateway: Callable[..., RunningGateway]) -> RunningGateway:
    return start_gateway(CONFIG)


def test_a_key_sees_the_models_that_it_may_use(gateway: RunningGateway) -> None:
    assert ids(gateway.client) == ["claude-sonnet-4-5", "claude-opus-4-1", "house"]
    assert ids(gateway.client, "limit=1&after_id=claude-sonnet-4-5") == ["claude-opus-4-1"]
    _, some = gateway.make_key(models=["claude-opus*", "fast"])
    assert ids(some) == ["claude-opus-4-1", "house"]
    for name, status in (("fast", 200), ("house", 200), ("claude-sonnet-4-5", 404), ("no", 404)):
        answer = some.call("GET", f"/v1/models/{name}")
        assert answer.status == status
        document: dict[str, Any] = json.loads(answer.body)
        assert status == 404 or document["id"] == "house"
        assert status == 200 or document["error"]["code"] == "model_not_found"


def test_the_sdk_lists_models(gateway: RunningGateway) -> None:
    with Apertis(api_key=gateway.admin_key, base_url=gateway.base_url) as client:
        assert [model.id for model in client.models.list()] == ids(gateway.client)
        assert client.models.retrieve("house").id == "house"


def test_what_is_configured_anew_is_listed_at_once(gateway: RunningGateway) -> None:
    file = gateway.data.parent / "apertis.toml"
    file.write_text(CONFIG.replace('    "claude-opus-4-1",\n', ""))
    gateway.gateway.reload()
    assert ids(gateway.client) == ["claude-sonnet-4-5", "house"]


def test_head_and_wrong_pages(gateway: RunningGateway) -> None:
    answer = gateway.client.call("HEAD", "/v1/models")
    assert (answer.status, answer.body) == (200, b"")
    refused = gateway.client.call("GET", "/v1/models?limit=x")
    assert refused.status == 400
    assert json.loads(refused.body)["error"]["param"] == "limit"
