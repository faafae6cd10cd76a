"""`GET /v1/models` and `/v1/models/{id}`: the models that the calling key may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apertis.gateway.catalogue.catalogue import Catalogue
from apertis.gateway.errors import Refusal
from apertis.gateway.forward import Plain
from apertis.gateway.usage.list_prices import LIST_PRICES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from apertis.gateway.config import Settings
    from apertis.gateway.exchange import Request, Upstream
    from apertis.gateway.keys.directory import Key
    from apertis.gateway.routing.router import Router
    from apertis.gateway.visit import Visit

__all__ = ["ModelRoutes"]


class ModelRoutes:
    """Answers what models there are. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        settings: Settings,
        upstreams: Mapping[str, Upstream],
        router: Router,
        clock: Callable[[], float],
    ) -> None:
        self._router = router
        self._clock = clock
        self._catalogue = _catalogue(settings, upstreams)

    def reconfigure(
        self, settings: Settings, upstreams: Mapping[str, Upstream], router: Router
    ) -> None:
        """Go on with other settings; what upstreams said is asked anew."""
        self._catalogue.close()
        self._router = router
        self._catalogue = _catalogue(settings, upstreams)

    async def __call__(
        self, _visit: Visit, key: Key, request: Request, name: str
    ) -> Plain | Refusal:
        """Answer with a page of models, or with the one of this name."""
        router = self._router

        def allows(model: str) -> bool:
            return key.record.models is None or key.allows(model, (router.model_id(model),))

        if name:
            answer = await self._catalogue.retrieve(name, allows, self._clock())
        else:
            answer = await self._catalogue.list(request.query, allows, self._clock())
        if isinstance(answer, Refusal):
            return answer
        return Plain(200, [(b"content-type", b"application/json")], answer)

    def close(self) -> None:
        """Stop asking upstreams."""
        self._catalogue.close()


def _catalogue(settings: Settings, upstreams: Mapping[str, Upstream]) -> Catalogue:
    # An upstream without a list still serves models; those that have a price can be named.
    return Catalogue(settings.upstreams, upstreams, (*settings.prices, *LIST_PRICES))
