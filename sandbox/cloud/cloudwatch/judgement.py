"""What state datapoints put an alarm into.

By docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html and …/alarms-and-missing-data.html: the
newest `periods` datapoints that exist in a somewhat longer range decide; what lacks then is treated as the alarm says.
"""

from __future__ import annotations

import datetime as dt
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_OPERATORS: Final[Mapping[str, tuple[Callable[[float, float], bool], str]]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
OPERATORS: Final = tuple(_OPERATORS)
TREATMENTS: Final = ("breaching", "notBreaching", "ignore", "missing")
_LATENESS: Final = 120
"""Seconds before the evaluated periods that are looked at too, so that late datapoints do not go missing."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What an alarm asks of datapoints.

    Attributes:
        comparison: of a datapoint with the threshold, of `OPERATORS`.
        threshold: what breaching is measured by.
        periods: how many datapoints are judged (N).
        to_alarm: how many of them must breach (M).
        missing: what a missing one counts as, of `TREATMENTS`.
    """

    comparison: str
    threshold: float
    periods: int
    to_alarm: int
    missing: str

    def breaches(self, value: float) -> bool:
        """Tell whether a datapoint breaches the threshold."""
        return _OPERATORS[self.comparison][0](value, self.threshold)


@dataclass(frozen=True)
class Point:
    """A datapoint.

    Attributes:
        start: of its period, in the machine's time.
        value: None where it is missing.
    """

    start: float
    value: float | None


@dataclass(frozen=True)
class Verdict:
    """A state and why.

    Attributes:
        state: "OK", "ALARM" or "INSUFFICIENT_DATA".
        reason: as DescribeAlarms tells it.
        judged: the datapoints that decided, the newest first.
    """

    state: str
    reason: str
    judged: tuple[Point, ...]


def looked_at(periods: int, period: int) -> int:
    """Return over how many periods datapoints are looked for: more than are judged, where periods are short."""
    return periods + _LATENESS // period


def judge(terms: Terms, points: Sequence[Point]) -> Verdict | None:
    """Decide the state of an alarm.

    Args:
        terms: of the alarm.
        points: one for each period looked at, the oldest first.

    Returns:
        The verdict; None where the alarm stays as it is.
    """
    known = tuple(point for point in reversed(points) if point.value is not None)[: terms.periods]
    breaching = sum(_breaches(terms, point) for point in known)
    lacking = terms.periods - len(known)
    if terms.missing in ("breaching", "notBreaching"):
        filled = lacking if terms.missing == "breaching" else 0
        alarming = breaching + filled >= terms.to_alarm
        return _verdict(terms, known, lacking, "ALARM" if alarming else "OK")
    if not known:
        if terms.missing == "ignore":
            return None
        count = f"{terms.periods} datapoint{' was' if terms.periods == 1 else 's were'}"
        return Verdict("INSUFFICIENT_DATA", f"Insufficient Data: {count} unknown.", ())
    if breaching >= terms.to_alarm:
        return _verdict(terms, known, 0, "ALARM")
    if breaching < len(known):
        return _verdict(terms, known, 0, "OK")
    # All that there is breaches, and it is too little: it counts only once the oldest is as old as the alarm asks.
    age = next(at for at, point in enumerate(reversed(points), 1) if point == known[-1])
    if terms.missing == "missing" and age >= terms.to_alarm:
        return _verdict(terms, known, 0, "ALARM")
    return None


def _breaches(terms: Terms, point: Point) -> bool:
    return point.value is not None and terms.breaches(point.value)


def _verdict(terms: Terms, known: tuple[Point, ...], lacking: int, state: str) -> Verdict:
    alarming = state == "ALARM"
    telling = [point for point in known if _breaches(terms, point) == alarming]
    parts = []
    if telling:
        values = ", ".join(f"{point.value} ({_moment(point.start)})" for point in reversed(telling))
        relation = f"{'' if alarming else 'not '}{_OPERATORS[terms.comparison][1]} the threshold ({terms.threshold})"
        verb = "was" if len(telling) == 1 else "were"
        least = terms.to_alarm if alarming else terms.periods - terms.to_alarm + 1
        way = "OK -> ALARM" if alarming else "ALARM -> OK"
        parts.append(
            f"{len(telling)} out of the last {terms.periods} datapoints [{values}] {verb} {relation} "
            f"(minimum {least} datapoint{'s' if least > 1 else ''} for {way} transition)"
        )
    elif not known:
        parts.append(f"no datapoints were received for {terms.periods} period{'s' if terms.periods > 1 else ''}")
    if lacking:
        treated = "Breaching" if terms.missing == "breaching" else "NonBreaching"
        noun = "datapoint was" if lacking == 1 else "datapoints were"
        parts.append(f"{lacking} missing {noun} treated as [{treated}]")
    return Verdict(state, f"Threshold Crossed: {' and '.join(parts)}.", known)


def _moment(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%d/%m/%y %H:%M:%S")
