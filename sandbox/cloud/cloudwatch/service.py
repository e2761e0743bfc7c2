"""The operations of CloudWatch, in place of the emulator's."""

# ruff: noqa: SLF001 — the emulator's records of dashboards are what is kept

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import re
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud import patches, scope
from sandbox.cloud.cloudwatch import rules, wire
from sandbox.cloud.cloudwatch.alarms import WATCHED, Alarms, every_action, named, queries_of
from sandbox.cloud.cloudwatch.expressions import ExpressionError
from sandbox.cloud.cloudwatch.judgement import OPERATORS, TREATMENTS
from sandbox.cloud.cloudwatch.queries import Queries, check_period, check_statistic, dimensions
from sandbox.cloud.cloudwatch.store import HIGH, STANDARD, Sample, Store, metric
from sandbox.cloud.cloudwatch.wire import ServiceError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from sandbox.cloud.clock import Clock
    from sandbox.cloud.scope import Answer, Handler, Request

    Parameters = dict[str, Any]
    Result = dict[str, Any]

_log = logging.getLogger("sandbox.cloudwatch")

_FASTEST_SWEEP: Final = 0.05
_SLOWEST_SWEEP: Final = 1.0
_TWO_WEEKS: Final = 14 * 86400
_TWO_HOURS: Final = 2 * 3600
_DAY: Final = 86400
_LARGEST: Final = 2.0**360
_MOST_DIMENSIONS: Final = 30
_MOST_DATUMS: Final = 1000
_MOST_VALUES: Final = 150
_MOST_DATAPOINTS: Final = 1440
_MOST_RESULTS: Final = 100_800
_MOST_LISTED: Final = 500
_MOST_TAGS: Final = 50
_RECENTLY: Final = 3 * 3600
_PERIODS_OF_ALARMS: Final = (10, 20, 30)
_NOT_PLAYED: Final = {
    "ThresholdMetricId": "anomaly detection",
    "EvaluationWindow": "evaluation windows",
    "WarmUpConfiguration": "warm-up periods",
    "EvaluationCriteria": "PromQL",
    "EvaluationInterval": "PromQL",
    "ActionsSuppressor": "suppressed actions",
    "ActionsSuppressorWaitPeriod": "suppressed actions",
    "ActionsSuppressorExtensionPeriod": "suppressed actions",
    "EntityMetricData": "entities",
}
_OF_ONE_METRIC: Final = (
    "Namespace",
    "MetricName",
    "Dimensions",
    "Period",
    "Unit",
    "Statistic",
    "ExtendedStatistic",
)
_DASHBOARD_NAME: Final = re.compile(r"^[A-Za-z0-9_-]{1,255}$")
_ARN: Final = re.compile(r"^arn:aws[a-z-]*:cloudwatch:([a-z0-9-]*):(\d{12}):(alarm:.+|dashboard/.+)$")


class CloudWatch:
    """The service."""

    def __init__(self, clock: Clock) -> None:
        """Take over from the emulator's CloudWatch.

        Args:
            clock: the sandbox's.
        """
        (module,) = patches.modules("cloudwatch")
        patches.expect(module, "_dashboards")
        self.clock = clock
        self.store = Store()
        self.alarms = Alarms(clock, self.store)
        self._dashboards = module._dashboards
        self._measures: list[Callable[[], Awaitable[None]]] = []
        self._sweeper: asyncio.Task[None] | None = None
        self._operations: dict[str, Callable[[Parameters], Result]] = {
            "PutMetricData": self._put_metric_data,
            "GetMetricData": self._get_metric_data,
            "GetMetricStatistics": self._get_metric_statistics,
            "ListMetrics": self._list_metrics,
            "PutMetricAlarm": self._put_metric_alarm,
            "PutCompositeAlarm": self._put_composite_alarm,
            "DescribeAlarms": self._describe_alarms,
            "DescribeAlarmsForMetric": self._describe_alarms_for_metric,
            "DescribeAlarmHistory": self._describe_alarm_history,
            "DeleteAlarms": self._delete_alarms,
            "SetAlarmState": self._set_alarm_state,
            "EnableAlarmActions": lambda asked: self._switch_actions(asked, on=True),
            "DisableAlarmActions": lambda asked: self._switch_actions(asked, on=False),
            "PutDashboard": self._put_dashboard,
            "GetDashboard": self._get_dashboard,
            "ListDashboards": self._list_dashboards,
            "DeleteDashboards": self._delete_dashboards,
            "TagResource": self._tag_resource,
            "UntagResource": self._untag_resource,
            "ListTagsForResource": self._list_tags,
        }
        patches.wrap_service("monitoring", self)
        patches.keep_metrics(self)

    def measure(self, one: Callable[[], Awaitable[None]]) -> None:
        """Have something called with every sweep, before alarms are judged: what a service measures by itself."""
        self._measures.append(one)

    def start(self) -> None:
        """Begin to judge alarms."""
        self._sweeper = asyncio.create_task(self._sweep_on())

    async def close(self) -> None:
        """Judge nothing more."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)

    async def _sweep_on(self) -> None:
        while True:
            await asyncio.sleep(max(_FASTEST_SWEEP, min(_SLOWEST_SWEEP, self.clock.real(10))))
            for measure in self._measures:
                try:
                    await measure()
                except Exception:  # noqa: BLE001 — whatever is not measured now, the rest goes on
                    _log.exception("a service was not measured")
            try:
                self.alarms.sweep()
                self.store.sweep(self.clock.now())
            except Exception:  # noqa: BLE001 — the next sweep may do better
                _log.exception("alarms were not evaluated")

    def state(self) -> dict[str, Any]:
        """Return what is saved beside the emulator's own records; metrics mean nothing without their clock."""
        return {"clock": self.clock.state(), "metrics": self.store.state()}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on with what was saved."""
        self.clock.resume(state["clock"])
        self.store.resume(state["metrics"])

    def record(self, namespace: str, name: str, value: float, unit: str, of: Mapping[str, str]) -> None:
        """Measure something now, in the account and region being acted in.

        Args:
            namespace: e.g. "AWS/Lambda".
            name: of the metric.
            value: of it.
            unit: of the value.
            of: its dimensions.
        """
        from ministack.core.responses import get_account_id

        measured = metric(str(get_account_id()), scope.region(), namespace, name, of)
        self.store.record(measured, self.clock.now(), unit, value)

    async def __call__(self, inner: Handler, request: Request) -> Answer:
        """Answer a request."""
        del inner
        try:
            asked = wire.read(request)
            operation = self._operations.get(asked.operation)
            if operation is None:
                raise ServiceError("InvalidAction", f"the sandbox does not play {asked.operation}")  # noqa: TRY301
            for name in asked.parameters:
                if name in _NOT_PLAYED:
                    raise ValidationError(f"the sandbox plays no {_NOT_PLAYED[name]}: leave {name} out")
            return wire.answer(asked, operation(asked.parameters))
        except ServiceError as error:
            return wire.refusal(wire.protocol(request), error)

    @property
    def _home(self) -> tuple[str, str]:
        from ministack.core.responses import get_account_id

        return str(get_account_id()), scope.region()

    # -- metrics ------------------------------------------------------------------------------------------------------

    def _put_metric_data(self, asked: Parameters) -> Result:
        namespace = asked["Namespace"]
        if namespace.startswith("AWS/"):
            raise _invalid(f"The value {namespace} for parameter Namespace is invalid.")
        datums = asked.get("MetricData", ())
        if not datums:
            raise ServiceError("MissingParameter", "The parameter MetricData is required.")
        if len(datums) > _MOST_DATUMS:
            raise _invalid(f"The collection MetricData must not have a size greater than {_MOST_DATUMS}.")
        account, region = self._home
        read = [self._datum(datum, f"MetricData.member.{at}") for at, datum in enumerate(datums, 1)]
        for datum, (moment, sample) in zip(datums, read, strict=True):
            if sample.count:
                of = metric(account, region, namespace, datum["MetricName"], dimensions(datum.get("Dimensions", ())))
                resolution = datum.get("StorageResolution", STANDARD)
                self.store.merge(of, moment, datum.get("Unit", "None"), sample, resolution)
        return {}

    def _datum(self, datum: Mapping[str, Any], path: str) -> tuple[float, Sample]:
        """Return when a datum was measured, in the sandbox's time, and its values."""
        if len(datum.get("Dimensions", ())) > _MOST_DIMENSIONS:
            raise _invalid(f"The collection {path}.Dimensions must not have a size greater than {_MOST_DIMENSIONS}.")
        if datum.get("StorageResolution", STANDARD) not in (HIGH, STANDARD):
            raise _invalid(f"The value for parameter {path}.StorageResolution must be 1 or 60.")
        now = self.clock.shown(self.clock.now())
        when = datum.get("Timestamp", now)
        if not now - _TWO_WEEKS <= when <= now + _TWO_HOURS:
            raise _invalid(
                f"The parameter {path}.Timestamp must specify a time no more than two weeks in the past and "
                "no more than two hours in the future."
            )
        given = [name for name in ("Value", "Values", "StatisticValues") if name in datum]
        if not given:
            raise ServiceError(
                "MissingParameter",
                f"At least one of the parameters must be specified: {path}.Value, "
                f"{path}.Values, {path}.StatisticValues.",
            )
        if len(given) > 1:
            raise ServiceError(
                "InvalidParameterCombination",
                f"The parameters {path}.{given[0]} and {path}.{given[1]} are mutually exclusive and you have "
                "specified both.",
            )
        sample = Sample()
        if "StatisticValues" in datum:
            told = datum["StatisticValues"]
            values = [told[name] for name in ("SampleCount", "Sum", "Minimum", "Maximum")]
            _check_values(values, f"{path}.StatisticValues")
            if told["SampleCount"] < 0 or told["Maximum"] < told["Minimum"]:
                raise _invalid(f"The value for parameter {path}.StatisticValues is invalid.")
            if told["SampleCount"]:
                sample.add_set(*values)
            return self.clock.at(when), sample
        many = datum.get("Values", [datum.get("Value")])
        counts = datum.get("Counts", [1.0] * len(many))
        if len(many) > _MOST_VALUES:
            raise _invalid(f"The collection {path}.Values must not have a size greater than {_MOST_VALUES}.")
        if len(counts) != len(many):
            raise _invalid(f"The parameters {path}.Values and {path}.Counts must be of the same size.")
        _check_values([*many, *counts], f"{path}.{given[0]}")
        for value, count in zip(many, counts, strict=True):
            if count > 0:
                sample.add(value, count)
        return self.clock.at(when), sample

    def _range(self, asked: Parameters) -> tuple[float, float]:
        """Return the range of a query in the sandbox's time; how fast the future will be is not known yet."""
        start, end = asked["StartTime"], asked["EndTime"]
        if start >= end:
            raise ValidationError("The parameter StartTime must be less than the parameter EndTime.")
        now = self.clock.now()
        shown = self.clock.shown(now)
        first, last = (self.clock.at(one) if one <= shown else now + one - shown for one in (start, end))
        return first, last

    def _get_metric_data(self, asked: Parameters) -> Result:
        start, end = self._range(asked)
        given = asked["MetricDataQueries"]
        queries = Queries(*self._home, given)
        results = []
        for query in given:
            if query.get("ReturnData", True):
                results += self._results(query, queries, start, end, asked.get("ScanBy") == "TimestampAscending")
        return {"MetricDataResults": results, "Messages": []}

    def _results(
        self, query: Mapping[str, Any], queries: Queries, start: float, end: float, ascending: bool
    ) -> list[Result]:
        """Return the results of a query: an array of time series is several."""
        identifier = query["Id"]
        period = queries.period(identifier)
        first = _first(start, period)
        last = math.ceil((end - first) / period) * period + first
        first = max(first, last - _MOST_RESULTS * period)  # what a client asks for is longer in the sandbox's time
        try:
            value = queries.value(self.store, identifier, first, last)
        except ExpressionError as error:
            raise ValidationError(f"Error in expression '{identifier}': {error}") from error
        if isinstance(value, float):
            value = dict.fromkeys(range(first, last, period), value)
        label = query.get("Label")
        if label is None:
            one = queries.statistics.get(identifier)
            label = one.metric.name if one else identifier
        results = []
        for series in value if isinstance(value, list) else [value]:
            moments = sorted((at for at in series if first <= at < end), reverse=not ascending)
            results.append(
                {
                    "Id": identifier,
                    "Label": label,
                    "Timestamps": [self.clock.shown(at) for at in moments],
                    "Values": [series[at] for at in moments],
                    "StatusCode": "Complete",
                }
            )
        return results

    def _get_metric_statistics(self, asked: Parameters) -> Result:
        start, end = self._range(asked)
        basic, extended = asked.get("Statistics", ()), asked.get("ExtendedStatistics", ())
        if not basic and not extended:
            raise ServiceError(
                "MissingParameter", "At least one of the parameters must be specified: Statistics, ExtendedStatistics."
            )
        period = asked["Period"]
        check_period(period)
        for name in extended:
            check_statistic(name)
        if (asked["EndTime"] - asked["StartTime"]) / period > _MOST_DATAPOINTS:
            raise ServiceError(
                "InvalidParameterCombination",
                f"You have requested up to {math.ceil((asked['EndTime'] - asked['StartTime']) / period):,} datapoints, "
                f"which exceeds the limit of {_MOST_DATAPOINTS:,}. You may reduce the datapoints requested by "
                "increasing Period, or decreasing the time range.",
            )
        of = metric(*self._home, asked["Namespace"], asked["MetricName"], dimensions(asked.get("Dimensions", ())))
        points = []
        first = _first(start, period)
        for unit in [asked["Unit"]] if "Unit" in asked else self.store.units(of):
            for at, sample in self.store.window(of, first, math.ceil(end), period, unit).items():
                point = {"Timestamp": self.clock.shown(at), "Unit": unit}
                point |= {name: sample.statistic(name) for name in basic}
                told = {name: value for name in extended if (value := sample.statistic(name)) is not None}
                points.append({**point, "ExtendedStatistics": told} if told else point)
        return {"Label": asked["MetricName"], "Datapoints": points}

    def _list_metrics(self, asked: Parameters) -> Result:
        wanted = asked.get("Dimensions", ())
        found = []
        for one in self.store.metrics(*self._home):
            known = dict(one.dimensions)
            if (
                asked.get("Namespace", one.namespace) == one.namespace
                and asked.get("MetricName", one.name) == one.name
                and all(_has(known, each) for each in wanted)
                and ("RecentlyActive" not in asked or self.store.last(one) >= self.clock.now() - _RECENTLY)
            ):
                listed = [{"Name": name, "Value": value} for name, value in one.dimensions]
                found.append({"Namespace": one.namespace, "MetricName": one.name, "Dimensions": listed})
        page, token = _page(found, _MOST_LISTED, asked.get("NextToken"))
        return {"Metrics": page, "NextToken": token}

    # -- alarms -------------------------------------------------------------------------------------------------------

    def _put_metric_alarm(self, asked: Parameters) -> Result:
        account, region = self._home
        given = {name: value for name, value in asked.items() if name != "Tags"}
        _check_alarm(given)
        queries = queries_of(given)
        read = Queries(account, region, queries)
        watched = [query["Id"] for query in queries if query.get("ReturnData", True)]
        if len(watched) != 1:
            raise ValidationError("Exactly one element of the metrics list should return data.")
        period = read.period(watched[0])
        if period not in _PERIODS_OF_ALARMS and period % 60:
            raise ValidationError("Period must be 10, 20, 30 or a multiple of 60")
        most = _DAY if period < 3600 else 7 * _DAY
        if period * given["EvaluationPeriods"] > most:
            raise ValidationError(
                "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400)."
                if most == _DAY
                else "EvaluationPeriods * Period must be <= 604800."
            )
        if watched[0] != WATCHED or "Metrics" in given:
            _check_single(read, watched[0], period)
        if "CompositeAlarm" in self._kinds(given["AlarmName"]):
            raise ValidationError(f"The alarm {given['AlarmName']} is a composite alarm.")
        self._put("MetricAlarm", given, asked.get("Tags"))
        return {}

    def _put_composite_alarm(self, asked: Parameters) -> Result:
        account, region = self._home
        given = {name: value for name, value in asked.items() if name != "Tags"}
        _check_actions(given)
        try:
            rule = rules.parse(given["AlarmRule"])
        except rules.RuleError as error:
            raise ValidationError(str(error)) from error
        missing = [
            name for name in dict.fromkeys(map(named, rule.names())) if not self.alarms.get(account, region, name)
        ]
        if missing:
            raise ValidationError(
                f"Could not save the composite alarm as alarms [{', '.join(missing)}] in the alarm rule do not exist"
            )
        if "MetricAlarm" in self._kinds(given["AlarmName"]):
            raise ValidationError(f"The alarm {given['AlarmName']} is a metric alarm.")
        self._put("CompositeAlarm", given, asked.get("Tags"))
        return {}

    def _put(self, kind: Any, given: Parameters, tags: Sequence[Mapping[str, str]] | None) -> None:
        """Make or replace an alarm; tags count at its creation only."""
        account, region = self._home
        if tags and not self._kinds(given["AlarmName"]):
            self._tag(f"arn:aws:cloudwatch:{region}:{account}:alarm:{given['AlarmName']}", tags)
        self.alarms.put(account, region, kind, given)

    def _kinds(self, name: str) -> list[str]:
        """Return the kind of an alarm; empty where there is none."""
        record = self.alarms.get(*self._home, name)
        return [] if record is None else ["CompositeAlarm" if "AlarmRule" in record else "MetricAlarm"]

    def _describe_alarms(self, asked: Parameters) -> Result:
        account, region = self._home
        kinds = asked.get("AlarmTypes") or ["MetricAlarm"]
        exclusive = [name for name in ("AlarmNames", "AlarmNamePrefix") if name in asked]
        if len(exclusive) > 1:
            raise ValidationError("AlarmNamePrefix and AlarmNames cannot both be specified")
        family: set[str] | None = None
        if "ChildrenOfAlarmName" in asked:
            parent = self.alarms.get(account, region, asked["ChildrenOfAlarmName"]) or {}
            family = (
                {named(one) for one in rules.parse(parent["AlarmRule"]).names()} if "AlarmRule" in parent else set()
            )
            kinds = ["MetricAlarm", "CompositeAlarm"]
        elif "ParentsOfAlarmName" in asked:
            family = set(self.alarms.watching(account, region, asked["ParentsOfAlarmName"]))
            kinds = ["CompositeAlarm"]
        found = [
            (kind, record)
            for kind in ("CompositeAlarm", "MetricAlarm")
            if kind in kinds
            for record in self.alarms.all(account, region, kind)
            if _asked_for(asked, record, family)
        ]
        page, token = _page(found, asked.get("MaxRecords", 50), asked.get("NextToken"))
        return {
            **{f"{kind}s": [one for told, one in page if told == kind] for kind in ("CompositeAlarm", "MetricAlarm")},
            "NextToken": token,
        }

    def _describe_alarms_for_metric(self, asked: Parameters) -> Result:
        alike = [name for name in ("Statistic", "ExtendedStatistic", "Period", "Unit") if name in asked]

        def fits(record: Mapping[str, Any]) -> bool:
            return all(record.get(name) == asked[name] for name in alike) and any(
                _is_of(query.get("MetricStat", {}).get("Metric", {}), asked) for query in queries_of(record)
            )

        return {"MetricAlarms": [one for one in self.alarms.all(*self._home, "MetricAlarm") if fits(one)]}

    def _describe_alarm_history(self, asked: Parameters) -> Result:
        found = [
            item
            for item in self.alarms.history(*self._home)
            if asked.get("AlarmName", item["AlarmName"]) == item["AlarmName"]
            and item["AlarmType"] in (asked.get("AlarmTypes") or ["MetricAlarm"])
            and asked.get("HistoryItemType", item["HistoryItemType"]) == item["HistoryItemType"]
            and asked.get("StartDate", 0.0) <= item["Timestamp"] <= asked.get("EndDate", math.inf)
        ]
        ascending = asked.get("ScanBy") == "TimestampAscending"
        found = sorted(found, key=lambda item: float(item["Timestamp"]))
        page, token = _page(found if ascending else found[::-1], asked.get("MaxRecords", 50), asked.get("NextToken"))
        return {"AlarmHistoryItems": page, "NextToken": token}

    def _existing(self, names: Iterable[str]) -> None:
        missing = [name for name in names if not self._kinds(name)]
        if missing:
            raise ServiceError("ResourceNotFound", f"Unable to find alarms [{', '.join(missing)}]", 404)

    def _delete_alarms(self, asked: Parameters) -> Result:
        names, home = asked["AlarmNames"], self._home
        self._existing(names)
        if sum("CompositeAlarm" in self._kinds(name) for name in names) > 1:
            raise ValidationError("Only one composite alarm can be deleted at a time.")
        for name in names:
            if set(self.alarms.watching(*home, name)) - set(names):
                raise ValidationError(f"Cannot delete {name} as there are composite alarm(s) depending on it.")
        for name in names:
            self.alarms.delete(*home, name)
        return {}

    def _set_alarm_state(self, asked: Parameters) -> Result:
        self._existing([asked["AlarmName"]])
        data = asked.get("StateReasonData")
        if data is not None:
            try:
                json.loads(data)
            except ValueError as error:
                raise ServiceError("InvalidFormat", "StateReasonData is no JSON") from error
        self.alarms.set_state(*self._home, asked["AlarmName"], asked["StateValue"], asked["StateReason"], data)
        return {}

    def _switch_actions(self, asked: Parameters, *, on: bool) -> Result:
        for name in asked["AlarmNames"]:  # AWS says nothing of those that there are not
            if record := self.alarms.get(*self._home, name):
                record["ActionsEnabled"] = on
        return {}

    # -- dashboards ---------------------------------------------------------------------------------------------------

    def _put_dashboard(self, asked: Parameters) -> Result:
        account, _ = self._home
        name, body = asked["DashboardName"], asked["DashboardBody"]
        faults = []
        if not _DASHBOARD_NAME.match(name):
            faults.append({"DataPath": "/", "Message": "The name must hold letters, digits, - and _ only"})
        with contextlib.suppress(ValueError):
            read = json.loads(body)
            if not isinstance(read, dict) or not isinstance(read.get("widgets"), list):
                faults.append({"DataPath": "/", "Message": "Should have property widgets"})
            body = read
        if isinstance(body, str):
            faults.append({"DataPath": "/", "Message": "The field DashboardBody must be a valid JSON object"})
        if faults:
            told = "; ".join(fault["Message"] for fault in faults)
            raise ServiceError(
                "InvalidParameterInput",
                f"The dashboard body is invalid, there are {len(faults)} validation errors: {told}",
            )
        arn = f"arn:aws:cloudwatch::{account}:dashboard/{name}"
        text = asked["DashboardBody"]
        if tags := asked.get("Tags"):
            self._tag(arn, tags)
        self._dashboards[name] = {
            "DashboardName": name,
            "DashboardArn": arn,
            "DashboardBody": text,
            "LastModified": self.clock.shown(self.clock.now()),
            "Size": len(text.encode()),
        }
        return {"DashboardValidationMessages": []}

    def _dashboard(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] | None = self._dashboards.get(name)
        if found is None:
            raise ServiceError("ResourceNotFound", f"Dashboard {name} does not exist", 404)
        return found

    def _get_dashboard(self, asked: Parameters) -> Result:
        return self._dashboard(asked["DashboardName"])

    def _list_dashboards(self, asked: Parameters) -> Result:
        prefix = asked.get("DashboardNamePrefix", "")
        found = [self._dashboards[name] for name in sorted(self._dashboards) if name.startswith(prefix)]
        page, token = _page(found, 1000, asked.get("NextToken"))
        return {"DashboardEntries": page, "NextToken": token}

    def _delete_dashboards(self, asked: Parameters) -> Result:
        found = [self._dashboard(name) for name in asked["DashboardNames"]]
        for one in found:
            del self._dashboards[one["DashboardName"]]
            self.alarms.tags.pop(one["DashboardArn"], None)
        return {}

    # -- tags ---------------------------------------------------------------------------------------------------------

    def _resource(self, arn: str) -> str:
        """Return an ARN, if there is what it names."""
        account, region = self._home
        found = _ARN.match(arn)
        if not found:
            raise _invalid(f"The value {arn} for parameter ResourceARN is invalid.")
        kind, name = re.split("[:/]", found[3], maxsplit=1)
        here = found[2] == account and found[1] == (region if kind == "alarm" else "")
        known = bool(self._kinds(name)) if kind == "alarm" else name in self._dashboards
        if not (here and known):
            raise ServiceError("ResourceNotFoundException", f"{arn} not found", 404)
        return arn

    def _tag(self, arn: str, tags: Iterable[Mapping[str, str]]) -> None:
        later = {**self.alarms.tags.get(arn, {}), **{tag["Key"]: tag["Value"] for tag in tags}}
        if any(key.lower().startswith("aws:") for key in later):
            raise ValidationError('The provided tag keys must not start with any case of "aws:"')
        if len(later) > _MOST_TAGS:
            raise ValidationError(f"The resultant tag set must not have more than {_MOST_TAGS} user tags.")
        self.alarms.tags[arn] = later

    def _tag_resource(self, asked: Parameters) -> Result:
        self._tag(self._resource(asked["ResourceARN"]), asked["Tags"])
        return {}

    def _untag_resource(self, asked: Parameters) -> Result:
        known = self.alarms.tags.get(self._resource(asked["ResourceARN"]), {})
        for key in asked["TagKeys"]:
            known.pop(key, None)
        return {}

    def _list_tags(self, asked: Parameters) -> Result:
        known = self.alarms.tags.get(self._resource(asked["ResourceARN"]), {})
        return {"Tags": [{"Key": key, "Value": value} for key, value in known.items()]}


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidParameterValue", message)


def _check_values(values: Iterable[float], path: str) -> None:
    for value in values:
        if not math.isfinite(value) or abs(value) > _LARGEST:
            raise _invalid(f"The value {value} for parameter {path} is invalid.")


def _check_alarm(given: Parameters) -> None:
    """Refuse what an alarm must not be, beside what the model forbids."""
    if ("Metrics" in given) == ("MetricName" in given):
        raise ValidationError("Exactly one of MetricName and Metrics must be specified.")
    for name in ("ComparisonOperator", "EvaluationPeriods", "Threshold"):
        if name not in given:
            raise ValidationError(f"The parameter {name} is required.")
    if given["ComparisonOperator"] not in OPERATORS:
        raise ValidationError(
            f"ComparisonOperator for static threshold alarms must be one of: [{', '.join(OPERATORS)}]"
        )
    if given.get("TreatMissingData", "missing") not in TREATMENTS:
        raise ValidationError(f"Option TreatMissingData must be one of [{', '.join(TREATMENTS)}]")
    if given.get("DatapointsToAlarm", 1) > given["EvaluationPeriods"]:
        raise ValidationError("DatapointsToAlarm must be less than or equal to EvaluationPeriods.")
    if not math.isfinite(given["Threshold"]):
        raise ValidationError("Threshold must be a finite number.")
    if "Metrics" in given:
        if both := [name for name in _OF_ONE_METRIC if given.get(name)]:
            raise ValidationError(f"{', '.join(both)} must not be specified together with Metrics.")
    else:
        for name in ("Namespace", "Period"):
            if name not in given:
                raise ValidationError(f"The parameter {name} is required.")
        if ("Statistic" in given) == ("ExtendedStatistic" in given):
            raise ValidationError("Must specify either Statistic or ExtendedStatistic, but not both.")
    _check_actions(given)


def _check_actions(given: Mapping[str, Any]) -> None:
    for action in every_action(given):
        if not re.match(r"^arn:aws[a-z-]*:[a-z0-9-]+:", action):
            raise ValidationError(f"Invalid arn syntax: {action}")


def _check_single(read: Queries, identifier: str, period: int) -> None:
    """Refuse an expression that gives several time series, or none that varies."""
    value = read.value(Store(), identifier, 0, period)
    if isinstance(value, list):
        raise ValidationError(f"The expression of '{identifier}' must return a single time series.")


def _asked_for(asked: Mapping[str, Any], record: Mapping[str, Any], family: set[str] | None) -> bool:
    name = record["AlarmName"]
    return (
        (family is None or name in family)
        and ("AlarmNames" not in asked or name in asked["AlarmNames"])
        and name.startswith(asked.get("AlarmNamePrefix", ""))
        and asked.get("StateValue", record["StateValue"]) == record["StateValue"]
        and ("ActionPrefix" not in asked or any(one.startswith(asked["ActionPrefix"]) for one in every_action(record)))
    )


def _has(known: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Tell whether dimensions have one that is asked for, by its name or by name and value."""
    name = wanted["Name"]
    return name in known and wanted.get("Value", known[name]) == known[name]


def _is_of(of: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Tell whether a metric is the one that is asked for."""
    return (of.get("Namespace"), of.get("MetricName")) == (asked["Namespace"], asked["MetricName"]) and dimensions(
        of.get("Dimensions", ())
    ) == dimensions(asked.get("Dimensions", ()))


def _first(start: float, period: int) -> int:
    """Return where the first period of a query begins, which the start of the query lies in."""
    return int(start // period) * period


def _page(found: Sequence[Any], size: int, token: str | None) -> tuple[Sequence[Any], str | None]:
    """Return a page and the token of the next one."""
    if token is not None and not token.isdigit():
        raise ServiceError("InvalidNextToken", f"The token {token} is invalid.")
    first = int(token or 0)
    return found[first : first + size], str(first + size) if first + size < len(found) else None
