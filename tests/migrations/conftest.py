"""A database as RDS hands it over, and a migrator for it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from migrations.configuration import SCRIPTS
from tests.support.postgres import Cluster, cluster, postgres
from tests.support.world import ROLES, Checkout, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["postgres"]


@pytest.fixture
def world(postgres: Cluster) -> Iterator[World]:
    """A new database, and a server without our roles."""
    try:
        with postgres.database() as database:
            yield World(cluster=postgres, database=database)
    finally:
        for role in ROLES:
            postgres.server.sql(f"DROP ROLE IF EXISTS {role}")


@pytest.fixture
def ready(world: World) -> World:
    """The same after the users step."""
    world.migrator().run({"action": "users"})
    return world


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A copy of the project's migrations."""
    (tmp_path / "migrations" / "versions").mkdir(parents=True)
    for path in (SCRIPTS / "env.py", SCRIPTS / "script.py.mako", *(SCRIPTS / "versions").glob("*.py")):
        shutil.copy(path, tmp_path / path.relative_to(SCRIPTS.parent))
    return Checkout(root=tmp_path)


@pytest.fixture
def other_cluster() -> Iterator[Cluster]:
    """A server of a test's own."""
    with cluster() as own:
        yield own
