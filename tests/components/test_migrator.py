"""The migrator: three steps in one order, told by hashes, with the rights of those steps and no others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from components.migrator import Migrator, MigratorArgs
from components.release_driver import Cloud
from migrations.rendering import Plan, Revision
from tests.components.conftest import GATED, PLACEMENT, RECORDED, whole_gate
from tests.components.test_function import own_statements

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.database import Database
    from components.function import Runtime
    from tests.components.conftest import Deployment

SQL = "CREATE TABLE products ()"
PLAN = Plan(base=None, revisions=(Revision(revision="0001", down_revision=None, summary="Products.", sql=SQL),))


@pytest.fixture
def migrator(
    deploy: Callable[..., Deployment], runtime_of: Callable[[], Runtime], database_of: Callable[..., Database]
) -> Callable[..., Deployment]:
    def declare(*, seeding: bool = False, plan: Plan = PLAN, **changes: Any) -> Deployment:
        given: dict[str, Any] = {"attempt": 1, "keep_snapshots": False} | changes
        return deploy(
            lambda: Migrator(
                "migrator",
                MigratorArgs(
                    runtime=runtime_of(),
                    placement=PLACEMENT,
                    database=database_of(),
                    database_ca="/opt/certs/rds-ca.pem",
                    plan=plan,
                    seeding=seeding,
                    gate=whole_gate(),
                    cloud=Cloud(region="eu-central-1"),
                    **given,
                ),
            )
        )

    return declare


def test_a_snapshot_comes_first_then_users_then_the_migrations_then_the_proof(
    migrator: Callable[..., Deployment],
) -> None:
    """And before all of them the database, whole: instance, proxy, secrets, and the alias by which the key is found."""
    declared = migrator()
    steps = {step: declared.the("lambda/invocation:Invocation", f"migrator-{step}") for step in PAYLOADS}
    assert {
        "Function migrator",
        "Snapshot migrator",
        "Instance database",
        "Alias database",
        "Key database",
        "Secret database-migrator",
        "Secret database-api",
        "ProxyTarget database",
    } <= steps["users"].after
    assert {"Function migrator", "Invocation migrator-users", "Snapshot migrator"} == steps["migrate"].after
    assert {"Function migrator", "Invocation migrator-migrate"} == steps["verify"].after
    assert {"Instance database"} <= declared.the("rds/snapshot:Snapshot", "migrator").after


def test_each_step_waits_for_the_gate(migrator: Callable[..., Deployment]) -> None:
    declared = migrator()
    asked = {":Invocation": sorted(RECORDED), "rds/instance:Instance": GATED}
    asked[":Snapshot"] = sorted([*RECORDED, "before_create snapshot"])
    for each in declared.resources:
        expected = next((hooks for end, hooks in asked.items() if each.type.endswith(end)), [])
        assert expected == sorted(each.hooks)
    before = [hook for hook in declared.the("rds/snapshot:Snapshot", "migrator").hooks if "before_create" in hook]
    assert ["before_create gate", "before_create snapshot"] == before


def test_the_snapshot_is_the_plans_and_the_attempts(migrator: Callable[..., Deployment]) -> None:
    """Another plan, or another attempt at one, makes another; on a stack that matters the one before stays."""
    name = f"product-api-dev-database-{PLAN.digest[:12]}-1-12345678"
    declared = migrator().the("rds/snapshot:Snapshot", "migrator")
    assert {"dbInstanceIdentifier": "product-api-dev-database", "dbSnapshotIdentifier": name} == declared.inputs
    # One that stays under its name after a failure would be in the way of a release that goes back.
    assert {"delete_before_replace"} == declared.options
    again = migrator(attempt=2, keep_snapshots=True).the("rds/snapshot:Snapshot", "migrator")
    assert f"product-api-dev-database-{PLAN.digest[:12]}-2-12345678" == again.inputs["dbSnapshotIdentifier"]
    assert {"delete_before_replace", "retain_on_delete"} == again.options


EVENT = {"base": None, "digest": PLAN.digest, "revisions": [{"revision": "0001", "sha256": PLAN.revisions[0].sha256}]}
PAYLOADS: dict[str, dict[str, Any]] = {
    "users": {"action": "users"},
    "migrate": {"action": "migrate", "plan": EVENT},
    "verify": {"action": "verify", "plan": EVENT},
}


def test_it_is_told_hashes_and_never_sql(migrator: Callable[..., Deployment]) -> None:
    """What it runs is in its own zip; what it is told says which of that was previewed and judged."""
    invocations = migrator().of("lambda/invocation:Invocation")
    assert {f"migrator-{step}" for step in PAYLOADS} == set(invocations)
    for step, payload in PAYLOADS.items():
        inputs = invocations[f"migrator-{step}"]
        assert payload == json.loads(inputs.pop("input"))
        assert {"functionName": "product-api-dev-migrator"} == inputs
    assert SQL not in str(invocations)


def test_another_plan_runs_the_migrations_again_but_not_the_users(migrator: Callable[..., Deployment]) -> None:
    """An invocation runs again when its input changes."""
    more = Revision(revision="0002", down_revision="0001", summary="More.", sql="SELECT 1")
    before, after = (
        {name: inputs["input"] for name, inputs in deployed.of("lambda/invocation:Invocation").items()}
        for deployed in (migrator(), migrator(plan=Plan(base=None, revisions=(*PLAN.revisions, more))))
    )
    assert {"migrator-migrate", "migrator-verify"} == {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize("seeding", [False, True])
def test_it_may_seed_only_where_it_was_asked_to(migrator: Callable[..., Deployment], *, seeding: bool) -> None:
    [function] = migrator(seeding=seeding).of("lambda/function:Function").values()
    assert {
        "ENVIRONMENT": "dev",
        "DATABASE_HOST": "address of Instance database",
        "DATABASE_PORT": "5432",
        "DATABASE_NAME": "products",
        "DATABASE_CA": "/opt/certs/rds-ca.pem",
        "MASTER_SECRET": "arn of the master secret",
        "MIGRATOR_SECRET": "product-api-dev-database-migrator",
        "API_SECRET": "product-api-dev-database-api",
        "LOG_LEVEL": "INFO",
        **({"SEEDING": "allowed"} if seeding else {}),
    } == function["environment"]["variables"]
    assert ("migrations.entry.handler", 900, 1) == (
        function["handler"],
        function["timeout"],
        function["reservedConcurrentExecutions"],
    )


def test_it_reads_the_master_secret_of_this_database_and_writes_two(migrator: Callable[..., Deployment]) -> None:
    policy = migrator().the("iam/rolePolicy:RolePolicy", "migrator").inputs
    arn = "arn:aws:{}:eu-central-1:111122223333:{}".format
    own = own_statements(policy)
    assert [
        {
            "Sid": "ManageUserSecrets",
            "Effect": "Allow",
            "Action": [
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetSecretValue",
                "secretsmanager:PutSecretValue",
            ],
            "Resource": [
                arn("secretsmanager", "secret:product-api-dev-database-migrator-??????"),
                arn("secretsmanager", "secret:product-api-dev-database-api-??????"),
            ],
        },
        {
            "Sid": "ReadMasterSecret",
            "Effect": "Allow",
            "Action": ["secretsmanager:GetSecretValue"],
            "Resource": [arn("secretsmanager", "secret:rds!db-*")],
            "Condition": {
                "StringEquals": {
                    "aws:ResourceTag/aws:rds:primaryDBInstanceArn": arn("rds", "db:product-api-dev-database")
                }
            },
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
    ] == own
