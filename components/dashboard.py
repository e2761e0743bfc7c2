"""One dashboard a stack: is it well, and what changed?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_aws import cloudwatch

from components.alarms import CONNECTION_PERCENT, MEMORY_PERCENT, Threshold
from components.metrics import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.alarms import Watched
    from naming import Names

WIDTH = 24
ROW = 6


@dataclass(frozen=True, kw_only=True)
class DashboardArgs:
    """What is shown.

    Attributes:
        names: The stack's names.
        watched: What is watched.
        alarm_arns: The alarms whose state is the answer to the first question.
        response_time_ms: Slowest twentieth of responses, milliseconds.
        log_group: Log group of the API function.
    """

    names: Names
    watched: Watched
    alarm_arns: Sequence[pulumi.Input[str]]
    response_time_ms: Threshold
    log_group: pulumi.Input[str]


class Dashboard(pulumi.ComponentResource):
    """Alarms first, then what users feel, then the versions that answer them, then what all of it stands on.

    Attributes:
        name: The dashboard's name.
    """

    name: pulumi.Output[str]

    def __init__(self, name: str, args: DashboardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Dashboard", name, None, opts)
        dashboard = cloudwatch.Dashboard(
            name,
            dashboard_name=args.names.name("overview"),
            dashboard_body=pulumi.Output.json_dumps({"start": "-PT3H", "widgets": _widgets(args)}, sort_keys=True),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.name = dashboard.dashboard_name
        self.register_outputs({"name": self.name})


def _widgets(args: DashboardArgs) -> list[dict[str, Any]]:
    names, watched = args.names, args.watched
    api: list[Any] = ["ApiId", watched.api_id]
    function: list[Any] = ["Function", watched.api_function]
    database: list[Any] = ["DBInstanceIdentifier", watched.database]
    proxy: list[Any] = ["ProxyName", watched.proxy]
    # A namespace with a hyphen in it must be quoted.
    versions = f'{{"{NAMESPACE}",Function,Version}} Function="{names.name("api")}"'

    def search(metric: str, statistic: str) -> list[Any]:
        return [
            {
                "expression": f"SEARCH('{versions} MetricName=\"{metric}\"', '{statistic}', 60)",
                "label": "version ${PROP('Dim.Version')}",
                "id": metric.lower(),
            }
        ]

    rows: list[list[dict[str, Any]]] = [
        [{"type": "alarm", "width": WIDTH, "properties": {"title": "Is it well?", "alarms": args.alarm_arns}}],
        [
            _graph(
                names,
                "Requests and errors",
                [["AWS/ApiGateway", "Count", *api], [".", "5xx", *api], [".", "4xx", *api]],
                "Sum",
            ),
            _graph(
                names,
                "Response time, ms",
                [
                    ["AWS/ApiGateway", "Latency", *api, {"stat": "p50", "label": "half"}],
                    ["...", {"stat": "p95", "label": "slowest twentieth"}],
                    ["...", {"stat": "p99", "label": "slowest hundredth"}],
                ],
                "p95",
                args.response_time_ms,
            ),
            _graph(
                names,
                "Health probe: 1 is well",
                [[NAMESPACE, "ProbeSuccess", "Function", watched.probe]],
                "Minimum",
            ),
        ],
        [
            _graph(names, "What changed: requests by version", [search("Requests", "Sum")], "Sum"),
            _graph(names, "Failed requests by version", [search("ServerErrors", "Sum")], "Sum"),
            _graph(names, "Response time by version, ms", [search("Latency", "p95")], "p95"),
        ],
        [
            _graph(
                names,
                "Memory, % of what the function has",
                [[NAMESPACE, "MemoryUsed", *function]],
                "Maximum",
                MEMORY_PERCENT,
            ),
            _graph(
                names,
                "Concurrency and throttles",
                [
                    ["AWS/Lambda", "ConcurrentExecutions", "FunctionName", watched.api_function, {"stat": "Maximum"}],
                    [".", "Throttles", ".", "."],
                ],
                "Sum",
            ),
            _graph(
                names,
                f"Database connections, of {watched.max_connections}",
                [
                    ["AWS/RDS", "DatabaseConnections", *database],
                    [".", "ClientConnections", *proxy, {"stat": "Sum"}],
                ],
                "Maximum",
                Threshold(
                    warning=CONNECTION_PERCENT.warning * watched.max_connections / 100,
                    critical=CONNECTION_PERCENT.critical * watched.max_connections / 100,
                ),
            ),
        ],
        [
            _graph(names, "Database CPU, %", [["AWS/RDS", "CPUUtilization", *database]], "Average"),
            _graph(names, "Database storage free, bytes", [["AWS/RDS", "FreeStorageSpace", *database]], "Minimum"),
            _graph(
                names,
                "Migrations that failed, dead letters",
                [
                    [NAMESPACE, "MigrationFailures", "Function", watched.migrator],
                    [
                        "AWS/SQS",
                        "ApproximateNumberOfMessagesVisible",
                        "QueueName",
                        watched.dead_letters,
                        {"stat": "Maximum"},
                    ],
                ],
                "Sum",
            ),
        ],
        [
            {
                "type": "log",
                "width": WIDTH,
                "properties": {
                    "title": "Latest errors",
                    "region": names.region,
                    "view": "table",
                    "query": pulumi.Output.concat(
                        "SOURCE '",
                        args.log_group,
                        "' | fields @timestamp, message, requestId, version | filter level = 'ERROR' "
                        "| sort @timestamp desc | limit 20",
                    ),
                },
            }
        ],
    ]
    return [
        {**widget, "x": index * widget["width"], "y": row * ROW, "height": ROW}
        for row, widgets in enumerate(rows)
        for index, widget in enumerate(widgets)
    ]


def _graph(
    names: Names, title: str, metrics: list[Any], statistic: str, threshold: Threshold | None = None
) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "title": title,
        "region": names.region,
        "view": "timeSeries",
        "stat": statistic,
        "period": 60,
        "metrics": metrics,
        "yAxis": {"left": {"min": 0}},
    }
    if threshold:
        properties["annotations"] = {
            "horizontal": [
                {"label": "warning", "value": threshold.warning, "color": "#ff9900"},
                {"label": "critical", "value": threshold.critical, "color": "#d13212"},
            ]
        }
    return {"type": "metric", "width": WIDTH // 3, "properties": properties}
