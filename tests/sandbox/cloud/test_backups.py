"""Backups are real copies, made as a role and on the sandbox's clock; what a vault's lock forbids is refused."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from sandbox.cloud import scope
from sandbox.cloud.backups import Backups, covers
from sandbox.cloud.clock import Clock
from tests.sandbox.cloud.harness import ACCOUNT, REGION

if TYPE_CHECKING:
    from tests.sandbox.cloud.harness import Cloud

PASSWORD = "of-the-master"
DAY = 86400
DATABASE = f"arn:aws:rds:{REGION}:{ACCOUNT}:db:kept"
GRANTS = (
    ("rds:AddTagsToResource", "rds:CreateDBSnapshot", "rds:ListTagsForResource"),
    ("rds:DescribeDBInstances", "rds:DescribeDBSnapshots"),
)


def backup_role(cloud: Cloud, name: str, *actions: str, trusted: str = "backup.amazonaws.com") -> str:
    """Return a role that a service may assume and that may do something to databases and snapshots of AWS Backup."""
    iam = cloud.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": trusted}, "Action": "sts:AssumeRole"}
    trust["Condition"] = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    resources = [f"arn:aws:rds:{REGION}:{ACCOUNT}:db:*", f"arn:aws:rds:{REGION}:{ACCOUNT}:snapshot:awsbackup:*"]
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resources}
    if actions:
        content = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=content)
    return arn


@pytest.fixture(scope="module")
def role(cloud: Cloud) -> str:
    """A role that may back databases up, and no more."""
    return backup_role(cloud, "backup", *(action for actions in GRANTS for action in actions))


@pytest.fixture(scope="module")
def database(cloud: Cloud) -> dict[str, Any]:
    """A database with two rows."""
    instance = cloud.database("kept", MasterUserPassword=PASSWORD, Tags=[{"Key": "team", "Value": "a"}])
    with cloud.connection(instance, PASSWORD) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 2) AS id")
    return instance


def backed_up(cloud: Cloud, vault: str, role: str, **options: Any) -> dict[str, Any]:
    """Make a backup and wait for the job's end; return its description."""
    client = cloud.client("backup")
    job = client.start_backup_job(BackupVaultName=vault, ResourceArn=DATABASE, IamRoleArn=role, **options)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found: dict[str, Any] = client.describe_backup_job(BackupJobId=job["BackupJobId"])
        if found["State"] not in ("CREATED", "PENDING", "RUNNING"):
            assert found["RecoveryPointArn"] == job["RecoveryPointArn"]
            return found
        time.sleep(0.1)
    raise AssertionError("the job does not end")


def test_a_backup_is_a_copy_that_a_database_comes_back_from(cloud: Cloud, database: dict[str, Any], role: str) -> None:
    """It is described in its vault, and is deleted there and nowhere else."""
    client, rds = cloud.client("backup"), cloud.client("rds")
    client.create_backup_vault(BackupVaultName="daily")
    job = backed_up(cloud, "daily", role, Lifecycle={"DeleteAfterDays": 35}, RecoveryPointTags={"why": "test"})
    assert (job["State"], job["PercentDone"]) == ("COMPLETED", "100.0")
    point = client.describe_recovery_point(BackupVaultName="daily", RecoveryPointArn=job["RecoveryPointArn"])
    assert (point["ResourceArn"], point["ResourceType"], point["IamRoleArn"]) == (DATABASE, "RDS", role)
    assert point["Lifecycle"] == {"DeleteAfterDays": 35}
    assert (point["CalculatedLifecycle"]["DeleteAt"] - point["CreationDate"]).days == 35
    (listed,) = client.list_recovery_points_by_backup_vault(BackupVaultName="daily")["RecoveryPoints"]
    assert listed["RecoveryPointArn"] == job["RecoveryPointArn"]
    assert client.describe_backup_vault(BackupVaultName="daily")["NumberOfRecoveryPoints"] == 1
    (protected,) = client.list_protected_resources()["Results"]
    assert protected["LastRecoveryPointArn"] == job["RecoveryPointArn"]

    name = job["RecoveryPointArn"].partition(":snapshot:")[2]
    (snapshot,) = rds.describe_db_snapshots(DBSnapshotIdentifier=name, SnapshotType="awsbackup")["DBSnapshots"]
    assert {tag["Key"]: tag["Value"] for tag in snapshot["TagList"]} == {"team": "a", "why": "test"}
    with cloud.connection(database, PASSWORD) as connection:
        connection.execute("DELETE FROM kept")
    rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="restored", DBSnapshotIdentifier=name)
    with cloud.connection(cloud.available("restored"), PASSWORD) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (2,)

    with pytest.raises(ClientError, match="managed by AWS Backup"):
        rds.delete_db_snapshot(DBSnapshotIdentifier=name)
    with pytest.raises(client.exceptions.InvalidRequestException, match="because it contains recovery points"):
        client.delete_backup_vault(BackupVaultName="daily")
    client.delete_recovery_point(BackupVaultName="daily", RecoveryPointArn=job["RecoveryPointArn"])
    with pytest.raises(rds.exceptions.DBSnapshotNotFoundFault):
        rds.describe_db_snapshots(DBSnapshotIdentifier=name)
    client.delete_backup_vault(BackupVaultName="daily")


def test_a_job_may_do_what_its_role_may(cloud: Cloud, database: dict[str, Any]) -> None:
    """A role that AWS Backup cannot assume is refused at once; one without the rights fails the job."""
    del database
    client = cloud.client("backup")
    client.create_backup_vault(BackupVaultName="refused")
    foreign = backup_role(cloud, "of-another-service", *GRANTS[0], *GRANTS[1], trusted="lambda.amazonaws.com")
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="cannot be assumed"):
        backed_up(cloud, "refused", foreign)
    failed = backed_up(cloud, "refused", backup_role(cloud, "powerless", *GRANTS[1]))
    assert failed["State"] == "FAILED"
    assert "rds:ListTagsForResource" in failed["StatusMessage"]
    assert client.list_recovery_points_by_backup_vault(BackupVaultName="refused")["RecoveryPoints"] == []


def test_a_locked_vault_keeps_what_is_in_it(cloud: Cloud, database: dict[str, Any], role: str) -> None:
    """And takes only what stays long enough; in governance mode, whoever may can take the lock off."""
    del database
    client = cloud.client("backup")
    client.create_backup_vault(BackupVaultName="locked")
    client.put_backup_vault_lock_configuration(BackupVaultName="locked", MinRetentionDays=7, MaxRetentionDays=30)
    vault = client.describe_backup_vault(BackupVaultName="locked")
    assert (vault["Locked"], vault["MinRetentionDays"], vault["MaxRetentionDays"]) == (True, 7, 30)
    assert "LockDate" not in vault
    for days in ({"DeleteAfterDays": 6}, {"DeleteAfterDays": 31}, {}):
        failed = backed_up(cloud, "locked", role, Lifecycle=days)
        assert (failed["State"], "retention" in failed["StatusMessage"]) == ("FAILED", True)
    kept = backed_up(cloud, "locked", role, Lifecycle={"DeleteAfterDays": 7})["RecoveryPointArn"]
    which = {"BackupVaultName": "locked", "RecoveryPointArn": kept}
    with pytest.raises(client.exceptions.InvalidRequestException, match="Vault Lock"):
        client.delete_recovery_point(**which)
    with pytest.raises(client.exceptions.InvalidRequestException, match="Vault Lock"):
        client.update_recovery_point_lifecycle(**which, Lifecycle={"DeleteAfterDays": 1})
    client.delete_backup_vault_lock_configuration(BackupVaultName="locked")
    client.delete_recovery_point(**which)
    assert client.list_recovery_points_by_backup_vault(BackupVaultName="locked")["RecoveryPoints"] == []


def test_a_vaults_policy_denies_whoever_it_names(cloud: Cloud, database: dict[str, Any], role: str) -> None:
    """Also where the caller's own policies allow everything."""
    del database
    client = cloud.client("backup")
    client.create_backup_vault(BackupVaultName="policed")
    kept = backed_up(cloud, "policed", role)["RecoveryPointArn"]
    statement = {"Effect": "Deny", "Principal": "*", "Action": "backup:DeleteRecoveryPoint", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client.put_backup_vault_access_policy(BackupVaultName="policed", Policy=document)
    anybody = cloud.acting_as(cloud.role("anybody", {"Action": "backup:*", "Resource": "*"}), "backup")
    which = {"BackupVaultName": "policed", "RecoveryPointArn": kept}
    with pytest.raises(ClientError, match="explicit deny"):
        anybody.delete_recovery_point(**which)
    client.delete_backup_vault_access_policy(BackupVaultName="policed")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_backup_vault_access_policy(BackupVaultName="policed")
    anybody.delete_recovery_point(**which)


def test_a_plan_makes_backups_of_what_it_selects(cloud: Cloud, database: dict[str, Any], role: str) -> None:
    """On the sandbox's clock; a plan that has a selection cannot be deleted."""
    del database
    client = cloud.client("backup")
    client.create_backup_vault(BackupVaultName="planned")
    rule = {
        "RuleName": "often",
        "TargetBackupVaultName": "planned",
        "ScheduleExpression": "cron(0 * * * ? *)",
        "Lifecycle": {"DeleteAfterDays": 3},
    }
    plan = client.create_backup_plan(BackupPlan={"BackupPlanName": "often", "Rules": [rule]})["BackupPlanId"]
    chosen = {"SelectionName": "database", "IamRoleArn": role, "Resources": [DATABASE]}
    selection = client.create_backup_selection(BackupPlanId=plan, BackupSelection=chosen)["SelectionId"]
    set_scale(cloud, 600)
    try:
        deadline = time.monotonic() + 60
        points: list[dict[str, Any]] = []
        while not points and time.monotonic() < deadline:
            time.sleep(0.2)
            points = client.list_recovery_points_by_backup_vault(BackupVaultName="planned")["RecoveryPoints"]
    finally:
        set_scale(cloud, 1)
    point = points[0]
    assert (point["ResourceArn"], point["Lifecycle"]) == (DATABASE, {"DeleteAfterDays": 3})
    assert (point["CreatedBy"]["BackupPlanId"], point["CreatedBy"]["BackupRuleName"]) == (plan, "often")
    with pytest.raises(client.exceptions.InvalidRequestException, match="selections must be deleted"):
        client.delete_backup_plan(BackupPlanId=plan)
    client.delete_backup_selection(BackupPlanId=plan, SelectionId=selection)
    client.delete_backup_plan(BackupPlanId=plan)


def set_scale(cloud: Cloud, scale: float) -> None:
    """Make AWS's time run as fast."""
    body = json.dumps({"scale": scale}).encode()
    request = urllib.request.Request(f"{cloud.url}/_sandbox/clock", body, method="POST")  # noqa: S310 — ours
    urllib.request.urlopen(request, timeout=5)  # noqa: S310


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"ScheduleExpression": "every day"}, "Invalid Schedule Expression"),
        ({"Lifecycle": {"MoveToColdStorageAfterDays": 30, "DeleteAfterDays": 60}}, "90 days apart"),
    ],
)
def test_a_plan_that_could_never_work_is_refused(cloud: Cloud, rule: dict[str, Any], says: str) -> None:
    """A schedule that is none, a life that ends before the cold storage's least."""
    client = cloud.client("backup")
    rules = [{"RuleName": "r", "TargetBackupVaultName": "v", **rule}]
    with pytest.raises(client.exceptions.InvalidParameterValueException, match=says):
        client.create_backup_plan(BackupPlan={"BackupPlanName": "refused", "Rules": rules})


def test_recovery_points_and_locks_outlive_the_process(other: Cloud) -> None:
    """They are part of the account's state."""
    other.database("kept", MasterUserPassword=PASSWORD)
    client = other.client("backup")
    client.create_backup_vault(BackupVaultName="vault")
    client.put_backup_vault_lock_configuration(BackupVaultName="vault", MinRetentionDays=1, ChangeableForDays=3)
    role = backup_role(other, "backup", *GRANTS[0], *GRANTS[1])
    kept = backed_up(other, "vault", role, Lifecycle={"DeleteAfterDays": 2})["RecoveryPointArn"]
    before = client.describe_backup_vault(BackupVaultName="vault")
    other.save("one")
    other.stop()
    other.start()
    assert client.describe_backup_vault(BackupVaultName="vault")["LockDate"] == before["LockDate"]
    (point,) = client.list_recovery_points_by_backup_vault(BackupVaultName="vault")["RecoveryPoints"]
    assert point["RecoveryPointArn"] == kept
    other.client("rds").restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier="restored", DBSnapshotIdentifier=kept.partition(":snapshot:")[2]
    )
    other.available("restored")


class Vault:
    """AWS Backup over one vault, at a time of the test's own."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        arn = f"arn:aws:backup:{REGION}:{ACCOUNT}:backup-vault:v"
        vaults = SimpleNamespace(_data={(ACCOUNT, REGION, "v"): {"BackupVaultName": "v", "BackupVaultArn": arn}})
        vaults.get = lambda name: vaults._data.get((ACCOUNT, REGION, name))
        self.record: dict[str, Any] = vaults.get("v")
        module = SimpleNamespace(_vaults=vaults, _plans=SimpleNamespace(_data={}))
        self.backups = Backups(Clock(lambda: self.now), "http://127.0.0.1:1", module, SimpleNamespace())

    def ask(self, method: str, **body: Any) -> tuple[int, dict[str, Any]]:
        """Ask something about the vault's lock."""

        async def nobody(_: scope.Request) -> Any:
            raise AssertionError("the emulator knows no locks")

        request = scope.Request(
            method=method, path="/backup-vaults/v/vault-lock", headers={}, body=json.dumps(body).encode(), query={}
        )
        with scope.account(ACCOUNT, REGION):
            status, _, content = asyncio.run(self.backups(nobody, request))
        return status, json.loads(content)


def test_a_lock_in_compliance_mode_is_for_ever_once_its_date_has_come() -> None:
    """Before that it can be changed and taken off, as in governance mode."""
    vault = Vault()
    assert vault.ask("PUT", MinRetentionDays=7, ChangeableForDays=3)[0] == 200
    assert vault.record["_LockDate"] == 1_000_000 + 3 * DAY
    vault.now += 2 * DAY
    assert vault.ask("DELETE")[0] == 200
    assert vault.record["Locked"] is False
    vault.ask("PUT", MinRetentionDays=7, ChangeableForDays=3)
    vault.now += 3 * DAY
    for method in ("PUT", "DELETE"):
        status, said = vault.ask(method, MinRetentionDays=1)
        assert (status, said["Code"]) == (400, "InvalidRequestException")
    assert (vault.record["Locked"], vault.record["MinRetentionDays"]) == (True, 7)


@pytest.mark.parametrize(
    "lock", [{"ChangeableForDays": 2}, {"MinRetentionDays": 0}, {"MinRetentionDays": 9, "MaxRetentionDays": 8}]
)
def test_a_lock_that_aws_would_not_make_is_refused(lock: dict[str, Any]) -> None:
    """Three days of grace at least, and a retention that can be."""
    vault = Vault()
    assert vault.ask("PUT", **lock)[1]["Code"] == "InvalidParameterValueException"
    assert not vault.record.get("Locked")


def test_a_recovery_point_goes_when_its_time_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also out of a locked vault: the lock holds it until then."""
    vault, asked = Vault(), []

    async def delete(service: str, form: dict[str, str]) -> None:
        asked.append((service, form["DBSnapshotIdentifier"]))

    monkeypatch.setattr(scope, "call_form", delete)
    arn = f"arn:aws:rds:{REGION}:{ACCOUNT}:snapshot:awsbackup:job-1"
    ends = {"DeleteAt": vault.now + 2 * DAY}
    vault.record |= {"Locked": True, "_RecoveryPoints": {arn: {"RecoveryPointArn": arn, "_Ends": ends}}}
    vault.now += DAY
    asyncio.run(vault.backups.sweep())
    assert list(vault.record["_RecoveryPoints"]) == [arn]
    vault.now += DAY
    asyncio.run(vault.backups.sweep())
    assert (vault.record["_RecoveryPoints"], asked) == ({}, [("rds", "awsbackup:job-1")])


TAGGED = {"ConditionKey": "aws:ResourceTag/team", "ConditionValue": "a"}


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"Resources": [DATABASE]}, True),
        ({"Resources": ["arn:aws:rds:*:*:db:*"]}, True),
        ({"Resources": ["arn:aws:dynamodb:*:*:table/*"]}, False),
        ({"ListOfTags": [{"ConditionKey": "team", "ConditionValue": "a"}]}, True),
        ({"ListOfTags": [{"ConditionKey": "team", "ConditionValue": "b"}]}, False),
        ({"Resources": ["*"], "NotResources": [DATABASE]}, False),
        ({"Resources": ["*"], "Conditions": {"StringEquals": [TAGGED]}}, True),
        ({"Resources": ["*"], "Conditions": {"StringNotEquals": [TAGGED]}}, False),
        ({"Resources": ["*"], "Conditions": {"StringLike": [{**TAGGED, "ConditionValue": "b*"}]}}, False),
        ({}, False),
    ],
)
def test_a_selection_covers_what_aws_would(selection: dict[str, Any], expected: bool) -> None:
    """By ARN or tag, under all conditions, without what is excluded."""
    assert covers(selection, DATABASE, {"team": "a"}) is expected
