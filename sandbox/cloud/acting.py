"""Services that act as a role: whether the role trusts them, and clients that have its rights and no others."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any

from sandbox.cloud import scope


def role_of(arn: str, account: str) -> dict[str, Any] | None:
    """Return the emulator's record of an account's role by its ARN; None where there is none."""
    from ministack.services import iam

    found: dict[str, Any] | None = iam._roles.get_scoped(account, None, arn.rpartition("/")[2])  # noqa: SLF001
    return found if found is not None and found.get("Arn") == arn else None


def trusts(role: str, service: str, account: str, *sources: str) -> bool:
    """Tell whether a service may assume a role on behalf of a thing.

    Args:
        role: its ARN.
        service: the service's principal, "codedeploy.amazonaws.com".
        account: the thing's.
        sources: ARNs by which the service names the thing in `aws:SourceArn`; one that the role trusts is enough.
    """
    from ministack.core.iam_evaluator import EvalContext, evaluate_resource_policy

    found = role_of(role, account)
    if found is None:
        return False
    trust = found.get("AssumeRolePolicyDocument") or {}
    document = json.loads(trust) if isinstance(trust, str) else trust
    statements = document.get("Statement") or []
    everywhere = [{**one, "Resource": "*"} for one in (statements if isinstance(statements, list) else [statements])]
    return any(
        evaluate_resource_policy(
            {"Statement": everywhere},
            EvalContext(
                principal_arn=service,
                principal_type="Service",
                principal_account="",
                action="sts:AssumeRole",
                resource_arn=role,
                region=source.split(":")[3],
                service_context={"aws:sourceaccount": account, "aws:sourcearn": source},
            ),
            service=service,
        ).decision
        == "Allow"
        for source in sources
    )


def client(endpoint: str, owner: tuple[str, str], role: str, session: str, service: str) -> Any:
    """Return a client of a service that acts as a role: each of its requests is authorised as any other's.

    Args:
        endpoint: of the sandbox.
        owner: account and region.
        role: the role's ARN.
        session: the name of the role's session.
        service: boto3's name of the service.
    """
    from ministack.services import sts

    account, home = owner
    digest = hashlib.sha256(f"{session} {account} {role}".encode()).hexdigest()
    name = role.rpartition("/")[2]
    record = {
        "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
        "UserId": f"{name}:{session}",
        "SecretAccessKey": digest,
        "SessionToken": digest,
    }
    access_key = f"ASIA{digest[:16].upper()}"
    with scope.account(account, home):
        sts.register_session(access_key, record)
    return _client(endpoint, home, access_key, digest, service)


@functools.cache
def _client(endpoint: str, home: str, access_key: str, secret: str, service: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
        service,
        region_name=home,
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        aws_session_token=secret,
        config=Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 0}),
    )
