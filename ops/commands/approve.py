"""`ops approve STACK`: somebody's approval of the release at hand."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ops.console import CommandError, data, emit
from ops.exit_codes import Exit

if TYPE_CHECKING:
    from ops.approval import Approval, Release
    from ops.target import Target


@click.command("approve")
@click.argument("stack", default="staging")
@click.option("--as", "who", metavar="WHO", help="Whose approval it is: lead, devops or product.")
@click.option("--list", "listing", is_flag=True, help="Show the approvals of the release at hand, and give none.")
@click.option("--mfa", metavar="CODE", help="On AWS: the code that your second factor shows.")
@click.option("--aws", is_flag=True, help="Act on AWS (also OPS_TARGET=aws).")
@click.option("--json", "as_json", is_flag=True, help="Print the approvals as JSON.")
def command(stack: str, who: str | None, mfa: str | None, *, listing: bool, aws: bool, as_json: bool) -> None:
    """Approve the release at hand (code and migrations of this checkout) for STACK (default: staging).

    The approval is written to the account's ledger by the approver's own role, once: nobody can change it. In the
    sandbox an emulated person assumes that role; on AWS you do, with a second factor.

    \b
    Examples:
      ops approve staging --list
      ops approve staging
      ops approve prod --as devops --aws --mfa 123456
    """
    from ops import approval
    from ops import target as targets
    from ops.rehearsal import read_settings

    asked = approval.wanted(read_settings(stack))
    chosen = None if listing else _whose(stack, asked, who)
    release = approval.at_hand(stack)
    target = targets.running(stack, aws=aws)
    with target.announced():
        credentials = None
        if chosen is not None:
            credentials = _credentials(target, chosen, mfa)
            approval.approve(target, release, chosen, credentials, lambda: datetime.now(UTC))
            if target.rehearsal is not None:
                target.rehearsal.sandbox.save()
        # By the same role: who approves may read the approvals, and need not be able to do so otherwise.
        found = [approval.read(target, release, each, credentials) for each in asked]
        _show(target, release, found, as_json=as_json)


def _whose(stack: str, asked: list[str], who: str | None) -> str:
    """Return whose approval is meant."""
    if not asked:
        raise CommandError(f"stack {stack} asks nobody for approval (approvers in Pulumi.{stack}.yaml)", Exit.USAGE)
    if who is None and len(asked) == 1:
        return asked[0]
    if who not in asked:
        said = f"stack {stack} does not ask {who}" if who else f"stack {stack} asks more than one"
        raise CommandError(f"{said}: give --as {' or --as '.join(asked)}", Exit.USAGE)
    return who


def _credentials(target: Target, who: str, code: str | None) -> dict[str, str] | None:
    """Return credentials of the approver's role; None where the target's own are that role's already."""
    role = target.names.approver_role(who)
    if target.rehearsal is not None:
        return target.rehearsal.sandbox.credentials(role)
    from botocore.exceptions import BotoCoreError, ClientError

    caller = target.caller()
    if f":assumed-role/{role}/" in caller:
        return None
    factor: dict[str, str] = {}
    try:
        if code:
            user = caller.rpartition("/")[2]
            devices = target.client("iam").list_mfa_devices(UserName=user)["MFADevices"]
            if not devices:
                raise CommandError(f"{caller} has no second factor in IAM: add one, and give its code by --mfa")
            factor = {"SerialNumber": devices[0]["SerialNumber"], "TokenCode": code}
        given = target.client("sts").assume_role(
            RoleArn=target.names.iam(f"role/{role}"), RoleSessionName=caller.rpartition("/")[2][:64], **factor
        )["Credentials"]
    except (BotoCoreError, ClientError) as error:
        remedy = "look at whom it trusts, and what you may assume" if code else "give the code that yours shows (--mfa)"
        raise CommandError(
            f"{caller} cannot act as {role} ({error}): it is for people of the account with a second factor; {remedy}"
        ) from error
    return {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }


def _show(target: Target, release: Release, found: list[Approval], *, as_json: bool) -> None:
    if as_json:
        document: dict[str, Any] = {
            "stack": release.stack,
            "target": target.kind,
            "release": {"codeSha256": release.code, "planDigest": release.plan},
            "approved": all(each.state == "approved" for each in found),
            "approvals": [asdict(each) for each in found],
        }
        emit("product-api/approvals/1", document)
        return
    data(f"Release:    code {release.code[:12]}, plan {release.plan[:12]}, for {release.stack}")
    for each in found:
        detail = f"  {each.at}  {each.by}" if each.by else ""
        data(f"  {each.who:<8} {each.state:<8}{detail}")
    if not found:
        data(f"  stack {release.stack} asks nobody")
