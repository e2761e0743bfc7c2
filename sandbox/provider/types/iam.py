"""IAM."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sandbox.provider.table import Call, Do, Read, Resource, Tagging

if TYPE_CHECKING:
    from sandbox.provider.resource import Context

GONE = ("NoSuchEntity", "NoSuchEntityException")
VERSIONS_KEPT = 5


def _put_inline_policies(context: Context) -> None:
    """The role's inline policies are exactly those of the program, where it gives any."""
    if "inlinePolicies" not in context.inputs:
        return
    wanted = {policy["name"]: policy["policy"] for policy in context.inputs["inlinePolicies"] if policy.get("name")}
    has = context.call("list_role_policies", RoleName=context.id)["PolicyNames"]
    for name in has:
        if name not in wanted:
            context.call("delete_role_policy", RoleName=context.id, PolicyName=name)
    for name, document in wanted.items():
        context.call("put_role_policy", RoleName=context.id, PolicyName=name, PolicyDocument=document)


def _put_managed_policies(context: Context) -> None:
    """The role's attached policies are exactly those of the program, where it gives any."""
    if "managedPolicyArns" not in context.inputs:
        return
    wanted, has = set(context.inputs["managedPolicyArns"]), _attached(context)
    for arn in sorted(has - wanted):
        context.call("detach_role_policy", RoleName=context.id, PolicyArn=arn)
    for arn in sorted(wanted - has):
        context.call("attach_role_policy", RoleName=context.id, PolicyArn=arn)


def _attached(context: Context) -> set[str]:
    return {
        policy["PolicyArn"]
        for policy in context.call("list_attached_role_policies", RoleName=context.id)["AttachedPolicies"]
    }


def _delete_role(context: Context) -> None:
    """Delete a role; what hangs on it goes first where the program gave it, or says so."""
    force = bool(context.state.get("forceDetachPolicies"))
    for profile in context.call("list_instance_profiles_for_role", RoleName=context.id)["InstanceProfiles"]:
        context.call(
            "remove_role_from_instance_profile", RoleName=context.id, InstanceProfileName=profile["InstanceProfileName"]
        )
    if force or "managedPolicyArns" in context.inputs:
        for arn in _attached(context):
            context.call("detach_role_policy", RoleName=context.id, PolicyArn=arn)
    if force or "inlinePolicies" in context.inputs:
        for name in context.call("list_role_policies", RoleName=context.id)["PolicyNames"]:
            context.call("delete_role_policy", RoleName=context.id, PolicyName=name)
    context.call("delete_role", RoleName=context.id)


def _read_inline_policies(context: Context, outputs: dict[str, Any]) -> None:
    if "inlinePolicies" in context.inputs:
        names = context.call("list_role_policies", RoleName=context.id)["PolicyNames"]
        read = [context.call("get_role_policy", RoleName=context.id, PolicyName=name) for name in names]
        outputs["inlinePolicies"] = [
            {"name": one["PolicyName"], "policy": _text(one["PolicyDocument"])} for one in read
        ]


def _text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document, separators=(",", ":"))


def _new_version(context: Context) -> None:
    """A changed policy is a new default version; the oldest goes when there are as many as AWS keeps."""
    versions = _other_versions(context)
    if len(versions) >= VERSIONS_KEPT - 1:
        oldest = min(versions, key=lambda version: int(version.removeprefix("v")))
        context.call("delete_policy_version", PolicyArn=context.id, VersionId=oldest)
    context.call(
        "create_policy_version", PolicyArn=context.id, PolicyDocument=context.inputs["policy"], SetAsDefault=True
    )


def _delete_policy(context: Context) -> None:
    for version in _other_versions(context):
        context.call("delete_policy_version", PolicyArn=context.id, VersionId=version)
    context.call("delete_policy", PolicyArn=context.id)


def _other_versions(context: Context) -> list[str]:
    versions = context.call("list_policy_versions", PolicyArn=context.id)["Versions"]
    return [version["VersionId"] for version in versions if not version["IsDefaultVersion"]]


# Instance profiles


def _put_profile_role(context: Context) -> None:
    """A profile holds one role at most: the old one leaves before the new one comes."""
    old, new = context.old_inputs.get("role"), context.inputs.get("role")
    if old and old != new:
        context.call("remove_role_from_instance_profile", InstanceProfileName=context.id, RoleName=old)
    if new and new != old:
        context.call("add_role_to_instance_profile", InstanceProfileName=context.id, RoleName=new)


def _delete_profile(context: Context) -> None:
    found = context.call("get_instance_profile", InstanceProfileName=context.id)["InstanceProfile"]
    for role in found["Roles"]:
        context.call("remove_role_from_instance_profile", InstanceProfileName=context.id, RoleName=role["RoleName"])
    context.call("delete_instance_profile", InstanceProfileName=context.id)


# Users and groups


def _delete_user(context: Context) -> None:
    """Delete a user; keys and logins that others made go first only where the program says so."""
    if context.state.get("forceDestroy"):
        for key in context.call("list_access_keys", UserName=context.id)["AccessKeyMetadata"]:
            context.call("delete_access_key", UserName=context.id, AccessKeyId=key["AccessKeyId"])
        for policy in context.call("list_attached_user_policies", UserName=context.id)["AttachedPolicies"]:
            context.call("detach_user_policy", UserName=context.id, PolicyArn=policy["PolicyArn"])
        for name in context.call("list_user_policies", UserName=context.id)["PolicyNames"]:
            context.call("delete_user_policy", UserName=context.id, PolicyName=name)
        for group in context.call("list_groups_for_user", UserName=context.id)["Groups"]:
            context.call("remove_user_from_group", UserName=context.id, GroupName=group["GroupName"])
    context.call("delete_user", UserName=context.id)


def _put_memberships(context: Context) -> None:
    """The user is in these groups; of others nothing is said."""
    user = context.inputs["user"]
    old, new = set(context.state.get("groups") or ()), set(context.inputs["groups"])
    for group in sorted(old - new):
        context.call("remove_user_from_group", UserName=user, GroupName=group)
    for group in sorted(new - old):
        context.call("add_user_to_group", UserName=user, GroupName=group)
    context.id = context.id or f"{user}/{'/'.join(sorted(new))}"


def _leave_groups(context: Context) -> None:
    for group in context.state["groups"]:
        context.call("remove_user_from_group", UserName=context.state["user"], GroupName=group)


def _refine_memberships(context: Context, outputs: dict[str, Any]) -> None:
    said = context.inputs.get("groups") or context.state.get("groups") or []
    wanted = set(said.split("/") if isinstance(said, str) else said)
    outputs["user"] = context.state["user"]
    outputs["groups"] = [one["GroupName"] for one in context.found["Groups"] if one["GroupName"] in wanted]


# Passwords

PASSWORDS = Call(
    "update_account_password_policy",
    {},
    (
        "allowUsersToChangePassword",
        "hardExpiry",
        "maxPasswordAge",
        "minimumPasswordLength",
        "passwordReusePrevention",
        "requireLowercaseCharacters",
        "requireNumbers",
        "requireSymbols",
        "requireUppercaseCharacters",
    ),
)


def _put_password_policy(context: Context) -> None:
    """All of it at once: what is left out goes back to IAM's default. There is one in an account."""
    context.call("update_account_password_policy", **context.parameters(PASSWORDS))
    context.id = context.id or "iam-account-password-policy"


# OpenID Connect providers


def _put_client_ids(context: Context) -> None:
    old, new = (set(values.get("clientIdLists") or ()) for values in (context.state, context.inputs))
    for operation, clients in (
        ("remove_client_id_from_open_id_connect_provider", old - new),
        ("add_client_id_to_open_id_connect_provider", new - old),
    ):
        for client in sorted(clients):
            context.call(operation, OpenIDConnectProviderArn=context.id, ClientID=client)


def _refine_provider(_context: Context, outputs: dict[str, Any]) -> None:
    """AWS answers with the host alone."""
    outputs["url"] = f"https://{outputs['url'].removeprefix('https://')}"


ENTRIES = (
    Resource(
        "aws:iam/role:Role",
        "iam",
        create=Call("create_role"),
        id="{name}",
        reads=(
            Read(
                "get_role",
                {"RoleName": "{id}"},
                "Role",
                outputs={"uniqueId": "RoleId", "permissionsBoundary": "PermissionsBoundary.PermissionsBoundaryArn"},
            ),
            Read(
                "list_attached_role_policies",
                {"RoleName": "{id}"},
                outputs={"managedPolicyArns": "AttachedPolicies[].PolicyArn"},
                only=(),
            ),
        ),
        update=(
            Call(
                "update_assume_role_policy",
                {"RoleName": "{id}"},
                ("assumeRolePolicy",),
                names={"assumeRolePolicy": "PolicyDocument"},
            ),
            Call("update_role", {"RoleName": "{id}"}, ("description", "maxSessionDuration"), whole=True),
            Call(
                "put_role_permissions_boundary",
                {"RoleName": "{id}"},
                ("permissionsBoundary",),
                clear=Call("delete_role_permissions_boundary", {"RoleName": "{id}"}, ()),
            ),
        ),
        settings=(Do(_put_inline_policies, ("inlinePolicies",)), Do(_put_managed_policies, ("managedPolicyArns",))),
        delete=Do(_delete_role),
        names={"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"},
        name="name",
        replaces=("name", "path"),
        sets=("inlinePolicies", "managedPolicyArns"),
        documents=("assumeRolePolicy", "inlinePolicies.policy"),
        defaults={"forceDetachPolicies": False, "maxSessionDuration": 3600, "path": "/"},
        local=("forceDetachPolicies",),
        unsupported=("namePrefix",),
        refine=_read_inline_policies,
        gone=GONE,
        tagging=Tagging(Call("tag_role", {"RoleName": "{id}"}), Call("untag_role", {"RoleName": "{id}"})),
    ),
    Resource(
        "aws:iam/rolePolicy:RolePolicy",
        "iam",
        create=Call("put_role_policy"),
        id="{role}:{name}",
        reads=(Read("get_role_policy", {"RoleName": "{role}", "PolicyName": "{name}"}),),
        update=(Call("put_role_policy", {}, ("role", "name", "policy"), whole=True),),
        delete=Call("delete_role_policy", {"RoleName": "{role}", "PolicyName": "{name}"}, ()),
        names={"role": "RoleName", "name": "PolicyName", "policy": "PolicyDocument"},
        name="name",
        replaces=("role", "name"),
        documents=("policy",),
        unsupported=("namePrefix",),
        gone=GONE,
    ),
    Resource(
        "aws:iam/policy:Policy",
        "iam",
        create=Call("create_policy"),
        id="Policy.Arn",
        reads=(
            Read("get_policy", {"PolicyArn": "{id}"}, "Policy"),
            Read(
                "get_policy_version",
                {"PolicyArn": "{id}", "VersionId": "{DefaultVersionId}"},
                outputs={"policy": "PolicyVersion.Document"},
                only=(),
            ),
        ),
        update=(Do(_new_version, ("policy",)),),
        delete=Do(_delete_policy),
        names={"name": "PolicyName", "policy": "PolicyDocument"},
        name="name",
        replaces=("name", "path", "description"),
        documents=("policy",),
        defaults={"path": "/"},
        local=("delayAfterPolicyCreationInMs",),
        unsupported=("namePrefix",),
        gone=GONE,
        tagging=Tagging(Call("tag_policy", {"PolicyArn": "{id}"}), Call("untag_policy", {"PolicyArn": "{id}"})),
    ),
    Resource(
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "iam",
        create=Call("attach_role_policy"),
        id="{role}/{policyArn}",
        reads=(
            Read(
                "list_attached_role_policies",
                {"RoleName": "{role}"},
                "AttachedPolicies[?PolicyArn=='{policyArn}'] | [0]",
            ),
        ),
        delete=Call("detach_role_policy", {"RoleName": "{role}", "PolicyArn": "{policyArn}"}, ()),
        names={"role": "RoleName"},
        replaces=("role", "policyArn"),
        gone=GONE,
    ),
    Resource(
        "aws:iam/instanceProfile:InstanceProfile",
        "iam",
        create=Call("create_instance_profile", {}, ("name", "path")),
        id="{name}",
        reads=(
            Read(
                "get_instance_profile",
                {"InstanceProfileName": "{id}"},
                "InstanceProfile",
                outputs={"role": "Roles[0].RoleName", "uniqueId": "InstanceProfileId"},
            ),
        ),
        settings=(Do(_put_profile_role, ("role",)),),
        delete=Do(_delete_profile),
        names={"name": "InstanceProfileName"},
        name="name",
        replaces=("name", "path"),
        defaults={"path": "/"},
        unsupported=("namePrefix",),
        gone=GONE,
        tagging=Tagging(
            Call("tag_instance_profile", {"InstanceProfileName": "{id}"}),
            Call("untag_instance_profile", {"InstanceProfileName": "{id}"}),
        ),
    ),
    Resource(
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        "iam",
        create=Call("create_open_id_connect_provider", {}, ("url", "clientIdLists", "thumbprintLists")),
        id="OpenIDConnectProviderArn",
        reads=(Read("get_open_id_connect_provider", {"OpenIDConnectProviderArn": "{id}"}),),
        update=(
            Do(_put_client_ids, ("clientIdLists",)),
            Call(
                "update_open_id_connect_provider_thumbprint", {"OpenIDConnectProviderArn": "{id}"}, ("thumbprintLists",)
            ),
        ),
        delete=Call("delete_open_id_connect_provider", {"OpenIDConnectProviderArn": "{id}"}, ()),
        replaces=("url",),
        sets=("clientIdLists",),
        outputs={"arn": "{id}"},
        refine=_refine_provider,
        gone=GONE,
        tagging=Tagging(
            Call("tag_open_id_connect_provider", {"OpenIDConnectProviderArn": "{id}"}),
            Call("untag_open_id_connect_provider", {"OpenIDConnectProviderArn": "{id}"}),
        ),
    ),
    Resource(
        "aws:iam/user:User",
        "iam",
        create=Call("create_user"),
        id="{name}",
        reads=(
            Read(
                "get_user",
                {"UserName": "{id}"},
                "User",
                outputs={"uniqueId": "UserId", "permissionsBoundary": "PermissionsBoundary.PermissionsBoundaryArn"},
            ),
        ),
        update=(
            Call(
                "put_user_permissions_boundary",
                {"UserName": "{id}"},
                ("permissionsBoundary",),
                clear=Call("delete_user_permissions_boundary", {"UserName": "{id}"}, ()),
            ),
        ),
        delete=Do(_delete_user),
        names={"name": "UserName"},
        name="name",
        replaces=("name", "path"),  # AWS could rename one; the emulator has no UpdateUser
        defaults={"forceDestroy": False, "path": "/"},
        local=("forceDestroy",),
        gone=GONE,
        tagging=Tagging(Call("tag_user", {"UserName": "{id}"}), Call("untag_user", {"UserName": "{id}"})),
    ),
    Resource(
        "aws:iam/userPolicyAttachment:UserPolicyAttachment",
        "iam",
        create=Call("attach_user_policy"),
        id="{user}/{policyArn}",
        reads=(
            Read(
                "list_attached_user_policies",
                {"UserName": "{user}"},
                "AttachedPolicies[?PolicyArn=='{policyArn}'] | [0]",
            ),
        ),
        delete=Call("detach_user_policy", {"UserName": "{user}", "PolicyArn": "{policyArn}"}, ()),
        names={"user": "UserName"},
        replaces=("user", "policyArn"),
        gone=GONE,
    ),
    Resource(
        "aws:iam/group:Group",
        "iam",
        create=Call("create_group"),
        id="{name}",
        reads=(Read("get_group", {"GroupName": "{id}"}, "Group", outputs={"uniqueId": "GroupId"}),),
        delete=Call("delete_group", {"GroupName": "{id}"}, ()),
        names={"name": "GroupName"},
        name="name",
        replaces=("name", "path"),  # as of users
        defaults={"path": "/"},
        gone=GONE,
    ),
    Resource(
        "aws:iam/groupPolicy:GroupPolicy",
        "iam",
        create=Call("put_group_policy"),
        id="{group}:{name}",
        reads=(Read("get_group_policy", {"GroupName": "{group}", "PolicyName": "{name}"}),),
        update=(Call("put_group_policy", {}, ("group", "name", "policy"), whole=True),),
        delete=Call("delete_group_policy", {"GroupName": "{group}", "PolicyName": "{name}"}, ()),
        names={"group": "GroupName", "name": "PolicyName", "policy": "PolicyDocument"},
        name="name",
        replaces=("group", "name"),
        documents=("policy",),
        unsupported=("namePrefix",),
        gone=GONE,
    ),
    Resource(
        "aws:iam/groupPolicyAttachment:GroupPolicyAttachment",
        "iam",
        create=Call("attach_group_policy"),
        id="{group}/{policyArn}",
        reads=(
            Read(
                "list_attached_group_policies",
                {"GroupName": "{group}"},
                "AttachedPolicies[?PolicyArn=='{policyArn}'] | [0]",
            ),
        ),
        delete=Call("detach_group_policy", {"GroupName": "{group}", "PolicyArn": "{policyArn}"}, ()),
        names={"group": "GroupName"},
        replaces=("group", "policyArn"),
        gone=GONE,
    ),
    Resource(
        "aws:iam/userGroupMembership:UserGroupMembership",
        "iam",
        create=Do(_put_memberships, ("user", "groups")),
        id="{id}",
        imports="{user}/{groups}",
        reads=(Read("list_groups_for_user", {"UserName": "{user}"}, only=()),),
        update=(Do(_put_memberships, ("groups",)),),
        delete=Do(_leave_groups),
        replaces=("user",),
        sets=("groups",),
        refine=_refine_memberships,
        gone=GONE,
    ),
    Resource(
        "aws:iam/accountPasswordPolicy:AccountPasswordPolicy",
        "iam",
        create=Do(_put_password_policy, PASSWORDS.carries or (), PASSWORDS),
        id="{id}",
        reads=(Read("get_account_password_policy", at="PasswordPolicy"),),
        update=(Do(_put_password_policy, PASSWORDS.carries or (), PASSWORDS),),
        delete=Call("delete_account_password_policy", {}, ()),
        defaults={"allowUsersToChangePassword": True, "minimumPasswordLength": 6},
        gone=GONE,
    ),
)
