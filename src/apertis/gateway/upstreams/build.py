"""Makes upstreams of settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.gateway.upstreams.anthropic import AnthropicUpstream
from apertis.gateway.upstreams.sandbox import SandboxUpstream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.gateway.config import Settings, UpstreamSettings
    from apertis.gateway.exchange import Upstream

__all__ = ["build_upstreams"]


def build_upstreams(
    settings: Settings,
    running: Mapping[str, Upstream] | None = None,
    before: Settings | None = None,
) -> dict[str, Upstream]:
    """Make the upstreams by name; those `running` whose settings did not change go on as they are.

    `ConfigurationError` says which setting cannot be.
    """
    same = before is not None and (
        settings.server.anthropic_version == before.server.anthropic_version
        and settings.sandbox == before.sandbox
    )
    unchanged: set[UpstreamSettings] = (
        set(before.upstreams) if before is not None and same else set()
    )
    upstreams: dict[str, Upstream] = {}
    for own in settings.upstreams:
        known = (running or {}).get(own.name)
        upstreams[own.name] = known if known and own in unchanged else _build(own, settings)
    return upstreams


def _build(own: UpstreamSettings, settings: Settings) -> Upstream:
    if own.kind == "sandbox":
        speed = settings.sandbox
        return SandboxUpstream(speed.first_token_seconds, speed.tokens_per_second, name=own.name)
    return AnthropicUpstream(
        own.name,
        own.base_url,
        api_key=None if own.api_key is None else own.api_key.reveal(),
        auth=own.auth,
        anthropic_version=settings.server.anthropic_version,
        max_connections=own.max_connections,
    )
