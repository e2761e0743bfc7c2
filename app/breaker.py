"""A circuit breaker: a dependency that keeps failing is left alone for a while, and its callers fail at once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from app.domain import CircuitOpenError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class State(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(kw_only=True)
class CircuitBreaker:
    """Opens after a run of failures, lets one probe through after a pause, and closes when that one succeeds.

    Attributes:
        failures: The exceptions that say the dependency is unwell; every other outcome says that it answered.
        threshold: How many failures in a row open the breaker.
        pause: Seconds for which an open breaker lets nothing through.
        clock: Monotonic seconds.
    """

    failures: type[Exception] | tuple[type[Exception], ...]
    clock: Callable[[], float]
    threshold: int = 3
    pause: float = 10.0
    _failed: int = field(default=0, init=False)
    _opened: float | None = field(default=None, init=False)
    _probing: bool = field(default=False, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def state(self) -> State:
        """Where the breaker stands now; half open as soon as a probe would be let through."""
        if self._opened is None:
            return State.CLOSED
        return State.OPEN if self.clock() - self._opened < self.pause else State.HALF_OPEN

    def call(self, function: Callable[[], T]) -> T:
        """Call a function that uses the dependency, unless the breaker is open.

        Raises:
            CircuitOpenError: The breaker is open, or half open with its probe under way; the function was not called.
        """
        probe = self._admit()
        try:
            result = function()
        except self.failures:
            self._record_failure(probe=probe)
            raise
        except Exception:
            self._record_success(probe=probe)  # it answered, if with an error of the caller's making
            raise
        except BaseException:
            self._release(probe=probe)  # an interrupt says nothing about the dependency
            raise
        self._record_success(probe=probe)
        return result

    def _admit(self) -> bool:
        with self._lock:
            if self._opened is None:
                return False
            remaining = self.pause - (self.clock() - self._opened)
            if remaining > 0 or self._probing:
                raise CircuitOpenError(max(remaining, 0.0))
            self._probing = True
            return True

    def _record_failure(self, *, probe: bool) -> None:
        with self._lock:
            if probe:
                self._opened, self._probing = self.clock(), False
            elif self._opened is None:  # else: a straggler from before it opened, which is no news
                self._failed += 1
                if self._failed >= self.threshold:
                    self._opened = self.clock()

    def _record_success(self, *, probe: bool) -> None:
        with self._lock:
            if probe or self._opened is None:  # a straggler does not close what opened after it started
                self._failed, self._opened, self._probing = 0, None, False

    def _release(self, *, probe: bool) -> None:
        with self._lock:
            if probe:
                self._probing = False
