"""The circuit breaker against a model of it, and the cases that the model leaves out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.breaker import CircuitBreaker, State
from app.domain import CircuitOpenError
from tests.support.http import Clock

THRESHOLD, PAUSE = 3, 10.0


class UnwellError(Exception):
    """The dependency is unwell."""


def fail() -> None:
    """Call an unwell dependency."""
    raise UnwellError


def breaker(clock: Clock) -> CircuitBreaker:
    """A closed breaker."""
    return CircuitBreaker(failures=UnwellError, clock=clock, threshold=THRESHOLD, pause=PAUSE)


def opened(clock: Clock) -> CircuitBreaker:
    """A breaker that has just opened."""
    made = breaker(clock)
    for _ in range(THRESHOLD):
        with pytest.raises(UnwellError):
            made.call(fail)
    return made


@given(st.lists(st.one_of(st.sampled_from(["succeed", "fail"]), st.floats(min_value=0.1, max_value=25))))
def test_it_behaves_as_its_description_says(steps: list[str | float]) -> None:
    """Opens after a run of failures, lets nothing through for a while, then one call, whose outcome decides."""
    clock = Clock()
    made = breaker(clock)
    run_of_failures, open_since = 0, None
    for step in steps:
        if isinstance(step, float):
            clock.now += step
            continue
        called: list[str] = []

        def dependency(step: str = step, called: list[str] = called) -> None:
            called.append(step)
            if step == "fail":
                raise UnwellError

        lets_through = open_since is None or clock.now - open_since >= PAUSE
        expected: type[Exception] | None = (
            CircuitOpenError if not lets_through else UnwellError if step == "fail" else None
        )
        if expected is None:
            made.call(dependency)
        else:
            with pytest.raises(expected):
                made.call(dependency)
        assert lets_through == bool(called)
        if lets_through and step == "succeed":
            run_of_failures, open_since = 0, None
        elif lets_through:
            run_of_failures += 1
            if open_since is not None or run_of_failures >= THRESHOLD:
                open_since = clock.now
        state = State.CLOSED if open_since is None else State.OPEN
        assert state == made.state


def test_it_is_half_open_when_the_pause_is_over() -> None:
    """Whoever looks sees that a probe would be let through."""
    clock = Clock()
    made = opened(clock)
    clock.now += PAUSE

    assert made.state is State.HALF_OPEN


def test_it_says_how_long_it_stays_open() -> None:
    """What a client is told to wait."""
    clock = Clock()
    made = opened(clock)
    clock.now += 4

    with pytest.raises(CircuitOpenError) as refused:
        made.call(fail)

    assert refused.value.retry_after == PAUSE - 4


def test_while_its_probe_is_under_way_it_lets_nothing_else_through() -> None:
    """One caller finds out; the others do not queue up behind it."""
    clock = Clock()
    made = opened(clock)
    clock.now += PAUSE

    def probe() -> None:
        with pytest.raises(CircuitOpenError):
            made.call(lambda: pytest.fail("a second probe"))

    made.call(probe)

    assert made.state is State.CLOSED


def test_an_error_of_the_callers_making_says_that_the_dependency_answered() -> None:
    """A product that is not there is no outage, and ends a run of failures."""
    made = breaker(Clock())
    for _ in range(THRESHOLD - 1):
        with pytest.raises(UnwellError):
            made.call(fail)
    with pytest.raises(KeyError):
        made.call(lambda: dict[str, None]()["absent"])
    with pytest.raises(UnwellError):
        made.call(fail)

    assert made.state is State.CLOSED


def test_an_interrupt_decides_nothing_and_frees_the_probe() -> None:
    """A breaker whose probe never came back would stay shut for ever."""
    clock = Clock()
    made = opened(clock)
    clock.now += PAUSE

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.call(interrupted)

    assert made.state == "half_open"
    made.call(lambda: None)
    assert made.state == "closed"


def test_a_straggler_does_not_close_what_opened_after_it_started() -> None:
    """A slow success from before says nothing about now."""
    clock = Clock()
    made = breaker(clock)

    def slow() -> None:
        for _ in range(THRESHOLD):
            with pytest.raises(UnwellError):
                made.call(fail)

    made.call(slow)

    assert made.state is State.OPEN
