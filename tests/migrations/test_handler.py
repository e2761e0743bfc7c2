"""The migrator as Lambda runs it: what it logs and measures of each step, and how a step fails."""

from __future__ import annotations

import io
import json
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from components.metrics import NAMESPACE
from migrations import entry, logs
from migrations.access import AccessError
from migrations.entry import MigratorError
from tests.support.metrics import metrics_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.world import World

ROOT = Path(__file__).parents[2]
MIGRATOR = (("Function", "product-api-test-migrator"),)


class Context:
    """Lambda's context, as far as it is looked at."""

    aws_request_id = "invocation-1"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What reaches the log of a migrator that was told to log errors only."""
    written = io.StringIO()
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [logging.StreamHandler(written)])
    variables = {"LOG_LEVEL": "ERROR", "AWS_LAMBDA_FUNCTION_NAME": "product-api-test-migrator"}
    monkeypatch.setattr(os, "environ", variables)
    entry._migrator.cache_clear()  # and nothing is kept of one that cannot start
    level = root.level
    yield written
    root.setLevel(level)


def step(log: io.StringIO) -> dict[str, Any]:
    """The line that measures a step, having checked what CloudWatch takes from it."""
    [taken] = metrics_in(log.getvalue())
    [line] = [each for each in map(json.loads, log.getvalue().splitlines()) if "_aws" in each]
    assert taken == {
        ("MigrationFailures", MIGRATOR): (line["MigrationFailures"], "Count"),
        ("MigrationSeconds", MIGRATOR): (line["MigrationSeconds"], "Seconds"),
    }
    assert line["MigrationSeconds"] >= 0
    assert (line["level"], line["requestId"]) == ("INFO", "invocation-1")
    return dict(line)


def test_a_step_that_succeeds_measures_no_failure(
    world: World, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zero, which is more than nothing: the alarm sees that somebody has looked."""
    monkeypatch.setattr(entry, "_migrator", world.migrator)
    done = entry.handler({"action": "users"}, Context())

    assert done["created"] == ["product_migrator", "product_api"]
    line = step(log)
    assert (line["MigrationFailures"], line["action"]) == (0, "users")


def test_a_step_that_fails_measures_one_and_fails_its_invocation(
    world: World, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The update that asked for it stops there."""
    monkeypatch.setattr(entry, "_migrator", world.migrator)
    with pytest.raises(AccessError, match="run the users step first"):
        entry.handler({"action": "status"}, Context())

    assert step(log)["MigrationFailures"] == 1
    failure = json.loads(log.getvalue().splitlines()[0])
    assert (failure["level"], failure["action"]) == ("ERROR", "status")


@pytest.mark.parametrize("event", [{"action": "users"}, {}])
def test_a_migrator_that_cannot_start_measures_a_failure_too(log: io.StringIO, event: dict[str, Any]) -> None:
    """Its environment is wrong."""
    with pytest.raises(Exception, match="DATABASE_HOST: Field required"):
        entry.handler(event, Context())

    assert step(log)["MigrationFailures"] == 1


def test_a_step_that_nobody_knows_is_a_failure(world: World, log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for it expects something."""
    monkeypatch.setattr(entry, "_migrator", world.migrator)
    with pytest.raises(MigratorError, match="unknown action"):
        entry.handler({"action": "migrat"}, Context())

    assert step(log)["MigrationFailures"] == 1


def test_what_is_watched_of_the_migrator_is_what_it_writes(log: io.StringIO) -> None:
    """Alarms and the dashboard read these names."""
    sources = [path.read_text() for path in (ROOT / "components").glob("*.py")]
    read = {name for source in sources for name in re.findall(r'NAMESPACE, "(Migration\w+)"', source)}
    logs.configure("INFO", "invocation-1")
    logs.measure("step", failed=False, seconds=1)

    assert read
    assert read <= set(step(log))
    assert logs.NAMESPACE == NAMESPACE
