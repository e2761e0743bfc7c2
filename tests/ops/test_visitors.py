"""Visitors come at their pace while something else runs, and what they met is counted."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from ops.visitors import AT_ONCE, Served, Visit, Visitors


def test_nobody_came_is_no_time() -> None:
    assert Served(requests=0, failed=0, p95_ms=None) == Served.of([])
    assert Served.of([]).describe() == "0 requests, none failed"


def test_what_the_service_failed_is_counted_and_what_the_visitor_did_wrong_is_not() -> None:
    met = Served.of([Visit(status=status, ms=1.0) for status in (200, 404, 429, 500, 503, 0)])
    assert met.failed == 3
    assert met.describe() == "6 requests, 3 failed, 95% within 1 ms"


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_95_percent_are_answered_within_the_time_said(times: list[float]) -> None:
    within = Served.of([Visit(status=200, ms=ms) for ms in times]).p95_ms
    assert within is not None
    assert sum(round(ms, 1) <= within for ms in times) >= 0.95 * len(times)
    assert sum(round(ms, 1) < within for ms in times) < 0.95 * len(times)


def test_they_come_from_entry_to_exit_and_wait_for_each_other_only_when_many_are_waiting() -> None:
    waiting = threading.Semaphore(0)
    release = threading.Event()

    def slow(method: str, url: str) -> Visit:
        assert method in {"GET", "POST"}
        assert url.startswith("http://api/")
        waiting.release()
        release.wait()
        return Visit(status=200, ms=1.0)

    with Visitors("http://api", slow) as visitors:
        for _ in range(AT_ONCE):
            assert waiting.acquire(timeout=30)
        assert visitors.served.requests == 0
        release.set()
        assert waiting.acquire(timeout=30)
    seen = visitors.served.requests
    assert seen >= AT_ONCE
    assert not any(thread.name.startswith("visitor") and thread.is_alive() for thread in threading.enumerate())
