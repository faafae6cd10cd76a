"""Telemetry's endpoint: `POST /v1/metrics`, `/v1/logs` and `/v1/traces`, with a key."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import quote

from apertis.gateway.otlp.identity import attributes_of, with_attributes
from apertis.gateway.otlp.relay import Export, Relay
from apertis.gateway.request.forward import WholeAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apertis.gateway.budgets.budgets import Budgets
    from apertis.gateway.config import OtlpSettings
    from apertis.gateway.keys.directory import Key
    from apertis.gateway.request.context import Progress
    from apertis.gateway.upstreams.contract import RawHeaders, Request

_JSON = "application/json"
_PROTOBUF = "application/x-protobuf"


class TelemetryRoute:
    """The endpoint. Exporters are always told that all is well: nothing of theirs may depend on it.

    An empty response says that everything was accepted.
    https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
    """

    def __init__(self, settings: OtlpSettings, budgets: Budgets) -> None:
        self._budgets = budgets
        self._before: Counter[str] = Counter()
        self.relay: Relay | None = None
        self._settings = settings
        self.reconfigure(settings)

    def reconfigure(self, settings: OtlpSettings) -> Relay | None:
        """Go on with other settings; return the relay that is to be closed."""
        old = self.relay
        if old is not None and old.settings == settings:
            return None
        if old is not None:
            self._before += old.outcomes
        self._settings = settings
        self.relay = None if settings.endpoint is None else Relay(settings)
        return old

    def outcomes(self) -> Mapping[str, int]:
        """Return how many exports were dropped, relayed, failed, malformed, or too many."""
        return self._before + (Counter() if self.relay is None else self.relay.outcomes)

    async def __call__(
        self, progress: Progress, key: Key, request: Request, name: str
    ) -> WholeAnswer:
        """Take one export; `name` is its signal."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_json = kind == _JSON
        self._take(progress, key, request.body, name, is_json=is_json)
        headers: RawHeaders = [(b"content-type", (_JSON if is_json else _PROTOBUF).encode())]
        return WholeAnswer(200, headers, b"{}" if is_json else b"")

    def _take(
        self, progress: Progress, key: Key, body: bytes, signal: str, *, is_json: bool
    ) -> None:
        relay = self.relay
        if relay is None:
            self._before["dropped"] += 1
            return
        if len(body) > self._settings.max_body_bytes:
            self._before["too_large"] += 1
            return
        headers: dict[str, str] = {}
        sent: bytes | None = body
        if self._settings.identity != "none":
            attributes = self._attributes(progress, key)
            if self._settings.identity == "attributes":
                sent = with_attributes(body, attributes, is_json=is_json)
            else:
                headers = {
                    "x-" + one.replace(".", "-"): quote(value, safe=" @")
                    for one, value in attributes.items()
                }
        if sent is None:
            self._before["malformed"] += 1
            return
        relay.put(Export(signal, _JSON if is_json else _PROTOBUF, sent, headers))

    def _attributes(self, progress: Progress, key: Key) -> dict[str, str]:
        organization = self._budgets.organization
        person = progress.person or organization.person_of(key.record)
        groups = organization.groups_of(key.record, person)
        return attributes_of(key.record, person, groups[0] if groups else None)
