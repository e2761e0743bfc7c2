"""Where errors become HTTP: the one table from exceptions to problem documents (RFC 9457)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError

from app.domain import CircuitOpenError, DatabaseUnavailableError, InvalidCursorError, ProductNotFoundError


class RouteNotFoundError(Exception):
    """No route has this path."""


class MethodNotAllowedError(Exception):
    """The path exists, with other methods.

    Attributes:
        allowed: The methods that the path has.
    """

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"this path answers to {', '.join(allowed)}")
        self.allowed = allowed


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a client is told about an error.

    Attributes:
        status: The HTTP status.
        detail: A sentence for the client's developer; never an exception's text that was not written for them.
        errors: What is wrong with which parameter.
        headers: Headers beyond the content's type.
    """

    status: HTTPStatus
    detail: str
    errors: tuple[dict[str, str], ...] = ()
    headers: dict[str, str] = field(default_factory=dict)

    def response(self, request_id: str) -> dict[str, Any]:
        """The problem as an answer in payload format 2.0.

        Args:
            request_id: The request's id, by which the logs can be searched.
        """
        document: dict[str, Any] = {
            "type": "about:blank",  # RFC 9457: the status says all there is to the type
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.errors:
            document["errors"] = self.errors
        return {
            "statusCode": self.status.value,
            "headers": {"content-type": "application/problem+json", "cache-control": "no-store", **self.headers},
            "body": json.dumps(document),
            "isBase64Encoded": False,
        }


def problem_of(error: Exception) -> Problem:
    """The problem that an exception is to the client; whatever is not in the table is a 500 that gives nothing away."""
    match error:
        case ValidationError():
            errors = tuple(
                {"parameter": ".".join(map(str, e["loc"])), "message": e["msg"]}
                for e in error.errors(include_url=False, include_context=False, include_input=False)
            )
            return Problem(
                status=HTTPStatus.BAD_REQUEST, detail="A parameter of the request is not valid.", errors=errors
            )
        case InvalidCursorError():
            errors = ({"parameter": "cursor", "message": str(error)},)
            return Problem(
                status=HTTPStatus.BAD_REQUEST, detail="A parameter of the request is not valid.", errors=errors
            )
        case ProductNotFoundError():
            return Problem(status=HTTPStatus.NOT_FOUND, detail=str(error))
        case RouteNotFoundError():
            return Problem(status=HTTPStatus.NOT_FOUND, detail="There is nothing at this path.")
        case MethodNotAllowedError():
            allow = {"allow": ", ".join(error.allowed)}
            return Problem(status=HTTPStatus.METHOD_NOT_ALLOWED, detail=str(error), headers=allow)
        case DatabaseUnavailableError():
            wait = math.ceil(error.retry_after) if isinstance(error, CircuitOpenError) else 1
            headers = {"retry-after": str(max(wait, 1))}
            detail = "The database is not available; try again."
            return Problem(status=HTTPStatus.SERVICE_UNAVAILABLE, detail=detail, headers=headers)
        case _:
            detail = "An error of ours; the request id finds it in the logs."
            return Problem(status=HTTPStatus.INTERNAL_SERVER_ERROR, detail=detail)
