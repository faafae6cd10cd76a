"""Metrics of several workers as one: what counts is added up, what is measured is told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from prometheus_client import Metric
    from prometheus_client.registry import Collector

# Gauges whose sum says more than their parts; all others get a label `worker`.
_ADDED: Final = frozenset(
    {
        "apertis_in_flight",
        "apertis_tasks",
        "apertis_journal_records",
        "apertis_journal_unwritten_records",
        "apertis_lease_dollars_left",
    }
)
_GAUGE = "gauge"

Sample = tuple[str, dict[str, str], int | float]


class Family(msgspec.Struct, frozen=True, array_like=True):
    """A metric with its samples: name, labels and value of each."""

    name: str
    kind: str
    text: str
    samples: tuple[Sample, ...]


def families_of(collector: Collector) -> tuple[Family, ...]:
    """Read the metrics of this process."""
    return tuple(
        Family(
            metric.name,
            metric.type,
            metric.documentation,
            tuple((sample.name, dict(sample.labels), sample.value) for sample in metric.samples),
        )
        for metric in collector.collect()
    )


def counters(families: Iterable[Family]) -> tuple[Family, ...]:
    """Return what stays true of a process that is gone."""
    return tuple(family for family in families if family.kind != _GAUGE)


def total(parts: Iterable[tuple[int, Sequence[Family]]]) -> tuple[Family, ...]:
    """Add up the metrics of workers by their numbers."""
    heads: dict[str, Family] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], int | float]] = {}
    for slot, families in parts:
        for family in families:
            heads.setdefault(family.name, family)
            sums = values.setdefault(family.name, {})
            own = family.kind == _GAUGE and family.name not in _ADDED
            for name, labels, value in family.samples:
                if own:
                    labels = {**labels, "worker": str(slot)}  # noqa: PLW2901
                at = name, tuple(sorted(labels.items()))
                sums[at] = sums.get(at, 0) + value
    return tuple(
        msgspec.structs.replace(
            head,
            samples=tuple(
                (name, dict(labels), value) for (name, labels), value in values[head.name].items()
            ),
        )
        for head in heads.values()
    )


def gauge(name: str, text: str, value: float) -> Family:
    """Make a gauge of one sample."""
    return Family(name, _GAUGE, text, ((name, {}, value),))


class _Given:
    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        from prometheus_client import Metric

        for family in self._families:
            metric = Metric(family.name, family.text, family.kind)
            for name, labels, value in family.samples:
                metric.add_sample(name, labels, value)
            yield metric


def render(families: Sequence[Family]) -> bytes:
    """Give the text that Prometheus scrapes."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Given(families))
    return generate_latest(registry)
