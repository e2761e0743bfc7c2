"""The lock that lets one migrator work at a time."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final, LiteralString

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

KEY: Final = 0x70726F64_61706900  # "prodapi": any number that nobody else takes


class LockedError(Exception):
    """Another migrator holds the lock and does not let go."""


@contextlib.contextmanager
def held(
    connection: psycopg.Connection,
    *,
    patience: float = 60,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold the migrators' lock; the same session may take it again inside.

    It belongs to the session and not to a transaction, so a revision may commit (autocommit_block) and keep it, and a
    session that dies gives it back. It is asked for again and again instead of waited for: a waiting statement is a
    transaction, and CREATE INDEX CONCURRENTLY in the session that holds the lock would wait for that one, each for the
    other.

    Args:
        connection: The session that works under the lock, outside a transaction.
        patience: Seconds to keep asking.
        clock: Monotonic seconds.
        sleep: Waits for seconds.

    Raises:
        LockedError: The lock was not to be had; names the session that holds it.
    """
    deadline = clock() + patience
    while not _ask(connection, "SELECT pg_try_advisory_lock(%s)"):
        if clock() >= deadline:
            holder = _holder(connection)
            raise LockedError(
                f"another migrator is at work ({holder}); waited {patience:g} s for it: run this again later"
            )
        sleep(0.25)
    try:
        yield
    finally:
        if not connection.closed:
            connection.rollback()  # whatever went wrong inside, or nothing
            _ask(connection, "SELECT pg_advisory_unlock(%s)")


def _ask(connection: psycopg.Connection, question: LiteralString) -> bool:
    with _autocommit(connection):
        row = connection.execute(question, [KEY]).fetchone()
    return bool(row and row[0])


def _holder(connection: psycopg.Connection) -> str:
    question = """
        SELECT format('process %%s of %%s, since %%s', a.pid, a.usename, to_char(a.backend_start, 'HH24:MI:SS TZ'))
        FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
        WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32) + l.objid::bigint = %s"""
    with _autocommit(connection):
        row = connection.execute(question, [KEY]).fetchone()
    return str(row[0]) if row else "which has just ended"


@contextlib.contextmanager
def _autocommit(connection: psycopg.Connection) -> Iterator[None]:
    before = connection.autocommit
    connection.autocommit = True
    try:
        yield
    finally:
        connection.autocommit = before
