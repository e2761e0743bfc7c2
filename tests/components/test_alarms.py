"""Alarms: what they take for wrong, what they do not, and who hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from components.alarms import Alarms, AlarmsArgs, Threshold, Watched
from tests.support.metric_math import breaches

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.notifications import Notifications
    from naming import Names
    from tests.components.conftest import Deployment

WATCHED = Watched(
    api_id="the api",
    api_function="the function",
    migrator="the migrator",
    probe="the probe",
    probe_minutes=1,
    database="the database",
    max_connections=200,
    storage_gb=100,
    proxy="the proxy",
    dead_letters="the queue",
)
RESPONSE_TIME_MS = Threshold(warning=1000, critical=3000)
GIB = 1024**3
TOPIC = "arn of Topic notifications-{}".format
FELT = {
    f"{thing}-{level}"
    for thing in ("response-time", "errors", "memory", "connections")
    for level in Threshold.__annotations__
}
FORESEEN = {
    f"{thing}-{level}"
    for thing in ("throttles", "storage", "proxy", "dead-letters")
    for level in Threshold.__annotations__
}


@pytest.fixture
def alarms_of(
    deploy: Callable[..., Deployment], names: Names, notifications_of: Callable[[], Notifications]
) -> Callable[..., dict[str, dict[str, Any]]]:
    def declare(**changes: Any) -> dict[str, dict[str, Any]]:
        given: dict[str, Any] = {"watched": WATCHED, "full": True, "response_time_ms": RESPONSE_TIME_MS} | changes
        declared = deploy(lambda: Alarms("alarms", AlarmsArgs(names=names, notifications=notifications_of(), **given)))
        found = declared.of("cloudwatch/metricAlarm:MetricAlarm")
        return {name.removeprefix("alarms-"): alarm for name, alarm in found.items()}

    return declare


@pytest.fixture
def alarms(alarms_of: Callable[..., dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    return alarms_of()


# A thing, what is measured while it is at each threshold, and a little above each.
STEPS: dict[str, tuple[dict[str, float], dict[str, float], dict[str, float], dict[str, float]]] = {
    # Requirement 63.
    "response-time": ({"latency": 1000}, {"latency": 1001}, {"latency": 3000}, {"latency": 3001}),
    # Requirement 64.
    "errors": (
        {"requests": 1000, "errors": 10},
        {"requests": 1000, "errors": 11},
        {"requests": 1000, "errors": 50},
        {"requests": 1000, "errors": 51},
    ),
    # Requirement 65.
    "memory": ({"memory": 80}, {"memory": 80.5}, {"memory": 95}, {"memory": 95.5}),
    # Requirement 66: of the 200 that the database accepts.
    "connections": ({"connections": 160}, {"connections": 161}, {"connections": 190}, {"connections": 191}),
    "throttles": (
        {"throttles": 1, "invocations": 99},
        {"throttles": 2, "invocations": 98},
        {"throttles": 5, "invocations": 95},
        {"throttles": 6, "invocations": 94},
    ),
    "storage": ({"free": 20 * GIB}, {"free": 19 * GIB}, {"free": 10 * GIB}, {"free": 9 * GIB}),
    "proxy": (
        {"used": 80, "allowed": 100},
        {"used": 81, "allowed": 100},
        {"used": 95, "allowed": 100},
        {"used": 96, "allowed": 100},
    ),
    "dead-letters": ({"waiting": 0}, {"waiting": 1}, {"waiting": 10}, {"waiting": 11}),
}


@pytest.mark.parametrize("thing", STEPS)
def test_a_level_is_what_is_above_its_threshold_and_not_what_is_at_it(
    alarms: dict[str, dict[str, Any]], thing: str
) -> None:
    warning, critical = (alarms[f"{thing}-{level}"] for level in ("warning", "critical"))
    assert [(False, False), (True, False), (True, False), (True, True)] == [
        (breaches(warning, **measured), breaches(critical, **measured)) for measured in STEPS[thing]
    ]


@pytest.mark.parametrize("thing", STEPS)
def test_no_traffic_and_no_data_are_no_alarm(alarms: dict[str, dict[str, Any]], thing: str) -> None:
    """Neither where nothing is reported, nor where nothing happened, nor where half of the metrics come late."""
    for level in ("warning", "critical"):
        alarm = alarms[f"{thing}-{level}"]
        metrics = [query["id"] for query in alarm["metricQueries"] if "metric" in query]
        assert not breaches(alarm)
        if thing != "storage":  # no free byte is no absence
            assert not breaches(alarm, **dict.fromkeys(metrics, 0))
        if len(metrics) > 1:
            assert not breaches(alarm, **{metrics[1]: 100})


def test_errors_count_although_no_request_has_failed_before(alarms: dict[str, dict[str, Any]]) -> None:
    """A metric of failures does not exist until the first one: that is not "unknown"."""
    assert not breaches(alarms["errors-warning"], requests=1000)
    assert breaches(alarms["errors-critical"], requests=1, errors=1)
    assert breaches(alarms["throttles-critical"], throttles=1)


def test_a_probe_that_fails_or_does_not_run_is_no_health(alarms: dict[str, dict[str, Any]]) -> None:
    probe = alarms["probe"]
    assert [False, True, True] == [breaches(probe, success=1), breaches(probe, success=0), breaches(probe)]


def test_a_probe_is_judged_over_as_many_periods_as_it_has_minutes_in_between(
    alarms_of: Callable[..., dict[str, dict[str, Any]]],
) -> None:
    """Two of three: a probe that comes a second late leaves one period empty and the next with two."""
    every_five = alarms_of(watched=Watched(**(vars(WATCHED) | {"probe_minutes": 5})))["probe"]
    [measured] = [query["metric"] for query in every_five["metricQueries"] if "metric" in query]
    assert 300 == measured["period"]
    assert (3, 2) == (every_five["evaluationPeriods"], every_five["datapointsToAlarm"])


def test_a_migration_that_fails_is_told_at_once(alarms: dict[str, dict[str, Any]]) -> None:
    """Whether it said so, or did not live to."""
    migrator = alarms["migrator"]
    assert [True, True, False, False] == [
        breaches(migrator, failures=1),
        breaches(migrator, crashes=1),
        breaches(migrator),
        breaches(migrator, failures=0, crashes=0),
    ]
    assert (1, 1) == (migrator["evaluationPeriods"], migrator["datapointsToAlarm"])


@pytest.mark.parametrize(
    ("alarm", "measured"),
    [
        ("response-time-critical", {"latency": ("AWS/ApiGateway", "Latency", "p95", {"ApiId": "the api"})}),
        (
            "errors-warning",
            {
                "errors": ("AWS/ApiGateway", "5xx", "Sum", {"ApiId": "the api"}),
                "requests": ("AWS/ApiGateway", "Count", "Sum", {"ApiId": "the api"}),
            },
        ),
        ("memory-warning", {"memory": ("product-api", "MemoryUsed", "Maximum", {"Function": "the function"})}),
        (
            "connections-warning",
            {"connections": ("AWS/RDS", "DatabaseConnections", "Maximum", {"DBInstanceIdentifier": "the database"})},
        ),
        ("probe", {"success": ("product-api", "ProbeSuccess", "Minimum", {"Function": "the probe"})}),
        (
            "migrator",
            {
                "failures": ("product-api", "MigrationFailures", "Sum", {"Function": "the migrator"}),
                "crashes": ("AWS/Lambda", "Errors", "Sum", {"FunctionName": "the migrator"}),
            },
        ),
        (
            "throttles-warning",
            {
                "throttles": ("AWS/Lambda", "Throttles", "Sum", {"FunctionName": "the function"}),
                "invocations": ("AWS/Lambda", "Invocations", "Sum", {"FunctionName": "the function"}),
            },
        ),
        (
            "storage-warning",
            {"free": ("AWS/RDS", "FreeStorageSpace", "Minimum", {"DBInstanceIdentifier": "the database"})},
        ),
        (
            "proxy-warning",
            {
                "used": ("AWS/RDS", "DatabaseConnectionsCurrentlyBorrowed", "Sum", {"ProxyName": "the proxy"}),
                "allowed": ("AWS/RDS", "MaxDatabaseConnectionsAllowed", "Sum", {"ProxyName": "the proxy"}),
            },
        ),
        (
            "dead-letters-warning",
            {"waiting": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", {"QueueName": "the queue"})},
        ),
    ],
)
def test_each_looks_at_what_it_says(
    alarms: dict[str, dict[str, Any]], alarm: str, measured: dict[str, tuple[str, str, str, dict[str, str]]]
) -> None:
    metrics = {query["id"]: query["metric"] for query in alarms[alarm]["metricQueries"] if "metric" in query}
    assert measured == {
        name: (metric["namespace"], metric["metricName"], metric["stat"], metric["dimensions"])
        for name, metric in metrics.items()
    }
    assert {60} == {metric["period"] for metric in metrics.values()}


def test_warnings_go_to_one_topic_and_what_is_critical_to_the_other(alarms: dict[str, dict[str, Any]]) -> None:
    """When it begins, and when it is over."""
    for name, alarm in alarms.items():
        topic = TOPIC("warning" if name.endswith("-warning") else "critical")
        assert ([topic], [topic]) == (alarm["alarmActions"], alarm["okActions"])


def test_one_bad_minute_wakes_nobody(alarms: dict[str, dict[str, Any]]) -> None:
    assert {(3, 2)} == {
        (alarm["evaluationPeriods"], alarm["datapointsToAlarm"]) for name, alarm in alarms.items() if name != "migrator"
    }


def test_names_and_descriptions_say_what_is_wrong_where(alarms: dict[str, dict[str, Any]]) -> None:
    assert {name: f"product-api-dev-{name}" for name in alarms} == {name: each["name"] for name, each in alarms.items()}
    assert [
        "The slowest twentieth of responses take more than 3000 ms (dev, critical)",
        "More than 80% of the database's storage are in use (dev, warning)",
    ] == [alarms[name]["alarmDescription"] for name in ("response-time-critical", "storage-warning")]


def test_basic_monitoring_watches_what_is_felt_and_what_runs_by_itself(
    alarms_of: Callable[..., dict[str, dict[str, Any]]], alarms: dict[str, dict[str, Any]]
) -> None:
    assert FELT | {"probe", "migrator"} == set(alarms_of(full=False))
    assert FELT | {"probe", "migrator"} | FORESEEN == set(alarms)


def test_another_threshold_is_another_alarm(alarms_of: Callable[..., dict[str, dict[str, Any]]]) -> None:
    slower = alarms_of(response_time_ms=Threshold(warning=200, critical=500))
    assert (200, 500) == (slower["response-time-warning"]["threshold"], slower["response-time-critical"]["threshold"])
