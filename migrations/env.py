"""Alembic runs this for whatever touches a database, and for offline rendering.

Online and offline emit the same statements: what bounds a migration (timeouts) is part of both, so that the plan that a
reviewer reads is what runs.
"""

from __future__ import annotations

import functools
import logging
import time
from typing import TYPE_CHECKING, Any

from alembic import context
from sqlalchemy import Connection, event, text

from migrations.lock import held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from alembic.runtime.migration import MigrationContext, RevisionStep

    Steps = Callable[[tuple[str, ...], MigrationContext], Iterable[RevisionStep]]

logger = logging.getLogger("migrations")


def bounded(steps: Steps) -> Steps:
    """The same migrations, each of which begins by setting the session's timeouts.

    They are set for the session, not with SET LOCAL, for they have to hold in an autocommit_block too; and before each
    migration, for the one before may have set its own.
    """
    config = context.config
    timeouts = [f"SET {name} = '{config.get_main_option(name)}'" for name in ("lock_timeout", "statement_timeout")]

    def prepared(heads: tuple[str, ...], migrations: MigrationContext) -> Iterator[RevisionStep]:
        for step in steps(heads, migrations):
            step.migration_fn = preceded(step.migration_fn, migrations, step)
            yield step

    def preceded(migrate: Callable[..., None], migrations: MigrationContext, step: RevisionStep) -> Callable[..., None]:
        @functools.wraps(migrate)
        def run(**arguments: Any) -> None:
            config.attributes["running"] = step.to_revisions_no_deps  # who catches an error wants to know whose it is
            for statement in timeouts:
                migrations.execute(text(statement))
            migrate(**arguments)

        return run

    return prepared


def configure(**options: Any) -> None:
    """Configure the context, with the migrations wrapped."""
    context.configure(**options, transaction_per_migration=True)
    steps = context.get_context().opts["fn"]
    context.configure(**options, transaction_per_migration=True, fn=bounded(steps))


def log_statements(connection: Connection) -> None:
    """Log each statement's first line with the time that it took."""

    @event.listens_for(connection, "before_cursor_execute")
    def started(*_: Any) -> None:
        connection.info["started"] = time.monotonic()

    @event.listens_for(connection, "after_cursor_execute")
    def finished(_connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        milliseconds = round((time.monotonic() - connection.info["started"]) * 1000, 1)
        extra = {"statement": " ".join(statement.split())[:200], "duration_ms": milliseconds}
        logger.info("statement", extra=extra)


def run() -> None:
    """Run what Alembic was asked for."""
    if context.is_offline_mode():
        configure(dialect_name="postgresql", literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
        return
    connection: Connection | None = context.config.attributes["connection"]
    if connection is None:
        raise RuntimeError("no database to migrate: hand a connection to migrations.configuration.configuration")
    driver: Any = connection.connection.driver_connection
    with held(driver):
        configure(connection=connection)
        log_statements(connection)
        with context.begin_transaction():
            context.run_migrations()


run()
