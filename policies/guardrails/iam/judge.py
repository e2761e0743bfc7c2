"""The verdict on an IAM document: what it grants, by meaning and never by its text.

Judged here is what needs no knowledge of single actions: wildcards that cover a service or more, grants by exception,
principals that are anybody, and the few actions of IAM that hand out every other permission.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from .document import Condition, Document, Item, Kind, Statement, read
from .patterns import covers_everything, covers_everything_in, matches, split_action, unbounded

if TYPE_CHECKING:
    from collections.abc import Iterator


class Verdict(Enum):
    """What was found out."""

    FAIL = "fail"
    UNDECIDABLE = "undecidable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A defect of a document.

    Attributes:
        rule: the id of the rule, which is also the policy's name in the pack.
        verdict: FAIL, or UNDECIDABLE where a part of the document is not known yet.
        path: a JSON pointer into the document.
        message: what is wrong, with the value.
        remedy: what to do.
    """

    rule: str
    verdict: Verdict = Verdict.FAIL
    path: str
    message: str
    remedy: str


MALFORMED = "iam-malformed"
ALL_ACTIONS = "iam-all-actions"
SERVICE_WILDCARD = "iam-service-wildcard"
NOT_ACTION = "iam-not-action"
NOT_RESOURCE = "iam-not-resource"
ESCALATION = "iam-escalation"
OPEN_PRINCIPAL = "iam-open-principal"
UNKNOWN = "iam-unknown"

# Each of these, on everybody's users, roles, groups or policies, is worth all permissions of the account.
_ESCALATING = frozenset(
    "AddUserToGroup AttachGroupPolicy AttachRolePolicy AttachUserPolicy CreateAccessKey CreateLoginProfile "
    "CreatePolicyVersion DeleteRolePermissionsBoundary DeleteUserPermissionsBoundary PutGroupPolicy "
    "PutRolePermissionsBoundary PutRolePolicy PutUserPermissionsBoundary PutUserPolicy SetDefaultPolicyVersion "
    "UpdateAssumeRolePolicy UpdateLoginProfile".lower().split()
)

# Condition keys whose value ties a request to somebody in particular. A header that the caller chooses is none.
_IDENTIFYING = frozenset(
    "aws:principalarn aws:principalaccount aws:principalorgid aws:principalorgpaths "  # noqa: SIM905
    "aws:userid aws:sourcearn aws:sourceaccount aws:sourceorgid aws:sourceorgpaths aws:sourcevpc aws:sourcevpce "
    "aws:sourceip aws:vpcsourceip "
    "kms:calleraccount s3:dataaccesspointaccount s3:dataaccesspointarn".split()
)
_POSITIVE = frozenset(["stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike", "ipaddress"])
_EVERYWHERE = frozenset({"0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"})


def judge(source: object, kind: Kind = Kind.IDENTITY) -> list[Finding]:
    """Judges a document.

    Args:
        source: JSON text or the object itself; `Unknown` may stand in it.
        kind: an identity's policy, a role's trust, or a resource's policy.

    Returns:
        Its findings in the order of the document. Never raises; a malformed document fails.
    """
    document = read(source, kind)
    return [
        *(_malformed(defect.pointer, defect.message) for defect in document.defects),
        *(finding for statement in document.statements if statement.allows for finding in _grants(statement, kind)),
        *_unknown(document),
    ]


def _malformed(pointer: str, message: str) -> Finding:
    return Finding(
        rule=MALFORMED,
        path=pointer,
        message=f"the document{f' at {pointer}' if pointer else ''} {message}",
        remedy="Write it as the IAM grammar has it; aws.iam.get_policy_document builds one that is well formed.",
    )


def _unknown(document: Document) -> Iterator[Finding]:
    """One finding for each unknown that some rule would have to read. What is known is judged all the same."""
    owners = {statement.pointer: statement for statement in document.statements}
    for pointer in document.unknowns:
        owner = next((s for p, s in owners.items() if pointer.startswith(f"{p}/")), None)
        if pointer == "/Version" or (owner and not _matters(owner, pointer, document)):
            continue
        yield Finding(
            rule=UNKNOWN,
            verdict=Verdict.UNDECIDABLE,
            path=pointer,
            message=f"{pointer or 'the document'} is not known before the update",
            remedy="Build it from values that are known (project, stack, account, region): one unknown ARN makes the "
            "whole JSON text unknown.",
        )


def _matters(statement: Statement, pointer: str, document: Document) -> bool:
    """Whether the verdict hangs on an unknown element of a statement."""
    element = pointer.removeprefix(f"{statement.pointer}/").partition("/")[0]
    if not statement.allows:
        return False
    if element == "Resource":
        return document.kind is Kind.IDENTITY and bool(_escalating(statement))
    if element == "Condition":
        open_to = _anybody(statement) if document.kind is not Kind.IDENTITY else None
        return bool(open_to or (document.kind is Kind.IDENTITY and _escalating(statement) and _wide(statement)))
    if element == "Action":
        return document.kind is Kind.IDENTITY
    return element not in ("Sid", "Effect")


def _grants(statement: Statement, kind: Kind) -> Iterator[Finding]:
    yield from _exceptions(statement, kind)
    if kind is Kind.IDENTITY:
        yield from _wildcards(statement)
        yield from _escalation(statement)
    else:
        yield from _open_principal(statement)


def _exceptions(statement: Statement, kind: Kind) -> Iterator[Finding]:
    if statement.not_actions:
        listed = ", ".join(item.text for item in statement.not_actions)
        yield Finding(
            rule=NOT_ACTION,
            path=f"{statement.pointer}/NotAction",
            message=f"allows every action there is or will be, except {listed}",
            remedy="List the actions that are needed in Action. To forbid some, keep NotAction in a Deny.",
        )
    if statement.not_resources and kind is Kind.IDENTITY:
        listed = ", ".join(item.text for item in statement.not_resources)
        yield Finding(
            rule=NOT_RESOURCE,
            path=f"{statement.pointer}/NotResource",
            message=f"allows its actions on every resource there is or will be, except {listed}",
            remedy="List the resources that are needed in Resource. To protect some, add a Deny for them.",
        )


def _wildcards(statement: Statement) -> Iterator[Finding]:
    for item in statement.actions:
        service, name = split_action(item.text)
        if covers_everything_in(item.text, ":"):
            yield Finding(
                rule=ALL_ACTIONS,
                path=item.pointer,
                message=f'allows "{item.text}", which is every action of every service',
                remedy="List the actions that are needed, on the ARNs that they are needed for.",
            )
        elif "*" in service or "?" in service or covers_everything(name):
            reach = "actions of services that are not named" if "*" in service or "?" in service else "every action"
            of = "" if "*" in service or "?" in service else f" of {service}"
            yield Finding(
                rule=SERVICE_WILDCARD,
                path=item.pointer,
                message=f'allows "{item.text}", which is {reach}{of}, deletes and grants included',
                remedy="List the actions that are needed; access logs and IAM's last-accessed data name them.",
            )


def _wide(statement: Statement) -> list[Item]:
    """The resources of a statement that leave open which one is meant."""
    return [item for item in statement.resources if unbounded(item.text)]


def _escalating(statement: Statement) -> list[Item]:
    """The actions of a statement that are worth every other permission, unless a condition takes that away."""
    keys = {condition.key for condition in statement.conditions if _binds(condition)}
    dangerous = set() if "iam:permissionsboundary" in keys else set(_ESCALATING)
    if not keys & {"iam:passedtoservice", "iam:associatedresourcearn"}:
        dangerous.add("passrole")
    found = []
    for item in statement.actions:
        service, name = split_action(item.text)
        # The whole service is a finding of its own.
        if matches(service, "iam") and not covers_everything(name) and any(matches(name, a) for a in dangerous):
            found.append(item)
    return found


def _escalation(statement: Statement) -> Iterator[Finding]:
    wide = _wide(statement)
    for item in _escalating(statement) if wide else ():
        yield Finding(
            rule=ESCALATION,
            path=item.pointer,
            message=f'allows "{item.text}" on "{wide[0].text}": whoever holds it can give itself any permission',
            remedy="Name the ARNs that it is for (a path such as role/product-api/* is enough), or require a "
            "permissions boundary; for PassRole set iam:PassedToService.",
        )


def _binds(condition: Condition) -> bool:
    """Whether a condition line holds only where its key is there and has one of its values."""
    return (
        condition.operator in _POSITIVE
        and not condition.if_exists
        and condition.qualifier != "forallvalues"  # also true for a request without the key
        and (condition.values is None or not any(covers_everything(value) for value in condition.values))
    )


def _anybody(statement: Statement) -> tuple[str, str] | None:
    """Where a statement speaks to everybody in AWS, and how; None where it names somebody."""
    for principal in statement.principals:
        if principal.type == "*" or covers_everything(principal.text):
            return principal.pointer, f'the principal "{principal.text}" is anybody in AWS'
        if principal.type == "AWS" and _any_account(principal.text):
            return principal.pointer, f'the principal "{principal.text}" is in any account'
    if statement.not_principals:
        return statement.not_principals[0].pointer, "NotPrincipal in an Allow is everybody else in AWS"
    return None


def _open_principal(statement: Statement) -> Iterator[Finding]:
    found = _anybody(statement)
    if found and not any(_identifies(condition) for condition in statement.conditions):
        pointer, who = found
        yield Finding(
            rule=OPEN_PRINCIPAL,
            path=pointer,
            message=f"{who}, and no condition says whose requests are meant",
            remedy="Name the accounts, roles or services, or add a condition on aws:PrincipalOrgID, aws:SourceAccount "
            "or aws:SourceArn (StringEquals or ArnLike, not the IfExists or ForAllValues form).",
        )


def _any_account(arn: str) -> bool:
    parts = arn.split(":", 5)
    return len(parts) == 6 and covers_everything(parts[4])


def _identifies(condition: Condition) -> bool:
    """Whether a condition line lets only somebody in particular through. One with unknown values may."""
    if condition.key not in _IDENTIFYING or not _binds(condition):
        return False
    values = condition.values or ()
    if condition.key in ("aws:principalarn", "aws:sourcearn"):
        return not any(_any_account(value) for value in values)
    return not any(value in _EVERYWHERE for value in values)
