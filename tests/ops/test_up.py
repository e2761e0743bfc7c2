"""What `ops up` says while it runs, and when it has failed."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
import pytest

from ops import rehearsal
from ops.commands import up
from ops.console import CommandError
from ops.exit_codes import Exit
from sandbox.session import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    ("line", "scale", "shown"),
    [
        # Six seconds of this machine have passed: two minutes of AWS's, of ten.
        ("10% to version 7, 594 s of 600 s left", 20, "10% to version 7, 24 s of 30 s left (10 min at 20 times)"),
        ("10% to version 7, 200 s of 600 s left", 20, "10% to version 7, 0 s of 30 s left (10 min at 20 times)"),
        ("10% to version 7, 90 s of 90 s left", 1.5, "10% to version 7, 60 s of 60 s left (1.5 min at 1.5 times)"),
        ("10% to version 7, 594 s of 600 s left", 1, "10% to version 7, 594 s of 600 s left"),
        ("100% to version 7", 20, "100% to version 7"),
    ],
)
def test_how_long_a_release_takes_is_told_as_it_is_here(line: str, scale: float, shown: str) -> None:
    assert shown == up._paced(scale)(line)


class _Sandbox:
    """As much of a sandbox as the command's frame needs."""

    account, region, engine, endpoint = "444455556666", "eu-central-1", "pulumi", None

    @contextmanager
    def lock(self) -> Iterator[None]:
        yield


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        (
            CommandError("it was rolled back", Exit.ROLLED_BACK, "rolled-back"),
            {"outcome": "rolled-back", "exit_code": 6, "message": "it was rolled back"},
        ),
        (SandboxError("it does not start"), {"outcome": "failed", "exit_code": 1, "message": "it does not start"}),
    ],
)
def test_a_failure_is_reported_with_what_was_known(
    error: Exception, failed: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pipeline reads stdout: it finds how the update ended, and what visitors met."""

    def fail(_rehearsal: object, report: dict[str, Any], _seconds: object, _scale: float) -> None:
        report["visitors"] = {"requests": 9, "failed": 1, "p95_ms": 3.0}
        raise error

    class Played:
        sandbox = _Sandbox()

        @classmethod
        def of(cls, *_args: object, **_named: object) -> Played:
            return cls()

    monkeypatch.setattr(rehearsal, "Rehearsal", Played)
    monkeypatch.setattr(up.dataclasses, "replace", lambda sandbox, **_: sandbox)
    monkeypatch.setattr(up, "_up", fail)
    with pytest.raises(CommandError, match=str(error)) as raised:
        up.command.main(["prod", "--json"], standalone_mode=False)
    assert raised.value.code == failed["exit_code"]
    out, err = capsys.readouterr()
    report = json.loads(out)
    report.pop("seconds")
    assert report == {
        "schema": "product-api/up/1",
        "stack": "prod",
        "target": "sandbox",
        "failed": failed,
        "visitors": {"requests": 9, "failed": 1, "p95_ms": 3.0},
    }
    assert "time: 20 times as fast while the update runs: bake times, alarm periods, schedules" in err


@pytest.mark.parametrize("scale", ["0.5", "601"])
def test_a_pace_that_no_rehearsal_can_keep_is_refused(scale: str) -> None:
    with pytest.raises(click.UsageError):
        up.command.main(["prod", "--time-scale", scale], standalone_mode=False)
