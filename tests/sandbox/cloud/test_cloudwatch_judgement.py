"""What state an alarm goes into: by its datapoints, by the alarms below it; and what a log line measures."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.cloud.cloudwatch import rules
from sandbox.cloud.cloudwatch.embedded import measurements
from sandbox.cloud.cloudwatch.judgement import OPERATORS, TREATMENTS, Point, Terms, Verdict, judge, looked_at
from sandbox.cloud.cloudwatch.rules import RuleError

VALUES = {"0": 0.0, "X": 1.0, "-": None}


def judged(row: str, to_alarm: int, periods: int, missing: str, comparison: str = OPERATORS[1]) -> Verdict | None:
    terms = Terms(comparison=comparison, threshold=0.0, periods=periods, to_alarm=to_alarm, missing=missing)
    return judge(terms, [Point(at * 60.0, VALUES[one]) for at, one in enumerate(row)])


def state(row: str, to_alarm: int, periods: int, missing: str) -> str:
    verdict = judged(row, to_alarm, periods, missing)
    return verdict.state if verdict else "retained"


# -- datapoints -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        # missing, ignore, breaching, notBreaching
        ("0-X-X", ("OK", "OK", "OK", "OK")),
        ("0----", ("OK", "OK", "OK", "OK")),
        ("-----", ("INSUFFICIENT_DATA", "retained", "ALARM", "OK")),
        ("0XX-X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("--X--", ("ALARM", "retained", "ALARM", "OK")),
    ],
)
def test_three_of_three_is_as_the_guide_has_it(row: str, expected: tuple[str, ...]) -> None:
    """The table of "Configuring how CloudWatch alarms treat missing data": X breaches, - is missing."""
    assert expected == tuple(
        state(row, 3, 3, missing) for missing in ("missing", "ignore", "breaching", "notBreaching")
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("0-X-X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("00X0X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("0-X--", ("OK", "OK", "ALARM", "OK")),
        ("----0", ("OK", "OK", "ALARM", "OK")),
        ("---X-", ("ALARM", "retained", "ALARM", "OK")),
    ],
)
def test_two_of_three_is_as_the_guide_has_it(row: str, expected: tuple[str, ...]) -> None:
    """The second table of the same page."""
    assert expected == tuple(
        state(row, 2, 3, missing) for missing in ("missing", "ignore", "breaching", "notBreaching")
    )


def test_one_datapoint_that_breaches_is_not_yet_two() -> None:
    """The newest one alone changes nothing; a minute later it is as old as the alarm asks."""
    assert "retained" == state("----X", 2, 3, "missing")
    assert "ALARM" == state("---X-", 2, 3, "missing")


@given(
    row=st.text("0X", min_size=1, max_size=6),
    to_alarm=st.integers(1, 6),
    missing=st.sampled_from(TREATMENTS),
)
def test_without_a_gap_it_is_how_many_of_the_newest_breach(row: str, to_alarm: int, missing: str) -> None:
    """Whatever missing ones would count as."""
    to_alarm = min(to_alarm, len(row))
    expected = "ALARM" if row.count("X") >= to_alarm else "OK"
    assert expected == state("-" + row, to_alarm, len(row), missing)


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        ("GreaterThanOrEqualToThreshold", "ALARM"),
        ("GreaterThanThreshold", "OK"),
        ("LessThanThreshold", "OK"),
        ("LessThanOrEqualToThreshold", "ALARM"),
    ],
)
def test_the_threshold_itself(comparison: str, expected: str) -> None:
    verdict = judged("0", 1, 1, "missing", comparison)
    assert verdict is not None
    assert expected == verdict.state


def test_the_reason_tells_what_decided() -> None:
    """In CloudWatch's words."""
    reasons = [
        judged(*asked) for asked in (("0XX", 2, 3, "missing"), ("X0", 1, 1, "missing"), ("---", 1, 1, "missing"))
    ]
    two = (
        "Threshold Crossed: 2 out of the last 3 datapoints [1.0 (01/01/70 00:01:00), 1.0 (01/01/70 00:02:00)] were "
        "greater than the threshold (0.0) (minimum 2 datapoints for OK -> ALARM transition)."
    )
    one = (
        "Threshold Crossed: 1 out of the last 1 datapoints [0.0 (01/01/70 00:01:00)] was not greater than the "
        "threshold (0.0) (minimum 1 datapoint for ALARM -> OK transition)."
    )
    none = "Insufficient Data: 1 datapoint was unknown."
    assert [two, one, none] == [verdict.reason if verdict else None for verdict in reasons]
    treated = judged("---", 1, 1, "notBreaching")
    assert treated is not None
    assert treated.reason == (
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as "
        "[NonBreaching]."
    )


def test_short_periods_are_looked_for_further_back() -> None:
    """Three minutes in five, as the guide's tables have it; a period of hours in itself."""
    assert (5, 3, 1) == (looked_at(3, 60), looked_at(2, 120), looked_at(1, 21600))


# -- rules ------------------------------------------------------------------------------------------------------------

STATES = {"a": "ALARM", "b": "OK", "c d": "INSUFFICIENT_DATA"}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("ALARM(a)", True),
        ('ALARM("a") AND OK("b")', True),
        ("ALARM(b)", False),
        ('INSUFFICIENT_DATA("c d")', True),
        ("NOT ALARM(b)", True),
        ("TRUE AND NOT FALSE", True),
        ("TRUE OR TRUE AND FALSE", True),
        ("(TRUE OR TRUE) AND FALSE", False),
        ("ALARM(gone) OR OK(gone)", False),
        ("AT_LEAST(1, ALARM, (a, b))", True),
        ("AT_LEAST(60%, ALARM, (a, b))", False),
        ("AT_LEAST(1, NOT ALARM, (a, b))", True),
    ],
)
def test_a_rule_holds_or_not(rule: str, expected: bool) -> None:
    """AND binds more tightly than OR."""
    assert expected is rules.parse(rule).holds(STATES.get)


def test_a_rule_tells_whom_it_watches() -> None:
    assert ["a", "c d", "b"] == [*rules.parse('ALARM(a) AND (NOT OK("c d") OR AT_LEAST(1, OK, (b)))').names()]


@pytest.mark.parametrize(
    "rule",
    ["", "ALARM", "ALARM()", "ALARM(a", "ALARM(a) ALARM(b)", "a", "AND", "NOT", "alarm(a)", "AT_LEAST(x, OK, (a))"],
)
def test_what_is_no_rule_is_refused(rule: str) -> None:
    """With AWS's words, which tell where."""
    with pytest.raises(RuleError, match=r"Error in AlarmRule \[Unsupported token '.*' at char \d+"):
        rules.parse(rule)


@given(st.text("ALRMOKND() \"',TUEFS_ab", max_size=30))
def test_any_text_is_a_rule_or_is_refused(text: str) -> None:
    """Nothing else escapes."""
    try:
        rules.parse(text)
    except RuleError:
        return
    assert text.strip()


# -- log lines --------------------------------------------------------------------------------------------------------


def line(**changes: Any) -> str:
    directive = {
        "Namespace": "app",
        "Dimensions": [["Function"], ["Function", "Version"]],
        "Metrics": [{"Name": "latency", "Unit": "Milliseconds"}, {"Name": "requests"}],
    }
    content = {
        "_aws": {"Timestamp": 1500, "CloudWatchMetrics": [{**directive, **changes.pop("directive", {})}]},
        "Function": "api",
        "Version": "3",
        "latency": [1, 2.5],
        "requests": 1,
        "message": "served",
    }
    return json.dumps({**content, **changes})


def test_a_line_measures_each_metric_for_each_set_of_dimensions() -> None:
    found = [(one.name, dict(one.dimensions), one.values, one.unit) for one in measurements(line())]
    assert [
        ("latency", {"Function": "api"}, (1.0, 2.5), "Milliseconds"),
        ("latency", {"Function": "api", "Version": "3"}, (1.0, 2.5), "Milliseconds"),
        ("requests", {"Function": "api"}, (1.0,), "None"),
        ("requests", {"Function": "api", "Version": "3"}, (1.0,), "None"),
    ] == found
    assert {("app", 1.5, 60)} == {(one.namespace, one.moment, one.resolution) for one in measurements(line())}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("START RequestId: 1", 0),
        ('{"_aws": nonsense}', 0),
        ('{"_aws": {"CloudWatchMetrics": 1}}', 0),
        ('{"_aws": {"CloudWatchMetrics": [1, {"Namespace": "n", "Metrics": [1]}]}}', 0),
        (line(directive={"Namespace": ""}), 0),
        (line(latency="slow"), 2),
        (line(latency=True), 2),
        (line(latency=[1] * 101), 2),
        (line(Version=3), 2),
        (line(directive={"Dimensions": [[]]}), 2),
    ],
)
def test_what_is_not_of_the_format_measures_nothing(text: str, expected: int) -> None:
    """A member that is no number, a dimension that is no text: that one is left out, the others count."""
    assert expected == len([*measurements(text)])
