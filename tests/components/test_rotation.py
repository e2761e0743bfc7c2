"""Rotation: new passwords for each user by itself, once each has its first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pulumi_aws import ssm

from components.rotation import Rotation, RotationArgs
from tests.components.conftest import PLACEMENT
from tests.components.test_function import own_statements

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.database import Database
    from components.dead_letters import DeadLetters
    from components.function import Runtime
    from tests.components.conftest import Deployment


@pytest.fixture
def rotation(
    deploy: Callable[..., Deployment],
    runtime_of: Callable[[], Runtime],
    database_of: Callable[..., Database],
    dead_letters_of: Callable[[], DeadLetters],
) -> Deployment:
    return deploy(
        lambda: Rotation(
            "rotation",
            RotationArgs(
                runtime=runtime_of(),
                placement=PLACEMENT,
                database=database_of(),
                database_ca="/opt/certs/rds-ca.pem",
                dead_letters=dead_letters_of(),
            ),
            after=ssm.Parameter("users", type="String", value="the step"),
        )
    )


def test_each_users_secret_is_rotated_every_thirty_days(rotation: Deployment) -> None:
    """Not at once: an update that changes no password must not begin by changing two."""
    assert {
        f"rotation-{user}": {
            "secretId": f"id of Secret database-{user}",
            "rotationLambdaArn": "arn of Function rotation",
            "rotationRules": {"automaticallyAfterDays": 30},
            "rotateImmediately": False,
        }
        for user in ("migrator", "api")
    } == rotation.of("secretsmanager/secretRotation:SecretRotation")


def test_it_waits_for_the_first_passwords_and_for_the_right_to_be_called(rotation: Deployment) -> None:
    """Secrets Manager tries the function when it is told of it, and there is nothing to try before."""
    for user in ("migrator", "api"):
        after = rotation.the("secretsmanager/secretRotation:SecretRotation", f"rotation-{user}").after
        assert {"Parameter users", "Permission rotation", "Function rotation"} <= after


def test_secrets_manager_may_call_it_for_this_account_only(rotation: Deployment) -> None:
    permission = rotation.the("lambda/permission:Permission", "rotation")
    assert {
        "statementId": "secrets-manager",
        "action": "lambda:InvokeFunction",
        "principal": "secretsmanager.amazonaws.com",
        "function": "product-api-dev-rotation",
        "sourceAccount": "111122223333",
    } == permission.inputs
    assert {"delete_before_replace"} == permission.options


def test_it_may_change_the_two_secrets_and_read_no_other(rotation: Deployment) -> None:
    arn = "arn:aws:{}:eu-central-1:111122223333:{}".format
    assert [
        {
            "Sid": "RotateUserSecrets",
            "Effect": "Allow",
            "Action": [
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetSecretValue",
                "secretsmanager:PutSecretValue",
                "secretsmanager:UpdateSecretVersionStage",
            ],
            "Resource": [
                arn("secretsmanager", "secret:product-api-dev-database-migrator-??????"),
                arn("secretsmanager", "secret:product-api-dev-database-api-??????"),
            ],
        },
        {
            "Sid": "UseKeyThroughSecretsmanager",
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": [arn("kms", "key/*")],
            "Condition": {
                "StringEquals": {"kms:ViaService": "secretsmanager.eu-central-1.amazonaws.com"},
                "ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/product-api-dev-database"},
            },
        },
    ] == own_statements(rotation.the("iam/rolePolicy:RolePolicy", "rotation").inputs)


def test_it_connects_to_the_database_itself_and_one_at_a_time(rotation: Deployment) -> None:
    """The proxy knows only the API's user; and a rotation that fails for good is kept."""
    [function] = rotation.of("lambda/function:Function").values()
    assert {
        "ENVIRONMENT": "dev",
        "DATABASE_HOST": "address of Instance database",
        "DATABASE_PORT": "5432",
        "DATABASE_NAME": "products",
        "DATABASE_CA": "/opt/certs/rds-ca.pem",
        "MIGRATOR_SECRET": "product-api-dev-database-migrator",
        "API_SECRET": "product-api-dev-database-api",
        "LOG_LEVEL": "INFO",
    } == function["environment"]["variables"]
    assert ("migrations.rotation.handler", 1) == (function["handler"], function["reservedConcurrentExecutions"])
    assert ["subnet a", "subnet b"] == function["vpcConfig"]["subnetIds"]
    [config] = rotation.of("lambda/functionEventInvokeConfig:FunctionEventInvokeConfig").values()
    assert {"onFailure": {"destination": "arn of Queue dead-letters"}} == config["destinationConfig"]
