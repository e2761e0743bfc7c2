"""A real Postgres for tests: one server a test run, a database or a server of one's own where a test needs it."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from sandbox.postgres import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

MASTER = "master"
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A running server and its master user, who is no superuser, as on RDS.

    Attributes:
        server: The server.
        password: The master user's.
    """

    server: Server
    password: str

    def parameters(self, database: str) -> dict[str, Any]:
        """Where a database is, without a login."""
        return {"host": str(self.server.sockets), "port": 5432, "dbname": database}

    def connect(self, database: str) -> psycopg.Connection:
        """Log in as the master user, in autocommit mode."""
        return psycopg.connect(**self.parameters(database), user=MASTER, password=self.password, autocommit=True)

    def log(self) -> str:
        """What the server has logged."""
        return (self.server.home / "log").read_text(errors="replace")

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """A new database that the master user owns; roles are the cluster's and are shared."""
        name = f"test{next(_numbers)}"
        self.server.set_master(MASTER, self.password, database=name)
        try:
            yield name
        finally:
            self.server.sql(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a server on an empty folder; it and the folder are gone afterwards."""
    # A socket's path must be short, and pytest's folders are not. The prefix is not that of the sandbox's run folders.
    home = Path(tempfile.mkdtemp(prefix="test-postgres-"))
    server = Server(home / "postgres", home, spawn=subprocess.Popen)
    try:
        server.start()
        password = secrets.token_urlsafe(16)
        server.set_master(MASTER, password)
        yield Cluster(server=server, password=password)
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """The server that the tests of a run share."""
    with cluster() as shared:
        yield shared
