"""The proxy before a database: whom it lets through, and what it says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.sandbox.cloud.harness import ACCOUNT, Cloud, until, wait

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PASSWORD = "of-the-master"
TRUST: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "rds.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def proxy_role(cloud: Cloud, name: str, *statements: Mapping[str, Any], trust: Mapping[str, Any] = TRUST) -> str:
    """Make a role for a proxy; return its ARN."""
    iam = cloud.client("iam")
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in statements]}
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=json.dumps(document))
    return arn


def may_read(key: str) -> tuple[dict[str, Any], ...]:
    """Return what a proxy's role needs."""
    return (
        {"Action": "secretsmanager:GetSecretValue", "Resource": "*"},
        {"Action": "kms:Decrypt", "Resource": key},
    )


@pytest.fixture(scope="module")
def world(cloud: Cloud) -> dict[str, Any]:
    """A database with a user `app`, whose secret is under a key, and a proxy for it."""
    ec2, key = cloud.client("ec2"), cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{index}.0/24", AvailabilityZone=f"eu-central-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for index, zone in enumerate("ab")
    ]
    instance = cloud.database("behind", MasterUserPassword=PASSWORD)
    with cloud.connection(instance, PASSWORD) as connection:
        connection.execute("CREATE ROLE app LOGIN PASSWORD 'of-app'")
        connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'of-stranger'")
    value = json.dumps({"username": "app", "password": "of-app"})
    secret = cloud.client("secretsmanager").create_secret(Name="app", SecretString=value, KmsKeyId=key)["ARN"]
    role = proxy_role(cloud, "proxy", *may_read(key))
    found = {"key": key, "subnets": subnets, "secret": secret, "role": role, "instance": instance}
    return {**found, "endpoint": make_proxy(cloud, found, "front", role)}


def make_proxy(cloud: Cloud, world: Mapping[str, Any], name: str, role: str, *, tls: bool = True) -> str:
    """Make a proxy before the database; return its address."""
    rds = cloud.client("rds")
    made = rds.create_db_proxy(
        DBProxyName=name,
        EngineFamily="POSTGRESQL",
        RoleArn=role,
        VpcSubnetIds=world["subnets"],
        RequireTLS=tls,
        Auth=[{"AuthScheme": "SECRETS", "SecretArn": world["secret"], "IAMAuth": "DISABLED"}],
    )["DBProxy"]
    rds.register_db_proxy_targets(DBProxyName=name, DBInstanceIdentifiers=["behind"])
    (read,) = rds.describe_db_proxies(DBProxyName=name)["DBProxies"]
    assert (read["Status"], read["Endpoint"]) == ("available", made["Endpoint"])
    return str(made["Endpoint"])


def through(cloud: Cloud, endpoint: str, user: str, password: str, **options: Any) -> Any:
    """Connect through a proxy, which has no port but Postgres's own."""
    defaults = {
        "host": endpoint,
        "user": user,
        "dbname": "product",
        "sslmode": "verify-full",
        "sslrootcert": str(cloud.directory / "tls" / "ca.pem"),
        "connect_timeout": 5,
    }
    return psycopg.connect(password=password, **{**defaults, **options})


def health(cloud: Cloud, name: str) -> dict[str, Any]:
    """Return the health of a proxy's target."""
    (target,) = cloud.client("rds").describe_db_proxy_targets(DBProxyName=name)["Targets"]
    assert (target["Type"], target["RdsResourceId"]) == ("RDS_INSTANCE", "behind")
    found: dict[str, Any] = target["TargetHealth"]
    return found


def test_a_user_with_a_secret_reaches_the_database(cloud: Cloud, world: dict[str, Any]) -> None:
    """Over TLS that it verifies, at another address than the instance's."""
    assert world["endpoint"] != world["instance"]["Endpoint"]["Address"]
    with through(cloud, world["endpoint"], "app", "of-app") as connection:
        assert connection.execute("SELECT current_user, current_database()").fetchone() == ("app", "product")
    assert health(cloud, "front") == {"State": "AVAILABLE"}


def test_its_connections_are_measured(cloud: Cloud, world: dict[str, Any]) -> None:
    """Every minute: those in a transaction, and how many the proxy may open; they are the database's too."""
    cloud.pace(60)
    try:
        with through(cloud, world["endpoint"], "app", "of-app") as connection:
            connection.execute("SELECT 1")  # begins a transaction
            until(
                lambda: (
                    cloud.measured(
                        "AWS/RDS", "DatabaseConnectionsCurrentlyInTransaction", {"ProxyName": "front"}, "Maximum"
                    )
                    == 1
                ),
                "the transaction is not counted",
            )
        counted = [
            cloud.measured("AWS/RDS", name, {"ProxyName": "front"}, "Maximum")
            for name in ("ClientConnections", "DatabaseConnections", "MaxDatabaseConnectionsAllowed")
        ]
        assert [1, 1, 100] == counted
        of_database = {"DBInstanceIdentifier": "behind"}
        assert cloud.measured("AWS/RDS", "DatabaseConnections", of_database, "Maximum") == 1
    finally:
        cloud.pace(1)


def test_a_user_without_a_secret_is_refused_whom_the_database_would_let_in(cloud: Cloud, world: dict[str, Any]) -> None:
    """The message is that of the documentation."""
    address = world["instance"]["Endpoint"]["Address"]
    with through(cloud, address, "stranger", "of-stranger") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="has no credentials for the role stranger"):
        through(cloud, world["endpoint"], "stranger", "of-stranger")


def test_a_wrong_password_is_refused(cloud: Cloud, world: dict[str, Any]) -> None:
    """As by the database."""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        through(cloud, world["endpoint"], "app", "wrong")


def test_tls_is_required_where_the_proxy_says_so(cloud: Cloud, world: dict[str, Any]) -> None:
    """And only there, from the next connection on."""
    rds = cloud.client("rds")
    with pytest.raises(psycopg.OperationalError, match="This RDS Proxy requires TLS connections"):
        through(cloud, world["endpoint"], "app", "of-app", sslmode="disable")
    rds.modify_db_proxy(DBProxyName="front", RequireTLS=False)
    through(cloud, world["endpoint"], "app", "of-app", sslmode="disable").close()
    rds.modify_db_proxy(DBProxyName="front", RequireTLS=True)


def without(role: str, key: str) -> dict[str, Any]:
    """Return a role's parts, one of them missing."""
    other = {**TRUST["Statement"][0], "Principal": {"Service": "lambda.amazonaws.com"}}
    parts: dict[str, dict[str, Any]] = {
        "trust": {"statements": may_read(key), "trust": {**TRUST, "Statement": [other]}},
        "secret": {"statements": may_read(key)[1:]},
        "key": {"statements": may_read(key)[:1]},
    }
    return parts[role]


@pytest.mark.parametrize("missing", ["trust", "secret", "key"])
def test_a_proxys_role_must_be_able_to_read_the_secret(cloud: Cloud, world: dict[str, Any], missing: str) -> None:
    """RDS must be trusted, the secret and its key allowed; otherwise there are no credentials."""
    parts = without(missing, world["key"])
    role = proxy_role(cloud, f"proxy-{missing}", *parts.pop("statements"), **parts)
    endpoint = make_proxy(cloud, world, f"no-{missing}", role)
    with pytest.raises(psycopg.OperationalError, match="has no credentials for the role app"):
        through(cloud, endpoint, "app", "of-app")
    found = health(cloud, f"no-{missing}")
    assert (found["State"], found["Reason"]) == ("UNAVAILABLE", "AUTH_FAILURE")


def test_a_proxy_without_a_database_says_so(cloud: Cloud, world: dict[str, Any]) -> None:
    """While the instance is stopped, and with no target."""
    rds = cloud.client("rds")
    rds.stop_db_instance(DBInstanceIdentifier="behind")
    with pytest.raises(psycopg.OperationalError, match="Timed-out waiting to acquire database connection"):
        through(cloud, world["endpoint"], "app", "of-app")
    assert health(cloud, "front")["State"] == "UNAVAILABLE"
    rds.start_db_instance(DBInstanceIdentifier="behind")
    wait(rds.get_waiter("db_instance_available"), DBInstanceIdentifier="behind")
    through(cloud, world["endpoint"], "app", "of-app").close()


def test_a_deleted_proxy_is_gone(cloud: Cloud, world: dict[str, Any]) -> None:
    """Nothing listens there any more."""
    rds = cloud.client("rds")
    endpoint = make_proxy(cloud, world, "short", world["role"])
    through(cloud, endpoint, "app", "of-app").close()
    rds.delete_db_proxy(DBProxyName="short")
    with pytest.raises(rds.exceptions.DBProxyNotFoundFault):
        rds.describe_db_proxies(DBProxyName="short")
    with pytest.raises(psycopg.OperationalError, match="Connection refused"):
        through(cloud, endpoint, "app", "of-app")


def test_a_proxy_comes_back_with_the_account(tmp_path: Path) -> None:
    """At the same address, after a restart from the snapshot."""
    cloud = Cloud(tmp_path / "cloud").start()
    try:
        cloud.client("secretsmanager").create_secret(Name="s", SecretString="{}")
        ec2 = cloud.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{index}.0/24", AvailabilityZone=f"eu-central-1{zone}")[
                "Subnet"
            ]["SubnetId"]
            for index, zone in enumerate("ab")
        ]
        secret = cloud.client("secretsmanager").describe_secret(SecretId="s")["ARN"]
        cloud.client("rds").create_db_proxy(
            DBProxyName="kept",
            EngineFamily="POSTGRESQL",
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/none",
            VpcSubnetIds=subnets,
            Auth=[{"AuthScheme": "SECRETS", "SecretArn": secret}],
        )
        (before,) = cloud.client("rds").describe_db_proxies()["DBProxies"]
        cloud.save("stamp")
        cloud.stop()
        cloud = Cloud(tmp_path / "cloud").start()
        (after,) = cloud.client("rds").describe_db_proxies()["DBProxies"]
        assert after == before
        with pytest.raises(psycopg.OperationalError, match="has no credentials for the role app"):
            through(cloud, after["Endpoint"], "app", "any")
    finally:
        cloud.stop()
