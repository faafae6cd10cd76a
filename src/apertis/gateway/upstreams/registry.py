"""The class of each kind of upstream. A new kind needs a line here and one in `UPSTREAM_KINDS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.gateway.upstreams.anthropic import AnthropicUpstream
from apertis.gateway.upstreams.sandbox import SandboxUpstream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from apertis.gateway.config import Settings, UpstreamSettings
    from apertis.gateway.upstreams.contract import Upstream

BUILDERS: dict[str, Callable[[UpstreamSettings, Settings], Upstream]] = {
    "anthropic": AnthropicUpstream.of,
    "sandbox": SandboxUpstream.of,
}


def build(own: UpstreamSettings, settings: Settings) -> Upstream:
    """Make one upstream; `ConfigurationError` says which setting cannot be."""
    return BUILDERS[own.kind](own, settings)


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
        upstreams[own.name] = known if known and own in unchanged else build(own, settings)
    return upstreams
