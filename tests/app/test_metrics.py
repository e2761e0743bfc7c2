"""Metrics in lines of the log: what CloudWatch takes from them, whatever the log's level, and what memory means."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app import api, logs, metrics
from app.metrics import FUNCTION, VERSION, Measure, Meter, Unit
from components.metrics import NAMESPACE
from tests.support.metrics import metrics_in

ROOT = Path(__file__).parents[2]
LAMBDA = {
    "AWS_LAMBDA_FUNCTION_NAME": "product-api-dev-api",
    "AWS_LAMBDA_FUNCTION_VERSION": "7",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
}


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What reaches the log of a function that was told to log errors only."""
    log = io.StringIO()
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [logging.StreamHandler(log)])
    monkeypatch.setattr(root, "level", root.level)
    logs.configure("ERROR")
    return log


def meter(peak: int | None = None, **more: str) -> Meter:
    """A meter of a function that has had a peak, KiB."""
    read = Meter.read(LAMBDA | more)
    return Meter(function=read.function, version=read.version, memory_mb=read.memory_mb, peak_kib=lambda: peak)


def test_cloudwatch_takes_each_metric_by_each_set_of_dimensions(written: io.StringIO) -> None:
    """And the line is one of the log's, with its level and message, although the log's level is higher."""
    by = ([FUNCTION], [FUNCTION, VERSION])
    meter().write("request", {"Latency": Measure(12.5, Unit.MILLISECONDS)}, by=by, status=200)

    function = ("Function", "product-api-dev-api")
    assert metrics_in(written.getvalue()) == [
        {
            ("Latency", (function,)): (12.5, "Milliseconds"),
            ("Latency", (function, ("Version", "7"))): (12.5, "Milliseconds"),
        }
    ]
    line = json.loads(written.getvalue())
    assert (line["level"], line["message"], line["status"]) == ("INFO", "request", 200)


def test_memory_is_the_peak_in_percent_of_the_functions() -> None:
    """Lambda's MB are MiB."""
    assert meter(peak=96 * 1024).memory_used() == Measure(75.0, Unit.PERCENT)


def test_memory_is_unknown_where_nobody_limits_or_tells_it() -> None:
    """The API served on a developer's machine, say."""
    assert meter(peak=None).memory_used() is None
    assert meter(peak=1024, AWS_LAMBDA_FUNCTION_MEMORY_SIZE="").memory_used() is None
    assert Meter.read({}).memory_used() is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says")
def test_the_peak_is_the_processs_own_and_not_that_of_who_started_it() -> None:
    """A rehearsal's functions are started by a process with hundreds of megabytes."""
    megabytes = 200
    ballast = bytearray(megabytes << 20)
    ballast[:: 4 << 10] = b"x" * (megabytes << 8)
    command = [sys.executable, "-c", "from app.metrics import peak_kib; print(peak_kib())"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    ours = metrics.peak_kib()
    assert ours is not None
    assert ours > megabytes << 10
    assert 1 << 10 < int(told.stdout) < megabytes << 10


def test_what_is_watched_of_the_api_is_what_it_writes(written: io.StringIO) -> None:
    """Alarms, objectives, releases and the dashboard read these names; nobody would miss one that is not written."""
    sources = {path.stem: path.read_text() for path in (ROOT / "components").glob("*.py")}
    read = {name for source in sources.values() for name in re.findall(r'NAMESPACE, "(\w+)"', source)}
    read |= set(re.findall(r'search\("(\w+)"', sources["dashboard"]))
    api._measure(meter(peak=1024), status=200, milliseconds=1, method="GET", route="GET /health")

    [taken] = metrics_in(written.getvalue())
    assert {name for name in read if not name.startswith(("Probe", "Migration"))} == {name for name, _ in taken}
    assert metrics.NAMESPACE == NAMESPACE


def test_the_dashboards_query_asks_for_fields_that_lines_have(written: io.StringIO) -> None:
    """In Lambda's own spelling, which its lines about the platform have too."""
    source = (ROOT / "components" / "dashboard.py").read_text()
    [fields] = re.findall(r"\| fields ([^|]*) \| filter (?:\w+) = 'ERROR'", source)
    logs.REQUEST.set({"requestId": "r", "gatewayRequestId": "g", "version": "7"})
    logging.getLogger("app").error("broken")
    logs.REQUEST.set(None)

    assert {name for name in fields.split(", ") if not name.startswith("@")} <= set(json.loads(written.getvalue()))
