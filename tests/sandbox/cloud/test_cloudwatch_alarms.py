"""Alarms as time passes, with the time in hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.cloud.clock import Clock
from sandbox.cloud.cloudwatch.alarms import Alarms, alarm_states
from sandbox.cloud.cloudwatch.store import Store, metric

ACCOUNT, REGION = "000000000009", "eu-central-1"
OF = metric(ACCOUNT, REGION, "test", "m", {})
NOON = 1_700_000_040.0  # a full minute


class World:
    """Alarms, what they watch, and the machine's time."""

    def __init__(self) -> None:
        self.real = NOON
        self.clock = Clock(lambda: self.real)
        self.store = Store()
        self.alarms = Alarms(self.clock, self.store)

    def alarm(self, name: str, **options: Any) -> None:
        given = {
            "AlarmName": name,
            "Namespace": "test",
            "MetricName": "m",
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 1.0,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
        }
        self.alarms.put(ACCOUNT, REGION, "MetricAlarm", {**given, **options})

    def composite(self, name: str, rule: str) -> None:
        self.alarms.put(ACCOUNT, REGION, "CompositeAlarm", {"AlarmName": name, "AlarmRule": rule})

    def states(self, name: str) -> list[str]:
        """Return the states that an alarm went into."""
        items = [item for item in self.alarms.history(ACCOUNT, REGION) if item["AlarmName"] == name]
        updates = [json.loads(item["HistoryData"]) for item in items if item["HistoryItemType"] == "StateUpdate"]
        return [update["newState"]["stateValue"] for update in updates]

    def record(self, value: float) -> None:
        self.store.record(OF, self.clock.now(), "Count", value)

    def sweep_after(self, seconds: float) -> None:
        self.real += seconds
        self.alarms.sweep()


@pytest.fixture
def world() -> World:
    """A world of its own: the emulator's stores are the process's."""
    made = World()
    for kind in ("MetricAlarm", "CompositeAlarm"):
        for record in made.alarms.all(ACCOUNT, REGION, kind):  # type: ignore[arg-type]
            made.alarms.delete(ACCOUNT, REGION, record["AlarmName"])
    for name in list(made.alarms._history.items_scoped(ACCOUNT, REGION)):
        made.alarms._history.pop_scoped(ACCOUNT, REGION, name[0])
    return made


def test_no_minute_is_left_out_when_the_machine_is_slow(world: World) -> None:
    """One sweep after ten minutes finds the one that breached, and the end of it."""
    world.alarm("slow")
    world.sweep_after(1)
    world.record(5)
    world.sweep_after(600)
    assert ["OK", "ALARM", "OK"] == world.states("slow")


def test_an_alarm_is_judged_in_the_sandboxs_time(world: World) -> None:
    """At 60 its minute takes a second; before that is over nothing changes."""
    world.clock.set(60)
    world.alarm("fast")
    world.sweep_after(0.5)
    world.record(5)
    world.sweep_after(0.4)
    assert ["OK"] == world.states("fast")
    world.sweep_after(0.8)
    assert ["OK", "ALARM"] == world.states("fast")


def test_a_sparse_breach_lasts_as_long_as_it_is_looked_for(world: World) -> None:
    """Two minutes more than are judged: missing points count only where there are no real ones."""
    world.alarm("sparse")
    world.record(5)
    found = []
    for _ in range(5):
        world.sweep_after(60.5 if not found else 60)
        found.append(alarm_states(ACCOUNT, REGION, ["sparse"])["sparse"])
    assert ["ALARM", "ALARM", "ALARM", "OK", "OK"] == found


def test_alarms_above_alarms_follow_at_once(world: World) -> None:
    """In the same sweep, however many stand above one another."""
    world.alarm("a")
    world.composite("b", "ALARM(a)")
    world.composite("c", "ALARM(b) AND NOT ALARM(d)")
    world.composite("d", "FALSE")
    world.record(5)
    world.sweep_after(60.5)
    assert {"a": "ALARM", "b": "ALARM", "c": "ALARM", "d": "OK"} == alarm_states(
        ACCOUNT, REGION, ["a", "b", "c", "d", "e"]
    )
    world.sweep_after(600)
    assert ["ALARM", "OK"] == world.states("c")


def test_a_state_that_was_set_lasts_until_the_next_judgement(world: World) -> None:
    """As SetAlarmState says."""
    world.alarm("set")
    world.sweep_after(1)
    world.alarms.set_state(ACCOUNT, REGION, "set", "ALARM", "to see", None)
    world.sweep_after(1)
    assert {"set": "ALARM"} == alarm_states(ACCOUNT, REGION, ["set"])
    world.sweep_after(60)
    assert ["OK", "ALARM", "OK"] == world.states("set")


def test_a_percentile_of_too_few_values_changes_nothing(world: World) -> None:
    """Where the alarm says so; 200 values are enough for a p95."""
    options = {"Statistic": None, "ExtendedStatistic": "p95", "EvaluateLowSampleCountPercentile": "ignore"}
    world.alarm("few", **options)
    world.record(5)
    world.sweep_after(60.5)
    assert [] == world.states("few")
    for _ in range(200):
        world.record(5)
    world.sweep_after(60)
    world.sweep_after(120)
    assert "ALARM" in world.states("few")
