"""What the API is about, and the errors it can end in; knows neither HTTP nor SQL."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from decimal import Decimal  # noqa: TC003 - pydantic reads the annotation

from pydantic import BaseModel, ConfigDict, Field, field_serializer

LARGEST_ID = 2**63 - 1  # bigint's


class ApiError(Exception):
    """Anything the API refuses or fails to do for a reason the caller may know."""


class InvalidCursorError(ApiError):
    """A cursor that this API did not hand out."""


class ProductNotFoundError(ApiError):
    """No product has the identifier asked for."""


class DatabaseUnavailableError(ApiError):
    """The database cannot be reached, refuses the login, or does not answer in time."""


class CircuitOpenError(DatabaseUnavailableError):
    """The database failed repeatedly and is left alone for a while.

    Attributes:
        retry_after: Seconds until the next call is let through.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the circuit breaker is open for another {retry_after:.1f} s")
        self.retry_after = retry_after


class Product(BaseModel):
    """A product as the API shows it; the price is a decimal string, so that no client rounds it."""

    model_config = ConfigDict(frozen=True)

    id: int
    sku: str
    name: str
    description: str | None
    price: Decimal
    currency: str
    created_at: datetime

    @field_serializer("price")
    def _price(self, price: Decimal) -> str:
        return f"{price:f}"


class Cursor(BaseModel):
    """A position in the list: the sort key of the last product that was shown.

    Newest first, and the identifier breaks ties, so that a page neither repeats nor skips a product while others are
    inserted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    created_at: datetime
    id: int = Field(ge=0, le=LARGEST_ID)

    def encode(self) -> str:
        """This position as an opaque token that is safe in a URL."""
        document = json.dumps([self.created_at.isoformat(), self.id], separators=(",", ":"))
        return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, token: str) -> Cursor:
        """The position that a token stands for.

        Raises:
            InvalidCursorError: The token is not one that `encode` made, byte for byte.
        """
        try:
            document = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            created_at, identifier = json.loads(document)
            cursor = cls(created_at=datetime.fromisoformat(created_at), id=identifier)
        except (ValueError, TypeError, binascii.Error, RecursionError) as error:  # pydantic's error is a ValueError
            raise InvalidCursorError("cursor: not one that this API handed out; start without a cursor") from error
        # One position has one spelling: whatever decodes by luck (padding bits, a naive time, blanks) is not ours.
        if cursor.created_at.tzinfo is None or cursor.encode() != token:
            raise InvalidCursorError("cursor: not one that this API handed out; start without a cursor")
        return cursor


class ProductPage(BaseModel):
    """One page of the list, and the token of the next one where there is more."""

    items: list[Product]
    next_cursor: str | None


class ListQuery(BaseModel):
    """The query string of the list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=200)


class ProductKey(BaseModel):
    """The path parameter of one product."""

    model_config = ConfigDict(frozen=True)

    id: int = Field(ge=1, le=LARGEST_ID)
