"""Webhooks over real connections, what is not connected to, and apprise in a thread."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from apertis.errors import ConfigurationError
from apertis.gateway.alerts import delivery
from apertis.gateway.alerts.delivery import (
    DELIVERED,
    AppriseTarget,
    Outcome,
    Webhook,
    build_targets,
    is_public,
)
from apertis.gateway.config import AlertSettings, AlertTargetSettings, Secret
from apertis.gateway.config.targets import webhook_key
from apertis.gateway.store.alerts import Alert, ToldAlert
from tests.kit.webhooks import SECRET

if TYPE_CHECKING:
    from tests.kit.webhooks import Receiver

KEY = webhook_key(SECRET) or b""
TOLD = ToldAlert(
    alert=Alert(
        id="budget:a@0:100:75",
        kind="budget",
        level="warning",
        text="The person Ädä has spent 75 %.",
        data={"spent_usd": "75"},
    ),
    message_id="msg_1",
    at_ms=1_795_000_000_000,
)


def send(url: str, seconds: float = 10, **options: Any) -> Outcome:
    async def run() -> Outcome:
        target = Webhook("ops", url, KEY, seconds, **options)
        assert "token" not in repr(target)
        try:
            return await target.send(TOLD)
        finally:
            await target.close()

    return asyncio.run(run())


def test_a_webhook_is_signed_and_has_stable_fields(receiver: Receiver) -> None:
    assert send(f"{receiver.url}?and=this", allow_private=True) == DELIVERED
    assert receiver.paths == ["/hook/token-in-the-path?and=this"]
    assert receiver.headers[0]["webhook-id"] == "msg_1"
    assert receiver.messages == [
        {
            "type": "budget.threshold_passed",
            "timestamp": "2026-11-18T11:06:40Z",
            "data": {
                "id": "budget:a@0:100:75",
                "level": "warning",
                "text": "The person Ädä has spent 75 %.",
                "spent_usd": "75",
            },
        }
    ]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (204, DELIVERED),
        (302, Outcome("it answered 302: redirects are not followed")),
        (410, Outcome("it answered 410: nothing is wanted there any more", is_final=True)),
        (500, Outcome("it answered 500")),
    ],
)
def test_what_a_target_answers_decides(receiver: Receiver, status: int, outcome: Outcome) -> None:
    receiver.statuses.append(status)
    assert send(receiver.url, allow_private=True) == outcome
    assert len(receiver.messages) == 1


def test_a_slow_target_is_not_waited_for(receiver: Receiver) -> None:
    receiver.holding.set()
    outcome = send(receiver.url, 0.2, allow_private=True)
    assert outcome.error is not None
    assert "timeout" in outcome.error
    assert not outcome.is_final
    assert "token" not in outcome.error


def test_a_target_that_is_not_there_is_an_error_without_its_path(closed_port: str) -> None:
    outcome = send(f"{closed_port}/token-in-the-path", allow_private=True)
    assert outcome.error is not None
    assert "cannot connect to 127.0.0.1" in outcome.error
    assert "token" not in outcome.error


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_a_private_address_is_not_connected_to(receiver: Receiver, host: str) -> None:
    outcome = send(f"http://{host}:{receiver.port}/hook")
    assert outcome.error is not None
    assert "may not be connected to (see alerts.allow_private_addresses)" in outcome.error
    assert not receiver.messages


def test_a_name_is_checked_at_the_connection_whatever_it_led_to_before(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look-up gives a public address and every other one a private one."""
    answers = iter(["203.0.113.1" if is_public("203.0.113.1") else "1.1.1.1"])
    real = socket.getaddrinfo

    def rebinding(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if host == "rebinding.test":
            host = next(answers, "127.0.0.1")
        return real(host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    socket.getaddrinfo("rebinding.test", 80)
    outcome = send(f"http://rebinding.test:{receiver.port}/hook")
    assert outcome.error is not None
    assert "127.0.0.1 may not be connected to" in outcome.error
    assert not receiver.messages


def test_an_address_that_is_written_out_is_not_asked_of_a_proxy_either(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{receiver.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    for host in ("10.0.0.1", "localhost"):
        outcome = send(f"http://{host}/hook")
        assert outcome.error == (
            f"{host} may not be connected to (see alerts.allow_private_addresses)"
        )


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1",
        "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "ff02::1", "no address",
    ],
)  # fmt: skip
def test_private_loopback_and_link_local_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_others_are_public(address: str) -> None:
    assert is_public(address)


def target(url: str, secret: str | None = None, name: str = "chat") -> AlertTargetSettings:
    return AlertTargetSettings(name, Secret(url), None if secret is None else Secret(secret))


def test_each_target_is_made_for_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    both = (target("https://a.test/x", SECRET, "ops"), target("slack://T1/A1/token"))
    made = build_targets(AlertSettings(targets=both))
    assert list(map(repr, made)) == ["Webhook('ops')", "AppriseTarget('chat')"]
    monkeypatch.setattr(delivery, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"'chat' of alerts needs apprise: .*alerts"):
        build_targets(AlertSettings(targets=both))


@pytest.mark.parametrize("url", ["https://a..b/", "https://a.test/"])
def test_a_target_without_host_or_secret_cannot_be(url: str) -> None:
    secret = SECRET if "a..b" in url else None
    with pytest.raises(ConfigurationError, match="'chat' of alerts has no"):
        build_targets(AlertSettings(targets=(target(url, secret),)))


class Mail:
    """A mail server that takes one message."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.text = ""
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection, connection.makefile("rwb") as stream:

            def say(text: str) -> None:
                stream.write(f"{text}\r\n".encode())
                stream.flush()

            say("220 here")
            for line in iter(stream.readline, b""):
                command = line.decode().split()[0].upper()
                if command == "DATA":
                    say("354 go on")
                    for part in iter(stream.readline, b".\r\n"):
                        self.text += part.decode()
                    say("250 taken")
                elif command == "QUIT":
                    say("221 bye")
                    return
                else:
                    say("250 fine")


def through_apprise(url: str, seconds: float = 20, **options: Any) -> Outcome:
    async def run() -> Outcome:
        target = AppriseTarget("mail", url, seconds, **options)
        assert "pass" not in repr(target)
        return await target.send(TOLD)

    return asyncio.run(run())


@pytest.mark.filterwarnings("ignore")
def test_mail_goes_through_apprise(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("apprise")
    mail = Mail()
    url = f"mailto://127.0.0.1:{mail.port}?from=gw@example.com&to=ops@example.com&mode=insecure"
    with caplog.at_level(logging.DEBUG):
        assert through_apprise(url, allow_private=True) == DELIVERED
    mail.thread.join()
    mail.listener.close()
    assert "Apertis: budget" in mail.text
    assert "ops@example.com" not in caplog.text


@pytest.mark.filterwarnings("ignore")
def test_mail_to_a_private_server_is_refused_and_a_wrong_url_is_final() -> None:
    pytest.importorskip("apprise")
    refused = through_apprise("mailto://127.0.0.1:1?from=gw@example.com&to=ops@example.com")
    assert refused.error == (
        "127.0.0.1 is 127.0.0.1, which may not be connected to (see alerts.allow_private_addresses)"
    )
    wrong = through_apprise("slack://pass")
    assert wrong == Outcome("apprise does not understand its URL", is_final=True)


@pytest.mark.filterwarnings("ignore")
def test_mail_that_cannot_be_sent_is_an_error_without_its_url(closed_port: str) -> None:
    pytest.importorskip("apprise")
    port = closed_port.rpartition(":")[2]
    url = f"mailto://127.0.0.1:{port}?from=gw@example.com&to=ops@example.com&mode=insecure"
    assert through_apprise(url, allow_private=True) == Outcome("E-Mail did not take it")


@pytest.mark.filterwarnings("ignore")
def test_a_library_that_blocks_is_left_behind() -> None:
    pytest.importorskip("apprise")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"mailto://127.0.0.1:{port}?from=gw@example.com&to=ops@example.com&mode=insecure"

        async def run() -> list[Outcome]:
            target = AppriseTarget("mail", url, 2, allow_private=True)
            return [await target.send(TOLD), await target.send(TOLD)]

        slow, busy = asyncio.run(run())
        assert slow == Outcome("it took longer than 2 seconds")
        assert busy == Outcome("the attempt before has not ended yet")
        # The thread ends with its connection.
        silent.settimeout(5)
        silent.accept()[0].close()
