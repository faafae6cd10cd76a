"""What is kept of conversations that upstreams hold, on each database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apertis.gateway.store.records import ThreadMessage

if TYPE_CHECKING:
    from tests.kit.stores import Opened


def message(message_id: str = "msg_1", **fields: Any) -> ThreadMessage:
    made: dict[str, Any] = {
        "key_id": "key_a",
        "message_id": message_id,
        "upstream": "first",
        "tokens": 2**40,
        "searches": 3,
        "allowance": 4,
        "hour": True,
        "at": 1000,
    }
    return ThreadMessage(**{**made, **fields})


def test_a_message_is_found_by_its_key_and_id_alone(opened: Opened) -> None:
    threads = opened.store.threads
    mine, theirs = message(), message(key_id="key_b", tokens=5, hour=False)
    opened.run(threads.add([mine, theirs, message("msg_2")]))
    assert opened.run(threads.find("key_a", ["msg_1", "msg_9"])) == {"msg_1": mine}
    assert opened.run(threads.find("key_b", ["msg_1", "msg_2"])) == {"msg_1": theirs}
    assert opened.run(threads.find("key_c", ["msg_1"])) == {}
    assert opened.run(threads.find("key_a", [])) == {}


def test_the_newest_of_an_id_takes_the_place_of_the_one_before(opened: Opened) -> None:
    threads = opened.store.threads
    opened.run(threads.add([message(), message(tokens=6)]))
    assert opened.run(threads.find("key_a", ["msg_1"]))["msg_1"].tokens == 6
    opened.run(threads.add([message(tokens=7)]))
    opened.run(threads.add([]))
    assert opened.run(threads.find("key_a", ["msg_1"]))["msg_1"].tokens == 7


def test_many_are_kept_and_found_at_once(opened: Opened) -> None:
    threads = opened.store.threads
    ids = [f"msg_{n}" for n in range(2500)]
    opened.run(threads.add([message(id_) for id_ in ids]))
    assert opened.run(threads.find("key_a", ids)).keys() == set(ids)


def test_old_ones_go_and_of_the_others_the_newest_stay(opened: Opened) -> None:
    threads = opened.store.threads
    opened.run(threads.add([message(f"msg_{n}", at=n) for n in range(10)]))

    def left() -> set[str]:
        return set(opened.run(threads.find("key_a", [f"msg_{n}" for n in range(10)])))

    opened.run(threads.drop(before=2, keep=100))
    assert left() == {f"msg_{n}" for n in range(2, 10)}
    opened.run(threads.drop(before=0, keep=3))
    assert left() == {"msg_7", "msg_8", "msg_9"}
