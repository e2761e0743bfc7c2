"""Metrics and expressions over them, as alarms and dashboards take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_aws import cloudwatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

# What the functions themselves measure; see app/metrics.py.
NAMESPACE = "product-api"


@dataclass(frozen=True)
class Metric:
    """One metric under a name by which expressions know it.

    Attributes:
        id: The name, lower case.
        namespace: The service that measures it, or `NAMESPACE`.
        name: The metric.
        statistic: How the values of a period become one.
        dimensions: Of what it is measured.
    """

    id: str
    namespace: str
    name: str
    statistic: str
    dimensions: Mapping[str, pulumi.Input[str]]

    def query(self, period: int) -> cloudwatch.MetricAlarmMetricQueryArgs:
        """Return the query of an alarm's expression, over `period` seconds."""
        return cloudwatch.MetricAlarmMetricQueryArgs(
            id=self.id,
            return_data=False,
            metric=cloudwatch.MetricAlarmMetricQueryMetricArgs(
                namespace=self.namespace,
                metric_name=self.name,
                period=period,
                stat=self.statistic,
                dimensions=self.dimensions,
            ),
        )


def expression(formula: str, label: str) -> cloudwatch.MetricAlarmMetricQueryArgs:
    """Return the query whose value an alarm judges."""
    return cloudwatch.MetricAlarmMetricQueryArgs(id="value", expression=formula, label=label, return_data=True)


def share(part: str, whole: str) -> str:
    """Return the expression of a share in percent that is 0, and never unknown, where nothing happened."""
    return f"IF(FILL({whole}, 0) > 0, 100 * ({part}) / {whole}, 0)"
