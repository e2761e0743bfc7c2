"""A migrated database with sample products, and the API on it."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

import pytest

from app import api, logs
from app.api import Application
from app.breaker import CircuitBreaker
from app.database import Database, connection_parameters
from app.domain import DatabaseUnavailableError
from app.environment import ApiEnvironment
from app.metrics import Meter
from migrations.rendering import plan
from tests.support.http import Clock, Stack
from tests.support.postgres import postgres
from tests.support.world import ROLES, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres import Cluster

__all__ = ["postgres"]


@pytest.fixture(scope="module")
def world(postgres: Cluster) -> Iterator[World]:
    """A database that the migrator has prepared; shared, so tests leave its rows alone or put them back."""
    try:
        with postgres.database() as database:
            world = World(cluster=postgres, database=database)
            migrator = world.migrator(SEEDING="allowed")
            actions: tuple[dict[str, Any], ...] = (
                {"action": "users"},
                {"action": "migrate", "plan": plan().event()},
                {"action": "seed"},
            )
            for action in actions:
                migrator.run(action)
            yield world
    finally:
        for role in ROLES:
            postgres.server.sql(f"DROP ROLE IF EXISTS {role}")


@pytest.fixture
def stack(world: World) -> Iterator[Stack]:
    """The API as a function's process holds it: nothing connected yet."""
    environment = ApiEnvironment.read(
        {
            "ENVIRONMENT": "test",
            "DATABASE_HOST": str(world.cluster.server.sockets),
            "DATABASE_PORT": "5432",
            "DATABASE_NAME": world.database,
            "DATABASE_SECRET": "api-secret",
            "DATABASE_CA": __file__,
            "AWS_LAMBDA_FUNCTION_VERSION": "7",
        }
    )
    parameters = connection_parameters(
        host=environment.database_host,
        port=environment.database_port,
        name=environment.database_name,
        ca=environment.database_ca,
        application="product-api-test",
    )
    clock = Clock()
    database = Database(parameters=parameters, secret="api-secret", secrets=lambda: world.secrets)
    breaker = CircuitBreaker(failures=DatabaseUnavailableError, clock=clock)
    meter = Meter(function="api", version="7", memory_mb=128, peak_kib=lambda: 64 << 10)
    application = Application(
        environment=environment, database=database, breaker=breaker, meter=meter, clock=clock, sleep=clock.sleep
    )
    yield Stack(application=application, world=world, clock=clock)
    database.close()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What reaches the log, as Lambda's handler would write it."""
    written = io.StringIO()
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [logging.StreamHandler(written)])
    level = root.level
    yield written
    root.setLevel(level)
    api._application.cache_clear()
    logs.REQUEST.set(None)
