"""Metrics as members of log lines, from which CloudWatch takes them: its embedded metric format.

The format lets a document have further members, so a line that carries metrics is an ordinary line of the log as well:
no second line is paid for, no call of an API is waited for, and what a metric is about stands beside it.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# As components/metrics.py reads it.
NAMESPACE: Final = "product-api"

FUNCTION: Final = "Function"
VERSION: Final = "Version"

_lines = logging.getLogger(__name__)
# Who asks for fewer lines does not ask for fewer metrics: this logger's lines pass whatever the root's level is.
_lines.setLevel(logging.INFO)


class Unit(StrEnum):
    """CloudWatch's units, as far as they are used here."""

    COUNT = "Count"
    MILLISECONDS = "Milliseconds"
    PERCENT = "Percent"


@dataclass(frozen=True)
class Measure:
    """One value of a metric.

    Attributes:
        value: A finite number.
        unit: Its unit.
    """

    value: float
    unit: Unit


@dataclass(frozen=True, kw_only=True)
class Meter:
    """What one version of a function measures about itself.

    Attributes:
        function: The function's name.
        version: Its version.
        memory_mb: The memory that it has, MiB; None where nobody limits it.
        now: Seconds since the epoch.
        peak_kib: The most memory that this process has had, KiB; None where the system does not say.
    """

    function: str
    version: str
    memory_mb: int | None
    now: Callable[[], float] = time.time
    peak_kib: Callable[[], int | None]

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Meter:
        """Make a meter for the function that Lambda's own variables describe; it needs no other, and cannot fail.

        Args:
            variables: The process environment.
        """
        memory = variables.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
        return cls(
            function=variables.get("AWS_LAMBDA_FUNCTION_NAME", "local"),
            version=variables.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            memory_mb=int(memory) if memory.isdecimal() else None,
            peak_kib=peak_kib,
        )

    def write(
        self,
        message: str,
        measures: Mapping[str, Measure],
        *,
        by: Sequence[Sequence[str]],
        level: int = logging.INFO,
        **fields: object,
    ) -> None:
        """Write a line of the log that carries metrics.

        Args:
            message: What happened.
            measures: The metrics' values, by name.
            by: The sets of dimensions, each a metric of its own, out of `FUNCTION` and `VERSION`.
            level: The line's level.
            fields: What else the line says.
        """
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [list(dimensions) for dimensions in by],
            "Metrics": [{"Name": name, "Unit": measure.unit.value} for name, measure in measures.items()],
        }
        line: dict[str, Any] = {
            **fields,
            **{name: measure.value for name, measure in measures.items()},
            FUNCTION: self.function,
            VERSION: self.version,
            "_aws": {"Timestamp": int(self.now() * 1000), "CloudWatchMetrics": [directive]},
        }
        _lines.log(level, message, extra=line)

    def memory_used(self) -> Measure | None:
        """The most memory that this process has had, in percent of the function's; None where that is not known.

        Lambda gives an environment a microVM of its own with one process of ours in it, lets it serve one request at a
        time, and ends it when it needs more than the function has. So what matters is the process's peak over its whole
        life, which is also what Lambda reports as "Max Memory Used": it never falls, and belongs to the request that
        shows it only when it has just risen. Daemons beside the process (X-Ray's) are left out.
        """
        peak = self.peak_kib()
        if peak is None or self.memory_mb is None:
            return None
        return Measure(round(peak / 1024 / self.memory_mb * 100, 2), Unit.PERCENT)


def peak_kib() -> int | None:
    """The most memory that this process has had resident, KiB; None on systems that do not say.

    It takes 10 microseconds. getrusage(2) would take one, but its ru_maxrss outlives execve(2): a process begins with
    the peak of the one that started it, which in a rehearsal is the whole emulator.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    _, _, found = status.partition("VmHWM:")
    return int(found.split()[0]) if found else None
