from __future__ import annotations

import re

from apertis.gateway.keys.secret import hash_secret, hint_of, new_key_id, new_secret


def test_a_key_has_the_documented_form() -> None:
    assert re.fullmatch(r"sk-[A-Za-z0-9]{48}", new_secret())


def test_no_two_keys_are_equal() -> None:
    assert len({new_secret() for _ in range(200)}) == 200


def test_a_hash_is_sha_256_in_hex() -> None:
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_secret("abc") == known


def test_a_hint_shows_only_the_end() -> None:
    secret = new_secret()
    assert hint_of(secret) == f"sk-...{secret[-4:]}"


def test_an_id_has_the_documented_form() -> None:
    assert re.fullmatch(r"key_[A-Za-z0-9]{20}", new_key_id())
    assert len({new_key_id() for _ in range(200)}) == 200
