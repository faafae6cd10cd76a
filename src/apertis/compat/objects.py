"""Types of requests that have no class here: objects that are sent as they are, and unions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias, TypeVar

from apertis.models import UsageIteration
from apertis.params import ContainerParam, FallbackParam, ImageBlockParam, TextBlockParam

JSONObject: TypeAlias = dict[str, Any]
Fallbacks: TypeAlias = Iterable[FallbackParam] | Literal["default"]
UsageIterations: TypeAlias = list[UsageIteration]
BlocksOrText: TypeAlias = TextBlockParam | ImageBlockParam
ResponseFormatT = TypeVar("ResponseFormatT")
ContainerOrId: TypeAlias = ContainerParam | str
