"""Services that act for an account, as a role that trusts them: their requests are authorised like any other's."""

# ruff: noqa: SLF001 — the emulator's records are what is read

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_LASTS: Final = 3600.0  # seconds; longer than anything that a service does here in one go


def trusts(role: str, service: str, account: str, home: str, sources: Iterable[str]) -> bool:
    """Tell whether a role exists in an account and may be assumed by a service.

    Args:
        role: its ARN.
        service: the service's principal, such as `backup.amazonaws.com`.
        account: on whose behalf the service asks.
        home: the region.
        sources: ARNs of what it asks for; one that the trust policy accepts will do.
    """
    from ministack.core.iam_evaluator import EvalContext, evaluate_resource_policy
    from ministack.services import iam

    found = iam._roles.get_scoped(account, None, role.rpartition("/")[2])
    if found is None or found.get("Arn") != role:
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
                region=home,
                service_context={"aws:sourceaccount": account, "aws:sourcearn": arn},
            ),
            service=service,
        ).decision
        == "Allow"
        for arn in sources
    )


def client(endpoint: str, service: str, home: str, role: str, name: str) -> Any:
    """Return a client with a session of a role.

    Args:
        endpoint: the sandbox's own, `http://127.0.0.1:PORT`.
        service: boto3's name of it.
        home: the region.
        role: the role's ARN.
        name: of the session, as the service gives it.
    """
    import boto3
    from botocore.config import Config
    from ministack.services import sts

    account, thing = role.split(":")[4], role.rpartition("/")[2]
    key, secret, token = f"ASIA{uuid.uuid4().hex[:16].upper()}", uuid.uuid4().hex, uuid.uuid4().hex
    session = {
        "Arn": f"arn:aws:sts::{account}:assumed-role/{thing}/{name}",
        "UserId": f"{thing}:{name}",
        "SecretAccessKey": secret,
        "SessionToken": token,
        "Expiration": time.time() + _LASTS,
    }
    sts.register_session(key, session)
    return boto3.session.Session().client(
        service,
        region_name=home,
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(connect_timeout=5, read_timeout=60, retries={"max_attempts": 0}),
    )
