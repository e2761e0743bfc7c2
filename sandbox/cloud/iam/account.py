"""The account as the emulator holds it: what a request names, its tags, the policies of identities and resources."""

# ruff: noqa: SLF001 — the emulator's records are what is read

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sandbox.cloud import code_signing, kept, machines
from sandbox.cloud.iam import policy
from sandbox.cloud.iam.policy import Document, Principal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ROUTES = "ec2/association"
_OF_VPC = {
    "subnet": "_subnets",
    "security-group": "_security_groups",
    "route-table": "_route_tables",
    "network-acl": "_network_acls",
    "vpc-endpoint": "_vpc_endpoints",
    "network-interface": "_network_interfaces",
}


class Emulated:
    """What `resources` asks about an account, see `resources.Known`; always the account of the request being served."""

    def find(self, kind: str, identifier: str) -> str:
        """Return a thing's ARN (or what the kind says), or an empty text."""
        if kind.startswith("vpc of "):
            store = _OF_VPC.get(kind.removeprefix("vpc of "))
            record = getattr(_module("ec2"), store, {}).get(identifier) if store else None
            return str((record or {}).get("VpcId") or "")
        finder = _FINDERS.get(kind)
        return finder(identifier) if finder else ""

    def tags(self, arn: str) -> Mapping[str, str]:
        """Return the tags of a thing."""
        parts = arn.split(":", 5)
        if len(parts) < 6:
            return {}
        service, resource = parts[2], parts[5]
        if service == "ec2":
            return _pairs(_module("ec2")._tags.get(resource.partition("/")[2]))
        if service == "rds":
            return _pairs(_module("rds")._tags.get(arn))
        if service == "logs":
            group = resource.removeprefix("log-group:").partition(":log-stream:")[0].removesuffix(":*")
            return dict((_module("cloudwatch_logs")._log_groups.get(group) or {}).get("tags") or {})
        if service == "lambda" and resource.startswith("function:"):
            name = resource.split(":")[1]
            return dict((_module("lambda_svc")._functions.get(name) or {}).get("tags") or {})
        if service == "apigateway":
            if resource.startswith("/tags/"):
                return self.tags(unquote(resource.removeprefix("/tags/")))
            held = _module("apigateway")._api_tags.get(arn) or _module("apigateway_v1")._v1_tags.get(arn)
            return _pairs(held)
        if service == "lambda" and resource.startswith("code-signing-config:"):
            return dict((kept.store(code_signing.STORE).get(arn) or {}).get("Tags") or {})
        if service == "signer":
            return dict((_module("signer")._profiles.get(resource.rpartition("/")[2]) or {}).get("tags") or {})
        if service == "budgets":
            return dict(_module("budgets")._tags.get(arn) or {})
        if service == "s3":
            return dict(_module("s3")._bucket_tags.get(resource.partition("/")[0]) or {}) if "/" not in resource else {}
        if service == "codedeploy":
            return dict(_codedeploy().tags_of(resource) or {})
        return _collected(service, arn)

    def aliases(self, key: str) -> list[str]:
        """Return the names of a key's aliases, e.g. "alias/data"."""
        identifier = key.rpartition("/")[2]
        aliases = _module("kms")._aliases.items()
        return [f"alias/{arn.partition(':alias/')[2]}" for arn, target in aliases if target == identifier]


def _module(name: str) -> Any:
    return importlib.import_module(f"ministack.services.{name}")


def _pairs(tags: Any) -> dict[str, str]:
    if isinstance(tags, dict):
        return {str(key): str(value) for key, value in tags.items()}
    return {str(tag["Key"]): str(tag.get("Value", "")) for tag in tags or () if "Key" in tag}


def _collected(service: str, arn: str) -> dict[str, str]:
    tagging = _module("tagging")
    collect = tagging._COLLECTORS.get(service) or tagging._RESOURCE_TAG_COLLECTORS.get(service)
    return next((_pairs(tags) for one, tags in collect() if one == arn), {}) if collect else {}


def _arn_in(module: str, store: str, member: str = "Arn") -> Any:
    return lambda name: str((getattr(_module(module), store).get(name) or {}).get(member) or "")


def _secret(identifier: str, member: str = "ARN") -> str:
    _, record = _module("secretsmanager")._resolve(identifier)
    return str((record or {}).get(member) or "")


def _key(identifier: str) -> str:
    return str((_module("kms")._resolve_key(identifier) or {}).get("Arn") or "")


def _ciphertext_key(blob: str) -> str:
    from ministack.core import iam_actions

    return str(iam_actions._kms_key_id_from_ciphertext(blob))


def _boundary(name: str) -> str:
    iam = _module("iam")
    record = iam._roles.get(name) or iam._users.get(name) or {}
    return str(record.get("PermissionsBoundary") or "")


def _association(identifier: str) -> str:
    return next(
        (
            str(table["RouteTableId"])
            for table in _module("ec2")._route_tables.values()
            if any(one.get("RouteTableAssociationId") == identifier for one in table.get("Associations") or ())
        ),
        "",
    )


def _target_group(name: str) -> str:
    proxy = _module("rds")._db_proxies.get(name) or {}
    return str((proxy.get("TargetGroup") or {}).get("TargetGroupArn") or "")


def _deployment(identifier: str) -> str:
    """Return "application/group" of a deployment of CodeDeploy."""
    info = (_codedeploy().deployments.get(identifier) or {}).get("info")
    return f"{info['applicationName']}/{info['deploymentGroupName']}" if info else ""


def _codedeploy() -> Any:
    """Return what the account has of CodeDeploy, which is the sandbox's own."""
    from ministack import app
    from ministack.core.responses import get_account_id, get_region

    return app._get_module("codedeploy").region(str(get_account_id()), str(get_region()))


def _launched(identifier: str, *members: str) -> str:
    """Return what a launch template says of its instances; `identifier` is its id or name, and a version."""
    name, _, version = identifier.partition(" ")
    found: Any = machines.launch_data(_module("ec2"), name, version or "$Default")
    for member in members:
        found = found[0] if isinstance(found, list) and found else found
        found = found.get(member) if isinstance(found, dict) else None
    return str(found or "")


def _profile_of_template(identifier: str) -> str:
    return _launched(identifier, "IamInstanceProfile", "Arn") or _launched(identifier, "IamInstanceProfile", "Name")


def _role_of_profile(identifier: str) -> str:
    profile = _module("iam")._instance_profiles.get(identifier.rpartition("/")[2]) or {}
    return next((_arn_in("iam", "_roles")(name) for name in profile.get("Roles") or ()), "")


def _template(identifier: str) -> str:
    named = {"LaunchTemplateId": identifier, "LaunchTemplateName": identifier}
    return str(machines.template_of(_module("ec2"), named).get("LaunchTemplateId", ""))


_FINDERS = {
    "codedeploy/deployment": _deployment,
    "ec2/launch-template": _template,
    "ec2/image of template": lambda one: _launched(one, "ImageId"),
    "ec2/key of template": lambda one: _launched(one, "BlockDeviceMappings", "Ebs", "KmsKeyId"),
    "ec2/profile of template": _profile_of_template,
    "ec2/image": lambda given: machines.image_of(_module("ssm"), given),
    "ec2/owner of image": lambda image: machines.owner_of(_module("ec2"), image),
    "iam/role of profile": _role_of_profile,
    "iam/role": _arn_in("iam", "_roles"),
    "iam/user": _arn_in("iam", "_users"),
    "iam/group": _arn_in("iam", "_groups"),
    "iam/boundary": _boundary,
    "kms/key": _key,
    "kms/ciphertext": _ciphertext_key,
    "secretsmanager/secret": _secret,
    "secretsmanager/key": functools.partial(_secret, member="KmsKeyId"),
    "secretsmanager/rotation": functools.partial(_secret, member="RotationLambdaARN"),
    "rds/proxy": _arn_in("rds", "_db_proxies", "DBProxyArn"),
    "rds/target-group": _target_group,
    _ROUTES: _association,
}


# -- policies ----------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=512)
def _parsed(text: str) -> Document:
    return policy.parse(text)


def document(content: Any) -> Document:
    """Read a policy, as the emulator keeps it; texts are remembered."""
    return _parsed(content) if isinstance(content, str) else policy.parse(content)


def principal(credential: Any, session: Mapping[str, Any]) -> Principal | None:
    """Return who made a request, with the policies that apply; None for who is neither root, user nor a role's session.

    Args:
        credential: the emulator's, resolved.
        session: its record of the temporary credentials, empty for others.
    """
    iam = _module("iam")
    account = credential.account_id
    limits = None
    passed = session.get("SessionPolicies")
    if passed is not None:
        inline = [document(passed["Policy"])] if passed.get("Policy") else []
        limits = [*inline, *(_managed(arn, account) for arn in passed.get("PolicyArns") or ())]
    if credential.principal_type == "Root":
        return Principal(arn=credential.principal_arn, account=account)
    if credential.principal_type == "User":
        record = iam._users.get_scoped(account, None, credential.principal_name) or {}
        documents, role = list(_of_user(record, credential.principal_name, account)), None
    elif credential.principal_type == "AssumedRole":
        name = credential.principal_arn.partition(":assumed-role/")[2].partition("/")[0]
        record = iam._roles.get_scoped(account, None, name) or {}
        documents, role = list(_of_role(record, account)), str(record.get("Arn") or "") or None
    else:
        return None
    boundary = record.get("PermissionsBoundary")
    return Principal(
        arn=credential.principal_arn,
        account=account,
        role=role,
        policies=documents,
        boundary=[_managed(boundary, account)] if boundary else None,
        session=limits,
    )


def role(arn: str) -> Principal | None:
    """Return a role as who it would be in a session, with the policies that apply; None where there is none."""
    found = trust(arn)
    if found is None:
        return None
    record, account = found
    boundary = record.get("PermissionsBoundary")
    return Principal(
        arn=f"arn:aws:sts::{account}:assumed-role/{arn.rpartition('/')[2]}/awslambda",
        account=account,
        role=arn,
        policies=list(_of_role(record, account)),
        boundary=[_managed(boundary, account)] if boundary else None,
        session=None,
    )


def _of_role(record: Mapping[str, Any], account: str) -> Iterator[Document]:
    for content in (record.get("InlinePolicies") or {}).values():
        yield document(content)
    for arn in record.get("AttachedPolicies") or ():
        yield _managed(arn, account)


def _of_user(record: Mapping[str, Any], name: str, account: str) -> Iterator[Document]:
    iam = _module("iam")
    for content in (iam._user_inline_policies.get_scoped(account, None, name) or {}).values():
        yield document(content)
    for arn in record.get("AttachedPolicies") or ():
        yield _managed(arn, account)
    for (owner, group), held in list(iam._groups.to_dict().items()):
        if owner == account and name in (held.get("Users") or ()):
            for content in (iam._group_inline_policies.get_scoped(account, None, group) or {}).values():
                yield document(content)
            for arn in held.get("AttachedPolicies") or ():
                yield _managed(arn, account)


def _managed(arn: str, account: str) -> Document:
    from ministack.core import iam_evaluator

    return document(iam_evaluator._resolve_managed_policy_document(arn, account))


def trust(arn: str) -> tuple[dict[str, Any], str] | None:
    """Return a role's record and account by its ARN, or None."""
    account = (arn.split(":") + [""] * 5)[4]
    record = _module("iam")._roles.get_scoped(account, None, arn.rpartition("/")[2]) if account else None
    return (record, account) if record and record.get("Arn") == arn else None


def resource_policy(action: str, arn: str) -> tuple[Document, str | None] | None:
    """Return the policy that a resource itself has, and its account; None for one that knows none."""
    from ministack.core import iam_evaluator

    service = action.partition(":")[0]
    if action == "sts:AssumeRole":
        found = trust(arn)
        return (document(found[0].get("AssumeRolePolicyDocument")), found[1]) if found else None
    if service == "kms" and ":key/" not in arn:
        return None
    if service == "backup":
        return _vault_policy(arn)
    policed = iam_evaluator._resource_policy(service, arn)
    return (document(policed[0]), policed[1]) if policed is not None else None


def _vault_policy(arn: str) -> tuple[Document, str | None] | None:
    """Return the access policy of a backup vault, which also says who may touch the recovery points in it."""
    for (owner, _, _), vault in list(_module("backup")._vaults._data.items()):
        if arn == vault["BackupVaultArn"] or arn in vault.get("_RecoveryPoints", {}):
            return (document(vault["_AccessPolicy"]), owner) if "_AccessPolicy" in vault else None
    return None
