"""Requests to the API without a gateway."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.api import Application
    from tests.support.world import World


@dataclass(kw_only=True)
class Clock:
    """A clock that stands still until it is told otherwise.

    Attributes:
        now: Seconds.
    """

    now: float = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.now += seconds


def event(method: str, path: str, query: dict[str, str] | None = None, *, stage: str = "$default") -> dict[str, Any]:
    """A request as an HTTP API hands it to a function (payload format 2.0)."""
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "queryStringParameters": query,
        "requestContext": {"http": {"method": method, "path": path}, "requestId": "request-1", "stage": stage},
        "isBase64Encoded": False,
    }


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The API on a database.

    Attributes:
        application: The API.
        world: Its database and secrets.
        clock: Its clock.
    """

    application: Application
    world: World
    clock: Clock

    def ask(self, method: str, path: str, query: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """The status and the document that a request is answered with."""
        response = self.application.respond(event(method, path, query))
        return response["statusCode"], json.loads(response["body"])

    def end_sessions(self) -> None:
        """End the API's connections from the server's side."""
        self.world.cluster.server.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'product-api-test'"
        )
