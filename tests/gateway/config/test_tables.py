from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from apertis.gateway.config import ModelSettings, PriceSettings, Secret, UpstreamSettings
from apertis.gateway.config.origin import SettingsError
from apertis.gateway.config.read import read

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.configuration import Problems, Read

KEY = "sk-ant-0123456789"


def test_without_a_key_the_upstream_is_the_sandbox() -> None:
    for environment in ({}, {"ANTHROPIC_API_KEY": ""}, {"ANTHROPIC_BASE_URL": "http://x"}):
        assert read(environment).upstreams == (UpstreamSettings("sandbox", "sandbox"),)


@pytest.mark.parametrize(
    ("environment", "auth", "base_url"),
    [
        ({"ANTHROPIC_API_KEY": KEY}, "x-api-key", "https://api.anthropic.com"),
        ({"ANTHROPIC_AUTH_TOKEN": KEY}, "bearer", "https://api.anthropic.com"),
        ({"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_AUTH_TOKEN": "t"}, "x-api-key", None),
        ({"ANTHROPIC_API_KEY": "", "ANTHROPIC_AUTH_TOKEN": KEY}, "bearer", None),
        ({"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": "http://h:1/a/"}, None, "http://h:1/a"),
    ],
)
def test_a_key_in_the_environment_makes_anthropic_the_upstream(
    environment: dict[str, str], auth: str | None, base_url: str | None
) -> None:
    reading = read(environment)
    (upstream,) = reading.upstreams
    assert (upstream.name, upstream.kind, upstream.api_key) == ("anthropic",) * 2 + (Secret(KEY),)
    assert auth is None or upstream.auth == auth
    assert base_url is None or upstream.base_url == base_url
    assert reading.origins["upstreams[0]"] in {"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"}


def test_configured_upstreams_take_the_place_of_what_the_environment_has(read_file: Read) -> None:
    text = "[[upstreams]]\nname = 's'\nkind = 'sandbox'\n"
    (upstream,) = read_file(text, ANTHROPIC_API_KEY=KEY).upstreams
    assert upstream.name == "s"
    (found,) = read_file("upstreams = []\n", ANTHROPIC_API_KEY=KEY).upstreams
    assert found.name == "anthropic"


def test_an_upstream_is_read_whole(read_file: Read) -> None:
    text = """
[[upstreams]]
name = "one"
base_url = "https://h.example/api/v1/"
api_key_env = "MY_KEY"
auth = "bearer"
priority = 2
weight = 3
max_connections = 4
models = ["a", { id = "b", aliases = ["c", "d"], upstream_model = "e", priority = 5, weight = 6 }]
"""
    (upstream,) = read_file(text, MY_KEY=f" {KEY}\n").upstreams
    models = (ModelSettings("a"), ModelSettings("b", ("c", "d"), "e", 5, 6))
    assert upstream == UpstreamSettings(
        "one", "anthropic", "https://h.example/api", Secret(KEY), "bearer", models, 2, 3, 4
    )
    assert upstream.api_key is not None
    assert (upstream.api_key.setting, upstream.api_key.source) == ("api_key_env", "MY_KEY")


def test_a_key_can_be_in_a_file_beside_the_configuration(read_file: Read, tmp_path: Path) -> None:
    (tmp_path / "a.key").write_text(f"{KEY}\n")
    text = "[[upstreams]]\nname = 'a'\napi_key_file = 'a.key'\n"
    (upstream,) = read_file(text).upstreams
    assert upstream.api_key is not None
    assert upstream.api_key == Secret(KEY)
    assert upstream.api_key.source == str(tmp_path / "a.key")


def test_a_key_in_the_configuration_is_refused_and_not_shown(problems_of: Problems) -> None:
    (problem,) = problems_of("[[upstreams]]\nname = 'a'\napi_key = 'plain-secret'\n")
    assert problem.startswith("apertis.toml:3: upstreams[0].api_key is rejected: a credential")
    assert "api_key_env" in problem
    assert "api_key_file" in problem
    assert "plain" not in problem


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", " needs api_key_env or api_key_file for https://api.anthropic.com"),
        ("api_key_env = 'NONE'", ".api_key_env names NONE, which is not set in the environment"),
        ("api_key_env = 'EMPTY'", ".api_key_env names EMPTY, which is not set in the environment"),
        ("api_key_env = 'TWO'", ".api_key_env names TWO, which has no key in it: there are spaces"),
        ("api_key_env = 5", ".api_key_env must be the name of a variable that has the key"),
        ("api_key_file = ''", ".api_key_file must be the name of a file that has the key"),
        ("api_key_file = 'gone'", ".api_key_file names gone, which cannot be read: No such file"),
        ("api_key_file = 'two'", ".api_key_file names two, which has no key in it: there are"),
        ("api_key_file = 'empty'", ".api_key_file names empty, which is empty"),
        ("api_key_env = 'K'\napi_key_file = 'k'", " has api_key_env and api_key_file: one"),
    ],
)
def test_a_key_that_is_none_is_said(
    problems_of: Problems, tmp_path: Path, line: str, problem: str
) -> None:
    (tmp_path / "two").write_text("hush\nhush\n")
    (tmp_path / "empty").write_text("\n")
    text = f"[[upstreams]]\nname = 'a'\n{line}\n"
    (found,) = problems_of(text, TWO="hush hush", EMPTY=" ", K="k")
    assert found.partition(": upstreams[0]")[2].startswith(problem)
    assert "hush" not in found


def test_a_key_in_place_of_a_variables_name_is_not_shown(problems_of: Problems) -> None:
    (problem,) = problems_of("[[upstreams]]\nname = 'a'\napi_key_env = 'qwertz-123-uiop'\n")
    assert problem == (
        "apertis.toml:3: upstreams[0].api_key_env must be the name of a variable of the environment"
    )


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
def test_a_key_of_the_environment_that_cannot_be_sent_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} has no key in it") as failure:
        read({name: "hush\r\nx: y"})
    assert "hush" not in str(failure.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h",
        "h.example",
        "https://",
        "https://h/?a=1",
        "https://h#x",
        "https://ann:hidden@h",
        "https://h:99999",
        "https://h ost",
        "https://h\\u00e9",
        "https://h:0",
        "https://[::1",
    ],
)
def test_a_base_url_that_is_none_is_refused(problems_of: Problems, url: str) -> None:
    (problem,) = problems_of(f'[[upstreams]]\nname = "a"\nbase_url = "{url}"\n')
    assert problem.startswith("apertis.toml:3: upstreams[0].base_url must be an http:// or https:/")
    assert "hidden" not in problem
    (problem,) = problems_of(
        "", ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=url.encode().decode("unicode_escape")
    )
    assert problem.startswith("ANTHROPIC_BASE_URL must be an http:// or https:// URL")


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://h", "https://h"),
        ("https://h/", "https://h"),
        ("https://h/v1", "https://h"),
        ("https://h/v1/", "https://h"),
        ("https://h:8443/a/v1", "https://h:8443/a"),
        ("http://[::1]:8080/v1", "http://[::1]:8080"),
        ("https://h/v12", "https://h/v12"),
    ],
)
def test_a_base_url_ends_before_the_paths_of_the_api(
    read_file: Read, url: str, normal: str
) -> None:
    text = f'[[upstreams]]\nname = "a"\nbase_url = "{url}"\n'
    assert read_file(text).upstreams[0].base_url == normal


def test_names_stand_once(problems_of: Problems) -> None:
    text = """\
[[upstreams]]
name = "a"
kind = "sandbox"
models = ["m", { id = "n", aliases = ["o", "m"] }, "p"]
[[upstreams]]
kind = "sandbox"
name = "a"
models = ["m"]
"""
    assert problems_of(text) == [
        "apertis.toml:4: upstreams[0].models[1] has the name 'm', which is used twice",
        (
            "apertis.toml:7: upstreams[1].name is 'a' again: "
            "apertis.toml:1: upstreams[0] has that name"
        ),
    ]


def test_the_sandbox_has_no_address_and_no_key(problems_of: Problems) -> None:
    text = "[[upstreams]]\nname = 'a'\nkind = 'sandbox'\nbase_url = 'http://x'\nauth = 'bearer'\n"
    assert problems_of(text) == [
        "apertis.toml:4: upstreams[0].base_url has no meaning for the sandbox, which is built in",
        "apertis.toml:5: upstreams[0].auth has no meaning for the sandbox, which is built in",
    ]


def test_everything_that_is_wrong_with_upstreams_is_told_at_once(problems_of: Problems) -> None:
    text = """\
[[upstreams]]
kind = "openai"
api_key_env = "K"
modles = []
[[upstreams]]
name = "b"
kind = "sandbox"
weight = 0
[[upstreams.models]]
aliases = ["x"]
[[upstreams.models]]
id = 5
"""
    assert problems_of(text, K="k") == [
        "apertis.toml:1: upstreams[0] needs a name",
        'apertis.toml:2: upstreams[0].kind must be "anthropic" or "sandbox", not \'openai\'',
        "apertis.toml:4: upstreams[0].modles is an unknown setting; did you mean models?",
        "apertis.toml:8: upstreams[1].weight must be a whole number from 1 to 1000000, not 0",
        "apertis.toml:9: upstreams[1].models[0] needs an id",
        "apertis.toml:12: upstreams[1].models[1].id must be the name of a model, not 5",
    ]


def test_prices_are_exact_whether_numbers_or_texts(read_file: Read) -> None:
    text = """
[prices."claude-sonnet-4.5"]
input = 0.3
output = "15"
cache_read = 0
cache_write_5m = "0.375"
cache_write_1h = 0.6
web_search = 12
batch_percent = 40
"""
    assert read_file(text).prices == {
        "claude-sonnet-4.5": PriceSettings(
            input=Decimal("0.3"),
            output=Decimal(15),
            cache_read=Decimal(0),
            cache_write_5m=Decimal("0.375"),
            cache_write_1h=Decimal("0.6"),
            web_search=Decimal(12),
            batch_percent=40,
        )
    }


def test_the_prompt_cache_costs_its_usual_part_of_the_input(read_file: Read) -> None:
    price = read_file("[prices.a]\ninput = 3\noutput = 15\n").prices["a"]
    assert (price.cache_read, price.cache_write_5m, price.cache_write_1h) == (
        Decimal("0.3"),
        Decimal("3.75"),
        Decimal(6),
    )
    assert (price.web_search, price.batch_percent) == (Decimal(10), 50)


def test_a_part_that_is_no_whole_unit_of_money_is_rounded_up(read_file: Read) -> None:
    price = read_file("[prices.a]\ninput = 0.000002\noutput = 0\n").prices["a"]
    assert (price.cache_read, price.cache_write_5m) == (Decimal("0.000002"), Decimal("0.000004"))


def test_what_is_wrong_with_a_price_is_told_at_once(problems_of: Problems) -> None:
    text = """\
[prices.a]
input = -1
ouput = 5
[prices."b.c"]
input = "free"
output = inf
cache_read = 0.000001
batch_percent = 101
[prices]
d = 5
"""
    amount = "must be an amount of dollars from 0 to 1,000,000, a multiple of 0.000002"
    assert problems_of(text) == [
        "apertis.toml:1: prices.a needs output",
        f"apertis.toml:2: prices.a.input {amount}, not -1",
        "apertis.toml:3: prices.a.ouput is an unknown setting; did you mean output?",
        f"apertis.toml:5: prices.\"b.c\".input {amount}, not 'free'",
        f'apertis.toml:6: prices."b.c".output {amount}, not Infinity',
        f'apertis.toml:7: prices."b.c".cache_read {amount}, not 0.000001',
        'apertis.toml:8: prices."b.c".batch_percent must be a whole number from 0 to 100, not 101',
        "apertis.toml:10: prices.d must be a table, not 5",
    ]
