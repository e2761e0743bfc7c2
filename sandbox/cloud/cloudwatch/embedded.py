"""Metrics in log lines: CloudWatch's embedded metric format, read by its specification.

docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html. What is not
of the format is a log line like any other: nobody is told.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST_DIMENSIONS: Final = 30
_MOST_METRICS: Final = 100
_MOST_VALUES: Final = 100
_RESOLUTIONS: Final = (1, 60)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A metric's values in one line.

    Attributes:
        namespace: of the metric.
        name: of the metric.
        dimensions: of the metric.
        values: of it.
        unit: of the values.
        resolution: seconds, 1 or 60.
        moment: when, seconds since the epoch; None: when the line was written.
    """

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    values: tuple[float, ...]
    unit: str
    resolution: int
    moment: float | None


def measurements(line: str) -> Iterator[Measurement]:
    """Yield the metrics that a log line carries."""
    if '"_aws"' not in line or not line.lstrip().startswith("{"):
        return
    try:
        root = json.loads(line)
    except ValueError:
        return
    metadata = root.get("_aws")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("CloudWatchMetrics"), list):
        return
    stamp = metadata.get("Timestamp")
    moment = stamp / 1000 if isinstance(stamp, (int, float)) and not isinstance(stamp, bool) else None
    for directive in metadata["CloudWatchMetrics"]:
        if isinstance(directive, dict):
            yield from _directed(directive, root, moment)


def _directed(directive: Mapping[str, Any], root: Mapping[str, Any], moment: float | None) -> Iterator[Measurement]:
    namespace, sets, metrics = (directive.get(name) for name in ("Namespace", "Dimensions", "Metrics"))
    if not (isinstance(namespace, str) and namespace and isinstance(metrics, list)):
        return
    for definition in metrics[:_MOST_METRICS]:
        name = definition.get("Name") if isinstance(definition, dict) else None
        values = _values(root.get(name)) if isinstance(name, str) else ()
        if not values:
            continue
        resolution = definition.get("StorageResolution", 60)
        for keys in sets if isinstance(sets, list) else [[]]:
            dimensions = _dimensions(keys, root)
            if dimensions is not None:
                yield Measurement(
                    namespace=namespace,
                    name=str(name),
                    dimensions=dimensions,
                    values=values,
                    unit=str(definition.get("Unit", "None")),
                    resolution=resolution if resolution in _RESOLUTIONS else 60,
                    moment=moment,
                )


def _values(target: Any) -> tuple[float, ...]:
    """Return the values of a metric's member: a number, or up to 100 of them."""
    given = target if isinstance(target, list) else [target]
    if len(given) > _MOST_VALUES:
        return ()
    if not all(isinstance(one, (int, float)) and not isinstance(one, bool) and math.isfinite(one) for one in given):
        return ()
    return tuple(float(one) for one in given)


def _dimensions(keys: Any, root: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the dimensions that a set names; None where a member is missing or no text."""
    if not isinstance(keys, list) or len(keys) > _MOST_DIMENSIONS:
        return None
    found = {str(key): root.get(str(key)) for key in keys}
    if not all(isinstance(value, str) and value for value in found.values()):
        return None
    return {key: str(value) for key, value in found.items()}
