"""RDS with a real server behind each Postgres instance, and the fields that the emulator forgets.

Works around the emulator's handler, after it has authenticated and authorised a request.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import string
import uuid
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

from sandbox.cloud.proxies import Proxies
from sandbox.cloud.scope import account, call_json, region
from sandbox.cloud.snapshots import Snapshots
from sandbox.postgres import PostgresError, version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping

    from sandbox.cloud.databases import Database, Fleet
    from sandbox.cloud.scope import Answer, Handler, Request

_log = logging.getLogger("sandbox.rds")

_NAMESPACE: Final = "http://rds.amazonaws.com/doc/2014-10-31/"
_ENGINE: Final = "postgres"
_PASSWORD_LETTERS: Final = string.ascii_letters + string.digits + "!#$%&()*+-.:;<=>?[]^_{|}~"  # RDS: no / @ " or space
_PASSWORD_LENGTH: Final = 28
_TEXTS: Final = {
    # element of the response: parameter of the request
    "PreferredBackupWindow": "PreferredBackupWindow",
    "PreferredMaintenanceWindow": "PreferredMaintenanceWindow",
    "CACertificateIdentifier": "CACertificateIdentifier",
    "PerformanceInsightsKMSKeyId": "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod": "PerformanceInsightsRetentionPeriod",
    "MonitoringRoleArn": "MonitoringRoleArn",
    "DatabaseInsightsMode": "DatabaseInsightsMode",
    "EngineLifecycleSupport": "EngineLifecycleSupport",
    "NetworkType": "NetworkType",
    "StorageThroughput": "StorageThroughput",
    "Iops": "Iops",
    "BackupTarget": "BackupTarget",
    "LicenseModel": "LicenseModel",
}
_FLAGS: Final = {
    "IAMDatabaseAuthenticationEnabled": "EnableIAMDatabaseAuthentication",
    "PerformanceInsightsEnabled": "EnablePerformanceInsights",
    "DeletionProtection": "DeletionProtection",
    "AutoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "CopyTagsToSnapshot": "CopyTagsToSnapshot",
    "DedicatedLogVolume": "DedicatedLogVolume",
}
_OMITTED_WHEN_EMPTY: Final = (
    "DBName",
    "DBClusterIdentifier",
    "EnhancedMonitoringResourceArn",
    "KmsKeyId",
    "MonitoringRoleArn",
    "ReadReplicaSourceDBInstanceIdentifier",
    "ReplicaMode",
)

Record = dict[str, Any]


def generated_password() -> str:
    """Return a master password as RDS makes them."""
    return "".join(secrets.choice(_PASSWORD_LETTERS) for _ in range(_PASSWORD_LENGTH))


class Rds:
    """The handler of RDS requests around the emulator's."""

    def __init__(self, fleet: Fleet, module: Any, endpoint: str) -> None:
        """Wrap.

        Args:
            fleet: the servers.
            module: the emulator's RDS module: its records of instances and parameter groups, scoped by request.
            endpoint: of the sandbox, `http://127.0.0.1:PORT`.
        """
        self.proxies = Proxies(fleet, module, endpoint)
        self._snapshots = Snapshots(fleet, module)
        self._fleet = fleet
        self._module = module
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, inner: Handler, request: Request) -> Answer:
        """Answer a request."""
        form = {**{name: values[0] for name, values in request.query.items()}, **dict(parse_qsl(request.body.decode()))}
        steps: dict[str, Callable[[Handler, Request, dict[str, str]], Any]] = {
            "CreateDBInstance": self._create,
            "ModifyDBInstance": self._modify,
            "DeleteDBInstance": self._delete,
            "StopDBInstance": self._stop,
            "StartDBInstance": self._start,
            "RebootDBInstance": self._reboot,
            "ModifyDBParameterGroup": self._change_group,
            "ResetDBParameterGroup": self._change_group,
            "DescribeDBEngineVersions": self._engine_versions,
            "CreateDBSnapshot": self._snapshots.create,
            "CopyDBSnapshot": self._snapshots.copy,
            "DeleteDBSnapshot": self._snapshots.delete,
            "RestoreDBInstanceFromDBSnapshot": self._restore,
            "RestoreDBInstanceToPointInTime": self._restore_to_time,
        }
        if "DBProxy" in form.get("Action", ""):
            return await self.proxies(inner, request, form)
        step = steps.get(form.get("Action", ""))
        answer: Answer = await (step(inner, request, form) if step else inner(request))
        return self._snapshots.amended(self._amended(answer))

    async def resume(self) -> None:
        """Bring the instances of a loaded state up again, each in its own account and region."""
        for (owner, home, identifier), record in list(self._module._instances._data.items()):  # noqa: SLF001
            if record.get("Engine") != _ENGINE:
                continue
            with account(owner, home):
                if record.get("DBInstanceStatus") == "stopped":
                    continue
                self._bring_up(record, self._open(owner, identifier, record))
        self._snapshots.resume()
        await self.proxies.resume()

    async def close(self) -> None:
        """Leave off what is under way."""
        self.proxies.close()
        await self._snapshots.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- instances ---------------------------------------------------------------------------------------------------

    async def _create(self, inner: Handler, request: Request, form: dict[str, str]) -> Answer:
        if form.get("Engine") != _ENGINE or "DBClusterIdentifier" in form:
            return await inner(request)
        if refused := _refused_creation(form):
            return refused
        managed = form.get("ManageMasterUserPassword") == "true"
        form["MasterUserPassword"] = password = form.get("MasterUserPassword") or generated_password()
        form.setdefault("EngineVersion", version())
        _complete_version(form)
        answer = await inner(request.with_form(form))
        if answer[0] != 200:
            return answer
        identifier = form["DBInstanceIdentifier"]
        record: Record = self._module._instances[identifier]  # noqa: SLF001
        _remember(record, form)
        record["DBName"] = form.get("DBName", "")
        record["DBInstanceStatus"] = "creating"
        record["_MasterUserPassword"] = password
        if record.get("StorageEncrypted") and not record.get("KmsKeyId"):
            record["KmsKeyId"] = _service_key("rds")
        if managed:
            await self._make_secret(record, form.get("MasterUserSecretKmsKeyId"))
        self._bring_up(record, self._open(request.account, identifier, record))
        return answer

    async def _restore(self, inner: Handler, request: Request, form: dict[str, str]) -> Answer:
        """Make an instance that begins with a snapshot's data; what the request does not say, the snapshot does."""
        found = self._snapshots.restoring(form)
        if len(found) == 3:
            return found
        creation, kept = found
        await self._fleet.begin_with(request.account, kept, form["DBInstanceIdentifier"])
        answer = await self._create(inner, request.with_form(creation), creation)
        if answer[0] != 200:
            await self._fleet.remove(request.account, form["DBInstanceIdentifier"], keep_as=None)
            return answer
        return answer[0], answer[1], _renamed(answer[2], form["Action"])

    async def _restore_to_time(self, inner: Handler, request: Request, form: dict[str, str]) -> Answer:
        del inner, request, form
        message = "The sandbox keeps no log of changes: restore a snapshot (RestoreDBInstanceFromDBSnapshot)."
        return _error("InvalidRestoreFault", message)

    async def _modify(self, inner: Handler, request: Request, form: dict[str, str]) -> Answer:
        record = self._record(form)
        if record is None:
            return await inner(request)
        for parameter in ("DBPortNumber", "NewDBInstanceIdentifier"):
            if parameter in form:
                return _error(
                    "InvalidParameterCombination", f"The sandbox does not change {parameter}: make a new instance."
                )
        if refused := _unknown_version(form):
            return refused
        _complete_version(form)
        password = form.pop("MasterUserPassword", None)  # the emulator would look for a server of its own
        managed = "MasterUserSecret" in record
        if managed and password and form.get("ManageMasterUserPassword") != "false":
            return _error(
                "InvalidParameterCombination",
                "You can't specify MasterUserPassword for an instance with ManageMasterUserPassword enabled.",
            )
        answer = await inner(request.with_form(form))
        if answer[0] != 200:
            return answer
        _remember(record, form)
        for applied in (*_TEXTS, *_FLAGS):  # at once, where the emulator would wait for a maintenance window
            record.get("PendingModifiedValues", {}).pop(applied, None)
        if form.get("ManageMasterUserPassword") == "true" and not managed:
            password = record["_MasterUserPassword"] = generated_password()
            await self._make_secret(record, form.get("MasterUserSecretKmsKeyId"))
        elif form.get("ManageMasterUserPassword") == "false" and managed:
            await self._drop_secret(record)
        elif form.get("RotateMasterUserPassword") == "true" and managed:
            password = record["_MasterUserPassword"] = generated_password()
            value = {"SecretId": record["MasterUserSecret"]["SecretArn"], "SecretString": _secret_string(record)}
            await call_json("secretsmanager", "PutSecretValue", value)
        database = self._fleet.get(request.account, record["DBInstanceIdentifier"])
        if password:
            record["_MasterUserPassword"] = password
            if database:
                async with database.busy:
                    await database.set_master(record["MasterUsername"], password, None)
        if "DBParameterGroupName" in form and database:
            await self._configure(record, database)
        return answer

    async def _delete(self, inner: Handler, request: Request, form: dict[str, str]) -> Answer:
        record = self._record(form)
        if record and form.get("SkipFinalSnapshot") != "true" and not form.get("FinalDBSnapshotIdentifier"):
            return _error(
                "InvalidParameterCombination",
                "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
            )
        keep_as = None if form.get("SkipFinalSnapshot") == "true" else form.get("FinalDBSnapshotIdentifier")
        if keep_as and keep_as in self._module._snapshots:  # noqa: SLF001
            return _error("DBSnapshotAlreadyExists", f"Cannot create the snapshot because {keep_as} already exists.")
        answer = await inner(request)
        if record is None or answer[0] != 200:
            return answer
        identifier = record["DBInstanceIdentifier"]
        if database := self._fleet.get(request.account, identifier):
            async with database.busy:
                kept = await self._fleet.remove(request.account, identifier, keep_as=keep_as)
            if keep_as:
                self._snapshots.final(record, keep_as, kept)
        if "MasterUserSecret" in record:
            await self._drop_secret(record)
        return self._amended(answer, record)

    async def _stop(self, inner: Handler, request: Request, form: dict[str, str]) -> Answer:
        answer = await inner(request)
        record = self._record(form)
        if answer[0] == 200 and record and (database := self._database(record)):
            async with database.busy:
                await database.pause()
        return answer

    async def _start(self, inner: Handler, request: Request, form: dict[str, str]) -> Answer:
        answer = await inner(request)
        record = self._record(form)
        if answer[0] == 200 and record:
            identifier = record["DBInstanceIdentifier"]
            database = self._database(record) or self._open(request.account, identifier, record)
            record["DBInstanceStatus"] = "starting"
            self._bring_up(record, database)
        return answer

    async def _reboot(self, inner: Handler, request: Request, form: dict[str, str]) -> Answer:
        record = self._record(form)
        database = self._database(record) if record else None
        if record is None or database is None:
            return await inner(request)
        if record["DBInstanceStatus"] != "available":
            return _error("InvalidDBInstanceState", f"DB instance {record['DBInstanceIdentifier']} is not available.")
        record["DBInstanceStatus"] = "rebooting"
        async with database.busy:
            await database.pause()
        self._bring_up(record, database)
        # Answered by a description: the emulator would set the status by itself.
        answer = await inner(
            request.with_form({"Action": "DescribeDBInstances", "DBInstanceIdentifier": form["DBInstanceIdentifier"]})
        )
        return answer[0], answer[1], _renamed(answer[2], "RebootDBInstance")

    def _open(self, owner: str, identifier: str, record: Record) -> Database:
        """Take the instance's address and note it: it shows in the endpoint once the server answers."""
        port = record.setdefault("_port", int((record.get("Endpoint") or {}).get("Port") or 5432))
        record["Endpoint"] = {}
        return self._fleet.open(owner, identifier, port)

    def _bring_up(self, record: Record, database: Database) -> None:
        """Start the server in the background; the instance is `available` when it answers, or `failed`."""

        async def bring_up() -> None:
            async with database.busy:
                try:
                    await database.start(self._fleet.authority, self._parameters(record))
                    await database.set_master(
                        record["MasterUsername"], record["_MasterUserPassword"], record.get("DBName") or None
                    )
                except (PostgresError, OSError) as error:
                    _log.error("instance %s failed: %s", record["DBInstanceIdentifier"], error)
                    record["DBInstanceStatus"] = "failed"
                    return
                record["Endpoint"] = {
                    "Address": database.address,
                    "Port": database.port,
                    "HostedZoneId": "Z1RLNUO7B9Q6NB",
                }
                record["DBInstanceStatus"] = "available"

        task = asyncio.get_running_loop().create_task(bring_up())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _record(self, form: Mapping[str, str]) -> Record | None:
        record: Record | None = self._module._resolve_instance(form.get("DBInstanceIdentifier", ""))  # noqa: SLF001
        return record if record and record.get("Engine") == _ENGINE else None

    def _database(self, record: Record) -> Database | None:
        owner = record["DBInstanceArn"].split(":")[4]
        return self._fleet.get(owner, record["DBInstanceIdentifier"])

    # -- parameter groups --------------------------------------------------------------------------------------------

    def _parameters(self, record: Record) -> dict[str, str]:
        name = record["DBParameterGroups"][0]["DBParameterGroupName"]
        group = self._module._param_groups.get(name) or {}  # noqa: SLF001
        return {key: value["ParameterValue"] for key, value in group.get("Parameters", {}).items()}

    async def _configure(self, record: Record, database: Database) -> None:
        async with database.busy:
            if database.state == "available":
                await database.configure(self._parameters(record))
        for group in record["DBParameterGroups"]:
            group["ParameterApplyStatus"] = "in-sync"

    async def _change_group(self, inner: Handler, request: Request, form: dict[str, str]) -> Answer:
        answer = await inner(request)
        if answer[0] == 200:
            for record in list(self._module._instances.values()):  # noqa: SLF001
                group = record["DBParameterGroups"][0]["DBParameterGroupName"]
                if group == form.get("DBParameterGroupName") and (database := self._database(record)):
                    await self._configure(record, database)
        return answer

    async def _engine_versions(self, inner: Handler, request: Request, form: dict[str, str]) -> Answer:
        """Know the version at hand, which the emulator's list does not have."""
        answer = await inner(request)
        wanted = form.get("EngineVersion", "")
        current = version()
        if (
            answer[0] != 200
            or form.get("Engine") != _ENGINE
            or not (wanted == "" or f"{current}.".startswith(f"{wanted}."))
        ):
            return answer
        tree = _parse(answer[2])
        versions = tree.find(".//{*}DBEngineVersions")
        if versions is not None and (wanted or form.get("DefaultOnly") == "true"):
            versions.clear()
        if versions is not None:
            major = current.partition(".")[0]
            fields = {
                "Engine": _ENGINE,
                "EngineVersion": current,
                "MajorEngineVersion": major,
                "DBParameterGroupFamily": f"{_ENGINE}{major}",
                "DBEngineDescription": "PostgreSQL",
                "DBEngineVersionDescription": f"PostgreSQL {current}",
                "Status": "available",
            }
            entry = ET.SubElement(versions, _tag("DBEngineVersion"))
            for name, value in fields.items():
                _set(entry, name, value)
        return answer[0], answer[1], _text(tree)

    # -- the managed master secret -----------------------------------------------------------------------------------

    async def _make_secret(self, record: Record, key: str | None) -> None:
        """Keep the master password in a secret, as RDS does with ManageMasterUserPassword."""
        made = await call_json(
            "secretsmanager",
            "CreateSecret",
            {
                "Name": f"rds!db-{uuid.uuid4()}",
                "Description": f"The secret associated with the primary RDS DB instance: {record['DBInstanceArn']}",
                "SecretString": _secret_string(record),
                "Tags": [
                    {"Key": "aws:secretsmanager:owningService", "Value": "rds"},
                    {"Key": "aws:rds:primaryDBInstanceArn", "Value": record["DBInstanceArn"]},
                ],
                **({"KmsKeyId": key} if key else {}),
            },
        )
        record["MasterUserSecret"] = {
            "SecretArn": made["ARN"],
            "SecretStatus": "active",
            "KmsKeyId": key or _service_key("secretsmanager"),
        }

    async def _drop_secret(self, record: Record) -> None:
        secret = record.pop("MasterUserSecret")
        wanted = {"SecretId": secret["SecretArn"], "ForceDeleteWithoutRecovery": True}
        await call_json("secretsmanager", "DeleteSecret", wanted)

    # -- answers -----------------------------------------------------------------------------------------------------

    def _amended(self, answer: Answer, gone: Record | None = None) -> Answer:
        """Say of every instance in an answer what AWS would."""
        status, headers, body = answer
        if status != 200 or b"<DBInstanceIdentifier>" not in body:
            return answer
        tree = _parse(body)
        for element in tree.iter(_tag("DBInstance")):
            name = element.findtext("{*}DBInstanceIdentifier")
            record = gone or self._module._instances.get(name)  # noqa: SLF001
            if record and record.get("Engine") == _ENGINE:
                _amend(element, record)
        return status, headers, _text(tree)


def _refused_creation(form: Mapping[str, str]) -> Answer | None:
    """Refuse what RDS refuses and the emulator does not."""
    managed, password = form.get("ManageMasterUserPassword") == "true", form.get("MasterUserPassword")
    if managed and password:
        return _error(
            "InvalidParameterCombination",
            "You can't specify MasterUserPassword together with ManageMasterUserPassword.",
        )
    if not managed and not password:
        return _error(
            "InvalidParameterValue", "The parameter MasterUserPassword must be provided and must not be blank."
        )
    if not form.get("MasterUsername"):
        return _error("InvalidParameterValue", "The parameter MasterUsername must be provided and must not be blank.")
    if form["MasterUsername"] in ("rdsadmin", "admin", "postgres_rds") or form["MasterUsername"].startswith("pg_"):
        return _error("InvalidParameterValue", f"MasterUsername {form['MasterUsername']} is a reserved word.")
    return _unknown_version(form)


def _unknown_version(form: Mapping[str, str]) -> Answer | None:
    """Refuse another major version than the one at hand: playing it with this one would be a pretence."""
    wanted = form.get("EngineVersion", "")
    if wanted and wanted.partition(".")[0] != version().partition(".")[0]:
        message = f"Cannot find version {wanted} for postgres (the sandbox has {version()})"
        return _error("InvalidParameterCombination", message)
    return None


def _complete_version(form: MutableMapping[str, str]) -> None:
    """Read a major version alone as its latest minor one, as RDS does."""
    if "EngineVersion" in form and "." not in form["EngineVersion"]:
        form["EngineVersion"] = version()


def _remember(record: Record, form: Mapping[str, str]) -> None:
    """Note what the emulator drops from a creation or modification."""
    for element, parameter in _TEXTS.items():
        if parameter in form:
            record[element] = form[parameter]
    for element, parameter in _FLAGS.items():
        if parameter in form:
            record[element] = form[parameter] == "true"
    exports: list[str] = record.get("EnabledCloudwatchLogsExports") or []
    for parameter, value in sorted(form.items()):
        if parameter.startswith(("EnableCloudwatchLogsExports.", "CloudwatchLogsExportConfiguration.EnableLogTypes.")):
            exports = sorted({*exports, value})
        elif parameter.startswith("CloudwatchLogsExportConfiguration.DisableLogTypes."):
            exports = [name for name in exports if name != value]
    record["EnabledCloudwatchLogsExports"] = exports
    if "CACertificateIdentifier" in form:
        record["CertificateDetails"] = {**record["CertificateDetails"], "CAIdentifier": form["CACertificateIdentifier"]}
    if record.get("StorageType") == "gp3":
        record["Iops"] = record.get("Iops") or 3000
        record["StorageThroughput"] = record.get("StorageThroughput") or 125
    if int(record.get("MonitoringInterval") or 0):
        where = ":".join(record["DBInstanceArn"].split(":")[3:5])
        record["EnhancedMonitoringResourceArn"] = (
            f"arn:aws:logs:{where}:log-group:RDSOSMetrics:log-stream:{record['DbiResourceId']}"
        )
    else:
        record["EnhancedMonitoringResourceArn"] = ""


def _amend(element: ET.Element, record: MutableMapping[str, Any]) -> None:
    _set(element, "DBInstanceStatus", record["DBInstanceStatus"])
    _set(element, "DBName", record.get("DBName", ""))
    _set(element, "KmsKeyId", record.get("KmsKeyId", ""))
    _nest(element, "CertificateDetails", record.get("CertificateDetails") or {})
    endpoint = record.get("Endpoint") or {}
    _nest(element, "Endpoint", {name: endpoint.get(name) for name in ("Address", "Port", "HostedZoneId")})
    for name in _TEXTS:
        if record.get(name) not in (None, ""):
            _set(element, name, str(record[name]))
    for name in _FLAGS:
        if name in record:
            _set(element, name, str(record[name]).lower())
    if not record.get("PerformanceInsightsEnabled"):
        for name in ("PerformanceInsightsRetentionPeriod", "PerformanceInsightsKMSKeyId"):
            _drop(element, name)
    if not record.get("StorageThroughput"):
        _drop(element, "StorageThroughput")
    _set(element, "EnhancedMonitoringResourceArn", record.get("EnhancedMonitoringResourceArn", ""))
    _drop(element, "EnabledCloudwatchLogsExports")
    if record.get("EnabledCloudwatchLogsExports"):
        exports = ET.SubElement(element, _tag("EnabledCloudwatchLogsExports"))
        for name in record["EnabledCloudwatchLogsExports"]:
            ET.SubElement(exports, _tag("member")).text = name
    _nest(element, "MasterUserSecret", record.get("MasterUserSecret") or {})
    for name in _OMITTED_WHEN_EMPTY:
        child = element.find(f"{{*}}{name}")
        if child is not None and not child.text:
            element.remove(child)


def _secret_string(record: Record) -> str:
    import json

    return json.dumps({"username": record["MasterUsername"], "password": record["_MasterUserPassword"]})


def _service_key(service: str) -> str:
    """Return the ARN of a key that AWS makes by itself (`aws/rds`): the same every time."""
    from ministack.core.responses import get_account_id

    where = f"{region()}:{get_account_id()}"
    return f"arn:aws:kms:{where}:key/{uuid.uuid5(uuid.NAMESPACE_URL, f'{where}/aws/{service}')}"


def _error(code: str, message: str) -> Answer:
    body = (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>'
        f"</Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    )
    return 400, {"Content-Type": "text/xml"}, body.encode()


def _tag(name: str) -> str:
    return f"{{{_NAMESPACE}}}{name}"


def _parse(body: bytes) -> ET.Element:
    return ET.fromstring(body)  # noqa: S314 — see the import


def _text(tree: ET.Element) -> bytes:
    ET.register_namespace("", _NAMESPACE)
    return bytes(ET.tostring(tree, encoding="utf-8", xml_declaration=True))


def _renamed(body: bytes, action: str) -> bytes:
    """Turn a description of one instance into another action's answer about it."""
    tree = _parse(body)
    instance = tree.find(".//{*}DBInstance")
    answer = ET.Element(_tag(f"{action}Response"))
    if instance is not None:
        ET.SubElement(answer, _tag(f"{action}Result")).append(instance)
    return _text(answer)


def _drop(element: ET.Element, name: str) -> None:
    for child in element.findall(f"{{*}}{name}"):
        element.remove(child)


def _set(element: ET.Element, name: str, value: str) -> None:
    child = element.find(f"{{*}}{name}")
    if child is None:
        child = ET.SubElement(element, _tag(name))
    child.text = value


def _nest(element: ET.Element, name: str, fields: Mapping[str, Any]) -> None:
    _drop(element, name)
    present: Iterable[tuple[str, Any]] = [(key, value) for key, value in fields.items() if value is not None]
    if present:
        child = ET.SubElement(element, _tag(name))
        for key, value in present:
            _set(child, key, str(value))
