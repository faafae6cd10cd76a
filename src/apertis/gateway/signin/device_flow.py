"""Claude Code's sign-in: begun, approved by a person, redeemed, refreshed, ended."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from apertis.gateway.errors import Refusal, access_denied, conflict, not_found, rate_limit_exceeded
from apertis.gateway.keys.secrets import hash_secret, hint_of, new_id, new_key_id
from apertis.gateway.signin import device
from apertis.gateway.signin.roles import ends_sign_in, sees_sign_in
from apertis.gateway.store.sign_ins import Change, DeviceCode, SignIn
from apertis.limiting.rates import Rate
from apertis.limiting.windows import Windows, party_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from apertis.gateway.config import Settings
    from apertis.gateway.keys.directory import Directory
    from apertis.gateway.keys.record import KeyRecord
    from apertis.gateway.people.organization import Organization
    from apertis.gateway.people.record import Person
    from apertis.gateway.signin.device import Tokens
    from apertis.gateway.signin.roles import Viewer
    from apertis.gateway.store.secrets import StoredSecrets
    from apertis.gateway.store.sign_ins import StoredSignIns

# The name of the store's secret for tokens.
_SIGNING = "sign-ins"
_DAY_SECONDS = 86_400
_ATTEMPTS = 3


class Begun(NamedTuple):
    """Codes of a sign-in that waits."""

    device_code: str
    user_code: str

    # The code is a secret.
    def __repr__(self) -> str:
        """Say that there are some."""
        return "Begun()"


class Granted(NamedTuple):
    """Tokens of a sign-in, how long the first one works, and whose they are."""

    tokens: Tokens
    expires_in: int
    email: str | None


class Denied(NamedTuple):
    """The reason that there are no tokens: OAuth's error, a sentence, the response's status."""

    error: str
    description: str
    status: int = 400


_TOO_MANY = Denied(
    "slow_down", "Too many sign-ins wait for an approval. Try again in a few minutes.", 429
)
_SENTENCES = {
    "authorization_pending": "Nobody has approved this sign-in yet.",
    "slow_down": "Ask less often: the interval is five seconds longer from now on.",
    "access_denied": "The sign-in was denied.",
    "expired_token": "The code has expired. Start the sign-in again.",
    "invalid_grant": "The code is not one that can be used. Start the sign-in again.",
}
# Claude Code asks for a new sign-in then.
_SIGN_IN_AGAIN = Denied("invalid_grant", "This sign-in has ended. Sign in again.", 401)
_UNKNOWN_CODE = not_found(
    "No sign-in waits with this code. Codes work for ten minutes, once: compare it with the one "
    "that Claude Code shows, or start /login again."
)


class DeviceFlow:
    """All of it, over the store; `now` gives Unix seconds, `newer` waits for newer keys."""

    def __init__(
        self,
        stored: StoredSignIns,
        secrets: StoredSecrets,
        directory: Directory,
        organization: Callable[[], Organization],
        settings: Callable[[], Settings],
        newer: Callable[[], Awaitable[None]],
        now: Callable[[], float],
    ) -> None:
        self._stored = stored
        self._secrets = secrets
        self._directory = directory
        self._organization = organization
        self._settings = settings
        self._newer = newer
        self._now = now
        self._signing: bytes | None = None
        # Codes that were entered and are none.
        self._wrong = Windows(Rate(device.MAX_TRIES, device.TRIES_SECONDS))

    async def begin(self, client: str, address: str) -> Begun | Denied:
        """Make the codes of a client that wants to sign in."""
        now = int(self._now())
        for _ in range(_ATTEMPTS):
            made = Begun(
                secrets.token_urlsafe(device.DEVICE_CODE_BYTES),
                device.new_user_code(secrets.choice),
            )
            code = DeviceCode(
                device_sha256=device.hash_code(made.device_code),
                user_sha256=device.hash_code(made.user_code),
                id=new_id("sign_in"),
                client=client,
                address=address,
                party=party_of(address),
                created_at=now,
                expires_at=now + device.CODE_SECONDS,
                interval_seconds=device.INTERVAL_SECONDS,
            )
            kept = await self._stored.begin(
                code, most=device.MAX_WAITING, most_of_party=device.MAX_WAITING_OF_ADDRESS
            )
            if kept:
                return made
        return _TOO_MANY

    async def poll(self, device_code: str) -> Granted | Denied:
        """Answer a client that asks whether it was approved."""
        now = self._now()

        def decide(code: DeviceCode | None) -> tuple[device.Polled, DeviceCode | None]:
            polled = device.judge_poll(code, int(now * 1000))
            return polled, None if polled.error is None else polled.code

        polled = await self._stored.change_code(decide, device_sha256=device.hash_code(device_code))
        if polled.error is not None or polled.code is None:
            error = polled.error or "invalid_grant"
            return Denied(error, _SENTENCES[error])
        return await self._redeem(polled.code, int(now))

    async def refresh(self, token: str) -> Granted | Denied:
        """Give the next tokens for a refresh token."""
        signing = await self._key()
        sign_in_id = device.sign_in_of(signing, token)
        if sign_in_id is None:
            return _SIGN_IN_AGAIN
        # Who was disabled a moment ago gets nothing more.
        await self._newer()
        now, presented = int(self._now()), device.hash_code(token)
        following = device.next_tokens(signing, token)

        def decide(sign_in: SignIn, key: KeyRecord) -> tuple[Granted | Denied, Change]:
            judged = device.judge_refresh(sign_in, presented, now)
            if judged == "ended" or key.status == "deleted":
                return _SIGN_IN_AGAIN, Change()
            if judged == "reused":
                return _SIGN_IN_AGAIN, _end(sign_in, now, "a refresh token was used again")
            approver = self._approver(sign_in.person_id, sign_in.approved_by_key_id)
            if key.status != "enabled" or approver is None:
                return _SIGN_IN_AGAIN, Change()
            person, _ = approver
            email = None if person is None else person.email
            if judged == "repeat":
                left = max((key.expires_at or now) - now, 1)
                return Granted(following, left, email), Change()
            expires_at = self._token_end(sign_in.expires_at, now)
            previous_lives = key.expires_at is None or key.expires_at > now
            kept = msgspec.structs.replace(
                sign_in,
                refresh_sha256=device.hash_code(following.refresh),
                previous_refresh_sha256=presented,
                previous_until=now + device.GRACE_SECONDS,
                refreshed_at=now,
            )
            changes: dict[str, object] = {
                "sha256": hash_secret(following.access),
                "hint": hint_of(following.access),
                "previous_sha256": key.sha256 if previous_lives else None,
                "previous_until": now + device.GRACE_SECONDS if previous_lives else None,
                "expires_at": expires_at,
            }
            granted = Granted(following, expires_at - now, email)
            return granted, Change("refresh", kept, changes)

        result = await self._stored.change(sign_in_id, decide)
        await self._newer()
        return result or _SIGN_IN_AGAIN

    async def revoke(self, token: str) -> None:
        """End the sign-in of an access or refresh token; whatever else it is, nothing happens."""
        sign_in_id = device.sign_in_of(await self._key(), token)
        if sign_in_id is None:
            await self._newer()
            key = self._directory.find(token, self._now())
            if key is None or key.record.kind != "sign_in":
                return
            found = await self._stored.of_key(key.record.id)
            if found is None:
                return
            sign_in_id = found.id
        await self._end(sign_in_id, "", "signed out")

    async def look_up(self, entered: str, address: str) -> DeviceCode | Refusal:
        """Find the sign-in that waits with a code that a person entered."""
        now = self._now()
        who = party_of(address)
        # Counted before it is looked up, so that many at once are no more than one after another.
        tried = self._wrong.take(who, now)
        if not tried.allowed:
            return rate_limit_exceeded(
                tried.retry_after_seconds, "wrong codes entered from your address"
            )
        user_code = device.read_user_code(entered)
        code = None
        if user_code is not None:
            code = await self._stored.find_code(device.hash_code(user_code), int(now))
        if code is None:
            return _UNKNOWN_CODE
        self._wrong.give_back(who)
        return code

    async def decide(
        self, viewer: Viewer, entered: str, address: str, *, approve: bool
    ) -> DeviceCode | Refusal:
        """Approve or deny a sign-in, as the person who is signed in to the console."""
        found = await self.look_up(entered, address)
        if isinstance(found, Refusal):
            return found
        if approve:
            refused = self.refuses(viewer)
            if refused is not None:
                return access_denied(refused)
        now = self._now()
        key = None if viewer.key is None else viewer.key.id
        person = None if viewer.person is None else viewer.person.id

        def judge(code: DeviceCode | None) -> tuple[DeviceCode | Refusal, DeviceCode | None]:
            if code is None or code.status != "pending" or now >= code.expires_at:
                return _UNKNOWN_CODE, None
            decided = msgspec.structs.replace(
                code,
                status="approved" if approve else "denied",
                person_id=person,
                key_id=key,
            )
            return decided, decided

        return await self._stored.change_code(
            judge,
            user_sha256=found.user_sha256,
            action="approve" if approve else "deny",
            actor=viewer.actor,
        )

    def refuses(self, viewer: Viewer) -> str | None:
        """Say why somebody may approve nothing; None: they may."""
        key = viewer.key
        has_budget = key is not None and (
            key.quota_units is not None or bool(self._organization().limits_of("key", key.id))
        )
        return device.refuse_approver(key, has_budget=has_budget)

    async def list(self, viewer: Viewer) -> tuple[SignIn, ...]:
        """List the sign-ins that somebody may see, the newest first."""
        person = None if viewer.person is None else viewer.person.id
        key = None if viewer.key is None else viewer.key.id
        if viewer.sees_all or viewer.group_ids:
            found = await self._stored.list(int(self._now()))
        else:
            found = await self._stored.list(
                int(self._now()), person_id=person, key_id=None if person else key
            )
        return tuple(
            one
            for one in found
            if (record := self._record(one)) is not None
            and record.status != "deleted"
            and sees_sign_in(viewer, one, record, self._organization())
        )

    async def end(self, viewer: Viewer, sign_in_id: str) -> SignIn | Refusal:
        """End a sign-in: its token works no more, on any gateway."""
        found = await self._stored.find(sign_in_id)
        record = None if found is None else self._record(found)
        if (
            found is None
            or record is None
            or not sees_sign_in(viewer, found, record, self._organization())
        ):
            return not_found(f"There is no sign-in '{sign_in_id[:100]}'")
        if not self.may_end(viewer, found):
            return access_denied("Your role does not include to end this sign-in.")
        if not await self._end(sign_in_id, viewer.actor, "ended in the console"):
            return conflict("The sign-in has ended already")
        return found

    def may_end(self, viewer: Viewer, sign_in: SignIn) -> bool:
        """Return whether somebody may end a sign-in that they see."""
        record = self._record(sign_in)
        return record is not None and ends_sign_in(viewer, sign_in, record, self._organization())

    async def _end(self, sign_in_id: str, actor: str, why: str) -> bool:
        now = int(self._now())

        def decide(sign_in: SignIn, key: KeyRecord) -> tuple[bool, Change]:
            if sign_in.ended_at is not None:
                return False, Change()
            return True, _end(sign_in, now, why, actor, lives=key.status != "deleted")

        ended = await self._stored.change(sign_in_id, decide)
        await self._newer()
        return bool(ended)

    async def _redeem(self, code: DeviceCode, now: int) -> Granted | Denied:
        # Who approved it may have been made on another gateway, or disabled a moment ago.
        await self._newer()
        approver = self._approver(code.person_id, code.key_id)
        if approver is None:
            return Denied("access_denied", "Whoever approved this sign-in may not use the gateway.")
        person, key = approver
        end = now + self._settings().sign_in.refresh_days * _DAY_SECONDS
        if key is not None and key.expires_at is not None:
            end = min(end, key.expires_at)
        tokens = device.first_tokens(
            await self._key(), code.id, secrets.token_bytes(device.DEVICE_CODE_BYTES)
        )
        expires_at = self._token_end(end, now)
        owner = person.name if person is not None else "" if key is None else key.name
        record = device.key_of(
            key_id=new_key_id(),
            owner=owner,
            sha256=hash_secret(tokens.access),
            hint=hint_of(tokens.access),
            person_id=code.person_id,
            approved_by=key,
            now=now,
            expires_at=expires_at,
        )
        sign_in = SignIn(
            id=code.id,
            key_id=record.id,
            person_id=code.person_id,
            approved_by_key_id=code.key_id,
            client=code.client,
            address=code.address,
            refresh_sha256=device.hash_code(tokens.refresh),
            created_at=now,
            refreshed_at=now,
            expires_at=end,
        )
        actor = code.person_id or code.key_id or ""
        if not await self._stored.redeem(code, record, sign_in, actor):
            return Denied("invalid_grant", _SENTENCES["invalid_grant"])
        await self._newer()
        return Granted(tokens, expires_at - now, None if person is None else person.email)

    def _approver(
        self, person_id: str | None, key_id: str | None
    ) -> tuple[Person | None, KeyRecord | None] | None:
        """Return who approved a sign-in, and the key they did it with; None if they may no more."""
        person = key = None
        if person_id is not None:
            person = self._organization().people.get(person_id)
            if person is None or person.status != "enabled":
                return None
        if key_id is not None:
            found = self._directory.get(key_id)
            key = None if found is None else found.record
            if key is None or key.status != "enabled":
                return None
            if key.expires_at is not None and key.expires_at <= self._now():
                return None
        return person, key

    def _record(self, sign_in: SignIn) -> KeyRecord | None:
        found = self._directory.get(sign_in.key_id)
        return None if found is None else found.record

    def _token_end(self, end: int, now: int) -> int:
        return max(min(now + self._settings().sign_in.token_seconds, end), now + 1)

    async def _key(self) -> bytes:
        if self._signing is None:
            self._signing = await self._secrets.get(_SIGNING)
        return self._signing


def _end(sign_in: SignIn, now: int, why: str, actor: str = "", *, lives: bool = True) -> Change:
    ended = msgspec.structs.replace(sign_in, ended_at=now)
    return Change("end", ended, {"status": "deleted"} if lives else {}, actor, why)
