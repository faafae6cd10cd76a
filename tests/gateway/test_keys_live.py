"""What is changed about a key acts on the gateway that runs: by the command within a second."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.gateways import RunningGateway
    from tests.kit.http import Client, Response

QUESTION = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "Hello!"}],
}
# The promise is a second; a busy machine may need longer for the asking.
WITHIN_SECONDS = 10.0
UNTOLD = '[limits]\nper_address = "0"\n'


def ask(client: Client) -> tuple[int, str | None]:
    """Ask a question: the status, and the code of an error."""
    response = client.call("POST", "/v1/messages", json.dumps(QUESTION).encode())
    document = json.loads(response.body)
    return response.status, document["error"]["code"] if response.status != 200 else None


SERVED = (200, None)
KEPT_OUT = (401, "invalid_api_key")


class Command:
    """`apertis keys`, as a program beside the gateway."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._data = str(gateway.data)

    def __call__(self, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "apertis.cli",
                "keys",
                *arguments,
                "--json",
                "--data",
                self._data,
            ],
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        shown: dict[str, Any] = json.loads(done.stdout)
        return shown


def soon(client: Client, expected: tuple[int, str | None]) -> None:
    """Ask until the answer is as expected: soon, and it stays so."""
    until(lambda: ask(client) == expected, WITHIN_SECONDS)
    assert ask(client) == expected


def test_the_command_acts_on_the_running_gateway_within_a_second(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = start_gateway(UNTOLD)
    keys = Command(gateway)
    made = keys("create", "--name", "ann")
    ann = type(gateway.client)(gateway.client.port, made["secret"])
    soon(ann, SERVED)
    for change, effect in (
        (("disable", "ann"), KEPT_OUT),
        (("enable", "ann"), SERVED),
        (("update", "ann", "--model", "claude-haiku-4-5"), (403, "model_access_denied")),
        (("update", "ann", "--model", "all", "--address", "10.0.0.0/8"), (403, "ip_not_allowed")),
        (("update", "ann", "--address", "127.0.0.0/8", "--quota", "1"), (402, "quota_exceeded")),
        (("update", "ann", "--quota", "unlimited", "--rate", "1/1h"), (429, "rate_limit_exceeded")),
        (("update", "ann", "--rate", "0", "--expires", "2020-01-01"), (401, "expired_api_key")),
        (("update", "ann", "--expires", "never"), SERVED),
    ):
        keys(*change)
        soon(ann, effect)
    rotated = keys("rotate", "ann", "--grace", "1h")
    new = type(ann)(ann.port, rotated["secret"])
    soon(new, SERVED)
    # Both work while the grace lasts; another rotation without one ends both.
    assert ask(ann) == SERVED
    last = type(ann)(ann.port, keys("rotate", "ann", "--grace", "0")["secret"])
    soon(last, SERVED)
    assert ask(new) == KEPT_OUT
    assert ask(ann) == KEPT_OUT
    keys("delete", "ann", "--yes")
    soon(last, KEPT_OUT)


@pytest.fixture
def changed(
    start_gateway: Callable[..., RunningGateway],
) -> tuple[RunningGateway, Client, Callable[..., Response]]:
    """A gateway, a key's client, and a call that changes that key over the admin API."""
    gateway = start_gateway(UNTOLD)
    key_id, client = gateway.make_key(name="ann")

    def change(method: str = "PATCH", path: str = "", **fields: Any) -> Response:
        body = json.dumps(fields).encode() if fields else b""
        answer = gateway.client.call(method, f"/admin/v1/keys/{key_id}{path}", body)
        assert answer.status == 200, answer.body
        return answer

    return gateway, client, change


def test_the_admin_api_acts_at_once(
    changed: tuple[RunningGateway, Client, Callable[..., Response]],
) -> None:
    _, client, change = changed
    assert ask(client) == SERVED
    change("POST", "/disable")
    assert ask(client) == KEPT_OUT
    change("POST", "/enable")
    assert ask(client) == SERVED
    change(models=["claude-haiku-4-5"])
    assert ask(client) == (403, "model_access_denied")
    change(models=None, addresses=["::1/128", "10.0.0.0/8"])
    assert ask(client) == (403, "ip_not_allowed")
    change(addresses=["::ffff:127.0.0.1"], quota_units=1)
    assert ask(client) == (402, "quota_exceeded")
    change(quota_units=10**9, tokens_per_minute=1)
    assert ask(client) == (429, "rate_limit_exceeded")
    change(tokens_per_minute=None, expires_at="2020-01-01")
    assert ask(client) == (401, "expired_api_key")
    change(expires_at=None)
    assert ask(client) == SERVED
    change("DELETE")
    assert ask(client) == KEPT_OUT


def test_a_rotated_secret_is_let_in_until_its_grace_ends(
    changed: tuple[RunningGateway, Client, Callable[..., Response]],
) -> None:
    _, old, change = changed
    fields = json.loads(change("POST", "/rotate", grace_seconds=2).body)
    end = time.monotonic() + 2
    new = type(old)(old.port, fields["secret"])
    assert ask(new) == SERVED
    found = ask(old)
    # Whole seconds are counted: the grace is between one and two of them here.
    assert found == SERVED or time.monotonic() > end - 1
    until(lambda: ask(old) != SERVED)
    assert ask(old) == KEPT_OUT
    assert ask(new) == SERVED


def test_a_stream_that_began_before_its_key_was_disabled_goes_on_to_its_end(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = start_gateway(UNTOLD + "[sandbox]\ntokens_per_second = 40\n")
    key_id, client = gateway.make_key(name="ann")
    connection = client.connect()
    body = json.dumps({**QUESTION, "max_tokens": 30, "stream": True})
    connection.request("POST", "/v1/messages", body, {"x-api-key": client.api_key})
    response = connection.getresponse()
    begun = response.read(10)
    assert gateway.client.call("POST", f"/admin/v1/keys/{key_id}/disable").status == 200
    assert ask(client) == KEPT_OUT
    stream = begun + response.read()
    connection.close()
    assert b"event: message_stop" in stream
    key = gateway.gateway.directory.get(key_id)
    assert key is not None
    assert key.used_units > 0


def test_a_new_key_and_a_new_secret_are_let_in_at_once(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = start_gateway(UNTOLD)
    keys = Command(gateway)
    for turn in range(3):
        name = f"ann {turn}"
        made = keys("create", "--name", name)
        assert ask(type(gateway.client)(gateway.client.port, made["secret"])) == SERVED
        rotated = keys("rotate", name)
        assert ask(type(gateway.client)(gateway.client.port, rotated["secret"])) == SERVED


def test_unknown_keys_in_crowds_are_refused_by_few_looks_at_the_store(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = start_gateway(UNTOLD)
    store = gateway.gateway.store.keys
    looks = 0
    current_version = store.current_version

    async def counted() -> int:
        nonlocal looks
        looks += 1
        return await current_version()

    store.current_version = counted  # type: ignore[method-assign]
    stranger = type(gateway.client)(gateway.client.port, "sk-" + "a" * 48)
    since = time.monotonic()
    with ThreadPoolExecutor(20) as crowd:
        found = list(crowd.map(ask, [stranger] * 200))
    elapsed = time.monotonic() - since
    assert set(found) == {KEPT_OUT}
    assert looks <= 2 + elapsed / 0.03
