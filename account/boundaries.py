"""Permissions boundaries: what no role of a stack, and no role that deploys, can ever do, whatever it is granted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from components.role import Grant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from naming import Names

# Whose session it is: the tag of its role. One boundary holds every stack's roles to their own stack so.
STACK = "${aws:PrincipalTag/stack}"


def of_functions(names: Names) -> list[dict[str, object]]:
    """Return the statements of the boundary of every role that a stack makes.

    They are the union of what the components grant, each to its own stack; a component that grants more is denied it
    until it stands here. A role without the tag matches nothing that is a stack's.
    """
    own = f"{names.project}-{STACK}-"

    def arns(service: str, *resources: str) -> tuple[str, ...]:
        return tuple(names.arn(service, resource) for resource in resources)

    grants = (
        Grant(
            sid="WriteLogs",
            actions=("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:GetLogEvents", "logs:PutLogEvents"),
            resources=arns(
                "logs",
                f"log-group:/aws/lambda/{own}*",
                f"log-group:/aws/vpc/{own}*",
                "log-group:RDSOSMetrics:*",
            ),
        ),
        # Enhanced monitoring has one group for all databases of an account, and makes it itself.
        Grant(
            sid="MakeMetricsLog",
            actions=("logs:CreateLogGroup", "logs:PutRetentionPolicy"),
            resources=arns("logs", "log-group:RDSOSMetrics", "log-group:RDSOSMetrics:*"),
        ),
        # What supports no resource.
        Grant(
            sid="Unscoped",
            actions=(
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSubnets",
                "logs:DescribeLogGroups",
                "ssm:UpdateInstanceInformation",
                "ssmmessages:CreateControlChannel",
                "ssmmessages:CreateDataChannel",
                "ssmmessages:OpenControlChannel",
                "ssmmessages:OpenDataChannel",
                "xray:PutTelemetryRecords",
                "xray:PutTraceSegments",
            ),
            resources=("*",),
        ),
        # Lambda asks for every resource of the account; see `components/function.py`.
        Grant(
            sid="JoinNetwork",
            actions=(
                "ec2:AssignPrivateIpAddresses",
                "ec2:CreateNetworkInterface",
                "ec2:DeleteNetworkInterface",
                "ec2:UnassignPrivateIpAddresses",
            ),
            resources=arns("ec2", "*/*"),
        ),
        Grant(
            sid="UseSecrets",
            actions=(
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetSecretValue",
                "secretsmanager:PutSecretValue",
                "secretsmanager:UpdateSecretVersionStage",
            ),
            resources=arns("secretsmanager", f"secret:{own}*"),
        ),
        Grant(
            sid="ReadMasterSecret",
            actions=("secretsmanager:GetSecretValue",),
            resources=arns("secretsmanager", "secret:rds!db-*"),
            conditions={"StringLike": {"aws:ResourceTag/aws:rds:primaryDBInstanceArn": names.arn("rds", f"db:{own}*")}},
        ),
        Grant(
            sid="UseKeys",
            actions=("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"),
            resources=arns("kms", "key/*"),
            conditions={"ForAnyValue:StringLike": {"kms:ResourceAliases": f"alias/{own}*"}},
        ),
        Grant(sid="Tell", actions=("sns:Publish",), resources=arns("sns", f"{own}*")),
        Grant(sid="Bury", actions=("sqs:SendMessage",), resources=arns("sqs", f"{own}*")),
        Grant(
            sid="MoveTraffic",
            actions=(
                "lambda:GetAlias",
                "lambda:GetProvisionedConcurrencyConfig",
                "lambda:InvokeFunction",
                "lambda:UpdateAlias",
            ),
            resources=arns("lambda", f"function:{own}*"),
        ),
        Grant(sid="ReadAlarms", actions=("cloudwatch:DescribeAlarms",), resources=arns("cloudwatch", f"alarm:{own}*")),
        Grant(
            sid="BackUp",
            actions=(
                "backup:CopyIntoBackupVault",
                "backup:DescribeBackupVault",
                "rds:AddTagsToResource",
                "rds:CreateDBSnapshot",
                "rds:ListTagsForResource",
            ),
            resources=(
                *arns("backup", f"backup-vault:{own}*"),
                *arns("rds", f"db:{own}*", "snapshot:awsbackup:*"),
            ),
        ),
        # Snapshots of AWS Backup are named by it, and described all at once.
        Grant(
            sid="ManageBackups",
            actions=(
                "rds:DeleteDBSnapshot",
                "rds:DescribeDBInstances",
                "rds:DescribeDBSnapshots",
                "rds:ModifyDBSnapshotAttribute",
            ),
            resources=arns("rds", "db:*", "snapshot:*"),
        ),
    )
    return [grant.statement() for grant in grants]


def of_deployment(names: Names, granted: Mapping[str, Sequence[Grant]]) -> list[dict[str, object]]:
    """Return the statements of the boundary of every role that deploys.

    It allows what the deploy roles are granted, by verb; and it denies, whatever they should be granted one day, the
    ways out of both boundaries, a change of the account's own identities, and of its evidence.

    Args:
        names: of the account.
        granted: what the deploy roles are granted, by subject.
    """
    grants = [grant for grants in granted.values() for grant in grants]
    ours = [
        names.iam(pattern)
        for pattern in (f"instance-profile/{names.project}-*", f"role/{names.project}-*", "role/aws-service-role/*")
    ]
    identities = (
        names.boundary,
        names.deploy_boundary,
        names.iam(f"policy/{names.project}-*"),
        names.iam(f"role/{names.project}-approver-*"),
        names.iam(f"role/{names.project}-deploy-*"),
        names.iam(f"role/{names.preview_role}"),
        names.iam("oidc-provider/*"),
        names.iam("user/*"),
    )
    evidence = [
        arn for purpose in ("ledger", "trail") for arn in (names.bucket_arn(purpose), names.bucket_arn(purpose, "*"))
    ]
    return [
        {
            "Sid": "WhatDeploymentsDo",
            "Effect": "Allow",
            "Action": _verbs(action for grant in grants for action in grant.actions if not action.startswith("iam:")),
            "Resource": "*",
        },
        {
            "Sid": "RolesOfStacks",
            "Effect": "Allow",
            "Action": sorted({action for grant in grants for action in grant.actions if action.startswith("iam:")}),
            "Resource": ours,
        },
        {
            "Sid": "KeepBoundaries",
            "Effect": "Deny",
            "Action": ["iam:DeleteRolePermissionsBoundary", "iam:DeleteUserPermissionsBoundary"],
            "Resource": "*",
        },
        {
            "Sid": "OnlyBoundedRoles",
            "Effect": "Deny",
            "Action": ["iam:AttachRolePolicy", "iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"],
            "Resource": "*",
            "Condition": {"StringNotEquals": {"iam:PermissionsBoundary": names.boundary}},
        },
        {
            "Sid": "KeepIdentities",
            "Effect": "Deny",
            "NotAction": ["iam:Get*", "iam:List*"],
            "Resource": list(identities),
        },
        {
            "Sid": "KeepEvidence",
            "Effect": "Deny",
            "Action": [
                "s3:BypassGovernanceRetention",
                "s3:Delete*",
                "s3:Put*Configuration",
                "s3:PutBucket*",
                "s3:PutObject*Retention",
            ],
            "Resource": evidence,
        },
        {
            "Sid": "LeaveSecretsToFunctions",
            "Effect": "Deny",
            "Action": [
                "secretsmanager:BatchGetSecretValue",
                "secretsmanager:GetSecretValue",
                "secretsmanager:PutSecretValue",
            ],
            "Resource": "*",
        },
        {
            "Sid": "LeaveApprovalToPeople",
            "Effect": "Deny",
            "Action": "s3:PutObject",
            "Resource": names.bucket_arn("ledger", "approvals/*"),
        },
    ]


def _verbs(actions: Iterable[str]) -> list[str]:
    """Return actions by their verbs: `ec2:Describe*` for all that describe."""
    found = set()
    for action in actions:
        service, _, name = action.partition(":")
        verb = re.match(r"[A-Z]+(?![a-z])|(?:Re)?[A-Z][a-z]+", name)
        found.add(f"{service}:{verb[0]}*" if verb and verb[0] != name else action)
    return sorted(found)
