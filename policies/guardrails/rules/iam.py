"""Rules on IAM documents, in every form in which a resource carries one."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .. import iam
from ..iam import Kind
from ..iam.judge import (
    ALL_ACTIONS,
    ESCALATION,
    MALFORMED,
    NOT_ACTION,
    NOT_RESOURCE,
    OPEN_PRINCIPAL,
    SERVICE_WILDCARD,
    UNKNOWN,
)
from ..rule import Example, Problem, Resource, Rule, Verdict
from ..unknown import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# Type token -> the properties that hold a document, and its kind. `a[].b` is b of each item of a list.
_DOCUMENTS: Mapping[str, tuple[tuple[str, Kind], ...]] = {
    "aws:iam/policy:Policy": (("policy", Kind.IDENTITY),),
    "aws:iam/rolePolicy:RolePolicy": (("policy", Kind.IDENTITY),),
    "aws:iam/userPolicy:UserPolicy": (("policy", Kind.IDENTITY),),
    "aws:iam/groupPolicy:GroupPolicy": (("policy", Kind.IDENTITY),),
    "aws:iam/role:Role": (("assumeRolePolicy", Kind.TRUST), ("inlinePolicies[].policy", Kind.IDENTITY)),
    "aws:ssoadmin/permissionSetInlinePolicy:PermissionSetInlinePolicy": (("inlinePolicy", Kind.IDENTITY),),
    "aws:s3/bucketPolicy:BucketPolicy": (("policy", Kind.RESOURCE),),
    "aws:s3/bucket:Bucket": (("policy", Kind.RESOURCE),),
    "aws:s3/bucketV2:BucketV2": (("policy", Kind.RESOURCE),),
    "aws:sqs/queuePolicy:QueuePolicy": (("policy", Kind.RESOURCE),),
    "aws:sqs/queue:Queue": (("policy", Kind.RESOURCE),),
    "aws:sns/topicPolicy:TopicPolicy": (("policy", Kind.RESOURCE),),
    "aws:sns/topic:Topic": (("policy", Kind.RESOURCE),),
    "aws:kms/keyPolicy:KeyPolicy": (("policy", Kind.RESOURCE),),
    "aws:kms/key:Key": (("policy", Kind.RESOURCE),),
    "aws:secretsmanager/secretPolicy:SecretPolicy": (("policy", Kind.RESOURCE),),
    "aws:secretsmanager/secret:Secret": (("policy", Kind.RESOURCE),),
    "aws:ecr/repositoryPolicy:RepositoryPolicy": (("policy", Kind.RESOURCE),),
    "aws:efs/fileSystemPolicy:FileSystemPolicy": (("policy", Kind.RESOURCE),),
    "aws:backup/vaultPolicy:VaultPolicy": (("policy", Kind.RESOURCE),),
}


def documents(resource: Resource) -> Iterator[tuple[str, object, Kind]]:
    """Every document that a resource carries: its property path, the document (or `Unknown`), its kind."""
    for path, kind in _DOCUMENTS.get(resource.type, ()):
        outer, _, inner = path.partition("[].")
        value = resource.properties.get(outer)
        if value is None:
            continue
        if not inner or isinstance(value, Unknown):
            yield outer, value, kind
        else:
            for index, item in enumerate(value):
                found = item if isinstance(item, Unknown) else item.get(inner)
                if found is not None:
                    yield f"{outer}[{index}].{inner}", found, kind


@lru_cache(maxsize=1024)
def _judge_text(document: str, kind: Kind) -> tuple[iam.Finding, ...]:
    return tuple(iam.judge(document, kind))


def _judge(document: object, kind: Kind) -> tuple[iam.Finding, ...]:
    """Judges a document once, however many rules ask."""
    return _judge_text(document, kind) if isinstance(document, str) else tuple(iam.judge(document, kind))


def _check(rule: str) -> Callable[[Resource], Iterator[Problem]]:
    def check(resource: Resource) -> Iterator[Problem]:
        for path, document, kind in documents(resource):
            for finding in _judge(document, kind):
                if finding.rule == rule:
                    yield Problem(
                        path=f"{path} {finding.path}".strip(),
                        message=finding.message,
                        remedy=finding.remedy,
                        verdict=Verdict(finding.verdict.value),
                    )

    return check


def _identity(**statement: Any) -> Example:
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
    return Example(type="aws:iam/policy:Policy", properties={"policy": json.dumps(document)})


def _trust(principal: Any) -> Example:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return Example(type="aws:iam/role:Role", properties={"assumeRolePolicy": json.dumps(document)})


_ONE_QUEUE = "arn:aws:sqs:eu-central-1:123456789012:jobs"
_GOOD = _identity(Action=["sqs:SendMessage", "sqs:GetQueueAttributes"], Resource=_ONE_QUEUE)
_ANY = frozenset(_DOCUMENTS)
_IDENTITIES = frozenset(t for t, places in _DOCUMENTS.items() if any(kind is Kind.IDENTITY for _, kind in places))
_PRINCIPALS = frozenset(t for t, places in _DOCUMENTS.items() if any(kind is not Kind.IDENTITY for _, kind in places))

RULES = (
    Rule(
        id=MALFORMED,
        what="An IAM document is well formed.",
        why="What cannot be read cannot be judged, and parsers differ in what they make of it.",
        remedy="Write it as the IAM grammar has it; aws.iam.get_policy_document builds one that is well formed.",
        types=_ANY,
        check=_check(MALFORMED),
        good=_GOOD,
        bad=Example(type="aws:iam/policy:Policy", properties={"policy": '{"Version": "2012-10-17", "Statement": 7}'}),
        references=("IAM user guide: Grammar of the IAM JSON policy language",),
    ),
    Rule(
        id=UNKNOWN,
        what="An IAM document is known before the update.",
        why="A preview that cannot see what is granted approves it unseen.",
        remedy="Build names and ARNs from project, stack, account and region.",
        types=_ANY,
        check=_check(UNKNOWN),
        good=_GOOD,
        bad=Example(type="aws:iam/policy:Policy", properties={"policy": Unknown("policy")}),
    ),
    Rule(
        id=ALL_ACTIONS,
        what="No identity is allowed every action.",
        why="Whoever takes over such an identity owns the account.",
        remedy="List the actions that are needed, on the ARNs that they are needed for.",
        types=_IDENTITIES,
        check=_check(ALL_ACTIONS),
        good=_GOOD,
        bad=_identity(Action="*", Resource="*"),
        references=("CIS AWS Foundations 1.16", "AWS FSBP IAM.1", "NIST 800-53 AC-6"),
    ),
    Rule(
        id=SERVICE_WILDCARD,
        what="No identity is allowed every action of a service.",
        why="The wildcard holds deletes, permission changes and whatever the service adds tomorrow.",
        remedy="List the actions that are needed.",
        types=_IDENTITIES,
        check=_check(SERVICE_WILDCARD),
        good=_GOOD,
        bad=_identity(Action="SQS:*", Resource=_ONE_QUEUE),
        references=("AWS FSBP IAM.21", "NIST 800-53 AC-6"),
    ),
    Rule(
        id=NOT_ACTION,
        what="No statement allows all actions but some.",
        why="An exception to everything grants all services that exist, and those that do not exist yet.",
        remedy="List the actions that are needed in Action.",
        types=_ANY,
        check=_check(NOT_ACTION),
        good=_identity(Effect="Deny", NotAction="sts:*", Resource="*"),
        bad=_identity(NotAction=["iam:*", "organizations:*"], Resource="*"),
        references=("AWS FSBP IAM.21", "NIST 800-53 AC-6"),
    ),
    Rule(
        id=NOT_RESOURCE,
        what="No identity is allowed to act on all resources but some.",
        why="Resources that are created later are included without anybody deciding it.",
        remedy="List the resources that are needed in Resource.",
        types=_IDENTITIES,
        check=_check(NOT_RESOURCE),
        good=_identity(Effect="Deny", Action="s3:DeleteObject", NotResource="arn:aws:s3:::scratch/*"),
        bad=_identity(Action="s3:GetObject", NotResource="arn:aws:s3:::payroll/*"),
        references=("NIST 800-53 AC-6",),
    ),
    Rule(
        id=ESCALATION,
        what="No identity can hand itself further permissions.",
        why="Changing anybody's credentials, policies or trust is worth every permission of the account.",
        remedy="Name the ARNs that it is for, or require a permissions boundary.",
        types=_IDENTITIES,
        check=_check(ESCALATION),
        good=_identity(Action="iam:PutRolePolicy", Resource="arn:aws:iam::123456789012:role/product-api/*"),
        bad=_identity(Action="iam:UpdateLoginProfile", Resource="*"),
        references=("NIST 800-53 AC-6(1)",),
    ),
    Rule(
        id=OPEN_PRINCIPAL,
        what="No role and no resource is open to everybody in AWS.",
        why="Any account of any customer may then assume the role, or use the resource.",
        remedy="Name the accounts, roles or services, or add a condition that identifies the caller.",
        types=_PRINCIPALS,
        check=_check(OPEN_PRINCIPAL),
        good=_trust({"Service": "lambda.amazonaws.com"}),
        bad=_trust({"AWS": "*"}),
        references=("AWS FSBP S3.2", "AWS FSBP SQS.3", "AWS FSBP KMS.5", "NIST 800-53 AC-3"),
    ),
)
