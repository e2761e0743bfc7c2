"""Snapshots of database instances: real copies of their data, which a restored instance begins with."""

# ruff: noqa: SLF001 — the emulator's records are what is completed

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from sandbox.postgres import PostgresError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.cloud.databases import Fleet
    from sandbox.cloud.scope import Answer, Handler, Request

    Record = dict[str, Any]

_log = logging.getLogger("sandbox.snapshots")

_ENGINE: Final = "postgres"
_FOLDER: Final = "_Folder"
_PASSWORD: Final = "_MasterUserPassword"  # noqa: S105 — the name of a field
_FROM_SNAPSHOT: Final = (
    # of a restored instance, where the request does not say otherwise
    "AllocatedStorage",
    "DBInstanceClass",
    "Engine",
    "EngineVersion",
    "Iops",
    "KmsKeyId",
    "LicenseModel",
    "MasterUsername",
    "StorageThroughput",
    "StorageType",
)


class Snapshots:
    """The answers of RDS that concern snapshots."""

    def __init__(self, fleet: Fleet, module: Any) -> None:
        """Describe them.

        Args:
            fleet: the servers and the folders of their data.
            module: the emulator's RDS module.
        """
        self._fleet = fleet
        self._module = module
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Leave off what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def resume(self) -> None:
        """Mark the snapshots that the process before this one did not finish."""
        for record in self._module._snapshots._data.values():
            if record["Status"] == "creating":
                record["Status"] = "failed"

    async def create(self, inner: Handler, request: Request, form: dict[str, str]) -> Answer:
        """CreateDBSnapshot: described at once, available when the data is copied."""
        source = self._module._resolve_instance(form.get("DBInstanceIdentifier", ""))
        if source and source.get("Engine") == _ENGINE and source["DBInstanceStatus"] != "available":
            message = f"Cannot create a snapshot because the database instance {source['DBInstanceIdentifier']} is not "
            return self._error("InvalidDBInstanceState", f"{message}currently in the available state.")
        answer = await inner(request)
        if answer[0] != 200:
            return answer
        record = self._module._snapshots[form["DBSnapshotIdentifier"]]
        given = self._module._parse_tags({name: [value] for name, value in form.items()})
        self._complete(record, source, given)
        database = self._fleet.get(request.account, source["DBInstanceIdentifier"])
        if source.get("Engine") == _ENGINE and database:
            record.update(Status="creating", PercentProgress=0)

            async def copy() -> str:
                async with database.busy:
                    return await self._fleet.keep(
                        request.account, source["DBInstanceIdentifier"], record["DBSnapshotIdentifier"]
                    )

            self._finish(record, copy)
        return self._described(record, "CreateDBSnapshot")

    async def copy(self, inner: Handler, request: Request, form: dict[str, str]) -> Answer:
        """CopyDBSnapshot, within the account and region."""
        del inner
        source = self._module._snapshots.get(_name(form.get("SourceDBSnapshotIdentifier", "")))
        name = form.get("TargetDBSnapshotIdentifier", "")
        if source is None:
            return self._error(
                "DBSnapshotNotFound", f"DBSnapshot {form.get('SourceDBSnapshotIdentifier')} not found.", 404
            )
        if name in self._module._snapshots:
            return self._error("DBSnapshotAlreadyExists", f"Cannot copy the snapshot because {name} already exists.")
        if source["Status"] != "available":
            return self._error(
                "InvalidDBSnapshotState", f"DB snapshot {source['DBSnapshotIdentifier']} is not available."
            )
        arn = f"{source['DBSnapshotArn'].partition(':snapshot:')[0]}:snapshot:{name}"
        tags = self._module._parse_tags({key: [value] for key, value in form.items()})
        if form.get("CopyTags") == "true":
            tags = tags or source.get("TagList") or []
        record = {
            **source,
            "DBSnapshotIdentifier": name,
            "DBSnapshotArn": arn,
            "SnapshotType": "manual",
            "SourceDBSnapshotIdentifier": source["DBSnapshotArn"],
            "SnapshotCreateTime": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
            "TagList": tags,
        }
        if form.get("KmsKeyId"):
            record.update(KmsKeyId=form["KmsKeyId"], Encrypted=True, StorageEncrypted=True)
        self._module._snapshots[name] = record
        self._module._tags[arn] = tags
        if folder := source.get(_FOLDER):
            record.update(Status="creating", PercentProgress=0)
            self._finish(record, lambda: self._fleet.duplicate(request.account, folder, name))
        return self._described(record, "CopyDBSnapshot")

    async def delete(self, inner: Handler, request: Request, form: dict[str, str]) -> Answer:
        """DeleteDBSnapshot, the data too."""
        record = self._module._snapshots.get(form.get("DBSnapshotIdentifier", ""))
        if record and record["Status"] == "creating":
            message = f"Cannot delete the snapshot {record['DBSnapshotIdentifier']} because it is being created."
            return self._error("InvalidDBSnapshotState", message)
        answer = await inner(request)
        if answer[0] == 200 and record and record.get(_FOLDER):
            await self._fleet.forget(request.account, record[_FOLDER])
        return answer

    def final(self, source: Record, name: str, folder: str) -> None:
        """Complete the record of a deleted instance's last snapshot, which the emulator has made."""
        record = self._module._snapshots[name]
        self._complete(record, source, [])
        record[_FOLDER] = folder

    def restoring(self, form: Mapping[str, str]) -> tuple[dict[str, str], str] | Answer:
        """Read RestoreDBInstanceFromDBSnapshot as a creation.

        Returns:
            The form of the creation and the folder to begin with, or a refusal.
        """
        wanted = _name(form.get("DBSnapshotIdentifier", ""))
        record = self._module._snapshots.get(wanted)
        if record is None:
            return self._error("DBSnapshotNotFound", f"DBSnapshot {wanted} not found.", 404)
        if form.get("DBInstanceIdentifier") in self._module._instances:
            return self._error("DBInstanceAlreadyExists", f"DB instance {form['DBInstanceIdentifier']} already exists.")
        if record["Status"] != "available" or _FOLDER not in record:
            message = f"DB snapshot {wanted} is {record['Status']}" + (
                "" if _FOLDER in record else " and holds no data"
            )
            return self._error("InvalidDBSnapshotState", f"{message}.")
        given = {name: value for name, value in form.items() if name not in ("DBSnapshotIdentifier", "DBName")}
        kept = {name: str(record[name]) for name in _FROM_SNAPSHOT if record.get(name)}
        kept |= {"DBName": record.get("DBName", ""), "StorageEncrypted": str(record.get("Encrypted", False)).lower()}
        if given.get("ManageMasterUserPassword") != "true":
            kept["MasterUserPassword"] = record[_PASSWORD]
        return {**kept, **given, "Action": "CreateDBInstance"}, record[_FOLDER]

    def _complete(self, record: Record, source: Record, given: list[dict[str, str]]) -> None:
        """Note what the emulator leaves out, and the tags that AWS would give."""
        tags = {tag["Key"]: tag for tag in given}
        if source.get("CopyTagsToSnapshot"):
            tags = {tag["Key"]: tag for tag in record.get("TagList") or ()} | tags
        record["TagList"] = list(tags.values())
        self._module._tags[record["DBSnapshotArn"]] = record["TagList"]
        for name in ("Iops", "StorageThroughput", "EngineVersion", "KmsKeyId"):
            if source.get(name):
                record[name] = source[name]
        record["VpcId"] = (source.get("DBSubnetGroup") or {}).get("VpcId") or record.get("VpcId", "")
        record["DBName"] = source.get("DBName", "")
        record[_PASSWORD] = source.get(_PASSWORD, "")

    def _finish(self, record: Record, copy: Callable[[], Any]) -> None:
        """Copy in the background; the snapshot is then available, or failed."""

        async def finish() -> None:
            try:
                record[_FOLDER] = await copy()
            except (PostgresError, OSError) as error:
                _log.error("snapshot %s failed: %s", record["DBSnapshotIdentifier"], error)
                record["Status"] = "failed"
            else:
                record.update(Status="available", PercentProgress=100)

        task = asyncio.get_running_loop().create_task(finish())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _described(self, record: Record, action: str) -> Answer:
        inside = f"<{action}Result><DBSnapshot>{self._module._snapshot_xml(record)}</DBSnapshot></{action}Result>"
        answer: Answer = self._module._xml(200, f"{action}Response", inside)
        return answer

    def amended(self, answer: Answer) -> Answer:
        """Say of every snapshot in an answer what AWS would."""
        status, headers, body = answer
        if status != 200 or b"<DBSnapshotIdentifier>" not in body:
            return answer
        tree = ET.fromstring(body)  # noqa: S314 — the emulator's own answer
        space = tree.tag.partition("}")[0] + "}"
        for element in tree.iter(f"{space}DBSnapshot"):
            record = self._module._snapshots.get(element.findtext(f"{space}DBSnapshotIdentifier")) or {}
            for name in ("Iops", "StorageThroughput", "SourceDBSnapshotIdentifier"):
                if record.get(name):
                    ET.SubElement(element, f"{space}{name}").text = str(record[name])
            for child in list(element):
                if child.tag in (f"{space}KmsKeyId", f"{space}DBName") and not child.text:
                    element.remove(child)
        ET.register_namespace("", space.strip("{}"))
        return status, headers, bytes(ET.tostring(tree, encoding="utf-8", xml_declaration=True))

    def _error(self, code: str, message: str, status: int = 400) -> Answer:
        answer: Answer = self._module._error(code, message, status)
        return answer


def _name(identifier: str) -> str:
    """Return a snapshot's name, also of its ARN; those of AWS Backup have a colon in it."""
    return identifier.partition(":snapshot:")[2] if identifier.startswith("arn:") else identifier
