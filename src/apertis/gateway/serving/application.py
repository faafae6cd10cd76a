"""The application: finds what is behind a path, and tells one story for each request.

In the order in which a request meets them: the path, the limits of its address, its key, the
key's limits, its body, and then what is behind the path. Each request ends in one line of the log
and one count of the metrics.
"""

from __future__ import annotations

import asyncio
from time import time
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from apertis.gateway.errors import (
    ADMINISTRATORS_ONLY,
    Refusal,
    access_denied,
    endpoint_not_found,
    internal_error,
    invalid_request,
    rate_limit_exceeded,
    request_too_large,
    service_unavailable,
)
from apertis.gateway.keys.admission import (
    UNKNOWN_KEY,
    client_address,
    credential_of,
    refuse_repeated,
)
from apertis.gateway.keys.matching import is_loopback
from apertis.gateway.limits.limiter import subject_of
from apertis.gateway.request.context import (
    CLIENT_LEFT,
    Progress,
    RequestContext,
    new_request_id,
)
from apertis.gateway.request.forward import StreamedAnswer, WholeAnswer
from apertis.gateway.serving.answers import (
    STOPPING,
    CutAnswer,
    LineAnswer,
    own_lines,
    send_lines,
    send_refusal,
    send_stream,
)
from apertis.gateway.serving.asgi import ADDRESS, CALLER, REQUEST_ID, scope_of, serve
from apertis.gateway.serving.bodies import coding_of, decoded_body, read_body
from apertis.gateway.serving.endpoints import Endpoint, Resolved, resolve
from apertis.gateway.serving.home import home
from apertis.gateway.upstreams.contract import TOLD_BY_PROXIES, ClientLeft, Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from apertis.gateway.keys.directory import Key
    from apertis.gateway.observe.log import Log
    from apertis.gateway.observe.metrics import Metrics
    from apertis.gateway.request.context import RequestHead
    from apertis.gateway.request.pipeline import Pipeline
    from apertis.gateway.serving.answers import Pings
    from apertis.gateway.serving.asgi import ASGIApp, ServedConsole
    from apertis.gateway.serving.protocol import ClientExchange
    from apertis.gateway.upstreams.contract import RawHeaders

    Handler = Callable[
        [Progress, Key, Request, str],
        Awaitable[WholeAnswer | StreamedAnswer | LineAnswer | Refusal],
    ]
    from apertis.gateway.keys.directory import Key

PageHeaders = tuple[tuple[bytes, bytes], ...]

_JSON = (b"content-type", b"application/json")
_OPEN = frozenset(
    {
        Endpoint.HEALTH,
        Endpoint.READY,
        Endpoint.HELLO,
        Endpoint.HOME,
        Endpoint.OPENAPI,
        Endpoint.SIGN_IN,
    }
)
_WITH_JSON = frozenset(
    {Endpoint.MESSAGES, Endpoint.COUNT_TOKENS, Endpoint.BATCHES, Endpoint.ADMIN, Endpoint.CHAT}
)
_ADMIN_ONLY = frozenset({Endpoint.METRICS})
# Asked of each request: a member of an enumeration is looked up anew wherever it is named.
_MESSAGES: Final = Endpoint.MESSAGES
_ADMIN: Final = Endpoint.ADMIN
_CONSOLE: Final = Endpoint.CONSOLE
_CHAT: Final = Endpoint.CHAT


class Readiness(NamedTuple):
    """Readiness for requests: the reason that there is none, and facts besides."""

    reason: str | None
    facts: Mapping[str, object]


class Application:
    """The application that answers each exchange. A reload replaces `pipeline`."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        log: Log,
        metrics: Metrics,
        pings: Pings,
        clock: Callable[[], float],
        readiness: Callable[[], Awaitable[Readiness]],
        newer_keys: Callable[[], Awaitable[None]],
        handlers: dict[Endpoint, Handler],
        admin: Callable[[], ASGIApp],
        console: Callable[[], ServedConsole | None],
        openapi: Callable[[], bytes],
        scrape: Callable[[], Awaitable[bytes]],
        on_administered: Callable[[], None] = lambda: None,
    ) -> None:
        self.pipeline = pipeline
        self.log = log
        self._metrics = metrics
        self._pings = pings
        self._clock = clock
        self._readiness = readiness
        self._newer_keys = newer_keys
        self._handlers = handlers
        self._admin = admin
        # None where it is not served.
        self._console = console
        self._openapi = openapi
        self._scrape = scrape
        # Called after each request of an administrator that may have changed something.
        self._on_administered = on_administered

    async def __call__(self, exchange: ClientExchange) -> None:
        """Serve one request."""
        head = exchange.head
        facts = head.found
        if not isinstance(facts, _Facts):
            facts = head.found = _facts_of(head)
        now, path, pipeline = time(), head.path, self.pipeline
        address, page = exchange.peer, facts.page_headers
        if ":" in address or pipeline.trusted is not None:
            forwarded = head.values.get("x-forwarded-for")
            address = client_address(address, forwarded, pipeline.trusted)
        origins = pipeline.settings.server.allowed_origins
        if origins and path.startswith("/v1/"):
            page = _page_headers(head.values, origins)
        progress = Progress(
            RequestContext(
                new_request_id(now),
                now,
                self._clock(),
                head.method,
                path,
                facts.endpoint,
                address,
                *facts.ids,
                page,
            )
        )
        try:
            await self._serve(progress, facts, exchange)
        except ClientLeft:
            progress.ends(CLIENT_LEFT)
        except CutAnswer as cut:
            progress.ends(code=cut.refusal.code)
            exchange.drop()
        except asyncio.CancelledError:
            if exchange.gave_up():
                progress.ends(CLIENT_LEFT)
            elif progress.head_sent:
                # The server stops, and this response did not end in time.
                progress.ends()
                exchange.drop()
            else:
                progress.ends()
                send_refusal(progress, STOPPING, exchange)
        except BaseException:
            # A defect: the log has its trace, and the client learns as much as it may.
            progress.ends(500, "internal_error", interrupted=False)
            if progress.head_sent:
                # Starlette answers for a defect of its pages, and raises it again.
                if not exchange.ended:
                    exchange.drop()
            else:
                send_refusal(progress, internal_error(), exchange)
            raise
        finally:
            finished = self._clock()
            self._metrics.add(progress, finished)
            self.log.add(progress, finished)

    async def _serve(self, progress: Progress, facts: _Facts, exchange: ClientExchange) -> None:
        context, pipeline, head = progress.context, self.pipeline, exchange.head
        if context.page_headers:
            preflight = _preflight(context.method, context.page_headers, head.values)
            if preflight is not None:
                progress.answers(204)
                exchange.answer(204, preflight, b"")
                return
        resolved = facts.resolved
        if isinstance(resolved, Refusal):
            if context.path.startswith("/v1/"):
                # Who guesses at paths of the API is counted like who uses them.
                resolved = pipeline.admit_address(progress) or resolved
            send_refusal(progress, resolved, exchange)
            return
        endpoint, path, name = resolved
        if endpoint is _CONSOLE or (facts.is_page and self._console() is not None):
            await self._console_page(progress, facts, endpoint, exchange)
            return
        if facts.is_open:
            if endpoint is Endpoint.SIGN_IN:
                refusal = pipeline.admit_address(progress)
                if refusal is not None:
                    send_refusal(progress, refusal, exchange)
                    return
                await self._console_page(progress, facts, endpoint, exchange)
                return
            await self._open_to_all(progress, endpoint, exchange)
            return
        if facts.is_for_admins and _is_local(exchange):
            await self._scraped(progress, exchange)
            return
        request = Request(
            context.id,
            context.method,
            path,
            head.query,
            head.values,
            b"",
            head.headers,
            exchange.peer,
            facts.target,
        )
        unnamed: Refusal | None = None
        credential: str | Key | None = facts.credential
        if endpoint is _CHAT:
            found = await self._chat_key(exchange, context)
            if isinstance(found, Refusal):
                # Who guesses at sessions is counted like who guesses at keys.
                send_refusal(progress, pipeline.admit_address(progress) or found, exchange)
                return
            credential = found
            endpoint = _MESSAGES if context.method == "POST" else Endpoint.MODELS
            request.headers, request.raw_headers = _without_session(request)
        elif pipeline.trusted_gateways is not None and exchange.peer in pipeline.trusted_gateways:
            # Before it is counted: it counts for the person, too.
            unnamed = pipeline.name_person(progress, head.values)
        refusal = pipeline.admit(progress, credential)
        if facts.repeated is not None:
            refusal = facts.repeated
        if refusal is UNKNOWN_KEY:
            # The command line may have made it a moment ago.
            await self._newer_keys()
            refusal = pipeline.admit(progress, credential, again=True)
        key = progress.key
        if refusal is not None or key is None:
            send_refusal(progress, refusal or internal_error(), exchange)
            return
        if facts.is_for_admins:
            if key.record.admin:
                await self._scraped(progress, exchange)
            else:
                send_refusal(progress, access_denied(), exchange)
            return
        if endpoint is _ADMIN:
            if key.record.admin:
                await self._administered(progress, facts, key, request, exchange)
            else:
                send_refusal(progress, ADMINISTRATORS_ONLY, exchange)
            return
        if unnamed is not None:
            send_refusal(progress, unnamed, exchange)
            return
        # From here on it is counted as one that is under way.
        limiter, record = pipeline.limiter, key.record
        parties = progress.parties
        if not limiter.enter(record.id, record.in_flight, parties):
            who = subject_of(limiter.crowded(record.id, record.in_flight, parties), parties)
            refusal = rate_limit_exceeded(1, f"requests of {who} at the same time")
            send_refusal(progress, refusal, exchange)
            return
        self._metrics.in_flight += 1
        try:
            read = self._body_at_hand(request, facts, exchange)
            if read is None:
                read = await self._awaited_body(request, endpoint, exchange)
            if isinstance(read, Refusal):
                send_refusal(progress, read, exchange)
                return
            # From here on nobody but the client wants what is done.
            exchange.ends_with_client = True
            answer: WholeAnswer | StreamedAnswer | LineAnswer | Refusal
            if endpoint is _MESSAGES:
                answer = await pipeline.messages(progress, key, read)
            elif endpoint is Endpoint.COUNT_TOKENS:
                answer = await pipeline.count_tokens(progress, key, read)
            else:
                answer = await self._handlers[endpoint](progress, key, read, name)
            if isinstance(answer, WholeAnswer):
                progress.answers(answer.status, self._clock())
                own = own_lines(progress)
                exchange.answer(answer.status, answer.headers, answer.body, own)
            elif isinstance(answer, Refusal):
                answer = answer.told(
                    to_claude_code=record.kind == "sign_in" or _is_claude_code(read),
                    budgets=pipeline.settings.money.refusal,
                )
                send_refusal(progress, answer, exchange)
            elif isinstance(answer, StreamedAnswer):
                await send_stream(progress, answer, exchange, self._pings, self._clock)
            else:
                await send_lines(progress, answer, exchange, self._clock)
        finally:
            self._metrics.in_flight -= 1
            limiter.leave(record.id, parties)

    def _limit(self, endpoint: Endpoint) -> int:
        limit = self.pipeline.settings.server.max_body_bytes
        if endpoint is _CONSOLE:
            return min(limit, _MAX_FORM_BYTES)
        return limit * _BATCH_FACTOR if endpoint is Endpoint.BATCHES else limit

    def _body_at_hand(
        self, request: Request, facts: _Facts, exchange: ClientExchange
    ) -> Request | Refusal | None:
        """Take the body, which nearly always came with its head; None when it must be awaited."""
        limit = self.pipeline.settings.server.max_body_bytes * facts.size_factor
        if exchange.length is not None and exchange.length > limit:
            return request_too_large(limit)
        if facts.not_json is not None:
            return facts.not_json
        # One with a coding is rare: it is read with those that are awaited.
        body = None if facts.is_coded else exchange.take_body()
        if body is None:
            return None
        if len(body) > limit:
            return request_too_large(limit)
        request.body = body
        return request

    async def _awaited_body(
        self, request: Request, endpoint: Endpoint, exchange: ClientExchange
    ) -> Request | Refusal:
        server = self.pipeline.settings.server
        limit = self._limit(endpoint)
        coding = coding_of(request.headers.get("content-encoding", ""))
        if isinstance(coding, Refusal):
            return coding
        body = await read_body(
            exchange, limit, server.body_timeout_seconds, server.body_total_timeout_seconds
        )
        if isinstance(body, bytes):
            body = await decoded_body(body, coding, limit)
        if isinstance(body, Refusal):
            return body
        if "content-encoding" in request.headers:
            # What is sent on is not compressed.
            kept = [header for header in request.raw_headers if header[0] != b"content-encoding"]
            request.raw_headers = kept
        request.body = body
        return request

    async def _chat_key(self, exchange: ClientExchange, context: RequestContext) -> Key | Refusal:
        """Return the key of whoever is signed in to the console, where the chat asks for them."""
        console = self._console()
        if console is None:
            return endpoint_not_found(context.method, context.path)
        return await console.chat_key(scope_of(exchange, context.path, {ADDRESS: context.address}))

    async def _open_to_all(
        self, progress: Progress, endpoint: Endpoint, exchange: ClientExchange
    ) -> None:
        status, body = 200, _ALIVE
        if endpoint is Endpoint.OPENAPI:
            body = self._openapi()
        elif endpoint is Endpoint.READY:
            ready = await self._readiness()
            said: dict[str, object] = {"status": "ok"}
            if ready.reason is not None:
                status = 503
                said = {"status": "unavailable", "reason": ready.reason}
            body = msgspec.json.encode({**said, **ready.facts})
        own = progress.context.id.encode()
        kind: RawHeaders = [_JSON]
        if endpoint is Endpoint.HOME:
            kind, body = home(exchange.head.values.get("accept", ""))
        headers = [*kind, (b"x-apertis-request-id", own), (b"request-id", own)]
        progress.answers(status)
        exchange.answer(status, headers, body)

    async def _scraped(self, progress: Progress, exchange: ClientExchange) -> None:
        try:
            metrics = await self._scrape()
        except TimeoutError:
            # Less than all would look like a restart to whoever counts on.
            refusal = service_unavailable("The metrics of the other workers cannot be read now")
            send_refusal(progress, refusal, exchange)
            return
        progress.answers(200)
        headers = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
        exchange.answer(200, headers, metrics)

    async def _administered(
        self,
        progress: Progress,
        facts: _Facts,
        key: Key,
        request: Request,
        exchange: ClientExchange,
    ) -> None:
        read = self._body_at_hand(request, facts, exchange)
        if read is None:
            read = await self._awaited_body(request, Endpoint.ADMIN, exchange)
        if isinstance(read, Refusal):
            send_refusal(progress, read, exchange)
            return

        def started(status: int, headers: RawHeaders) -> RawHeaders:
            progress.answers(status)
            own = [*headers, (b"x-apertis-request-id", progress.context.id.encode())]
            return own if progress.standing is None else [*own, *progress.standing.headers()]

        # The key that was allowed goes along: headers that are read twice could be read
        # differently.
        own = {REQUEST_ID: progress.context.id, CALLER: key}
        try:
            await serve(self._admin(), exchange, request.path, read.body, own, started)
        finally:
            if progress.context.method != "GET":
                self._on_administered()

    async def _console_page(
        self, progress: Progress, facts: _Facts, endpoint: Endpoint, exchange: ClientExchange
    ) -> None:
        """Answer a browser. Who asks is known by its session, which the console looks up."""
        context = progress.context
        console = self._console()
        if console is None:
            send_refusal(progress, endpoint_not_found(context.method, context.path), exchange)
            return
        if facts.is_page:
            progress.answers(303)
            exchange.answer(303, _TO_CONSOLE, b"")
            return
        head = exchange.head
        request = Request(
            *(context.id, context.method, context.path, head.query, head.values, b""),
            *(head.headers, exchange.peer, facts.target),
        )
        limit = self._limit(endpoint)
        if exchange.length is not None and exchange.length > limit:
            send_refusal(progress, request_too_large(limit), exchange)
            return
        read = self._body_at_hand(request, facts, exchange)
        if read is None:
            read = await self._awaited_body(request, endpoint, exchange)
        if isinstance(read, Refusal):
            send_refusal(progress, read, exchange)
            return

        def started(status: int, headers: RawHeaders) -> RawHeaders:
            progress.answers(status)
            return [*headers, (b"x-apertis-request-id", context.id.encode())]

        own = {REQUEST_ID: context.id, ADDRESS: context.address}
        try:
            await serve(console.pages, exchange, context.path, read.body, own, started)
        finally:
            if context.method == "POST":
                self._on_administered()


_TO_CONSOLE: RawHeaders = [(b"location", b"/console/"), (b"cache-control", b"no-store")]
_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, DELETE"),
    (b"access-control-max-age", b"600"),
)
# The star is for all that comes down: credentials in the sense of browsers are never allowed.
_EXPOSED = (
    b"access-control-expose-headers",
    b"request-id, retry-after, x-should-retry, x-apertis-request-id, *",
)
_ALIVE = b'{"status":"ok"}'
# The API's own limits: 32 MB for a message, 256 MB for a batch of them.
_BATCH_FACTOR = 8
# Anybody can send a form: a list of ten thousand people is the largest that is of use.
_MAX_FORM_BYTES = 4 * 2**20
_REQUEST_CLASSES = frozenset({"main", "subagent", "workflow", "compaction", "auxiliary"})
_MAX_ID_LENGTH = 128
_NO_PAGE: PageHeaders = ()
# What the chat gets is for the console's own page, and kept nowhere.
_CHAT_PAGE: PageHeaders = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# The headers of the chat that are the API's. Others are of the browser, or of the session.
_OF_CHAT = frozenset(
    {
        "accept",
        "content-type",
        "content-encoding",
        "anthropic-version",
        "anthropic-beta",
        "x-sandbox-fault",
    }
)


class _Facts(msgspec.Struct, frozen=True):
    """Facts that follow from a request's head alone, found once for all with the same one."""

    resolved: Resolved | Refusal
    endpoint: str
    # Path and query, as an upstream is asked.
    target: str
    credential: str | None
    # The client's own id of the request, its session, agent and class of requests.
    ids: tuple[str | None, str | None, str | None, str | None]
    is_open: bool
    # Whether a browser asks for the first page.
    is_page: bool
    is_for_admins: bool
    size_factor: int
    is_coded: bool
    # Why such a request is rejected once its key is known, or its body is wanted.
    repeated: Refusal | None
    not_json: Refusal | None
    page_headers: PageHeaders

    # What a client sent is in no representation.
    __repr__ = object.__repr__


def _facts_of(head: RequestHead) -> _Facts:
    values = head.values
    resolved = resolve(head.method, head.path)
    endpoint = None if isinstance(resolved, Refusal) else resolved[0]
    path = head.path if isinstance(resolved, Refusal) else resolved[1]
    request_class = values.get("x-claude-code-request-class")
    if request_class is not None and request_class not in _REQUEST_CLASSES:
        request_class = "other"
    content_type = values.get("content-type")
    is_json = content_type is None or "json" in content_type.lower()
    if endpoint is _CHAT and head.method == "POST":
        # A page of another site can send any type but this one.
        is_json = (content_type or "").partition(";")[0].strip().lower() == "application/json"
    not_json = None
    if endpoint in _WITH_JSON and not is_json:
        not_json = invalid_request(
            "Invalid request format: 'content-type' must be 'application/json', not "
            f"{(content_type or '')[:100]!r}"
        )
    return _Facts(
        resolved,
        "" if endpoint is None else endpoint.value,
        f"{path}?{head.query}" if head.query else path,
        credential_of(values),
        (
            _id(values.get("x-request-id")),
            _id(values.get("x-claude-code-session-id")),
            _id(values.get("x-claude-code-agent-id")),
            request_class,
        ),
        endpoint in _OPEN,
        endpoint is Endpoint.HOME
        and head.method == "GET"
        and "text/html" in values.get("accept", "").lower(),
        endpoint in _ADMIN_ONLY,
        _BATCH_FACTOR if endpoint is Endpoint.BATCHES else 1,
        "content-encoding" in values,
        refuse_repeated(head.headers) if len(values) < len(head.headers) else None,
        not_json,
        _CHAT_PAGE if endpoint is _CHAT else _NO_PAGE,
    )


def _without_session(request: Request) -> tuple[dict[str, str], RawHeaders]:
    """Return the headers of a chat's request that go on; an upstream never sees the session."""
    raw = [pair for pair in request.raw_headers if pair[0].decode("latin-1") in _OF_CHAT]
    return {name: value for name, value in request.headers.items() if name in _OF_CHAT}, raw


def _id(value: str | None) -> str | None:
    """Return an identification as a client sent it, as logs, tables and headers can bear it."""
    if value is None:
        return None
    value = value[:_MAX_ID_LENGTH]
    if value.isascii() and value.isprintable():
        return value
    return "".join(char if " " <= char <= "~" else "?" for char in value)


def _is_local(exchange: ClientExchange) -> bool:
    """Return whether somebody on this machine asks, and not for somebody else."""
    if not is_loopback(exchange.peer) or not _is_near(exchange.head.values.get("host", "")):
        return False
    return not any(
        name == b"via" or name in TOLD_BY_PROXIES or name.startswith(b"x-forwarded-")
        for name, _ in exchange.head.headers
    )


def _is_near(host: str) -> bool:
    """Return whether a `Host` is an address, or a name that nobody can have in the public DNS.

    By a name of its own a page of the web can ask this machine with a browser that is here.
    """
    name = host.partition(":")[0].lower().removesuffix(".")
    if host.startswith("[") or "." not in name or name.endswith(".localhost"):
        return True
    return name.isascii() and name.replace(".", "").isdigit()


def _is_claude_code(request: Request) -> bool:
    headers = request.headers
    return (
        headers.get("user-agent", "").startswith("claude-cli/")
        or headers.get("x-app", "").startswith("cli")
        or "x-claude-code-session-id" in headers
    )


def _page_headers(headers: Mapping[str, str], origins: tuple[str, ...]) -> PageHeaders:
    """Return the headers that let a page of an allowed origin read the response."""
    origin = headers.get("origin", "")
    if "*" in origins:
        allowed = "*" if origin else ""
        varies: PageHeaders = ()
    else:
        # Caches on the way must know that there are answers without what follows.
        varies = ((b"vary", b"origin"),)
        allowed = origin if origin in origins else ""
    if not allowed:
        return varies
    return (*varies, (b"access-control-allow-origin", allowed.encode("latin-1")), _EXPOSED)


def _preflight(method: str, page: PageHeaders, headers: Mapping[str, str]) -> RawHeaders | None:
    """Return the headers that answer a preflight of an allowed origin; None for any other request.

    A preflight has no key, and is answered for every path, so that a page can read the errors too.
    https://fetch.spec.whatwg.org/#http-cors-protocol
    """
    if _EXPOSED not in page or method != "OPTIONS":
        return None
    if "access-control-request-method" not in headers:
        return None
    asked = headers.get("access-control-request-headers", "").encode("latin-1")
    return [*page[:-1], *_PREFLIGHT, (b"access-control-allow-headers", asked)]
