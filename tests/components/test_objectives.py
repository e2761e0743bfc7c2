"""Objectives: an error budget that burns too fast tells somebody, and a blip does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from components.objectives import Objectives, ObjectivesArgs
from tests.components.test_alarms import TOPIC, WATCHED
from tests.support.metric_math import breaches

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.notifications import Notifications
    from naming import Names
    from tests.components.conftest import Deployment

WINDOWS = {"fast-long": 3600, "fast-short": 300, "slow-long": 21600, "slow-short": 1800}


@pytest.fixture
def declared(
    deploy: Callable[..., Deployment], names: Names, notifications_of: Callable[[], Notifications]
) -> Deployment:
    return deploy(
        lambda: Objectives("objectives", ObjectivesArgs(names=names, watched=WATCHED, notifications=notifications_of()))
    )


@pytest.fixture
def windows(declared: Deployment) -> dict[str, dict[str, Any]]:
    """The alarms on single windows, which tell nobody."""
    found = declared.of("cloudwatch/metricAlarm:MetricAlarm")
    return {name.removeprefix("objectives-objective-"): alarm for name, alarm in found.items()}


def test_each_objective_is_watched_over_a_long_and_a_short_window(windows: dict[str, dict[str, Any]]) -> None:
    assert {
        f"{objective}-{window}": {seconds}
        for objective in ("uptime", "latency", "errors")
        for window, seconds in WINDOWS.items()
    } == {
        name: {query["metric"]["period"] for query in alarm["metricQueries"] if "metric" in query}
        for name, alarm in windows.items()
    }
    assert {(1, 1, "notBreaching")} == {
        (alarm["evaluationPeriods"], alarm["datapointsToAlarm"], alarm["treatMissingData"])
        for alarm in windows.values()
    }


def test_it_tells_somebody_when_both_windows_burn(declared: Deployment, windows: dict[str, dict[str, Any]]) -> None:
    """The long one shows that it matters, the short one that it goes on; each is named as it is called."""
    found = declared.of("cloudwatch/compositeAlarm:CompositeAlarm")
    name = "product-api-dev-objective-{}-{}".format
    expected = {
        f"objectives-objective-{objective}-{burn}": (
            name(objective, burn),
            f'ALARM("{name(objective, burn)}-long") AND ALARM("{name(objective, burn)}-short")',
            [TOPIC(level)],
            [TOPIC(level)],
        )
        for objective in ("uptime", "latency", "errors")
        for burn, level in (("fast", "critical"), ("slow", "warning"))
    }
    assert expected == {
        key: (each["alarmName"], each["alarmRule"], each["alarmActions"], each["okActions"])
        for key, each in found.items()
    }
    assert {f"product-api-dev-objective-{key}" for key in windows} == {each["name"] for each in windows.values()}
    # CloudWatch refuses a rule that names an alarm which is not there yet.
    for key in found:
        assert {f"MetricAlarm {key}-long", f"MetricAlarm {key}-short"} <= declared.the(
            "cloudwatch/compositeAlarm:CompositeAlarm", key
        ).after
    assert not any("alarmActions" in alarm for alarm in windows.values())


def test_the_rate_is_what_spends_a_months_budget_too_early(windows: dict[str, dict[str, Any]]) -> None:
    """Of 0.1%: at 14.4 times in two days, at 6 times in five. Of 5%: 72% slow requests, and 30%."""
    assert {
        "uptime-fast-long": 1.44,
        "uptime-slow-long": 0.6,
        "latency-fast-long": 72,
        "latency-slow-long": 30,
        "errors-fast-long": 1.44,
        "errors-slow-long": 0.6,
    } == {name: alarm["threshold"] for name, alarm in windows.items() if name.endswith("-long")}
    for name, alarm in windows.items():
        if name.endswith("-short"):
            assert windows[name.replace("-short", "-long")]["threshold"] == alarm["threshold"]


def test_up_is_what_the_probe_finds_and_one_failure_is_a_blip(windows: dict[str, dict[str, Any]]) -> None:
    fast = windows["uptime-fast-long"]
    assert [False, False, True] == [breaches(fast, probes=60, succeeded=60 - failed) for failed in (0, 1, 2)]
    # Five probes fit into the short window, and two failures among them are enough.
    assert breaches(windows["uptime-fast-short"], probes=5, succeeded=3)
    assert not breaches(windows["uptime-slow-long"], probes=360, succeeded=358)
    assert breaches(windows["uptime-slow-long"], probes=360, succeeded=357)


def test_slow_and_failed_requests_are_shares_of_all(windows: dict[str, dict[str, Any]]) -> None:
    assert [False, True] == [breaches(windows["latency-slow-long"], requests=100, slow=slow) for slow in (30, 31)]
    assert [False, True] == [breaches(windows["errors-slow-long"], requests=1000, errors=count) for count in (6, 7)]


@pytest.mark.parametrize("objective", ["uptime", "latency", "errors"])
def test_no_traffic_burns_no_budget(windows: dict[str, dict[str, Any]], objective: str) -> None:
    for window in WINDOWS:
        alarm = windows[f"{objective}-{window}"]
        whole, part = {"uptime": ("probes", "succeeded"), "latency": ("requests", "slow")}.get(
            objective, ("requests", "errors")
        )
        assert not breaches(alarm)
        assert not breaches(alarm, **{whole: 0, part: 0})


def test_metrics_are_the_functions_own(windows: dict[str, dict[str, Any]]) -> None:
    assert {
        ("uptime", "succeeded", "ProbeSuccess", "Sum", "the probe"),
        ("uptime", "probes", "ProbeSuccess", "SampleCount", "the probe"),
        ("latency", "requests", "Requests", "Sum", "the function"),
        ("latency", "slow", "SlowRequests", "Sum", "the function"),
        ("errors", "requests", "Requests", "Sum", "the function"),
        ("errors", "errors", "ServerErrors", "Sum", "the function"),
    } == {
        (
            name.split("-")[0],
            query["id"],
            query["metric"]["metricName"],
            query["metric"]["stat"],
            query["metric"]["dimensions"]["Function"],
        )
        for name, alarm in windows.items()
        for query in alarm["metricQueries"]
        if "metric" in query and query["metric"]["namespace"] == "product-api"
    }
