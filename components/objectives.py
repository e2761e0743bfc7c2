"""The service's objectives, as alarms on how fast their error budgets burn.

A budget is what an objective leaves: 0.1% of a month. An alarm on the share of bad events alone is either late or
noisy; one on two windows, a long one that shows it matters and a short one that shows it goes on, is neither
(The Site Reliability Workbook, chapter 5, "Alerting on SLOs").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import cloudwatch

from components.metrics import NAMESPACE, Metric, expression, share

if TYPE_CHECKING:
    from components.alarms import Watched
    from components.notifications import Notifications
    from naming import Names


@dataclass(frozen=True)
class Burn:
    """How fast a budget may burn, over which windows, before somebody is told.

    Attributes:
        name: Its name in the alarms'.
        rate: Times the rate at which the budget would last exactly its month.
        long: Seconds of the window that shows it matters.
        short: Seconds of the window that shows it goes on.
        level: Who is told.
    """

    name: str
    rate: float
    long: int
    short: int
    level: str


# 2% of a month's budget in an hour; 5% in six.
BURNS = (
    Burn("fast", 14.4, 3600, 300, "critical"),
    Burn("slow", 6.0, 6 * 3600, 1800, "warning"),
)


@dataclass(frozen=True)
class Objective:
    """A share of bad events, in percent, that is still good.

    Attributes:
        name: Its name in the alarms'.
        what: What it promises, as people read it.
        budget_percent: The share of bad events that it leaves.
        metrics: What its formula is made of.
        formula: The share of bad events in percent.
    """

    name: str
    what: str
    budget_percent: float
    metrics: tuple[Metric, ...]
    formula: str


@dataclass(frozen=True, kw_only=True)
class ObjectivesArgs:
    """Whose objectives, and who is told.

    Attributes:
        names: The stack's names.
        watched: What is watched.
        notifications: Who is told.
    """

    names: Names
    watched: Watched
    notifications: Notifications


class Objectives(pulumi.ComponentResource):
    """Uptime 99.9%, 95% of responses under 200 ms, errors under 0.1% (requirements 91 to 93).

    Attributes:
        arns: The alarms that tell somebody, for the dashboard.
    """

    arns: list[pulumi.Output[str]]

    def __init__(self, name: str, args: ObjectivesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Objectives", name, None, opts)
        self.arns = [
            self._burns(name, args, objective, burn) for objective in _objectives(args.watched) for burn in BURNS
        ]
        self.register_outputs({})

    def _burns(self, name: str, args: ObjectivesArgs, objective: Objective, burn: Burn) -> pulumi.Output[str]:
        names = args.names
        thing = f"objective-{objective.name}-{burn.name}"
        what = f"{objective.what}: the budget burns {burn.rate:g} times too fast"
        # A share cannot exceed all: a budget of 5% that burns 14.4 times is 72%, one of 10% would never be seen.
        above = objective.budget_percent * burn.rate
        windows = {
            window: cloudwatch.MetricAlarm(
                f"{name}-{thing}-{window}",
                name=names.name(f"{thing}-{window}"),
                alarm_description=f"{what}, over {seconds // 60} minutes",
                comparison_operator="GreaterThanThreshold",
                threshold=round(above, 3),
                evaluation_periods=1,
                datapoints_to_alarm=1,
                treat_missing_data="notBreaching",
                metric_queries=[
                    *(metric.query(seconds) for metric in objective.metrics),
                    expression(objective.formula, objective.what),
                ],
                opts=pulumi.ResourceOptions(parent=self),
            )
            for window, seconds in (("long", burn.long), ("short", burn.short))
        }
        topic = args.notifications.critical_arn if burn.level == "critical" else args.notifications.warning_arn
        # The rule names the two by their names, which are known, and waits for them by hand.
        rule = " AND ".join(f'ALARM("{names.name(f"{thing}-{window}")}")' for window in windows)
        composite = cloudwatch.CompositeAlarm(
            f"{name}-{thing}",
            alarm_name=names.name(thing),
            alarm_description=f"{what} ({names.stack}, {burn.level})",
            alarm_rule=rule,
            alarm_actions=[topic],
            ok_actions=[topic],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*windows.values()]),
        )
        return composite.arn


def _objectives(watched: Watched) -> tuple[Objective, ...]:
    function = {"Function": watched.api_function}
    requests = Metric("requests", NAMESPACE, "Requests", "Sum", function)
    probe = {"Function": watched.probe}
    return (
        Objective(
            "uptime",
            "Up 99.9% of the time",
            0.1,
            (
                Metric("succeeded", NAMESPACE, "ProbeSuccess", "Sum", probe),
                Metric("probes", NAMESPACE, "ProbeSuccess", "SampleCount", probe),
            ),
            # One probe that failed is a blip, and in an hour of sixty already above the rate.
            "IF(FILL(probes, 0) - FILL(succeeded, 0) > 1, 100 * (probes - succeeded) / probes, 0)",
        ),
        Objective(
            "latency",
            "95% of responses under 200 ms",
            5,
            (requests, Metric("slow", NAMESPACE, "SlowRequests", "Sum", function)),
            share("FILL(slow, 0)", "requests"),
        ),
        Objective(
            "errors",
            "Errors under 0.1%",
            0.1,
            (requests, Metric("errors", NAMESPACE, "ServerErrors", "Sum", function)),
            share("FILL(errors, 0)", "requests"),
        ),
    )
