"""Previews as the engine writes them, made of what a stack declares before and after."""

from __future__ import annotations

import json
from typing import Any

from ops.review import model, preview

LATER = preview.PLACEHOLDER
ACCOUNT = "111122223333"
STACK = "urn:pulumi:dev::product-api::pulumi:pulumi:Stack::product-api-dev"
OPERATIONS = {"s3": ("GetObject", "GetObjectAcl", "PutObject"), "sqs": ("ReceiveMessage", "SendMessage")}


def urn(token: str, name: str) -> str:
    """The URN of a resource."""
    return f"urn:pulumi:dev::product-api::{token}::{name}"


def resource(
    token: str,
    name: str,
    inputs: dict[str, Any] | None = None,
    *,
    uses: dict[str, list[str]] | None = None,
    parent: str = STACK,
    identifier: str = "",
    **more: Any,
) -> dict[str, Any]:
    """A resource's state.

    Args:
        token: Its type.
        name: Its logical name.
        inputs: What is declared; `LATER` for what is not known yet.
        uses: The resources that each property comes from.
        parent: The component that it belongs to.
        identifier: What AWS calls it.
        more: Other entries of the state.
    """
    return {
        "urn": urn(token, name),
        "type": token,
        "custom": token.startswith("aws:"),
        "id": identifier,
        "parent": parent,
        "inputs": inputs or {},
        "dependencies": sorted({each for urns in (uses or {}).values() for each in urns}),
        "propertyDependencies": uses or {},
        **more,
    }


def role(name: str = "worker", **inputs: Any) -> dict[str, Any]:
    """A role that Lambda may act as."""
    trust = statement("sts:AssumeRole", None, Principal={"Service": "lambda.amazonaws.com"})
    return resource("aws:iam/role:Role", name, {"name": f"dev-{name}", "assumeRolePolicy": document(trust), **inputs})


def policy(text: str, of: str = "worker") -> dict[str, Any]:
    """A role's policy."""
    token = "aws:iam/role:Role"
    return resource(
        "aws:iam/rolePolicy:RolePolicy",
        of,
        {"role": f"dev-{of}", "policy": text},
        uses={"role": [urn(token, of)]},
    )


def statement(actions: Any, resources: Any, **more: Any) -> dict[str, Any]:
    """A statement that allows."""
    return {"Effect": "Allow", "Action": actions, **({} if resources is None else {"Resource": resources}), **more}


def document(*statements: dict[str, Any]) -> str:
    """An IAM document as text."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def text(before: list[dict[str, Any]], after: list[dict[str, Any]], **steps: dict[str, Any]) -> str:
    """The engine's digest of an update.

    Args:
        before: What stands.
        after: What is declared.
        steps: What else the step of a resource says, by the resource's name.
    """
    old, new = ({state["urn"]: state for state in states} for states in (before, after))
    entries = []
    for key in {**old, **new}:
        one, other = old.get(key), new.get(key)
        operation = "create" if one is None else "delete" if other is None else "same" if one == other else "update"
        entries.append(
            {
                "op": operation,
                "urn": key,
                **({"oldState": one} if one else {}),
                # As the engine has it: before the step has run, the new state has no id.
                **({"newState": {**other, "id": ""}} if other else {}),
                **steps.get(key.rpartition("::")[2], {}),
            }
        )
    return json.dumps({"steps": entries, "diagnostics": []})


def read(before: list[dict[str, Any]], after: list[dict[str, Any]], **steps: dict[str, Any]) -> preview.Preview:
    """The preview of an update."""
    return preview.read(text(before, after, **steps))


def review(
    before: list[dict[str, Any]], after: list[dict[str, Any]], *findings: dict[str, str], **steps: dict[str, Any]
) -> model.Review:
    """The review of an update."""
    return model.build(
        read(before, after, **steps),
        stack="dev",
        target="sandbox",
        account=ACCOUNT,
        region="eu-central-1",
        packs={"guardrails": "0.1.0"},
        findings=findings,
        operations=lambda service: OPERATIONS.get(service, ()),
    )
