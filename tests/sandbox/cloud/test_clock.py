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
