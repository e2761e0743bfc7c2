"""Writes `migrations/schema.sql` anew: `python -m tests.migrations.regenerate`."""

from __future__ import annotations

from migrations import schema
from migrations.rendering import plan
from tests.support.postgres import cluster
from tests.support.world import World


def main() -> None:
    """Migrate an empty database to the head, and write down what it looks like."""
    with cluster() as own, own.database() as database:
        world = World(cluster=own, database=database)
        world.migrator().run({"action": "users"})
        world.migrator().run({"action": "migrate", "plan": plan().event()})
        with world.log_in("migrator-secret") as connection:
            schema.FILE.write_text(schema.dump(connection))


if __name__ == "__main__":
    main()
