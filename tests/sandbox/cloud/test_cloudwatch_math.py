"""What is computed: statistics of what was measured, and metric math over it."""

from __future__ import annotations

import json
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.cloud.cloudwatch.expressions import Evaluation, ExpressionError, Grid, Series, Value, parse
from sandbox.cloud.cloudwatch.store import HIGH, Sample, Store, metric

GRID = Grid(0, 300, 60)
OF = metric("000000000001", "eu-central-1", "test", "m", {"b": "2", "a": "1"})

numbers = st.floats(min_value=-1e6, max_value=1e6)
series = st.dictionaries(st.sampled_from(list(GRID)), numbers)


def value(expression: str, **metrics: Series) -> Value:
    return Evaluation(GRID, metrics, {"e": expression}).value("e")


# -- expressions ------------------------------------------------------------------------------------------------------

WHOLE = dict.fromkeys(GRID, 0.0)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("-2 ^ 2", -4.0),
        ("10 - 2 - 3", 5.0),
        ("8 / 2 / 2", 2.0),
        ("1 < 2 AND 2 < 1", 0.0),
        ("1 < 2 || 2 < 1 && 0", 1.0),
        ("1 == 1.0", 1.0),
        ("1e3", 1000.0),
        ("a + b", {60: 14.0}),
        ("a / b", {60: 0.4}),
        ("a / (b - 10)", {}),
        ("a > 3", {0: 0.0, 60: 1.0}),
        ("a AND 1", {0: 1.0, 60: 1.0}),
        ("FILL(a, 0)", {**WHOLE, 0: 2.0, 60: 4.0}),
        ("FILL(nothing, 7)", dict.fromkeys(GRID, 7.0)),
        ("FILL(b, REPEAT)", {60: 10.0, 120: 20.0, 180: 20.0, 240: 20.0}),
        ("FILL(c, LINEAR)", {60: 1.0, 120: 2.0, 180: 3.0}),
        ("FILL(b, a)", {0: 2.0, 60: 10.0, 120: 20.0}),
        ("IF(a > 3, b)", {60: 10.0}),
        ("IF(a > 3, b, 0)", {0: 0.0, 60: 10.0}),
        ("IF(a > 3, 1, b)", {60: 1.0}),
        ("IF(1, a, b)", {0: 2.0, 60: 4.0}),
        ("SUM(a)", 6.0),
        ("AVG(a)", 3.0),
        ("MIN(a) + MAX(a)", 6.0),
        ("SUM(METRICS())", {0: 2.0, 60: 15.0, 120: 20.0, 180: 3.0}),
        ("MAX([a, b])", {0: 2.0, 60: 10.0, 120: 20.0}),
        ("AVG(METRICS('a'))", {0: 2.0, 60: 4.0}),
        ("METRIC_COUNT(METRICS())", 4.0),
        ("DATAPOINT_COUNT(a)", 2.0),
        ("ABS(0 - a)", {0: 2.0, 60: 4.0}),
        ("CEIL(a / 3)", {0: 1.0, 60: 2.0}),
        ("LOG(a - 2)", {60: math.log(2)}),
        ("RATE(c)", {180: 2 / 120}),
        ("DIFF(c)", {180: 2.0}),
        ("PERIOD(a)", 60.0),
        ("RUNNING_SUM(b)", {60: 10.0, 120: 30.0}),
        ("FIRST(b) + LAST(b)", 30.0),
        ("TIME_SERIES(3)", dict.fromkeys(GRID, 3.0)),
    ],
)
def test_an_expression_has_the_value_of_aws(expression: str, expected: Value) -> None:
    """Series join where both have a point; a division by zero is a missing point."""
    metrics: dict[str, Series] = {
        "a": {0: 2.0, 60: 4.0},
        "b": {60: 10.0, 120: 20.0},
        "c": {60: 1.0, 180: 3.0},
        "nothing": {},
    }
    assert expected == value(expression, **metrics)


def test_a_share_of_nothing_is_zero() -> None:
    """The expression of this project's alarms: never missing, no false alarm without traffic."""
    share = "IF(FILL(requests, 0) > 0, 100 * (FILL(errors, 0) + FILL(crashes, 0)) / requests, 0)"
    found = value(share, requests={60: 10.0, 120: 4.0}, errors={120: 1.0}, crashes={})
    assert {0: 0.0, 60: 0.0, 120: 25.0, 180: 0.0, 240: 0.0} == found


def test_expressions_may_name_each_other() -> None:
    """But not in a circle."""
    evaluation = Evaluation(GRID, {"a": {0: 2.0}}, {"double": "2 * a", "more": "double + 1", "x": "y", "y": "x"})
    assert {0: 5.0} == evaluation.value("more")
    with pytest.raises(ExpressionError, match="refers to itself"):
        evaluation.value("x")


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("", "unexpected end"),
        ("a +", "unexpected end"),
        ("a a", "unexpected 'a'"),
        ("(a", "unexpected end"),
        ("a $ 1", r"unexpected '\$'"),
        ("WHATEVER(a)", "unknown function 'WHATEVER'"),
        ("SEARCH('x', 'Sum')", "does not play the function SEARCH"),
        ("FILL(a)", "wrong number of arguments of FILL"),
        ("FILL(a, b)", "undefined variable 'b'"),
        ("FILL(1, 0)", "takes a time series"),
        ("RATE(1)", "time series was expected"),
        ("IF(METRICS(), 1, 0)", "no arrays"),
        ("METRICS() + METRICS()", "two arrays"),
        ("LINEAR", "is no value"),
        ("(" * 100 + "a" + ")" * 100, "nested too deeply"),
    ],
)
def test_what_is_no_expression_is_refused(expression: str, why: str) -> None:
    with pytest.raises(ExpressionError, match=why):
        value(expression, a={0: 1.0})


@given(left=series, right=series)
def test_operators_need_a_point_on_both_sides(left: Series, right: Series) -> None:
    """And a filled series always has one."""
    assert set(left) & set(right) == set(value("a + b", a=left, b=right))  # type: ignore[arg-type]
    assert set(GRID) == set(value("FILL(a, 0) + FILL(b, 0)", a=left, b=right))  # type: ignore[arg-type]


@given(st.text(alphabet="abAND ()+-*/^,<>=[]'FILL012.", max_size=40))
def test_any_text_is_an_expression_or_is_refused(text: str) -> None:
    """Nothing else escapes."""
    try:
        parse(text)
    except ExpressionError:
        return
    assert text.strip()


# -- statistics -------------------------------------------------------------------------------------------------------


def sample(*values: float) -> Sample:
    made = Sample()
    for one in values:
        made.add(one)
    return made


@given(st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=150))
def test_statistics_are_those_of_all_values(values: list[float]) -> None:
    """Merged from two halves as from one."""
    merged = sample(*values[::2])
    merged.merge(sample(*values[1::2]))
    assert merged.statistic("SampleCount") == len(values)
    assert merged.statistic("Sum") == pytest.approx(math.fsum(values))
    assert merged.statistic("Average") == pytest.approx(statistics.fmean(values))
    assert (min(values), max(values)) == (merged.statistic("Minimum"), merged.statistic("Maximum"))
    assert (min(values), max(values)) == (merged.statistic("p0"), merged.statistic("p100"))
    assert merged.statistic("p50") == pytest.approx(statistics.median(values))


def test_percentiles_of_very_many_values_are_near() -> None:
    """And what is kept of them stays small."""
    many = sample(*(float(one) for one in range(1, 20_001)))
    assert many.statistic("p95") == pytest.approx(19_000, rel=0.03)
    assert len(many.values or ()) < 500
    assert (many.statistic("Minimum"), many.statistic("p100")) == (1.0, 20_000.0)


def test_percentiles_that_aws_cannot_tell_are_missing() -> None:
    """Of negative values, and of statistic sets that are not of one value."""
    assert sample(-1.0, 2.0).statistic("p50") is None
    whole = Sample()
    whole.add_set(3, 9, 1, 5)
    assert (whole.statistic("p50"), whole.statistic("Average")) == (None, 3.0)
    same = Sample()
    same.add_set(3, 9, 3, 3)
    assert same.statistic("p50") == 3.0


# -- the store --------------------------------------------------------------------------------------------------------


def test_values_fall_into_periods() -> None:
    """Of one unit, or of all; other dimensions are another metric."""
    store = Store()
    store.record(OF, 59.9, "Count", 1)
    store.record(OF, 60, "Count", 2)
    store.record(OF, 119, "Bytes", 4)
    other = metric("000000000001", "eu-central-1", "test", "m", {"a": "1"})
    store.record(other, 60, "Count", 100)
    sums = {at: one.statistic("Sum") for at, one in store.window(OF, 0, 180, 60).items()}
    assert {0: 1.0, 60: 6.0} == sums
    assert {60: 4.0} == {at: one.statistic("Sum") for at, one in store.window(OF, 0, 180, 60, "Bytes").items()}
    assert {0: 7.0} == {at: one.statistic("Sum") for at, one in store.window(OF, 0, 300, 300).items()}
    assert ["Bytes", "Count"] == store.units(OF)


def test_what_is_old_is_kept_coarser_and_then_dropped() -> None:
    """Seconds become minutes, minutes become five; a day and two hours later nothing is left."""
    store = Store()
    for second in range(600):
        store.record(OF, second, "Count", 1, resolution=HIGH)
    store.sweep(3 * 3600 + 600)
    assert [60.0] * 10 == [one.count for one in store.window(OF, 0, 600, 60).values()]
    store.sweep(3 * 3600 + 1200)
    assert [300.0] * 2 == [one.count for one in store.window(OF, 0, 600, 300).values()]
    assert [OF] == store.metrics("000000000001", "eu-central-1")
    store.sweep(27 * 3600)
    assert [] == store.metrics("000000000001", "eu-central-1")


def test_a_store_is_what_was_saved() -> None:
    """Through JSON, as the state is."""
    store, other = Store(), Store()
    store.record(OF, 60, "Count", 3, 2)
    store.record(OF, 60, "Count", -1)
    other.resume(json.loads(json.dumps(store.state())))
    assert [one.state() for one in store.window(OF, 0, 120, 60).values()] == [
        one.state() for one in other.window(OF, 0, 120, 60).values()
    ]
    assert ["Count"] == other.units(OF)
