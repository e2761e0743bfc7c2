"""`ops db`: the way into a development database."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click

from ops.console import CommandError, data, emit, say
from ops.exit_codes import Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.target import Target

PORT = 5432
# Session Manager's document for a host beyond the machine that the agent runs on
# (https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-preferences-cli.html).
DOCUMENT = "AWS-StartPortForwardingSessionToRemoteHost"


@click.group("db")
def command() -> None:
    """The way into a development database.

    \b
    Examples:
      ops db tunnel dev
      ops db tunnel dev --aws --port 15432
    """


@command.command("tunnel")
@click.argument("stack", default="dev")
@click.option("--port", default=15432, show_default=True, help="Port of this machine that leads to the database.")
@click.option("--print", "only_print", is_flag=True, help="Print the command, and start nothing.")
@click.option("--aws", is_flag=True, help="Act on AWS (also OPS_TARGET=aws).")
@click.option("--json", "as_json", is_flag=True, help="Print command and addresses as JSON, and start nothing.")
def tunnel(stack: str, port: int, *, only_print: bool, aws: bool, as_json: bool) -> None:
    """Forward a port of this machine to the database of STACK (default: dev), through Session Manager.

    Nothing listens for it anywhere: who may start a session, IAM says, and the trail records it. In the sandbox the
    database is on this machine already: its address is printed, with what would be run on AWS.

    \b
    Examples:
      ops db tunnel dev
      ops db tunnel dev --aws --port 15432
    """
    from ops import target as targets
    from ops.rehearsal import setting

    if not 1 <= port <= 65535:
        raise CommandError(f"--port is {port}: give 1 to 65535", Exit.USAGE)
    if not setting(stack, "databaseTunnel"):
        raise CommandError(
            f"stack {stack} has no way in: databaseTunnel is not set in Pulumi.{stack}.yaml, and on staging and prod "
            "it cannot be",
            Exit.USAGE,
        )
    target = targets.running(stack, aws=aws)
    with target.announced():
        host, listening = _database(target)
        argv = session(_machine(target), host, port, target.names.region)
        if as_json:
            emit(
                "product-api/tunnel/1",
                {"stack": stack, "target": target.kind, "command": argv, "database": f"{host}:{listening}"},
            )
        elif not target.aws:
            say("  nothing is forwarded: in the sandbox the database is on this machine. On AWS this would run:")
            say(f"  {shlex.join(argv)}")
            data(f"{host}:{listening}")
        elif only_print:
            data(shlex.join(argv))
        else:
            _start(argv, port)


def session(machine: str, host: str, port: int, region: str) -> list[str]:
    """Return the command that forwards a port of this machine to a database.

    Args:
        machine: the instance in whose network the database is.
        host: the database's address there.
        port: of this machine.
        region: of both.
    """
    parameters = {"host": [host], "portNumber": [str(PORT)], "localPortNumber": [str(port)]}
    return [
        "aws",
        "ssm",
        "start-session",
        *("--target", machine),
        *("--document-name", DOCUMENT),
        *("--parameters", json.dumps(parameters)),
        *("--region", region),
    ]


def _database(target: Target) -> tuple[str, int]:
    """Return the address of the stack's database."""
    from botocore.exceptions import BotoCoreError, ClientError

    identifier = target.names.name("database")
    try:
        [found] = target.client("rds").describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
        return str(found["Endpoint"]["Address"]), int(found["Endpoint"]["Port"])
    except (BotoCoreError, ClientError, KeyError) as error:
        stack = target.names.stack
        raise CommandError(
            f"the database {identifier} is not there ({error}): bring the stack up first (ops up {stack})"
        ) from error


def _machine(target: Target) -> str:
    """Return the machine through which sessions go, by its name: who may start one need not read Pulumi's state."""
    from botocore.exceptions import BotoCoreError, ClientError

    name = target.names.name("tunnel")
    wanted: list[dict[str, Any]] = [
        {"Name": "tag:Name", "Values": [name]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    try:
        found = target.client("ec2").describe_instances(Filters=wanted)["Reservations"]
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"{name} cannot be looked for ({error}): act as who may describe instances") from error
    machines = [str(machine["InstanceId"]) for reservation in found for machine in reservation["Instances"]]
    if not machines:
        raise CommandError(f"there is no machine {name} that runs: start it, or update stack {target.names.stack}")
    return machines[0]


def _start(argv: Sequence[str], port: int) -> None:
    """Run the session in front, until the person ends it."""
    for program, remedy in (
        ("aws", "install the AWS command line"),
        ("session-manager-plugin", "install AWS's plugin of that name for its command line"),
    ):
        if shutil.which(program) is None:
            raise CommandError(f"{program} is not on PATH: {remedy}, or take the command by --print")
    say(f"  127.0.0.1:{port} leads to the database until you end this (Ctrl-C)")
    code = subprocess.run(argv, env=os.environ, check=False).returncode
    if code:
        sys.exit(Exit.FAILED)
