"""Who may act in the account: GitHub's workflows, each for what it is there for, and the people who approve."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_aws import iam

from account import boundaries, permissions
from components.role import Grant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from naming import Names

ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
# The first update of a protected stack makes a database in two zones and a proxy, and then watches a canary.
DEPLOY_SECONDS = 2 * 3600
# Whose credentials outlive a decision: nobody's.
APPROVE_SECONDS = 3600
# People of the account are its IAM users below this path.
PEOPLE = "user/people/*"


@dataclass(frozen=True, kw_only=True)
class AccessArgs:
    """Who is let in.

    Attributes:
        names: The account's names.
        stacks: The names of each of its stacks.
        protected: Stacks whose data is beyond those who deploy them.
        repository: The GitHub repository, OWNER/NAME.
        approvers: Who can approve.
    """

    names: Names
    stacks: Sequence[Names]
    protected: Sequence[str]
    repository: str
    approvers: Sequence[str]


class Access(pulumi.ComponentResource):
    """Boundaries, GitHub's identity provider, and a role for each purpose.

    Attributes:
        deploy_roles: The role that deploys a stack, by stack.
        preview_role: The role that previews any of them.
        approver_roles: The role of each approver.
    """

    deploy_roles: dict[str, pulumi.Output[str]]
    preview_role: pulumi.Output[str]
    approver_roles: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: AccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Access", name, None, opts)
        names, project = args.names, args.names.project
        deploying = {
            stack.stack: permissions.deploying(stack, protected=stack.stack in args.protected) for stack in args.stacks
        }
        union = {
            f"{stack} {subject}": grants for stack, table in deploying.items() for subject, grants in table.items()
        }
        self._policy(
            f"{name}-function-boundary",
            f"{project}-function-boundary",
            "What no role of a stack can do more than",
            boundaries.of_functions(names),
        )
        deploy_boundary = self._policy(
            f"{name}-deploy-boundary",
            f"{project}-deploy-boundary",
            "What no role that deploys can do more than",
            boundaries.of_deployment(names, union),
        )
        provider = iam.OpenIdConnectProvider(
            f"{name}-github",
            url=f"https://{ISSUER}",
            client_id_lists=[AUDIENCE],
            opts=pulumi.ResourceOptions(parent=self),
        )
        after = [deploy_boundary, provider]
        self.deploy_roles = {
            stack.stack: self._role(
                f"{name}-deploy-{stack.stack}",
                stack.deploy_role,
                f"Deploys stack {stack.stack}, from GitHub's environment of that name",
                _github(names, f"repo:{args.repository}:environment:{stack.stack}"),
                deploying[stack.stack],
                boundary=names.deploy_boundary,
                seconds=DEPLOY_SECONDS,
                after=after,
            )
            for stack in args.stacks
        }
        self.preview_role = self._role(
            f"{name}-preview",
            names.preview_role,
            "Previews any stack, from pull requests; changes nothing",
            _github(names, f"repo:{args.repository}:pull_request"),
            permissions.previewing(names),
            boundary=names.deploy_boundary,
            after=after,
        )
        self.approver_roles = {
            who: self._role(
                f"{name}-approver-{who}",
                names.approver_role(who),
                f"Approves releases as {who}",
                _people(names),
                {"approvals": _approving(names, who)},
                boundary=None,
                seconds=APPROVE_SECONDS,
                after=[],
            )
            for who in args.approvers
        }
        self.register_outputs({"deployRoles": self.deploy_roles, "previewRole": self.preview_role})

    def _policy(self, name: str, physical: str, purpose: str, statements: Sequence[Mapping[str, Any]]) -> iam.Policy:
        return iam.Policy(
            name,
            name=physical,
            description=purpose,
            policy=json.dumps({"Version": "2012-10-17", "Statement": statements}),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _role(
        self,
        name: str,
        physical: str,
        purpose: str,
        trust: Mapping[str, Any],
        granted: Mapping[str, Sequence[Grant]],
        *,
        boundary: str | None,
        after: Sequence[pulumi.Resource],
        seconds: int = 3600,
    ) -> pulumi.Output[str]:
        """Declare a role with one managed policy a subject."""
        role = iam.Role(
            name,
            name=physical,
            description=purpose,
            assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
            permissions_boundary=boundary,
            max_session_duration=seconds,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )
        for subject, grants in granted.items():
            policy = self._policy(
                f"{name}-{subject}", f"{physical}-{subject}", f"{purpose}: {subject}", [g.statement() for g in grants]
            )
            iam.RolePolicyAttachment(
                f"{name}-{subject}",
                role=role.name,
                policy_arn=policy.arn,
                opts=pulumi.ResourceOptions(parent=self),
            )
        return role.arn


def _github(names: Names, subject: str) -> dict[str, Any]:
    """Trust GitHub's tokens of one subject.

    https://docs.github.com/en/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws
    """
    return {
        "Effect": "Allow",
        "Principal": {"Federated": names.iam(f"oidc-provider/{ISSUER}")},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": subject}},
    }


def _people(names: Names) -> dict[str, Any]:
    """Trust people of the account who have shown a second factor; which of them may be whom, their own policies say.

    Not the account as a whole: a workflow's role would be part of it.
    """
    return {
        "Effect": "Allow",
        "Principal": {"AWS": names.account_root},
        "Action": "sts:AssumeRole",
        "Condition": {
            "ArnLike": {"aws:PrincipalArn": names.iam(PEOPLE)},
            "Bool": {"aws:MultiFactorAuthPresent": "true"},
        },
    }


def _approving(names: Names, who: str) -> tuple[Grant, ...]:
    """Write one's own approvals, and read everybody's."""
    return (
        Grant(
            sid="Approve",
            actions=("s3:PutObject",),
            resources=(names.bucket_arn("ledger", f"approvals/*/{who}.json"),),
        ),
        Grant(sid="Read", actions=("s3:GetObject",), resources=(names.bucket_arn("ledger", "approvals/*"),)),
        # Without it S3 answers for an approval that is missing that access is denied.
        Grant(sid="List", actions=("s3:ListBucket",), resources=(names.bucket_arn("ledger"),)),
        permissions.use_bucket_key(names, "ledger", "kms:Decrypt", "kms:GenerateDataKey"),
    )
