"""Clients of other companies' clouds: classes to be named and compared with, never made."""

from __future__ import annotations

from typing import Any, NoReturn

from apertis.compat.names import sentence
from apertis.errors import ConfigurationError


class _Elsewhere:
    def __new__(cls, *_: Any, **__: Any) -> NoReturn:
        raise ConfigurationError(str(sentence(cls.__name__)))


class AnthropicAWS(_Elsewhere):
    """Claude in AWS."""


class AnthropicBedrock(_Elsewhere):
    """Claude in Amazon Bedrock."""


class AnthropicBedrockMantle(_Elsewhere):
    """Claude in Amazon Bedrock's newer service."""


class AnthropicFoundry(_Elsewhere):
    """Claude in Microsoft Foundry."""


class AnthropicGoogleCloud(_Elsewhere):
    """Claude in Google Cloud."""


class AnthropicVertex(_Elsewhere):
    """Claude in Google's Vertex AI."""


class AsyncAnthropicAWS(_Elsewhere):
    """Claude in AWS, for asyncio."""


class AsyncAnthropicBedrock(_Elsewhere):
    """Claude in Amazon Bedrock, for asyncio."""


class AsyncAnthropicBedrockMantle(_Elsewhere):
    """Claude in Amazon Bedrock's newer service, for asyncio."""


class AsyncAnthropicFoundry(_Elsewhere):
    """Claude in Microsoft Foundry, for asyncio."""


class AsyncAnthropicGoogleCloud(_Elsewhere):
    """Claude in Google Cloud, for asyncio."""


class AsyncAnthropicVertex(_Elsewhere):
    """Claude in Google's Vertex AI, for asyncio."""
