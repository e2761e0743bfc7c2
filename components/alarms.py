"""Alarms at two levels: one that asks somebody to look, one that wakes somebody."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import cloudwatch

from components.metrics import NAMESPACE, Metric, expression, share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.notifications import Notifications
    from naming import Names

PERIOD = 60
GIB = 1024**3


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A level of one alarm, which may differ from stack to stack.

    Attributes:
        warning: Above it somebody should look.
        critical: Above it users suffer.
    """

    warning: float
    critical: float


# Requirements 64 to 66; 63, the response time, is a setting.
ERROR_PERCENT = Threshold(warning=1, critical=5)
MEMORY_PERCENT = Threshold(warning=80, critical=95)
CONNECTION_PERCENT = Threshold(warning=80, critical=95)
# Share of the storage that is free, below which; the rest of the alarms look above.
FREE_STORAGE_PERCENT = Threshold(warning=20, critical=10)


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What a stack's alarms and dashboard look at.

    Attributes:
        api_id: The HTTP API.
        api_function: The API function.
        migrator: The migrator.
        probe: The health probe.
        probe_minutes: Minutes between two probes.
        database: The instance.
        max_connections: Connections it accepts.
        storage_gb: Its storage, GiB.
        proxy: The database's proxy.
        dead_letters: The queue of failed invocations.
    """

    api_id: pulumi.Input[str]
    api_function: pulumi.Input[str]
    migrator: pulumi.Input[str]
    probe: pulumi.Input[str]
    probe_minutes: int
    database: pulumi.Input[str]
    max_connections: int
    storage_gb: int
    proxy: pulumi.Input[str]
    dead_letters: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class AlarmsArgs:
    """What is watched, at which thresholds, and who is told.

    Attributes:
        names: The stack's names.
        watched: What is watched.
        full: Whether also what is not yet felt is watched: throttles, storage, proxy, dead letters.
        response_time_ms: Slowest twentieth of responses, milliseconds.
        notifications: Who is told.
    """

    names: Names
    watched: Watched
    full: bool
    response_time_ms: Threshold
    notifications: Notifications


class Alarms(pulumi.ComponentResource):
    """What is wrong now.

    Attributes:
        arns: All alarms, for the dashboard.
    """

    arns: list[pulumi.Output[str]]

    def __init__(self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Alarms", name, None, opts)
        self._name, self._args = name, args
        self.arns = []
        self._felt()
        self._steps()
        if args.full:
            self._foreseen()
        self.register_outputs({})

    def _felt(self) -> None:
        """What users feel, or are about to."""
        watched = self._args.watched
        api = {"ApiId": watched.api_id}
        function = {"Function": watched.api_function}
        self._both(
            "response-time",
            "The slowest twentieth of responses take more than {} ms",
            self._args.response_time_ms,
            [Metric("latency", "AWS/ApiGateway", "Latency", "p95", api)],
            "latency",
        )
        self._both(
            "errors",
            "More than {}% of requests fail",
            ERROR_PERCENT,
            [
                Metric("errors", "AWS/ApiGateway", "5xx", "Sum", api),
                Metric("requests", "AWS/ApiGateway", "Count", "Sum", api),
            ],
            share("FILL(errors, 0)", "requests"),
        )
        self._both(
            "memory",
            "The API function uses more than {}% of its memory",
            MEMORY_PERCENT,
            [Metric("memory", NAMESPACE, "MemoryUsed", "Maximum", function)],
            "memory",
        )
        self._both(
            "connections",
            "More than {}% of the database's connections are in use",
            CONNECTION_PERCENT,
            [Metric("connections", "AWS/RDS", "DatabaseConnections", "Maximum", self._of_database())],
            f"100 * connections / {watched.max_connections}",
        )

    def _steps(self) -> None:
        """What runs by itself, and failed."""
        watched = self._args.watched
        # A probe that does not run measures nothing: that is not health.
        self._one(
            "probe",
            "The health probe fails, or does not run",
            "critical",
            [Metric("success", NAMESPACE, "ProbeSuccess", "Minimum", {"Function": watched.probe})],
            "1 - success",
            above=0,
            period=PERIOD * watched.probe_minutes,
            missing="breaching",
        )
        self._one(
            "migrator",
            "A migration failed",
            "critical",
            [
                Metric("failures", NAMESPACE, "MigrationFailures", "Sum", {"Function": watched.migrator}),
                Metric("crashes", "AWS/Lambda", "Errors", "Sum", {"FunctionName": watched.migrator}),
            ],
            "FILL(failures, 0) + FILL(crashes, 0)",
            above=0,
            periods=1,
        )

    def _foreseen(self) -> None:
        """What users do not feel yet."""
        watched = self._args.watched
        self._both(
            "throttles",
            "More than {}% of invocations are throttled",
            ERROR_PERCENT,
            [
                Metric("throttles", "AWS/Lambda", "Throttles", "Sum", {"FunctionName": watched.api_function}),
                Metric("invocations", "AWS/Lambda", "Invocations", "Sum", {"FunctionName": watched.api_function}),
            ],
            "IF(FILL(throttles, 0) > 0, 100 * throttles / (FILL(invocations, 0) + throttles), 0)",
        )
        free = [Metric("free", "AWS/RDS", "FreeStorageSpace", "Minimum", self._of_database())]
        total = watched.storage_gb * GIB
        self._both(
            "storage",
            "More than {}% of the database's storage are in use",
            Threshold(warning=100 - FREE_STORAGE_PERCENT.warning, critical=100 - FREE_STORAGE_PERCENT.critical),
            free,
            f"100 * ({total} - free) / {total}",
        )
        self._both(
            "proxy",
            "More than {}% of the connections that the proxy may open are in use",
            CONNECTION_PERCENT,
            [
                # A proxy is several machines, and each reports its own: their sum is the proxy's, as AWS says
                # (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.monitoring.html).
                Metric("used", "AWS/RDS", "DatabaseConnectionsCurrentlyBorrowed", "Sum", self._of_proxy()),
                Metric("allowed", "AWS/RDS", "MaxDatabaseConnectionsAllowed", "Sum", self._of_proxy()),
            ],
            share("FILL(used, 0)", "allowed"),
        )
        self._both(
            "dead-letters",
            "More than {} failed invocations wait to be looked at",
            Threshold(warning=0, critical=10),
            [
                Metric(
                    "waiting",
                    "AWS/SQS",
                    "ApproximateNumberOfMessagesVisible",
                    "Maximum",
                    {"QueueName": watched.dead_letters},
                )
            ],
            "waiting",
        )

    def _of_database(self) -> Mapping[str, pulumi.Input[str]]:
        return {"DBInstanceIdentifier": self._args.watched.database}

    def _of_proxy(self) -> Mapping[str, pulumi.Input[str]]:
        return {"ProxyName": self._args.watched.proxy}

    def _both(self, thing: str, what: str, threshold: Threshold, metrics: list[Metric], formula: str) -> None:
        for level in ("warning", "critical"):
            above = getattr(threshold, level)
            self._one(f"{thing}-{level}", what.format(f"{above:g}"), level, metrics, formula, above=above)

    def _one(
        self,
        thing: str,
        what: str,
        level: str,
        metrics: list[Metric],
        formula: str,
        *,
        above: float,
        period: int = PERIOD,
        periods: int = 3,
        missing: str = "notBreaching",
    ) -> None:
        """Declare one alarm: two of three minutes, say, so that one bad minute wakes nobody."""
        names, notifications = self._args.names, self._args.notifications
        topic = notifications.critical_arn if level == "critical" else notifications.warning_arn
        alarm = cloudwatch.MetricAlarm(
            f"{self._name}-{thing}",
            name=names.name(thing),
            alarm_description=f"{what} ({names.stack}, {level})",
            comparison_operator="GreaterThanThreshold",
            threshold=above,
            evaluation_periods=periods,
            datapoints_to_alarm=max(1, math.ceil(periods / 2)),
            treat_missing_data=missing,
            metric_queries=[*(metric.query(period) for metric in metrics), expression(formula, what)],
            alarm_actions=[topic],
            ok_actions=[topic],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arns.append(alarm.arn)
