"""Metric math (docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html).

A value is a number, a time series, or an array of time series. Operators join two series where both have a point; a
number meets every point of a series. What has no value (a division by zero, say) is a missing point, not an error.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Series = dict[int, float]
"""Values by the start of their period, seconds since the epoch; what is missing is left out."""
Array = list[Series]
Value = float | Series | Array

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[A-Za-z_]\w*)|(?P<text>\"[^\"]*\"|'[^']*')"
    r"|(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/^<>(),\[\]]))"
)
_LEVELS: Final = (("OR", "||"), ("AND", "&&"), ("==", "!=", "<", ">", "<=", ">="), ("+", "-"), ("*", "/"))
_WORDS: Final = ("AND", "OR", "REPEAT", "LINEAR")
_DEEPEST: Final = 60
_NOT_PLAYED: Final = frozenset(
    {
        "ANOMALY_DETECTION_BAND",
        "DATE",
        "DAY",
        "DB_PERF_INSIGHTS",
        "EPOCH",
        "HOUR",
        "INSIGHT_RULE_METRIC",
        "LAMBDA",
        "MINUTE",
        "MONTH",
        "REMOVE_EMPTY",
        "SEARCH",
        "SERVICE_QUOTA",
        "SLICE",
        "SORT",
        "YEAR",
    }
)


class ExpressionError(ValueError):
    """An expression that AWS refuses, or whose function is not played; the message says what."""


@dataclass(frozen=True)
class Grid:
    """The periods that an expression is computed over.

    Attributes:
        start: of the first, seconds since the epoch.
        end: of the last.
        period: seconds.
    """

    start: int
    end: int
    period: int

    def __iter__(self) -> Iterator[int]:
        """Yield the starts of the periods."""
        return iter(range(self.start, self.end, self.period))


@dataclass(frozen=True)
class Node:
    """A part of an expression.

    Attributes:
        kind: "number", "text", "id", "word", "array", "call", "negative", or an operator.
        value: a number, a name.
        parts: its operands or arguments.
    """

    kind: str
    value: Any = None
    parts: tuple[Node, ...] = ()

    def ids(self) -> Iterator[str]:
        """Yield the ids that it names."""
        if self.kind == "id":
            yield self.value
        for part in self.parts:
            yield from part.ids()

    def calls(self, name: str) -> bool:
        """Tell whether a function is called in it."""
        return (self.kind == "call" and self.value == name) or any(part.calls(name) for part in self.parts)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        self._depth = 0
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                raise ExpressionError(f"unexpected '{text[at:].strip()[0]}' in expression '{text}'")
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            at = found.end()
        self._tokens.append(("end", ""))
        self._at = 0

    def parse(self) -> Node:
        node = self._binary(0)
        if self._tokens[self._at][0] != "end":
            raise self._unexpected()
        return node

    def _unexpected(self) -> ExpressionError:
        kind, text = self._tokens[self._at]
        return ExpressionError(f"unexpected {repr(text) if kind != 'end' else 'end'} in expression '{self._text}'")

    def _take(self, *texts: str) -> str | None:
        kind, text = self._tokens[self._at]
        if kind in ("sign", "name") and text in texts:
            self._at += 1
            return text
        return None

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._unexpected()

    def _binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._unary()
        node = self._binary(level + 1)
        while operator := self._take(*_LEVELS[level]):
            operator = {"&&": "AND", "||": "OR"}.get(operator, operator)
            node = Node(operator, None, (node, self._binary(level + 1)))
        return node

    def _unary(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpressionError(f"expression '{self._text}' is nested too deeply")
        try:
            if self._take("-"):
                return Node("negative", None, (self._unary(),))
            node = self._operand()
            if self._take("^"):
                node = Node("^", None, (node, self._unary()))
            return node
        finally:
            self._depth -= 1

    def _operand(self) -> Node:
        kind, text = self._tokens[self._at]
        if self._take("("):
            node = self._binary(0)
            self._expect(")")
            return node
        if self._take("["):
            return Node("array", None, self._list("]"))
        if kind == "number":
            self._at += 1
            return Node("number", float(text))
        if kind == "text":
            self._at += 1
            return Node("text", text[1:-1])
        if kind == "name" and text not in ("AND", "OR"):
            self._at += 1
            if self._take("("):
                return self._call(text, self._list(")"))
            return Node("word" if text in _WORDS else "id", text)
        raise self._unexpected()

    def _list(self, closing: str) -> tuple[Node, ...]:
        if self._take(closing):
            return ()
        parts = [self._binary(0)]
        while self._take(","):
            parts.append(self._binary(0))
        self._expect(closing)
        return tuple(parts)

    def _call(self, name: str, parts: tuple[Node, ...]) -> Node:
        if name in _NOT_PLAYED:
            raise ExpressionError(f"the sandbox does not play the function {name}")
        if name not in _FUNCTIONS:
            raise ExpressionError(f"unknown function '{name}' in expression '{self._text}'")
        least, most = _FUNCTIONS[name][1:]
        if not least <= len(parts) <= most:
            raise ExpressionError(f"wrong number of arguments of {name} in expression '{self._text}'")
        return Node("call", name, parts)


@functools.lru_cache(maxsize=1024)
def parse(text: str) -> Node:
    """Read an expression.

    Raises:
        ExpressionError: it is none.
    """
    return _Parser(text).parse()


class Evaluation:
    """One computation: the metrics and expressions that name one another, over a grid."""

    def __init__(self, grid: Grid, metrics: Mapping[str, Series], expressions: Mapping[str, str]) -> None:
        """Describe it; nothing is computed.

        Args:
            grid: the periods.
            metrics: by id, in the order in which METRICS() gives them.
            expressions: by id.
        """
        self._grid = grid
        self._metrics = metrics
        self._expressions = expressions
        self._known: dict[str, Value] = {}
        self._open: set[str] = set()

    def value(self, identifier: str) -> Value:
        """Return what a metric or an expression is.

        Raises:
            ExpressionError: nothing has that id, it needs itself, or is no expression.
        """
        if identifier in self._metrics:
            return self._metrics[identifier]
        if identifier not in self._known:
            if identifier not in self._expressions:
                raise ExpressionError(f"undefined variable '{identifier}'")
            if identifier in self._open:
                raise ExpressionError(f"expression '{identifier}' refers to itself")
            self._open.add(identifier)
            self._known[identifier] = self._of(parse(self._expressions[identifier]))
            self._open.discard(identifier)
        return self._known[identifier]

    def _of(self, node: Node) -> Value:
        if node.kind == "number":
            return float(node.value)
        if node.kind == "id":
            return self.value(node.value)
        if node.kind == "array":
            return [one for part in node.parts for one in _listed(self._of(part), self._grid)]
        if node.kind == "negative":
            return _each(lambda one: -one, self._of(node.parts[0]))
        if node.kind == "call":
            return self._call(node)
        if node.kind in _OPERATORS:
            return _joined(_OPERATORS[node.kind], *(self._of(part) for part in node.parts))
        raise ExpressionError(f"'{node.value}' is no value")

    def _call(self, node: Node) -> Value:
        if node.value == "METRICS":
            part = node.parts[0] if node.parts else Node("text", "")
            if part.kind != "text":
                raise ExpressionError("METRICS takes a text")
            return [series for name, series in self._metrics.items() if part.value in name]
        if node.value == "FILL":
            return self._fill(node)
        function: Callable[..., Value] = _FUNCTIONS[node.value][0]
        return function(self._grid, *(self._of(part) for part in node.parts))

    def _fill(self, node: Node) -> Value:
        filled, filler = self._of(node.parts[0]), node.parts[1]
        if isinstance(filled, float):
            raise ExpressionError("FILL takes a time series")
        if filler.kind == "word":
            return _all(_repeated if filler.value == "REPEAT" else _interpolated, filled, self._grid)
        by = self._of(filler)
        if isinstance(by, list):
            raise ExpressionError("FILL takes a number, a time series, REPEAT or LINEAR")
        values = dict.fromkeys(self._grid, by) if isinstance(by, float) else by
        return _all(lambda series, _: {**values, **series}, filled, self._grid)


def _all(function: Callable[[Series, Grid], Series], value: Series | Array, grid: Grid) -> Value:
    return [function(one, grid) for one in value] if isinstance(value, list) else function(value, grid)


def _repeated(series: Series, grid: Grid) -> Series:
    found, last = {}, None
    for at in grid:
        last = series.get(at, last)
        if last is not None:
            found[at] = last
    return found


def _interpolated(series: Series, grid: Grid) -> Series:
    """Fill what lies between two points on the line between them; nothing before the first and after the last."""
    found, known = {}, sorted(series)
    for before, after in itertools.pairwise(known):
        rise = (series[after] - series[before]) / (after - before)
        found.update({at: series[before] + rise * (at - before) for at in grid if before < at < after})
    return {**found, **series}


def _listed(value: Value, grid: Grid) -> Array:
    if isinstance(value, list):
        return value
    return [dict.fromkeys(grid, value)] if isinstance(value, float) else [value]


def _each(function: Callable[[float], float | None], value: Value) -> Value:
    """Apply a function to a number, or to every point; a point without a value goes missing."""
    if isinstance(value, list):
        return [_points(function, series) for series in value]
    if isinstance(value, dict):
        return _points(function, value)
    found = function(value)
    return {} if found is None else found


def _points(function: Callable[[float], float | None], series: Series) -> Series:
    return {at: found for at, one in series.items() if (found := function(one)) is not None}


def _joined(function: Callable[[float, float], float | None], left: Value, right: Value) -> Value:
    if isinstance(left, list) and isinstance(right, list):
        raise ExpressionError("an operator takes no two arrays of time series")
    if isinstance(left, list):
        return [_one(_joined(function, one, right)) for one in left]
    if isinstance(right, list):
        return [_one(_joined(function, left, one)) for one in right]
    if isinstance(left, dict) and isinstance(right, dict):
        pairs = ((at, function(left[at], right[at])) for at in left if at in right)
        return {at: found for at, found in pairs if found is not None}
    if isinstance(left, dict):
        return _each(lambda one: function(one, right), left)  # type: ignore[arg-type]
    return _each(lambda one: function(left, one), right)


def _one(value: Value) -> Series:
    if isinstance(value, dict):
        return value
    raise ExpressionError("a time series was expected")


def _divided(left: float, right: float) -> float | None:
    return left / right if right else None


def _powered(left: float, right: float) -> float | None:
    try:
        found = left**right
    except (OverflowError, ZeroDivisionError):
        return None
    return found if isinstance(found, float) else None


_OPERATORS: Final[Mapping[str, Callable[[float, float], float | None]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divided,
    "^": _powered,
    "==": lambda left, right: float(left == right),
    "!=": lambda left, right: float(left != right),
    "<": lambda left, right: float(left < right),
    ">": lambda left, right: float(left > right),
    "<=": lambda left, right: float(left <= right),
    ">=": lambda left, right: float(left >= right),
    "AND": lambda left, right: float(bool(left) and bool(right)),
    "OR": lambda left, right: float(bool(left) or bool(right)),
}


def _if(_: Grid, condition: Value, then: Value, otherwise: Value | None = None) -> Value:
    """Return, point by point, what the condition chooses; where that has no point, there is none."""
    if isinstance(condition, list) or isinstance(then, list) or isinstance(otherwise, list):
        raise ExpressionError("IF takes numbers and time series, no arrays")
    if isinstance(condition, float):
        chosen = then if condition else otherwise
        return {} if chosen is None else chosen
    found: Series = {}
    for at, holds in condition.items():
        chosen = then if holds else otherwise
        value = chosen.get(at) if isinstance(chosen, dict) else chosen
        if value is not None:
            found[at] = value
    return found


def _reduced(function: Callable[[Sequence[float]], float]) -> Callable[[Grid, Value], Value]:
    """Reduce a series to a number; an array to a series, point by point over those that have one."""

    def reduce(_: Grid, value: Value) -> Value:
        if isinstance(value, float):
            return value
        if isinstance(value, dict):
            return function(list(value.values())) if value else {}
        moments = sorted({at for series in value for at in series})
        return {at: function([series[at] for series in value if at in series]) for at in moments}

    return reduce


def _mapped(function: Callable[[float], float | None]) -> Callable[[Grid, Value], Value]:
    return lambda _, value: _each(function, value)


def _steps(function: Callable[[float, float], float]) -> Callable[[Grid, Value], Value]:
    """Compute from each point and the one before it: the difference of their values and the seconds between them."""

    def steps(series: Series, _: Grid) -> Series:
        known = sorted(series)
        return {
            after: function(series[after] - series[before], after - before)
            for before, after in itertools.pairwise(known)
        }

    return lambda grid, value: _all(steps, _series(value), grid)


def _series(value: Value) -> Series | Array:
    if isinstance(value, float):
        raise ExpressionError("a time series was expected")
    return value


def _running_sum(series: Series, _: Grid) -> Series:
    total, found = 0.0, {}
    for at in sorted(series):
        total += series[at]
        found[at] = total
    return found


def _end(pick: Callable[[Series], int]) -> Callable[[Grid, Value], Value]:
    def end(_: Grid, value: Value) -> Value:
        if isinstance(value, list):  # the first or the last series, as the order of METRICS() has them
            return value[pick(dict.fromkeys(range(len(value)), 0.0))] if value else {}
        series = _series(value)
        return series[pick(series)] if series else {}  # type: ignore[arg-type]

    return end


def _positive(function: Callable[[float], float]) -> Callable[[float], float | None]:
    return lambda one: function(one) if one > 0 else None


_FUNCTIONS: Final[Mapping[str, tuple[Any, int, int]]] = {
    # name: function, least and most arguments
    "ABS": (_mapped(abs), 1, 1),
    "AVG": (_reduced(statistics.fmean), 1, 1),
    "CEIL": (_mapped(lambda one: float(math.ceil(one))), 1, 1),
    "DATAPOINT_COUNT": (_reduced(lambda values: float(len(values))), 1, 1),
    "DIFF": (_steps(lambda rise, _: rise), 1, 1),
    "DIFF_TIME": (_steps(lambda _, seconds: float(seconds)), 1, 1),
    "FILL": (None, 2, 2),
    "FIRST": (_end(min), 1, 1),
    "FLOOR": (_mapped(lambda one: float(math.floor(one))), 1, 1),
    "IF": (_if, 2, 3),
    "LAST": (_end(max), 1, 1),
    "LOG": (_mapped(_positive(math.log)), 1, 1),
    "LOG10": (_mapped(_positive(math.log10)), 1, 1),
    "MAX": (_reduced(max), 1, 1),
    "METRICS": (None, 0, 1),
    "METRIC_COUNT": (lambda grid, value: float(len(_listed(value, grid))), 1, 1),
    "MIN": (_reduced(min), 1, 1),
    "PERIOD": (lambda grid, _: float(grid.period), 1, 1),
    "RATE": (_steps(lambda rise, seconds: rise / seconds), 1, 1),
    "RUNNING_SUM": (lambda grid, value: _all(_running_sum, _series(value), grid), 1, 1),
    "STDDEV": (_reduced(statistics.pstdev), 1, 1),
    "SUM": (_reduced(math.fsum), 1, 1),
    "TIME_SERIES": (lambda grid, value: dict.fromkeys(grid, value) if isinstance(value, float) else value, 1, 1),
}
