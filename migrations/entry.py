"""The migrator function: the one place from which anything changes a database's schema, roles or sample data."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from migrations import logs, users
from migrations.access import Access, Secrets, secrets_manager
from migrations.environment import MigratorEnvironment
from migrations.lock import held
from migrations.rendering import plan_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from alembic.script import ScriptDirectory

    from migrations.rendering import Plan

logger = logging.getLogger(__name__)


class MigratorError(Exception):
    """A step that was refused or has failed; the message says which rule or statement, and the remedy."""


@dataclass(frozen=True, kw_only=True)
class Migrator:
    """The migrator's actions.

    Attributes:
        environment: What the function was told.
        access: The way into the database.
        scripts: The folder of the revisions; None for the ones beside this module.
        clock: Monotonic seconds.
    """

    environment: MigratorEnvironment
    access: Access
    scripts: Path | None = None
    clock: Callable[[], float] = time.monotonic

    def run(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Do what an event asks for.

        Args:
            event: `{"action": …}`, with `plan` where the action needs one.

        Raises:
            MigratorError: The action is unknown, refused or has failed.
        """
        action = event.get("action")
        plain: dict[str, Callable[[], dict[str, Any]]] = {"users": self.users, "status": self.status, "seed": self.seed}
        planned = {"migrate": self.migrate, "verify": self.verify}
        if action in plain:
            return plain[action]()
        if action in planned:
            if not isinstance(event.get("plan"), dict):
                raise MigratorError(
                    f"the action {action} needs a plan, and the event has none: send Plan.event() as 'plan'"
                )
            return planned[action](event["plan"])
        known = ", ".join(sorted((*plain, *planned)))
        raise MigratorError(f"unknown action {action!r}; the migrator knows {known}")

    def users(self) -> dict[str, Any]:
        """Make roles and secrets agree."""
        done = users.ensure(
            self.access,
            master_secret=self.environment.master_secret,
            role_secrets={users.MIGRATOR: self.environment.migrator_secret, users.API: self.environment.api_secret},
        )
        return {name: list(roles) for name, roles in asdict(done).items()}

    def migrate(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Bring the database to the plan's head, one transaction per revision.

        Args:
            event: The plan, in full or as `Plan.event` has it.

        Raises:
            MigratorError: The plan is not this zip's, the database is not where the plan begins, or a revision failed;
                what had been applied before that one stays, and it itself has left nothing.
        """
        started = self.clock()
        plan = self._plan(event)
        with self._session() as connection, held(connection):
            before = _head(connection)
            if self._is_further(connection, plan, before):
                logger.warning("the database is further than this release; nothing to run", extra={"head": before})
                return {"before": before, "after": before, "applied": [], "seconds": self._since(started)}
            self._refuse_gap(plan, before)
            _drop_invalid_indexes(connection)
            try:
                self._upgrade(connection, plan.head)
            except MigratorError as failure:
                raise MigratorError(f"{failure}; {self._tidy_after_failure(connection)}") from failure
            self._leave_notes(connection)
            after = _head(connection)
        applied = [revision for revision in self._lineage(after) if revision not in self._lineage(before)]
        logger.info("migrate", extra={"before": before, "after": after, "applied": applied})
        return {"before": before, "after": after, "applied": applied, "seconds": self._since(started)}

    def verify(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Prove that the database is what the plan leaves.

        Args:
            event: The plan, in full or as `Plan.event` has it.

        Raises:
            MigratorError: The head is another, an index or a constraint is not valid, or the schema is not that of
                `schema.sql`.
        """
        from migrations import schema

        plan = self._plan(event)
        with self._session() as connection:
            head = _head(connection)
            further = self._is_further(connection, plan, head)
            if head != plan.head and not further:
                raise MigratorError(f"the database is at {head}, the plan ends at {plan.head}: run migrate")
            wrong = [
                f"index {name} is not valid: run migrate, which drops it, and its revision again"
                for name in _invalid_indexes(connection)
            ]
            wrong += [
                f"constraint {name} is NOT VALID: add a revision that validates it" for name in _not_valid(connection)
            ]
            if self.scripts is None and not further and schema.dump(connection) != schema.FILE.read_text():
                wrong.append(
                    "its schema is not migrations/schema.sql's: somebody changed it by hand, or the file is old"
                )
        if wrong:
            raise MigratorError(f"the database is at {head}, but {'; '.join(wrong)}")
        return {"head": head}

    def status(self) -> dict[str, Any]:
        """Where the database is, and which revisions this zip knows."""
        with self._session() as connection:
            head = _head(connection)
        return {"head": head, "known": self._lineage(_directory(self._scripts).get_current_head())}

    def seed(self) -> dict[str, Any]:
        """Insert the sample products, where that is allowed."""
        from migrations import seeding

        if self.environment.seeding != "allowed":
            stack = self.environment.environment
            raise MigratorError(f"sample data does not belong into {stack}: its migrator has no SEEDING=allowed")
        with self._session() as connection:
            return {"inserted": seeding.seed(connection)}

    @property
    def _scripts(self) -> Path:
        from migrations.configuration import SCRIPTS

        return self.scripts or SCRIPTS

    def _session(self) -> psycopg.Connection:
        return self.access.log_in(self.environment.migrator_secret)

    def _since(self, started: float) -> float:
        return round(self.clock() - started, 3)

    def _lineage(self, revision: str | None) -> list[str]:
        """A revision and all before it, oldest first; empty for None."""
        if revision is None:
            return []
        return [r.revision for r in reversed(list(_directory(self._scripts).iterate_revisions(revision, "base")))]

    def _plan(self, event: Mapping[str, Any]) -> Plan:
        """The plan that this zip carries, which has to be the one that the event names."""
        from migrations.history import base
        from migrations.offline import render

        released = base(self._scripts)
        carried = plan_of(released, list(render(self._scripts, released)))
        if carried.digest != event.get("digest"):
            shown = {r.get("revision"): _sha256(r) for r in event.get("revisions") or ()}
            here = {r.revision: r.sha256 for r in carried.revisions}
            differences = (
                [f"base is {carried.base}, not {event.get('base')}"] if carried.base != event.get("base") else []
            )
            differences += [f"{name} is not in the zip" for name in shown if name not in here]
            differences += [f"{name} is not in the plan" for name in here if name not in shown]
            differences += [f"{name} has other SQL" for name in here if name in shown and shown[name] != here[name]]
            reason = ", ".join(differences) or "a summary or a reason differs"
            raise MigratorError(
                f"the plan that was shown is not what this zip carries ({reason}): build the code zip and preview again"
            )
        return carried

    def _is_further(self, connection: psycopg.Connection, plan: Plan, head: str | None) -> bool:
        """Whether a later release has been here: its head is unknown to this zip, and its lineage holds this plan's."""
        if head is None or head in self._lineage(_directory(self._scripts).get_current_head()):
            return False
        row = connection.execute("SELECT obj_description(to_regclass('alembic_version'))").fetchone()
        connection.rollback()
        lineage = str(row[0] or "").removeprefix(_NOTE).split() if row else []
        if plan.head in lineage and head in lineage:
            return True
        raise MigratorError(
            f"the database is at {head}, which this zip does not know and which does not come after {plan.head}: "
            f"it was migrated from another branch; deploy that branch, or merge it into this one"
        )

    def _refuse_gap(self, plan: Plan, head: str | None) -> None:
        if head is not None and plan.base is not None and plan.base not in self._lineage(head):
            raise MigratorError(
                f"the database is at {head}, behind the plan's base {plan.base}: a release was left out here; "
                f"deploy the release that ends at {plan.base} first"
            )

    def _upgrade(self, connection: psycopg.Connection, head: str | None) -> None:
        from alembic import command
        from sqlalchemy import create_engine, exc
        from sqlalchemy.pool import StaticPool

        from migrations.configuration import configuration

        if head is None:
            return
        # The session that holds the lock does the work: when it dies, the lock is free and nothing goes on without it.
        engine = create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool)
        with engine.connect() as wrapped:
            config = configuration(scripts=self._scripts, connection=wrapped)
            try:
                command.upgrade(config, head)
            except Exception as error:
                revision = ", ".join(config.attributes.get("running", ())) or "(none yet)"
                statement, reason = "", f"{type(error).__name__}: {error}"
                if isinstance(error, exc.DBAPIError):
                    statement = f", statement {_first_line(error.statement or '')!r}"
                    diagnosis = getattr(error.orig, "diag", None)
                    reason = getattr(diagnosis, "message_primary", None) or _first_line(str(error.orig))
                raise MigratorError(f"revision {revision} failed{statement}: {reason}") from error

    def _tidy_after_failure(self, connection: psycopg.Connection) -> str:
        try:
            _drop_invalid_indexes(connection)
            self._leave_notes(connection)
            return f"the database stays at {_head(connection) or 'no revision'}"
        except psycopg.Error:  # the session is gone, say; the next run begins with the same
            logger.exception("could not tidy up")
            return "the database is left at the revision before"

    def _leave_notes(self, connection: psycopg.Connection) -> None:
        """Write down the lineage, for a zip that does not know this head, and keep Alembic's table from the API."""
        head = _head(connection)
        if head is None:
            return
        note = _NOTE + " ".join(self._lineage(head))
        row = connection.execute(
            """SELECT obj_description(to_regclass('alembic_version')) IS NOT DISTINCT FROM %s,
                      EXISTS (SELECT FROM pg_roles WHERE rolname = %s)""",
            [note, users.API],
        ).fetchone()
        noted, has_api = row or (False, False)
        if not noted:
            comment = sql.SQL("COMMENT ON TABLE alembic_version IS {}")
            connection.execute(comment.format(sql.Literal(note)))
            if has_api:
                connection.execute(f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {users.API}")
        connection.commit()


_NOTE = "applied: "


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Lambda's entry point.

    Args:
        event: `{"action": …}`.
        context: Lambda's context object.

    Raises:
        MigratorError: The action is unknown, refused or has failed.
    """
    logs.configure(os.environ.get("LOG_LEVEL", "INFO"), str(getattr(context, "aws_request_id", "")))
    action, started, failed = str(event.get("action")), time.monotonic(), True
    try:
        done = _migrator().run(event)
        failed = False
    except Exception:
        logger.exception("the migrator failed", extra={"action": action})
        raise
    finally:
        logs.measure("step", failed=failed, seconds=time.monotonic() - started, action=action)
    return done


@functools.cache
def _migrator() -> Migrator:
    environment = MigratorEnvironment.read(os.environ)
    access = Access(parameters=environment.parameters("migrator"), secrets=Secrets(client=secrets_manager()))
    return Migrator(environment=environment, access=access)


@functools.cache
def _directory(scripts: Path) -> ScriptDirectory:
    from migrations.offline import scripts_in

    return scripts_in(scripts)


def _head(connection: psycopg.Connection) -> str | None:
    with connection.transaction():
        row = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
        if row is None or not row[0]:
            return None
        heads = [str(found[0]) for found in connection.execute("SELECT version_num FROM alembic_version ORDER BY 1")]
    if len(heads) > 1:
        raise MigratorError(
            f"the database has {len(heads)} heads ({', '.join(heads)}): apply the revision that merges them"
        )
    return heads[0] if heads else None


def _invalid_indexes(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute(
        """SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
           JOIN pg_namespace AS n ON n.oid = c.relnamespace
           WHERE NOT (i.indisvalid AND i.indisready) AND n.nspname = 'public' ORDER BY 1"""
    ).fetchall()
    return [str(row[0]) for row in rows]


def _not_valid(connection: psycopg.Connection) -> list[str]:
    # NOT ENFORCED (Postgres 18) is never valid, and meant so.
    rows = connection.execute(
        """SELECT k.conname FROM pg_constraint AS k JOIN pg_namespace AS n ON n.oid = k.connamespace
           WHERE NOT k.convalidated AND n.nspname = 'public'
               AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
           ORDER BY 1"""
    ).fetchall()
    return [str(row[0]) for row in rows]


def _drop_invalid_indexes(connection: psycopg.Connection) -> None:
    """Drop what an index build that failed or was killed has left; nobody reads it, and everybody writes to it.

    Under the migrators' lock nobody of ours builds one, so an invalid index is a left-over.
    """
    connection.rollback()
    connection.autocommit = True
    try:
        for name in _invalid_indexes(connection):
            logger.warning("dropping an index that a broken build left invalid", extra={"index": name})
            connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(name)))
    finally:
        connection.autocommit = False


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0]


def _sha256(revision: Mapping[str, Any]) -> str | None:
    """A revision's hash, whether the event has the SQL or its hash."""
    if "sha256" in revision:
        return str(revision["sha256"])
    return hashlib.sha256(str(revision.get("sql", "")).encode()).hexdigest()
