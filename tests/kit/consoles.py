"""The console over HTTP, without a browser: somebody signed in, and what they see and send."""

from __future__ import annotations

import asyncio
import contextlib
import html
import json
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from apertis.gateway.signin.console_sessions import ConsoleSessions, SignedIn
from apertis.gateway.signin.signing import Signing
from tests.kit.gateways import running_gateway
from tests.kit.http import Client, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.kit.gateways import RunningGateway

_FORM = {"content-type": "application/x-www-form-urlencoded"}
_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')
_VERSION = re.compile(r'name="version" value="([0-9]+)"')
_LISTS = {"key": "keys", "person": "people", "group": "groups"}
_TAG = re.compile(r"<[^>]*>")


@dataclass
class Visitor:
    """Somebody who is signed in with a key."""

    client: Client
    cookie: str = field(repr=False)
    token: str = field(default="", repr=False)

    def see(self, path: str, **headers: str) -> Response:
        """Get a page of the console; `path` is what comes behind `/console`."""
        return self.client.call(
            "GET", f"/console{path}", headers={"cookie": self.cookie, **headers}
        )

    def send(self, path: str, fields: dict[str, Any] | None = None, **headers: str) -> Response:
        """Send a form, with the token of this session."""
        sent = {"form_token": self.form_token(), **(fields or {})}
        body = urlencode(sent, doseq=True).encode()
        headers = {"cookie": self.cookie, **_FORM, **headers}
        return self.client.call("POST", f"/console{path}", body, headers)

    def form_token(self) -> str:
        """The token of this session's forms, from the form of signing out that all pages have."""
        if not self.token:
            found = _TOKEN.search(self.see("/overview").body.decode())
            assert found is not None
            self.token = found[1]
        return self.token


def sign_in(at: int | Client, secret: str) -> Visitor:
    """Sign in with the secret of a key, at a port or as a client goes."""
    client = Client(at) if isinstance(at, int) else at
    body = urlencode({"key": secret, "to": "/console/"}).encode()
    response = client.call("POST", "/console/sign-in", body, _FORM)
    assert response.status == 303, response.body
    return Visitor(client, response.headers["set-cookie"].partition(";")[0])


def cookie_of_person(gateway: RunningGateway, person_id: str) -> str:
    """Sign a person in as an identity provider does, without any key; the cookie."""
    running = gateway.gateway
    sessions = ConsoleSessions(
        running.store.console_sessions,
        Signing(running.store.secrets, time.time),
        running.directory,
        lambda: running.budgets.organization,
        time.time,
    )
    person = running.budgets.organization.people[person_id]
    begun = sessions.begin(way="oidc", person=person, key=None, address="127.0.0.1", seconds=600)
    # The loop that the gateway's store belongs to.
    loop = running._loop  # pyright: ignore[reportPrivateUsage] - nobody else needs it.
    session = asyncio.run_coroutine_threadsafe(begun, loop).result(20)
    assert isinstance(session, SignedIn)
    return f"apertis={session.cookie}"


def words_of(page: Response) -> str:
    """The text of a page, with single spaces."""
    return " ".join(html.unescape(_TAG.sub(" ", page.body.decode())).split())


@dataclass
class Office:
    """A gateway with groups, and somebody of each role.

    `Engineering` has a group administrator, a member and the group `Platform`, which has a member;
    `Sales` is another group, with a member.
    """

    gateway: RunningGateway
    ids: dict[str, str]
    keys: dict[str, Client]
    administrator: Visitor
    group_administrator: Visitor
    viewer: Visitor
    member: Visitor

    @property
    def visitors(self) -> dict[str, Visitor]:
        """One of each role, by the role."""
        roles = ("administrator", "group_administrator", "viewer", "member")
        return {role: getattr(self, role) for role in roles}

    def make(self, kind: str, /, **fields: Any) -> str:
        """Make a group, person, key or limit over the admin API; the id."""
        return make(self.gateway, kind, **fields)


def stored(office: Office, id_: str) -> dict[str, Any]:
    """A key, a person or a group as the admin API shows it."""
    place = f"/admin/v1/{_LISTS[id_.partition('_')[0]]}/{id_}"
    found: dict[str, Any] = office.gateway.client.call("GET", place).json
    return found


def version_in(visitor: Visitor, id_: str) -> str:
    """The version that the page of a key, a person or a group sends along."""
    page = visitor.see(f"/{_LISTS[id_.partition('_')[0]]}/{id_}")
    found = _VERSION.search(page.body.decode())
    assert found is not None
    return found[1]


def make(running: RunningGateway, kind: str, /, **fields: Any) -> str:
    """Make something over the admin API: `kind` is the end of its path; the id."""
    response = running.client.call("POST", f"/admin/v1/{kind}", json.dumps(fields).encode())
    assert response.status == 200, response.body
    made: str = response.json["id"]
    return made


def furnish(gateway: RunningGateway) -> Office:
    """Put the groups and people of an office into a gateway, and sign them in."""
    ids: dict[str, str] = {}
    keys: dict[str, Client] = {}
    for name, parent in (("Engineering", None), ("Platform", "Engineering"), ("Sales", None)):
        ids[name] = make(gateway, "groups", name=name, parent=parent)
    for name, role, group in (
        ("Greta", "group_administrator", "Engineering"),
        ("Vera", "viewer", None),
        ("Max", "member", "Engineering"),
        ("Paul", "member", "Platform"),
        ("Sam", "member", "Sales"),
    ):
        ids[name] = make(gateway, "people", name=name, role=role, group=group)
        ids[f"{name}'s key"], keys[name] = gateway.make_key(name=f"{name}'s key", person=name)
    port = gateway.client.port
    return Office(
        gateway,
        ids,
        keys,
        sign_in(port, gateway.admin_key),
        sign_in(port, keys["Greta"].api_key),
        sign_in(port, keys["Vera"].api_key),
        sign_in(port, keys["Max"].api_key),
    )


@pytest.fixture(scope="module")
def open_office(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Office]]:
    """Opens offices, each with a gateway of its own, until the module's tests are over."""
    with contextlib.ExitStack() as stack:

        def start(config: str = "", **environment: str) -> Office:
            folder: Path = tmp_path_factory.mktemp("office")
            return furnish(stack.enter_context(running_gateway(folder, config, environment)))

        yield start
