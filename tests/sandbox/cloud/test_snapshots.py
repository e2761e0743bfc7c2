"""Snapshots of databases: what they hold, and what comes back from them."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.sandbox.cloud.harness import ACCOUNT, REGION, wait

if TYPE_CHECKING:
    from tests.sandbox.cloud.harness import Cloud

PASSWORD = "of-the-master"


@pytest.fixture(scope="module")
def source(cloud: Cloud) -> dict[str, Any]:
    """A database with a role of its own and two rows."""
    instance = cloud.database("source", MasterUserPassword=PASSWORD, Tags=[{"Key": "team", "Value": "a"}])
    with cloud.connection(instance, PASSWORD) as connection:
        connection.execute("CREATE TABLE kept (id int PRIMARY KEY)")
        connection.execute("INSERT INTO kept VALUES (1), (2)")
        connection.execute("CREATE ROLE app LOGIN PASSWORD 'of-app'")
    return instance


def snapshot(cloud: Cloud, name: str, instance: str = "source", **options: Any) -> dict[str, Any]:
    """Make a snapshot and wait for it; return its description."""
    rds = cloud.client("rds")
    rds.create_db_snapshot(DBSnapshotIdentifier=name, DBInstanceIdentifier=instance, **options)
    wait(rds.get_waiter("db_snapshot_available"), DBSnapshotIdentifier=name)
    found: dict[str, Any] = rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]
    return found


def restored(cloud: Cloud, name: str, wanted: str, **options: Any) -> dict[str, Any]:
    """Restore a snapshot and wait for the instance; return its description."""
    made = cloud.client("rds").restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier=name, DBSnapshotIdentifier=wanted, **options
    )["DBInstance"]
    assert made["DBInstanceIdentifier"] == name
    return cloud.available(name)


def rows(cloud: Cloud, instance: dict[str, Any]) -> int:
    """Return how many rows a database holds."""
    with cloud.connection(instance, PASSWORD) as connection:
        found = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert found is not None
    return int(found[0])


def test_a_snapshot_describes_its_instance(cloud: Cloud, source: dict[str, Any]) -> None:
    """With the tags that it was given; those of the instance only where the instance copies them."""
    made = snapshot(cloud, "described", Tags=[{"Key": "why", "Value": "test"}])
    assert (made["Status"], made["PercentProgress"], made["SnapshotType"]) == ("available", 100, "manual")
    assert made["DBSnapshotArn"] == f"arn:aws:rds:{REGION}:{ACCOUNT}:snapshot:described"
    assert (made["DBInstanceIdentifier"], made["DbiResourceId"]) == ("source", source["DbiResourceId"])
    assert made["MasterUsername"] == "master"
    assert made["TagList"] == [{"Key": "why", "Value": "test"}]
    rds = cloud.client("rds")
    assert rds.list_tags_for_resource(ResourceName=made["DBSnapshotArn"])["TagList"] == made["TagList"]
    rds.modify_db_instance(DBInstanceIdentifier="source", CopyTagsToSnapshot=True, ApplyImmediately=True)
    assert snapshot(cloud, "tagged")["TagList"] == [{"Key": "team", "Value": "a"}]
    with pytest.raises(rds.exceptions.DBSnapshotAlreadyExistsFault):
        snapshot(cloud, "described")
    with pytest.raises(rds.exceptions.DBInstanceNotFoundFault):
        snapshot(cloud, "of-nothing", "nothing")


def test_a_snapshot_is_one_moment_while_clients_write(cloud: Cloud, source: dict[str, Any]) -> None:
    """What was committed before is in it; what is written on meanwhile breaks nothing; open transactions are not."""
    ending = threading.Event()
    with cloud.connection(source, PASSWORD) as connection:
        connection.execute("CREATE TABLE busy (id serial, pair int)")

    def write() -> None:
        with cloud.connection(source, PASSWORD, autocommit=True) as connection:
            while not ending.is_set():
                connection.execute("INSERT INTO busy (pair) VALUES (1), (2)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with cloud.connection(source, PASSWORD) as open_transaction:
            open_transaction.execute("INSERT INTO kept VALUES (3)")
            snapshot(cloud, "busy")
            open_transaction.rollback()
    finally:
        ending.set()
        writer.join()
    instance = restored(cloud, "from-busy", "busy")
    assert rows(cloud, instance) == 2
    with cloud.connection(instance, PASSWORD) as connection:
        found = connection.execute(
            "SELECT count(*) FILTER (WHERE pair = 1) = count(*) FILTER (WHERE pair = 2) FROM busy"
        )
        assert found.fetchone() == (True,)


def test_a_restored_instance_is_another_one(cloud: Cloud, source: dict[str, Any]) -> None:
    """It has the data, the roles and the master of the snapshot, an endpoint of its own, and goes its own way."""
    snapshot(cloud, "good")
    with cloud.connection(source, PASSWORD) as connection:
        connection.execute("INSERT INTO kept VALUES (10)")
    instance = restored(cloud, "restored", "good", DBInstanceClass="db.t4g.small", DeletionProtection=True)
    assert instance["DBInstanceClass"] == "db.t4g.small"
    assert instance["DeletionProtection"] is True
    assert instance["Endpoint"]["Address"] != source["Endpoint"]["Address"]
    assert instance["DbiResourceId"] != source["DbiResourceId"]
    assert (rows(cloud, source), rows(cloud, instance)) == (3, 2)
    with cloud.connection(instance, "of-app", user="app") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app",)
    with cloud.connection(source, PASSWORD) as connection:
        connection.execute("DELETE FROM kept WHERE id = 10")
    rds = cloud.client("rds")
    with pytest.raises(rds.exceptions.DBInstanceAlreadyExistsFault):
        rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="restored", DBSnapshotIdentifier="good")
    with pytest.raises(rds.exceptions.DBSnapshotNotFoundFault):
        rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="r2", DBSnapshotIdentifier="nothing")


def test_a_final_snapshot_can_be_restored(cloud: Cloud) -> None:
    """And the copy of it, after it is deleted itself."""
    instance = cloud.database("last", MasterUserPassword=PASSWORD)
    with cloud.connection(instance, PASSWORD) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 5) AS id")
    rds = cloud.client("rds")
    rds.delete_db_instance(DBInstanceIdentifier="last", FinalDBSnapshotIdentifier="last-final")
    rds.copy_db_snapshot(SourceDBSnapshotIdentifier="last-final", TargetDBSnapshotIdentifier="last-copy")
    wait(rds.get_waiter("db_snapshot_available"), DBSnapshotIdentifier="last-copy")
    rds.delete_db_snapshot(DBSnapshotIdentifier="last-final")
    with pytest.raises(rds.exceptions.DBSnapshotNotFoundFault):
        rds.describe_db_snapshots(DBSnapshotIdentifier="last-final")
    (copied,) = rds.describe_db_snapshots(DBSnapshotIdentifier="last-copy")["DBSnapshots"]
    assert copied["SourceDBSnapshotIdentifier"].endswith(":snapshot:last-final")
    assert rows(cloud, restored(cloud, "last", "last-copy")) == 5


def test_a_restored_master_can_be_managed(cloud: Cloud, source: dict[str, Any]) -> None:
    """With a new password, in a secret; the old one is worth nothing then."""
    del source
    snapshot(cloud, "for-managed")
    instance = restored(cloud, "managed", "for-managed", ManageMasterUserPassword=True)
    value = cloud.client("secretsmanager").get_secret_value(SecretId=instance["MasterUserSecret"]["SecretArn"])
    cloud.connection(instance, json.loads(value["SecretString"])["password"]).close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        cloud.connection(instance, PASSWORD)


def test_deleting_a_snapshot_removes_its_data(cloud: Cloud, source: dict[str, Any]) -> None:
    """The disk of a laptop is not endless."""
    del source
    snapshot(cloud, "short-lived")
    folder = cloud.directory / "postgres" / ACCOUNT / ".snapshots"
    assert (folder / "short-lived" / "data" / "PG_VERSION").exists()
    cloud.client("rds").delete_db_snapshot(DBSnapshotIdentifier="short-lived")
    assert not (folder / "short-lived").exists()


def test_restoring_to_a_point_in_time_is_refused_with_the_remedy(cloud: Cloud, source: dict[str, Any]) -> None:
    """Rather than to pretend."""
    del source
    rds = cloud.client("rds")
    with pytest.raises(rds.exceptions.InvalidRestoreFault, match="restore a snapshot"):
        rds.restore_db_instance_to_point_in_time(
            SourceDBInstanceIdentifier="source", TargetDBInstanceIdentifier="x", UseLatestRestorableTime=True
        )
