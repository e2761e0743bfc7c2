"""The database's two roles: `product_migrator` owns the schema, `product_api` reads and writes rows.

The step mends whatever it finds: a secret without a role (a database rebuilt beside its secrets), a role without a
secret (secrets rebuilt beside an old database), both with different passwords, or nothing at all. It runs as the master
user of RDS, who is no superuser.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from psycopg import sql

from migrations.access import Access, AccessError, Credentials, new_password, set_password

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

logger = logging.getLogger(__name__)

MIGRATOR: Final = "product_migrator"
API: Final = "product_api"

_LOCK: Final = 0x70726F64_75736572  # "produser"

# Set for the role, not by its connections: RDS Proxy refuses libpq's `options`, and pins a session that says SET.
_API_SETTINGS: Final = {"statement_timeout": "3s", "idle_in_transaction_session_timeout": "10s", "lock_timeout": "1s"}

_GRANTS: Final = """
ALTER DEFAULT PRIVILEGES FOR ROLE product_migrator IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO product_api;
ALTER DEFAULT PRIVILEGES FOR ROLE product_migrator IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO product_api;
GRANT USAGE ON SCHEMA public TO product_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO product_api;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO product_api;
"""


@dataclass(frozen=True, kw_only=True)
class Users:
    """What the step did, by role.

    Attributes:
        created: Roles that were missing.
        filled: Roles whose secret was empty.
        repaired: Roles that existed with another password than their secret's.
    """

    created: tuple[str, ...]
    filled: tuple[str, ...]
    repaired: tuple[str, ...]


def ensure(
    access: Access,
    *,
    master_secret: str,
    role_secrets: dict[str, str],
    password: Callable[[], str] = new_password,
) -> Users:
    """Make roles and secrets agree, and give the roles their rights; again makes no difference.

    A secret is filled before its role gets the password: what breaks off between the two is repaired by the next run.

    Args:
        access: The way into the database.
        master_secret: The secret of the master user.
        role_secrets: The secret of each role, by the role's name.
        password: Makes a password that nobody can guess.

    Raises:
        AccessError: A secret or the database cannot be used, or a secret is another role's.
    """
    created, filled, repaired = [], [], []
    with access.log_in(master_secret) as master:
        # Two runs at once would both find the secrets empty. Held until the transaction's end.
        master.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        for role, secret in role_secrets.items():
            credentials = access.secrets.read(secret)
            if credentials is None:
                credentials = Credentials(username=role, password=password())
                access.secrets.fill(secret, credentials)
                filled.append(role)
            if credentials.username != role:
                raise AccessError(
                    f"the secret {secret} names the user {credentials.username}; it has to be {role}'s own"
                )
            if master.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
                set_password(master, "CREATE ROLE {} LOGIN PASSWORD {}", credentials)
                created.append(role)
            elif not access.accepts(secret, role):
                set_password(master, "ALTER ROLE {} LOGIN PASSWORD {}", credentials)
                repaired.append(role)
        _own(master)
        if not _is_granted(master):
            master.execute(_GRANTS)
            if master.execute("SELECT to_regclass('alembic_version')").fetchone() != (None,):
                master.execute(f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {API}")
        for name, value in _API_SETTINGS.items():
            statement = sql.SQL("ALTER ROLE {} SET {} = {}")
            master.execute(statement.format(sql.Identifier(API), sql.Identifier(name), sql.Literal(value)))
    logger.info("users", extra={"roles_created": created, "secrets_filled": filled, "roles_repaired": repaired})
    return Users(created=tuple(created), filled=tuple(filled), repaired=tuple(repaired))


def _own(master: psycopg.Connection) -> None:
    """Make the migrator the schema's owner.

    Giving something to a role takes the right to become it. Since Postgres 16 who creates a role may administer it, and
    grant that right to itself, but does not have it.
    """
    row = master.execute(
        """SELECT pg_has_role(%(role)s, 'SET') AND pg_has_role(%(role)s, 'USAGE'),
                  pg_has_role(%(role)s, 'MEMBER WITH ADMIN OPTION'),
                  (SELECT pg_get_userbyid(nspowner) = %(role)s FROM pg_namespace WHERE nspname = 'public'),
                  current_user""",
        {"role": MIGRATOR},
    ).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    becomes, administers, owns, user = row
    migrator = sql.Identifier(MIGRATOR)
    if not becomes:
        if not administers:
            remedy = f"have its creator run GRANT {MIGRATOR} TO {user} WITH ADMIN OPTION, INHERIT TRUE, SET TRUE"
            raise AccessError(f"the role {MIGRATOR} exists, but the master user {user} may not administer it: {remedy}")
        master.execute(sql.SQL("GRANT {} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE").format(migrator))
    if not owns:
        master.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(migrator))


def _is_granted(master: psycopg.Connection) -> bool:
    """Whether the default privileges stand; `_GRANTS` is one transaction, so they stand for the rest."""
    row = master.execute(
        """SELECT count(*) FROM pg_default_acl AS d, aclexplode(d.defaclacl) AS a
           WHERE d.defaclrole = %s::regrole AND a.grantee = %s::regrole""",
        [MIGRATOR, API],
    ).fetchone()
    return row == (6,)  # four rights on tables, two on sequences
