"""Index products newest first.

The list is shown in this order, page by page. Alone in its revision: the statement cannot run in a transaction, so
nothing beside it would be undone when it fails. An index that a failure left invalid is dropped by the migrator.

Revision: 0002, after 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build the index while the table is read and written."""
    with op.get_context().autocommit_block():
        # It locks nobody out, but reads the whole table, and waits for the transactions that were open when it began.
        op.execute("SET statement_timeout = '10min'")
        op.execute("SET lock_timeout = '1min'")
        op.execute(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS products_newest_first_idx ON products (created_at DESC, id DESC)"
        )


def downgrade() -> None:
    """Drop the index; loses no data."""
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '1min'")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS products_newest_first_idx")
