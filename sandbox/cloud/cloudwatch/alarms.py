"""Alarms: what they are, how they change as time passes, and what is told of that.

Records are the emulator's own stores, in the shape in which DescribeAlarms tells them, so that they are saved with the
account and the emulator's other services see them. A metric alarm is judged once a minute of the sandbox's time (one
with a shorter period every ten seconds), over a window that slides with it; no minute is left out when the machine is
slow, so that what an alarm does depends on the datapoints alone.
"""

# ruff: noqa: SLF001 — the emulator's records are what is kept

from __future__ import annotations

import datetime as dt
import json
import logging
from typing import TYPE_CHECKING, Any, Final, Literal

from sandbox.cloud import patches
from sandbox.cloud.cloudwatch import notifications, rules
from sandbox.cloud.cloudwatch.expressions import ExpressionError
from sandbox.cloud.cloudwatch.judgement import Point, Terms, Verdict, judge, looked_at
from sandbox.cloud.cloudwatch.notifications import ActionError
from sandbox.cloud.cloudwatch.queries import Queries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sandbox.cloud.clock import Clock
    from sandbox.cloud.cloudwatch.store import Store

    Record = dict[str, Any]
    Key = tuple[str, str, str]
    Kind = Literal["MetricAlarm", "CompositeAlarm"]

_log = logging.getLogger("sandbox.cloudwatch")

WATCHED: Final = "m"
"""The id of the one query of an alarm that watches a metric without metric math."""
_ACTIONS: Final = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
_MINUTE: Final = 60
_SHORT: Final = 10
_LATE: Final = 0.2  # real seconds that are waited for what is still being measured when a minute ends
_MOST_MISSED: Final = 60
_LONGEST_HISTORY: Final = 200  # items of one alarm
_DEEPEST: Final = 10  # composite alarms above one another


def alarm_states(account: str, region: str, names: Iterable[str]) -> dict[str, str]:
    """Return the states of alarms, as DescribeAlarms tells them now.

    Args:
        account: 12 digits.
        region: the region.
        names: of metric or composite alarms.

    Returns:
        "OK", "ALARM" or "INSUFFICIENT_DATA" by name; what does not exist is left out.
    """
    (module,) = patches.modules("cloudwatch")
    found = {
        name: module._alarms.get_scoped(account, region, name)
        or module._composite_alarms.get_scoped(account, region, name)
        for name in names
    }
    return {name: record["StateValue"] for name, record in found.items() if record}


class Alarms:
    """All alarms of the sandbox."""

    def __init__(self, clock: Clock, store: Store) -> None:
        """Take the emulator's stores over.

        Args:
            clock: the sandbox's.
            store: what alarms watch.
        """
        (module,) = patches.modules("cloudwatch")
        for name in ("_alarms", "_composite_alarms", "_alarm_history", "_resource_tags"):
            patches.expect(module, name)
        self._stores: dict[Kind, Any] = {"MetricAlarm": module._alarms, "CompositeAlarm": module._composite_alarms}
        self._history = module._alarm_history
        self.tags = module._resource_tags
        self._clock = clock
        self._store = store
        self._judged: dict[Key, int] = {}
        self._queries: dict[Key, tuple[Record, Queries, str]] = {}
        self._stirred: set[tuple[str, str]] = set()
        """Accounts and regions in which an alarm changed since composite alarms were looked at."""
        self._changed: dict[tuple[str, str], list[str]] = {}

    # -- what there is ------------------------------------------------------------------------------------------------

    def get(self, account: str, region: str, name: str) -> Record | None:
        """Return an alarm of either kind."""
        for store in self._stores.values():
            if (found := store.get_scoped(account, region, name)) is not None:
                record: Record = found
                return record
        return None

    def all(self, account: str, region: str, kind: Kind) -> list[Record]:
        """Return the alarms of a kind, by name."""
        found: list[Record] = self._stores[kind].values_scoped(account, region)
        return sorted(found, key=lambda record: str(record["AlarmName"]))

    def put(self, account: str, region: str, kind: Kind, given: Mapping[str, Any]) -> None:
        """Make an alarm, or replace what it is but not its state.

        Args:
            account: whose it is.
            region: whose it is.
            kind: of it.
            given: as the API has it, checked.
        """
        name = given["AlarmName"]
        key, now = (account, region, name), self._clock.shown(self._clock.now())
        before = self._stores[kind].get_scoped(*key)
        state = before or {
            "StateValue": "INSUFFICIENT_DATA",
            "StateReason": "Unchecked: Initial alarm creation",
            "StateUpdatedTimestamp": now,
            "StateTransitionedTimestamp": now,
        }
        record = {
            "ActionsEnabled": True,
            **{member: [] for member in _ACTIONS.values()},
            **given,
            "AlarmArn": f"arn:aws:cloudwatch:{region}:{account}:alarm:{name}",
            "AlarmConfigurationUpdatedTimestamp": now,
            **{member: value for member, value in state.items() if member.startswith("State")},
        }
        self._stores[kind].set_scoped(*key, record)
        self._queries.pop(key, None)
        self._judged.pop(key, None)
        self._stirred.add(key[:2])
        self._note(
            key,
            kind,
            "ConfigurationUpdate",
            f'Alarm "{name}" {"updated" if before else "created"}',
            {"type": "Update" if before else "Create"},
        )

    def delete(self, account: str, region: str, name: str) -> None:
        """Forget an alarm; its history stays."""
        for kind, store in self._stores.items():
            if store.pop_scoped(account, region, name, None) is not None:
                self._note(
                    (account, region, name), kind, "ConfigurationUpdate", f'Alarm "{name}" deleted', {"type": "Delete"}
                )
        self.tags.pop(f"arn:aws:cloudwatch:{region}:{account}:alarm:{name}", None)
        self._stirred.add((account, region))

    def watching(self, account: str, region: str, name: str) -> list[str]:
        """Return the composite alarms whose rules name an alarm."""
        return [
            record["AlarmName"]
            for record in self.all(account, region, "CompositeAlarm")
            if name in {named(one) for one in rules.parse(record["AlarmRule"]).names()}
        ]

    def history(self, account: str, region: str) -> list[Record]:
        """Return what happened to the alarms of an account and region, also to those that are gone."""
        found = self._history.items_scoped(account, region)
        return [item for name, items in found if name != "entries" for item in items]

    def set_state(self, account: str, region: str, name: str, state: str, reason: str, data: str | None) -> None:
        """Put an alarm into a state until it is judged again."""
        for kind, store in self._stores.items():
            if (record := store.get_scoped(account, region, name)) is not None:
                self._change((account, region, name), kind, record, state, reason, data)

    # -- as time passes -----------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Judge every alarm whose time has come, then the composite alarms above those that changed."""
        until = self._clock.now() - _LATE * self._clock.scale
        for key, record in list(self._stores["MetricAlarm"]._data.items()):
            try:
                self._judge_until(key, record, until)
            except Exception:  # noqa: BLE001 — whatever one alarm does, the others go on
                _log.exception("the alarm %s was not evaluated", record.get("AlarmArn"))
        for home in list(self._stirred):
            self._stirred.discard(home)
            self._judge_composites(*home)
        self._judged = {key: end for key, end in self._judged.items() if key in self._stores["MetricAlarm"]._data}

    def _judge_until(self, key: Key, record: Record, until: float) -> None:
        watched, queries, identifier = self._watched(key, record)
        step = _SHORT if queries.period(identifier) < _MINUTE else _MINUTE
        last = int(until // step) * step
        first = max(self._judged.get(key, last - step) + step, last - _MOST_MISSED * step)
        for end in range(first, last + step, step):
            self._judge(key, watched, queries, identifier, end)
        self._judged[key] = last

    def _watched(self, key: Key, record: Record) -> tuple[Record, Queries, str]:
        """Return an alarm's queries and the id of the one that it judges."""
        known = self._queries.get(key)
        if known is None or known[0] is not record:
            given = queries_of(record)
            identifier = next(query["Id"] for query in given if query.get("ReturnData", True))
            known = self._queries[key] = (record, Queries(*key[:2], given), identifier)
        return known

    def _judge(self, key: Key, record: Record, queries: Queries, identifier: str, end: int) -> None:
        """Judge a metric alarm by what was measured until a moment of the sandbox's time."""
        period, periods = queries.period(identifier), record["EvaluationPeriods"]
        start = end - looked_at(periods, period) * period
        try:
            value = queries.value(self._store, identifier, start, end)
        except ExpressionError as error:
            _log.info("%s: %s", record["AlarmArn"], error)
            return
        if isinstance(value, list):  # several series are no datapoint: PutMetricAlarm refuses what always gives them
            return
        series = value if isinstance(value, dict) else dict.fromkeys(range(start, end, period), value)
        shown = self._clock.shown
        points = [Point(shown(at), series.get(at)) for at in range(start, end, period)]
        verdict = judge(terms_of(record), points)
        if verdict is None or self._too_few(record, queries, identifier, start, end):
            return
        if verdict.state != record["StateValue"]:
            data = _reason_data(record, verdict, period, shown(start), shown(self._clock.now()))
            self._change(key, "MetricAlarm", record, verdict.state, verdict.reason, data)

    def _too_few(self, record: Record, queries: Queries, identifier: str, start: int, end: int) -> bool:
        """Tell whether a percentile is of too few values to mean anything, where the alarm wants to know."""
        extended = record.get("ExtendedStatistic")
        if not extended or record.get("EvaluateLowSampleCountPercentile") != "ignore":
            return False
        one, share = queries.statistics[identifier], float(extended[1:]) / 100
        wanted = 10 / (1 - share if share >= 0.5 else share)  # AWS's own bound
        found = self._store.window(one.metric, start, end, one.period, one.unit, spread=False)
        return any(sample.count < wanted for sample in found.values())

    def _judge_composites(self, account: str, region: str) -> None:
        """Judge the composite alarms until none changes."""
        for _ in range(_DEEPEST):
            moved = False
            changed, self._changed[account, region] = self._changed.get((account, region), []), []
            for record in self.all(account, region, "CompositeAlarm"):
                rule = rules.parse(record["AlarmRule"])
                held = rule.holds(lambda reference: self._state_of(account, region, reference))
                state = "ALARM" if held else "OK"
                if state != record["StateValue"]:
                    children = {named(one) for one in rule.names()}
                    self._compose(account, region, record, state, [name for name in changed if name in children])
                    moved = True
            if not moved:
                return

    def _state_of(self, account: str, region: str, reference: str) -> str | None:
        record = self.get(account, region, named(reference))
        return record["StateValue"] if record else None

    def _compose(self, account: str, region: str, record: Record, state: str, changed: list[str]) -> None:
        """Put a composite alarm into a state, telling which children made it so."""
        children = [child for name in changed if (child := self.get(account, region, name))]
        reason = f"{record['AlarmArn']} was created and its alarm rule evaluates to {state}"
        if children:
            first = children[0]
            when = dt.datetime.fromtimestamp(first["StateUpdatedTimestamp"], dt.UTC)
            reason = f"{first['AlarmArn']} transitioned to {first['StateValue']} at {when:%A %d %B, %Y %H:%M:%S} UTC"
        triggering = [
            {
                "Arn": child["AlarmArn"],
                "State": {
                    "Value": child["StateValue"],
                    "Timestamp": notifications.moment(child["StateUpdatedTimestamp"]),
                },
            }
            for child in children
        ]
        data = json.dumps(
            {
                "triggeringAlarms": [
                    {
                        "arn": one["Arn"],
                        "state": {"value": one["State"]["Value"], "timestamp": one["State"]["Timestamp"]},
                    }
                    for one in triggering
                ]
            }
        )
        key = (account, region, record["AlarmName"])
        self._change(key, "CompositeAlarm", record, state, reason, data, triggering)

    def _change(
        self,
        key: Key,
        kind: Kind,
        record: Record,
        state: str,
        reason: str,
        data: str | None,
        children: list[dict[str, Any]] | None = None,
    ) -> None:
        """Put an alarm into a state, and take its actions where that is another one."""
        before, now = record["StateValue"], self._clock.shown(self._clock.now())
        earlier = {"stateValue": before, "stateReason": record["StateReason"]}
        record |= {"StateValue": state, "StateReason": reason, "StateUpdatedTimestamp": now}
        record.pop("StateReasonData", None)
        if data is not None:
            record["StateReasonData"] = data
        if state == before:
            return
        record["StateTransitionedTimestamp"] = now
        later = {"stateValue": state, "stateReason": reason}
        told = {
            "version": "1.0",
            "oldState": earlier,
            "newState": later if data is None else {**later, "stateReasonData": _decoded(data)},
        }
        self._note(key, kind, "StateUpdate", f"Alarm updated from {before} to {state}", told)
        self._changed.setdefault(key[:2], []).insert(0, key[2])
        self._stirred.add(key[:2])
        if record["ActionsEnabled"]:
            message = notifications.message(record, before, now, (children or []) if "AlarmRule" in record else None)
            for action in record[_ACTIONS[state]]:
                self._act(key, kind, record, action, message)

    def _act(self, key: Key, kind: Kind, record: Record, action: str, message: str) -> None:
        """Take an action; whether it could be stands in the history."""
        error = None
        try:
            notifications.publish(action, record, message)
        except ActionError as refused:
            error = str(refused)
            _log.warning("%s: %s", record["AlarmArn"], error)
        told = {
            "actionState": "Failed" if error else "Succeeded",
            "notificationResource": action,
            "stateUpdateTimestamp": int(record["StateUpdatedTimestamp"] * 1000),
            **({"error": error} if error else {"publishedMessage": json.loads(message)}),
        }
        summary = f'Failed to execute action {action}. Received error: "{error}"'
        self._note(key, kind, "Action", summary if error else f"Successfully executed action {action}", told)

    def _note(self, key: Key, kind: Kind, what: str, summary: str, data: Mapping[str, Any]) -> None:
        items: list[Record] = self._history.get_scoped(*key) or []
        item = {
            "AlarmName": key[2],
            "AlarmType": kind,
            "Timestamp": self._clock.shown(self._clock.now()),
            "HistoryItemType": what,
            "HistorySummary": summary,
            "HistoryData": json.dumps(data),
        }
        self._history.set_scoped(*key, [*items, item][-_LONGEST_HISTORY:])


def named(reference: str) -> str:
    """Return the name of an alarm that a rule names, by name or by ARN."""
    return reference.partition(":alarm:")[2] if reference.startswith("arn:") else reference


def queries_of(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what an alarm watches as queries: those that it was given, or one of its metric."""
    if "Metrics" in record:
        return list(record["Metrics"])
    of = {name: record[name] for name in ("Namespace", "MetricName", "Dimensions") if name in record}
    statistic = record.get("ExtendedStatistic") or record["Statistic"]
    stat = {"Metric": of, "Period": record["Period"], "Stat": statistic}
    if "Unit" in record:
        stat["Unit"] = record["Unit"]
    return [{"Id": WATCHED, "MetricStat": stat, "ReturnData": True}]


def terms_of(record: Mapping[str, Any]) -> Terms:
    """Return what an alarm asks of its datapoints."""
    return Terms(
        comparison=record["ComparisonOperator"],
        threshold=record["Threshold"],
        periods=record["EvaluationPeriods"],
        to_alarm=record.get("DatapointsToAlarm", record["EvaluationPeriods"]),
        missing=record.get("TreatMissingData", "missing"),
    )


def _reason_data(record: Mapping[str, Any], verdict: Verdict, period: int, start: float, now: float) -> str:
    statistic = record.get("ExtendedStatistic") or record.get("Statistic")
    told: dict[str, Any] = {
        "version": "1.0",
        "queryDate": notifications.moment(now),
        "startDate": notifications.moment(min((point.start for point in verdict.judged), default=start)),
    }
    if statistic:
        told["statistic"] = statistic
    told |= {
        "period": period,
        "recentDatapoints": [point.value for point in reversed(verdict.judged)],
        "threshold": record["Threshold"],
        "evaluatedDatapoints": [
            {"timestamp": notifications.moment(point.start), "value": point.value} for point in verdict.judged
        ],
    }
    return json.dumps(told)


def _decoded(data: str) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data


def every_action(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the actions of an alarm, in all states."""
    for member in _ACTIONS.values():
        yield from record.get(member, ())
