"""What was measured: values by account, region, metric and moment, kept as long as alarms look back and no longer.

A standard metric is kept by the minute, one of high resolution by the second; after three hours (of the sandbox's
time) by the minute and by five minutes, and after 26 hours not at all: AWS keeps the same steps for 15 months.
"""

from __future__ import annotations

import math
import re
import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STANDARD: Final = 60
HIGH: Final = 1
_COARSE: Final = 300
_FINE_SECONDS: Final = 3 * 3600
_KEPT_SECONDS: Final = 26 * 3600
_ROLLED: Final = {HIGH: STANDARD, STANDARD: _COARSE}
_MOST_VALUES: Final = 200
"""Different values that one bucket keeps as they are; with more, percentiles are of values rounded by a fortieth."""
_BIN: Final = math.log(1.05)
_MOST_SERIES: Final = 10_000
_SWEEP_EVERY: Final = 600.0

BASIC: Final = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
PERCENTILE: Final = re.compile(r"^p(100(?:\.0{0,10})?|\d{1,2}(?:\.\d{0,10})?)$")


class Metric(NamedTuple):
    """What is measured, of what, where.

    Attributes:
        account: 12 digits.
        region: the region.
        namespace: e.g. "AWS/Lambda".
        name: e.g. "Errors".
        dimensions: names and values, by name.
    """

    account: str
    region: str
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


def metric(account: str, region: str, namespace: str, name: str, dimensions: Mapping[str, str]) -> Metric:
    """Return a metric, whatever the order of its dimensions."""
    return Metric(account, region, namespace, name, tuple(sorted(dimensions.items())))


class Sample:
    """The values of one moment, as statistics are computed from them."""

    __slots__ = ("count", "high", "low", "total", "values")

    def __init__(self) -> None:
        self.count = self.total = 0.0
        self.low, self.high = math.inf, -math.inf
        self.values: dict[float, float] | None = {}

    def add(self, value: float, count: float = 1.0) -> None:
        """Add a value that was seen so many times."""
        self._widen(count, value * count, value, value)
        if self.values is not None:
            self._keep(value, count)

    def add_set(self, count: float, total: float, low: float, high: float) -> None:
        """Add a statistic set: it tells its percentiles only where all its values are the same."""
        if low == high:
            self.add(low, count)
        else:
            self._widen(count, total, low, high)
            self.values = None

    def merge(self, other: Sample, *, spread: bool = True) -> None:
        """Add all that another one holds.

        Args:
            other: the other one.
            spread: whether percentiles are wanted of the sum.
        """
        self._widen(other.count, other.total, other.low, other.high)
        if not spread or other.values is None:
            self.values = None
        elif self.values is not None:
            for value, count in other.values.items():
                self._keep(value, count)

    def statistic(self, name: str) -> float | None:
        """Return a statistic; None for a percentile that cannot be told."""
        if name == "SampleCount":
            return self.count
        if name == "Sum":
            return self.total
        if name == "Minimum":
            return self.low
        if name == "Maximum":
            return self.high
        if name == "Average":
            return self.total / self.count
        return self._percentile(float(name[1:]))

    def _widen(self, count: float, total: float, low: float, high: float) -> None:
        self.count += count
        self.total += total
        self.low, self.high = min(self.low, low), max(self.high, high)

    def _keep(self, value: float, count: float) -> None:
        values = self.values
        if values is None or value < 0:  # AWS tells no percentiles where one value is negative
            self.values = None
            return
        if len(values) >= _MOST_VALUES and value not in values:
            values = self.values = _binned({**values, value: count})
        else:
            values[value] = values.get(value, 0.0) + count

    def _percentile(self, percent: float) -> float | None:
        """Return a percentile, interpolated between the two nearest ranks."""
        if not self.values:
            return None
        rank = percent / 100 * (sum(self.values.values()) - 1)
        ordered = sorted(self.values.items())
        seen, found = 0.0, ordered[-1][0]
        for at, (value, count) in enumerate(ordered):
            seen += count
            if rank <= seen - 1 or at == len(ordered) - 1:
                found = value
                break
            if rank < seen:
                found = value + (rank - (seen - 1)) * (ordered[at + 1][0] - value)
                break
        return min(max(found, self.low), self.high)

    def state(self) -> list[Any]:
        """Return it as JSON has it."""
        return [self.count, self.total, self.low, self.high, self.values and list(self.values.items())]

    @classmethod
    def of(cls, state: list[Any]) -> Sample:
        """Return what `state` told."""
        made = cls()
        made.count, made.total, made.low, made.high = state[:4]
        made.values = None if state[4] is None else dict(map(tuple, state[4]))
        return made


def _binned(values: Mapping[float, float]) -> dict[float, float]:
    """Round values so that the largest is at most a twentieth above the smallest that it is rounded with."""
    binned: dict[float, float] = defaultdict(float)
    for value, count in values.items():
        binned[math.exp(round(math.log(value) / _BIN) * _BIN) if value else 0.0] += count
    return dict(binned)


class Store:
    """All metrics of the sandbox; may be used from any thread."""

    def __init__(self) -> None:
        self._series: dict[Metric, dict[tuple[str, int], dict[int, Sample]]] = {}
        self._lock = threading.Lock()
        self._swept = 0.0

    def record(
        self, of: Metric, at: float, unit: str, value: float, count: float = 1.0, resolution: int = STANDARD
    ) -> None:
        """Add a value.

        Args:
            of: what was measured.
            at: when, in the sandbox's time.
            unit: of the value, e.g. "Count".
            value: the value.
            count: how often it was seen.
            resolution: seconds that values of the same metric are kept apart by, 60 or 1.
        """
        added = Sample()
        added.add(value, count)
        self.merge(of, at, unit, added, resolution)

    def merge(self, of: Metric, at: float, unit: str, sample: Sample, resolution: int = STANDARD) -> None:
        """Add what was measured as a whole; the arguments are those of `record`."""
        start = int(at // resolution) * resolution
        with self._lock:
            levels = self._series.get(of)
            if levels is None:
                if len(self._series) >= _MOST_SERIES:
                    self._series.pop(next(iter(self._series)))
                levels = self._series[of] = {}
            level = levels.setdefault((unit, resolution), {})
            known = level.get(start)
            if known is None:
                known = level[start] = Sample()
            known.merge(sample)

    def window(
        self, of: Metric, start: int, end: int, period: int, unit: str | None = None, *, spread: bool = True
    ) -> dict[int, Sample]:
        """Return what was measured in each period, by its start; a period without values is left out.

        Args:
            of: what was measured.
            start: of the first period, in the sandbox's time.
            end: of the last period.
            period: seconds.
            unit: of the values; all units where left out.
            spread: whether percentiles are wanted.
        """
        found: dict[int, Sample] = {}
        with self._lock:
            for (told, resolution), level in self._series.get(of, {}).items():
                if unit is not None and told != unit:
                    continue
                for at in _between(level, start, end, resolution):
                    known = found.setdefault(start + (at - start) // period * period, Sample())
                    known.merge(level[at], spread=spread)
        return found

    def units(self, of: Metric) -> list[str]:
        """Return the units in which a metric was measured."""
        with self._lock:
            return sorted({unit for unit, _ in self._series.get(of, {})})

    def metrics(self, account: str, region: str) -> list[Metric]:
        """Return all that was measured in an account and region."""
        with self._lock:
            return sorted(one for one in self._series if one[:2] == (account, region))

    def last(self, of: Metric) -> float:
        """Return the start of the newest bucket of a metric, in the sandbox's time; 0 where there is none."""
        with self._lock:
            return max((max(level, default=0) for level in self._series.get(of, {}).values()), default=0)

    def sweep(self, now: float) -> None:
        """Roll up what is old and drop what is older, every ten minutes of the sandbox's time."""
        if now - self._swept < _SWEEP_EVERY:
            return
        self._swept = now
        with self._lock:
            for of, levels in list(self._series.items()):
                for (unit, resolution), level in list(levels.items()):
                    coarser = _ROLLED.get(resolution)
                    for start in [one for one in level if one < now - (_FINE_SECONDS if coarser else _KEPT_SECONDS)]:
                        rolled = level.pop(start)
                        if coarser:
                            into = levels.setdefault((unit, coarser), {})
                            into.setdefault(start // coarser * coarser, Sample()).merge(rolled)
                    if not level:
                        del levels[unit, resolution]
                if not levels:
                    del self._series[of]

    def state(self) -> list[Any]:
        """Return all of it as JSON has it."""
        with self._lock:
            return [
                [*of, [[*key, [[at, one.state()] for at, one in level.items()]] for key, level in levels.items()]]
                for of, levels in self._series.items()
            ]

    def resume(self, state: list[Any]) -> None:
        """Replace all of it by what `state` told."""
        with self._lock:
            self._series = {
                Metric(account, region, namespace, name, tuple((key, value) for key, value in dimensions)): {
                    (unit, resolution): {at: Sample.of(one) for at, one in level} for unit, resolution, level in levels
                }
                for account, region, namespace, name, dimensions, levels in state
            }


def _between(level: Mapping[int, Sample], start: int, end: int, resolution: int) -> Iterator[int]:
    """Yield the buckets of a time, without looking at all of them where it is short."""
    if (end - start) // resolution < len(level):
        first = -(-start // resolution) * resolution
        yield from (at for at in range(first, end, resolution) if at in level)
    else:
        yield from (at for at in level if start <= at < end)
