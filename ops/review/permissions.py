"""Who gains or loses which permission.

Documents are gathered per holder, by whichever way they reach it: a role's inline policies, `RolePolicy`, `Policy` with
an attachment, managed policies by ARN. What a resource's own policy says is gathered at the resource, and who may act
as a role at the role.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ops.review import grants
from ops.review.preview import LATER, Resource, named, sources, walk
from policies.guardrails.iam import Kind
from policies.guardrails.rule import Resource as Judged
from policies.guardrails.rules.iam import documents
from policies.guardrails.unknown import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ops.review.grants import Line, Reading
    from ops.review.preview import Preview


@dataclass(frozen=True, kw_only=True)
class Holder:
    """What permissions are gathered at.

    Attributes:
        kind: In words: `role`, `user`, `bucket`.
        name: Its name.
        purpose: What it is for, where it says so.
        urn: The resource; empty for one that is not of this stack.
    """

    kind: str
    name: str
    purpose: str = field(default="", compare=False)
    urn: str = ""


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One thing that is gained or lost.

    Attributes:
        verb: `may`, `may act as it`, `is no longer denied` and so on; between who and what.
        line: What.
        notable: Why somebody should look twice; empty if there is no reason.
        uncertain: Whether a part that is not known yet may say otherwise.
    """

    verb: str
    line: Line
    notable: str = ""
    uncertain: bool = False


@dataclass(frozen=True, kw_only=True)
class PermissionChange:
    """What changes for one holder.

    Attributes:
        holder: Whose permissions they are, or on which resource they are given.
        state: `new`, `gone` or `changed`.
        gained: What is allowed that was not.
        lost: What was allowed and is no longer.
        unknown: What cannot be told before the update.
    """

    holder: Holder
    state: str
    gained: tuple[Sentence, ...] = ()
    lost: tuple[Sentence, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(kw_only=True)
class _Held:
    """What one holder holds.

    Attributes:
        own: What its policies say, where it is an identity.
        trust: Who may act as it.
        given: What the resource's own policy says.
        managed: Policies and groups whose documents are not in this stack.
        actors: What acts as it, in this stack.
        boundary: What limits it.
        origins: The resources that say so.
    """

    holder: Holder
    own: Reading = field(default_factory=grants.Reading)
    trust: Reading = field(default_factory=grants.Reading)
    given: Reading = field(default_factory=grants.Reading)
    managed: set[str] = field(default_factory=set)
    actors: set[str] = field(default_factory=set)
    boundary: str | None = None
    origins: set[str] = field(default_factory=set)


# What acts as a role, and where it names it.
_ACTING = {
    "lambda/function:Function": "role",
    "rds/proxy:Proxy": "roleArn",
    "rds/instance:Instance": "monitoringRoleArn",
    "ec2/flowLog:FlowLog": "iamRoleArn",
    "backup/selection:Selection": "iamRoleArn",
    "codedeploy/deploymentGroup:DeploymentGroup": "serviceRoleArn",
    "scheduler/schedule:Schedule": "target.roleArn",
    "ecs/taskDefinition:TaskDefinition": "taskRoleArn",
    "sfn/stateMachine:StateMachine": "roleArn",
    "iam/instanceProfile:InstanceProfile": "role",
}
# Which groups a user is in: the type, and where it names user and groups.
_MEMBERSHIPS = {
    "iam/userGroupMembership:UserGroupMembership": ("user", "groups"),
    "iam/groupMembership:GroupMembership": ("users", "group"),
}
# What an identity's document is attached to: type, the property that names the holder, the holder's type.
_ATTACHED = {
    "aws:iam/rolePolicy:RolePolicy": ("role", "iam/role:Role"),
    "aws:iam/userPolicy:UserPolicy": ("user", "iam/user:User"),
    "aws:iam/groupPolicy:GroupPolicy": ("group", "iam/group:Group"),
}
_ATTACHMENTS = {
    "iam/rolePolicyAttachment:RolePolicyAttachment": (("role", "iam/role:Role"),),
    "iam/userPolicyAttachment:UserPolicyAttachment": (("user", "iam/user:User"),),
    "iam/groupPolicyAttachment:GroupPolicyAttachment": (("group", "iam/group:Group"),),
    "iam/policyAttachment:PolicyAttachment": (
        ("roles", "iam/role:Role"),
        ("users", "iam/user:User"),
        ("groups", "iam/group:Group"),
    ),
}
# What a resource's policy is attached to.
_GUARDED = {
    "aws:s3/bucketPolicy:BucketPolicy": ("bucket", ("s3/bucket:Bucket", "s3/bucketV2:BucketV2")),
    "aws:sqs/queuePolicy:QueuePolicy": ("queueUrl", ("sqs/queue:Queue",)),
    "aws:sns/topicPolicy:TopicPolicy": ("arn", ("sns/topic:Topic",)),
    "aws:kms/keyPolicy:KeyPolicy": ("keyId", ("kms/key:Key",)),
    "aws:secretsmanager/secretPolicy:SecretPolicy": ("secretArn", ("secretsmanager/secret:Secret",)),
    "aws:ecr/repositoryPolicy:RepositoryPolicy": ("repository", ("ecr/repository:Repository",)),
    "aws:efs/fileSystemPolicy:FileSystemPolicy": ("fileSystemId", ("efs/fileSystem:FileSystem",)),
    "aws:backup/vaultPolicy:VaultPolicy": ("backupVaultName", ("backup/vault:Vault",)),
}
_OWNERS = {"iam/role:Role": "role", "iam/user:User": "user", "iam/group:Group": "group"}


def changes(preview: Preview, operations: Callable[[str], Sequence[str]], account: str) -> list[PermissionChange]:
    """What the update changes in permissions, holder by holder.

    Args:
        preview: The preview.
        operations: The operations of a service of AWS, to name what a wildcard covers.
        account: The stack's account: every other one is a stranger.
    """
    before, after = gather(preview.before), gather(preview.after)
    found = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        change = _change(old, new, operations, account)
        # What was not readable before and has not been touched is no news.
        touched = any(preview.steps[urn].operation != "same" for held in (old, new) if held for urn in held.origins)
        if change.gained or change.lost or (change.unknown and touched):
            found.append(change)
    return found


def _change(
    old: _Held | None, new: _Held | None, operations: Callable[[str], Sequence[str]], account: str
) -> PermissionChange:
    held = new or old
    assert held  # noqa: S101 a key of one or the other
    was, will = old or _Held(holder=held.holder), new or _Held(holder=held.holder)
    gained: list[Sentence] = []
    lost: list[Sentence] = []
    unknown: list[str] = []
    # A document: its two readings, and the verbs for what an allow gives and takes.
    for one, other, may, may_not in (
        (was.own, will.own, "may call", "may no longer call"),
        (was.trust, will.trust, "may act as it", "may no longer act as it"),
        (was.given, will.given, "may call", "may no longer call"),
    ):
        found = grants.difference(one, other)
        doubt = bool(found.unknown_before), bool(found.unknown_after)

        def say(
            verb: str, atoms: frozenset[grants.Atom], against: Reading, *, uncertain: bool, freed: bool = False
        ) -> Iterator[Sentence]:
            for line in grants.lines(atoms, against.atoms, operations):
                notable = "a prohibition is lifted" if freed else _notable(line, account)
                yield Sentence(verb=verb, line=line, uncertain=uncertain, notable=notable)

        gained += say(may, found.gained, one, uncertain=doubt[0])
        gained += say("is no longer denied", found.freed, grants.Reading(), uncertain=doubt[1], freed=True)
        for verb, atoms, uncertain in ((may_not, found.lost, doubt[1]), ("is now denied", found.barred, doubt[0])):
            lost += (replace(s, notable="") for s in say(verb, atoms, grants.Reading(), uncertain=uncertain))
        unknown += found.unknown_after
        unknown += (f"before: {what}" for what in found.unknown_before)
    for arn in sorted(will.managed - was.managed):
        gained.append(
            Sentence(verb="may do what is allowed by", line=grants.Line(actions=(arn,)), notable=_powerful(arn))
        )
    lost += (
        Sentence(verb="may no longer do what is allowed by", line=grants.Line(actions=(arn,)))
        for arn in sorted(was.managed - will.managed)
    )
    for side, verb, actors in (
        (gained, "acts as it", will.actors - was.actors),
        (lost, "no longer acts as it", was.actors - will.actors),
    ):
        side.extend(Sentence(verb=verb, line=grants.Line(principals=(f"Own {actor}",))) for actor in sorted(actors))
    if old and new and was.boundary != will.boundary:
        if was.boundary:
            gained.append(
                Sentence(
                    verb="is no longer limited by the boundary",
                    line=grants.Line(actions=(was.boundary,)),
                    notable="" if will.boundary else "nothing limits what its policies may give any more",
                )
            )
        if will.boundary:
            lost.append(Sentence(verb="is now limited by the boundary", line=grants.Line(actions=(will.boundary,))))
    return PermissionChange(
        holder=held.holder,
        state="changed" if old and new else "new" if new else "gone",
        gained=tuple(gained),
        lost=tuple(lost),
        unknown=tuple(dict.fromkeys(unknown)),
    )


def _notable(line: Line, account: str) -> str:
    """Why a gain deserves a second look."""
    # "All of it, for the account" in a resource's policy leaves the decision to the account's own policies.
    if line.principals and all(re.fullmatch(rf"AWS arn:[\w-]+:iam::{account}:root", who) for who in line.principals):
        return ""
    for action in line.actions:
        service, colon, name = action.partition(":")
        if action.startswith("all but "):
            return "every action there is or will be, but for a few"
        if not colon or set(service) <= {"*", "?"}:
            return "every action of every service"
        if set(name) <= {"*", "?"} and name:
            return f"every action of {service}"
    if any(principal == "*" for principal in line.principals) and not line.when:
        return "that is anybody"
    for principal in line.principals:
        if (stranger := re.match(r"AWS arn:[\w-]+:(?:iam|sts)::(\d{12}):", principal)) and stranger[1] != account:
            return f"account {stranger[1]} is another one"
    if line.instead_of and line.named:
        return "a wildcard covers more than what was named before"
    return ""


def _powerful(arn: str) -> str:
    name = arn.rpartition("/")[2]
    return f"{name} is very wide" if re.fullmatch(r".*(AdministratorAccess|PowerUserAccess|FullAccess)", name) else ""


# --- gathering -------------------------------------------------------------------------------------------------------


def gather(stack: Mapping[str, Resource]) -> dict[str, _Held]:
    """Everything that is held, by holder."""
    held: dict[str, _Held] = {}

    def at(holder: Holder, origin: Resource) -> _Held:
        entry = held.setdefault(holder.urn or f"{holder.kind} {holder.name}", _Held(holder=holder))
        entry.origins.add(origin.urn)
        return entry

    for resource in stack.values():
        for document, kind in _documents(resource):
            reading = grants.reading(document, kind)
            for holder in _holders(resource, kind, stack):
                entry = at(holder, resource)
                if kind is Kind.TRUST:
                    entry.trust |= reading
                elif kind is Kind.IDENTITY:
                    entry.own |= reading
                else:
                    entry.given |= reading
        kind_of = resource.type.removeprefix("aws:")
        if kind_of in _OWNERS:
            entry = at(_holder(resource), resource)
            entry.managed |= set(_policies(resource, "managedPolicyArns", stack))
            boundary = resource.inputs.get("permissionsBoundary")
            entry.boundary = "one that is known after the update" if boundary is LATER else boundary or None
        if key := _ACTING.get(kind_of):
            actor = _holder(resource)
            for role in _named_holders(resource, key, "iam/role:Role", stack):
                at(role, resource).actors.add(f"{actor.kind} {actor.name}")
        for key, owner in _ATTACHMENTS.get(kind_of, ()):
            for holder in _named_holders(resource, key, owner, stack):
                at(holder, resource).managed |= set(_policies(resource, "policyArn", stack))
        if kind_of in _MEMBERSHIPS:
            users, groups = _MEMBERSHIPS[kind_of]
            for holder in _named_holders(resource, users, "iam/user:User", stack):
                at(holder, resource).managed |= {
                    f"group {group.name}" for group in _named_holders(resource, groups, "iam/group:Group", stack)
                }
    return held


def _documents(resource: Resource) -> Iterator[tuple[object, Kind]]:
    """Every IAM document that a resource carries, and its kind."""
    properties = _judged(resource.inputs)
    told = set()
    for path, document, kind in documents(
        Judged(urn=resource.urn, type=resource.type, name=resource.name, properties=properties)
    ):
        told.add(path.partition("[")[0])
        yield document, kind
    if resource.type == "aws:lambda/permission:Permission":
        yield _permission(resource), Kind.RESOURCE
    if resource.type == "aws:kms/grant:Grant":
        yield _key_grant(resource), Kind.RESOURCE
    # Others have documents too, under many names; what looks like one is one.
    for key, value in properties.items() if resource.type.startswith("aws:") else ():
        if key not in told and (isinstance(value, Unknown) and key in ("policy", "policyDocument", "resourcePolicy")):
            yield value, Kind.RESOURCE
        elif key not in told and isinstance(value, str) and '"Statement"' in value and value.lstrip().startswith("{"):
            yield value, Kind.RESOURCE if '"Principal"' in value or '"NotPrincipal"' in value else Kind.IDENTITY


def _judged(value: Any, path: str = "") -> Any:
    """A value as the guardrails have it: with an `Unknown` of theirs in place of ours."""
    if value is LATER:
        return Unknown(path)
    if isinstance(value, dict):
        return {key: _judged(item, f"{path}.{key}".strip(".")) for key, item in value.items()}
    if isinstance(value, list):
        return [_judged(item, f"{path}[{index}]") for index, item in enumerate(value)]
    return value


def _permission(resource: Resource) -> dict[str, Any]:
    """The statement that Lambda makes of a permission."""
    said = resource.inputs
    principal = said.get("principal")
    who: Any = {"AWS": _judged(principal)}
    if principal == "*":
        who = "*"
    elif isinstance(principal, str) and principal.endswith((".amazonaws.com", ".amazon.com")):
        who = {"Service": principal}
    conditions: dict[str, dict[str, Any]] = {}
    for key, operator, condition in (
        ("sourceArn", "ArnLike", "aws:SourceArn"),
        ("sourceAccount", "StringEquals", "aws:SourceAccount"),
        ("principalOrgId", "StringEquals", "aws:PrincipalOrgID"),
        ("functionUrlAuthType", "StringEquals", "lambda:FunctionUrlAuthType"),
    ):
        text = said.get(key)
        if text is LATER and resource.sources.get(key):
            # Whose ARN it will be is known, and that is what the reader asks.
            text = f"that of {resource.sources[key][0].rpartition('::')[2]}"
        if text is not None:
            conditions.setdefault(operator, {})[condition] = _judged(text)
    statement = {"Effect": "Allow", "Principal": who, "Action": _judged(said.get("action"))}
    return {"Version": "2012-10-17", "Statement": [{**statement, **({"Condition": conditions} if conditions else {})}]}


def _key_grant(resource: Resource) -> dict[str, Any]:
    actions = [f"kms:{name}" for name in resource.inputs.get("operations") or ()]
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": _judged(resource.inputs.get("granteePrincipal"))},
        "Action": actions,
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def _holder(resource: Resource) -> Holder:
    return Holder(
        kind=_OWNERS.get(resource.type.removeprefix("aws:"), resource.kind),
        name=resource.label,
        purpose=str(resource.inputs.get("description") or "")
        if resource.inputs.get("description") is not LATER
        else "",
        urn=resource.urn,
    )


def _holders(resource: Resource, kind: Kind, stack: Mapping[str, Resource]) -> list[Holder]:
    """At whom a document is gathered."""
    if resource.type in _ATTACHED:
        key, owner = _ATTACHED[resource.type]
        return _named_holders(resource, key, owner, stack)
    if resource.type in _GUARDED:
        key, kinds = _GUARDED[resource.type]
        return [_holder(each) for each in sources(resource, key, stack, *kinds)] or [_holder(resource)]
    if resource.type in ("aws:lambda/permission:Permission", "aws:kms/grant:Grant"):
        key, owner = ("function", "lambda/function:Function") if "lambda" in resource.type else ("keyId", "kms/key:Key")
        return [_holder(each) for each in sources(resource, key, stack, owner)] or [_holder(resource)]
    if resource.type == "aws:iam/policy:Policy" and kind is Kind.IDENTITY:
        attached = [
            holder
            for attachment, places in _ATTACHMENTS.items()
            for each in walk(stack, attachment)
            if resource in sources(each, "policyArn", stack, "iam/policy:Policy")
            for key, owner in places
            for holder in _named_holders(each, key, owner, stack)
        ] + [
            _holder(each)
            for each in walk(stack, "iam/role:Role")
            if resource in sources(each, "managedPolicyArns", stack, "iam/policy:Policy")
        ]
        return attached or [_holder(resource)]
    return [_holder(resource)]


def _named_holders(resource: Resource, key: str, owner: str, stack: Mapping[str, Resource]) -> list[Holder]:
    found = [_holder(each) for each in sources(resource, key, stack, owner)]
    if found:
        return found
    said: Any = resource.inputs
    for part in key.split("."):
        said = said.get(part) if isinstance(said, dict) else None
    names = said if isinstance(said, list) else [said]
    return [
        Holder(
            kind=_OWNERS[owner],
            name=name.rpartition("/")[2] if isinstance(name, str) else "that is known after the update",
        )
        for name in names
        if name is not None
    ]


def _policies(resource: Resource, key: str, stack: Mapping[str, Resource]) -> Iterator[str]:
    """The managed policies that a property names and this stack does not declare: their documents are not here."""
    own = list(walk(stack, "iam/policy:Policy"))
    said = resource.inputs.get(key)
    for arn in said if isinstance(said, list) else [said]:
        if arn is LATER and not sources(resource, key, stack, "iam/policy:Policy"):
            yield "one that is known after the update"
        elif isinstance(arn, str) and not any(named(each, arn) for each in own):
            yield arn
