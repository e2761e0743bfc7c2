"""RDS instances have a real Postgres behind them and answer as AWS does."""

from __future__ import annotations

import json
import shutil
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from sandbox.postgres import version

if TYPE_CHECKING:
    from tests.sandbox.cloud.harness import Cloud

ACCOUNT = "000000000001"


@pytest.fixture(scope="module")
def instance(cloud: Cloud) -> dict[str, Any]:
    """An instance with a managed password and every setting that is easily lost."""
    rds = cloud.client("rds")
    rds.create_db_parameter_group(DBParameterGroupName="own", DBParameterGroupFamily="postgres18", Description="own")
    set_parameter(rds, "statement_timeout", "4321")
    return cloud.database(
        "full",
        EngineVersion="18",
        ManageMasterUserPassword=True,
        DBParameterGroupName="own",
        StorageEncrypted=True,
        StorageType="gp3",
        KmsKeyId=f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/own",
        BackupRetentionPeriod=0,
        PreferredBackupWindow="01:00-02:00",
        EnableCloudwatchLogsExports=["postgresql", "upgrade"],
        EnableIAMDatabaseAuthentication=True,
        EnablePerformanceInsights=True,
        PerformanceInsightsKMSKeyId=f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/own",
        PerformanceInsightsRetentionPeriod=31,
        MonitoringInterval=60,
        MonitoringRoleArn=f"arn:aws:iam::{ACCOUNT}:role/monitoring",
        CACertificateIdentifier="rds-ca-ecc384-g1",
        AutoMinorVersionUpgrade=False,
    )


def set_parameter(rds: Any, name: str, value: str) -> None:
    """Set one parameter of the group `own`."""
    parameter = {"ParameterName": name, "ParameterValue": value, "ApplyMethod": "immediate"}
    rds.modify_db_parameter_group(DBParameterGroupName="own", Parameters=[parameter])


def managed_password(cloud: Cloud, instance: dict[str, Any]) -> str:
    """Read the password that RDS keeps in a secret."""
    secret = cloud.client("secretsmanager").get_secret_value(SecretId=instance["MasterUserSecret"]["SecretArn"])
    return str(json.loads(secret["SecretString"])["password"])


def test_settings_given_at_creation_are_described(instance: dict[str, Any]) -> None:
    """What a provider reads back equals what it wrote."""
    expected = {
        "EngineVersion": version(),
        "KmsKeyId": f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/own",
        "BackupRetentionPeriod": 0,
        "PreferredBackupWindow": "01:00-02:00",
        "EnabledCloudwatchLogsExports": ["postgresql", "upgrade"],
        "IAMDatabaseAuthenticationEnabled": True,
        "PerformanceInsightsEnabled": True,
        "PerformanceInsightsKMSKeyId": f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/own",
        "PerformanceInsightsRetentionPeriod": 31,
        "MonitoringInterval": 60,
        "CACertificateIdentifier": "rds-ca-ecc384-g1",
        "AutoMinorVersionUpgrade": False,
        "DeletionProtection": False,
        "StorageThroughput": 125,
        "DBName": "product",
    }
    assert expected == {name: instance.get(name) for name in expected}
    assert instance["Endpoint"]["Address"].startswith("127.")
    assert instance["Endpoint"]["Port"] == 5432


def test_an_instance_has_no_endpoint_until_it_answers(cloud: Cloud) -> None:
    """As on AWS, where an address shows when there is one."""
    made = cloud.client("rds").create_db_instance(
        DBInstanceIdentifier="early",
        Engine="postgres",
        DBInstanceClass="db.t4g.micro",
        AllocatedStorage=20,
        MasterUsername="master",
        MasterUserPassword="early-password",
    )["DBInstance"]
    assert made["DBInstanceStatus"] == "creating"
    assert "Endpoint" not in made
    assert "DBName" not in made
    cloud.available("early")


def test_the_master_password_is_in_a_secret_named_and_tagged_as_aws_does(
    cloud: Cloud, instance: dict[str, Any]
) -> None:
    """The secret is RDS's own."""
    described = cloud.client("secretsmanager").describe_secret(SecretId=instance["MasterUserSecret"]["SecretArn"])
    tags = {tag["Key"]: tag["Value"] for tag in described["Tags"]}
    assert described["Name"].startswith("rds!db-")
    assert described["OwningService"] == "rds"
    assert tags == {
        "aws:secretsmanager:owningService": "rds",
        "aws:rds:primaryDBInstanceArn": instance["DBInstanceArn"],
    }
    assert instance["MasterUserSecret"]["SecretStatus"] == "active"


def test_the_master_is_no_superuser_and_owns_the_database(cloud: Cloud, instance: dict[str, Any]) -> None:
    """TLS is verified against the sandbox's authority, name included."""
    with cloud.connection(instance, managed_password(cloud, instance)) as connection:
        role = connection.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        owner = connection.execute("SELECT datdba::regrole::text FROM pg_database WHERE datname = 'product'").fetchone()
        timeout = connection.execute("SHOW statement_timeout").fetchone()
    assert role == (False, True, True)
    assert owner == ("master",)
    assert timeout == ("4321ms",)


def test_plaintext_is_refused_while_the_group_forces_tls(cloud: Cloud, instance: dict[str, Any]) -> None:
    """rds.force_ssl is 1 by default, and the group's value counts."""
    password = managed_password(cloud, instance)
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        cloud.connection(instance, password, sslmode="disable")
    rds = cloud.client("rds")
    set_parameter(rds, "rds.force_ssl", "0")
    try:
        cloud.connection(instance, password, sslmode="disable").close()
    finally:
        set_parameter(rds, "rds.force_ssl", "1")
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        cloud.connection(instance, password, sslmode="disable")


def test_nobody_logs_in_as_the_superuser(cloud: Cloud, instance: dict[str, Any]) -> None:
    """Not even with its password."""
    password = (cloud.directory / "postgres" / ACCOUNT / "full" / "admin").read_text()
    with pytest.raises(psycopg.OperationalError, match="rejects"):
        cloud.connection(instance, password, user="rdsadmin")


def test_a_statement_can_be_cancelled(cloud: Cloud, instance: dict[str, Any]) -> None:
    """Cancel requests come on a connection of their own, without a user."""
    with cloud.connection(instance, managed_password(cloud, instance)) as connection:
        threading.Timer(0.3, connection.cancel).start()
        with pytest.raises(psycopg.errors.QueryCanceled, match="user request"):
            connection.execute("SELECT pg_sleep(3)")


def test_large_results_and_large_statements_pass_whole(cloud: Cloud, instance: dict[str, Any]) -> None:
    """The relay holds a fast sender back and loses nothing."""
    with cloud.connection(instance, managed_password(cloud, instance)) as connection:
        sent = "x" * 20_000_000
        received = connection.execute("SELECT %s || repeat('y', 20000000)", [sent]).fetchone()
    assert received is not None
    assert received[0] == sent + "y" * 20_000_000


def test_bytes_smuggled_before_the_handshake_end_the_connection(instance: dict[str, Any]) -> None:
    """What comes with the request for TLS was not encrypted and must not be taken for it (CVE-2021-23222)."""
    address = instance["Endpoint"]["Address"], instance["Endpoint"]["Port"]
    with socket.create_connection(address, 5) as raw:
        raw.sendall(struct.pack("!II", 8, 80877103) + b"smuggled")
        assert raw.recv(1) == b""


def test_what_is_no_postgres_ends_the_connection(instance: dict[str, Any]) -> None:
    """A length beyond any start-up message, as in an HTTP request."""
    address = instance["Endpoint"]["Address"], instance["Endpoint"]["Port"]
    with socket.create_connection(address, 5) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert raw.recv(1) == b""


def test_a_new_password_reaches_the_server(cloud: Cloud) -> None:
    """ModifyDBInstance, and RDS's own secret when it is asked for later."""
    instance = cloud.database("rotated", MasterUserPassword="first-password")
    rds = cloud.client("rds")
    cloud.connection(instance, "first-password").close()
    rds.modify_db_instance(DBInstanceIdentifier="rotated", MasterUserPassword="it's a \\new one")
    cloud.connection(instance, "it's a \\new one").close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        cloud.connection(instance, "first-password")
    modified = rds.modify_db_instance(DBInstanceIdentifier="rotated", ManageMasterUserPassword=True)["DBInstance"]
    cloud.connection(instance, managed_password(cloud, modified)).close()


def test_deletion_ends_server_secret_and_data(cloud: Cloud) -> None:
    """And a deletion that names no final snapshot is refused before that."""
    instance = cloud.database("gone", ManageMasterUserPassword=True)
    rds, folder = cloud.client("rds"), cloud.directory / "postgres" / ACCOUNT / "gone"
    assert folder.is_dir()
    with pytest.raises(ClientError, match="FinalDBSnapshotIdentifier is required"):
        rds.delete_db_instance(DBInstanceIdentifier="gone")
    deleted = rds.delete_db_instance(DBInstanceIdentifier="gone", SkipFinalSnapshot=True)["DBInstance"]
    assert deleted["DBInstanceStatus"] == "deleting"
    assert not folder.exists()
    with pytest.raises(rds.exceptions.DBInstanceNotFoundFault):
        rds.describe_db_instances(DBInstanceIdentifier="gone")
    secrets = cloud.client("secretsmanager")
    with pytest.raises(secrets.exceptions.ResourceNotFoundException):
        secrets.describe_secret(SecretId=instance["MasterUserSecret"]["SecretArn"])


def test_deletion_protection_keeps_the_data(cloud: Cloud) -> None:
    """A refused deletion touches nothing."""
    cloud.database("kept", MasterUserPassword="kept-password", DeletionProtection=True)
    rds = cloud.client("rds")
    with pytest.raises(ClientError, match="DeletionProtection"):
        rds.delete_db_instance(DBInstanceIdentifier="kept", SkipFinalSnapshot=True)
    cloud.connection(cloud.available("kept"), "kept-password").close()


def test_a_stopped_instance_refuses_and_comes_back(cloud: Cloud) -> None:
    """StopDBInstance and StartDBInstance act on the server."""
    instance = cloud.database("paused", MasterUserPassword="paused-password")
    rds = cloud.client("rds")
    rds.stop_db_instance(DBInstanceIdentifier="paused")
    with pytest.raises(psycopg.OperationalError, match="not available"):
        cloud.connection(instance, "paused-password")
    rds.start_db_instance(DBInstanceIdentifier="paused")
    again = cloud.available("paused")
    assert again["Endpoint"] == instance["Endpoint"]
    cloud.connection(again, "paused-password").close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"MasterUserPassword": None}, "MasterUserPassword must be provided"),
        ({"ManageMasterUserPassword": True}, "together with ManageMasterUserPassword"),
        ({"MasterUsername": "rdsadmin"}, "reserved word"),
        ({"EngineVersion": "17.2"}, "Cannot find version 17.2"),
        ({"DBParameterGroupName": "absent"}, "absent"),
    ],
)
def test_a_creation_that_rds_refuses_makes_nothing(cloud: Cloud, options: dict[str, Any], message: str) -> None:
    """No record, no folder."""
    asked = {
        "Engine": "postgres",
        "DBInstanceClass": "db.t4g.micro",
        "AllocatedStorage": 20,
        "MasterUsername": "master",
        "MasterUserPassword": "refused-password",
        **options,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    with pytest.raises(ClientError, match=message):
        cloud.client("rds").create_db_instance(DBInstanceIdentifier="refused", **given)
    assert not (cloud.directory / "postgres" / ACCOUNT / "refused").exists()


def test_data_is_adopted_when_all_other_state_is_lost(other: Cloud) -> None:
    """The data stays, the address stays, the new password counts."""
    instance = other.database("adopted", MasterUserPassword="password-before")
    with other.connection(instance, "password-before") as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    other.stop()
    for lost in ("state", "tls"):
        shutil.rmtree(other.directory / lost, ignore_errors=True)
    other.start()
    again = other.database("adopted", MasterUserPassword="password-after")
    with other.connection(again, "password-after") as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert again["Endpoint"] == instance["Endpoint"]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        other.connection(again, "password-before")
