"""The tables of the gateway's pages have all that the code has, and nothing else."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_args

import pytest

from apertis.cli.key_options import OPTION_OF
from apertis.gateway import errors
from apertis.gateway.admin.openapi import document
from apertis.gateway.errors import Refusal
from apertis.gateway.observe.log import _Line
from apertis.gateway.observe.metrics import Metrics
from apertis.gateway.people.record import Role
from apertis.gateway.request.body import declared_edits, peek
from apertis.gateway.routing.attempts import may_change_model, may_move
from apertis.gateway.routing.fallback import FallbackReason
from apertis.gateway.serving.endpoints import resolve
from apertis.gateway.signin.roles import PAGES
from apertis.gateway.upstreams.outcome import outcome_of_status
from tests.kit.naming import own_names

GATEWAY = Path(__file__).parents[2] / "docs" / "gateway"


def page(name: str) -> str:
    return (GATEWAY / f"{name}.md").read_text(encoding="utf-8")


def rows(name: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    below = page(name).split(f"# {heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert table is not None
    lines = table[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def words(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def every_refusal() -> list[Refusal]:
    made = []
    for name in own_names(errors) - {"Refusal"}:
        constructor = getattr(errors, name)
        if isinstance(constructor, Refusal):
            # It needs no words of a request's.
            made.append(constructor)
            continue
        if isinstance(constructor, type):
            # An exception of the store, which the gateway answers with a refusal.
            continue
        arguments = [
            {"int": 1, "float": 1.0, "tuple[str, ...]": ("GET",)}.get(parameter.annotation, "x")
            for parameter in inspect.signature(constructor).parameters.values()
            if parameter.default is parameter.empty
        ]
        made.append(constructor(*arguments))
    return made


def test_the_table_of_errors_has_every_code() -> None:
    shown = {(int(row[0]), row[1].strip("`"), row[2].strip("`")) for row in rows("api", "Errors")}
    made = {(each.status, each.code, each.type) for each in every_refusal()}
    assert shown == made


def test_the_table_of_the_log_has_every_field() -> None:
    shown = set().union(*(words(row[0]) for row in rows("operating", "Logs")))
    assert shown == set(_Line.__struct_fields__)


def test_the_table_of_metrics_has_every_one() -> None:
    shown = set().union(*(words(row[0]) for row in rows("operating", "Metrics")))
    kinds = {"counter": "_total", "gauge": "", "histogram": ""}
    metrics = Metrics()
    # Those of several gateways, too.
    metrics.replicas = lambda: (2, 50.0, 500_000)
    assert shown == {each.name + kinds[each.type] for each in metrics.collect()}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", "1"),
        ("presence_penalty", "0"),
        ("frequency_penalty", "0"),
        ("logit_bias", "{}"),
        ("response_format", '{"type": "text"}'),
        ("compression", '{"enabled": false}'),
    ],
)
def test_what_the_table_of_edits_removes_is_removed(field: str, value: str) -> None:
    shown = {name: row[1] for row in rows("api", "Edits of the body") for name in words(row[0])}
    assert value in shown[field]
    assert "is removed" in shown[field]
    taken = peek(
        b'{"model":"m","messages":[],"%b":%b}' % (field.encode(), value.encode()),
        needs_max_tokens=False,
    )
    assert not isinstance(taken, Refusal)
    edits = declared_edits(taken)
    assert not isinstance(edits, Refusal)
    assert edits.remove == (field,)


def test_the_table_of_decisions_is_what_is_decided() -> None:
    decided = {row[0]: row[1:3] for row in rows("routing", "Failover")}
    for shown, statuses in (
        ("400, 413, 422 and other 4xx", (400, 413, 418, 422)),
        ("401", (401,)),
        ("402, 403", (402, 403)),
        ("404, the model is unknown there", (404,)),
        ("409, 429", (409, 429)),
        ("408, 5xx, 529", (408, 500, 502, 503, 504, 529)),
    ):
        for status in statuses:
            outcome = outcome_of_status(status)
            moves = ["yes" if may(outcome) else "no" for may in (may_move, may_change_model)]
            assert moves == decided[shown], status


def test_the_reasons_of_fallback_are_named() -> None:
    text = page("routing")
    for reason in FallbackReason:
        assert (
            f"`{reason.value.removeprefix('primary_model')}`" in text or f"`{reason.value}`" in text
        )


def test_the_table_of_paths_has_paths_that_are_there() -> None:
    for row in rows("api", "Paths"):
        for shown in words(row[0]):
            method, _, path = shown.rpartition(" ")
            path = path.replace("{id}", "x").replace("...", "keys")
            for each in method.split(", ") if method else ["POST"]:
                assert not isinstance(resolve(each, path), Refusal), shown


def test_the_endpoints_of_the_admin_api_are_named() -> None:
    named = " ".join(cells[0] for cells in rows("keys", "Admin API"))
    paths = [path for path in document()["paths"] if path.startswith("/admin/v1/")]
    assert {path.split("/")[3] for path in paths} == set(
        re.findall(r"(?:/admin/v1)?/([a-z-]+)(?=[`/?])", named)
    ) - {"enable", "disable", "rotate", "import", "adopt-owners"}


def test_the_options_of_keys_are_named() -> None:
    shown = set().union(*(words(row[0]) for row in rows("keys", "Keys and limits")))
    assert shown | {"--name"} == set(OPTION_OF.values())


WHO_SEES = {
    "everybody": set(get_args(Role)),
    "all but members": set(get_args(Role)) - {"member"},
    "administrators, viewers": {"administrator", "viewer"},
    "administrators": {"administrator"},
}
CALLED = {"Audit trail": "audit", "Managed settings": "managed", "My usage": "me"}


def test_the_table_of_the_consoles_pages_has_each_with_the_roles_that_see_it() -> None:
    shown = {}
    for name, _, who in rows("console", "The pages"):
        plain = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", name)
        shown[CALLED.get(plain, plain.lower())] = WHO_SEES[who]
    assert shown == {page: set(seen_by) for page, seen_by in PAGES.items()}


def test_the_table_of_roles_has_each() -> None:
    told = {row[0].replace(" ", "_") for row in rows("console", "Roles")}
    assert told == set(get_args(Role))
