"""The upstreams: one real request to each, with its key."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from apertis.gateway.doctor.asking import MAX_SECONDS, ask
from apertis.gateway.doctor.finding import fail, ok, warn
from apertis.gateway.upstreams.anthropic import AnthropicUpstream
from apertis.gateway.upstreams.contract import UpstreamFailure, redirect_target
from apertis.sansio.slices import items, slices

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apertis.gateway.config import Settings, UpstreamSettings
    from apertis.gateway.doctor.finding import Finding

__all__ = ["upstream_findings"]

_SLOW_SECONDS = 2.0


async def upstream_findings(
    settings: Settings, clock: Callable[[], float] = time.perf_counter
) -> tuple[Finding, ...]:
    """Return a finding for each upstream, in their order; they are asked at the same time.

    `clock` tells seconds, to measure how long a response takes.
    """
    found = await asyncio.gather(*(_finding(each, settings, clock) for each in settings.upstreams))
    exposed = [_exposed_key(each) for each in settings.upstreams]
    return (*found, *(finding for finding in exposed if finding))


async def _finding(
    upstream: UpstreamSettings, settings: Settings, clock: Callable[[], float]
) -> Finding:
    subject = f"upstream {upstream.name}"
    if upstream.kind == "sandbox":
        return ok(subject, "the sandbox, a stand-in for Claude: built in, and not a model")
    key = None if upstream.api_key is None else upstream.api_key.reveal()
    client = AnthropicUpstream(
        upstream.name,
        upstream.base_url,
        api_key=key,
        auth=upstream.auth,
        anthropic_version=settings.server.anthropic_version,
        max_connections=1,
    )
    connect = min(settings.routing.connect_timeout_seconds, MAX_SECONDS)
    began = clock()
    try:
        said = await ask(client, "/v1/models?limit=1", connect_seconds=connect)
    finally:
        await client.close()
    if isinstance(said, UpstreamFailure):
        advice = f"check that {upstream.base_url} is its address, and that this machine reaches it"
        return fail(subject, said.reason, advice)
    found = _judged(subject, upstream, *said)
    return found or _timed(subject, upstream, clock() - began)


def _judged(
    subject: str,
    upstream: UpstreamSettings,
    status: int,
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes,
) -> Finding | None:
    """Return the problem with the response; None if it is a list of models."""
    where = upstream.base_url
    if status in {401, 403}:
        return _refused(subject, upstream, status)
    if 300 <= status < 400:
        to = redirect_target(headers)
        advice = "make that the upstream's base_url: redirects are not followed"
        return fail(subject, f"{where} redirects to {to} ({status})", advice)
    if status >= 500:
        advice = "try again; if it stays, ask those who run it"
        return fail(subject, f"{where} fails with status {status}", advice)
    if status == 429:
        advice = "wait, or raise the limits of its key"
        return warn(subject, f"{where} limits the requests of its key just now (429)", advice)
    if status != 200:
        advice = "check base_url; if it has no such list, a real request tells whether it works"
        return warn(subject, f"{where} answers GET /v1/models with status {status}", advice)
    if not _is_list(body):
        advice = "check base_url: a page or another API may be there"
        return fail(subject, f"{where} answers, and not with a list of models", advice)
    return None


def _refused(subject: str, upstream: UpstreamSettings, status: int) -> Finding:
    if upstream.api_key is None:
        message = f"{upstream.base_url} wants a key, and none is configured ({status})"
        return fail(subject, message, "name one by api_key_env or api_key_file")
    where = f"{upstream.api_key.setting} = {upstream.api_key.source}"
    return fail(
        subject,
        f"{upstream.base_url} refuses the key ({status})",
        f"replace the key ({where}), or set auth to the header that it is meant for; now: "
        f"{upstream.auth}",
    )


def _is_list(body: bytes) -> bool:
    page = slices(body, ("data",))
    return page is not None and items(page.get("data", b"")) is not None


def _timed(subject: str, upstream: UpstreamSettings, seconds: float) -> Finding:
    message = f"{upstream.base_url} takes the key and answers in {seconds * 1000:.0f} ms"
    if upstream.api_key is None:
        message = f"{upstream.base_url} answers without a key in {seconds * 1000:.0f} ms"
    if seconds > _SLOW_SECONDS:
        return warn(subject, message, "look for what is slow: the network, a proxy, or it")
    parts = urlsplit(upstream.base_url or "")
    if parts.scheme == "http" and upstream.api_key and not _is_local(parts.hostname or ""):
        return warn(subject, f"{message}, and the key travels in the clear", "use https://")
    return ok(subject, message)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        # Names without a dot are those of containers and of this machine.
        return "." not in host


def _exposed_key(upstream: UpstreamSettings) -> Finding | None:
    """Return whether other users of the machine can read the key's file."""
    key = upstream.api_key
    if key is None or key.setting != "api_key_file" or os.name != "posix":
        return None
    path = Path(key.source)
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & 0o077:
        return None
    message = f"{path} can be read by other users of this machine"
    return warn(f"upstream {upstream.name}", message, f"chmod 600 {path}")
