"""${message}.

Every revision leaves the version that is live at work: it runs on the old schema and on the new one, for minutes or for days.

- Expand freely: new tables, nullable columns or columns with a constant default, indexes built CONCURRENTLY (alone in their
  revision, inside op.get_context().autocommit_block(), with IF NOT EXISTS), constraints NOT VALID and validated by the
  next revision.
- Contract later: what a version still reads or writes is dropped, renamed or tightened only after a release that does not
  use it any more has been recorded in migrations/releases/, and this text names that release and the revision it completes.
- Keep locks short: the timeouts are set (migrations/env.py); a statement that needs more time says so itself with SET.
- Render offline: nothing here reads the database, so that the plan shows all that will run.

Revision: ${up_revision}, after ${down_revision | comma,n}
"""

from alembic import op
import sqlalchemy as sa
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Expand."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Take back what upgrade() added; say here which written data that loses."""
    ${downgrades if downgrades else "pass"}
