"""Metrics of several workers as one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apertis.gateway.observe.metrics import Metrics
from apertis.gateway.replicas.totals import (
    Family,
    counters,
    families_of,
    gauge,
    render,
    total,
)

LABELS = st.dictionaries(st.sampled_from(["model", "status"]), st.sampled_from("ab"))


def counter(*samples: tuple[dict[str, str], float]) -> Family:
    return Family("c", "counter", "C.", tuple(("c_total", *sample) for sample in samples))


def test_what_counts_is_added_up_by_its_labels() -> None:
    one = counter(({"model": "a"}, 1), ({"model": "b"}, 10))
    other = counter(({"model": "b"}, 5), ({"model": "c"}, 7))
    (family,) = total([(0, [one]), (1, [other])])
    assert family == counter(({"model": "a"}, 1), ({"model": "b"}, 15), ({"model": "c"}, 7))


def test_what_is_measured_is_told_apart_but_where_the_sum_says_more() -> None:
    parts = [
        (
            slot,
            [
                gauge("apertis_journal_lag_seconds", "L.", 2 + slot),
                gauge("apertis_in_flight", "F.", 3),
            ],
        )
        for slot in range(2)
    ]
    lag, in_flight = total(parts)
    name = "apertis_journal_lag_seconds"
    assert lag.samples == ((name, {"worker": "0"}, 2), (name, {"worker": "1"}, 3))
    assert in_flight.samples == (("apertis_in_flight", {}, 6),)


def test_of_a_worker_that_is_gone_only_what_it_counted_stays() -> None:
    counted = counter(({}, 3))
    assert counters([counted, gauge("apertis_in_flight", "F.", 3)]) == (counted,)


def test_what_is_read_is_rendered_as_it_was() -> None:
    metrics = Metrics()
    assert render(families_of(metrics)) == metrics.render()
    assert b"# TYPE apertis_in_flight gauge\napertis_in_flight 0.0\n" in metrics.render()


@given(
    st.lists(
        st.lists(st.tuples(LABELS, st.integers(0, 2**53)), max_size=5).map(
            lambda rows: counter(*rows)
        ),
        max_size=6,
    )
)
def test_nothing_is_lost_in_whatever_order_workers_are_added(families: list[Family]) -> None:
    def values(found: tuple[Family, ...]) -> dict[tuple[tuple[str, str], ...], float]:
        return {
            tuple(sorted(labels.items())): value
            for family in found
            for _, labels, value in family.samples
        }

    at_once = total([(slot, [family]) for slot, family in enumerate(families)])
    one_by_one: tuple[Family, ...] = ()
    for family in reversed(families):
        one_by_one = total([(0, one_by_one), (0, [family])])
    assert values(at_once) == values(one_by_one)
    given_in_all = sum(value for family in families for _, _, value in family.samples)
    assert sum(values(at_once).values()) == given_in_all
