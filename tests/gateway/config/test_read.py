from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest

from apertis.errors import ConfigurationError
from apertis.gateway.config import (
    ServerSettings,
    Settings,
    StoreSettings,
    read_settings,
    read_store_settings,
)
from apertis.gateway.config.render import render

if TYPE_CHECKING:
    from tests.kit.configuration import Problems, Read


def test_the_defaults_listen_on_loopback_and_keep_data_where_the_platform_says() -> None:
    settings = read_settings({})
    data = platformdirs.user_data_path("apertis", appauthor=False)
    assert settings == Settings(StoreSettings(data))


def test_every_setting_comes_from_the_environment() -> None:
    settings = read_settings(
        {
            "APERTIS_HOST": "::1",
            "APERTIS_PORT": "81",
            "APERTIS_DATA": "/data",
            "APERTIS_SANDBOX_FIRST_TOKEN_SECONDS": "0.5",
            "APERTIS_SANDBOX_TOKENS_PER_SECOND": "40",
        }
    )
    assert settings.server == ServerSettings("::1", 81)
    assert settings.store.data == Path("/data")
    assert settings.sandbox.first_token_seconds == 0.5
    assert settings.sandbox.tokens_per_second == 40


def test_what_is_given_wins_over_the_environment() -> None:
    environment = {"APERTIS_PORT": "not read", "APERTIS_SANDBOX_TOKENS_PER_SECOND": "40"}
    settings = read_settings(environment, port=0, tokens_per_second=0)
    assert settings.server.port == 0
    assert settings.sandbox.tokens_per_second is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APERTIS_PORT", "http"),
        ("APERTIS_PORT", "65536"),
        ("APERTIS_PORT", "-1"),
        ("APERTIS_SANDBOX_FIRST_TOKEN_SECONDS", "soon"),
        ("APERTIS_SANDBOX_FIRST_TOKEN_SECONDS", "-1"),
        ("APERTIS_SANDBOX_TOKENS_PER_SECOND", "inf"),
        ("APERTIS_SANDBOX_TOKENS_PER_SECOND", "nan"),
    ],
)
def test_a_bad_setting_is_named_with_its_value(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must .*{value}"):
        read_settings({name: value})


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.1", False),
        ("example.com", False),
    ],
)
def test_it_knows_whether_others_can_reach_it(host: str, loopback: bool) -> None:
    assert read_settings({}, host=host).server.is_loopback is loopback


def test_settings_do_not_change() -> None:
    with pytest.raises(AttributeError):
        read_settings({}).server.port = 1  # type: ignore[misc]


def test_the_store_is_read_without_the_credentials_of_the_upstreams(tmp_path: Path) -> None:
    file = tmp_path / "apertis.toml"
    file.write_text(
        "[store]\ndata = 'state'\n[[upstreams]]\nname = 'a'\napi_key_env = 'NOT_HERE'\n"
    )
    with pytest.raises(ConfigurationError, match="NOT_HERE"):
        read_settings({}, config=file)
    assert read_store_settings({}, config=file) == StoreSettings(tmp_path / "state")
    environment = {"APERTIS_CONFIG": str(file), "APERTIS_STORE_URL": "postgresql://db/x"}
    store = read_store_settings(environment, data=tmp_path)
    assert store == StoreSettings(tmp_path, "postgresql://db/x")
    with pytest.raises(ConfigurationError, match=r"^APERTIS_STORE_URL must be a URL"):
        read_store_settings({"APERTIS_STORE_URL": "x"})


def test_tls_needs_both_files_and_they_must_be_there(
    problems_of: Problems, read_file: Read, tmp_path: Path
) -> None:
    assert problems_of("[server]\ntls_key = 'k.pem'\n") == [
        "apertis.toml:2: server.tls_key needs server.tls_certificate beside it",
        "apertis.toml:2: server.tls_key names k.pem, and there is no such file",
    ]
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).touch()
    text = "[server]\ntls_key = 'k.pem'\ntls_certificate = 'c.pem'\n"
    server = read_file(text).server
    assert (server.has_tls, server.tls_key) == (True, tmp_path / "k.pem")
    (problem,) = problems_of("", APERTIS_SERVER_TLS_CERTIFICATE=str(tmp_path / "c.pem"))
    assert problem == "APERTIS_SERVER_TLS_CERTIFICATE needs server.tls_key beside it"


def test_several_workers_are_refused_where_sockets_cannot_be_handed_on(
    problems_of: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_settings({"APERTIS_SERVER_WORKERS": "4"}).server.workers == 4
    monkeypatch.setattr(sys, "platform", "win32")
    (problem,) = problems_of("[server]\nworkers = 4\n")
    assert problem.startswith("apertis.toml:2: server.workers must be 1 on Windows, not 4")


@pytest.mark.parametrize(
    ("host", "url", "itself"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000", True),
        ("127.0.0.1", "http://localhost:8000/v1", True),
        ("0.0.0.0", "http://[::1]:8000", True),
        ("10.0.0.5", "http://10.0.0.5:8000", True),
        ("10.0.0.5", "http://127.0.0.1:8000", False),
        ("127.0.0.1", "http://127.0.0.1:8001", False),
        ("127.0.0.1", "http://example.com:8000", False),
    ],
)
def test_a_gateway_is_not_its_own_upstream(
    problems_of: Problems, host: str, url: str, itself: bool
) -> None:
    text = f"[server]\nhost = '{host}'\n[[upstreams]]\nname = 'a'\nbase_url = '{url}'\n"
    problems = problems_of(text)
    assert len(problems) == itself
    assert all("apertis.toml:5: upstreams[0].base_url is http" in found for found in problems)
    problems = problems_of("", APERTIS_HOST=host, ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=url)
    assert len(problems) == itself
    assert all(found.startswith("ANTHROPIC_BASE_URL is http") for found in problems)


def test_all_problems_come_at_once_those_of_the_file_by_line(problems_of: Problems) -> None:
    text = """\
[[upstreams]]
name = "a b"
[cache]
ttl_seconds = -1
[server]
tls_key = "k"
workers = 0
colour = 1
[prices.m]
input = 1
"""
    problems = problems_of(text, APERTIS_LIMITS_PER_KEY="x", APERTIS_LOG_REQUEST="1")
    assert [problem.split()[0] for problem in problems[:2]] == [
        "APERTIS_LOG_REQUEST",
        "APERTIS_LIMITS_PER_KEY",
    ]
    lines = [int(problem.split(":")[1]) for problem in problems[2:]]
    assert lines == [1, 2, 4, 6, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("text", "environment", "shown"),
    [
        ('url = "valkey://u:xyzzy@h:1/2"', {}, 'url = "valkey://u:***@h:1/2"'),
        ('url_env = "X"', {"X": "valkeys://:xyzzy@h"}, 'url_env = "X"'),
        ('url_file = "secret"', {}, "url_file = "),
        ("", {"APERTIS_VALKEY_URL": "redis://:xyzzy@h"}, 'url = "redis://:***@h"'),
    ],
)
def test_the_url_of_valkey_is_a_secret(
    read_file: Read, tmp_path: Path, text: str, environment: dict[str, str], shown: str
) -> None:
    (tmp_path / "secret").write_text("valkey://:xyzzy@h\n")
    reading = read_file(f"[valkey]\n{text}\n", **environment)
    url = reading.valkey.url
    assert url is not None
    assert "xyzzy" in url.reveal()
    assert "xyzzy" not in repr(reading)
    assert shown in render(reading)
    assert "xyzzy" not in render(reading)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('url = "http://:xyzzy@h"', "must be a URL such as valkey://host:6379/0"),
        ('url = "valkey://:xyz/xyzzy@h"', "must be a URL such as valkey://host:6379/0"),
        ('url = "valkey://:xyzzy@h/0?x=1"', "must have nothing behind its host"),
        ('url = "valkey://:***@h"', "'config show' blanked"),
        ('url = "valkey://h"\nurl_env = "X"', "one of them is enough"),
        ('url_env = "X"', "names X, whose URL must be a URL"),
        ('url_env = "Y"', "names Y, which is not set"),
        ('url_file = "absent"', "which cannot be read"),
    ],
)
def test_another_url_of_valkey_is_rejected_and_not_shown(
    read_file: Read, text: str, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(reason)) as caught:
        read_file(f"[valkey]\n{text}\n", X="http://:xyzzy@h")
    assert "xyzzy" not in str(caught.value)


def test_the_url_of_the_database_may_stand_in_a_file(read_file: Read, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("postgres://u:xyzzy@h/d\n")
    text = '[store]\nurl_file = "secret"\n'
    reading = read_file(text)
    assert reading.store.url == "postgresql://u:xyzzy@h/d"
    assert "xyzzy" not in repr(reading)
    shown = render(reading)
    assert "url_file = " in shown
    assert "xyzzy" not in shown
    assert read_file(shown) == reading
    (tmp_path / "apertis.toml").write_text(text)
    store = read_store_settings({}, config=tmp_path / "apertis.toml")
    assert store.url == reading.store.url


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('url_file = "absent"', "which cannot be read"),
        ('url_file = "secret"', "must be a URL such as postgresql://"),
        ('url = "postgresql://h/d"\nurl_file = "secret"', "one of them is enough"),
    ],
)
def test_a_file_without_a_database_is_rejected_and_not_shown(
    read_file: Read, tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "secret").write_text("mysql://u:xyzzy@h/d")
    with pytest.raises(ConfigurationError, match=re.escape(reason)) as caught:
        read_file(f"[store]\n{text}\n")
    assert "xyzzy" not in str(caught.value)


def test_a_shared_cache_needs_a_valkey(read_file: Read) -> None:
    with pytest.raises(ConfigurationError, match=r"cache\.shared needs valkey\.url beside it"):
        read_file("[cache]\nshared = true\n")
    text = '[cache]\nshared = true\n[valkey]\nurl = "valkey://h"\n'
    assert read_file(text).cache.shared


OIDC = '[oidc]\nissuer = "https://login.example.com"\nclient_id = "a"\n'
PUBLIC = '[server]\nhost = "0.0.0.0"\npublic_url = "https://claude.example.com"\n'


def test_an_identity_provider_is_a_way_to_sign_in(read_file: Read, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("xyzzy-of-the-client\n")
    text = f'{PUBLIC}{OIDC}client_secret_file = "secret"\n[oidc.roles]\n"a b" = "viewer"\n'
    settings = read_file(text)
    assert settings.has_oidc
    assert settings.has_console
    assert not settings.has_key_sign_in
    assert dict(settings.oidc.roles) == {"a b": "viewer"}
    secret = settings.oidc.client_secret
    assert secret is not None
    assert secret.reveal() == "xyzzy-of-the-client"
    shown = render(settings)
    assert "xyzzy" not in shown
    assert 'roles = { "a b" = "viewer" }' in shown
    assert read_file(shown).oidc == settings.oidc
    assert not read_file(PUBLIC).has_console


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[oidc]\nclient_id = "a"\n', r"needs oidc\.issuer beside it"),
        ('[oidc]\nissuer = "https://a.example"\n', r"needs oidc\.client_id beside it"),
        ('[oidc]\nissuer = "http://a.example"\n', "must be https://, where it is not on this"),
        (f'{OIDC}scopes = ["email"]\n', "must have openid among them"),
        (f'{OIDC}client_secret = "xyzzy"\n', "did you mean client_secret_"),
        (f'{OIDC}client_secret_env = "NOT_THERE"\n', "NOT_THERE, which is not set"),
        (f'{OIDC}client_secret_env = "X"\nclient_secret_file = "y"\n', "one of them is enough"),
        (f'{OIDC}roles = {{ a = "boss" }}\n', "'boss' is not"),
        (f"{OIDC}groups = 7\n", "must be a table of groups, not 7"),
        (f'[server]\nhost = "0.0.0.0"\n{OIDC}', r"needs server\.public_url beside it"),
        (f"{PUBLIC}[console]\nenabled = true\n", r"oidc\.issuer, or console\.keys = true"),
        ('[console]\nallowed_hosts = ["https://a.example"]\n', "is not a host name"),
        ('[console]\nallowed_hosts = ["a.example:99999"]\n', "is not a host name"),
    ],
)
def test_settings_of_signing_in_that_do_not_fit_are_told(
    read_file: Read, text: str, problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem) as raised:
        read_file(text)
    assert "xyzzy" not in str(raised.value)


def test_tables_of_a_provider_come_from_a_variable_as_json(read_file: Read) -> None:
    settings = read_file(OIDC, APERTIS_OIDC_GROUPS='{"eng": "Engineering"}')
    assert dict(settings.oidc.groups) == {"eng": "Engineering"}
    with pytest.raises(ConfigurationError, match="must be a table of groups"):
        read_file(OIDC, APERTIS_OIDC_GROUPS="eng=Engineering")


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ('authorization_env = "X"', {"X": "Bearer xyzzy"}),
        ('authorization_file = "secret"', {}),
    ],
)
def test_what_a_collector_wants_is_a_secret(
    read_file: Read, tmp_path: Path, text: str, environment: dict[str, str]
) -> None:
    (tmp_path / "secret").write_text("Bearer xyzzy\n")
    settings = read_file(f'[otlp]\nendpoint = "http://127.0.0.1:4318"\n{text}\n', **environment)
    assert settings.otlp.authorization is not None
    assert settings.otlp.authorization.reveal() == "Bearer xyzzy"
    shown = render(settings)
    assert "xyzzy" not in shown + repr(settings)
    assert text.partition(" ")[0] + " = " in shown


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[otlp]\nauthorization = "xyzzy"\n', "unknown setting"),
        ('[otlp]\nauthorization_env = "Y"\n', "Y, which is not set"),
        ('[otlp]\nauthorization_env = "X"\nauthorization_file = "y"\n', "one of them is enough"),
        ('[otlp]\nendpoint = "grpc://h"\n', "must be an http"),
        ('[otlp]\nidentity = "all"\n', "must be"),
        ("[sign_in]\ntoken_seconds = 5\n", "token_seconds"),
        ("[sign_in]\nrefresh_days = 0\n", "refresh_days"),
        (f'[sign_in]\nlogin_notice = "{"x" * 501}"\n', "up to 500 characters"),
    ],
)
def test_settings_of_sign_ins_and_telemetry_that_do_not_fit_are_told(
    read_file: Read, text: str, problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem) as raised:
        read_file(text)
    assert "xyzzy" not in str(raised.value)
    assert read_file(f'[sign_in]\nlogin_notice = "{"x" * 500}"\n').has_device_sign_in


@pytest.mark.parametrize(
    ("server", "offered"),
    [
        ("", True),
        ('public_url = "https://a.example"', True),
        ('public_url = "http://a.example"', False),
        ('public_url = "http://127.0.0.1:8000"', True),
        ('host = "0.0.0.0"\npublic_url = "https://a.example"', True),
        ('host = "0.0.0.0"\npublic_url = "http://a.example"', False),
    ],
)
def test_claude_code_signs_in_over_https_or_from_this_machine(
    read_file: Read, server: str, offered: bool
) -> None:
    settings = read_file(f"[console]\nkeys = true\n[server]\n{server}\n")
    assert settings.has_device_sign_in == offered
    without = read_file(f"[sign_in]\nenabled = false\n[server]\n{server}\n")
    assert not without.has_device_sign_in
