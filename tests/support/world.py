"""A database as RDS hands it over, a migrator for it, and revisions to try on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from migrations.access import Access, Secrets
from migrations.entry import Migrator
from migrations.environment import MigratorEnvironment
from tests.support.postgres import MASTER, Cluster
from tests.support.secrets_manager import FakeSecretsManager

if TYPE_CHECKING:
    from pathlib import Path

ROLES = ("product_migrator", "product_api")


@dataclass(kw_only=True)
class World:
    """One database, its three secrets, and what the migrator makes of them.

    Attributes:
        cluster: The server.
        database: The database's name; empty but for what a new one has.
        secrets: The master's login, and the two secrets that begin empty.
    """

    cluster: Cluster
    database: str
    secrets: FakeSecretsManager = field(default_factory=FakeSecretsManager)

    def __post_init__(self) -> None:
        self.secrets.create("master-secret", username=MASTER, password=self.cluster.password)
        self.secrets.create("migrator-secret")
        self.secrets.create("api-secret")

    def migrator(self, scripts: Path | None = None, **environment: str) -> Migrator:
        """A migrator for this database, of the project's revisions or of others."""
        variables = {
            "ENVIRONMENT": "test",
            "DATABASE_HOST": str(self.cluster.server.sockets),
            "DATABASE_PORT": "5432",
            "DATABASE_NAME": self.database,
            "DATABASE_CA": __file__,
            "MASTER_SECRET": "master-secret",
            "MIGRATOR_SECRET": "migrator-secret",
            "API_SECRET": "api-secret",
        }
        access = Access(parameters=self.cluster.parameters(self.database), secrets=Secrets(client=self.secrets))
        return Migrator(environment=MigratorEnvironment.read(variables | environment), access=access, scripts=scripts)

    def log_in(self, secret: str) -> psycopg.Connection:
        """Log in as a role, in autocommit mode."""
        login = self.secrets.login(secret)
        return psycopg.connect(
            **self.cluster.parameters(self.database),
            user=login["username"],
            password=login["password"],
            autocommit=True,
        )

    def do(self, statement: str) -> None:
        """Have the migrator's role do something."""
        with self.log_in("migrator-secret") as connection:
            connection.execute(statement)

    def ask(self, question: Any) -> list[tuple[Any, ...]]:
        """What the database answers the migrator's role."""
        with self.log_in("migrator-secret") as connection:
            return connection.execute(question).fetchall()


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A copy of the project's migrations, to add revisions to.

    Attributes:
        root: Its root.
    """

    root: Path

    @property
    def scripts(self) -> Path:
        """Its folder of migrations."""
        return self.root / "migrations"

    def add(self, revision: str, after: str | None, upgrade: str, *, name: str = "Change something") -> None:
        """Add a revision whose `upgrade` has the given body."""
        body = "\n".join(f"    {line}" for line in upgrade.splitlines())
        text = (
            f'"""{name}."""\n\nimport sqlalchemy as sa\nfrom alembic import op\n\n'
            f"revision = {revision!r}\ndown_revision = {after!r}\n\n\n"
            f"def upgrade():\n{body}\n\n\ndef downgrade():\n    pass\n"
        )
        (self.scripts / "versions" / f"{revision}_added.py").write_text(text)
