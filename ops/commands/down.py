"""`ops down STACK`: take a rehearsed stack away."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ops.console import CommandError, say, step

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulumi.automation import Stack

    from ops.rehearsal import Rehearsal


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

    rehearsal.sandbox.start()
    if not rehearsal.exists:
        return "it was gone already: the account had to be rebuilt"
    rehearsal.release_stale_locks()
    handle = engine.stack(rehearsal)
    resources: list[dict[str, Any]] = (handle.export_stack().deployment or {}).get("resources") or []
    protected = [resource["urn"].split("::")[-1] for resource in resources if resource.get("protect")]
    if protected and not unprotect:
        # The engine itself would come to this only after it has deleted everything else.
        raise CommandError(
            f"stack {rehearsal.stack} holds what is protected from deletion ({', '.join(protected)}): nothing was "
            f"deleted; `ops down {rehearsal.stack} --unprotect` takes it away all the same, in the sandbox only"
        )
    seen, on_event = engine.observe(progress)
    try:
        if protected:
            _unprotect(handle, rehearsal, resources)
        config = str(rehearsal.config_file)
        handle.destroy(on_event=on_event, config_file=config, suppress_progress=True, color="never")
        handle.workspace.remove_stack(rehearsal.stack)
        staying = _let_go(resources)
    except automation.CommandError as error:
        raise engine.failed(error, seen) from error
    finally:
        rehearsal.sandbox.save()
    for line in staying:
        say(f"  stays: {line}")
    return seen.describe()


def _unprotect(handle: Stack, rehearsal: Rehearsal, resources: list[dict[str, Any]]) -> None:
    """Lift both locks of a protected stack: Pulumi's, and the databases' own."""
    import boto3

    handle.workspace.pulumi_command.run(
        ["state", "unprotect", "--all", "--yes", "--stack", rehearsal.stack], str(rehearsal.config_file.parent), {}
    )
    databases = boto3.client("rds")
    for resource in resources:
        if resource["type"] == "aws:rds/instance:Instance" and resource["outputs"].get("deletionProtection"):
            databases.modify_db_instance(
                DBInstanceIdentifier=resource["outputs"]["identifier"], DeletionProtection=False, ApplyImmediately=True
            )


def _let_go(resources: list[dict[str, Any]]) -> list[str]:
    """Return what outlives the stack on purpose, as AWS keeps it.

    Secrets wait for their deletion too, and hold their names meanwhile: a rehearsal lets go of them at once, so that
    the next one can have the names.
    """
    import boto3

    lines = []
    for resource in resources:
        inputs = resource.get("inputs") or {}
        if resource["type"] == "aws:rds/instance:Instance" and not inputs.get("skipFinalSnapshot"):
            lines.append(f"final snapshot {inputs.get('finalSnapshotIdentifier')}")
        if resource["type"] == "aws:kms/key:Key":
            days = inputs.get("deletionWindowInDays", 30)
            kept = "without which no snapshot can be restored"
            fate = kept if resource.get("retainOnDelete") else f"which waits {days} days for its deletion"
            lines.append(f"key {resource['id']}, {fate}")
        if resource["type"] == "aws:secretsmanager/secret:Secret" and inputs.get("recoveryWindowInDays") != 0:
            boto3.client("secretsmanager").delete_secret(SecretId=resource["id"], ForceDeleteWithoutRecovery=True)
    return lines
