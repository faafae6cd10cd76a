"""A gateway that runs: whether it is alive and ready, which version it is, and what a key gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from apertis.gateway.finding import fail, ok, warn
from apertis.gateway.upstreams.anthropic import AnthropicUpstream
from apertis.gateway.upstreams.asking import ask
from apertis.gateway.upstreams.contract import UpstreamFailure, UpstreamTimeouts
from apertis.models.json import json_or_none
from apertis.version import __version__

if TYPE_CHECKING:
    from apertis.gateway.finding import Finding
    from apertis.gateway.upstreams.asking import Said

_TIMEOUTS = UpstreamTimeouts(connect=15.0, first_byte=15.0, idle=15.0)
_MAX_BODY_BYTES = 2**20


class _Home(msgspec.Struct):
    name: str
    version: str


class _Ready(msgspec.Struct):
    status: str
    reason: str = ""


class _List(msgspec.Struct):
    data: list[msgspec.Raw]


async def gateway_findings(url: str, key: str | None) -> tuple[Finding, ...]:
    """Ask the gateway at `url`: what it is, whether it is ready, and the models of `key`."""
    client = AnthropicUpstream(
        "gateway",
        url,
        api_key=key,
        auth="x-api-key",
        anthropic_version="2023-06-01",
        max_connections=1,
    )
    try:
        return await _found(client, url, key)
    finally:
        await client.close()


async def _ask(client: AnthropicUpstream, target: str) -> Said | UpstreamFailure:
    return await ask(client, target, "apertis-doctor", _TIMEOUTS, _MAX_BODY_BYTES)


async def _found(client: AnthropicUpstream, url: str, key: str | None) -> tuple[Finding, ...]:
    said = await _ask(client, "/healthz")
    if isinstance(said, UpstreamFailure):
        advice = "start it with 'apertis serve', or correct --url or APERTIS_BASE_URL"
        return (fail("gateway", f"{url} does not answer: {said.reason}", advice),)
    status, _, body = said
    health = json_or_none(body, _Ready)
    if status != 200 or health is None:
        advice = "check the address: something else may be there"
        return (fail("gateway", f"{url} is not an Apertis gateway (status {status})", advice),)
    return (await _version(client, url), await _readiness(client), await _key(client, key))


async def _version(client: AnthropicUpstream, url: str) -> Finding:
    said = await _ask(client, "/")
    home = None if isinstance(said, UpstreamFailure) else json_or_none(said[2], _Home)
    if home is None or home.name != "apertis":
        return warn("gateway", f"{url} does not say its version", "update and restart it")
    message = f"{url} runs version {home.version[:50]}"
    if home.version != __version__:
        return warn("gateway", f"{message}, this command is {__version__}", "restart or update it")
    return ok("gateway", message)


async def _readiness(client: AnthropicUpstream) -> Finding:
    said = await _ask(client, "/readyz")
    if isinstance(said, UpstreamFailure):
        return fail("gateway ready", said.reason, "look into its log")
    status, _, body = said
    ready = json_or_none(body, _Ready)
    if status == 200 and ready is not None:
        return ok("gateway ready", "requests are served")
    reason = ready.reason[:200] if ready is not None and ready.reason else f"status {status}"
    return fail("gateway ready", f"it is not: {reason}", "look into its log")


async def _key(client: AnthropicUpstream, key: str | None) -> Finding:
    if key is None:
        return ok("gateway key", "not tried: APERTIS_API_KEY is not set")
    said = await _ask(client, "/v1/models?limit=1000")
    if isinstance(said, UpstreamFailure):
        return fail("gateway key", said.reason, "look into its log")
    status, _, body = said
    if status == 401:
        advice = "take the key of this gateway, or make one: apertis keys create"
        return fail("gateway key", "the key in APERTIS_API_KEY is rejected (401)", advice)
    models = json_or_none(body, _List) if status == 200 else None
    if models is None:
        advice = "look into its log"
        return fail("gateway key", f"GET /v1/models returned status {status}", advice)
    if not models.data:
        return warn("gateway key", "the key may use no model", "see its models: apertis keys list")
    return ok("gateway key", f"the key may use {len(models.data)} models")
