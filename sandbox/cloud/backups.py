"""AWS Backup: vaults and their locks, plans on the sandbox's clock, and backups of databases that are real copies.

A job makes a snapshot in RDS as the role that it is given, through the front door; the snapshot is the recovery point.
What a vault's lock forbids is refused, also to those who would go past the vault and delete the snapshot.
"""

# ruff: noqa: SLF001 — the emulator's records are what is completed

from __future__ import annotations

import asyncio
import fnmatch
import json
import logging
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from sandbox.cloud import acting, schedules, scope
from sandbox.cloud.iam import requests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from sandbox.cloud.clock import Clock
    from sandbox.cloud.schedules import Expression
    from sandbox.cloud.scope import Answer, Handler, Request

    Record = dict[str, Any]
    Step = Callable[[Handler, Request, requests.Operation], Awaitable[Answer]]

_log = logging.getLogger("sandbox.backups")

_SERVICE: Final = "backup.amazonaws.com"
_POINTS: Final = "_RecoveryPoints"
_POLICY: Final = "_AccessPolicy"
_LOCKED_FROM: Final = "_LockDate"
_ENDS: Final = "_Ends"
"""Moments of the sandbox's time; what is told of them is the machine's."""

_MANAGED: Final = "awsbackup:"
"""How the names of its snapshots begin, which nobody else can give."""
_ENDED: Final = ("COMPLETED", "FAILED", "ABORTED", "EXPIRED")
_DAY: Final = 86400.0
_GRACE_DAYS: Final = (3, 36500)
_RETENTION_DAYS: Final = (1, 36500)
_COLD_DAYS: Final = 90
_DEFAULT_SCHEDULE: Final = "cron(0 5 ? * * *)"
_SWEEP: Final = 0.5  # seconds, as the machine counts
_POLL: Final = 0.1
_COMPARED: Final = {"StringEquals": True, "StringLike": True, "StringNotEquals": False, "StringNotLike": False}


class RefusedError(Exception):
    """A request that AWS Backup refuses.

    Attributes:
        code: AWS's name of the error.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class _Due:
    """When a rule of a plan makes backups next.

    Attributes:
        mark: what it was planned by; with another one it is planned anew.
        expression: of it.
        at: in the sandbox's time; None: never again.
    """

    mark: tuple[str, str]
    expression: Expression
    at: float | None


class Backups:
    """The answers of AWS Backup, the jobs under way, and what is due."""

    def __init__(self, clock: Clock, endpoint: str, module: Any, rds: Any) -> None:
        """Wire it; nothing is started.

        Args:
            clock: the sandbox's.
            endpoint: the sandbox's own, `http://127.0.0.1:PORT`.
            module: the emulator's AWS Backup.
            rds: the emulator's RDS.
        """
        self._clock = clock
        self._endpoint = endpoint
        self._module = module
        self._rds = rds
        self._due: dict[tuple[str, ...], _Due] = {}
        self._releasing: set[str] = set()
        self._jobs: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._steps: dict[str, Step] = {
            "DescribeBackupVault": self._describe_vault,
            "ListBackupVaults": self._list_vaults,
            "DeleteBackupVault": self._delete_vault,
            "PutBackupVaultLockConfiguration": self._lock,
            "DeleteBackupVaultLockConfiguration": self._unlock,
            "PutBackupVaultAccessPolicy": self._put_policy,
            "GetBackupVaultAccessPolicy": self._get_policy,
            "DeleteBackupVaultAccessPolicy": self._delete_policy,
            "CreateBackupPlan": self._create_plan,
            "UpdateBackupPlan": self._update_plan,
            "DeleteBackupPlan": self._delete_plan,
            "CreateBackupSelection": self._create_selection,
            "StartBackupJob": self._start_job,
            "ListRecoveryPointsByBackupVault": self._list_points,
            "ListRecoveryPointsByResource": self._list_points_of,
            "DescribeRecoveryPoint": self._describe_point,
            "DeleteRecoveryPoint": self._delete_point,
            "UpdateRecoveryPointLifecycle": self._update_point,
            "ListProtectedResources": self._list_protected,
        }

    def start(self) -> None:
        """Begin to make backups; jobs that the process before this one did not finish have failed."""
        for job in list(self._module._jobs._data.values()):
            if job["State"] not in _ENDED:
                job.update(State="FAILED", StatusMessage="The sandbox ended while the job ran.")
        self._sweeper = asyncio.create_task(self._sweep_on())

    async def close(self) -> None:
        """Leave off what is under way."""
        tasks = [task for task in (self._sweeper, *self._jobs) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def __call__(self, inner: Handler, request: Request) -> Answer:
        """Answer a request to AWS Backup."""
        operation = requests.operation(
            "backup",
            request.method,
            request.path,
            request.headers,
            request.body,
            request.query,
            scope.region(),
            request.account,
        )
        step = self._steps.get(operation.name) if operation else None
        if step is None or operation is None:
            return await inner(request)
        try:
            return await step(inner, request, operation)
        except RefusedError as error:
            headers = {"Content-Type": "application/json", "x-amzn-errortype": error.code}
            return 400, headers, json.dumps({"Code": error.code, "Message": str(error)}).encode()

    async def snapshots(self, inner: Handler, request: Request) -> Answer:
        """Keep RDS from deleting a recovery point's snapshot: only AWS Backup does."""
        form = dict(parse_qsl(request.body.decode()))
        name = form.get("DBSnapshotIdentifier", "")
        if form.get("Action") == "DeleteDBSnapshot" and name.startswith(_MANAGED) and name not in self._releasing:
            message = f"The snapshot {name} is managed by AWS Backup: delete its recovery point there."
            refused: Answer = self._rds._error("InvalidDBSnapshotState", message, 400)
            return refused
        return await inner(request)

    # -- vaults --------------------------------------------------------------------------------------------------------

    def _vault(self, name: str) -> Record:
        """Return a vault's record.

        Raises:
            RefusedError: there is none.
        """
        found: Record | None = self._module._vaults.get(name)
        if found is None:
            raise RefusedError("ResourceNotFoundException", f"Backup vault {name} does not exist.")
        return found

    async def _describe_vault(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        del inner, request
        return _answer(self._described(self._vault(operation.value("backupVaultName"))))

    def _described(self, vault: Mapping[str, Any]) -> Record:
        shown = {name: value for name, value in vault.items() if not name.startswith("_") and value not in ("", None)}
        shown.pop("BackupVaultTags", None)
        if _LOCKED_FROM in vault:
            shown["LockDate"] = self._clock.shown(vault[_LOCKED_FROM])
        points = len(vault.get(_POINTS, {}))
        return {**shown, "VaultType": "BACKUP_VAULT", "VaultState": "AVAILABLE", "NumberOfRecoveryPoints": points}

    async def _list_vaults(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        del inner, request, operation
        return _answer({"BackupVaultList": [self._described(one) for one in self._module._vaults.values()]})

    async def _delete_vault(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        vault = self._vault(operation.value("backupVaultName"))
        if vault.get(_POINTS):
            message = "Backup vault cannot be deleted because it contains recovery points."
            raise RefusedError("InvalidRequestException", message)
        return await inner(request)

    async def _lock(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        """Lock a vault: in compliance mode where the days are given within which one can undo it, else governance."""
        del inner
        vault, asked = self._vault(operation.value("backupVaultName")), request.json()
        self._must_be_changeable(vault)
        least, most = asked.get("MinRetentionDays"), asked.get("MaxRetentionDays")
        for name, days in (("MinRetentionDays", least), ("MaxRetentionDays", most)):
            if days is not None and not _RETENTION_DAYS[0] <= days <= _RETENTION_DAYS[1]:
                raise RefusedError("InvalidParameterValueException", f"{name} must be between 1 and 36500 days.")
        if least is not None and most is not None and least > most:
            raise RefusedError("InvalidParameterValueException", "MinRetentionDays is greater than MaxRetentionDays.")
        grace = asked.get("ChangeableForDays")
        if grace is not None and not _GRACE_DAYS[0] <= grace <= _GRACE_DAYS[1]:
            raise RefusedError("InvalidParameterValueException", "ChangeableForDays must be at least 3 days.")
        for name in ("MinRetentionDays", "MaxRetentionDays", _LOCKED_FROM):
            vault.pop(name, None)
        vault["Locked"] = True
        vault.update(
            {name: days for name, days in (("MinRetentionDays", least), ("MaxRetentionDays", most)) if days is not None}
        )
        if grace is not None:
            vault[_LOCKED_FROM] = self._clock.now() + grace * _DAY
        return _answer({})

    async def _unlock(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        del inner, request
        vault = self._vault(operation.value("backupVaultName"))
        self._must_be_changeable(vault)
        for name in ("MinRetentionDays", "MaxRetentionDays", _LOCKED_FROM):
            vault.pop(name, None)
        vault["Locked"] = False
        return _answer({})

    def _must_be_changeable(self, vault: Mapping[str, Any]) -> None:
        """Refuse to touch a lock whose date has come: in compliance mode it is for ever."""
        if self._clock.now() >= vault.get(_LOCKED_FROM, float("inf")):
            message = f"Vault Lock configuration of {vault['BackupVaultName']} is immutable since its lock date."
            raise RefusedError("InvalidRequestException", message)

    async def _put_policy(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        del inner
        vault, text = self._vault(operation.value("backupVaultName")), str(request.json().get("Policy", ""))
        try:
            json.loads(text)
        except ValueError as error:
            raise RefusedError("InvalidParameterValueException", "The policy is not valid JSON.") from error
        vault[_POLICY] = text
        return _answer({})

    async def _get_policy(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        del inner, request
        vault = self._vault(operation.value("backupVaultName"))
        if _POLICY not in vault:
            message = f"Backup vault {vault['BackupVaultName']} has no access policy."
            raise RefusedError("ResourceNotFoundException", message)
        named = {name: vault[name] for name in ("BackupVaultName", "BackupVaultArn")}
        return _answer({**named, "Policy": vault[_POLICY]})

    async def _delete_policy(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        del inner, request
        self._vault(operation.value("backupVaultName")).pop(_POLICY, None)
        return _answer({})

    # -- plans and selections ------------------------------------------------------------------------------------------

    async def _create_plan(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        del operation
        return await self._with_rules(inner, request)

    async def _update_plan(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        del operation
        return await self._with_rules(inner, request)

    async def _with_rules(self, inner: Handler, request: Request) -> Answer:
        """Check a plan's rules, and note what AWS fills in."""
        asked = request.json()
        for rule in (asked.get("BackupPlan") or {}).get("Rules") or []:
            self._check_rule(rule)
        answer = await inner(request)
        if answer[0] == 200:
            record = self._module._plans[json.loads(answer[2])["BackupPlanId"]]
            for rule in record["BackupPlan"]["Rules"]:
                rule["RuleId"] = str(uuid.uuid4())
                rule.setdefault("StartWindowMinutes", 480)
                rule.setdefault("CompletionWindowMinutes", 10080)
                rule.setdefault("ScheduleExpression", _DEFAULT_SCHEDULE)
                rule.setdefault("ScheduleExpressionTimezone", "Etc/UTC")
        return answer

    def _check_rule(self, rule: Mapping[str, Any]) -> None:
        """Refuse a rule that could never make a backup."""
        if "ScheduleExpression" in rule:
            try:
                schedules.parse(rule["ScheduleExpression"], rule.get("ScheduleExpressionTimezone") or "UTC")
            except schedules.ExpressionError as error:
                raise RefusedError("InvalidParameterValueException", str(error)) from error
        _check_lifecycle(rule.get("Lifecycle") or {})

    async def _delete_plan(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        plan = operation.value("backupPlanId")
        if any(one["BackupPlanId"] == plan for one in self._module._selections.values()):
            message = "Related backup plan selections must be deleted prior to backup plan deletion."
            raise RefusedError("InvalidRequestException", message)
        return await inner(request)

    async def _create_selection(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        del operation
        role = str((request.json().get("BackupSelection") or {}).get("IamRoleArn", ""))
        self._must_be_assumable(role, request.account)
        return await inner(request)

    def _must_be_assumable(self, role: str, account: str) -> None:
        if not acting.trusts(role, _SERVICE, account, f"arn:aws:backup:{scope.region()}:{account}:*"):
            message = f"IAM Role {role} cannot be assumed by AWS Backup"
            raise RefusedError("InvalidParameterValueException", message)

    # -- jobs ----------------------------------------------------------------------------------------------------------

    async def _start_job(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        """Start a backup of a database that is there, as a role that AWS Backup may assume."""
        del inner, operation
        asked = request.json()
        token = asked.get("IdempotencyToken")
        for job in self._module._jobs.values():
            if token and job.get("IdempotencyToken") == token:
                return _answer(_started(job))
        _check_lifecycle(asked.get("Lifecycle") or {})
        vault = self._vault(str(asked.get("BackupVaultName", "")))
        self._must_be_assumable(str(asked.get("IamRoleArn", "")), request.account)
        arn = str(asked.get("ResourceArn", ""))
        if self._instance(arn) is None:
            raise RefusedError("InvalidParameterValueException", f"Unsupported resource type, or no such one: {arn}")
        job = self._begin(vault, arn, asked, {})
        return _answer(_started(job))

    def _instance(self, arn: str) -> Record | None:
        found: Record | None = next(
            (one for one in self._rds._instances.values() if one.get("DBInstanceArn") == arn), None
        )
        return found

    def _begin(self, vault: Record, arn: str, asked: Mapping[str, Any], created_by: Mapping[str, str]) -> Record:
        """Note a job and run it."""
        identifier, now = str(uuid.uuid4()).upper(), round(time.time(), 3)  # as precise as it is told
        account, home = vault["BackupVaultArn"].split(":")[4], vault["BackupVaultArn"].split(":")[3]
        job: Record = {
            "AccountId": account,
            "BackupJobId": identifier,
            "BackupVaultName": vault["BackupVaultName"],
            "BackupVaultArn": vault["BackupVaultArn"],
            "RecoveryPointArn": f"arn:aws:rds:{home}:{account}:snapshot:{_MANAGED}job-{identifier.lower()}",
            "ResourceArn": arn,
            "ResourceName": arn.rpartition(":")[2],
            "ResourceType": "RDS",
            "IamRoleArn": asked["IamRoleArn"],
            "CreatedBy": dict(created_by),
            "CreationDate": now,
            "StartBy": now + self._clock.real(60 * asked.get("StartWindowMinutes", 480)),
            "ExpectedCompletionDate": now + self._clock.real(60 * asked.get("CompleteWindowMinutes", 10080)),
            "State": "CREATED",
            "PercentDone": "0.0",
            "IsParent": False,
            "IdempotencyToken": asked.get("IdempotencyToken", ""),
            "RecoveryPointTags": asked.get("RecoveryPointTags", {}),
            "RecoveryPointLifecycle": asked.get("Lifecycle", {}),
        }
        self._module._jobs[identifier] = job
        task = asyncio.get_running_loop().create_task(self._run(job, vault))
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
        return job

    async def _run(self, job: Record, vault: Record) -> None:
        """Make a backup; whatever goes wrong is the job's status."""
        from botocore.exceptions import BotoCoreError, ClientError

        job["State"] = "RUNNING"
        try:
            if fault := _outside_lock(vault, job["RecoveryPointLifecycle"]):
                raise RefusedError("InvalidRequestException", fault)  # noqa: TRY301 — a fault as any other
            snapshot = await asyncio.to_thread(self._snapshot, job)
        except ClientError as error:
            told = error.response["Error"]
            self._fail(job, f"{told.get('Code')}: {told.get('Message')}")
        except (RefusedError, BotoCoreError) as error:
            self._fail(job, str(error))
        else:
            if job["State"] == "ABORTED":
                await self._release(job["RecoveryPointArn"])
            else:
                self._complete(job, vault, snapshot)

    def _fail(self, job: Record, message: str) -> None:
        _log.warning("backup job %s: %s", job["BackupJobId"], message)
        job.update(State="FAILED", StatusMessage=message, CompletionDate=time.time())

    def _snapshot(self, job: Record) -> Record:
        """Make a snapshot as the job's role, and wait for it; runs in a thread.

        Raises:
            botocore.exceptions.ClientError: as RDS answers.
            RefusedError: the snapshot failed.
        """
        home, source = job["ResourceArn"].split(":")[3], job["ResourceName"]
        owner = job["AccountId"], home
        rds = acting.client(self._endpoint, owner, job["IamRoleArn"], "AWSBackup-AWSBackupServiceRole", "rds")
        rds.describe_db_instances(DBInstanceIdentifier=source)
        tags = list(rds.list_tags_for_resource(ResourceName=job["ResourceArn"])["TagList"])
        tags += [{"Key": key, "Value": value} for key, value in job["RecoveryPointTags"].items()]
        name = job["RecoveryPointArn"].partition(":snapshot:")[2]
        kept = [tag for tag in tags if not tag["Key"].startswith("aws:")]
        rds.create_db_snapshot(DBSnapshotIdentifier=name, DBInstanceIdentifier=source, Tags=kept)
        with scope.account(job["AccountId"], home):
            self._rds._snapshots[name]["SnapshotType"] = "awsbackup"
        while True:
            found: Record = rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]
            if found["Status"] == "available":
                return found
            if found["Status"] == "failed":
                raise RefusedError("InvalidRequestException", f"The snapshot {name} failed.")
            time.sleep(_POLL)

    def _complete(self, job: Record, vault: Record, snapshot: Record) -> None:
        now, size = time.time(), snapshot["AllocatedStorage"] * 1024**3
        job.update(State="COMPLETED", PercentDone="100.0", CompletionDate=now, BackupSizeInBytes=size)
        shared = ("BackupVaultName", "BackupVaultArn", "ResourceArn", "ResourceName", "ResourceType", "IamRoleArn")
        point = {
            **{name: job[name] for name in (*shared, "RecoveryPointArn", "CreatedBy", "CreationDate", "IsParent")},
            "Status": "COMPLETED",
            "InitiationDate": job["CreationDate"],
            "CompletionDate": now,
            "BackupSizeInBytes": size,
            "IsEncrypted": bool(snapshot.get("Encrypted")),
            "StorageClass": "WARM",
            "VaultType": "BACKUP_VAULT",
            "Lifecycle": job["RecoveryPointLifecycle"],
            _ENDS: _ends(job["RecoveryPointLifecycle"], self._clock.at(job["CreationDate"])),
        }
        if snapshot.get("KmsKeyId"):
            point["EncryptionKeyArn"] = snapshot["KmsKeyId"]
        vault.setdefault(_POINTS, {})[job["RecoveryPointArn"]] = point

    # -- recovery points -----------------------------------------------------------------------------------------------

    async def _list_points(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        del inner, request
        points = list(self._vault(operation.value("backupVaultName")).get(_POINTS, {}).values())
        for name, member in (("resourceArn", "ResourceArn"), ("resourceType", "ResourceType")):
            if wanted := operation.value(name):
                points = [one for one in points if one[member] == wanted]
        if plan := operation.value("backupPlanId"):
            points = [one for one in points if one["CreatedBy"].get("BackupPlanId") == plan]
        return _answer({"RecoveryPoints": list(map(self._told, points))})

    async def _list_points_of(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        del inner, request
        points = [one for _, one in self._points() if one["ResourceArn"] == operation.value("resourceArn")]
        return _answer({"RecoveryPoints": list(map(self._told, points))})

    async def _list_protected(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        del inner, request, operation
        latest: dict[str, Record] = {}
        for _, point in sorted(self._points(), key=lambda one: float(one[1]["CreationDate"])):
            latest[point["ResourceArn"]] = {
                **{name: point[name] for name in ("ResourceArn", "ResourceType", "ResourceName")},
                "LastBackupTime": point["CreationDate"],
                "LastBackupVaultArn": point["BackupVaultArn"],
                "LastRecoveryPointArn": point["RecoveryPointArn"],
            }
        return _answer({"Results": list(latest.values())})

    def _points(self) -> Iterator[tuple[Record, Record]]:
        """Yield vault and recovery point, of the account of the request."""
        for vault in self._module._vaults.values():
            for point in list(vault.get(_POINTS, {}).values()):
                yield vault, point

    def _point(self, operation: requests.Operation) -> tuple[Record, Record]:
        vault = self._vault(operation.value("backupVaultName"))
        arn = operation.value("recoveryPointArn")
        if arn not in vault.get(_POINTS, {}):
            raise RefusedError("ResourceNotFoundException", f"Recovery point {arn} does not exist.")
        return vault, vault[_POINTS][arn]

    async def _describe_point(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        del inner, request
        return _answer(self._told(self._point(operation)[1]))

    def _told(self, point: Mapping[str, Any]) -> Record:
        ends = {name: self._clock.shown(moment) for name, moment in point[_ENDS].items()}
        return {**{name: value for name, value in point.items() if name != _ENDS}, "CalculatedLifecycle": ends}

    async def _delete_point(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        del inner, request
        vault, point = self._point(operation)
        if vault.get("Locked"):
            message = f"Recovery point cannot be deleted: Vault Lock protects the vault {vault['BackupVaultName']}."
            raise RefusedError("InvalidRequestException", message)
        await self._expire(vault, point)
        return _answer({})

    async def _update_point(self, inner: Handler, request: Request, operation: requests.Operation) -> Answer:
        del inner
        vault, point = self._point(operation)
        if vault.get("Locked"):
            message = f"Lifecycle cannot be changed: Vault Lock protects the vault {vault['BackupVaultName']}."
            raise RefusedError("InvalidRequestException", message)
        lifecycle = request.json().get("Lifecycle") or {}
        _check_lifecycle(lifecycle)
        point.update({"Lifecycle": lifecycle, _ENDS: _ends(lifecycle, self._clock.at(point["CreationDate"]))})
        told = self._told(point)
        named = ("BackupVaultArn", "RecoveryPointArn", "Lifecycle", "CalculatedLifecycle")
        return _answer({name: told[name] for name in named})

    async def _expire(self, vault: Record, point: Record) -> None:
        """Take a recovery point away, and its snapshot: as AWS Backup itself, whose own role may."""
        point["Status"] = "DELETING"
        await self._release(point["RecoveryPointArn"])
        vault[_POINTS].pop(point["RecoveryPointArn"], None)

    async def _release(self, arn: str) -> None:
        """Delete a recovery point's snapshot, if it is still there."""
        account, home, name = arn.split(":")[4], arn.split(":")[3], arn.partition(":snapshot:")[2]
        self._releasing.add(name)
        try:
            with scope.account(account, home):
                await scope.call_form("rds", {"Action": "DeleteDBSnapshot", "DBSnapshotIdentifier": name})
        except scope.InternalCallError as error:
            _log.warning("the snapshot %s was not deleted: %s", name, error)
        finally:
            self._releasing.discard(name)

    # -- what is due ---------------------------------------------------------------------------------------------------

    async def _sweep_on(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            try:
                await self.sweep()
            except Exception:  # noqa: BLE001 — whatever one plan does, the others go on
                _log.exception("a sweep of the backup plans failed")

    async def sweep(self) -> None:
        """Start the backups that are due, and take away what has been kept for as long as it is to be."""
        now = self._clock.now()
        for (account, home, _), vault in list(self._module._vaults._data.items()):
            with scope.account(account, home):
                for point in list(vault.get(_POINTS, {}).values()):
                    if now >= point[_ENDS].get("DeleteAt", float("inf")):
                        await self._expire(vault, point)
        seen = set()
        for (account, home, identifier), plan in list(self._module._plans._data.items()):
            for rule in plan["BackupPlan"].get("Rules") or []:
                key = (account, home, identifier, rule["RuleId"])
                seen.add(key)
                if self._is_due(key, rule, now):
                    plan["LastExecutionDate"] = time.time()
                    with scope.account(account, home):
                        self._fire(plan, rule)
        self._due = {key: due for key, due in self._due.items() if key in seen}

    def _is_due(self, key: tuple[str, ...], rule: Mapping[str, Any], now: float) -> bool:
        """Tell whether a rule's time has come, and plan the next one."""
        mark = (rule["ScheduleExpression"], rule["ScheduleExpressionTimezone"])
        due = self._due.get(key)
        if due is None or due.mark != mark:
            expression = schedules.parse(*mark)
            self._due[key] = _Due(mark, expression, expression.after(now))
            return False
        if due.at is None or now < due.at:
            return False
        due.at = due.expression.after(now)  # what was missed while the machine slept is not made up for
        return True

    def _fire(self, plan: Record, rule: Mapping[str, Any]) -> None:
        """Start a job for every database that a selection of the plan covers."""
        created_by = {
            "BackupPlanId": plan["BackupPlanId"],
            "BackupPlanArn": plan["BackupPlanArn"],
            "BackupPlanName": plan["BackupPlanName"],
            "BackupPlanVersion": plan["VersionId"],
            "BackupRuleId": rule["RuleId"],
            "BackupRuleName": rule["RuleName"],
        }
        vault = self._module._vaults.get(rule["TargetBackupVaultName"])
        if vault is None:
            _log.warning("%s: the vault %s does not exist", plan["BackupPlanArn"], rule["TargetBackupVaultName"])
            return
        for selection in self._module._selections.values():
            if selection["BackupPlanId"] != plan["BackupPlanId"]:
                continue
            asked = {
                "IamRoleArn": selection["IamRoleArn"],
                "Lifecycle": rule.get("Lifecycle") or {},
                "RecoveryPointTags": rule.get("RecoveryPointTags") or {},
                "StartWindowMinutes": rule["StartWindowMinutes"],
                "CompleteWindowMinutes": rule["CompletionWindowMinutes"],
            }
            for instance in list(self._rds._instances.values()):
                arn = instance["DBInstanceArn"]
                tags = {tag["Key"]: tag["Value"] for tag in self._rds._tags.get(arn) or []}
                if covers(selection, arn, tags):
                    self._begin(vault, arn, asked, created_by)


def covers(selection: Mapping[str, Any], arn: str, tags: Mapping[str, str]) -> bool:
    """Tell whether a selection covers a resource: one of its ARNs or tags, all of its conditions, no exclusion.

    Args:
        selection: as CreateBackupSelection takes it.
        arn: of the resource.
        tags: of the resource.
    """

    def matches(patterns: Any) -> bool:
        return any(fnmatch.fnmatchcase(arn, pattern) for pattern in patterns or ())

    listed = selection.get("ListOfTags") or []
    named = matches(selection.get("Resources")) or any(
        tags.get(one["ConditionKey"]) == one["ConditionValue"] for one in listed
    )
    if not named or matches(selection.get("NotResources")):
        return False
    for operator, wanted in _COMPARED.items():
        for one in (selection.get("Conditions") or {}).get(operator) or []:
            value = tags.get(str(one["ConditionKey"]).removeprefix("aws:ResourceTag/"))
            like = operator.endswith("Like")
            equal = value is not None and (
                fnmatch.fnmatchcase(value, one["ConditionValue"]) if like else value == one["ConditionValue"]
            )
            if equal is not wanted:
                return False
    return True


def _check_lifecycle(lifecycle: Mapping[str, Any]) -> None:
    cold, delete = lifecycle.get("MoveToColdStorageAfterDays"), lifecycle.get("DeleteAfterDays")
    if cold is not None and delete is not None and delete < cold + _COLD_DAYS:
        message = "DeleteAfterDays cannot be less than 90 days apart from MoveToColdStorageAfterDays."
        raise RefusedError("InvalidParameterValueException", message)


def _outside_lock(vault: Mapping[str, Any], lifecycle: Mapping[str, Any]) -> str:
    """Say why a locked vault does not take a backup of such a life; nothing where it does."""
    days = lifecycle.get("DeleteAfterDays") or float("inf")  # without an end, it is kept for ever
    if vault.get("Locked") and days < vault.get("MinRetentionDays", 0):
        return f"The retention period is shorter than the {vault['MinRetentionDays']} days that the vault's lock wants."
    if vault.get("Locked") and days > vault.get("MaxRetentionDays", float("inf")):
        return f"The retention period is longer than the {vault['MaxRetentionDays']} days that the vault's lock allows."
    return ""


def _ends(lifecycle: Mapping[str, Any], created: float) -> Record:
    names = {"DeleteAfterDays": "DeleteAt", "MoveToColdStorageAfterDays": "MoveToColdStorageAt"}
    return {moment: created + lifecycle[days] * _DAY for days, moment in names.items() if lifecycle.get(days)}


def _started(job: Mapping[str, Any]) -> Record:
    return {name: job[name] for name in ("BackupJobId", "CreationDate", "IsParent", "RecoveryPointArn")}


def _answer(content: Mapping[str, Any]) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()
