"""MetricDataQueries, as GetMetricData and alarms take them: metrics, and expressions over them, by id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud.cloudwatch import expressions
from sandbox.cloud.cloudwatch.expressions import Evaluation, ExpressionError, Grid
from sandbox.cloud.cloudwatch.store import BASIC, PERCENTILE, Metric, Store, metric
from sandbox.cloud.cloudwatch.wire import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sandbox.cloud.cloudwatch.expressions import Series, Value

_ID: Final = re.compile(r"^[a-z]\w*$", re.ASCII)
_SHORT_PERIODS: Final = (1, 5, 10, 20, 30)
_DEFAULT_PERIOD: Final = 60


@dataclass(frozen=True)
class Statistic:
    """One metric's statistic.

    Attributes:
        metric: what was measured.
        name: e.g. "Sum", "p95".
        period: seconds.
        unit: of the values; all where None.
    """

    metric: Metric
    name: str
    period: int
    unit: str | None

    def series(self, store: Store, start: int, end: int) -> Series:
        """Return its values by the start of their period."""
        spread = self.name not in BASIC
        found = store.window(self.metric, start, end, self.period, self.unit, spread=spread)
        values = ((at, sample.statistic(self.name)) for at, sample in found.items())
        return {at: value for at, value in values if value is not None}


class Queries:
    """The queries of one request or alarm, checked."""

    def __init__(self, account: str, region: str, queries: Sequence[Mapping[str, Any]]) -> None:
        """Read them.

        Args:
            account: whose metrics are meant.
            region: whose metrics are meant.
            queries: as the API has them.

        Raises:
            ValidationError: AWS would refuse them, or the sandbox does not play what they ask for.
        """
        self.statistics: dict[str, Statistic] = {}
        self.expressions: dict[str, str] = {}
        self._periods: dict[str, int] = {}
        for query in queries:
            identifier = query["Id"]
            if not _ID.match(identifier):
                raise ValidationError(
                    f"The value '{identifier}' for parameter Id is invalid: it must begin with a "
                    "lower case letter, and hold letters, digits and underscores only"
                )
            if identifier in self.statistics or identifier in self.expressions:
                raise ValidationError(f"The id '{identifier}' is used more than once in the request.")
            if ("MetricStat" in query) == ("Expression" in query):
                raise ValidationError(
                    f"Exactly one of MetricStat and Expression must be given by the query '{identifier}'."
                )
            if query.get("AccountId", account) != account:
                raise ValidationError("the sandbox plays no metrics of other accounts: leave AccountId out")
            if "Expression" in query:
                self.expressions[identifier] = query["Expression"]
                self._periods[identifier] = query.get("Period", 0)
            else:
                self.statistics[identifier] = _statistic(account, region, query["MetricStat"])
        for identifier in self.expressions:
            self._try(identifier)

    def _try(self, identifier: str) -> None:
        """Compute an expression over one period of ones: what it cannot do, it can never do."""
        grid = self._grid(identifier, 0, 1)
        ones: dict[str, Series] = {name: dict.fromkeys(grid, 1.0) for name in self.statistics}
        try:
            Evaluation(grid, ones, self.expressions).value(identifier)
        except ExpressionError as error:
            raise ValidationError(f"Error in expression '{identifier}': {error}") from error

    def period(self, identifier: str) -> int:
        """Return the period of a query: of an expression, the longest of the metrics that it needs."""
        if identifier in self.statistics:
            return self.statistics[identifier].period
        needed = [self.statistics[name].period for name in self._needed(identifier, set()) if name in self.statistics]
        return max(needed, default=self._periods[identifier] or _DEFAULT_PERIOD)

    def value(self, store: Store, identifier: str, start: int, end: int) -> Value:
        """Compute a query over the periods that begin at `start`.

        Raises:
            ExpressionError: what the metrics hold does not fit the expression.
        """
        if identifier in self.statistics:
            return self.statistics[identifier].series(store, start, end)
        grid = self._grid(identifier, start, end)
        needed = set(self._needed(identifier, set()))
        series = {name: one.series(store, start, end) for name, one in self.statistics.items() if name in needed}
        return Evaluation(grid, series, self.expressions).value(identifier)

    def _grid(self, identifier: str, start: int, end: int) -> Grid:
        return Grid(start, end, self.period(identifier))

    def _needed(self, identifier: str, seen: set[str]) -> Iterator[str]:
        """Yield what an expression needs, itself included."""
        if identifier in seen:
            return
        seen.add(identifier)
        yield identifier
        if identifier in self.expressions:
            try:
                node = expressions.parse(self.expressions[identifier])
            except ExpressionError as error:
                raise ValidationError(f"Error in expression '{identifier}': {error}") from error
            for name in [*node.ids(), *(self.statistics if node.calls("METRICS") else ())]:
                yield from self._needed(name, seen)


def _statistic(account: str, region: str, given: Mapping[str, Any]) -> Statistic:
    of, name, period = given["Metric"], given["Stat"], given["Period"]
    for member in ("Namespace", "MetricName"):
        if member not in of:
            raise ValidationError(f"The parameter MetricStat.Metric.{member} is required.")
    check_statistic(name)
    check_period(period)
    measured = metric(account, region, of["Namespace"], of["MetricName"], dimensions(of.get("Dimensions", ())))
    return Statistic(measured, name, period, given.get("Unit"))


def dimensions(given: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return dimensions by name."""
    return {one["Name"]: one["Value"] for one in given}


def check_statistic(name: str) -> None:
    """Refuse a statistic that is none, or not played.

    Raises:
        ValidationError: naming those that are.
    """
    if name not in BASIC and not PERCENTILE.match(name):
        raise ValidationError(
            f"The value {name} for parameter Stat is invalid: the sandbox plays {', '.join(BASIC)} and p0 to p100"
        )


def check_period(period: int) -> None:
    """Refuse a period that CloudWatch has none of.

    Raises:
        ValidationError: naming those that it has.
    """
    if period not in _SHORT_PERIODS and (period <= 0 or period % 60):
        raise ValidationError("The value for parameter Period must be 1, 5, 10, 20, 30, or a multiple of 60.")
