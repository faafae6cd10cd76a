"""Prometheus metrics: counted in plain dicts while requests run, rendered when scraped.

The sets of labels are bounded: models that nobody configured or priced have names of their own
until there are a hundred of them, and count as `other` from then on; codes of upstreams likewise.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from operator import add
from typing import TYPE_CHECKING

from apertis.accounting.tokens import CLASSES, COUNTED, counts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client import Metric

    from apertis.gateway.request.context import Progress

_MAX_STRANGERS = 100
# So many times of an endpoint are kept as they are.
_MAX_NEW = 1000
_BOUNDS_SECONDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
)  # fmt: skip


class _Histogram:
    """Times by their size; `new` are those that are not sorted in: many at once cost far less."""

    __slots__ = ("counts", "new", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS_SECONDS) + 1)
        self.total = 0.0
        self.new: list[float] = []

    def sort_in(self) -> None:
        new, before = self.new, 0
        new.sort()
        for place, bound in enumerate(_BOUNDS_SECONDS):
            end = bisect_right(new, bound)
            self.counts[place] += end - before
            before = end
        self.counts[-1] += len(new) - before
        self.total += sum(new)
        new.clear()

    def buckets(self) -> list[tuple[str, float]]:
        rows: list[tuple[str, float]] = []
        so_far = 0
        for bound, number in zip((*_BOUNDS_SECONDS, None), self.counts, strict=True):
            so_far += number
            rows.append(("+Inf" if bound is None else str(bound), so_far))
        return rows


def _bounded(name: str, known: set[str]) -> str:
    """Return the name, or `other` when it is new and there are too many already."""
    if name not in known:
        if len(known) >= _MAX_STRANGERS:
            return "other"
        known.add(name)
    return name


class Metrics:
    """The gateway's counters."""

    def __init__(self) -> None:
        self.in_flight = 0
        # The states of breakers by upstream (0 closed, 1 half open, 2 open), and of the journal
        # (records, seconds): read when they are asked for.
        self.breakers: Callable[[], Mapping[str, int]] = dict
        self.journal_lag: Callable[[], tuple[int, float]] = lambda: (0, 0.0)
        # Records that are in memory only: the end of the process would lose them.
        self.journal_unwritten: Callable[[], int] = lambda: 0
        # Attempts to send alerts, by target and what became of them.
        self.alerts: Callable[[], Mapping[tuple[str, str], int]] = dict
        # Exports of telemetry, by what became of them.
        self.telemetry: Callable[[], Mapping[str, int]] = dict
        # Gateways of the store, seconds and units that are left without it; None of one alone.
        self.replicas: Callable[[], tuple[int, float, int] | None] = lambda: None
        # How many tasks the event loop has.
        self.tasks: Callable[[], int] = lambda: 0
        # Models that are always counted under their own names.
        self.known_models: frozenset[str] = frozenset()
        self._strange_models: set[str] = set()
        self._codes: set[str] = set()
        self._requests: defaultdict[tuple[str, str, str, int], int] = defaultdict(int)
        self._errors: defaultdict[tuple[str, str], int] = defaultdict(int)
        # What was used of each model, in the order of `counts_of`.
        self._counts: defaultdict[str, tuple[int, ...]] = defaultdict(lambda: (0,) * len(COUNTED))
        self._cost_units: defaultdict[str, int] = defaultdict(int)
        self._fallbacks: defaultdict[str, int] = defaultdict(int)
        self._cached = 0
        # By endpoint: the times until the end, until a request is sent on, until the first byte.
        self._times_of: defaultdict[str, tuple[_Histogram, _Histogram, _Histogram]] = defaultdict(
            lambda: (_Histogram(), _Histogram(), _Histogram())
        )

    def add(self, progress: Progress, finished: float) -> None:
        """Count a request that ended at `finished`, on the monotonic clock."""
        endpoint = progress.context.endpoint
        status, counts_use = progress.status, progress.kind is not None and not progress.cached
        model = progress.model
        if model and model not in self.known_models and (status < 400 or counts_use):
            model = _bounded(model, self._strange_models)
        told = model if status < 400 else ""
        self._requests[endpoint, told, progress.upstream, status] += 1
        if progress.code is not None:
            self._errors[endpoint, _bounded(progress.code, self._codes)] += 1
        if progress.fallback_reason is not None:
            self._fallbacks[progress.fallback_reason] += 1
        started, (whole, queue, first) = progress.context.started, self._times_of[endpoint]
        whole.new.append(finished - started)
        if progress.sent is not None:
            queue.new.append(progress.sent - started)
        if progress.first_byte is not None:
            first.new.append(progress.first_byte - started)
        if len(whole.new) >= _MAX_NEW:
            for histogram in (whole, queue, first):
                histogram.sort_in()
        if progress.cached:
            self._cached += 1
        elif counts_use:
            self._used(progress, model)

    def _used(self, progress: Progress, model: str) -> None:
        used = progress.used
        self._counts[model] = tuple(map(add, self._counts[model], counts_of(used.tokens)))
        if used.cost_units:
            self._cost_units[model] += used.cost_units

    def render(self) -> bytes:
        """Give the text that Prometheus scrapes."""
        # Imported when somebody scrapes: a gateway that nobody watches does without.
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """Lay the counters out; prometheus_client calls this."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        requests = CounterMetricFamily(
            "apertis_requests", "Requests answered.",
            labels=["endpoint", "model", "upstream", "status"],
        )  # fmt: skip
        for (endpoint, model, upstream, status), number in self._requests.items():
            requests.add_metric([endpoint, model, upstream, str(status)], number)
        yield requests
        used = {
            (model, name): number
            for model, counts in self._counts.items()
            for name, number in zip(COUNTED, counts, strict=True)
            if number
        }
        tokens = {
            (model, name): number for (model, name), number in used.items() if name in CLASSES
        }
        searches = {at[0]: number for at, number in used.items() if at[1] not in CLASSES}
        for name, text, labels, rows in (
            ("apertis_errors", "Errors by code.", ["endpoint", "code"], self._errors),
            ("apertis_tokens", "Tokens by class.", ["model", "class"], tokens),
            (
                "apertis_alert_attempts",
                "Attempts to send alerts, delivered or failed.",
                ["target", "outcome"],
                self.alerts(),
            ),
        ):
            family = CounterMetricFamily(name, text, labels=labels)
            for values, number in rows.items():
                family.add_metric(list(values), number)
            yield family
        for name, text, label, single in (
            ("apertis_cost_units", "Cost, 500,000 units to the dollar.", "model", self._cost_units),
            ("apertis_web_searches", "Web searches paid for.", "model", searches),
            ("apertis_fallbacks", "Requests that fell back.", "reason", self._fallbacks),
            (
                "apertis_telemetry_exports",
                "Requests with telemetry, by what became of them.",
                "outcome",
                self.telemetry(),
            ),
        ):
            family = CounterMetricFamily(name, text, labels=[label])
            for value, number in single.items():
                family.add_metric([value], number)
            yield family
        yield CounterMetricFamily(
            "apertis_cached_answers", "Responses from the response cache.", value=self._cached
        )
        yield GaugeMetricFamily("apertis_in_flight", "Requests under way.", value=self.in_flight)
        yield GaugeMetricFamily("apertis_tasks", "Tasks of the event loop.", value=self.tasks())
        breakers = GaugeMetricFamily(
            "apertis_breaker_state", "0 closed, 1 half open, 2 open.", labels=["upstream"]
        )
        for name, state in self.breakers().items():
            breakers.add_metric([name], state)
        yield breakers
        yield from self._replicas()
        yield from self._lag()
        yield from self._times()

    def _replicas(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        found = self.replicas()
        if found is None:
            return
        count, seconds, units = found
        yield GaugeMetricFamily("apertis_replicas", "Gateways of the store, with this one.", count)
        yield GaugeMetricFamily(
            "apertis_lease_seconds_left", "For how long leases last without the store.", seconds
        )
        yield GaugeMetricFamily(
            "apertis_lease_dollars_left", "What they can pay for until then.", units / 500_000
        )

    def _lag(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        records, seconds = self.journal_lag()
        yield GaugeMetricFamily(
            "apertis_journal_records", "Usage records not yet in the store.", value=records
        )
        yield GaugeMetricFamily(
            "apertis_journal_unwritten_records",
            "Usage records neither in the journal nor in the store, which the process's end loses.",
            value=self.journal_unwritten(),
        )
        yield GaugeMetricFamily(
            "apertis_journal_lag_seconds", "Age of the oldest of them.", value=seconds
        )

    def _times(self) -> Iterator[Metric]:
        from prometheus_client.core import HistogramMetricFamily

        for place, (name, text) in enumerate(
            (
                ("apertis_request_seconds", "From arrival to the end."),
                ("apertis_queue_seconds", "From arrival to being sent on."),
                ("apertis_first_byte_seconds", "From arrival to the first byte."),
            )
        ):
            family = HistogramMetricFamily(name, text, labels=["endpoint"])
            for endpoint, times in self._times_of.items():
                times[place].sort_in()
                if any(times[place].counts):
                    family.add_metric([endpoint], times[place].buckets(), times[place].total)
            yield family
