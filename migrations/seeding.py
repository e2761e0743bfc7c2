"""Sample products for a developer's database: the same ones everywhere, each time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import psycopg

_MATERIALS: Final = ("Oak", "Steel", "Linen", "Cork", "Walnut", "Glass", "Wool", "Copper")
_THINGS: Final = ("Chair", "Lamp", "Shelf", "Kettle", "Blanket", "Bowl")
_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)


def samples() -> list[dict[str, Any]]:
    """The products, one for each pair of a material and a thing; a minute lies between one and the next."""
    pairs = [(material, thing) for thing in _THINGS for material in _MATERIALS]
    return [
        {
            "sku": f"{thing[:3].upper()}-{material[:3].upper()}-{number:03d}",
            "name": f"{material} {thing}",
            "description": f"A {thing.lower()} made of {material.lower()}." if number % 3 else None,
            "price": Decimal(1990 + 357 * number) / 100,
            "currency": "EUR",
            "created_at": _EPOCH + timedelta(minutes=number),
        }
        for number, (material, thing) in enumerate(pairs, start=1)
    ]


def seed(connection: psycopg.Connection) -> int:
    """Insert the sample products that are not there.

    Args:
        connection: A connection of the migrator's.

    Returns:
        How many were inserted.
    """
    statement = """
        INSERT INTO products (sku, name, description, price, currency, created_at)
        VALUES (%(sku)s, %(name)s, %(description)s, %(price)s, %(currency)s, %(created_at)s)
        ON CONFLICT (sku) DO NOTHING"""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(statement, samples())
        return cursor.rowcount
