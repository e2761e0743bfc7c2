"""The products in the database: the only module of the API that speaks SQL about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psycopg.rows import class_row

from app.domain import Cursor, Product, ProductNotFoundError, ProductPage

if TYPE_CHECKING:
    from psycopg import Connection

# Each statement is a constant, so that a release can record what its version says (migrations/releases/).
FIRST_PAGE: Final = """\
SELECT id, sku, name, description, price, currency, created_at
FROM products
ORDER BY created_at DESC, id DESC
LIMIT %(limit)s"""

NEXT_PAGE: Final = """\
SELECT id, sku, name, description, price, currency, created_at
FROM products
WHERE (created_at, id) < (%(created_at)s, %(id)s)
ORDER BY created_at DESC, id DESC
LIMIT %(limit)s"""

ONE: Final = """\
SELECT id, sku, name, description, price, currency, created_at
FROM products
WHERE id = %(id)s"""

STATEMENTS: Final = (FIRST_PAGE, NEXT_PAGE, ONE)


def page(connection: Connection, *, limit: int, after: Cursor | None) -> ProductPage:
    """One page of products, newest first.

    Args:
        connection: An open connection.
        limit: The largest number of products on the page.
        after: The position behind which the page begins; None for the first page.
    """
    parameters: dict[str, object] = {"limit": limit + 1}  # one more tells whether there is a next page
    if after is not None:
        parameters |= {"created_at": after.created_at, "id": after.id}
    with connection.cursor(row_factory=class_row(Product)) as cursor:
        found = cursor.execute(FIRST_PAGE if after is None else NEXT_PAGE, parameters).fetchall()
    items, more = found[:limit], len(found) > limit
    last = Cursor(created_at=items[-1].created_at, id=items[-1].id).encode() if more else None
    return ProductPage(items=items, next_cursor=last)


def one(connection: Connection, identifier: int) -> Product:
    """The product with an identifier.

    Raises:
        ProductNotFoundError: There is none.
    """
    with connection.cursor(row_factory=class_row(Product)) as cursor:
        product = cursor.execute(ONE, {"id": identifier}).fetchone()
    if product is None:
        raise ProductNotFoundError(f"no product has the id {identifier}")
    return product
