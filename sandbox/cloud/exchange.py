"""What is known of a request to an HTTP API while it is served, for its access log."""

from __future__ import annotations

import base64
import contextvars
import os
import time
from dataclasses import dataclass, field
from typing import Any


def _request_id() -> str:
    return base64.b64encode(os.urandom(11)).decode()


@dataclass
class Exchange:
    """A request and what becomes of it.

    Attributes:
        id: as the caller, the function and the log see it.
        began: the moment, of the monotonic clock.
        route: the key of the route; empty where there is none.
        claims: of the token that was accepted.
        authorizer_error: why a token was not.
        integrated: seconds that the integration took; None where it was not asked.
        integration_status: what the function answered; 0 where it answered nothing.
        integration_error: why it did not answer as it should.
        error: the gateway's own message, where it answers itself.
    """

    id: str = field(default_factory=_request_id)
    began: float = field(default_factory=time.monotonic)
    route: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    authorizer_error: str = ""
    integrated: float | None = None
    integration_status: int = 0
    integration_error: str = ""
    error: str = ""


current: contextvars.ContextVar[Exchange | None] = contextvars.ContextVar("exchange", default=None)
"""The request that is being served."""


def fail(message: str) -> None:
    """Note why an integration failed."""
    exchange = current.get()
    if exchange is not None:
        exchange.integration_error = message
