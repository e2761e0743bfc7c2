"""Roles: what a function or a service of AWS may do for a stack, from declared grants."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import iam

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from naming import Names


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One thing that a role may do; becomes a statement of its policy.

    Attributes:
        sid: Names the statement in a diff.
        actions: IAM actions.
        resources: ARNs, known at preview: see `naming`.
        conditions: IAM conditions, where the resource cannot be narrowed by its ARN.
    """

    sid: str
    actions: Sequence[str]
    resources: Sequence[str]
    conditions: Mapping[str, Mapping[str, str | Sequence[str]]] = field(default_factory=dict)

    def statement(self) -> dict[str, object]:
        """Return the IAM statement."""
        statement: dict[str, object] = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": list(self.actions),
            "Resource": list(self.resources),
        }
        if self.conditions:
            statement["Condition"] = {operator: dict(keys) for operator, keys in self.conditions.items()}
        return statement


@dataclass(frozen=True, kw_only=True)
class RoleArgs:
    """Who may act as the role, and what it may do.

    Attributes:
        names: The stack's names.
        thing: The role's name within the stack.
        service: The service that acts as it, such as `lambda.amazonaws.com`.
        purpose: What it is for, as people read it.
        grants: What it may do.
        own_account: Whether the service must act for this account. Services that say for whom they act must be held
            to it, or another account could use them as its deputy; Lambda does not say.
    """

    names: Names
    thing: str
    service: str
    purpose: str
    grants: Sequence[Grant]
    own_account: bool = True


class Role(pulumi.ComponentResource):
    """A role under the account's boundary, with one policy.

    Attributes:
        arn: The role's ARN.
        name: Its physical name.
        granted: What must be there before the role can do its work.
    """

    arn: pulumi.Output[str]
    name: pulumi.Output[str]
    granted: pulumi.Resource

    def __init__(self, name: str, args: RoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Role", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = iam.Role(
            name,
            name=args.names.name(args.thing),
            description=args.purpose,
            assume_role_policy=json.dumps(_trust(args)),
            permissions_boundary=args.names.boundary,
            opts=child,
        )
        self.granted = iam.RolePolicy(
            name,
            name="grants",
            role=role.name,
            policy=json.dumps(
                {"Version": "2012-10-17", "Statement": [grant.statement() for grant in args.grants]},
            ),
            opts=child,
        )
        self.arn = role.arn
        self.name = role.name
        self.register_outputs({"arn": self.arn})


def _trust(args: RoleArgs) -> dict[str, object]:
    statement: dict[str, object] = {
        "Effect": "Allow",
        "Principal": {"Service": args.service},
        "Action": "sts:AssumeRole",
    }
    if args.own_account:
        statement["Condition"] = {"StringEquals": {"aws:SourceAccount": args.names.account}}
    return {"Version": "2012-10-17", "Statement": [statement]}


def use_key(thing: str, names: Names, *, service: str, actions: Sequence[str]) -> Grant:
    """Grant the use of one of the stack's own keys through one service, such as `secretsmanager`.

    KMS invents a key's id, so that its ARN is not known at preview; its alias is. The key can have several aliases,
    hence the set operator (https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html).
    """
    return Grant(
        sid=f"UseKeyThrough{service.capitalize()}",
        actions=actions,
        resources=(names.arn("kms", "key/*"),),
        conditions={
            "StringEquals": {"kms:ViaService": f"{service}.{names.region}.amazonaws.com"},
            "ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{names.name(thing)}"},
        },
    )
