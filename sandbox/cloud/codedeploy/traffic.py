"""Deployment configurations: how much of the traffic a new version gets, and when."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud.codedeploy.model import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "CodeDeployDefault."
DEFAULT: Final = "CodeDeployDefault.LambdaAllAtOnce"
_LONGEST: Final = 2880  # minutes between the first shift and the last


def _canary(minutes: int) -> dict[str, Any]:
    return {"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": 10, "canaryInterval": minutes}}


def _linear(minutes: int) -> dict[str, Any]:
    return {"type": "TimeBasedLinear", "timeBasedLinear": {"linearPercentage": 10, "linearInterval": minutes}}


PREDEFINED: Final[Mapping[str, Mapping[str, Any]]] = {
    DEFAULT: {"type": "AllAtOnce"},
    **{f"{PREFIX}LambdaCanary10Percent{minutes}Minutes": _canary(minutes) for minutes in (5, 10, 15, 30)},
    f"{PREFIX}LambdaLinear10PercentEvery1Minute": _linear(1),
    **{f"{PREFIX}LambdaLinear10PercentEvery{minutes}Minutes": _linear(minutes) for minutes in (2, 3, 10)},
}
"""How each of AWS's own configurations for Lambda routes."""


def steps(routing: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return what a routing does: the minutes to wait first, and the percentage of traffic from then on.

    Args:
        routing: a TrafficRoutingConfig, checked.
    """
    if routing["type"] == "TimeBasedCanary":
        canary = routing["timeBasedCanary"]
        return [(0, canary["canaryPercentage"]), (canary["canaryInterval"], 100)]
    if routing["type"] == "TimeBasedLinear":
        percentage, minutes = (
            routing["timeBasedLinear"]["linearPercentage"],
            routing["timeBasedLinear"]["linearInterval"],
        )
        count = math.ceil(100 / percentage)
        return [(minutes if at else 0, min(100, percentage * (at + 1))) for at in range(count)]
    return [(0, 100)]


def check(routing: Mapping[str, Any] | None) -> None:
    """Refuse a routing that no deployment could follow.

    Raises:
        ServiceError: it is incomplete, contradicts itself, or takes too long.
    """
    kinds = {
        "TimeBasedCanary": ("timeBasedCanary", "canaryPercentage", "canaryInterval"),
        "TimeBasedLinear": ("timeBasedLinear", "linearPercentage", "linearInterval"),
    }
    if not routing or not routing.get("type"):
        raise _invalid("a configuration for Lambda needs a trafficRoutingConfig with a type")
    expected = kinds.get(routing["type"], ("", "", ""))
    for member in ("timeBasedCanary", "timeBasedLinear"):
        if (member in routing) != (member == expected[0]):
            raise _invalid(f"{routing['type']} {'needs' if member == expected[0] else 'has no'} {member}")
    if not expected[0]:
        return
    percentage, minutes = (routing[expected[0]].get(name) for name in expected[1:])
    if percentage is None or not 1 <= percentage <= 99:
        raise _invalid(f"{expected[1]} is {percentage}, and must be 1 to 99")
    if minutes is None or minutes < 1:
        raise _invalid(f"{expected[2]} is {minutes}, and must be 1 or more minutes")
    if (total := sum(wait for wait, _ in steps(routing))) > _LONGEST:
        raise _invalid(f"the shift takes {total} minutes, and may take {_LONGEST}")


def _invalid(why: str) -> ServiceError:
    return ServiceError("InvalidTrafficRoutingConfigurationException", why)
