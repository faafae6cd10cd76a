"""What is kept, for how long, and what makes room."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from apertis.gateway.cache import Entry, ResponseCache
from apertis.gateway.config import CacheSettings


def cache(max_bytes: int = 10_000, ttl: float = 60.0, entry: int = 5000) -> ResponseCache:
    return ResponseCache(CacheSettings(max_bytes, ttl, entry))


def entry(size: int = 100, at: float = 0.0) -> Entry:
    return Entry(b"x" * size, False, at)


def test_an_entry_is_found_until_its_time_is_over() -> None:
    kept = cache()
    assert kept.put(b"a", "key_1", entry())
    assert kept.get(b"a", 59.9) == entry()
    assert kept.get(b"b", 0.0) is None
    assert kept.get(b"a", 60.0) is None
    assert (len(kept), kept.size_bytes) == (0, 0)


def test_what_is_old_is_forgotten_also_when_nobody_asks_for_it() -> None:
    kept = cache()
    kept.put(b"a", "key_1", entry(at=0.0))
    kept.put(b"b", "key_1", entry(at=30.0))
    kept.sweep(70.0)
    assert (len(kept), kept.get(b"b", 70.0)) == (1, entry(at=30.0))


def test_use_does_not_make_an_entry_younger() -> None:
    kept = cache()
    kept.put(b"a", "key_1", entry())
    for now in range(0, 60, 10):
        assert kept.get(b"a", float(now)) is not None
    assert kept.get(b"a", 60.0) is None


def test_the_least_recently_used_makes_room() -> None:
    kept = cache(max_bytes=3 * (100 + 512))
    for name in (b"a", b"b", b"c"):
        kept.put(name, "key_1", entry())
    kept.get(b"a", 1.0)
    kept.put(b"d", "key_1", entry())
    assert [kept.get(name, 2.0) is not None for name in (b"a", b"b", b"c", b"d")] == [
        True,
        False,
        True,
        True,
    ]


def test_a_newer_answer_takes_the_place_of_an_older_one() -> None:
    kept = cache()
    kept.put(b"a", "key_1", entry(100, 0.0))
    kept.put(b"a", "key_1", entry(200, 30.0))
    assert kept.get(b"a", 80.0) == entry(200, 30.0)
    assert (len(kept), kept.size_bytes) == (1, 712)


def test_what_is_too_large_is_not_kept_and_drives_nothing_out() -> None:
    kept = cache(max_bytes=4000, entry=5000)
    kept.put(b"a", "key_1", entry())
    assert not kept.put(b"b", "key_1", entry(3999))
    assert not cache(entry=50).put(b"b", "key_1", entry(51))
    assert kept.get(b"a", 0.0) is not None


def test_a_cache_without_room_is_off() -> None:
    off = cache(max_bytes=0)
    assert not off.enabled
    assert not off.put(b"a", "key_1", entry(0))
    assert cache().enabled


def test_a_purge_forgets_the_answers_to_one_key() -> None:
    kept = cache()
    for name, key_id in [(b"a", "key_1"), (b"b", "key_2"), (b"c", "key_1")]:
        kept.put(name, key_id, entry())
    assert kept.purge("key_1") == 2
    assert kept.purge("key_1") == 0
    assert [kept.get(name, 0.0) is not None for name in (b"a", b"b", b"c")] == [False, True, False]
    kept.clear()
    assert (len(kept), kept.size_bytes) == (0, 0)


def test_a_recording_keeps_to_the_largest_entry() -> None:
    recording = cache(entry=3).recording(streamed=False)
    recording.add(b"1234")
    assert recording.finish(0.0) is None


def test_its_repr_shows_sizes_alone() -> None:
    kept = cache()
    kept.put(b"a", "key_1", entry(100))
    assert repr(kept) == "ResponseCache(1 entries, 612 bytes)"


actions = st.tuples(
    st.sampled_from(["put", "get", "purge", "sweep"]),
    st.integers(0, 6),
    st.integers(0, 1500),
    st.floats(0, 20),
)


@settings(max_examples=150)
@given(st.lists(actions, max_size=40))
def test_the_books_are_always_right(steps: list[tuple[str, int, int, float]]) -> None:
    kept, now, put = cache(max_bytes=4000, entry=1000), 0.0, dict[bytes, Entry]()
    for action, number, size, seconds in steps:
        now += seconds
        name, owner = b"%d" % number, f"key_{number % 2}"
        if action == "put":
            put.pop(name, None)
            if kept.put(name, owner, entry(size, now)):
                put[name] = entry(size, now)
        elif action == "get":
            found = kept.get(name, now)
            assert found is None or (found == put[name] and now - found.stored_at < 60.0)
        elif action == "purge":
            kept.purge(owner)
            put = {n: e for n, e in put.items() if int(n) % 2 != number % 2}
        else:
            kept.sweep(now)
    present = [found for name in put if (found := kept.get(name, now))]
    assert len(kept) == len(present)
    assert kept.size_bytes == sum(len(found.body) + 512 for found in present) <= 4000
