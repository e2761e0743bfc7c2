"""The migrator on a real database: what it applies, refuses, repairs and reports."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from migrations import entry, lock
from migrations.entry import MigratorError
from migrations.lock import LockedError
from migrations.rendering import ROOT, Plan, plan

if TYPE_CHECKING:
    from tests.support.world import Checkout, World

ALL = ["0001", "0002", "0003"]


def migrate(world: World, checkout: Checkout | None = None, *, carried: Plan | None = None) -> dict[str, Any]:
    """Run the plan of the project, or of a changed copy, with the migrator of the same."""
    shown = carried or (plan(checkout.root) if checkout else plan())
    migrator = world.migrator(checkout.scripts if checkout else None)
    return migrator.run({"action": "migrate", "plan": shown.event()})


def columns(world: World, table: str = "products") -> list[str]:
    """The columns of a table; none where there is no table."""
    return [
        row[0]
        for row in world.ask(
            f"SELECT column_name::text FROM information_schema.columns WHERE table_name = '{table}' ORDER BY 1"  # noqa: S608
        )
    ]


def test_an_empty_database_gets_every_revision_and_a_second_run_none(ready: World) -> None:
    """The result says where it was, where it is, and what was applied."""
    first = migrate(ready)
    second = migrate(ready)

    assert {k: v for k, v in first.items() if k != "seconds"} == {"before": None, "after": "0003", "applied": ALL}
    assert {k: v for k, v in second.items() if k != "seconds"} == {"before": "0003", "after": "0003", "applied": []}
    assert first["seconds"] > 0
    assert ready.migrator().run({"action": "verify", "plan": plan().event()}) == {"head": "0003"}


def test_the_result_is_json(ready: World) -> None:
    """Lambda serialises what a handler returns."""
    for event in ({"action": "migrate", "plan": plan().inputs()}, {"action": "status"}, {"action": "users"}):
        json.dumps(ready.migrator().run(event))


def test_status_tells_head_and_known_revisions(ready: World) -> None:
    """Before and after."""
    assert ready.migrator().run({"action": "status"}) == {"head": None, "known": ALL}
    migrate(ready)
    assert ready.migrator().run({"action": "status"}) == {"head": "0003", "known": ALL}


def test_an_unknown_action_is_refused_with_the_known_ones(ready: World) -> None:
    """A typo in an event must not pass for a success."""
    with pytest.raises(MigratorError, match=r"unknown action 'migrat'; .* migrate, seed, status, users, verify"):
        ready.migrator().run({"action": "migrat"})
    with pytest.raises(MigratorError, match="needs a plan"):
        ready.migrator().run({"action": "migrate"})


def test_the_users_step_has_to_come_first(world: World) -> None:
    """The secret is still empty."""
    with pytest.raises(Exception, match="run the users step first"):
        migrate(world)


@pytest.mark.parametrize(
    "upgrade",
    [
        "op.execute('CREATE TABLE half (id int)')\nop.execute('INSERT INTO products (nothing) VALUES (1)')",
        "op.execute('CREATE TABLE half (id int)')\nop.add_column('nowhere', sa.Column('nothing', sa.Text()))",
    ],
)
def test_a_revision_that_fails_leaves_the_schema_as_it_was(ready: World, checkout: Checkout, upgrade: str) -> None:
    """The revisions before it stay, it itself is undone; the error names revision, statement and Postgres's words."""
    checkout.add("0004", "0003", "op.add_column('products', sa.Column('weight', sa.Integer()))")
    checkout.add("0005", "0004", upgrade)

    with pytest.raises(MigratorError, match=r"revision 0005 failed, statement .*nothing.* does not exist; .* at 0004"):
        migrate(ready, checkout)

    assert "weight" in columns(ready)
    assert columns(ready, "half") == []
    assert ready.ask("SELECT version_num FROM alembic_version") == [("0004",)]


def test_a_revision_that_raises_in_python_is_named_too(ready: World, checkout: Checkout) -> None:
    """It renders offline, where there is no data to stumble over."""
    checkout.add("0004", "0003", "if not op.get_context().as_sql:\n    raise ValueError('odd')")

    with pytest.raises(MigratorError, match="revision 0004 failed: ValueError: odd; the database stays at 0003"):
        migrate(ready, checkout)


def test_after_a_failure_the_mended_revision_is_applied(ready: World, checkout: Checkout) -> None:
    """Nothing has to be cleaned by hand."""
    checkout.add("0004", "0003", "op.execute('SELECT nonsense')")
    with pytest.raises(MigratorError):
        migrate(ready, checkout)
    checkout.add("0004", "0003", "op.execute('SELECT 1')")

    assert migrate(ready, checkout)["applied"] == ["0004"]


def test_an_index_that_cannot_be_built_does_not_stay_behind_invalid(ready: World, checkout: Checkout) -> None:
    """CREATE INDEX CONCURRENTLY leaves an invalid one, which every write would go on paying for."""
    migrate(ready, checkout)
    ready.migrator(SEEDING="allowed").run({"action": "seed"})
    index = "op.execute('CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS one_currency ON products (currency)')"
    checkout.add("0004", "0003", f"with op.get_context().autocommit_block():\n    {index}")

    with pytest.raises(MigratorError, match=r"revision 0004 failed.*could not create unique index"):
        migrate(ready, checkout)

    assert ready.ask("SELECT 1 FROM pg_indexes WHERE indexname = 'one_currency'") == []


def test_an_invalid_index_of_a_killed_run_is_built_anew(ready: World) -> None:
    """IF NOT EXISTS alone would take the invalid one for the index."""
    migrate(ready)
    ready.do("UPDATE alembic_version SET version_num = '0001'")
    ready.do("ALTER TABLE products DROP COLUMN description")
    ready.cluster.server.sql(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'products_newest_first_idx'::regclass",
        database=ready.database,
    )

    assert migrate(ready)["applied"] == ["0002", "0003"]

    assert ready.ask("SELECT indisvalid FROM pg_index WHERE indexrelid = 'products_newest_first_idx'::regclass") == [
        (True,)
    ]


def test_verify_finds_what_is_not_valid(ready: World) -> None:
    """An index or a constraint on which nobody can rely."""
    migrate(ready)
    ready.do("ALTER TABLE products ADD CONSTRAINT named CHECK (name <> '') NOT VALID")
    ready.cluster.server.sql(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'products_newest_first_idx'::regclass",
        database=ready.database,
    )

    with pytest.raises(MigratorError, match=r"products_newest_first_idx is not valid.*constraint named is NOT VALID"):
        ready.migrator().run({"action": "verify", "plan": plan().event()})


def test_verify_finds_a_schema_that_somebody_changed(ready: World) -> None:
    """By hand, past every revision."""
    migrate(ready)
    ready.do("ALTER TABLE products ADD COLUMN hand_made int")

    with pytest.raises(MigratorError, match=r"not migrations/schema\.sql's"):
        ready.migrator().run({"action": "verify", "plan": plan().event()})


def test_verify_finds_a_database_that_is_behind(ready: World) -> None:
    """Migrate did not run, or stopped."""
    with pytest.raises(MigratorError, match="the database is at None, the plan ends at 0003: run migrate"):
        ready.migrator().run({"action": "verify", "plan": plan().event()})


@pytest.mark.parametrize("action", ["migrate", "verify"])
def test_a_plan_that_is_not_the_zips_is_refused(ready: World, checkout: Checkout, action: str) -> None:
    """What the preview showed and what would run are two things: names which revisions differ."""
    checkout.add("0004", "0003", "op.execute('SELECT 1')")
    shown = plan(checkout.root).event()
    shown["revisions"][2]["sha256"] = "0" * 64

    with pytest.raises(MigratorError, match=r"0004 is not in the zip, 0003 has other SQL\): build the code zip"):
        ready.migrator().run({"action": action, "plan": shown})

    assert columns(ready) == []


def test_a_database_behind_the_base_is_refused_with_the_remedy(ready: World, checkout: Checkout) -> None:
    """A release was left out on this stack: its revisions were never judged together with these."""
    migrate(ready, checkout)
    released(checkout, "0004")

    with pytest.raises(
        MigratorError, match=r"at 0003, behind the plan's base 0004: .*deploy the release that ends at 0004"
    ):
        migrate(ready, checkout)

    assert ready.ask("SELECT version_num FROM alembic_version") == [("0003",)]


def test_an_empty_database_replays_released_history(ready: World, checkout: Checkout) -> None:
    """A new stack begins where all others are."""
    released(checkout, "0004")

    assert [*ALL, "0004", "0005"] == migrate(ready, checkout)["applied"]


def test_a_database_at_the_base_gets_the_pending_ones(ready: World, checkout: Checkout) -> None:
    """The everyday case once something has been released."""
    checkout.add("0004", "0003", "op.execute('SELECT 1')")
    migrate(ready, checkout)
    released(checkout, "0004")

    assert migrate(ready, checkout)["applied"] == ["0005"]


def test_an_older_zip_runs_nothing_on_a_database_that_is_further(ready: World, checkout: Checkout) -> None:
    """Going back to an older release does not touch the schema, which is compatible; verify agrees."""
    checkout.add("0004", "0003", "op.execute('CREATE TABLE later (id int)')")
    migrate(ready, checkout)

    done = migrate(ready)

    assert (done["before"], done["after"], done["applied"]) == ("0004", "0004", [])
    assert ready.migrator().run({"action": "verify", "plan": plan().event()}) == {"head": "0004"}


def test_a_database_of_another_branch_is_refused(ready: World, checkout: Checkout) -> None:
    """Its head is unknown too, but this plan's head is not below it."""
    checkout.add("0004a", "0003", "op.execute('SELECT 1')")
    migrate(ready, checkout)
    (checkout.scripts / "versions" / "0004a_added.py").unlink()
    entry._directory.cache_clear()
    checkout.add("0004b", "0003", "op.execute('SELECT 1')")

    with pytest.raises(MigratorError, match=r"at 0004a, which this zip does not know .* after 0004b: .*another branch"):
        migrate(ready, checkout)


def test_two_migrators_at_once_apply_each_revision_once(ready: World) -> None:
    """The second waits for the lock while the first works, also while it builds an index, and finds nothing to do."""
    script = """
import json, sys
from tests.support.postgres import Cluster
from tests.support.secrets_manager import FakeSecretsManager
from tests.support.world import World
from types import SimpleNamespace
told = json.loads(sys.stdin.readline())
world = World.__new__(World)
world.cluster = Cluster(server=SimpleNamespace(sockets=told["sockets"]), password="")
world.database, world.secrets = told["database"], FakeSecretsManager(secrets=told["secrets"])
migrator = world.migrator()
migrator._plan(told["plan"])  # imports and renders, so that the two meet in the database
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps(migrator.run({"action": "migrate", "plan": told["plan"]})["applied"]))
"""
    told = {
        "sockets": str(ready.cluster.server.sockets),
        "database": ready.database,
        "secrets": ready.secrets.secrets,
        "plan": plan().event(),
    }
    two = [
        subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(2)
    ]
    for process in two:
        assert process.stdin
        process.stdin.write(json.dumps(told) + "\n")
        process.stdin.flush()
    for process in two:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in two:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    applied = [json.loads(process.communicate(timeout=60)[0]) for process in two]

    assert sorted(applied) == [[], ALL]


def test_a_migrator_that_waits_does_not_block_an_index_build(ready: World) -> None:
    """It asks again and again; a statement that waited would be a transaction which the build waits for."""
    migrate(ready)
    waited: list[float] = []
    with ready.log_in("migrator-secret") as working, ready.log_in("migrator-secret") as waiting:

        def build_meanwhile(seconds: float) -> None:
            waited.append(seconds)
            working.execute("SET statement_timeout = '5s'")
            working.execute(f"CREATE INDEX CONCURRENTLY probe{len(waited)} ON products (name)")

        times = iter(range(100))
        with (
            lock.held(working),
            pytest.raises(LockedError, match=r"another migrator is at work \(process \d+ of product_migrator"),
            lock.held(waiting, patience=2, clock=lambda: next(times), sleep=build_meanwhile),
        ):
            pytest.fail("two held the lock")

    assert waited


def test_the_lock_is_free_after_success_and_after_failure(ready: World, checkout: Checkout) -> None:
    """The next run must not wait for a session that is gone."""
    checkout.add("0004", "0003", "op.execute('SELECT nonsense')")
    with pytest.raises(MigratorError):
        migrate(ready, checkout)
    migrate(ready)

    assert ready.ask("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'") == []


def test_a_statement_gives_up_waiting_for_a_lock(ready: World, checkout: Checkout) -> None:
    """Behind a long reader it would queue everybody else."""
    migrate(ready)
    checkout.add("0004", "0003", "op.execute('ALTER TABLE products ADD COLUMN weight int')")
    env = checkout.scripts / "env.py"
    env.write_text(
        env.read_text().replace(
            "config.get_main_option(name)", "dict(lock_timeout='50ms', statement_timeout='9s')[name]"
        )
    )
    with ready.log_in("api-secret") as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM products")

        with pytest.raises(MigratorError, match="canceling statement due to lock timeout; the database stays at 0003"):
            migrate(ready, checkout)

    assert "weight" not in columns(ready)


def test_every_revision_starts_with_the_configured_timeouts(ready: World, checkout: Checkout) -> None:
    """Also the one after a revision that raised them for itself."""
    settings = "current_setting('lock_timeout') || current_setting('statement_timeout')"
    record = f'op.execute("INSERT INTO seen SELECT {settings}")'
    checkout.add(
        "0004", "0003", "op.execute('CREATE TABLE seen (timeouts text)')\nop.execute(\"SET lock_timeout = '9s'\")"
    )
    checkout.add("0005", "0004", record)

    migrate(ready, checkout)

    assert ready.ask("SELECT timeouts FROM seen") == [("3s30s",)]


def test_going_down_and_up_again_leaves_the_same_schema(ready: World) -> None:
    """Each revision's downgrade takes back what its upgrade added."""
    from alembic import command
    from sqlalchemy import create_engine

    from migrations import schema
    from migrations.configuration import configuration

    migrate(ready)
    login = ready.secrets.login("migrator-secret")
    raw = psycopg.connect(
        **ready.cluster.parameters(ready.database), user=login["username"], password=login["password"]
    )
    engine = create_engine("postgresql+psycopg://", creator=lambda: raw)
    before = schema.dump(raw)
    raw.rollback()
    with engine.connect() as connection:
        for revision in (*reversed(ALL[:-1]), "base"):
            command.downgrade(configuration(connection=connection), revision)
    engine.dispose()

    assert columns(ready) == []
    migrate(ready)
    with ready.log_in("migrator-secret") as connection_again:
        assert before == schema.dump(connection_again)


def test_sample_data_is_the_same_each_time_and_only_where_it_is_allowed(ready: World) -> None:
    """A second run inserts nothing, and a changed product is left alone."""
    migrate(ready)
    with pytest.raises(MigratorError, match="does not belong into test: its migrator has no SEEDING=allowed"):
        ready.migrator().run({"action": "seed"})
    allowed = ready.migrator(SEEDING="allowed")

    first = allowed.run({"action": "seed"})["inserted"]
    ready.do("UPDATE products SET name = 'changed' WHERE id = 1")
    ready.do("DELETE FROM products WHERE id = 2")

    assert allowed.run({"action": "seed"}) == {"inserted": 1}
    assert [(first, 1)] == ready.ask("SELECT count(*), count(*) FILTER (WHERE name = 'changed') FROM products")


def released(checkout: Checkout, head: str) -> None:
    """Record a release that ends at 0004, with 0005 after it."""
    if not (checkout.scripts / "versions" / "0004_added.py").exists():
        checkout.add("0004", "0003", "op.execute('SELECT 1')")
    checkout.add("0005", "0004", "op.execute('SELECT 2')")
    (checkout.scripts / "releases").mkdir()
    document = {"release": "1", "head": head, "digest": "0" * 64, "statements": []}
    (checkout.scripts / "releases" / "0001.json").write_text(json.dumps(document))
    entry._directory.cache_clear()
