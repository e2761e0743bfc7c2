"""The database: encrypted, private, TLS only, and its passwords where nobody of ours sees them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.components.conftest import GATED

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.database import Database
    from tests.components.conftest import Deployment

KEY = "arn of Key database"
SAFE: dict[str, Any] = {"multi_az": True, "deletion_protection": True, "backup_days": 35, "storage_gb": 100}


@pytest.fixture
def database(deploy: Callable[..., Deployment], database_of: Callable[..., Database]) -> Callable[..., Deployment]:
    return lambda *name, **changes: deploy(lambda: database_of(*name, **changes))


INSTANCE: dict[str, Any] = {
    "identifier": "product-api-dev-database",
    "engine": "postgres",
    "engineVersion": "18",
    "autoMinorVersionUpgrade": True,
    "instanceClass": "db.t4g.micro",
    "allocatedStorage": 20,
    "maxAllocatedStorage": 80,
    "storageType": "gp3",
    "storageEncrypted": True,
    "kmsKeyId": KEY,
    "caCertIdentifier": "rds-ca-rsa2048-g1",
    "dbName": "products",
    "port": 5432,
    "username": "product_admin",
    "manageMasterUserPassword": True,
    "masterUserSecretKmsKeyId": "12345678-abcd",
    "dbSubnetGroupName": "product-api-dev-database",
    "parameterGroupName": "product-api-dev-database-18",
    "vpcSecurityGroupIds": ["id of SecurityGroup database"],
    "publiclyAccessible": False,
    "multiAz": False,
    "backupRetentionPeriod": 7,
    "backupWindow": "00:00-00:30",
    "maintenanceWindow": "sun:04:30-sun:05:30",
    "copyTagsToSnapshot": True,
    "deletionProtection": False,
    "skipFinalSnapshot": True,
    "deleteAutomatedBackups": True,
    "enabledCloudwatchLogsExports": ["postgresql"],
    "performanceInsightsEnabled": True,
    "performanceInsightsKmsKeyId": KEY,
    "performanceInsightsRetentionPeriod": 7,
    "monitoringInterval": 60,
    "monitoringRoleArn": "arn of Role database-monitoring",
}


def test_it_is_encrypted_private_backed_up_and_has_no_password_of_ours(database: Callable[..., Deployment]) -> None:
    declared = database()
    assert {"database": INSTANCE} == declared.of("rds/instance:Instance")
    assert set() == declared.the("rds/instance:Instance", "database").options


def test_it_is_touched_only_through_the_gate(database: Callable[..., Deployment]) -> None:
    assert GATED == database().the("rds/instance:Instance", "database").hooks


def test_logs_and_watcher_are_there_before_what_writes_them(database: Callable[..., Deployment]) -> None:
    """Else RDS makes the logs itself, unencrypted and without an end: the instance's, and the proxy's."""
    declared = database()
    assert {
        name: {"name": group, "retentionInDays": 14, "kmsKeyId": "the log's key"}
        for name, group in (
            ("database", "/aws/rds/instance/product-api-dev-database/postgresql"),
            ("database-proxy", "/aws/rds/proxy/product-api-dev-proxy"),
        )
    } == declared.of("cloudwatch/logGroup:LogGroup")
    assert "LogGroup database-proxy" in declared.the("rds/proxy:Proxy", "database").after
    assert {"LogGroup database", "RolePolicy database-monitoring"} <= declared.the(
        "rds/instance:Instance", "database"
    ).after
    role = declared.the("iam/role:Role", "database-monitoring")
    assert "monitoring.rds.amazonaws.com" in role.inputs["assumeRolePolicy"]


def test_the_proxy_pools_the_apis_connections_and_knows_only_its_secret(database: Callable[..., Deployment]) -> None:
    declared = database()
    assert {
        "database": {
            "name": "product-api-dev-proxy",
            "engineFamily": "POSTGRESQL",
            "roleArn": "arn of Role database-proxy",
            "requireTls": True,
            "idleClientTimeout": 1800,
            "vpcSubnetIds": ["subnet a", "subnet b"],
            "vpcSecurityGroupIds": ["id of SecurityGroup database-proxy"],
            "auths": [
                {
                    "authScheme": "SECRETS",
                    "iamAuth": "DISABLED",
                    "clientPasswordAuthType": "POSTGRES_SCRAM_SHA_256",
                    "description": "The API",
                    "secretArn": "arn of Secret database-api",
                }
            ],
        }
    } == declared.of("rds/proxy:Proxy")
    assert {
        "database": {
            "dbProxyName": "product-api-dev-proxy",
            "connectionPoolConfig": {
                "maxConnectionsPercent": 80,
                "maxIdleConnectionsPercent": 40,
                "connectionBorrowTimeout": 5,
            },
        }
    } == declared.of("rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup")
    [target] = declared.of("rds/proxyTarget:ProxyTarget").values()
    assert ("product-api-dev-proxy", "product-api-dev-database") == (
        target["dbProxyName"],
        target["dbInstanceIdentifier"],
    )
    policy = declared.the("iam/rolePolicy:RolePolicy", "database-proxy")
    assert [
        (
            "ReadApiSecret",
            ["arn:aws:secretsmanager:eu-central-1:111122223333:secret:product-api-dev-database-api-??????"],
        ),
        ("UseKeyThroughSecretsmanager", ["arn:aws:kms:eu-central-1:111122223333:key/*"]),
    ] == [(each["Sid"], each["Resource"]) for each in json.loads(policy.inputs["policy"])["Statement"]]


def test_a_protected_one_refuses_deletion_and_leaves_a_snapshot_that_can_be_restored(
    database: Callable[..., Deployment],
) -> None:
    declared = database(**SAFE)
    assert {
        "database": INSTANCE
        | {
            "allocatedStorage": 100,
            "maxAllocatedStorage": 400,
            "multiAz": True,
            "backupRetentionPeriod": 35,
            "deletionProtection": True,
            "skipFinalSnapshot": False,
            "finalSnapshotIdentifier": "product-api-dev-database-final-12345678",
            "deleteAutomatedBackups": False,
        }
    } == declared.of("rds/instance:Instance")
    assert {"protect"} == declared.the("rds/instance:Instance", "database").options
    assert {"retain_on_delete"} == declared.the("kms/key:Key", "database").options


@pytest.mark.parametrize(("changes", "days", "options"), [({}, 7, set()), (SAFE, 30, {"retain_on_delete"})])
def test_its_key_outlives_it_where_a_snapshot_does(
    database: Callable[..., Deployment], changes: dict[str, Any], days: int, options: set[str]
) -> None:
    key = database(**changes).the("kms/key:Key", "database")
    assert ("Data of product-api-dev-database", days) == (
        key.inputs["description"],
        key.inputs["deletionWindowInDays"],
    )
    assert options == key.options


def test_permissions_find_the_key_by_its_alias(database: Callable[..., Deployment]) -> None:
    assert {"database": {"name": "alias/product-api-dev-database", "targetKeyId": "12345678-abcd"}} == database().of(
        "kms/alias:Alias"
    )


def test_it_speaks_tls_only_from_the_first_connection(database: Callable[..., Deployment]) -> None:
    assert {
        "database": {
            "name": "product-api-dev-database-18",
            "family": "postgres18",
            "description": "TLS only, slow statements logged",
            "parameters": [
                {"name": "rds.force_ssl", "value": "1", "applyMethod": "pending-reboot"},
                {"name": "max_connections", "value": "80", "applyMethod": "pending-reboot"},
                {"name": "log_min_duration_statement", "value": "1000", "applyMethod": "immediate"},
            ],
        }
    } == database().of("rds/parameterGroup:ParameterGroup")


def test_each_end_admits_only_those_behind_it_and_only_on_its_port(database: Callable[..., Deployment]) -> None:
    """The API reaches the proxy, the proxy the database, the migrator the database; nobody else reaches any."""
    declared = database()
    allowed = {
        (rule["securityGroupId"], rule["referencedSecurityGroupId"], rule["fromPort"], rule["toPort"])
        for rule in declared.of("vpc/securityGroupEgressRule:SecurityGroupEgressRule").values()
    }
    admitted = {
        (rule["referencedSecurityGroupId"], rule["securityGroupId"], rule["fromPort"], rule["toPort"])
        for rule in declared.of("vpc/securityGroupIngressRule:SecurityGroupIngressRule").values()
    }
    group = "id of SecurityGroup database{}".format
    assert (
        {
            (group("-clients"), group(""), 5432, 5432),
            (group("-proxy-clients"), group("-proxy"), 5432, 5432),
            (group("-proxy"), group(""), 5432, 5432),
        }
        == allowed
        == admitted
    )
    assert {
        "database": "The database",
        "database-clients": "What connects to the database itself",
        "database-proxy-clients": "What connects to the proxy",
        "database-proxy": "The proxy of the database",
    } == {name: each["description"] for name, each in declared.of("ec2/securityGroup:SecurityGroup").items()}
    assert {
        "database": {
            "name": "product-api-dev-database",
            "description": "Isolated subnets",
            "subnetIds": ["subnet a", "subnet b"],
        }
    } == declared.of("rds/subnetGroup:SubnetGroup")


@pytest.mark.parametrize(("changes", "days"), [({}, 0), (SAFE, 30)])
def test_secrets_are_declared_without_a_value(
    database: Callable[..., Deployment], changes: dict[str, Any], days: int
) -> None:
    """No secret version among the resources: the migrator writes it, so no state ever holds a password."""
    declared = database(**changes)
    assert {
        f"database-{user}": {
            "name": f"product-api-dev-database-{user}",
            "description": f"Database user of the {user}",
            "kmsKeyId": KEY,
            "recoveryWindowInDays": days,
        }
        for user in ("migrator", "api")
    } == declared.of("secretsmanager/secret:Secret")
    assert [] == [name for name in declared.names if name.startswith("SecretVersion")]


def test_names_follow_the_components_own(database: Callable[..., Deployment]) -> None:
    declared = database("other")
    assert [] == [each.name for each in declared.resources if not each.name.startswith("other")]
    assert {"Database", "Key", "Role"} == {
        each.parent.split(":")[-1] for each in declared.resources if not each.type.endswith(":Database")
    }
