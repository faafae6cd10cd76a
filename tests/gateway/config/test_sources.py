from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.config import Rate
from apertis.gateway.config.origin import SettingsError
from apertis.gateway.config.read import read
from apertis.gateway.config.settings import kinds_of
from apertis.gateway.config.sources import SECTIONS

if TYPE_CHECKING:
    from tests.kit.configuration import Problems, Read


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(read_file: Read) -> None:
    text = "[limits]\nper_key = '5/1m'\nin_flight = 3\n"
    limits = read_file(text, APERTIS_LIMITS_PER_KEY="6/1m").limits
    assert (limits.per_key, limits.in_flight, limits.per_address) == (
        Rate(6, 60),
        3,
        Rate(1500, 180),
    )


def test_each_value_knows_where_it_came_from(read_file: Read) -> None:
    text = (
        "[limits]\nper_key = '5/1m'\nin_flight = 3\n[[upstreams]]\nname = 's'\nkind = 'sandbox'\n"
    )
    reading = read_file(text, APERTIS_LIMITS_PER_KEY="6/1m", APERTIS_PORT="81")
    assert reading.origins == {
        "server.port": "APERTIS_PORT",
        "limits.per_key": "APERTIS_LIMITS_PER_KEY",
        "limits.in_flight": "apertis.toml:3",
        "upstreams": "apertis.toml:4",
        "upstreams[0]": "apertis.toml:4",
    }


def test_every_setting_has_a_variable() -> None:
    for section, kind in SECTIONS.items():
        for name in kinds_of(kind):
            variable = f"APERTIS_{section}_{name}".upper()
            # No setting takes this: the message shows that the variable was read for one.
            with pytest.raises(SettingsError, match=f"^{variable} must be "):
                read({variable: "\0"})
            with pytest.raises(SettingsError, match=f"^{variable}X is an unknown setting"):
                read({f"{variable}X": "1"})


def test_an_empty_variable_is_one_that_is_not_set(read_file: Read) -> None:
    reading = read_file("[server]\nport = 81\n", APERTIS_PORT="", APERTIS_SERVER_WORKERS="")
    assert reading.server.port == 81


def test_the_file_can_be_named_by_a_variable(tmp_path: Path) -> None:
    named, given = tmp_path / "a.toml", tmp_path / "b.toml"
    named.write_text("[server]\nport = 81\n")
    given.write_text("[server]\nport = 82\n")
    environment = {"APERTIS_CONFIG": str(named)}
    assert read(environment).server.port == 81
    assert read(environment, given).server.port == 82


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("SERVER_TRUSTED_PROXIES", '["10.0.0.0/8", "::1"]', ("10.0.0.0/8", "::1")),
        ("SERVER_TRUSTED_PROXIES", "10.0.0.0/8, ::1", ("10.0.0.0/8", "::1")),
        ("SERVER_MAX_BODY_BYTES", "1MiB", 2**20),
        ("SERVER_MAX_BODY_BYTES", "4096", 4096),
        ("ROUTING_AFFINITY", "off", False),
        ("ROUTING_AFFINITY", "True", True),
        ("SERVER_STOP_SECONDS", "1.5", 1.5),
        ("SERVER_STOP_SECONDS", "2m", 120.0),
        ("LIMITS_PER_ADDRESS", "0", None),
        ("SANDBOX_TOKENS_PER_SECOND", "0", None),
    ],
)
def test_a_variable_is_read_as_its_setting_takes_it(name: str, text: str, value: object) -> None:
    settings = read({f"APERTIS_{name}": text})
    section, _, field = name.lower().partition("_")
    assert getattr(getattr(settings, section), field) == value


def test_upstreams_and_prices_come_as_json_in_place_of_those_of_the_file(read_file: Read) -> None:
    reading = read_file(
        "[[upstreams]]\nname = 'file'\nkind = 'sandbox'\n[prices.a]\ninput = 1\noutput = 1\n",
        APERTIS_UPSTREAMS='[{"name": "variable", "kind": "sandbox", "models": ["m"]}]',
        APERTIS_PRICES='{"b": {"input": 0.1, "output": "0.3"}}',
    )
    assert [upstream.name for upstream in reading.upstreams] == ["variable"]
    # A tenth has no exact float: the digits are what counts.
    assert {str(price.input) for price in reading.prices.values()} == {"0.1"}
    assert list(reading.prices) == ["b"]


def test_what_is_wrong_inside_of_json_is_named(problems_of: Problems) -> None:
    problems = problems_of("", APERTIS_UPSTREAMS='[{"name": "a b", "kind": "sandbox"}, 5]')
    assert problems == [
        "APERTIS_UPSTREAMS[0].name must be letters, digits, '.', '_' and '-', not 'a b'",
        "APERTIS_UPSTREAMS[1] must be a table, not 5",
    ]
    assert problems_of("", APERTIS_PRICES="{") == [
        (
            "APERTIS_PRICES must be JSON: Expecting property name enclosed in double quotes: "
            "line 1 column 2 (char 1)"
        )
    ]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("APERTIS_SERVER_PROT", "is an unknown setting; did you mean APERTIS_SERVER_PORT?"),
        ("APERTIS_LIMIT_PER_KEY", "is an unknown setting; did you mean APERTIS_LIMITS_PER_KEY?"),
        ("APERTIS_UPSTREAM", "is an unknown setting; did you mean APERTIS_UPSTREAMS?"),
        ("APERTIS_CACHE_COLOUR", "is an unknown setting"),
    ],
)
def test_an_unknown_variable_is_named_with_the_one_that_is_meant(name: str, problem: str) -> None:
    with pytest.raises(SettingsError) as failure:
        read({name: "1"})
    (found,) = failure.value.problems
    assert found.startswith(f"{name} {problem}")


@pytest.mark.parametrize(
    "name",
    [
        "APERTIS_API_KEY",
        "APERTIS_BASE_URL",
        "APERTIS_LOG",
        "APERTIS_MODEL",
        "APERTIS_HOME",
        "SERVER_PORT",
        "XAPERTIS_SERVER_PROT",
    ],
)
def test_variables_of_others_are_left_alone(name: str) -> None:
    assert read({name: "anything"}).origins == {"upstreams[0]": "default"}


def test_what_kubernetes_says_of_a_service_named_apertis_is_no_setting() -> None:
    environment = {
        "APERTIS_SERVICE_HOST": "10.0.0.7",
        "APERTIS_SERVICE_PORT": "8000",
        "APERTIS_SERVICE_PORT_HTTP": "8000",
        "APERTIS_PORT": "tcp://10.0.0.7:8000",
        "APERTIS_PORT_8000_TCP": "tcp://10.0.0.7:8000",
        "APERTIS_PORT_8000_TCP_ADDR": "10.0.0.7",
        "APERTIS_SERVER_SERVICE_HOST": "10.0.0.8",
        "APERTIS_SERVER_PORT": "tcp://10.0.0.8:80",
        "APERTIS_SERVER_PORT_80_TCP_PROTO": "tcp",
    }
    assert read(environment) == read({})


def test_two_variables_of_one_setting_must_agree() -> None:
    environment = {"APERTIS_PORT": "81", "APERTIS_SERVER_PORT": "81"}
    assert read(environment).server.port == 81
    with pytest.raises(
        SettingsError, match="APERTIS_PORT and APERTIS_SERVER_PORT are the same setting"
    ):
        read(environment | {"APERTIS_PORT": "82"})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = \n", "apertis.toml:1: is not TOML: Invalid value (column 5)"),
        ("[server]\nport = 1\nport = 2\n", "apertis.toml:3: is not TOML: Cannot overwrite"),
        ('[server]\nhost = """', "apertis.toml:2: is not TOML: "),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(
    problems_of: Problems, text: str, problem: str
) -> None:
    (found,) = problems_of(text)
    assert found.startswith(problem)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    with pytest.raises(SettingsError, match=f"^{missing}: cannot be read: No such file"):
        read({}, missing)
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# one\n# caf\xe9\n")
    with pytest.raises(SettingsError, match=f"^{latin}:2: is not UTF-8$"):
        read({}, latin)


def test_a_mark_before_the_text_and_foreign_line_ends_do_not_matter(read_file: Read) -> None:
    assert read_file("\ufeff[server]\r\nport = 81\r\n").server.port == 81


def test_relative_paths_of_a_file_are_relative_to_it(
    read_file: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    store = read_file("[store]\ndata = 'state'\n").store
    assert store.data == tmp_path / "state"
    assert read_file("[store]\ndata = '~/s'\n").store.data == Path("/home/ann/s")
    assert read({"APERTIS_DATA": "state"}).store.data == Path("state")


def test_unknown_tables_and_settings_are_problems(problems_of: Problems) -> None:
    assert problems_of("[limit]\nper_key = 1\n[server]\nprot = 1\nxyz = 1\n[log]\nzz = 1\n") == [
        "apertis.toml:1: limit is an unknown setting; did you mean limits?",
        "apertis.toml:4: server.prot is an unknown setting; did you mean port?",
        (
            "apertis.toml:5: server.xyz is an unknown setting; there are allowed_origins, "
            "anthropic_version, body_timeout_seconds, body_total_timeout_seconds, host, "
            "max_body_bytes, ping_seconds, port, public_url, replica, stop_seconds, "
            "tls_certificate, tls_key, trusted_gateways, trusted_proxies, unknown_people, "
            "workers"
        ),
        "apertis.toml:7: log.zz is an unknown setting; there are format, requests",
    ]


def test_a_section_must_be_a_table(problems_of: Problems) -> None:
    assert problems_of("server = 1\nupstreams = 2\nprices = 3\n") == [
        "apertis.toml:1: server must be a table, not 1",
        "apertis.toml:2: upstreams must be an array, not 2",
        "apertis.toml:3: prices must be a table, not 3",
    ]
