"""The users step: four ways in which roles and secrets can disagree, and what each role may do afterwards."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import psycopg
import pytest

from migrations.access import AccessError
from migrations.rendering import plan

if TYPE_CHECKING:
    from tests.support.postgres import Cluster
    from tests.support.world import World

BOTH = ["product_migrator", "product_api"]
NOTHING: dict[str, list[str]] = {"created": [], "filled": [], "repaired": []}


def run(world: World) -> dict[str, list[str]]:
    """The users step."""
    return world.migrator().run({"action": "users"})


def test_a_new_database_with_empty_secrets_gets_both_roles(world: World) -> None:
    """And the passwords in the secrets let them in."""
    assert run(world) == {"created": BOTH, "filled": BOTH, "repaired": []}

    for secret, role in (("migrator-secret", "product_migrator"), ("api-secret", "product_api")):
        with world.log_in(secret) as connection:
            assert (role,) == connection.execute("SELECT current_user").fetchone()


def test_a_second_run_changes_nothing(ready: World) -> None:
    """Not even the stored verifiers, whose salt would differ."""
    stored = "SELECT string_agg(rolpassword, ',' ORDER BY rolname) FROM pg_authid WHERE rolname LIKE 'product%'"
    before = ready.cluster.server.sql(stored), dict(ready.secrets.secrets)

    assert run(ready) == NOTHING

    assert before == (ready.cluster.server.sql(stored), ready.secrets.secrets)


def test_roles_of_an_old_database_get_the_passwords_of_new_secrets(ready: World) -> None:
    """A rebuilt sandbox adopts an old data directory: its secrets are empty again."""
    old = ready.secrets.login("api-secret")
    for secret in ("migrator-secret", "api-secret"):
        ready.secrets.create(secret)

    assert run(ready) == {"created": [], "filled": BOTH, "repaired": BOTH}

    assert old != ready.secrets.login("api-secret")
    ready.log_in("api-secret").close()


def test_a_new_database_gets_the_passwords_of_old_secrets(world: World) -> None:
    """The secrets outlived the database; what a proxy or a function remembers stays true."""
    world.secrets.create("migrator-secret", username="product_migrator", password="kept-1")
    world.secrets.create("api-secret", username="product_api", password="kept-2")

    assert run(world) == {"created": BOTH, "filled": [], "repaired": []}

    assert world.secrets.login("api-secret")["password"] == "kept-2"
    world.log_in("api-secret").close()


def test_a_role_with_another_password_than_its_secret_is_repaired(ready: World) -> None:
    """A run that broke off between the secret and the role, or a hand that changed one of them."""
    ready.secrets.create("api-secret", username="product_api", password="another")

    assert run(ready) == NOTHING | {"repaired": ["product_api"]}

    ready.log_in("api-secret").close()


def test_a_role_that_a_rotation_has_given_its_pending_password_is_left_alone(ready: World) -> None:
    """To set it back would break the login as soon as the pending secret becomes current."""
    pending = '{"username": "product_api", "password": "pending"}'
    ready.secrets.secrets["api-secret"]["AWSPENDING"] = pending
    ready.cluster.server.sql("ALTER ROLE product_api PASSWORD 'pending'")

    assert run(ready) == NOTHING


def test_a_secret_of_another_user_is_refused(world: World) -> None:
    """Two secrets swapped in the configuration would give each role the other's rights."""
    world.secrets.create("api-secret", username="product_migrator", password="x")

    with pytest.raises(AccessError, match="names the user product_migrator; it has to be product_api's own"):
        run(world)


def test_a_secret_that_does_not_exist_is_named(world: World) -> None:
    """An empty secret and a missing one answer alike until they are written."""
    del world.secrets.secrets["api-secret"]

    with pytest.raises(AccessError, match="secret api-secret cannot be written"):
        run(world)


def test_a_role_that_the_master_may_not_administer_is_an_error_with_the_remedy(world: World) -> None:
    """Somebody else created it."""
    world.cluster.server.sql("CREATE ROLE product_migrator LOGIN PASSWORD 'x'")
    world.secrets.create("migrator-secret", username="product_migrator", password="x")

    with pytest.raises(AccessError, match="GRANT product_migrator TO master WITH ADMIN OPTION"):
        run(world)


def test_passwords_are_neither_logged_nor_told_to_the_server(
    world: World, other_cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """The server keeps every statement here, and gets verifiers."""
    other_cluster.server.configure({"log_statement": "all"})
    caplog.set_level(logging.DEBUG)
    with other_cluster.database() as database:
        world.cluster, world.database = other_cluster, database
        world.__post_init__()
        run(world)
        ready = [world.secrets.login(name)["password"] for name in ("migrator-secret", "api-secret")]

    assert "CREATE ROLE" in other_cluster.log()
    for password in ready:
        assert password not in other_cluster.log()
        assert password not in caplog.text


def test_the_api_reads_and_writes_rows_and_nothing_else(ready: World) -> None:
    """Also of tables that are made later, and not of Alembic's own."""
    ready.migrator().run({"action": "migrate", "plan": plan().event()})
    with ready.log_in("api-secret") as api:
        api.execute("INSERT INTO products (sku, name, price, currency) VALUES ('A', 'a', 1, 'EUR')")
        api.execute("UPDATE products SET name = 'b'")
        assert api.execute("SELECT name FROM products").fetchall() == [("b",)]
        api.execute("DELETE FROM products")
        for statement in (
            "TRUNCATE products",
            "DROP TABLE products",
            "ALTER TABLE products ADD COLUMN x int",
            "CREATE TABLE x (i int)",
            "UPDATE alembic_version SET version_num = 'x'",
            "DELETE FROM alembic_version",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                api.execute(statement)


def test_the_api_has_its_limits_without_asking_for_them(ready: World) -> None:
    """A proxy pins a session that sets them itself."""
    with ready.log_in("api-secret") as api:
        assert api.execute("SHOW statement_timeout").fetchone() == ("3s",)


def test_an_api_role_that_was_dropped_gets_its_rights_on_old_tables_back(ready: World) -> None:
    """Default privileges reach only what is created after them."""
    ready.migrator().run({"action": "migrate", "plan": plan().event()})
    ready.cluster.server.sql("DROP OWNED BY product_api; DROP ROLE product_api", database=ready.database)

    assert run(ready) == NOTHING | {"created": ["product_api"]}

    with ready.log_in("api-secret") as api:
        assert api.execute("SELECT count(*) FROM products").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            api.execute("DELETE FROM alembic_version")
