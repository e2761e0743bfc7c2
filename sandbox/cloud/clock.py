"""How fast time passes in a rehearsal: bake times, alarm periods and schedules by one factor, so that they agree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

SLOWEST: Final = 1.0
FASTEST: Final = 600.0
"""An alarm's shortest period, 10 s, is then a sixtieth of a second; below that the machine's own jitter decides."""


class ScaleError(ValueError):
    """A scale that no rehearsal can keep; the message says which can."""


@dataclass
class Clock:
    """One for the process.

    Attributes:
        scale: seconds of AWS that pass in a real second.
    """

    scale: float = SLOWEST

    def real(self, seconds: float) -> float:
        """Return the real seconds that `seconds` of AWS take."""
        return seconds / self.scale

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
        self.scale = float(scale)
