"""The gateway's settings: one frozen value, read once, before anything starts."""

from __future__ import annotations

from apertis.gateway.config.read import read_settings, read_store_settings
from apertis.gateway.config.secret import Secret
from apertis.gateway.config.settings import (
    MAX_BODY_BYTES,
    CacheSettings,
    LimitSettings,
    LogSettings,
    ModelSettings,
    MoneySettings,
    PriceSettings,
    RoutingSettings,
    SandboxSettings,
    ServerSettings,
    Settings,
    StoreSettings,
    UpstreamSettings,
)
from apertis.limiting.rates import Rate, parse_rate

__all__ = [
    "MAX_BODY_BYTES",
    "CacheSettings",
    "LimitSettings",
    "LogSettings",
    "ModelSettings",
    "MoneySettings",
    "PriceSettings",
    "Rate",
    "RoutingSettings",
    "SandboxSettings",
    "Secret",
    "ServerSettings",
    "Settings",
    "StoreSettings",
    "UpstreamSettings",
    "parse_rate",
    "read_settings",
    "read_store_settings",
]
