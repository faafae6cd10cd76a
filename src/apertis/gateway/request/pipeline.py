"""The story of one request: admit, read, route, reserve, forward, settle.

Theory of operation. `serving/application` does HTTP: it finds what is behind the path, makes the
context of what arrived, takes the body and writes the response. In between it calls, in this order:

    admit       the limits of the address, then the key, then the key's own limit; by headers alone
    Limiter.enter   the key's requests under way; `leave` is called at every end
    messages    all the rest, which gives the response:
        _admitted       the body: its model, its edits, whether the key may use it, its fallbacks
        _cached         an equal request's answer, or the name under which to keep this one's
        _reserve_tokens, Ledger.open    tokens a minute, then money: reserved, or rejected
        _attempts       the model's targets, best first, and what comes behind them
        Forwarder.send  one target after the other, until there is a response (see `forward`)
        _settle         of a whole response: what it used is booked before its first byte leaves

A streamed response leaves `messages` unsettled: its `Relay` reads the usage beside the bytes, and
books it before the last of them leaves (see `stream`). An exception here means that the caller
left, or a defect: then what the upstream may have done is booked as a guess (`Charge.abandon`).

What arrived (`RequestContext`) never changes. What comes of it is put into its `Progress`, from
which the usage record, the log line and the metrics are made, each once and at the end. A refusal
is a value; whoever gets one hands it back.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from apertis.accounting.estimate import unknown_held
from apertis.gateway.budgets.telling import store_away_refusal
from apertis.gateway.cache import (
    CACHE_HEADER,
    MISS,
    Entry,
    cache_key,
    hit_headers,
    message_entry,
    wants_cache,
)
from apertis.gateway.errors import (
    BILLING_POLICY_DENIED,
    PERSON_DISABLED,
    PERSON_UNKNOWN,
    Refusal,
    StoreUnavailableError,
    internal_error,
    invalid_value,
    model_access_denied,
    model_not_found,
    rate_limit_exceeded,
)
from apertis.gateway.keys.admission import admit
from apertis.gateway.limits.limiter import subject_of
from apertis.gateway.request.asked import ASKING, NOTHING, read_asked
from apertis.gateway.request.body import Body, Edits, declared_edits, peek
from apertis.gateway.request.charge import Hop, Shortage
from apertis.gateway.request.forward import NO_FIELDS, OutgoingRequest, StreamedAnswer, WholeAnswer
from apertis.gateway.routing.affinity import affinity_of
from apertis.gateway.routing.attempts import RouteAttempts
from apertis.gateway.routing.fallback import (
    BOUND_HEADER,
    NO_FALLBACK,
    FallbackDefaults,
    FallbackFields,
    FallbackPlan,
    fallback_headers,
    fallback_plan,
    is_bound,
    thinks,
)
from apertis.limiting.status import stricter
from apertis.models.json import json_or_none
from apertis.sansio.slices import read_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from apertis.accounting.estimate import Estimate, Held
    from apertis.gateway.budgets.budgets import Budgets
    from apertis.gateway.budgets.lease import Chain
    from apertis.gateway.cache import ResponseCache, SharedCache
    from apertis.gateway.config import Settings
    from apertis.gateway.keys.directory import Directory, Key
    from apertis.gateway.keys.matching import Networks
    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.limits.limiter import JointReservation, Limiter, Parties
    from apertis.gateway.request.asked import Asked, Fallbacks, Thread
    from apertis.gateway.request.charge import Charge, Ledger
    from apertis.gateway.request.context import Progress
    from apertis.gateway.request.forward import Forwarder
    from apertis.gateway.request.prefixes import Prefixes, Seen
    from apertis.gateway.request.threads import Threads
    from apertis.gateway.routing.router import Router
    from apertis.gateway.routing.targets import Group, Target
    from apertis.gateway.upstreams.contract import Request
    from apertis.limiting.tokens import Reservation
    from apertis.sansio.slices import Shape


class _Admitted(msgspec.Struct, frozen=True):
    """A request that may be served, and what may stand in for its model."""

    body: Body
    edits: Edits
    plan: FallbackPlan
    asked: Asked
    # The upstreams that may be asked, where not all may: each with the fields that it reads in
    # other words.
    places: Mapping[str, Mapping[str, bytes]] | None


_PERSON_ID, _PERSON_EMAIL = "x-claude-gateway-user-id", "x-claude-gateway-user-email"
_OF_ADDRESS = "requests of this address"


class Pipeline:
    """The pipeline: it decides on a request with the help of its parts, and forwards it."""

    def __init__(
        self,
        settings: Settings,
        *,
        directory: Directory,
        limiter: Limiter,
        budgets: Budgets,
        router: Router,
        forwarder: Forwarder,
        ledger: Ledger,
        cache: ResponseCache,
        threads: Threads,
        trusted: Networks | None,
        trusted_gateways: Networks | None,
        wall_clock: Callable[[], float],
        pick: Callable[[], float],
        prefixes: Prefixes | None = None,
        shared_cache: SharedCache | None = None,
    ) -> None:
        self.settings = settings
        self.directory = directory
        self.limiter = limiter
        self.budgets = budgets
        self.router = router
        self.forwarder = forwarder
        self.ledger = ledger
        self.cache = cache
        self.threads = threads
        self.trusted = trusted
        self.trusted_gateways = trusted_gateways
        self._now = wall_clock
        self._pick = pick
        # Where changes of prompts are to be found.
        self.prefixes = prefixes
        self.shared_cache = shared_cache

    def admit(
        self, progress: Progress, credential: str | Key | None, *, again: bool = False
    ) -> Refusal | None:
        """Say why a request with this secret, or this key, is rejected; None lets it in.

        It needs no body, so that nobody without a key can make the gateway read one. `again`: with
        newer keys than before, when the address was counted.
        """
        now, address = self._now(), progress.context.address
        key = admit(self.directory, credential, address, now)
        if isinstance(key, Refusal):
            return (None if again else self.admit_address(progress)) or key
        record, counted = key.record, None if again else address
        parties: Parties = ()
        organization = self.budgets.organization
        if organization.has_rates:
            person = progress.person or organization.person_of(record)
            parties = progress.parties = organization.rates_on(record, person)
        standing, own = self.limiter.admit(counted, record.id, now, record.requests_limit, parties)
        if again:
            standing = progress.standing
        if standing is not None and not standing.allowed:
            progress.standing = standing
            return rate_limit_exceeded(standing.retry_after_seconds, _OF_ADDRESS)
        progress.key = key
        progress.standing = stricter(standing, own)
        if own is not None and not own.allowed:
            return rate_limit_exceeded(
                own.retry_after_seconds, f"requests of {subject_of(own.who, parties)}"
            )
        return None

    def admit_address(self, progress: Progress) -> Refusal | None:
        """Count a request of its client's address alone, or refuse it."""
        standing = self.limiter.admit_address(progress.context.address, self._now())
        progress.standing = standing
        if standing is None or standing.allowed:
            return None
        return rate_limit_exceeded(standing.retry_after_seconds, _OF_ADDRESS)

    def name_person(self, progress: Progress, headers: Mapping[str, str]) -> Refusal | None:
        """Find who stands behind a shared key, as a trusted gateway says; None lets it in."""
        name, email = headers.get(_PERSON_ID), headers.get(_PERSON_EMAIL)
        if not (name or email):
            return None
        person = self.budgets.organization.person_called(name, email)
        if person is None:
            return PERSON_UNKNOWN if self.settings.server.unknown_people == "refuse" else None
        if person.status != "enabled":
            return PERSON_DISABLED
        progress.person = person
        return None

    async def messages(
        self, progress: Progress, key: Key, request: Request
    ) -> WholeAnswer | StreamedAnswer | Refusal:
        """Answer `POST /v1/messages`."""
        chain = key.chain
        person = progress.person
        if chain is None or person is not None or progress.context.at >= chain.until:
            chain = self.budgets.chain(key, person, progress.context.session)
        progress.chain = chain
        admitted = self._admitted(progress, key, request)
        if isinstance(admitted, Refusal):
            return admitted
        held: Held | None = None
        if admitted.asked.thread is not None and admitted.asked.thread.continues:
            held, admitted = await self._continued(key, admitted, admitted.asked.thread)
        body, places = admitted.body, admitted.places
        keep: bytes | None = None
        if self.cache.enabled and (key.record.response_cache or CACHE_HEADER in request.headers):
            cached = self._cached(progress, key, admitted, request)
            if not isinstance(cached, bytes | None):
                return cached
            keep = cached
            if keep is not None and self.shared_cache is not None:
                entry = await self.shared_cache.get(keep, key.record.id, self._now())
                if entry is not None:
                    self.cache.put(keep, key.record.id, entry)
                    replayed = self._replayed(progress, body, entry)
                    if replayed is not None:
                        return replayed
        group = self.router.groups[body.model]
        cheaper: str | None = None
        charge = self._charge(progress, key, chain, admitted, group, held)
        if isinstance(charge, Shortage):
            shortage = charge
            charge = await self._refilled(key, charge) or self._charge(
                progress, key, chain, admitted, group, held
            )
            if isinstance(charge, Refusal):
                paid = await self._with_cheaper_model(progress, key, chain, admitted, shortage)
                if paid is not None:
                    cheaper, charge, admitted = paid
                    group = self.router.groups[cheaper]
        if isinstance(charge, Refusal):
            return charge
        if isinstance(charge, Shortage):
            return internal_error()
        try:
            affinity = None if len(group.routes) < 2 else self._affinity(body, request)
            attempts = RouteAttempts(
                body.model,
                admitted.plan,
                partial(self._targets, affinity, places),
                partial(is_bound, body.data),
                # Where there is one upstream, nothing is left to choose.
                group.targets if len(group.routes) < 2 and places is None else None,
                cheaper,
            )
            step = attempts.start(self._now())
            message = OutgoingRequest(
                request.method,
                request.target,
                request.raw_headers,
                body,
                admitted.edits,
                places or NO_FIELDS,
            )
            seen = None if self.prefixes is None else self._compared(progress, key, body)
            answer = await self.forwarder.send(progress, message, attempts, step, charge)
        except BaseException:
            # Nearly always, the caller left: what the upstream made of it nobody will tell.
            charge.abandon()
            raise
        progress.status = answer.status
        charge.is_whole = not isinstance(answer, StreamedAnswer)
        if isinstance(answer, Refusal):
            progress.code = answer.code
            charge.settle()
            return answer.with_headers(attempts.headers)
        answer.headers += attempts.headers
        if answer.status == 200 and charge.chain.leases:
            answer.headers += charge.chain.headers or self.budgets.headers(charge.chain)
        if affinity is not None and answer.status == 200 and attempts.target is not None:
            self.router.pin(affinity, attempts.model, attempts.target.upstream, self._now())
        if seen is not None and self.prefixes is not None and answer.status == 200:
            self.prefixes.keep(seen)
        if admitted.asked.thread is not None:
            self._remember_end(progress, key, answer, body.estimate, held)
        if isinstance(answer, WholeAnswer):
            self._settle(progress, charge, answer, keep)
        elif keep is not None:
            self._record(progress, answer, keep)
        return answer

    def _admitted(self, progress: Progress, key: Key, request: Request) -> _Admitted | Refusal:
        """Read what is asked, and whether this key may ask it."""
        body = peek(request.body, needs_max_tokens=True)
        if isinstance(body, Refusal):
            return body
        progress.kind = "messages"
        progress.model = progress.requested_model = body.model
        progress.streamed = body.stream
        edits = declared_edits(body)
        if isinstance(edits, Refusal):
            return edits
        record = key.record
        if record.models is not None and not self._allows(key, body.model):
            return model_access_denied(body.model)
        plan: FallbackPlan | Refusal = NO_FALLBACK
        if edits.remove or record.fallback_models:
            plan = self._plan(progress, key, body, request)
        if isinstance(plan, Refusal):
            return plan
        asked = NOTHING if ASKING.isdisjoint(body.fields) else read_asked(body)
        if asked is NOTHING:
            return _Admitted(body, edits, plan, NOTHING, None)
        if isinstance(asked, Refusal):
            return asked
        if asked.bill_to is not None and not record.billing_policy:
            return BILLING_POLICY_DENIED
        progress.bill_to = asked.bill_to
        places = None
        if asked.fallbacks is not None:
            places = self._fallback_places(key, body, asked.fallbacks)
        if isinstance(places, Refusal):
            return places
        return _Admitted(body, edits, plan, asked, places)

    async def _continued(
        self, key: Key, admitted: _Admitted, thread: Thread
    ) -> tuple[Held, _Admitted]:
        """Return the upstream's part of a conversation, and the request bound to that upstream.

        Another upstream does not have it, and another model did not say it.
        """
        known = (await self.threads.find(key.record.id, (thread.previous,))).get(thread.previous)
        places = admitted.places
        if known is not None:
            able: Mapping[str, Mapping[str, bytes]] = places or {
                upstream: {} for upstream in self.router.at(admitted.body.model)
            }
            if known.upstream in able:
                places = {known.upstream: able[known.upstream]}
        if known is None:
            held = unknown_held(self.ledger.prices.window(self.router.ids(admitted.body.model)))
        else:
            held = known.held
        return held, msgspec.structs.replace(admitted, plan=NO_FALLBACK, places=places)

    def _compared(self, progress: Progress, key: Key, body: Body) -> Seen | None:
        """Compare a session's prompt with its last one."""
        context = progress.context
        if self.prefixes is None or context.session is None:
            return None
        conversation = (key.record.id, context.session, context.agent, context.request_class)
        seen = self.prefixes.see((*conversation, body.model), body)
        progress.prefix_change = None if seen is None else seen.change
        return seen

    def _remember_end(
        self,
        progress: Progress,
        key: Key,
        answer: WholeAnswer | StreamedAnswer,
        estimate: Estimate,
        held: Held | None,
    ) -> None:
        """Remember a response that its upstream holds, when all of it is known."""
        upstream = progress.upstream

        def remember(message_id: str | None, context: int) -> None:
            if message_id and context:
                after = estimate.held_after(context, held)
                self.threads.remember(key.record.id, message_id, upstream, after)

        if isinstance(answer, WholeAnswer):
            reading = answer.reading
            if reading is not None:
                remember(reading.id, reading.context)
            return
        reader = answer.relay.reader
        answer.relay.on_whole(lambda: remember(reader.id, reader.context) if reader.final else None)

    def _fallback_places(
        self, key: Key, body: Body, fallbacks: Fallbacks
    ) -> dict[str, dict[str, bytes]] | Refusal | None:
        """Say which upstreams have all models of `fallbacks`, with the field as they read it.

        None where the upstream chooses the models itself.
        """
        names = self.ledger.prices.models if fallbacks.any_model else ()
        for model in (*names, *(hop.model for hop in fallbacks.hops)):
            if not self._allows(key, model):
                return model_access_denied(model)
        if not fallbacks.hops:
            return None
        at = {hop.model: self.router.at(hop.model) for hop in fallbacks.hops}
        missing = next((model for model, targets in at.items() if not targets), None)
        if missing is not None:
            return model_not_found(missing)
        places: dict[str, dict[str, bytes]] = {}
        for upstream in self.router.at(body.model):
            if all(upstream in targets for targets in at.values()):
                named = fallbacks.named(
                    {model: targets[upstream].model for model, targets in at.items()}
                )
                places[upstream] = {} if named is None else {"fallbacks": named}
        if places or not self.router.serves(body.model):
            return places
        return invalid_value("fallbacks", "no upstream has the model and all of these")

    def _hops(self, fallbacks: Fallbacks) -> tuple[Hop, ...]:
        if fallbacks.any_model:
            return tuple(Hop((model,)) for model in self.ledger.prices.models)
        ids = self.router.ids
        return tuple(Hop(ids(hop.model), hop.max_tokens, hop.fast) for hop in fallbacks.hops)

    async def _refilled(self, key: Key, shortage: Shortage) -> Refusal | None:
        """Get from the store what a budget lacks; the reason why not, if there is one."""
        try:
            lacking = await self.budgets.refill(shortage.chain, shortage.units)
        except StoreUnavailableError:
            return store_away_refusal()
        if lacking is None:
            return None
        alone = shortage.alone
        fits_alone = alone is not None and shortage.chain.lacking(alone) is None
        return self.budgets.refusal(
            key, shortage.chain, lacking, shortage.units, fits_alone=fits_alone
        )

    async def _with_cheaper_model(
        self, progress: Progress, key: Key, chain: Chain, admitted: _Admitted, shortage: Shortage
    ) -> tuple[str, Charge, _Admitted] | None:
        """Let the model answer that a used-up limit names for this, if it can be paid for.

        Another model has not held the conversation, or thought about it.
        """
        body, asked = admitted.body, admitted.asked
        names = shortage.chain.cheaper_models(shortage.units)
        if not names or asked.thread is not None or asked.fallbacks is not None:
            return None
        if thinks(body.data, body.raw("thinking")):
            return None
        admitted = msgspec.structs.replace(admitted, plan=NO_FALLBACK)
        for model in names:
            same = self.router.model_id(model) == self.router.model_id(body.model)
            if same or not (self.router.serves(model) and self._allows(key, model)):
                continue
            group = self.router.groups[model]
            charge = self._charge(progress, key, chain, admitted, group, None)
            if isinstance(charge, Shortage) and await self._refilled(key, charge) is None:
                charge = self._charge(progress, key, chain, admitted, group, None)
            if not isinstance(charge, Refusal | Shortage):
                return model, charge, admitted
        return None

    def _charge(
        self,
        progress: Progress,
        key: Key,
        chain: Chain,
        admitted: _Admitted,
        group: Group,
        held: Held | None,
    ) -> Charge | Refusal | Shortage:
        """Set tokens and money aside for a request."""
        body = admitted.body
        reserved: Reservation | JointReservation | Refusal | None = None
        record, parties = key.record, progress.parties
        if record.tokens_per_minute or self.settings.limits.tokens_per_minute or parties:
            reserved = self._reserve_tokens(record, parties, body, held)
        if isinstance(reserved, Refusal):
            return reserved
        models = group.ids
        for model in admitted.plan.models:
            models += self.router.ids(model)
        fallbacks = admitted.asked.fallbacks
        charge = self.ledger.open(
            progress,
            chain,
            body,
            models,
            () if fallbacks is None else self._hops(fallbacks),
            held,
            free=progress.bill_to is not None and self.settings.money.billing_policy == "free",
        )
        if isinstance(charge, Refusal | Shortage):
            if reserved is not None:
                reserved.correct(0, self._now())
            return charge
        charge.reservation = reserved
        return charge

    async def count_tokens(
        self, progress: Progress, key: Key, request: Request
    ) -> WholeAnswer | StreamedAnswer | Refusal:
        """Answer `POST /v1/messages/count_tokens`: forwarded, or estimated and marked so."""
        body = peek(request.body, needs_max_tokens=False)
        if isinstance(body, Refusal):
            return body
        progress.asks(body.model)
        edits = declared_edits(body)
        if isinstance(edits, Refusal):
            return edits
        if not self._allows(key, body.model):
            return model_access_denied(body.model)
        asked = read_asked(body)
        if isinstance(asked, Refusal):
            return asked
        # Nothing is answered and nobody billed: only where a conversation is held matters.
        admitted = _Admitted(body, edits, NO_FALLBACK, asked, None)
        held: Held | None = None
        if asked.thread is not None and asked.thread.continues:
            held, admitted = await self._continued(key, admitted, asked.thread)
        message = OutgoingRequest(request.method, request.target, request.raw_headers, body, edits)
        group = self.router.groups[body.model]
        affinity = None if len(group.routes) < 2 else self._affinity(body, request)
        targets = partial(self._targets, affinity, admitted.places)
        attempts = RouteAttempts(body.model, NO_FALLBACK, targets, partial(is_bound, body.data))
        step = attempts.start(self._now())
        answer = await self.forwarder.send(progress, message, attempts, step, None)
        if isinstance(answer, WholeAnswer) and _cannot_count(answer):
            likely = body.estimate.likely_tokens
            if held is not None and held.known:
                likely += held.tokens
            estimate = {"input_tokens": likely}
            headers = [(b"content-type", b"application/json"), (b"x-apertis-estimated", b"true")]
            return WholeAnswer(200, headers, msgspec.json.encode(estimate))
        return answer

    def _allows(self, key: Key, model: str) -> bool:
        return key.record.models is None or key.allows(model, (self.router.model_id(model),))

    def _plan(
        self, progress: Progress, key: Key, body: Body, request: Request
    ) -> FallbackPlan | Refusal:
        record = key.record
        limited = progress.chain is not None and bool(progress.chain.leases)
        asked = FallbackFields(
            body.raw("fallback_models"),
            body.raw("fallback_timeout"),
            body.raw("fallback_enabled"),
            request.headers.get(BOUND_HEADER),
        )
        defaults = FallbackDefaults(
            record.fallback_models, record.fallback_timeout_ms, record.fallback_enabled
        )
        plan = fallback_plan(
            body.model, asked, defaults, self.settings.routing, self.router.model_id
        )
        if isinstance(plan, Refusal):
            return plan
        prices = self.ledger.prices
        return plan.only(
            lambda model: (
                self._allows(key, model)
                and all(
                    prices.may_be_used(name, limited=limited) for name in self.router.ids(model)
                )
            )
        )

    def _cached(
        self, progress: Progress, key: Key, admitted: _Admitted, request: Request
    ) -> WholeAnswer | Refusal | bytes | None:
        """Return the cached response; else the name to store this one under, if allowed."""
        asked, body = admitted.asked, admitted.body
        if asked.thread is not None or asked.fallbacks is not None:
            # Each response is one that the upstream holds; or another model's than was asked for.
            return None
        wanted = wants_cache(request.headers, key.record.response_cache)
        if not wanted or isinstance(wanted, Refusal):
            return wanted or None
        closed = None if progress.chain is None else self.ledger.closed(progress.chain)
        if closed is not None:
            return closed
        now = self._now()
        name = cache_key(key.record.id, request.target, body, request.headers)
        entry = self.cache.get(name, now)
        answer = None if entry is None else self._replayed(progress, body, entry)
        return name if answer is None else answer

    def _replayed(self, progress: Progress, body: Body, entry: Entry) -> WholeAnswer | None:
        """Return a cached response as the answer; None if it cannot be had in this form."""
        replayed = entry.replay(streamed=body.stream)
        if replayed is None:
            return None
        progress.cached = True
        content_type = b"text/event-stream; charset=utf-8" if body.stream else b"application/json"
        headers = [
            (b"content-type", content_type),
            *hit_headers(entry.age_seconds(self._now())),
            *fallback_headers(body.model, self.router.model_id(body.model), None),
        ]
        if progress.chain is not None:
            chain = progress.chain.of_models(self.router.ids(body.model))
            headers += self.budgets.headers(chain)
        progress.status = 200
        self.ledger.book(progress, with_others=True)
        return WholeAnswer(200, headers, replayed)

    def _reserve_tokens(
        self, record: KeyRecord, parties: Parties, body: Body, held: Held | None
    ) -> Reservation | JointReservation | Refusal | None:
        estimate = body.estimate.likely_tokens + body.max_tokens
        if held is not None and held.known:
            estimate += held.tokens
        reserved = self.limiter.reserve_tokens(
            record.id, estimate, self._now(), record.tokens_per_minute, parties
        )
        if reserved is None or reserved.allowed:
            return reserved
        return rate_limit_exceeded(
            reserved.standing.retry_after_seconds,
            f"tokens a minute of {subject_of(reserved.who, parties)}",
        )

    def _affinity(self, body: Body, request: Request) -> str | None:
        """Return what the conversation is recognized by, where that makes a difference."""
        if not self.router.chooses(body.model):
            return None
        return affinity_of(
            request.headers,
            body.raw("system") or b"",
            body.raw("tools") or b"",
            _first_message(body),
        )

    def _targets(
        self, affinity: str | None, places: Mapping[str, object] | None, model: str
    ) -> tuple[Target, ...]:
        """Return the targets of a model, best first, where not all upstreams may be asked."""
        found = self.router.candidates(model, affinity, self._now(), self._pick())
        if places is None:
            return found
        return tuple(target for target in found if target.upstream in places)

    def _settle(
        self, progress: Progress, charge: Charge, answer: WholeAnswer, keep: bytes | None
    ) -> None:
        reading = answer.reading
        if reading is None or reading.is_error:
            progress.code = _error_of(answer.body)[0]
            charge.settle()
            return
        if reading.use is None:
            charge.settle_unread(reading.output_estimate)
        else:
            charge.settle(reading.use, reading.others, output_seen=reading.output_estimate)
        if keep is not None:
            self._put(progress, keep, message_entry(answer.body, self._now()))
            answer.headers += MISS

    def _record(self, progress: Progress, answer: StreamedAnswer, name: bytes) -> None:
        recording, relay = self.cache.recording(), answer.relay
        relay.copy_to(
            recording.add,
            lambda: self._put(progress, name, recording.finish(relay.reader, self._now())),
        )
        answer.headers += MISS

    def _put(self, progress: Progress, name: bytes, entry: Entry | None) -> None:
        # A response of another model than the one asked for is no response to the next request.
        if entry is not None and progress.key is not None and progress.fallback_reason is None:
            self.cache.put(name, progress.key.record.id, entry)
            if self.shared_cache is not None:
                self.shared_cache.put(name, progress.key.record.id, entry)


# Without the endpoint an upstream does not know the path, or not the method.
_NO_COUNTING = frozenset({404, 405, 501})


def _cannot_count(answer: WholeAnswer) -> bool:
    if answer.status not in _NO_COUNTING:
        return False
    # A 404 can also be about the model.
    return answer.status != 404 or "model" not in (_error_of(answer.body)[1] or "")


def _first_message(body: Body) -> bytes:
    messages = json_or_none(body.raw("messages") or b"[]", list[msgspec.Raw])
    return bytes(messages[0]) if messages else b""


class _Error(msgspec.Struct, frozen=True):
    type: str | None = None
    message: str | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error = _Error()


_ERROR_BODY = msgspec.json.Decoder(_ErrorBody)
_ERROR_SHAPE: Shape = {"error": {"type": None, "message": None}}


def _error_of(body: bytes) -> tuple[str | None, str | None]:
    """Return the type and the message of an upstream's error, where they can be read."""
    said = read_or_none(_ERROR_BODY, body, _ERROR_SHAPE)
    if said is None:
        return None, None
    error = said.error
    return None if error.type is None else error.type[:64], error.message
