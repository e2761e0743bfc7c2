"""How fast time passes in a rehearsal: bake times, alarm periods and schedules by one factor, so that they agree.

There are two times. The machine's is what clients see and send: they stamp by their own clock, and every time that a
service answers with can be compared with it. The sandbox's is what durations are measured in: periods, evaluation
ranges, retention, schedules. It began as the machine's and runs `scale` times as fast from the moment that a scale is
set until the next one is; it never jumps. So at 60 a minute of an alarm takes a second, and the datapoints of an hour
lie within one minute of the machine's. `at` and `shown` lead from one time to the other.
"""

from __future__ import annotations

import bisect
import math
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

SLOWEST: Final = 1.0
FASTEST: Final = 600.0
"""An alarm's shortest period, 10 s, is then a sixtieth of a second; below that the machine's own jitter decides."""
_MOST_LEGS: Final = 256
_DIGITS: Final = 3  # of a second: what remains of a moment that went through both times is no rounding error


class ScaleError(ValueError):
    """A scale that no rehearsal can keep; the message says which can."""


class _Leg(NamedTuple):
    """From a moment on, how fast.

    Attributes:
        real: the moment in the machine's time, seconds since the epoch.
        moment: the same moment in the sandbox's time.
        scale: seconds of the sandbox in a second of the machine.
    """

    real: float
    moment: float
    scale: float


class Clock:
    """One for the process."""

    def __init__(self, read: Callable[[], float] = time.time) -> None:
        """Start with the machine's time.

        Args:
            read: the machine's time, in seconds since the epoch.
        """
        self._read = read
        self._legs = [_Leg(0.0, 0.0, SLOWEST)]

    @property
    def scale(self) -> float:
        """Seconds of AWS that pass in a real second."""
        return self._legs[-1].scale

    def real(self, seconds: float) -> float:
        """Return the real seconds that `seconds` of AWS take."""
        return seconds / self.scale

    def now(self) -> float:
        """Return the present moment of the sandbox's time."""
        return self.at(self._read())

    def at(self, real: float) -> float:
        """Return the moment of the sandbox's time that is a moment of the machine's."""
        leg = self._legs[max(0, bisect.bisect_right(self._legs, real, key=lambda one: one.real) - 1)]
        return round(leg.moment + (real - leg.real) * leg.scale, _DIGITS)

    def shown(self, moment: float) -> float:
        """Return the moment of the machine's time that is a moment of the sandbox's: what a client is told."""
        leg = self._legs[max(0, bisect.bisect_right(self._legs, moment, key=lambda one: one.moment) - 1)]
        return round(leg.real + (moment - leg.moment) / leg.scale, _DIGITS)

    def set(self, scale: object) -> None:
        """Change the scale; what waits already may end by the old one.

        Raises:
            ScaleError: it is no number between 1 and 600.
        """
        if not isinstance(scale, (int, float)) or isinstance(scale, bool) or not math.isfinite(scale):
            msg = f"the scale is {scale!r}: give a number from {SLOWEST:g} to {FASTEST:g}"
            raise ScaleError(msg)
        if not SLOWEST <= scale <= FASTEST:
            msg = f"the scale is {scale:g}: give a number from {SLOWEST:g} to {FASTEST:g}"
            raise ScaleError(msg)
        if scale != self.scale:
            self._turn(float(scale))

    def state(self) -> list[Any]:
        """Return what another process needs to go on where this one was, as JSON has it."""
        return [*map(list, self._legs), [self._read(), self.now(), SLOWEST]]

    def resume(self, state: list[Any]) -> None:
        """Go on where another process was; since then, and from now on, time is real."""
        scale = self.scale
        self._legs = [_Leg(*map(float, leg)) for leg in state] or self._legs
        if scale != SLOWEST:
            self._turn(scale)

    def _turn(self, scale: float) -> None:
        real = self._read()
        self._legs = [*self._legs, _Leg(real, self.at(real), scale)][-_MOST_LEGS:]
