"""What a request must be allowed: actions, resources and condition keys, after the Service Authorization Reference.

`reference.txt` says which types of resources an action is authorised on; the tables here say in which parameter a
request names one, what else the caller needs (passing a role, tagging what is made, using a key), and which condition
keys the request carries.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote, unquote

from sandbox.cloud.iam import reference
from sandbox.cloud.iam.policy import Check

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sandbox.cloud.iam.requests import Operation


class Known(Protocol):
    """What the account holds, as far as a request names a thing otherwise than by its ARN."""

    def find(self, kind: str, identifier: str) -> str:
        """Return a thing's ARN (or what the kind says), or an empty text."""

    def tags(self, arn: str) -> Mapping[str, str]:
        """Return the tags of a thing."""

    def aliases(self, key: str) -> list[str]:
        """Return the names of a key's aliases."""


class UnmappedError(Exception):
    """A request whose actions and resources this module does not know; the message says so."""


# By service and type: the resource's part of the ARN, and the parameters that may name one. A name in front of ":" is
# looked up in the account first.
_R: Final = "arn:aws:{service}:{region}:{account}:"
_TYPES: Final[dict[str, dict[str, tuple[str, tuple[str, ...]]]]] = {
    "ec2": {
        "dhcp-options": ("dhcp-options/{}", ("DhcpOptionsId",)),
        "egress-only-internet-gateway": ("egress-only-internet-gateway/{}", ("EgressOnlyInternetGatewayId",)),
        "elastic-ip": ("elastic-ip/{}", ("AllocationId",)),
        "instance": ("instance/{}", ("InstanceId",)),
        "image": ("image/{}", ("ImageId",)),
        "internet-gateway": ("internet-gateway/{}", ("InternetGatewayId",)),
        "launch-template": ("launch-template/{}", ("LaunchTemplateId", "LaunchTemplateName")),
        "natgateway": ("natgateway/{}", ("NatGatewayId",)),
        "network-acl": ("network-acl/{}", ("NetworkAclId",)),
        "network-interface": ("network-interface/{}", ("NetworkInterfaceId",)),
        "route-table": ("route-table/{}", ("RouteTableId", "AddRouteTableId", "RemoveRouteTableId")),
        "security-group": (
            "security-group/{}",
            (
                "GroupId",
                "SecurityGroupId",
                "AddSecurityGroupId",
                "RemoveSecurityGroupId",
                "NetworkInterface.SecurityGroupId",
            ),
        ),
        "security-group-rule": ("security-group-rule/{}", ("SecurityGroupRule.SecurityGroupRuleId",)),
        "subnet": ("subnet/{}", ("SubnetId", "AddSubnetId", "RemoveSubnetId", "NetworkInterface.SubnetId")),
        "volume": ("volume/{}", ("VolumeId",)),
        "vpc": ("vpc/{}", ("VpcId",)),
        "vpc-endpoint": ("vpc-endpoint/{}", ("VpcEndpointId",)),
        "vpc-flow-log": ("vpc-flow-log/{}", ("FlowLogId",)),
    },
    "rds": {
        "db": (
            "db:{}",
            (
                "DBInstanceIdentifier",
                "DBInstanceIdentifiers",
                "SourceDBInstanceIdentifier",
                "TargetDBInstanceIdentifier",
            ),
        ),
        "og": ("og:{}", ("OptionGroupName",)),
        "pg": (
            "pg:{}",
            ("DBParameterGroupName", "SourceDBParameterGroupIdentifier", "TargetDBParameterGroupIdentifier"),
        ),
        "proxy": ("db-proxy:{}", ("DBProxyName",)),
        "proxy-endpoint": ("db-proxy-endpoint:{}", ("DBProxyEndpointName",)),
        "snapshot": (
            "snapshot:{}",
            ("DBSnapshotIdentifier", "SourceDBSnapshotIdentifier", "TargetDBSnapshotIdentifier", "SnapshotIdentifier"),
        ),
        "subgrp": ("subgrp:{}", ("DBSubnetGroupName",)),
        "target-group": ("target-group:{}", ("TargetGroupArn", "DBProxyName")),
    },
    "lambda": {
        "code-signing-config": ("code-signing-config:{}", ("CodeSigningConfigArn",)),
        "eventsourcemapping": ("event-source-mapping:{}", ("UUID",)),
        "function": ("function:{}", ("FunctionName",)),
        "layer": ("layer:{}", ("LayerName",)),
    },
    "kms": {"alias": ("{}", ("AliasName",)), "key": ("key/{}", ("KeyId", "TargetKeyId"))},
    "secretsmanager": {"secret": ("secret:{}", ("SecretId", "Name"))},
    "ssm": {
        "document": ("document/{}", ("Name", "DocumentName")),
        "instance": ("instance/{}", ("Target",)),
        "parameter": ("parameter/{}", ("Name", "Names", "Path")),
        "servicesetting": ("servicesetting{}", ("SettingId",)),
        "session": ("session/{}", ("SessionId",)),
    },
    "sns": {"topic": ("{}", ("TopicArn", "TargetArn", "SubscriptionArn", "Name"))},
    "sqs": {"queue": ("{}", ("QueueUrl", "QueueName"))},
    "logs": {
        # What AWS compares has a stream's part, if an empty one: a policy needs `:*` after a group's name.
        "log-group": (
            "log-group:{}:log-stream:",
            ("logGroupName", "logGroupNames", "logGroupIdentifier", "logGroupIdentifiers", "resourceIdentifier"),
        ),
        "destination": ("destination:{}", ("destinationName",)),
    },
    "cloudwatch": {
        "alarm": ("alarm:{}", ("AlarmName", "AlarmNames")),
        "dashboard": ("dashboard/{}", ("DashboardName", "DashboardNames")),
    },
    "events": {
        "archive": ("archive/{}", ("ArchiveName",)),
        "event-bus": ("event-bus/{}", ("EventBusName", "Name", "Entries.EventBusName")),
    },
    "scheduler": {"schedule-group": ("schedule-group/{}", ("Name",))},
    "signer": {
        "signing-job": ("/signing-jobs/{}", ("jobId",)),
        "signing-profile": ("/signing-profiles/{}", ("profileName",)),
    },
    "backup": {
        "backupplan": ("backup-plan:{}", ("backupPlanId",)),
        "backupvault": ("backup-vault:{}", ("backupVaultName",)),
        "recoverypoint": ("recovery-point:{}", ("recoveryPointArn",)),
    },
    "cloudfront": {
        "distribution": ("distribution/{}", ("Id", "DistributionId")),
        "origin-access-control": ("origin-access-control/{}", ("Id",)),
        "response-headers-policy": ("response-headers-policy/{}", ("Id",)),
    },
    "cloudtrail": {"trail": ("trail/{}", ("Name", "TrailName"))},
    "budgets": {
        "budget": ("budget/{}", ("BudgetName", "Budget.BudgetName", "NewBudget.BudgetName")),
        "budgetaction": ("budget/{}/action/*", ("BudgetName",)),
    },
    "iam": {
        "group": ("group/{}", ("GroupName",)),
        "instance-profile": ("instance-profile/{}", ("InstanceProfileName",)),
        "mfa": ("mfa/{}", ("SerialNumber", "VirtualMFADeviceName")),
        "oidc-provider": ("oidc-provider/{}", ("OpenIDConnectProviderArn", "Url")),
        "policy": ("policy/{}", ("PolicyArn", "PolicyName")),
        "role": ("role/{}", ("RoleName", "AWSServiceName")),
        "saml-provider": ("saml-provider/{}", ("SAMLProviderArn", "Name")),
        "server-certificate": ("server-certificate/{}", ("ServerCertificateName",)),
        "user": ("user/{}", ("UserName",)),
    },
    "codedeploy": {
        "application": ("application:{}", ("applicationName", "applicationNames")),
        "deploymentconfig": ("deploymentconfig:{}", ("deploymentConfigName",)),
    },
    "sts": {"role": ("role/{}", ("RoleArn",))},
    "servicequotas": {"quota": ("{}", ("ServiceCode",))},
}
# Where a resource's ARN has no region, or is another service's.
_ARNS: Final = {
    "budgets": "arn:aws:budgets::{account}:",
    "cloudfront": "arn:aws:cloudfront::{account}:",
    "ec2/image": "arn:aws:ec2:{region}::",
    "iam": "arn:aws:iam::{account}:",
    "sts": "arn:aws:iam::{account}:",
    "cloudwatch/dashboard": "arn:aws:cloudwatch::{account}:",
    "ssm/instance": "arn:aws:ec2:{region}:{account}:",
    "lambda/layer": _R,
}
# Types whose ids AWS makes up: what a request names by name is looked up.
_LOOKED_UP: Final = frozenset(
    {
        "iam/role",
        "iam/user",
        "iam/group",
        "kms/key",
        "secretsmanager/secret",
        "rds/proxy",
        "rds/proxy-endpoint",
        "rds/target-group",
    }
)
# Operations that are authorised by another action's name.
_RENAMED: Final = {
    "lambda:Invoke": "InvokeFunction",
    "lambda:InvokeWithResponseStream": "InvokeFunction",
    "lambda:InvokeAsync": "InvokeFunction",
    "lambda:GetLayerVersionByArn": "GetLayerVersion",
    "lambda:ListFunctionsByCodeSigningConfig": "ListFunctionsByCodeSigningConfig",
    "cloudfront:CreateDistributionWithTags": "CreateDistribution",
    "sns:PublishBatch": "Publish",
    "sqs:SendMessageBatch": "SendMessage",
    "sqs:DeleteMessageBatch": "DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
    "budgets:CreateBudget": "ModifyBudget",
    "budgets:UpdateBudget": "ModifyBudget",
    "budgets:DeleteBudget": "ModifyBudget",
    "budgets:CreateNotification": "ModifyBudget",
    "budgets:UpdateNotification": "ModifyBudget",
    "budgets:DeleteNotification": "ModifyBudget",
    "budgets:CreateSubscriber": "ModifyBudget",
    "budgets:UpdateSubscriber": "ModifyBudget",
    "budgets:DeleteSubscriber": "ModifyBudget",
    "budgets:DescribeBudget": "ViewBudget",
    "budgets:DescribeBudgets": "ViewBudget",
    "budgets:DescribeNotificationsForBudget": "ViewBudget",
    "budgets:DescribeSubscribersForNotification": "ViewBudget",
    "budgets:DescribeBudgetPerformanceHistory": "ViewBudget",
}
# The role that a request hands to a service, and which service.
_PASSED: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "lambda:CreateFunction": (("Role", "lambda"),),
    "lambda:UpdateFunctionConfiguration": (("Role", "lambda"),),
    "rds:CreateDBInstance": (("MonitoringRoleArn", "monitoring.rds"),),
    "rds:ModifyDBInstance": (("MonitoringRoleArn", "monitoring.rds"),),
    "rds:RestoreDBInstanceToPointInTime": (("MonitoringRoleArn", "monitoring.rds"),),
    "rds:CreateDBProxy": (("RoleArn", "rds"),),
    "rds:ModifyDBProxy": (("RoleArn", "rds"),),
    "scheduler:CreateSchedule": (("Target.RoleArn", "scheduler"),),
    "scheduler:UpdateSchedule": (("Target.RoleArn", "scheduler"),),
    "events:PutRule": (("RoleArn", "events"),),
    "events:PutTargets": (("Targets.RoleArn", "events"),),
    "codedeploy:CreateDeploymentGroup": (("serviceRoleArn", "codedeploy"),),
    "codedeploy:UpdateDeploymentGroup": (("serviceRoleArn", "codedeploy"),),
    "backup:CreateBackupSelection": (("BackupSelection.IamRoleArn", "backup"),),
    "backup:StartBackupJob": (("IamRoleArn", "backup"),),
    "backup:StartRestoreJob": (("IamRoleArn", "backup"),),
    "backup:StartCopyJob": (("IamRoleArn", "backup"),),
    "ec2:CreateFlowLogs": (("DeliverLogsPermissionArn", "vpc-flow-logs"),),
    "cloudtrail:CreateTrail": (("CloudWatchLogsRoleArn", "cloudtrail"),),
    "cloudtrail:UpdateTrail": (("CloudWatchLogsRoleArn", "cloudtrail"),),
    "logs:PutSubscriptionFilter": (("roleArn", "logs"),),
    "apigateway:POST": (("credentialsArn", "apigateway"), ("authorizerCredentialsArn", "apigateway")),
    "apigateway:PATCH": (("credentialsArn", "apigateway"), ("authorizerCredentialsArn", "apigateway")),
    "iam:AddRoleToInstanceProfile": (("RoleName", "ec2"),),
    "budgets:CreateBudgetAction": (("ExecutionRoleArn", "budgets"),),
    "ssm:PutParameter": (),
}
# What tags a thing as it is made: the action, and where its tags stand.
_TAGGING: Final[dict[str, tuple[str, str]]] = {
    "rds": ("AddTagsToResource", "Tags"),
    "lambda": ("TagResource", "Tags"),
    "kms": ("TagResource", "Tags"),
    "secretsmanager": ("TagResource", "Tags"),
    "ssm": ("AddTagsToResource", "Tags"),
    "sns": ("TagResource", "Tags"),
    "sqs": ("TagQueue", "tags"),
    "logs": ("TagResource", "tags"),
    "cloudwatch": ("TagResource", "Tags"),
    "events": ("TagResource", "Tags"),
    "scheduler": ("TagResource", "Tags"),
    "signer": ("TagResource", "tags"),
    "backup": ("TagResource", "BackupVaultTags|BackupPlanTags"),
    "cloudfront": ("TagResource", "Tags"),
    "cloudtrail": ("AddTags", "TagsList"),
    "budgets": ("TagResource", "ResourceTags"),
    "codedeploy": ("TagResource", "tags"),
}
# What an operation makes that is authorised on the whole service: its tags are authorised on the thing.
_MADE: Final = {
    "lambda:CreateCodeSigningConfig": "code-signing-config",
    "rds:CreateDBProxy": "proxy",
    "signer:PutSigningProfile": "signing-profile",
}
_IAM_TAGGING: Final = {
    "CreateRole": "TagRole",
    "CreateUser": "TagUser",
    "CreatePolicy": "TagPolicy",
    "CreateInstanceProfile": "TagInstanceProfile",
    "CreateOpenIDConnectProvider": "TagOpenIDConnectProvider",
}
_NAMED: Final = ("ResourceArn", "ResourceName", "ResourceARN", "Resource", "TrailName", "ResourceId", "ResourceIdList")
_EC2_IDS: Final = {
    "acl": "network-acl",
    "dopt": "dhcp-options",
    "eigw": "egress-only-internet-gateway",
    "eipalloc": "elastic-ip",
    "eni": "network-interface",
    "fl": "vpc-flow-log",
    "i": "instance",
    "igw": "internet-gateway",
    "lt": "launch-template",
    "nat": "natgateway",
    "rtb": "route-table",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "subnet": "subnet",
    "vol": "volume",
    "vpc": "vpc",
    "vpce": "vpc-endpoint",
}
_CONTEXT: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    # condition key by parameters that give its value
    "iam": {"iam:permissionsboundary": ("PermissionsBoundary",), "iam:awsservicename": ("AWSServiceName",)},
    "lambda": {
        "lambda:layer": ("Layers",),
        "lambda:principal": ("Principal",),
        "lambda:functionurlauthtype": ("FunctionUrlAuthType", "AuthType"),
        "lambda:codesigningconfigarn": ("CodeSigningConfigArn",),
        "lambda:subnetids": ("VpcConfig.SubnetIds",),
        "lambda:securitygroupids": ("VpcConfig.SecurityGroupIds",),
    },
    "rds": {
        "rds:databaseclass": ("DBInstanceClass",),
        "rds:databaseengine": ("Engine",),
        "rds:databasename": ("DBName",),
        "rds:multiaz": ("MultiAZ",),
        "rds:storageencrypted": ("StorageEncrypted",),
        "rds:managemasteruserpassword": ("ManageMasterUserPassword",),
        "rds:piops": ("Iops",),
        "rds:storagesize": ("AllocatedStorage",),
    },
    "secretsmanager": {
        "secretsmanager:name": ("Name",),
        "secretsmanager:kmskeyid": ("KmsKeyId",),
        "secretsmanager:versionid": ("VersionId",),
        "secretsmanager:versionstage": ("VersionStage",),
        "secretsmanager:rotationlambdaarn": ("RotationLambdaARN",),
        "secretsmanager:forcedeletewithoutrecovery": ("ForceDeleteWithoutRecovery",),
        "secretsmanager:recoverywindowindays": ("RecoveryWindowInDays",),
    },
    "ssm": {"ssm:overwrite": ("Overwrite",), "ssm:recursive": ("Recursive",)},
    "sns": {"sns:protocol": ("Protocol",), "sns:endpoint": ("Endpoint",)},
    "cloudwatch": {"cloudwatch:namespace": ("Namespace",), "cloudwatch:alarmactions": ("AlarmActions",)},
    "events": {
        "events:source": ("Entries.Source",),
        "events:detail-type": ("Entries.DetailType",),
        "events:targetarn": ("Targets.Arn",),
    },
    "sts": {"sts:externalid": ("ExternalId",), "sts:rolesessionname": ("RoleSessionName",)},
    "ec2": {"ec2:vpceservicename": ("ServiceName",)},
    "backup": {"backup:minretentiondays": ("MinRetentionDays",), "backup:maxretentiondays": ("MaxRetentionDays",)},
}
_LISTS: Final = frozenset(
    {
        "lambda:layer",
        "lambda:subnetids",
        "lambda:securitygroupids",
        "cloudwatch:alarmactions",
        "events:source",
        "events:detail-type",
        "events:targetarn",
    }
)
_TAG_KEYS: Final = ("TagKeys", "TagKey", "tagKeys")


def checks(operation: Operation, known: Known) -> list[Check]:
    """Return everything that a request must be allowed, the action of its own name first.

    Raises:
        UnmappedError: the operation is none that this module knows.
    """
    name = renamed(operation.service, operation.name)
    if name.startswith("ReEncrypt"):
        pairs = [(f"kms:{name}{end}", arn) for end, arn in _re_encrypted(operation, known)]
    elif operation.service == "apigateway":
        pairs = [(operation.action, _gateway(operation))]
    else:
        types = reference.actions().get(operation.service, {}).get(name)
        if types is None:
            msg = (
                f"the sandbox does not know what {operation.action} is authorised on: add it to "
                "sandbox/cloud/iam/reference.txt"
            )
            raise UnmappedError(msg)
        action = f"{operation.service}:{name}"
        pairs = [(action, arn) for arn in dict.fromkeys(_resources(operation, name, types, known))]
    asked = _requested(operation, known)
    own = [
        Check(action=action, resource=arn, context={**described(action, arn, known), **asked}) for action, arn in pairs
    ]
    return [*own, *_more(operation, name, own, known)]


def renamed(service: str, operation: str) -> str:
    """Return the name of the action that an operation is authorised by."""
    return _RENAMED.get(f"{service}:{operation}", operation)


def described(action: str, arn: str, known: Known) -> dict[str, Any]:
    """Return the condition keys that describe a resource: its tags and account, aliases, who offers it."""
    service = action.partition(":")[0]
    parts = arn.split(":", 5)
    context: dict[str, Any] = {}
    if len(parts) == 6 and re.fullmatch(r"\d{12}", parts[4]):
        context["aws:resourceaccount"] = parts[4]
    if arn != "*" and not arn.endswith(("/*", ":*")):
        for key, value in known.tags(arn).items():
            context[f"aws:resourcetag/{key}".lower()] = value
            context[f"{service}:resourcetag/{key}".lower()] = value
    if service == "kms" and ":key/" in arn:
        context["kms:resourcealiases"] = known.aliases(arn)
    if service == "ec2" and len(parts) == 6:
        kind, _, identifier = parts[5].partition("/")
        if vpc := known.find(f"vpc of {kind}", identifier):
            context["ec2:vpc"] = ":".join([*parts[:5], f"vpc/{vpc}"])
        if kind == "image" and (owner := known.find("ec2/owner of image", identifier)):
            context["ec2:owner"] = owner
    return context


def _resources(operation: Operation, name: str, types: Iterable[str], known: Known) -> Iterator[str]:
    """Yield the ARNs that an action is authorised on, at least one."""
    found = False
    for one in types:
        kind, required = one.rstrip("*"), one.endswith("*")
        if kind == reference.WHOLE_SERVICE:
            continue
        arns = [*(_named(operation) if kind == reference.NAMED else _of_type(operation, name, kind, known))]
        if not arns and required:
            arns = [_wildcard(operation, kind)]
        found = found or bool(arns)
        yield from arns
    if not found:
        first = next(iter(types)).rstrip("*")
        yield "*" if first in (reference.WHOLE_SERVICE, reference.NAMED) else _wildcard(operation, first)


def _base(operation: Operation, kind: str) -> str:
    template = _ARNS.get(f"{operation.service}/{kind}") or _ARNS.get(operation.service) or _R
    return template.format(service=operation.service, region=operation.region, account=operation.account)


def _wildcard(operation: Operation, kind: str) -> str:
    """Return the ARN of all of a type: by it AWS authorises what has no id yet, and what names none."""
    if operation.service == "logs":
        return f"{_base(operation, kind)}log-group::log-stream:"
    template, _ = _TYPES.get(operation.service, {}).get(kind, (f"{kind}/{{}}", ()))
    return _base(operation, kind) + template.format("*")


def _of_type(operation: Operation, name: str, kind: str, known: Known) -> Iterator[str]:
    special = _SPECIAL.get(f"{operation.service}/{kind}")
    if special is not None:
        yield from special(operation, name, known)
        return
    template, parameters = _TYPES.get(operation.service, {}).get(kind, ("", ()))
    for identifier in operation.values(*parameters):
        if identifier.startswith("arn:"):
            yield identifier
        elif f"{operation.service}/{kind}" in _LOOKED_UP and (
            arn := known.find(f"{operation.service}/{kind}", identifier)
        ):
            yield arn
        elif f"{operation.service}/{kind}" in ("rds/proxy", "rds/proxy-endpoint", "rds/target-group"):
            yield _wildcard(operation, kind)
        else:
            yield _base(operation, kind) + template.format(identifier)


def _named(operation: Operation) -> Iterator[str]:
    """Yield what a request about tags names."""
    for identifier in operation.values(*_NAMED):
        if operation.service == "logs":
            yield identifier.removesuffix(":*")
        elif identifier.startswith("arn:"):
            yield identifier
        elif operation.service == "ec2" and (kind := _EC2_IDS.get(identifier.partition("-")[0])):
            yield f"{_base(operation, kind)}{kind}/{identifier}"
        elif operation.service == "ssm":
            kind = operation.value("ResourceType").lower() or "parameter"
            yield f"{_base(operation, kind)}{kind}/{identifier.lstrip('/')}"


# -- resources that are not named by one parameter --------------------------------------------------------------------


def _function(operation: Operation, name: str, _known: Known) -> Iterator[str]:
    """A function: with the alias or version only where AWS authorises on that."""
    for given in operation.values("FunctionName"):
        arn = given
        if not given.startswith("arn:"):
            partial = given.rpartition("function:")[2]  # 123456789012:function:name is accepted too
            arn = f"{_base(operation, 'function')}function:{partial}"
        bare, qualifier = ":".join(arn.split(":")[:7]), ":".join(arn.split(":")[7:])
        qualifier = qualifier or operation.value("Qualifier")
        yield f"{bare}:{qualifier}" if qualifier and name in _QUALIFIED else bare


_QUALIFIED: Final = frozenset(
    {
        "InvokeFunction",
        "InvokeFunctionUrl",
        "AddPermission",
        "RemovePermission",
        "GetPolicy",
        "GetFunction",
        "GetFunctionConfiguration",
        "PutProvisionedConcurrencyConfig",
        "GetProvisionedConcurrencyConfig",
        "DeleteProvisionedConcurrencyConfig",
    }
)


def _version(operation: Operation, name: str, known: Known) -> Iterator[str]:
    yield from _function(operation, name, known)


def _layer_version(operation: Operation, _name: str, _known: Known) -> Iterator[str]:
    if arn := operation.value("Arn"):
        yield arn
    elif layer := operation.value("LayerName"):
        base = layer if layer.startswith("arn:") else f"{_base(operation, 'layer')}layer:{layer}"
        yield f"{base}:{operation.value('VersionNumber') or '*'}"


def _key(operation: Operation, name: str, known: Known) -> Iterator[str]:
    """A key, also where an alias names it; Decrypt finds it in what it is to decrypt."""
    identifier = operation.value("KeyId", "TargetKeyId")
    if not identifier and name == "DeleteAlias":
        identifier = operation.value("AliasName")
    if not identifier and (blob := operation.value("CiphertextBlob")):
        identifier = known.find("kms/ciphertext", blob)
    if not identifier:
        return
    if arn := known.find("kms/key", identifier):
        yield arn
    elif identifier.startswith("arn:"):
        yield identifier
    else:
        yield f"{_base(operation, 'key')}{identifier if identifier.startswith('alias/') else f'key/{identifier}'}"


def _re_encrypted(operation: Operation, known: Known) -> Iterator[tuple[str, str]]:
    source = operation.value("SourceKeyId") or known.find("kms/ciphertext", operation.value("CiphertextBlob"))
    for end, identifier in (("From", source), ("To", operation.value("DestinationKeyId"))):
        yield end, known.find("kms/key", identifier) or f"{_base(operation, 'key')}key/{identifier}"


def _parameter(operation: Operation, name: str, _known: Known) -> Iterator[str]:
    for given in operation.values("Path") if name == "GetParametersByPath" else operation.values("Name", "Names"):
        bare = given if given.startswith("arn:") else re.sub(r":[\w.-]+$", "", given)  # without version or label
        yield bare if bare.startswith("arn:") else f"{_base(operation, 'parameter')}parameter/{bare.lstrip('/')}"


def _document(operation: Operation, name: str, _known: Known) -> Iterator[str]:
    document = operation.value("DocumentName") if name == "StartSession" else operation.value("Name")
    if name == "StartSession":
        document = document or "SSM-SessionManagerRunShell"
    if document:
        account = "" if document.startswith("AWS-") else operation.account
        yield f"arn:aws:ssm:{operation.region}:{account}:document/{document}"


def _topic(operation: Operation, _name: str, _known: Known) -> Iterator[str]:
    if arn := operation.value("TopicArn", "TargetArn", "ResourceArn"):
        yield arn
    elif arn := operation.value("SubscriptionArn"):
        yield ":".join(arn.split(":")[:6])
    elif topic := operation.value("Name"):
        yield _base(operation, "topic") + topic


def _queue(operation: Operation, _name: str, _known: Known) -> Iterator[str]:
    if url := operation.value("QueueUrl"):
        owner, queue = (["", *url.rstrip("/").split("/")])[-2:]
        account = owner if re.fullmatch(r"\d{12}", owner) else operation.account
        yield f"arn:aws:sqs:{operation.region}:{account}:{queue}"
    elif queue := operation.value("QueueName"):
        yield _base(operation, "queue") + queue
    elif arn := operation.value("SourceArn"):
        yield arn


def _log_group(operation: Operation, _name: str, _known: Known) -> Iterator[str]:
    _, parameters = _TYPES["logs"]["log-group"]
    for given in operation.values(*parameters):
        group = given.partition(":log-group:")[2].removesuffix(":*") if given.startswith("arn:") else given
        yield f"{_base(operation, 'log-group')}log-group:{group}:log-stream:"


def _log_stream(operation: Operation, name: str, known: Known) -> Iterator[str]:
    for group in _log_group(operation, name, known):
        yield group + operation.value("logStreamName")


def _rule(operation: Operation, _name: str, _known: Known) -> Iterator[str]:
    bus = operation.value("EventBusName").rpartition("/")[2] or "default"
    for rule in operation.values("Name", "Rule"):
        yield f"{_base(operation, 'rule')}rule/{rule if bus == 'default' else f'{bus}/{rule}'}"


def _bus(operation: Operation, name: str, _known: Known) -> Iterator[str]:
    buses = (
        operation.values("Entries.EventBusName") if name == "PutEvents" else operation.values("EventBusName", "Name")
    )
    entries = {key.split(".")[1] for key in operation.parameters if key.startswith("Entries.")}
    if name == "PutEvents" and len(buses) < len(entries):
        buses = [*buses, "default"]
    for bus in buses or ["default"]:
        yield bus if bus.startswith("arn:") else f"{_base(operation, 'event-bus')}event-bus/{bus}"


def _schedule(operation: Operation, _name: str, _known: Known) -> Iterator[str]:
    group = operation.value("GroupName") or "default"
    for schedule in operation.values("Name"):
        yield f"{_base(operation, 'schedule')}schedule/{group}/{schedule}"


def _policy(operation: Operation, name: str, _known: Known) -> Iterator[str]:
    if name == "CreatePolicy":
        path = operation.value("Path") or "/"
        yield f"{_base(operation, 'policy')}policy{path}{operation.value('PolicyName')}"
    elif arn := operation.value("PolicyArn"):
        yield arn


def _role(operation: Operation, name: str, known: Known) -> Iterator[str]:
    base = f"{_base(operation, 'role')}role"
    if name == "CreateServiceLinkedRole":
        yield f"{base}/aws-service-role/{operation.value('AWSServiceName')}/*"
    for given in operation.values("RoleName"):
        path = (operation.value("Path") or "/") if name == "CreateRole" else "/"
        yield known.find("iam/role", given) or f"{base}{path}{given}"


def _user(operation: Operation, name: str, known: Known) -> Iterator[str]:
    for given in operation.values("UserName"):
        path = (operation.value("Path") or "/") if name == "CreateUser" else "/"
        yield known.find("iam/user", given) or f"{_base(operation, 'user')}user{path}{given}"


def _oidc_provider(operation: Operation, _name: str, _known: Known) -> Iterator[str]:
    if arn := operation.value("OpenIDConnectProviderArn"):
        yield arn
    elif url := operation.value("Url"):
        yield f"{_base(operation, 'oidc-provider')}oidc-provider/{url.partition('://')[2] or url}"


def _deployment_group(operation: Operation, _name: str, known: Known) -> Iterator[str]:
    application = operation.value("applicationName")
    groups = operation.values("deploymentGroupName", "currentDeploymentGroupName", "deploymentGroupNames")
    for group in groups if application else ():
        yield f"{_base(operation, 'deploymentgroup')}deploymentgroup:{application}/{group}"
    for deployment in operation.values("deploymentId", "deploymentIds"):
        if found := known.find("codedeploy/deployment", deployment):
            yield f"{_base(operation, 'deploymentgroup')}deploymentgroup:{found}"


def _launch_template(operation: Operation, name: str, known: Known) -> Iterator[str]:
    """A template by id, also where its name is given; one that is to be made has no id yet."""
    if name == "CreateLaunchTemplate":
        return
    for given in operation.values(*_TEMPLATES):
        identifier = known.find("ec2/launch-template", given) or given
        yield f"{_base(operation, 'launch-template')}launch-template/{identifier}"


_TEMPLATES: Final = (
    "LaunchTemplateId",
    "LaunchTemplateName",
    "LaunchTemplate.LaunchTemplateId",
    "LaunchTemplate.LaunchTemplateName",
)


def _of_template(operation: Operation, what: str, known: Known) -> str:
    """Return what the template of a launch says, where there is one."""
    template = operation.value("LaunchTemplate.LaunchTemplateId", "LaunchTemplate.LaunchTemplateName")
    return known.find(f"ec2/{what} of template", f"{template} {operation.value('LaunchTemplate.Version')}".strip())


def _image(operation: Operation, _name: str, known: Known) -> Iterator[str]:
    given = operation.value("ImageId") or _of_template(operation, "image", known)
    if given:
        yield f"{_base(operation, 'image')}image/{known.find('ec2/image', given) or given}"


def _volume(operation: Operation, name: str, _known: Known) -> Iterator[str]:
    """A volume; one that comes with an instance has no id yet."""
    if name == "RunInstances":
        yield _wildcard(operation, "volume")
    for identifier in operation.values("VolumeId"):
        yield f"{_base(operation, 'volume')}volume/{identifier}"


def _vpc(operation: Operation, name: str, known: Known) -> Iterator[str]:
    identifiers = operation.values("VpcId")
    if name == "CreateFlowLogs":
        identifiers = [one for one in operation.values("ResourceId") if one.startswith("vpc-")]
    for identifier in identifiers:
        yield f"{_base(operation, 'vpc')}vpc/{identifier}"
    if not identifiers and name == "CreateSecurityGroup" and (default := known.find("ec2/default vpc", "")):
        yield f"{_base(operation, 'vpc')}vpc/{default}"


def _route_table(operation: Operation, _name: str, known: Known) -> Iterator[str]:
    tables = operation.values("RouteTableId", "AddRouteTableId", "RemoveRouteTableId")
    if not tables and (association := operation.value("AssociationId")):
        tables = [one for one in [known.find("ec2/association", association)] if one]
    for table in tables:
        yield f"{_base(operation, 'route-table')}route-table/{table}"


def _trail(operation: Operation, _name: str, _known: Known) -> Iterator[str]:
    for given in operation.values("Name", "TrailName"):
        yield given if given.startswith("arn:") else f"{_base(operation, 'trail')}trail/{given}"


def _quota(operation: Operation, _name: str, _known: Known) -> Iterator[str]:
    if code := operation.value("QuotaCode"):
        yield f"arn:aws:servicequotas:{operation.region}:{operation.account}:{operation.value('ServiceCode')}/{code}"


_SPECIAL: Final[dict[str, Any]] = {
    "lambda/function": _function,
    "lambda/function-alias": _version,
    "lambda/function-version": _version,
    "lambda/layerversion": _layer_version,
    "kms/key": _key,
    "ssm/parameter": _parameter,
    "ssm/document": _document,
    "sns/topic": _topic,
    "sqs/queue": _queue,
    "logs/log-group": _log_group,
    "logs/log-stream": _log_stream,
    "events/rule-on-default-event-bus": _rule,
    "events/rule-on-custom-event-bus": _rule,
    "events/event-bus": _bus,
    "scheduler/schedule": _schedule,
    "iam/policy": _policy,
    "iam/role": _role,
    "iam/user": _user,
    "iam/oidc-provider": _oidc_provider,
    "codedeploy/deploymentgroup": _deployment_group,
    "ec2/image": _image,
    "ec2/launch-template": _launch_template,
    "ec2/volume": _volume,
    "ec2/vpc": _vpc,
    "ec2/route-table": _route_table,
    "cloudtrail/trail": _trail,
    "servicequotas/quota": _quota,
}


def _gateway(operation: Operation) -> str:
    """API Gateway names a resource by the path of the request, and no account."""
    path = operation.path.removeprefix("/v2").rstrip("/")
    if path.startswith("/tags/"):
        path = f"/tags/{quote(unquote(path.removeprefix('/tags/')), safe='')}"
    return f"arn:aws:apigateway:{operation.region}::{path}"


# -- condition keys and further permissions ---------------------------------------------------------------------------


def _requested(operation: Operation, known: Known) -> dict[str, Any]:
    """Return the condition keys that a request carries in its parameters."""
    context: dict[str, Any] = {}
    for key, parameters in _CONTEXT.get(operation.service, {}).items():
        if values := operation.values(*parameters):
            context[key] = values if key in _LISTS else values[0]
    if operation.service == "iam":
        if "iam:permissionsboundary" not in context and (
            boundary := known.find("iam/boundary", operation.value("RoleName") or operation.value("UserName"))
        ):
            # Of a role that exists, the key is the boundary that it has.
            context["iam:permissionsboundary"] = boundary
        if operation.name.startswith(("Attach", "Detach")):
            context["iam:policyarn"] = operation.value("PolicyArn")
    if operation.service == "sts" and operation.value("SerialNumber"):
        context["aws:multifactorauthpresent"] = "true"  # if the code is right, which STS itself sees to: see `assume`
    if operation.service == "kms":
        context["kms:calleraccount"] = operation.account
        if (alias := operation.value("KeyId")).startswith("alias/") or ":alias/" in alias:
            context["kms:requestalias"] = f"alias/{alias.partition('alias/')[2]}"
        pairs = {
            name.split(".", 1)[1]: value
            for name, value in operation.parameters.items()
            if name.startswith("EncryptionContext.")
        }
        context.update({f"kms:encryptioncontext:{name}".lower(): value for name, value in pairs.items()})
        if pairs:
            context["kms:encryptioncontextkeys"] = list(pairs)
    if operation.service == "lambda" and (function := operation.value("FunctionName")):
        context["lambda:functionarn"] = next(iter(_function(operation, "", known)), function)
    context.update(_tag_keys(_tags(operation), operation.values(*_TAG_KEYS) if "ntag" in operation.name else ()))
    if operation.service == "ec2" and operation.name == "DeleteTags":
        context.update(_tag_keys((), [value for value, _ in operation.tags("Tag")]))
    return context


def _tags(operation: Operation) -> list[tuple[str, str]]:
    if operation.service == "ec2":
        return operation.tags("Tag", r"TagSpecification\.\d+\.Tag") if operation.name != "DeleteTags" else []
    places = _TAGGING.get(operation.service, ("", ""))[1].split("|")
    return operation.tags(*dict.fromkeys(["Tags", "Tag", *filter(None, places)]))


def _tag_keys(tags: Iterable[tuple[str, str]], keys: Iterable[str] = ()) -> dict[str, Any]:
    pairs = list(tags)
    names = list(dict.fromkeys([*(key for key, _ in pairs), *keys]))
    context: dict[str, Any] = {f"aws:requesttag/{key}".lower(): value for key, value in pairs}
    return {**context, "aws:tagkeys": names} if names else context


def _more(operation: Operation, name: str, own: list[Check], known: Known) -> Iterator[Check]:
    """Yield what the caller needs besides the action of the operation's own name."""
    yield from _tagging(operation, name, own, known)
    for parameter, service in _PASSED.get(f"{operation.service}:{name}", ()):
        for given in operation.values(parameter):
            arn = given if given.startswith("arn:") else known.find("iam/role", given)
            if arn:
                context = {**described("iam:PassRole", arn, known), "iam:passedtoservice": f"{service}.amazonaws.com"}
                yield Check(action="iam:PassRole", resource=arn, context=context)
    through = {
        "backup": _for_backup,
        "codedeploy": _for_codedeploy,
        "ec2": _for_ec2,
        "lambda": _for_lambda,
        "rds": _for_rds,
        "secretsmanager": _for_secrets,
        "signer": _for_signer,
        "apigateway": _for_gateway,
    }
    if operation.service in through:
        yield from through[operation.service](operation, name, own, known)


def _tagging(operation: Operation, name: str, own: list[Check], known: Known) -> Iterator[Check]:
    """What is tagged as it is made needs the right to tag, for itself."""
    if operation.service == "ec2" and not name.endswith("Tags"):
        specifications: dict[str, str] = {}
        for key, kind in operation.parameters.items():
            if found := re.fullmatch(r"TagSpecification\.(\d+)\.ResourceType", key):
                specifications[found[1]] = kind
        for number, kind in specifications.items():
            tags = operation.tags(rf"TagSpecification\.{number}\.Tag")
            context = {**_tag_keys(tags), "ec2:createaction": name}
            yield Check(action="ec2:CreateTags", resource=f"{_base(operation, kind)}{kind}/*", context=context)
        return
    tags = _tags(operation)
    makes = name.startswith(("Create", "Put", "Copy", "Start", "Restore")) and "Tag" not in name
    if not (tags and makes):
        return
    action = _IAM_TAGGING.get(name, "") if operation.service == "iam" else _TAGGING.get(operation.service, ("", ""))[0]
    if not action or operation.service == "apigateway":
        return
    resources = [check.resource for check in own[:1]]
    if made := _MADE.get(f"{operation.service}:{name}"):
        named = operation.service == "signer"  # the others' ids AWS makes up
        resources = [*_of_type(operation, name, made, known)] if named else [_wildcard(operation, made)]
    if operation.service == "logs":
        resources = [one.removesuffix(":log-stream:") for one in resources]  # tagging alone names the group bare
    for arn in resources:
        yield Check(action=f"{operation.service}:{action}", resource=arn, context=_tag_keys(tags))


def _use_of_key(
    identifier: str, actions: Iterable[str], service: str, operation: Operation, known: Known, **context: str
) -> Iterator[Check]:
    """The use of a customer's key through a service; AWS's own keys need nothing."""
    arn = known.find("kms/key", identifier) if identifier else ""
    if not arn:
        return
    keys = {
        **described("kms:Use", arn, known),
        "kms:viaservice": f"{service}.{operation.region}.amazonaws.com",
        "kms:calleraccount": operation.account,
    }
    for action in actions:
        granted = {"kms:grantisforawsresource": "true"} if action == "CreateGrant" else {}
        yield Check(action=f"kms:{action}", resource=arn, context={**keys, **granted, **context})


def _for_secrets(operation: Operation, name: str, own: list[Check], known: Known) -> Iterator[Check]:
    arn = own[0].resource
    if name == "RotateSecret" and (
        function := operation.value("RotationLambdaARN") or known.find("secretsmanager/rotation", arn)
    ):
        context = described("lambda:", function, known)
        yield Check(action="lambda:InvokeFunction", resource=function, context=context)
    if name not in ("GetSecretValue", "PutSecretValue", "UpdateSecret", "CreateSecret"):
        return
    key = operation.value("KmsKeyId") or known.find("secretsmanager/key", arn)
    writes = name == "PutSecretValue" or bool(operation.value("SecretString", "SecretBinary", "KmsKeyId"))
    if name != "GetSecretValue" and not writes:
        return
    actions = ("Decrypt",) if name == "GetSecretValue" else ("GenerateDataKey", "Decrypt")
    context = {"kms:encryptioncontext:secretarn": arn}
    yield from _use_of_key(key, actions, "secretsmanager", operation, known, **context)


def _for_rds(operation: Operation, name: str, _own: list[Check], known: Known) -> Iterator[Check]:
    """RDS makes grants on keys, and the master's secret, as its caller."""
    if name not in ("CreateDBInstance", "ModifyDBInstance", "RestoreDBInstanceFromDBSnapshot", "CreateDBProxy"):
        return
    if name == "CreateDBInstance":
        yield from _use_of_key(operation.value("KmsKeyId"), ("DescribeKey", "CreateGrant"), "rds", operation, known)
    if operation.value("ManageMasterUserPassword") == "true" and name == "CreateDBInstance":
        arn = f"arn:aws:secretsmanager:{operation.region}:{operation.account}:secret:rds!db-*"
        for action in ("CreateSecret", "TagResource"):
            yield Check(action=f"secretsmanager:{action}", resource=arn, context={})
        actions = ("DescribeKey", "CreateGrant", "GenerateDataKey", "Decrypt")
        yield from _use_of_key(operation.value("MasterUserSecretKmsKeyId"), actions, "secretsmanager", operation, known)


def _for_lambda(operation: Operation, name: str, _own: list[Check], known: Known) -> Iterator[Check]:
    """Lambda looks at the network, reads the code and the layers, and uses the key, as its caller."""
    bucket, key = (
        operation.value("Code.S3Bucket", "Content.S3Bucket", "S3Bucket"),
        operation.value("Code.S3Key", "Content.S3Key", "S3Key"),
    )
    if bucket and key:
        versioned = operation.value("Code.S3ObjectVersion", "Content.S3ObjectVersion", "S3ObjectVersion")
        action = "s3:GetObjectVersion" if versioned else "s3:GetObject"
        yield Check(action=action, resource=f"arn:aws:s3:::{bucket}/{key}", context={})
    if name not in ("CreateFunction", "UpdateFunctionConfiguration"):
        return
    for layer in operation.values("Layers"):
        yield Check(action="lambda:GetLayerVersion", resource=layer, context=described("lambda:", layer, known))
    if operation.values("VpcConfig.SubnetIds"):
        for action in ("DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs"):
            yield Check(action=f"ec2:{action}", resource="*", context={})
    yield from _use_of_key(operation.value("KMSKeyArn"), ("CreateGrant", "Encrypt"), "lambda", operation, known)


def _for_ec2(operation: Operation, name: str, _own: list[Check], known: Known) -> Iterator[Check]:
    """An instance gets its role, its image and the key of its disk as the caller may give them."""
    if name != "RunInstances":
        return
    profile = operation.value("IamInstanceProfile.Arn", "IamInstanceProfile.Name")
    if role := known.find("iam/role of profile", profile or _of_template(operation, "profile", known)):
        context = {**described("iam:PassRole", role, known), "iam:passedtoservice": "ec2.amazonaws.com"}
        yield Check(action="iam:PassRole", resource=role, context=context)
    given = operation.value("ImageId") or _of_template(operation, "image", known)
    if given.startswith(_ALIAS):
        parameter = given.removeprefix(_ALIAS).lstrip("/")
        account = "" if parameter.startswith("aws/service/") else operation.account
        arn = f"arn:aws:ssm:{operation.region}:{account}:parameter/{parameter}"
        yield Check(action="ssm:GetParameters", resource=arn, context={})
    key = operation.value("BlockDeviceMapping.Ebs.KmsKeyId") or _of_template(operation, "key", known)
    yield from _use_of_key(key, _FOR_DISKS, "ec2", operation, known)


# https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
_FOR_DISKS: Final = ("DescribeKey", "CreateGrant", "GenerateDataKeyWithoutPlaintext", "Decrypt")
_ALIAS: Final = "resolve:ssm:"


def _for_backup(operation: Operation, name: str, _own: list[Check], known: Known) -> Iterator[Check]:
    """A vault's storage and key are given to AWS Backup by whoever makes it."""
    if name != "CreateBackupVault":
        return
    yield Check(action="backup-storage:MountCapsule", resource="*", context={})
    actions = ("CreateGrant", "GenerateDataKey", "Decrypt", "RetireGrant", "DescribeKey")
    yield from _use_of_key(operation.value("EncryptionKeyArn"), actions, "backup", operation, known)


def _for_gateway(operation: Operation, name: str, _own: list[Check], _known: Known) -> Iterator[Check]:
    """The gateway sets up the delivery of access logs as its caller; these actions support no resource."""
    if name in ("POST", "PATCH") and operation.value("accessLogSettings.destinationArn"):
        for action in ("CreateLogDelivery", "DescribeResourcePolicies", "PutResourcePolicy"):
            yield Check(action=f"logs:{action}", resource="*", context={})


def _for_signer(operation: Operation, name: str, _own: list[Check], _known: Known) -> Iterator[Check]:
    """Signer reads and writes objects as its caller; the signed object's name it makes up itself."""
    if name == "StartSigningJob":
        source = "/".join(operation.values("source.s3.bucketName") + operation.values("source.s3.key"))
        yield Check(action="s3:GetObjectVersion", resource=f"arn:aws:s3:::{source}", context={})
        bucket, prefix = operation.value("destination.s3.bucketName"), operation.value("destination.s3.prefix")
        yield Check(action="s3:PutObject", resource=f"arn:aws:s3:::{bucket}/{prefix}*", context={})


def _for_codedeploy(operation: Operation, name: str, _own: list[Check], _known: Known) -> Iterator[Check]:
    if name == "CreateDeployment":
        base = _base(operation, "application")
        configuration = operation.value("deploymentConfigName")
        if configuration:
            arn = f"{base}deploymentconfig:{configuration}"
            yield Check(action="codedeploy:GetDeploymentConfig", resource=arn, context={})
        application = f"{base}application:{operation.value('applicationName')}"
        yield Check(action="codedeploy:RegisterApplicationRevision", resource=application, context={})
        if any(name.startswith("overrideAlarmConfiguration.") for name in operation.parameters):
            named = f"{operation.value('applicationName')}/{operation.value('deploymentGroupName')}"
            group = f"{base}deploymentgroup:{named}"
            yield Check(action="codedeploy:UpdateDeploymentGroup", resource=group, context={})
