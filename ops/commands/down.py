"""`ops down STACK`: take a rehearsed stack away."""

from __future__ import annotations

import dataclasses
import os
import re
from typing import TYPE_CHECKING, Any

import click

from ops.console import CommandError, say, step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pulumi.automation import Stack

    from ops.rehearsal import Rehearsal

DATABASE = "aws:rds/instance:Instance"
SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105 -- a type


@click.command("down")
@click.argument("stack", default="local")
@click.option("--unprotect", is_flag=True, help="Also take away what is protected from deletion; in the sandbox only.")
def command(stack: str, *, unprotect: bool) -> None:
    """Destroy STACK (default: local) in the sandbox; with the last stack, stop the sandbox's processes too.

    \b
    Examples:
      ops down local
      ops down prod --unprotect
    """
    from ops.rehearsal import ACCOUNT, Rehearsal
    from sandbox import session

    directory = session.directory(os.environ)
    rehearsal = Rehearsal.of(stack)
    seconds: dict[str, float] = {}
    with rehearsal.sandbox.lock():
        if rehearsal.exists:
            with step("destroy", seconds) as running:
                running.detail = _destroy(rehearsal, running.progress, unprotect=unprotect)
        else:
            say(f"stack {stack} does not stand in the sandbox")
        # What an account has once is no reason to stay up: it is saved, and is there again with the next stack.
        files = (directory / "state").glob(".pulumi/stacks/**/*.json")
        left = sorted(path.stem for path in files if path.parent.name != ACCOUNT.project)
        if left:
            say(f"the sandbox stays up for {', '.join(left)}")
            return
        ended = session.stop(directory)
        say(f"stopped: {', '.join(ended)}" if ended else "no process of the sandbox was running")


def _destroy(rehearsal: Rehearsal, progress: Callable[[str], None], *, unprotect: bool) -> str:
    from pulumi import automation

    from ops import engine
    from ops.account import bring_up_account

    rehearsal.sandbox.start()
    if not rehearsal.exists:
        return "it was gone already: the account had to be rebuilt"
    rehearsal.release_stale_locks()
    resources = rehearsal.resources
    protected = [resource["urn"].split("::")[-1] for resource in resources if resource.get("protect")]
    if (rehearsal.guarded or protected) and not unprotect:
        # AWS and the engine would come to this only after they have deleted everything else.
        held = f" ({', '.join(protected)})" if protected else ""
        raise CommandError(
            f"stack {rehearsal.stack} holds what is protected from deletion{held}: nothing was deleted; "
            f"`ops down {rehearsal.stack} --unprotect` takes it away all the same, in the sandbox only"
        )
    if rehearsal.guarded:
        say(f"  as the root of account {rehearsal.sandbox.account}: its data is beyond {rehearsal.role}")
        rehearsal = dataclasses.replace(rehearsal, acting="root")
    else:
        bring_up_account(rehearsal, progress)
    handle = engine.stack(rehearsal)
    seen, on_event = engine.observe(progress)
    try:
        if protected:
            _unprotect(handle, rehearsal, resources)
        config = str(rehearsal.config_file)
        handle.destroy(on_event=on_event, config_file=config, suppress_progress=True, color="never")
        handle.workspace.remove_stack(rehearsal.stack)
        let_go = _let_go(resources)
        stayed = [*staying(resources), *_earlier_snapshots(resources)]
    except automation.CommandError as error:
        raise engine.failed(error, seen) from error
    finally:
        rehearsal.sandbox.save()
    for line in stayed:
        say(f"  stays: {line}")
    for line in let_go:
        say(f"  let go: {line}")
    return seen.describe()


def _unprotect(handle: Stack, rehearsal: Rehearsal, resources: Sequence[Mapping[str, Any]]) -> None:
    """Lift both locks of a protected stack: Pulumi's, and the databases' own."""
    import boto3

    handle.workspace.pulumi_command.run(
        ["state", "unprotect", "--all", "--yes", "--stack", rehearsal.stack], str(rehearsal.config_file.parent), {}
    )
    databases = boto3.client("rds")
    for resource in resources:
        if resource["type"] == DATABASE and resource["outputs"].get("deletionProtection"):
            databases.modify_db_instance(
                DBInstanceIdentifier=resource["outputs"]["identifier"], DeletionProtection=False, ApplyImmediately=True
            )


def staying(resources: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what outlives a stack on purpose, and why, by what its resources say of their own end.

    Secrets do on AWS, but not in a rehearsal.

    Args:
        resources: as Pulumi's state has them before the stack goes.
    """
    lines = []
    for resource in resources:
        said = {**(resource.get("outputs") or {}), **(resource.get("inputs") or {})}
        what = f"{_in_words(resource['type'])} {resource.get('id')}"
        if resource.get("retainOnDelete"):
            lines.append(f"{what}, {_RETAINED.get(resource['type'], 'which the program retains')}")
            continue
        lines += [
            f"{what}, which waits {days} days for its deletion"
            for name, days in said.items()
            if name.endswith("WindowInDays") and days and resource["type"] != SECRET
        ]
        if said.get("skipFinalSnapshot") is False:
            lines.append(f"final snapshot {said.get('finalSnapshotIdentifier')}, the data as it was at the end")
        if said.get("deleteAutomatedBackups") is False:
            days = said.get("backupRetentionPeriod")
            lines.append(f"automated backups of {said.get('identifier')}, each for {days} days")
    return lines


# Why a program retains what it does, by type.
_RETAINED = {
    "aws:backup/vault:Vault": "whose recovery points nobody can delete before their time",
    "aws:backup/vaultLockConfiguration:VaultLockConfiguration": "which sees to that",
    "aws:kms/key:Key": "without which no snapshot can be restored",
    "aws:rds/snapshot:Snapshot": "the data as it was before a release",
}


def _in_words(token: str) -> str:
    """Return a type's name as people say it: `vault lock configuration` of `…:VaultLockConfiguration`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", token.rpartition(":")[2]).lower()


def _earlier_snapshots(resources: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which snapshots of the stack's databases stay that its state knows no more: releases before the last."""
    import boto3

    own = {resource.get("id") for resource in resources}
    own |= {(resource.get("inputs") or {}).get("finalSnapshotIdentifier") for resource in resources}
    lines = []
    for resource in resources:
        if resource["type"] == DATABASE:
            of_database = {"DBInstanceIdentifier": resource["outputs"]["identifier"], "SnapshotType": "manual"}
            for page in boto3.client("rds").get_paginator("describe_db_snapshots").paginate(**of_database):
                names = [found["DBSnapshotIdentifier"] for found in page["DBSnapshots"]]
                lines += [f"snapshot {name}, from an earlier release or stack" for name in names if name not in own]
    return lines


def _let_go(resources: Sequence[Mapping[str, Any]]) -> list[str]:
    """Delete secrets at once, which else wait and hold their names meanwhile, so that the next rehearsal can have them.

    On AWS that is to be done by hand; see docs/decisions/0007.

    Returns:
        What was let go, in words.
    """
    import boto3

    lines = []
    for resource in resources:
        days = resource["type"] == SECRET and resource["outputs"].get("recoveryWindowInDays")
        if days:
            boto3.client("secretsmanager").delete_secret(SecretId=resource["id"], ForceDeleteWithoutRecovery=True)
            lines.append(f"secret {resource['id']}, which on AWS waits {days} days for its deletion and keeps its name")
    return lines
