"""One's own console sessions: seen, ended one by one, and all at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.kit.consoles import Office, sign_in, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.consoles import Visitor


@pytest.fixture(scope="module")
def office(open_office: Callable[..., Office]) -> Office:
    return open_office()


def sessions_of(visitor: Visitor) -> list[str]:
    return re.findall(
        r'name="session" value="([0-9a-f]{64})"', visitor.see("/account").body.decode()
    )


def test_each_session_is_listed_with_its_address_and_the_own_one_is_marked(office: Office) -> None:
    port, key = office.gateway.client.port, office.keys["Sam"].api_key
    one, _ = sign_in(port, key), sign_in(port, key)
    words = words_of(one.see("/account"))
    assert words.count("127.0.0.1 an API key member") == 2
    assert words.count("member this browser") == 1
    assert len(sessions_of(one)) == 1


def test_one_of_them_is_ended_and_the_others_go_on(office: Office) -> None:
    port, key = office.gateway.client.port, office.keys["Paul"].api_key
    one, other = sign_in(port, key), sign_in(port, key)
    (session,) = sessions_of(one)
    assert one.send("/account/end", {"session": session}).status == 303
    assert other.see("/account").status == 303
    assert one.see("/account").status == 200


def test_nobody_ends_the_session_of_somebody_else(office: Office) -> None:
    port = office.gateway.client.port
    sam, max_ = (sign_in(port, office.keys[name].api_key) for name in ("Sam", "Max"))
    (*_, session) = sessions_of(sign_in(port, office.keys["Max"].api_key))
    assert sam.send("/account/end", {"session": session}).status == 303
    assert max_.see("/account").status == 200


def test_signing_out_everywhere_ends_all_of_ones_own(office: Office) -> None:
    port, key = office.gateway.client.port, office.keys["Vera"].api_key
    one, other = sign_in(port, key), sign_in(port, key)
    assert one.send("/sign-out", {"everywhere": "1"}).headers["location"] == "/console/sign-in"
    assert one.see("/account").status == other.see("/account").status == 303
    assert office.administrator.see("/account").status == 200


@pytest.mark.parametrize("role", ["group_administrator", "viewer", "member"])
def test_only_administrators_sign_out_everybody(office: Office, role: str) -> None:
    port = office.gateway.client.port
    names = {"group_administrator": "Greta", "viewer": "Vera", "member": "Max"}
    visitor = sign_in(port, office.keys[names[role]].api_key)
    assert visitor.send("/account/end-everybodys").status == 403
    assert visitor.see("/account").status == 200
