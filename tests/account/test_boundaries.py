"""Boundaries: above everything that a stack's roles are granted, each in its own stack, and nothing more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from account import boundaries, permissions
from naming import Names
from policies.guardrails.iam import judge
from sandbox.cloud.iam import policy
from sandbox.cloud.iam.policy import Check, Principal
from tests.account.test_permissions import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.components.conftest import Deployment

ACCOUNT = "111122223333"


def names(stack: str, account: str = ACCOUNT) -> Names:
    return Names(project="product-api", stack=stack, region="eu-central-1", account=account)


def within(statement: dict[str, Any], stack: str, account: str, tag: str) -> Iterator[tuple[str, str, bool]]:
    """Whether the boundary allows each action of a statement on each of its resources, to a role with a stack's tag."""
    document = {"Version": "2012-10-17", "Statement": boundaries.of_functions(names(stack, account))}
    everything = policy.parse({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    who = Principal(
        arn=f"arn:aws:sts::{account}:assumed-role/role/session",
        account=account,
        policies=[everything],
        boundary=[policy.parse(document)],
    )
    context: dict[str, Any] = {"aws:principaltag/stack": tag}
    for keys in (statement.get("Condition") or {}).values():
        context |= {key.lower(): value for key, value in keys.items()}
    for action in statement["Action"]:
        for resource in statement["Resource"]:
            # A pattern stands for itself: what covers its text covers what it matches.
            check = Check(action=action, resource=resource, context=context)
            yield action, resource, policy.decide(who, check).allowed


@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod"])
def test_every_role_of_a_stack_can_do_what_it_is_granted(stack: str, product_of: Callable[[str], Deployment]) -> None:
    account = "444455556666" if stack == "prod" else ACCOUNT
    granted = product_of(stack).of("iam/rolePolicy:RolePolicy")
    assert len(granted) > 5
    outside = [
        (name, action, resource)
        for name, declared in granted.items()
        for statement in json.loads(declared["policy"])["Statement"]
        for action, resource, allowed in within(statement, stack, account, stack)
        if not allowed
    ]
    assert [] == outside


def test_a_role_of_another_stack_reaches_nothing_of_this_one(product_of: Callable[[str], Deployment]) -> None:
    reached = {
        (action, resource)
        for declared in product_of("dev").of("iam/rolePolicy:RolePolicy").values()
        for statement in json.loads(declared["policy"])["Statement"]
        if "product-api-dev" in json.dumps(statement)
        for action, resource, allowed in within(statement, "dev", ACCOUNT, "staging")
        if allowed and "awsbackup" not in resource
    }
    assert set() == reached


def test_aws_and_the_pack_take_both() -> None:
    longest = permissions.deploying(names("s" * 24), protected=False)
    for statements in (boundaries.of_functions(names("dev")), boundaries.of_deployment(names("dev"), longest)):
        text = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
        assert len(text) <= LIMIT
        assert [] == judge(text)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_who_deploys_can_do_what_it_is_granted(stack: str) -> None:
    granted = permissions.deploying(names(stack), protected=stack == "prod")
    document = {"Version": "2012-10-17", "Statement": boundaries.of_deployment(names(stack), granted)}
    everything = policy.parse({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    who = Principal(arn="arn:aws:sts::1:assumed-role/r/s", policies=[everything], boundary=[policy.parse(document)])
    bounded = {"iam:permissionsboundary": names(stack).boundary}
    assert [] == [
        (action, resource)
        for grants in granted.values()
        for grant in grants
        for action in grant.actions
        for resource in grant.resources
        if not policy.decide(who, Check(action=action, resource=resource, context=bounded)).allowed
    ]
