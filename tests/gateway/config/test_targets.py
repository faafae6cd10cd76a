"""The targets of alerts: what they take, what is wrong with them, and what is shown of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.config.origin import SettingsError
from apertis.gateway.config.render import render
from tests.kit.webhooks import SECRET

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.configuration import Read

ENVIRONMENT = {
    "SECRET": SECRET,
    "HOOK": "https://hooks.example.com/services/token-1",
    "CHAT": "slack://T1/A1/token-2",
    "WRONG": "token-3",
}
WEBHOOK = "[[alerts.targets]]\nname = 'ops'\nurl_env = 'HOOK'\nsecret_env = 'SECRET'\n"


def test_targets_are_read_with_their_secrets(read_file: Read, tmp_path: Path) -> None:
    (tmp_path / "chat").write_text(ENVIRONMENT["CHAT"] + "\n")
    text = (
        WEBHOOK + "kinds = ['budget', 'key']\nlevel = 'warning'\n"
        "[[alerts.targets]]\nname = 'chat'\nurl_file = 'chat'\n"
    )
    reading = read_file(text, **ENVIRONMENT)
    ops, chat = reading.alerts.targets
    assert (ops.url.reveal(), ops.scheme) == (ENVIRONMENT["HOOK"], "https")
    assert ops.secret is not None
    assert (ops.secret.reveal(), ops.kinds, ops.level) == (SECRET, ("budget", "key"), "warning")
    assert (chat.url.reveal(), chat.secret, len(chat.kinds)) == (ENVIRONMENT["CHAT"], None, 5)
    shown = render(reading)
    assert 'url_env = "HOOK"' in shown
    assert "token-" not in shown + repr(reading)
    assert SECRET not in shown + repr(reading)
    again = read_file(shown, **ENVIRONMENT)
    assert again.alerts == reading.alerts


def test_of_a_url_in_the_file_the_host_alone_is_shown(read_file: Read) -> None:
    text = WEBHOOK.replace("url_env = 'HOOK'", f"url = '{ENVIRONMENT['HOOK']}'")
    reading = read_file(text, **ENVIRONMENT)
    assert 'url = "https://hooks.example.com/***"' in render(reading)
    with pytest.raises(SettingsError, match="blanked the rest: write it out again"):
        read_file(render(reading), **ENVIRONMENT)


def test_targets_come_from_the_environment_too(read_file: Read) -> None:
    targets = json.dumps([{"name": "ops", "url_env": "HOOK", "secret_env": "SECRET"}])
    given: dict[str, Any] = {**ENVIRONMENT, "APERTIS_ALERTS_TARGETS": targets}
    settings = read_file("", **given, APERTIS_ALERTS_KEY_DAYS="14,3").alerts
    assert [target.name for target in settings.targets] == ["ops"]
    assert settings.key_days == (14, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[alerts.targets]]\nurl_env = 'CHAT'", "needs a name"),
        ("[[alerts.targets]]\nname = 'a'", "has no URL: name it by one of url, url_env, url_file"),
        (WEBHOOK + "url = 'https://x.test'", "has url and url_env: name it by one of"),
        ("[[alerts.targets]]\nname = 'a'\nurl = 3", "url must be a URL"),
        (WEBHOOK.replace("HOOK", "WRONG"), "url_env has no URL: it must look like https://"),
        (WEBHOOK.replace("url_env = 'HOOK'", "url = 'http://x.test'"), "scheme 'http', which"),
        (WEBHOOK.replace("url_env = 'HOOK'", "url = 'https://a:pw@x.test'"), "in it: webhooks are"),
        (WEBHOOK.replace("url_env = 'HOOK'", "url = 'https://x:pw'"), "host or port is invalid"),
        ("[[alerts.targets]]\nname = 'a'\nurl_env = 'HOOK'", "needs secret_env or secret_file"),
        (WEBHOOK.replace("SECRET", "WRONG"), "names WRONG, which has no such secret: it must be"),
        (WEBHOOK.replace("secret_env = 'SECRET'", f"secret = '{SECRET}'"), "secret is rejected"),
        (WEBHOOK.replace("HOOK", "CHAT"), "has no meaning for slack: only webhooks are signed"),
        (WEBHOOK + WEBHOOK, "is 'ops' again: "),
        (WEBHOOK + "kinds = ['money']", "kinds must be a list of kinds of alerts: 'money' is not"),
        ("[alerts]\nkey_days = [0]", "key_days must be a list of whole numbers from 1 to 365"),
    ],
)
def test_what_is_wrong_is_said_without_any_secret(read_file: Read, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_file(text, **ENVIRONMENT)
    assert said in str(caught.value)
    assert "token" not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "pw" not in str(caught.value)
