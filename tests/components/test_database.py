"""The database: encrypted, private, TLS only, and its passwords where nobody of ours sees them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from components.database import Database, DatabaseArgs

if TYPE_CHECKING:
    from collections.abc import Callable

    from naming import Names
    from tests.components.conftest import Deployment

KEY = "arn of Key database"
SAFE: dict[str, Any] = {"multi_az": True, "deletion_protection": True, "backup_days": 35, "storage_gb": 100}


@pytest.fixture
def database(deploy: Callable[..., Deployment], names: Names) -> Callable[..., Deployment]:
    def declare(name: str = "database", **changes: Any) -> Deployment:
        given: dict[str, Any] = {
            "vpc_id": "the vpc",
            "subnet_ids": ["subnet a", "subnet b"],
            "clients_group_id": "the clients",
            "instance_class": "db.t4g.micro",
            "storage_gb": 20,
            "backup_days": 7,
            "multi_az": False,
            "deletion_protection": False,
        }
        return deploy(lambda: Database(name, DatabaseArgs(names=names, **(given | changes))))

    return declare


INSTANCE: dict[str, Any] = {
    "identifier": "product-api-dev-database",
    "engine": "postgres",
    "engineVersion": "18",
    "autoMinorVersionUpgrade": True,
    "instanceClass": "db.t4g.micro",
    "allocatedStorage": 20,
    "storageType": "gp3",
    "storageEncrypted": True,
    "kmsKeyId": KEY,
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
    "copyTagsToSnapshot": True,
    "deletionProtection": False,
    "skipFinalSnapshot": True,
    "deleteAutomatedBackups": True,
}


def test_it_is_encrypted_private_backed_up_and_has_no_password_of_ours(database: Callable[..., Deployment]) -> None:
    declared = database()
    assert {"database": INSTANCE} == declared.of("rds/instance:Instance")
    assert set() == declared.the("rds/instance:Instance", "database").options


def test_a_protected_one_refuses_deletion_and_leaves_a_snapshot_that_can_be_restored(
    database: Callable[..., Deployment],
) -> None:
    declared = database(**SAFE)
    assert {
        "database": INSTANCE
        | {
            "allocatedStorage": 100,
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
def test_its_key_rotates_and_is_the_accounts_to_grant(
    database: Callable[..., Deployment], changes: dict[str, Any], days: int, options: set[str]
) -> None:
    key = database(**changes).the("kms/key:Key", "database")
    policy = json.loads(key.inputs.pop("policy"))
    assert {
        "description": "Data of product-api-dev-database",
        "enableKeyRotation": True,
        "deletionWindowInDays": days,
    } == key.inputs
    assert options == key.options
    assert {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "AccountAdministers",
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
                "Action": "kms:*",
                "Resource": "*",
            }
        ],
    } == policy


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
                {"name": "log_min_duration_statement", "value": "1000", "applyMethod": "immediate"},
            ],
        }
    } == database().of("rds/parameterGroup:ParameterGroup")


def test_only_the_clients_reach_it_and_only_on_its_port(database: Callable[..., Deployment]) -> None:
    declared = database()
    group = "id of SecurityGroup database"
    postgres = {"ipProtocol": "tcp", "fromPort": 5432, "toPort": 5432}
    assert {
        "database": {
            **postgres,
            "securityGroupId": "the clients",
            "referencedSecurityGroupId": group,
            "description": "To Postgres",
        }
    } == declared.of("vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    assert {
        "database": {
            **postgres,
            "securityGroupId": group,
            "referencedSecurityGroupId": "the clients",
            "description": "Postgres from the functions",
        }
    } == declared.of("vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert {
        "database": {
            "name": "product-api-dev-database",
            "description": "The database",
            "vpcId": "the vpc",
            "tags": {"Name": "product-api-dev-database"},
        }
    } == declared.of("ec2/securityGroup:SecurityGroup")
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
    assert {"product-api:index:Database", "pulumi:pulumi:Stack"} == {each.parent for each in declared.resources}
