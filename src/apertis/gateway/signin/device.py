"""Claude Code's sign-in as decisions: codes, polls, refreshes, tokens, and who may approve.

Theory of operation. A client gets two codes: one that it keeps and asks with, and a short one that
a person enters, or follows a link with, on a page where they are signed in (RFC 8628). What was
approved is redeemed once, for a key of its own whose secret is the access token, and a refresh
token. A refresh makes the next pair out of the refresh token itself and a secret of the store:
a client whose answer was lost, or one of two at the same time, gets the same pair again for a
minute, though only hashes are kept. The refresh token has the id of its sign-in and a MAC, so
that an old one is known as such, whenever it comes: somebody has a copy, and the sign-in ends.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import string
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from apertis.gateway.keys.record import KeyRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apertis.gateway.store.sign_ins import DeviceCode, SignIn

# Letters that make no words and are not mistaken for one another (RFC 8628, section 6.1).
USER_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
USER_CODE_LENGTH = 8
DEVICE_CODE_BYTES = 32
CODE_SECONDS = 600
INTERVAL_SECONDS = 5
# Polls travel: one that comes a little early is not too fast.
_EARLY_MS = 1000
GRACE_SECONDS = 60
MAX_WAITING = 10_000
MAX_WAITING_OF_ADDRESS = 30
# Wrong codes that one address may enter in a while.
MAX_TRIES = 10
TRIES_SECONDS = 600
_MAX_TOKEN_LENGTH = 200
_MAX_CLIENT_LENGTH = 100
_MAX_NAME_LENGTH = 100
_MAC_LENGTH = 22
_SECRET_LENGTH = 48
_LETTERS = string.ascii_letters + string.digits

Error = Literal[
    "authorization_pending",
    "slow_down",
    "access_denied",
    "expired_token",
    "invalid_grant",
]


class Polled(NamedTuple):
    """The answer to a poll: its error, or None where the code may be redeemed.

    `code` is what is kept of it from now on.
    """

    error: Error | None
    code: DeviceCode | None = None


class Tokens(NamedTuple):
    """The pair that a client has for its sign-in."""

    access: str
    refresh: str

    # Secrets are in no representation.
    def __repr__(self) -> str:
        """Say that there are some."""
        return "Tokens()"


def new_user_code(choose: Callable[[Sequence[str]], str]) -> str:
    """Make a code for people; `choose` takes one of several letters by chance."""
    return "".join(choose(USER_ALPHABET) for _ in range(USER_CODE_LENGTH))


def shown_user_code(code: str) -> str:
    """Write a code as people read it: in two halves."""
    half = USER_CODE_LENGTH // 2
    return f"{code[:half]}-{code[half:]}"


def read_user_code(entered: str) -> str | None:
    """Return the code that somebody entered, in any case and with any gaps; None if it is none."""
    code = "".join(char for char in entered[:100] if char not in "- \t").upper()
    if len(code) != USER_CODE_LENGTH or set(code) - set(USER_ALPHABET):
        return None
    return code


def client_of(user_agent: str, surface: str) -> str:
    """Name a client by what it says of itself, as pages and tables can bear it."""
    said = " ".join(part for part in (user_agent.strip(), surface.strip()) if part)
    plain = "".join(char if " " <= char <= "~" else "?" for char in said)
    return plain[:_MAX_CLIENT_LENGTH] or "a client that does not say its name"


def judge_poll(code: DeviceCode | None, now_ms: int) -> Polled:
    """Decide what a client that asks with its code is answered."""
    if code is None or code.status == "used":
        return Polled("invalid_grant")
    if now_ms >= code.expires_at * 1000:
        return Polled("expired_token")
    if code.status == "denied":
        return Polled("access_denied")
    if code.status == "approved":
        return Polled(None, code)
    early = now_ms - code.asked_ms < code.interval_seconds * 1000 - _EARLY_MS
    interval = code.interval_seconds + INTERVAL_SECONDS * early
    # The clocks of two gateways differ: what was asked last stays the last.
    asked = max(now_ms, code.asked_ms)
    kept = msgspec.structs.replace(code, asked_ms=asked, interval_seconds=interval)
    return Polled("slow_down" if early else "authorization_pending", kept)


def judge_refresh(
    sign_in: SignIn, presented_sha256: str, now: float
) -> Literal["rotate", "repeat", "reused", "ended"]:
    """Decide what becomes of a sign-in whose refresh token, or one that it had, is presented."""
    if sign_in.ended_at is not None or now >= sign_in.expires_at:
        return "ended"
    if hmac.compare_digest(sign_in.refresh_sha256, presented_sha256):
        return "rotate"
    previous, until = sign_in.previous_refresh_sha256, sign_in.previous_until
    if previous is not None and until is not None and now < until:
        return "repeat" if hmac.compare_digest(previous, presented_sha256) else "reused"
    return "reused"


def refuse_approver(key: KeyRecord | None, *, has_budget: bool) -> str | None:
    """Say why somebody who signed in with this key may approve nothing; None: they may.

    What a key may not do itself must not be had by way of it: a sign-in would not count in the
    key's own budget, and one by a sign-in would outlive it.
    """
    if key is None:
        return None
    if key.kind != "key":
        return (
            "Whoever signed in with a key of a sign-in cannot approve another one. Sign in to the "
            "console with a key of your own."
        )
    if has_budget:
        return (
            "The key that you signed in with has a budget of its own, in which Claude Code would "
            "not count. Use that key in Claude Code itself, or ask your administrator for one "
            "without: your own budget and your group's hold in any case."
        )
    return None


def key_of(
    *,
    key_id: str,
    owner: str,
    sha256: str,
    hint: str,
    person_id: str | None,
    approved_by: KeyRecord | None,
    now: int,
    expires_at: int,
) -> KeyRecord:
    """Make the key of a sign-in, which may do no more than the key with which it was approved.

    It is a person's, or, approved by a key that is nobody's, of that key's group. It never
    administers, whoever approved it.
    """
    name = f"Claude Code of {owner}"[:_MAX_NAME_LENGTH].rstrip()
    record = KeyRecord(
        id=key_id,
        name=name,
        sha256=sha256,
        hint=hint,
        kind="sign_in",
        person_id=person_id,
        created_at=now,
        expires_at=expires_at,
    )
    if approved_by is None:
        return record
    return msgspec.structs.replace(
        record,
        group_id=approved_by.group_id,
        models=approved_by.models,
        addresses=approved_by.addresses,
        fallback_models=approved_by.fallback_models,
        fallback_timeout_ms=approved_by.fallback_timeout_ms,
        fallback_enabled=approved_by.fallback_enabled,
        requests_limit=approved_by.requests_limit,
        tokens_per_minute=approved_by.tokens_per_minute,
        in_flight=approved_by.in_flight,
        response_cache=approved_by.response_cache,
    )


def first_tokens(signing: bytes, sign_in_id: str, random: bytes) -> Tokens:
    """Make the tokens of a new sign-in out of what nobody can guess."""
    return _tokens(signing, sign_in_id, _text(random))


def next_tokens(signing: bytes, refresh: str) -> Tokens:
    """Make the tokens that follow a refresh token: always the same ones."""
    random = hmac.digest(signing, f"next:{refresh}".encode(), "sha256")
    return _tokens(signing, refresh.partition(".")[0], _text(random))


def sign_in_of(signing: bytes, refresh: str) -> str | None:
    """Return the id of the sign-in that a refresh token was made for; None if it was not made."""
    body, _, mac = refresh.rpartition(".")
    if len(refresh) > _MAX_TOKEN_LENGTH or not body or not refresh.isascii():
        return None
    if not hmac.compare_digest(_mac(signing, body).encode(), mac.encode()):
        return None
    return body.partition(".")[0]


def hash_code(code: str) -> str:
    """Return what is kept of a code or a token."""
    return hashlib.sha256(code.encode()).hexdigest()


def _tokens(signing: bytes, sign_in_id: str, random: str) -> Tokens:
    body = f"{sign_in_id}.{random}"
    refresh = f"{body}.{_mac(signing, body)}"
    number = int.from_bytes(hmac.digest(signing, f"access:{refresh}".encode(), "sha512"))
    letters: list[str] = []
    for _ in range(_SECRET_LENGTH):
        number, place = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[place])
    # A key like any other.
    return Tokens("sk-" + "".join(letters), refresh)


def _mac(signing: bytes, body: str) -> str:
    return _text(hmac.digest(signing, f"refresh:{body}".encode(), "sha256"))[:_MAC_LENGTH]


def _text(random: bytes) -> str:
    return base64.urlsafe_b64encode(random).decode().rstrip("=")
