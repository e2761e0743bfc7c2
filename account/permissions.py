"""What a stack's deployment needs of AWS, subject by subject: one table of what is read, one of what is written.

A deploy role may read and write what is its own stack's; the preview role may read what is any stack's. Each subject
becomes one managed policy, so that the change of a service shows as the change of one document. To extend it, run the
stack as its role and add what was denied to the subject's function.

Own is what is named after the stack. Where AWS makes a name up, tags say whose a thing is: it must be tagged when it is
made, and nobody but its own stack may change those tags. What AWS offers neither for stands in docs/decisions/0008.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from account.scope import Scope, both
from components.role import Grant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from account.scope import Conditions
    from naming import Names

    _Table = Callable[[Scope], Iterator[Grant]]

# Services that use a stack's keys for whoever asks them.
KEY_SERVICES = ("backup", "ec2", "lambda", "logs", "rds", "secretsmanager", "sns", "sqs")
# Services that act as a role of the stack.
ACTING = ("backup", "codedeploy", "ec2", "lambda", "monitoring.rds", "rds", "scheduler", "vpc-flow-logs")
# Services that make a role for themselves when an account first uses them.
LINKED = ("backup", "ops.apigateway", "rds")
# Services that a function may be opened to.
INVOKERS = ("apigateway", "secretsmanager")
# What an HTTP API consists of beside its stages: AWS knows no tags of these, and no names.
API_PARTS = ("authorizers", "cors", "deployments", "integrations", "routes")
# What a distribution of CloudFront goes by: AWS knows no tags of these.
PAGE_SETTINGS = ("origin-access-control", "response-headers-policy")


def deploying(names: Names, *, protected: bool) -> dict[str, tuple[Grant, ...]]:
    """Return what the role that deploys a stack may do, by subject.

    Args:
        names: the stack's.
        protected: whether what holds the stack's data is beyond it.
    """
    scope = Scope(names=names, protected=protected)
    return {subject: (*reading(scope), *writing(scope)) for subject, (reading, writing) in _SUBJECTS.items()}


def previewing(names: Names) -> dict[str, tuple[Grant, ...]]:
    """Return what the role that previews any stack of the account may do, by subject: it reads, and changes nothing.

    Args:
        names: of any of the stacks.
    """
    scope = Scope(names=names, every=True)
    return {subject: tuple(reading(scope)) for subject, (reading, _) in _SUBJECTS.items()}


def use_bucket_key(names: Names, purpose: str, *actions: str) -> Grant:
    """Grant the use, through S3, of the key of one of the account's buckets: KMS makes up its id, its alias is ours."""
    verbs = "And".join(action.removeprefix("kms:") for action in actions)
    return Grant(
        sid=f"{verbs}For{purpose.capitalize()}",
        actions=actions,
        resources=(names.arn("kms", "key/*"),),
        conditions={
            "StringEquals": {"kms:ViaService": f"s3.{names.region}.amazonaws.com"},
            "ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{names.of_account(purpose)}"},
        },
    )


def _allow(
    sid: str, service: str, actions: str, resources: Sequence[str], conditions: Conditions | None = None
) -> Grant:
    """Return a statement; `actions` are the names of one service's, with blanks between."""
    return Grant(
        sid=sid,
        actions=tuple(f"{service}:{action}" for action in actions.split()),
        resources=tuple(resources),
        conditions=conditions or {},
    )


def _tagged(scope: Scope, what: str, tag: str, untag: str, things: Sequence[str]) -> Iterator[Grant]:
    """Tag what only its tags say to be the stack's own; an update sends those that have changed, a creation all.

    Args:
        scope: the stack.
        what: part of the statements' names.
        tag: the actions that do, with blanks between.
        untag: the same of those that take tags off.
        things: what is tagged.
    """
    yield Grant(sid=f"Claim{what}", actions=tuple(tag.split()), resources=tuple(things), conditions=scope.claiming)
    yield Grant(
        sid=f"UntagOwn{what}", actions=tuple(untag.split()), resources=tuple(things), conditions=scope.untagging
    )


# Network


def _network_reading(scope: Scope) -> Iterator[Grant]:
    yield _allow(
        "DescribeNetwork",
        "ec2",
        "DescribeFlowLogs DescribeNetworkAcls DescribeNetworkInterfaces DescribePrefixLists "
        "DescribeRouteTables DescribeSecurityGroupRules DescribeSecurityGroups DescribeSubnets "
        "DescribeVpcEndpoints DescribeVpcs",
        ("*",),  # none of these supports a resource
    )
    yield _allow("DescribeAttributes", "ec2", "DescribeVpcAttribute", scope.any("ec2", "vpc/"), scope.tagged)


def _network(scope: Scope) -> Iterator[Grant]:
    made = scope.any(
        "ec2",
        "route-table/",
        "security-group/",
        "security-group-rule/",
        "subnet/",
        "vpc/",
        "vpc-endpoint/",
        "vpc-flow-log/",
    )
    makes = (
        "AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress CreateFlowLogs CreateRouteTable "
        "CreateSecurityGroup CreateSubnet CreateVpc CreateVpcEndpoint"
    )
    yield from _made(
        scope, "Network", makes, made, scope.any("ec2", "route-table/", "security-group/", "subnet/", "vpc/")
    )
    # AWS makes this group with every network, and nobody has tagged it then.
    yield _allow(
        "ClaimDefaultGroup",
        "ec2",
        "CreateTags",
        scope.any("ec2", "security-group/"),
        both(scope.tagging, {"Null": {"aws:ResourceTag/stack": "true"}}),
    )
    # Not CreateRoute: an isolated network has none, and none is to be added by who deploys.
    yield _allow(
        "ChangeOwnNetwork",
        "ec2",
        "AssociateRouteTable DeleteFlowLogs DeleteRouteTable DeleteSecurityGroup DeleteSubnet DeleteVpc "
        "DeleteVpcEndpoints DisassociateRouteTable ModifySecurityGroupRules ModifySubnetAttribute ModifyVpcAttribute "
        "ModifyVpcEndpoint ReplaceRouteTableAssociation RevokeSecurityGroupEgress RevokeSecurityGroupIngress",
        made,
        scope.tagged,
    )


def _made(scope: Scope, what: str, makes: str, made: Sequence[str], within: Sequence[str]) -> Iterator[Grant]:
    """Make things of EC2, tagged as the stack's own; AWS authorises also on what they are made within, or from."""
    yield _allow(f"Make{what}", "ec2", makes, made, scope.tagging)
    yield _allow(f"MakeWithinOwn{what}", "ec2", makes, within, scope.tagged)
    creating: Conditions = {"StringEquals": {"ec2:CreateAction": makes.split()}}
    yield _allow(f"TagNew{what}", "ec2", "CreateTags", made, both(scope.tagging, creating))
    yield _allow(f"TagOwn{what}", "ec2", "CreateTags", made, scope.retagging)
    yield _allow(f"UntagOwn{what}", "ec2", "DeleteTags", made, scope.untagging)


# Machines: the way into a development database


def _machines_reading(scope: Scope) -> Iterator[Grant]:
    yield _allow(
        "DescribeMachines",
        "ec2",
        "DescribeImages DescribeInstanceCreditSpecifications DescribeInstances "
        "DescribeInstanceTypes DescribeLaunchTemplates DescribeLaunchTemplateVersions "
        "DescribeVolumes",
        ("*",),  # none of these supports a resource
    )
    yield _allow("DescribeAttributes", "ec2", "DescribeInstanceAttribute", scope.any("ec2", "instance/"), scope.tagged)


def _machines(scope: Scope) -> Iterator[Grant]:
    made = scope.any("ec2", "instance/", "launch-template/")
    within = scope.any("ec2", "launch-template/", "security-group/", "subnet/")
    yield from _made(scope, "Machines", "CreateLaunchTemplate RunInstances", made, within)
    yield _allow(
        "ChangeOwnMachines",
        "ec2",
        "CreateLaunchTemplateVersion DeleteLaunchTemplate ModifyInstanceAttribute "
        "ModifyLaunchTemplate StartInstances StopInstances TerminateInstances",
        made,
        scope.tagged,
    )
    # Disk and interface come with the machine, and go with it; the provider tags the machine alone.
    yield _allow("EquipMachines", "ec2", "RunInstances", scope.any("ec2", "network-interface/", "volume/"))
    image = f"arn:{scope.names.partition}:ec2:{scope.names.region}::image/*"
    yield _allow("UseAmazonsImages", "ec2", "RunInstances", (image,), {"StringEquals": {"ec2:Owner": "amazon"}})
    newest = f"arn:{scope.names.partition}:ssm:{scope.names.region}::parameter/aws/service/ami-amazon-linux-latest/*"
    yield _allow("FindAmazonsImages", "ssm", "GetParameters", (newest,))


# Databases, and their backups


def _data_reading(scope: Scope) -> Iterator[Grant]:
    # The provider looks instances up by an id that AWS makes, which is authorised on all of them.
    yield _allow(
        "DescribeDatabases",
        "rds",
        "DescribeDBInstances DescribeDBParameterGroups DescribeDBParameters DescribeDBProxies "
        "DescribeDBProxyTargetGroups DescribeDBProxyTargets DescribeDBSnapshotAttributes DescribeDBSnapshots "
        "DescribeDBSubnetGroups ListTagsForResource",
        scope.any("rds", "db:", "db-proxy:", "pg:", "snapshot:", "subgrp:", "target-group:"),
    )
    yield from _backups_reading(scope)


def _data(scope: Scope) -> Iterator[Grant]:
    named = scope.own("rds", "db:", "pg:", "snapshot:", "subgrp:")
    yield _allow(
        "ChangeOwnDatabases",
        "rds",
        "AddTagsToResource CreateDBInstance CreateDBParameterGroup CreateDBSnapshot CreateDBSubnetGroup "
        "DeleteDBParameterGroup DeleteDBSubnetGroup ModifyDBInstance ModifyDBParameterGroup ModifyDBSubnetGroup "
        "RegisterDBProxyTargets DeregisterDBProxyTargets RemoveTagsFromResource "
        "ResetDBParameterGroup",
        named,
    )
    # The groups that a new instance is in when it names none.
    yield _allow(
        "UseDefaultGroups", "rds", "CreateDBInstance ModifyDBInstance", scope.any("rds", "og:default:", "pg:default.")
    )
    if not scope.protected:
        yield _allow("DeleteOwnDatabases", "rds", "DeleteDBInstance DeleteDBSnapshot", named)
    yield _allow("MakeProxies", "rds", "CreateDBProxy", ("*",), scope.tagging)
    proxies = scope.any("rds", "db-proxy:")
    yield _allow(
        "ChangeOwnProxies", "rds", "DeleteDBProxy DeregisterDBProxyTargets ModifyDBProxy", proxies, scope.tagged
    )
    # These are neither named nor tagged.
    yield _allow(
        "FillTargetGroups",
        "rds",
        "DeregisterDBProxyTargets ModifyDBProxyTargetGroup RegisterDBProxyTargets",
        scope.any("rds", "target-group:"),
    )
    yield from _backups(scope)
    yield from _tagged(
        scope,
        "ProxiesAndPlans",
        "backup:TagResource rds:AddTagsToResource",
        "backup:UntagResource rds:RemoveTagsFromResource",
        (*proxies, *scope.any("backup", "backup-plan:")),
    )


def _backups_reading(scope: Scope) -> Iterator[Grant]:
    yield _allow("DescribeOwnVaults", "backup", "DescribeBackupVault ListTags", scope.own("backup", "backup-vault:"))
    yield _allow(
        "DescribeOwnPlans",
        "backup",
        "GetBackupPlan GetBackupSelection ListTags",
        scope.any("backup", "backup-plan:"),
        scope.tagged,
    )


def _backups(scope: Scope) -> Iterator[Grant]:
    vaults, plans = scope.own("backup", "backup-vault:"), scope.any("backup", "backup-plan:")
    yield _allow(
        "ChangeOwnVaults",
        "backup",
        "CreateBackupVault PutBackupVaultLockConfiguration TagResource UntagResource",
        vaults,
    )
    yield _allow("MountVaults", "backup-storage", "MountCapsule", ("*",))  # part of making one; no resource
    if not scope.protected:
        yield _allow("DeleteOwnVaults", "backup", "DeleteBackupVault ListRecoveryPointsByBackupVault", vaults)
    yield _allow("MakePlans", "backup", "CreateBackupPlan", plans, scope.tagging)
    yield _allow(
        "ChangeOwnPlans",
        "backup",
        "CreateBackupSelection DeleteBackupPlan DeleteBackupSelection UpdateBackupPlan",
        plans,
        scope.tagged,
    )


# Secrets and keys


def _secrets_reading(scope: Scope) -> Iterator[Grant]:
    # What a secret is, never what is in it.
    yield _allow(
        "DescribeOwnSecrets",
        "secretsmanager",
        "DescribeSecret GetResourcePolicy",
        scope.own("secretsmanager", "secret:"),
    )
    yield _allow(
        "DescribeOwnKeys",
        "kms",
        "DescribeKey GetKeyPolicy GetKeyRotationStatus ListResourceTags",
        scope.any("kms", "key/"),
        scope.tagged,
    )
    yield _allow("ListAliases", "kms", "ListAliases", ("*",))


def _secrets(scope: Scope) -> Iterator[Grant]:
    # Neither GetSecretValue nor PutSecretValue: what is in them is the functions' business. UpdateSecret, which changes
    # a description or a key, could write a value too: AWS has no finer action.
    secrets = scope.own("secretsmanager", "secret:")
    yield _allow(
        "ChangeOwnSecrets",
        "secretsmanager",
        "CancelRotateSecret CreateSecret RotateSecret TagResource UntagResource UpdateSecret",
        secrets,
    )
    if not scope.protected:
        yield _allow("DeleteOwnSecrets", "secretsmanager", "DeleteSecret", secrets)
    keys = scope.any("kms", "key/")
    yield _allow("MakeKeys", "kms", "CreateKey", ("*",), scope.tagging)
    # Everything, for the tags of a new key are not authorised on the key: it has no id yet.
    yield _allow("ClaimKeys", "kms", "TagResource", ("*",), scope.claiming)
    yield _allow("UntagOwnKeys", "kms", "UntagResource", keys, scope.untagging)
    yield _allow(
        "ChangeOwnKeys",
        "kms",
        "CreateAlias DeleteAlias DescribeKey EnableKeyRotation PutKeyPolicy UpdateAlias UpdateKeyDescription",
        keys,
        scope.tagged,
    )
    yield _allow("NameOwnKeys", "kms", "CreateAlias DeleteAlias UpdateAlias", scope.own("kms", "alias/"))
    if not scope.protected:
        yield _allow("DeleteOwnKeys", "kms", "ScheduleKeyDeletion", keys, scope.tagged)
    through = [f"{service}.{scope.names.region}.amazonaws.com" for service in KEY_SERVICES]
    yield _allow(
        "UseOwnKeysThroughServices",
        "kms",
        "CreateGrant Decrypt Encrypt GenerateDataKey GenerateDataKeyWithoutPlaintext ReEncryptFrom ReEncryptTo "
        "RetireGrant",
        keys,
        both(scope.tagged, {"StringEquals": {"kms:ViaService": through}}),
    )
    # RDS makes the master's secret with the rights of who makes the database.
    yield _allow(
        "MakeMasterSecret",
        "secretsmanager",
        "CreateSecret TagResource",
        scope.any("secretsmanager", "secret:rds!db-"),
    )


# Functions, and what they write


def _functions_reading(scope: Scope) -> Iterator[Grant]:
    functions = scope.own("lambda", "function:")
    yield _allow(
        "ReadOwnFunctions",
        "lambda",
        "GetAlias GetFunction GetFunctionCodeSigningConfig GetFunctionConcurrency GetFunctionConfiguration "
        "GetFunctionEventInvokeConfig GetPolicy GetProvisionedConcurrencyConfig ListTags "
        "ListVersionsByFunction",
        functions,
    )
    yield _allow("ReadOwnLayers", "lambda", "GetLayerVersion", scope.own("lambda", "layer:"))
    yield _allow("DescribeLogGroups", "logs", "DescribeLogGroups", ("*",))
    yield _allow("ReadOwnLogGroups", "logs", "ListTagsForResource", _log_groups(scope))


def _functions(scope: Scope) -> Iterator[Grant]:
    functions = scope.own("lambda", "function:")
    yield _allow(
        "ChangeOwnFunctions",
        "lambda",
        "CreateAlias CreateFunction DeleteAlias DeleteFunction DeleteFunctionCodeSigningConfig "
        "DeleteFunctionConcurrency DeleteFunctionEventInvokeConfig DeleteProvisionedConcurrencyConfig PublishVersion "
        "PutFunctionCodeSigningConfig PutFunctionConcurrency PutFunctionEventInvokeConfig "
        "PutProvisionedConcurrencyConfig RemovePermission TagResource UntagResource UpdateAlias UpdateFunctionCode "
        "UpdateFunctionConfiguration",
        functions,
    )
    # The steps of an update are invocations: users, migrate, verify, warm-up and check.
    yield _allow("InvokeOwnFunctions", "lambda", "InvokeFunction", functions)
    invokers = [f"{service}.amazonaws.com" for service in INVOKERS]
    yield _allow(
        "OpenOwnFunctions", "lambda", "AddPermission", functions, {"StringEquals": {"lambda:Principal": invokers}}
    )
    yield _allow("ChangeOwnLayers", "lambda", "DeleteLayerVersion PublishLayerVersion", scope.own("lambda", "layer:"))
    groups = _log_groups(scope)
    yield _allow(
        "ChangeOwnLogGroups",
        "logs",
        "AssociateKmsKey CreateLogGroup DeleteRetentionPolicy DisassociateKmsKey PutRetentionPolicy TagResource "
        "UntagResource",
        groups,
    )
    if not scope.protected:
        yield _allow("DeleteOwnLogGroups", "logs", "DeleteLogGroup", groups)


def _log_groups(scope: Scope) -> tuple[str, ...]:
    folders = ("/aws/apigateway/", "/aws/lambda/", "/aws/rds/instance/", "/aws/rds/proxy/", "/aws/vpc/")
    return scope.own("logs", *(f"log-group:{folder}" for folder in folders))


# Artifacts, and their signatures


def _artifacts_reading(scope: Scope) -> Iterator[Grant]:
    yield _allow(
        "ReadOwnSigning",
        "lambda",
        "GetCodeSigningConfig ListTags",
        scope.any("lambda", "code-signing-config:"),
        scope.tagged,
    )
    yield _allow("ReadOwnProfiles", "signer", "GetSigningProfile ListTagsForResource", _profiles(scope))
    yield _allow("ReadSigningJobs", "signer", "DescribeSigningJob", scope.any("signer", "/signing-jobs/"))
    stacks = "*" if scope.every else f"{scope.names.stack}/*"
    yield _allow(
        "ReadOwnArtifacts",
        "s3",
        "GetObject GetObjectTagging GetObjectVersion",
        (scope.names.bucket_arn("artifacts", stacks),),
    )
    # Without it S3 answers for a missing object that access is denied.
    yield _allow("ListArtifacts", "s3", "ListBucket ListBucketVersions", (scope.names.bucket_arn("artifacts"),))
    yield use_bucket_key(scope.names, "artifacts", "kms:Decrypt")


def _artifacts(scope: Scope) -> Iterator[Grant]:
    signing = scope.any("lambda", "code-signing-config:")
    yield _allow("MakeSigning", "lambda", "CreateCodeSigningConfig", ("*",), scope.tagging)
    yield from _tagged(scope, "Signing", "lambda:TagResource", "lambda:UntagResource", signing)
    yield _allow(
        "ChangeOwnSigning",
        "lambda",
        "DeleteCodeSigningConfig PutFunctionCodeSigningConfig UpdateCodeSigningConfig",
        signing,
        scope.tagged,
    )
    yield _allow("MakeProfiles", "signer", "PutSigningProfile", ("*",), scope.tagging)
    yield _allow(
        "ChangeOwnProfiles",
        "signer",
        "CancelSigningProfile StartSigningJob TagResource UntagResource",
        _profiles(scope),
    )
    yield _allow(
        "ChangeOwnArtifacts",
        "s3",
        "DeleteObject DeleteObjectVersion PutObject PutObjectTagging",
        (scope.names.bucket_arn("artifacts", f"{scope.names.stack}/*"),),
    )
    yield use_bucket_key(scope.names, "artifacts", "kms:GenerateDataKey")


def _profiles(scope: Scope) -> tuple[str, ...]:
    """Signing profiles: their names take no hyphens; see `components/artifacts.py`."""
    return (scope.names.arn("signer", f"/signing-profiles/{scope.prefix.replace('-', '_')}*"),)


# The API, and what watches


def _service_reading(scope: Scope) -> Iterator[Grant]:
    yield from _watch_reading(scope)
    yield _allow("ReadApis", "apigateway", "GET", _gateway(scope, "/apis", "/apis/*", "/domainnames/*", "/tags/*"))


def _service(scope: Scope) -> Iterator[Grant]:
    yield from _watch(scope)
    yield _allow(
        "MakeApis",
        "apigateway",
        "POST",
        _gateway(scope, "/apis", "/apis/*/stages", "/domainnames"),
        scope.tagging,
    )
    yield from _tagged(scope, "Apis", "apigateway:POST", "apigateway:DELETE", _gateway(scope, "/tags/*"))
    yield _allow(
        "ChangeOwnApis",
        "apigateway",
        "DELETE PATCH",
        _gateway(scope, "/apis/*", "/domainnames/*"),
        scope.tagged,
    )
    # Neither named nor tagged.
    parts = [f"/apis/*/{part}" for part in API_PARTS]
    yield _allow(
        "ChangeParts",
        "apigateway",
        "DELETE PATCH POST",
        _gateway(scope, *parts, *(f"{part}/*" for part in parts), "/domainnames/*/apimappings*"),
    )
    # How a gateway is given a log group
    # (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html); no resources.
    yield _allow(
        "DeliverAccessLogs",
        "logs",
        "CreateLogDelivery DeleteLogDelivery DescribeResourcePolicies GetLogDelivery ListLogDeliveries "
        "PutResourcePolicy UpdateLogDelivery",
        ("*",),
    )


def _gateway(scope: Scope, *paths: str) -> tuple[str, ...]:
    """API Gateway's ARNs are its paths, and name no account."""
    return tuple(f"arn:{scope.names.partition}:apigateway:{scope.names.region}::{path}" for path in paths)


def _watch_reading(scope: Scope) -> Iterator[Grant]:
    # Described by name, which is authorised on the names, or all at once, which is authorised on all.
    yield _allow(
        "DescribeAlarms", "cloudwatch", "DescribeAlarms ListTagsForResource", scope.any("cloudwatch", "alarm:")
    )
    yield _allow("ReadOwnDashboards", "cloudwatch", "GetDashboard", _dashboards(scope))
    yield _allow(
        "ReadOwnTopics",
        "sns",
        "GetSubscriptionAttributes GetTopicAttributes ListTagsForResource",
        scope.own("sns", ""),
    )
    yield _allow("ReadOwnQueues", "sqs", "GetQueueAttributes ListQueueTags", scope.own("sqs", ""))
    yield _allow("ReadOwnSchedules", "scheduler", "GetSchedule", scope.own("scheduler", "schedule/default/"))
    yield _allow("ReadOwnBudgets", "budgets", "ListTagsForResource ViewBudget", _budgets(scope))


def _watch(scope: Scope) -> Iterator[Grant]:
    yield _allow(
        "ChangeOwnAlarms",
        "cloudwatch",
        "DeleteAlarms PutCompositeAlarm PutMetricAlarm TagResource UntagResource",
        scope.own("cloudwatch", "alarm:"),
    )
    yield _allow("ChangeOwnDashboards", "cloudwatch", "DeleteDashboards PutDashboard", _dashboards(scope))
    yield _allow(
        "ChangeOwnTopics",
        "sns",
        "CreateTopic DeleteTopic SetSubscriptionAttributes SetTopicAttributes Subscribe TagResource Unsubscribe "
        "UntagResource",
        scope.own("sns", ""),
    )
    yield _allow(
        "ChangeOwnQueues",
        "sqs",
        "CreateQueue DeleteQueue SetQueueAttributes TagQueue UntagQueue",
        scope.own("sqs", ""),
    )
    yield _allow(
        "ChangeOwnSchedules",
        "scheduler",
        "CreateSchedule DeleteSchedule UpdateSchedule",
        scope.own("scheduler", "schedule/default/"),
    )
    yield _allow("ChangeOwnBudgets", "budgets", "ModifyBudget TagResource UntagResource", _budgets(scope))


def _dashboards(scope: Scope) -> tuple[str, ...]:
    """Dashboards are of no region."""
    return (f"arn:{scope.names.partition}:cloudwatch::{scope.names.account}:dashboard/{scope.prefix}*",)


def _budgets(scope: Scope) -> tuple[str, ...]:
    """Budgets are of no region."""
    return (f"arn:{scope.names.partition}:budgets::{scope.names.account}:budget/{scope.prefix}*",)


# The status page


def _page_reading(scope: Scope) -> Iterator[Grant]:
    # All that the provider asks of every bucket, whatever the program says of it.
    yield _allow(
        "ReadOwnBuckets",
        "s3",
        "GetAccelerateConfiguration GetBucketAcl GetBucketCORS GetBucketLocation GetBucketLogging "
        "GetBucketObjectLockConfiguration GetBucketOwnershipControls GetBucketPolicy GetBucketPublicAccessBlock "
        "GetBucketRequestPayment GetBucketTagging GetBucketVersioning GetBucketWebsite GetEncryptionConfiguration "
        "GetLifecycleConfiguration GetReplicationConfiguration ListBucket ListBucketVersions",
        scope.own_buckets(),
    )
    yield _allow("ReadOwnPages", "s3", "GetObject GetObjectTagging", scope.own_buckets("*"))
    yield _allow(
        "ReadOwnDistributions",
        "cloudfront",
        "GetDistribution GetDistributionConfig ListTagsForResource",
        _edge(scope, "distribution"),
        scope.tagged,
    )
    # Neither named, in an ARN, nor tagged.
    yield _allow(
        "ReadPageSettings",
        "cloudfront",
        "GetOriginAccessControl GetResponseHeadersPolicy",
        _edge(scope, *PAGE_SETTINGS),
    )


def _page(scope: Scope) -> Iterator[Grant]:
    yield _allow(
        "ChangeOwnBuckets",
        "s3",
        "CreateBucket DeleteBucket DeleteBucketPolicy PutBucketOwnershipControls PutBucketPolicy "
        "PutBucketPublicAccessBlock PutBucketTagging PutBucketVersioning PutEncryptionConfiguration "
        "PutLifecycleConfiguration",
        scope.own_buckets(),
    )
    yield _allow(
        "ChangeOwnPages",
        "s3",
        "DeleteObject DeleteObjectVersion PutObject PutObjectTagging",
        scope.own_buckets("*"),
    )
    distributions = _edge(scope, "distribution")
    # AWS knows no condition of it: what is made without tags can be claimed, and changed then.
    yield _allow("MakeDistributions", "cloudfront", "CreateDistribution", distributions)
    yield from _tagged(scope, "Distributions", "cloudfront:TagResource", "cloudfront:UntagResource", distributions)
    yield _allow(
        "ChangeOwnDistributions", "cloudfront", "DeleteDistribution UpdateDistribution", distributions, scope.tagged
    )
    yield _allow(
        "ChangePageSettings",
        "cloudfront",
        "CreateOriginAccessControl CreateResponseHeadersPolicy DeleteOriginAccessControl DeleteResponseHeadersPolicy "
        "UpdateOriginAccessControl UpdateResponseHeadersPolicy",
        _edge(scope, *PAGE_SETTINGS),
    )


def _edge(scope: Scope, *kinds: str) -> tuple[str, ...]:
    """CloudFront is of no region, and makes up every id."""
    return tuple(f"arn:{scope.names.partition}:cloudfront::{scope.names.account}:{kind}/*" for kind in kinds)


# The release, what its hooks call, and Pulumi's own state


def _release_reading(scope: Scope) -> Iterator[Grant]:
    yield from _state_reading(scope)
    yield _allow(
        "ReadOwnDeployments",
        "codedeploy",
        "GetApplication GetApplicationRevision GetDeployment GetDeploymentConfig GetDeploymentGroup ListDeployments "
        "ListTagsForResource",
        scope.own("codedeploy", "application:", "deploymentconfig:", "deploymentgroup:"),
    )
    standard = scope.any("codedeploy", "deploymentconfig:CodeDeployDefault.")
    yield _allow("ReadStandardConfigs", "codedeploy", "GetDeploymentConfig", standard)
    yield _allow(
        "ReadOwnParameters",
        "ssm",
        "GetParameter ListTagsForResource",
        _parameters(scope),
    )
    yield _allow("DescribeParameters", "ssm", "DescribeParameters", ("*",))
    stacks = "*" if scope.every else f"{scope.names.stack}/*"
    yield _allow("ReadApprovals", "s3", "GetObject", (scope.names.bucket_arn("ledger", f"approvals/{stacks}"),))
    # Without it S3 answers for an approval that is missing that access is denied.
    yield _allow("ListLedger", "s3", "ListBucket", (scope.names.bucket_arn("ledger"),))
    yield use_bucket_key(scope.names, "ledger", "kms:Decrypt")


def _release(scope: Scope) -> Iterator[Grant]:
    yield from _state(scope)
    yield _allow(
        "ChangeOwnDeployments",
        "codedeploy",
        "CreateApplication CreateDeployment CreateDeploymentConfig CreateDeploymentGroup DeleteApplication "
        "DeleteDeploymentConfig DeleteDeploymentGroup RegisterApplicationRevision TagResource UntagResource "
        "UpdateDeploymentGroup",
        scope.own("codedeploy", "application:", "deploymentconfig:", "deploymentgroup:"),
    )
    yield _allow("StopDeployments", "codedeploy", "StopDeployment", ("*",))  # supports no resource
    yield _allow(
        "ChangeOwnParameters",
        "ssm",
        "AddTagsToResource DeleteParameter PutParameter RemoveTagsFromResource",
        _parameters(scope),
    )
    records = scope.names.bucket_arn("ledger", f"entries/{scope.names.stack}/*")
    yield _allow("Record", "s3", "PutObject", (records,))
    yield use_bucket_key(scope.names, "ledger", "kms:GenerateDataKey")


def _parameters(scope: Scope) -> tuple[str, ...]:
    """Parameters are named by path; see `naming.Names.pointer`."""
    stacks = "*" if scope.every else f"{scope.names.stack}/*"
    return (scope.names.arn("ssm", f"parameter/{scope.names.project}/{stacks}"),)


def _state_reading(scope: Scope) -> Iterator[Grant]:
    """Read the state, and decrypt what is secret in it: a preview needs both."""
    yield _allow("ReadState", "s3", "GetObject GetObjectVersion", _state_files(scope, "meta.yaml"))
    yield _allow("ListState", "s3", "ListBucket", (scope.names.bucket_arn("state"),))
    yield _allow(
        "DecryptState",
        "kms",
        "Decrypt DescribeKey",
        scope.any("kms", "key/"),
        {"ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{scope.names.of_account('state')}"}},
    )


def _state(scope: Scope) -> Iterator[Grant]:
    yield _allow("WriteOwnState", "s3", "DeleteObject PutObject", _state_files(scope))
    yield _allow(
        "EncryptState",
        "kms",
        "Encrypt GenerateDataKey",
        scope.any("kms", "key/"),
        {"ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{scope.names.of_account('state')}"}},
    )


def _state_files(scope: Scope, *more: str) -> tuple[str, ...]:
    """The files of a stack's state: `.pulumi/KIND/PROJECT/STACK…`, as Pulumi's S3 backend lays them out."""
    stack = f"{scope.names.project}/{'*' if scope.every else scope.names.stack}"
    files = (f"stacks/{stack}.json*", f"history/{stack}/*", f"backups/{stack}/*", f"locks/organization/{stack}/*")
    return tuple(scope.names.bucket_arn("state", f".pulumi/{file}") for file in (*files, *more))


# Roles


def _identity_reading(scope: Scope) -> Iterator[Grant]:
    yield _allow(
        "ReadOwnRoles",
        "iam",
        "GetRole GetRolePolicy ListAttachedRolePolicies ListInstanceProfilesForRole ListRolePolicies",
        scope.own_iam("role"),
    )
    yield _allow("ReadOwnProfiles", "iam", "GetInstanceProfile", scope.own_iam("instance-profile"))


def _identity(scope: Scope) -> Iterator[Grant]:
    """Make roles under the boundary, and only such; the boundary goes by their tags, which therefore stay."""
    roles = scope.own_iam("role")
    bounded: Conditions = {"StringEquals": {"iam:PermissionsBoundary": scope.names.boundary}}
    yield _allow("MakeBoundedRoles", "iam", "CreateRole", roles, both(bounded, scope.tagging))
    yield _allow("GrantWithinBoundary", "iam", "PutRolePermissionsBoundary PutRolePolicy", roles, bounded)
    yield _allow(
        "ChangeOwnRoles",
        "iam",
        "DeleteRole DeleteRolePolicy UpdateAssumeRolePolicy UpdateRole UpdateRoleDescription",
        roles,
    )
    yield _allow("TagOwnRoles", "iam", "TagRole", roles, scope.keeping)
    yield _allow("UntagOwnRoles", "iam", "UntagRole", roles, scope.untagging)
    services = [f"{service}.amazonaws.com" for service in ACTING]
    yield _allow("PassOwnRoles", "iam", "PassRole", roles, {"StringEquals": {"iam:PassedToService": services}})
    yield _allow(
        "ChangeOwnProfiles",
        "iam",
        "AddRoleToInstanceProfile CreateInstanceProfile DeleteInstanceProfile RemoveRoleFromInstanceProfile "
        "TagInstanceProfile UntagInstanceProfile",
        scope.own_iam("instance-profile"),
    )
    linked = [f"{service}.amazonaws.com" for service in LINKED]
    yield _allow(
        "LetServicesMakeTheirRoles",
        "iam",
        "CreateServiceLinkedRole",
        [scope.names.iam(f"role/aws-service-role/{service}/*") for service in linked],
        {"StringEquals": {"iam:AWSServiceName": linked}},
    )


# AWS attaches ten policies to a role, each of 6,144 characters: what is small shares one.
_SUBJECTS: dict[str, tuple[_Table, _Table]] = {
    "network": (_network_reading, _network),
    "machines": (_machines_reading, _machines),
    "data": (_data_reading, _data),
    "secrets": (_secrets_reading, _secrets),
    "functions": (_functions_reading, _functions),
    "artifacts": (_artifacts_reading, _artifacts),
    "service": (_service_reading, _service),
    "page": (_page_reading, _page),
    "release": (_release_reading, _release),
    "identity": (_identity_reading, _identity),
}
