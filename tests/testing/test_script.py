"""The words of a script."""

from __future__ import annotations

import threading

from apertis.testing import AwaitDisconnect, Close, Exchange, Gate


def test_a_gate_holds_until_it_is_opened_and_stays_open() -> None:
    gate = Gate(30)
    passed: list[bool] = []
    server = threading.Thread(target=lambda: passed.append(gate.pass_through()))
    server.start()
    assert gate.reached.wait(30)
    assert passed == []
    gate.open()
    server.join(30)
    assert passed == [True]
    assert gate.pass_through()


def test_a_gate_that_nobody_opens_says_so() -> None:
    gate = Gate(timeout_seconds=0)
    assert not gate.pass_through()
    assert gate.reached.is_set()


def test_an_exchange_tells_what_was_to_be_played() -> None:
    assert repr(Exchange(b"x", AwaitDisconnect(1.0), read="head")) == (
        "Exchange(b'x', AwaitDisconnect(timeout_seconds=1.0), read='head')"
    )
    plain = Exchange(Close)
    assert (plain.steps, plain.read) == ((Close,), "request")
