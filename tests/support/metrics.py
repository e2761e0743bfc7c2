"""What CloudWatch takes from a line of the log, by the specification of its embedded metric format."""

from __future__ import annotations

import json
import math
from typing import Any

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html, as far as it is used here.
UNITS = {"Count", "Milliseconds", "Percent", "Seconds"}

Metrics = dict[tuple[str, tuple[tuple[str, str], ...]], tuple[float, str]]


def metrics_in(log: str) -> list[Metrics]:
    """The metrics of each line that carries some: value and unit by name and dimensions.

    Raises:
        AssertionError: A line breaks the specification, and CloudWatch would take nothing from it.
    """
    return [_taken(line) for line in map(json.loads, log.splitlines()) if "_aws" in line]


def _taken(line: dict[str, Any]) -> Metrics:
    metadata = line["_aws"]
    assert set(metadata) == {"Timestamp", "CloudWatchMetrics"}
    assert isinstance(metadata["Timestamp"], int)
    assert metadata["Timestamp"] > 1_000_000_000_000, "milliseconds, not seconds"
    [directive] = metadata["CloudWatchMetrics"]
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    assert directive["Namespace"] == "product-api"
    taken: Metrics = {}
    for names in directive["Dimensions"]:
        dimensions = tuple((name, line[name]) for name in names)
        assert all(isinstance(value, str) and value for _, value in dimensions)
        for metric in directive["Metrics"]:
            assert set(metric) == {"Name", "Unit"}
            assert metric["Unit"] in UNITS
            value = line[metric["Name"]]
            assert isinstance(value, int | float)
            assert not isinstance(value, bool)
            assert math.isfinite(value)
            taken[metric["Name"], dimensions] = (value, metric["Unit"])
    return taken
