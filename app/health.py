"""Whether the API can do its work, and what of it cannot."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.domain import CircuitOpenError, DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.breaker import CircuitBreaker

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Health:
    """The outcome of a health check.

    Attributes:
        healthy: Whether requests can be served.
        document: What the check answers.
    """

    healthy: bool
    document: dict[str, Any]


def check(
    *, ping: Callable[[], None], breaker: CircuitBreaker, clock: Callable[[], float], version: str, environment: str
) -> Health:
    """Check what a request needs, the way a request would: through the breaker.

    Args:
        ping: Asks the database for the least that proves it answers.
        breaker: The breaker around the database.
        clock: Monotonic seconds.
        version: The function's version.
        environment: The stack's name.
    """
    started = clock()
    try:
        breaker.call(ping)
    except CircuitOpenError:
        database: dict[str, Any] = {"status": "not_tried", "latency_ms": None}
    except DatabaseUnavailableError as error:
        logger.error("the database is not available", extra={"cause": str(error)})  # noqa: TRY400 - known, no trace
        database = {"status": "unavailable", "latency_ms": _milliseconds(clock() - started)}
    else:
        database = {"status": "ok", "latency_ms": _milliseconds(clock() - started)}
    healthy = database["status"] == "ok"  # and so the breaker is closed: a call that succeeds closes it
    document = {
        "status": "ok" if healthy else "unavailable",
        "version": version,
        "environment": environment,
        "checks": {"database": database, "circuit_breaker": {"status": breaker.state.value}},
    }
    return Health(healthy=healthy, document=document)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)
