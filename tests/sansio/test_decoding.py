"""Content codings undone: right for every cut, bounded for every input."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertis.sansio.decoding import Decoder, codings

MEGABYTE = 2**20


def bare_deflate(data: bytes) -> bytes:
    squeezer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeezer.compress(data) + squeezer.flush()


def zstd(data: bytes) -> bytes:
    compress: bytes = pytest.importorskip(
        "compression.zstd", reason="zstd comes with Python 3.14"
    ).compress(data)
    return compress


FORMS = [
    pytest.param("gzip", gzip.compress, id="gzip"),
    pytest.param("x-gzip", gzip.compress, id="x-gzip"),
    pytest.param("deflate", zlib.compress, id="deflate"),
    pytest.param("deflate", bare_deflate, id="bare deflate"),
    pytest.param("zstd", zstd, id="zstd"),
]


@pytest.mark.parametrize(("coding", "compress"), FORMS)
def test_a_body_comes_back_whatever_its_coding(coding: str, compress: object) -> None:
    assert callable(compress)
    squeezed = compress(b"hello " * 50_000)
    decoder = Decoder(coding)
    assert decoder.feed(squeezed) == b"hello " * 50_000
    assert decoder.whole


@given(
    st.binary(max_size=300),
    st.lists(st.integers(1, 40), max_size=20),
    st.sampled_from([gzip.compress, zlib.compress, bare_deflate]),
)
def test_every_cut_gives_the_same(data: bytes, cuts: list[int], compress: object) -> None:
    assert callable(compress)
    squeezed: bytes = compress(data)
    decoder, at, found = Decoder("gzip"), 0, b""
    for size in cuts:
        found += decoder.feed(squeezed[at : at + size])
        at += size
    found += decoder.feed(squeezed[at:])
    assert (found, decoder.whole, decoder.problem) == (data, True, None)


@given(st.binary(max_size=200), st.sampled_from(codings()))
def test_no_input_makes_it_raise(data: bytes, coding: str) -> None:
    decoder = Decoder(coding, max_bytes=1000)
    assert len(decoder.feed(data)) <= 1000


def test_several_members_are_one_body() -> None:
    decoder = Decoder("gzip")
    body = gzip.compress(b"one ") + gzip.compress(b"two")
    assert decoder.feed(body) == b"one two"
    assert decoder.whole


def test_a_body_that_ends_early_is_not_whole() -> None:
    decoder = Decoder("gzip")
    decoder.feed(gzip.compress(b"hello")[:-1])
    assert not decoder.whole
    assert decoder.problem is None


def test_a_body_of_no_bytes_is_empty_and_of_one_is_none() -> None:
    decoder = Decoder("gzip")
    assert decoder.whole
    decoder.feed(b"\x1f")
    assert not decoder.whole


@pytest.mark.parametrize("behind", [b"x", b"\0\0\0\0", zlib.compress(b"more")])
def test_what_follows_the_end_is_damage(behind: bytes) -> None:
    decoder = Decoder("gzip")
    decoder.feed(gzip.compress(b"hello") + behind + bytes(20))
    assert decoder.problem == "damaged"


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_the_largest_size_is_exact(size: int, limit: int) -> None:
    decoder = Decoder("gzip", max_bytes=limit)
    found = decoder.feed(gzip.compress(bytes(size)))
    assert (decoder.problem, decoder.whole) == ((None, True) if size <= limit else ("too large", 0))
    assert len(found) <= limit


def test_a_ratio_is_asked_for_beyond_the_first_megabyte() -> None:
    small = Decoder("gzip", max_ratio=100)
    small.feed(gzip.compress(bytes(MEGABYTE)))
    assert small.whole
    large = Decoder("gzip", max_ratio=100)
    found = large.feed(gzip.compress(bytes(4 * MEGABYTE)))
    assert large.problem == "too large"
    assert len(found) <= MEGABYTE
    honest = Decoder("gzip", max_ratio=100)
    text = b"".join(b"line %d of an honest text\n" % number for number in range(100_000))
    assert honest.feed(gzip.compress(text)) == text


def test_a_bomb_takes_no_more_memory_than_its_bound() -> None:
    bomb = gzip.compress(bytes(200 * MEGABYTE))
    tracemalloc.start()
    try:
        decoder = Decoder("gzip", max_bytes=2 * MEGABYTE)
        decoder.feed(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert decoder.problem == "too large"
    assert peak < 8 * MEGABYTE


def test_millions_of_empty_members_are_not_walked_through() -> None:
    body = gzip.compress(b"") * 1_000_000
    decoder = Decoder("gzip")
    began = time.process_time()
    decoder.feed(body)
    assert decoder.problem == "damaged"
    # A walk through all of them takes minutes: what is left is copied for each.
    assert time.process_time() - began < 2.0


def test_an_unknown_coding_is_refused() -> None:
    with pytest.raises(ValueError, match="'br' is none of gzip, x-gzip, deflate"):
        Decoder("br")
