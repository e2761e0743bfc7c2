"""Approvals of releases: who has given theirs, and giving one, by the approver's own role.

An approval is an object of the ledger that nobody else's role may write and nobody may change; see `account/ledger.py`.
The update's gate reads them (`components/release_driver.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ops.console import CommandError, say
from ops.exit_codes import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ops.rehearsal import Rehearsal
    from ops.target import Target

SCHEMA = "product-api/approval/1"


@dataclass(frozen=True, kw_only=True)
class Release:
    """What is approved.

    Attributes:
        stack: For which stack.
        code: SHA-256 of the code zip.
        plan: Digest of the migrations' plan.
    """

    stack: str
    code: str
    plan: str

    def key(self, who: str) -> str:
        """Return the ledger's key of somebody's approval."""
        return f"approvals/{self.stack}/{self.code}/{who}.json"

    @property
    def identity(self) -> dict[str, str]:
        """What an approval must say to be one of this release."""
        return {"stack": self.stack, "codeSha256": self.code, "planDigest": self.plan}


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Somebody's approval of a release, as the ledger has it.

    Attributes:
        who: `lead`, `devops` or `product`.
        state: `approved`, `missing`, or `other`: given to the same code with another plan, which the gate refuses.
        by: The ARN that gave it.
        at: When, in UTC.
    """

    who: str
    state: str
    by: str = ""
    at: str = ""


def at_hand(stack: str) -> Release:
    """Return the release that this checkout is: its code is built, the same bytes everywhere, and its plan rendered.

    Raises:
        CommandError: either is not possible.
    """
    from migrations import rendering
    from ops import artifact

    try:
        return Release(stack=stack, code=artifact.build_code().sha256, plan=rendering.plan().digest)
    except (artifact.ArtifactError, rendering.PlanError) as error:
        raise CommandError(str(error)) from error


def wanted(settings: Mapping[str, Any]) -> list[str]:
    """Return whose approvals a stack's settings ask for."""
    return [str(who) for who in settings.get("product-api:approvers") or ()]


def read(target: Target, release: Release, who: str, credentials: Mapping[str, str] | None = None) -> Approval:
    """Return somebody's approval of a release, given or not.

    Raises:
        CommandError: the ledger cannot be read.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    bucket = target.names.bucket("ledger")
    try:
        answer = target.client("s3", credentials).get_object(Bucket=bucket, Key=release.key(who))
        document = json.loads(answer["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return Approval(who=who, state="missing")
        raise _unreachable(target, error) from error
    except BotoCoreError as error:
        raise _unreachable(target, error) from error
    except ValueError:
        document = {}
    same = all(document.get(key) == value for key, value in release.identity.items())
    return Approval(
        who=who,
        state="approved" if same else "other",
        by=str(document.get("by", "")),
        at=str(document.get("at", "")),
    )


def approve(
    target: Target, release: Release, who: str, credentials: Mapping[str, str] | None, now: Callable[[], datetime]
) -> Approval:
    """Write an approval, with credentials of the approver's role; one that exists is never written over.

    Args:
        target: where the ledger is.
        release: what is approved.
        who: whose approval it is.
        credentials: of the role, by environment variables; the target's own when they are that role's.
        now: tells the time.

    Raises:
        CommandError: it exists, or cannot be written.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        by = str(target.client("sts", credentials).get_caller_identity()["Arn"])
        given = Approval(who=who, state="approved", by=by, at=now().isoformat(timespec="seconds"))
        document = {"schema": SCHEMA, **release.identity, "who": who, "by": given.by, "at": given.at}
        target.client("s3", credentials).put_object(
            Bucket=target.names.bucket("ledger"),
            Key=release.key(who),
            Body=json.dumps(document).encode(),
            ContentType="application/json",
            IfNoneMatch="*",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "PreconditionFailed":
            raise _exists(read(target, release, who, credentials), release) from error
        raise _unreachable(target, error) from error
    except BotoCoreError as error:
        raise _unreachable(target, error) from error
    return given


def play(
    rehearsal: Rehearsal, release: Release, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> list[Approval]:
    """Give the approvals that a rehearsed stack asks for, by emulated people, and say so; those given stay.

    Args:
        rehearsal: the stack; its account is up, and the sandbox runs.
        release: what is rehearsed.
        now: tells the time.

    Raises:
        CommandError: one cannot be given.
        SandboxError: a role does not trust its account's people.
    """
    from ops import target as targets

    target = targets.rehearsed(rehearsal)
    approvals = []
    for who in wanted(rehearsal.settings):
        found = read(target, release, who)
        if found.state == "missing":
            credentials = rehearsal.sandbox.credentials(target.names.approver_role(who))
            found = approve(target, release, who, credentials, now)
            say(f"  approved as {who} by an emulated person ({found.by.rpartition('/')[2]}), with a second factor")
        elif found.state == "other":
            raise _exists(found, release)
        approvals.append(found)
    return approvals


def _exists(found: Approval, release: Release) -> CommandError:
    if found.state == "other":
        return CommandError(
            f"{found.who} has approved the same code for {release.stack} with another plan of migrations "
            f"({found.by}, {found.at}), and no approval is ever changed: release other code, which any commit is"
        )
    return CommandError(
        f"{found.who} has approved this release for {release.stack} already ({found.by}, {found.at}): nothing is to be "
        "done"
    )


def _unreachable(target: Target, error: Exception) -> CommandError:
    return CommandError(
        f"the ledger {target.names.bucket('ledger')} is not reachable ({error}): bring it up "
        f"(ops bootstrap {target.names.stack}), and act as who may use it",
        Exit.FAILED,
    )
