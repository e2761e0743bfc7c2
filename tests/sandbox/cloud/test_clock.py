"""The clock of a rehearsal."""

# ruff: noqa: S310 — all that is fetched is on loopback

from __future__ import annotations

import json
import math
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from sandbox.cloud.clock import Clock, ScaleError

if TYPE_CHECKING:
    from tests.sandbox.cloud.harness import Cloud


def test_durations_shrink_by_the_scale() -> None:
    """Ten minutes at 60 take ten seconds."""
    clock = Clock()
    assert clock.real(600) == 600
    clock.set(60)
    assert clock.real(600) == 10


def test_time_is_the_machines_until_it_is_scaled() -> None:
    """To the millisecond, so that a minute begins when a client's does."""
    clock = Clock(lambda: 1_700_000_040.0)
    assert clock.now() == 1_700_000_040.0
    assert clock.at(1_699_999_980.0) == 1_699_999_980.0
    assert clock.shown(1_700_000_100.0) == 1_700_000_100.0


def test_time_never_jumps_when_the_scale_changes() -> None:
    """A change counts from then on, and leaves what was before where it was."""
    real = [1000.0]
    clock = Clock(lambda: real[0])
    real[0] += 10
    clock.set(60)
    assert clock.now() == 1010
    real[0] += 10
    assert clock.now() == 1610
    clock.set(1)
    real[0] += 10
    assert clock.now() == 1620
    assert [clock.at(moment) for moment in (1005, 1015, 1025)] == [1005, 1310, 1615]
    assert [clock.shown(moment) for moment in (1005, 1310, 1615)] == [1005, 1015, 1025]


def test_another_process_goes_on_in_real_time() -> None:
    """Where the one before it was when it was saved; the time in between was real."""
    real = [1000.0]
    clock = Clock(lambda: real[0])
    clock.set(60)
    real[0] += 10
    saved = json.loads(json.dumps(clock.state()))
    real[0] += 100
    other = Clock(lambda: real[0])
    other.resume(saved)
    assert (other.now(), other.scale) == (1700, 1)
    assert other.at(1005) == clock.at(1005) == 1300


@pytest.mark.parametrize("scale", [0, 0.5, -1, 601, math.nan, math.inf, "60", True, None])
def test_a_scale_that_cannot_be_kept_is_refused(scale: object) -> None:
    """And the old one stays."""
    clock = Clock()
    with pytest.raises(ScaleError, match="from 1 to 600"):
        clock.set(scale)
    assert clock.scale == 1


def test_it_is_set_and_read_over_http(cloud: Cloud) -> None:
    """As the session does."""

    def put(body: bytes) -> int:
        request = urllib.request.Request(f"{cloud.url}/_sandbox/clock", data=body, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert put(json.dumps({"scale": 30}).encode()) == 200
    assert cloud.get("/_sandbox/health")["scale"] == 30
    assert [put(b"{}"), put(b"["), put(b'{"scale": 0}')] == [400, 400, 400]
    assert cloud.get("/_sandbox/health")["scale"] == 30
    assert put(b'{"scale": 1}') == 200
