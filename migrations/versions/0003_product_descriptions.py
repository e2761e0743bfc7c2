"""Describe products.

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, nullable: the version that is live does not write it."""
    op.add_column("products", sa.Column("description", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop the column, and with it every description written since."""
    op.drop_column("products", "description")
