"""An independent witness: the AWS command line sees what the stacks declare, property by property.

Every input of every resource in the exported states is compared with what AWS's own client shows of it; what no
operation shows is listed as unseen, and why. The provider's table is not asked: it may be wrong in both directions.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.aws_cli import Cli, Declared, Shown, differences
from tests.support.checkout import Checkout

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e
REGION = "eu-central-1"


def last(text: str) -> str:
    """The id at an ARN's end."""
    return text.replace("/", ":").rpartition(":")[2]


def days(since: float, until: float) -> int:
    """The whole days from one time to another."""
    return round((until - since) / 86400)


TAGS = {"tagsAll": "Tags"}
BUCKET = "--bucket <bucket>"
API = "--api-id <apiId>"
PROXY = "--db-proxy-name <dbProxyName>"
ALARMS = "cloudwatch describe-alarms --alarm-types MetricAlarm CompositeAlarm"
ROLES = "iam get-account-authorization-details --filter Role"
POLICIES = "iam get-account-authorization-details --filter LocalManagedPolicy"
NETWORK = {
    "ec2/vpc:Vpc": Shown(
        reads=[
            ("ec2 describe-vpcs", "Vpcs[?VpcId=='<id>']|[0]"),
            ("ec2 describe-vpc-attribute --vpc-id <id> --attribute enableDnsHostnames", "{Hosts: EnableDnsHostnames}"),
            ("ec2 describe-vpc-attribute --vpc-id <id> --attribute enableDnsSupport", "{Dns: EnableDnsSupport}"),
        ],
        members={"enableDnsHostnames": "Hosts.Value", "enableDnsSupport": "Dns.Value", **TAGS},
    ),
    "ec2/subnet:Subnet": Shown(
        reads=[("ec2 describe-subnets", "Subnets[?SubnetId=='<id>']|[0]")],
        members={
            "enableResourceNameDnsARecordOnLaunch": "PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsARecord",
            "enableResourceNameDnsAaaaRecordOnLaunch": "PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsAAAARecord",
            **TAGS,
        },
    ),
    "ec2/routeTable:RouteTable": Shown(
        reads=[("ec2 describe-route-tables", "RouteTables[?RouteTableId=='<id>']|[0]")],
        # The network's own addresses are always routed; beside them there must be what was declared and nothing else.
        members={"routes": "Routes[?GatewayId!='local']", **TAGS},
    ),
    "ec2/routeTableAssociation:RouteTableAssociation": Shown(
        reads=[("ec2 describe-route-tables", "RouteTables[].Associations[]|[?RouteTableAssociationId=='<id>']|[0]")]
    ),
    "ec2/defaultSecurityGroup:DefaultSecurityGroup": Shown(
        reads=[("ec2 describe-security-groups", "SecurityGroups[?GroupId=='<id>']|[0]")],
        members={"egress": "IpPermissionsEgress", "ingress": "IpPermissions", **TAGS},
        unseen=["revokeRulesOnDelete"],
    ),
    "ec2/securityGroup:SecurityGroup": Shown(
        reads=[("ec2 describe-security-groups", "SecurityGroups[?GroupId=='<id>']|[0]")],
        members={"name": "GroupName", **TAGS},
        unseen=["revokeRulesOnDelete"],
    ),
    **{
        f"vpc/securityGroup{way}Rule:SecurityGroup{way}Rule": Shown(
            reads=[
                (
                    "ec2 describe-security-group-rules",
                    f"SecurityGroupRules[?SecurityGroupRuleId=='<id>' && IsEgress==`{egress}`]|[0]",
                )
            ],
            members={
                "referencedSecurityGroupId": "ReferencedGroupInfo.GroupId",
                "securityGroupId": "GroupId",
                **TAGS,
            },
        )
        for way, egress in (("Ingress", "false"), ("Egress", "true"))
    },
    "ec2/vpcEndpoint:VpcEndpoint": Shown(
        reads=[("ec2 describe-vpc-endpoints", "VpcEndpoints[?VpcEndpointId=='<id>']|[0]")],
        members={"policy": "PolicyDocument", "securityGroupIds": "Groups[].GroupId", **TAGS},
    ),
    "ec2/flowLog:FlowLog": Shown(
        reads=[("ec2 describe-flow-logs", "FlowLogs[?FlowLogId=='<id>']|[0]")],
        members={"iamRoleArn": "DeliverLogsPermissionArn", "vpcId": "ResourceId", **TAGS},
    ),
    "cloudwatch/logGroup:LogGroup": Shown(
        reads=[("logs describe-log-groups", "logGroups[?logGroupName=='<name>']|[0]")],
        unseen=["skipDestroy", "tagsAll"],
    ),
}
DATABASE = {
    "kms/key:Key": Shown(
        reads=[
            ("kms describe-key --key-id <id>", "KeyMetadata"),
            ("kms get-key-rotation-status --key-id <id>", "@"),
            ("kms get-key-policy --key-id <id> --policy-name default", "{Policy: Policy}"),
            ("kms list-resource-tags --key-id <id>", "{Tags: Tags}"),
        ],
        members={"enableKeyRotation": "KeyRotationEnabled", "isEnabled": "Enabled", **TAGS},
        # How it is deleted, and whether its policy may lock everybody out.
        unseen=["bypassPolicyLockoutSafetyCheck", "deletionWindowInDays"],
    ),
    "kms/alias:Alias": Shown(reads=[("kms list-aliases", "Aliases[?AliasName=='<name>']|[0]")]),
    "rds/subnetGroup:SubnetGroup": Shown(
        reads=[("rds describe-db-subnet-groups", "DBSubnetGroups[?DBSubnetGroupName=='<name>']|[0]")],
        members={
            "description": "DBSubnetGroupDescription",
            "subnetIds": "Subnets[].SubnetIdentifier",
        },
        unseen=["tagsAll"],
    ),
    "rds/parameterGroup:ParameterGroup": Shown(
        reads=[
            ("rds describe-db-parameter-groups", "DBParameterGroups[?DBParameterGroupName=='<name>']|[0]"),
            ("rds describe-db-parameters --db-parameter-group-name <name> --source user", "@"),
        ],
        members={
            "family": "DBParameterGroupFamily",
            "parameters.name": "ParameterName",
            "parameters.value": "ParameterValue",
        },
        unseen=["skipDestroy", "tagsAll"],
    ),
    "rds/instance:Instance": Shown(
        reads=[("rds describe-db-instances", "DBInstances[?DBInstanceIdentifier=='<identifier>']|[0]")],
        members={
            "backupWindow": "PreferredBackupWindow",
            "caCertIdentifier": "CACertificateIdentifier",
            "dbSubnetGroupName": "DBSubnetGroup.DBSubnetGroupName",
            # A major version is asked for, and a minor one runs.
            "engineVersion": lambda shown: shown["EngineVersion"].split(".")[0],
            "instanceClass": "DBInstanceClass",
            "maintenanceWindow": "PreferredMaintenanceWindow",
            "manageMasterUserPassword": "MasterUserSecret.SecretStatus=='active'",
            "masterUserSecretKmsKeyId": lambda shown: last(shown["MasterUserSecret"]["KmsKeyId"]),
            "parameterGroupName": "DBParameterGroups[0].DBParameterGroupName",
            "port": "Endpoint.Port",
            "username": "MasterUsername",
            "vpcSecurityGroupIds": "VpcSecurityGroups[].VpcSecurityGroupId",
            "tagsAll": "TagList",
        },
        # How it is changed and deleted.
        unseen=["applyImmediately", "deleteAutomatedBackups", "finalSnapshotIdentifier", "skipFinalSnapshot"],
    ),
    "rds/proxy:Proxy": Shown(
        reads=[("rds describe-db-proxies", "DBProxies[?DBProxyName=='<name>']|[0]")],
        members={"auths": "Auth", "requireTls": "RequireTLS"},
        unseen=["tagsAll"],
    ),
    "rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup": Shown(
        reads=[(f"rds describe-db-proxy-target-groups {PROXY}", "TargetGroups[?IsDefault]|[0]")]
    ),
    "rds/proxyTarget:ProxyTarget": Shown(
        reads=[
            (
                f"rds describe-db-proxy-targets {PROXY} --target-group-name <targetGroupName>",
                "Targets[?RdsResourceId=='<dbInstanceIdentifier>' && Type=='RDS_INSTANCE']|[0]",
            )
        ]
    ),
    "rds/snapshot:Snapshot": Shown(
        reads=[("rds describe-db-snapshots", "DBSnapshots[?DBSnapshotIdentifier=='<dbSnapshotIdentifier>']|[0]")],
        members={"tagsAll": "TagList"},
    ),
    "secretsmanager/secret:Secret": Shown(
        reads=[("secretsmanager describe-secret --secret-id <id>", "@")],
        members=TAGS,
        unseen=["forceOverwriteReplicaSecret", "recoveryWindowInDays"],
    ),
    "secretsmanager/secretRotation:SecretRotation": Shown(
        reads=[("secretsmanager describe-secret --secret-id <secretId>", "@")],
        unseen=["rotateImmediately"],
    ),
    "backup/vault:Vault": Shown(
        reads=[("backup describe-backup-vault --backup-vault-name <name>", "@")],
        members={"kmsKeyArn": "EncryptionKeyArn"},
        unseen=["forceDestroy", "tagsAll"],
    ),
    "backup/vaultLockConfiguration:VaultLockConfiguration": Shown(
        reads=[("backup describe-backup-vault --backup-vault-name <backupVaultName>", "@")],
        # What is left of the days in which the lock can be taken away again is shown as the date of their end.
        members={"changeableForDays": lambda shown: days(shown["CreationDate"], shown["LockDate"])},
    ),
    "backup/plan:Plan": Shown(
        reads=[("backup get-backup-plan --backup-plan-id <id>", "BackupPlan")],
        members={
            "name": "BackupPlanName",
            "rules.completionWindow": "CompletionWindowMinutes",
            "rules.lifecycle.deleteAfter": "DeleteAfterDays",
            "rules.schedule": "ScheduleExpression",
            "rules.startWindow": "StartWindowMinutes",
            "rules.targetVaultName": "TargetBackupVaultName",
        },
        unseen=["tagsAll"],
    ),
    "backup/selection:Selection": Shown(
        reads=[("backup get-backup-selection --backup-plan-id <planId> --selection-id <id>", "BackupSelection")],
        members={"name": "SelectionName"},
    ),
}
FUNCTIONS = {
    "lambda/layerVersion:LayerVersion": Shown(
        reads=[("lambda get-layer-version-by-arn --arn <id>", "@")],
        members={"layerName": lambda shown: last(shown["LayerArn"])},
        unseen=["code", "s3Bucket", "s3Key", "skipDestroy"],
    ),
    "lambda/function:Function": Shown(
        reads=[
            ("lambda get-function --function-name <name>", "merge(Configuration, {Tags: Tags, Limit: Concurrency})"),
            ("lambda get-function-code-signing-config --function-name <name>", "@"),
        ],
        members={
            "layers": "Layers[].Arn",
            "reservedConcurrentExecutions": "Limit.ReservedConcurrentExecutions",
            **TAGS,
        },
        # Where the code comes from, and whose hash it is: tests of the artifact and of signing compare what runs.
        unseen=["code", "publish", "s3Bucket", "s3Key", "skipDestroy", "sourceCodeHash"],
    ),
    "lambda/alias:Alias": Shown(reads=[("lambda get-alias --function-name <functionName> --name <name>", "@")]),
    "lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": Shown(
        reads=[("lambda get-function-event-invoke-config --function-name <functionName>", "@")]
    ),
    "lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig": Shown(
        reads=[
            (
                "lambda get-provisioned-concurrency-config --function-name <functionName> --qualifier <qualifier>",
                "@",
            )
        ],
        members={"provisionedConcurrentExecutions": "RequestedProvisionedConcurrentExecutions"},
        unseen=["skipDestroy"],
    ),
    "lambda/permission:Permission": Shown(
        reads=[
            (
                "lambda get-policy --function-name <function> <-qualifier>",
                "Policy.Statement[?Sid=='<statementId>']|[0]",
            )
        ],
        members={
            "principal": "Principal.Service",
            "sourceAccount": 'Condition.StringEquals."AWS:SourceAccount"',
            "sourceArn": 'Condition.ArnLike."AWS:SourceArn"',
        },
    ),
    "lambda/codeSigningConfig:CodeSigningConfig": Shown(
        reads=[("lambda get-code-signing-config --code-signing-config-arn <id>", "CodeSigningConfig")],
        members={"policies": "CodeSigningPolicies"},
        unseen=["tagsAll"],
    ),
    "signer/signingProfile:SigningProfile": Shown(
        reads=[("signer get-signing-profile --profile-name <id>", "@")],
        members={
            "namePrefix": lambda shown: shown["profileName"][: -len("20000101000000000000000001")],
            "tagsAll": "tags",
        },
    ),
    "signer/signingJob:SigningJob": Shown(
        reads=[("signer describe-signing-job --job-id <id>", "@")],
        members={
            "destination": "{s3: signedObject.s3}",
            "destination.s3.bucket": "bucketName",
            "destination.s3.prefix": lambda shown: shown["key"].rpartition("/")[0] + "/",
            "source.s3.bucket": "bucketName",
        },
        unseen=["ignoreSigningJobFailure"],
    ),
    "sqs/queue:Queue": Shown(
        reads=[("sqs get-queue-attributes --queue-url <id> --attribute-names All", "Attributes")],
        members={
            "maxMessageSize": "MaximumMessageSize",
            "messageRetentionSeconds": "MessageRetentionPeriod",
            "name": lambda shown: last(shown["QueueArn"]),
            "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
            "visibilityTimeoutSeconds": "VisibilityTimeout",
            # AWS shows these of FIFO queues alone.
            "contentBasedDeduplication": "ContentBasedDeduplication || `false`",
            "fifoQueue": "FifoQueue || `false`",
        },
        unseen=["tagsAll"],
    ),
    "scheduler/schedule:Schedule": Shown(
        reads=[("scheduler get-schedule --name <name> --group-name <groupName>", "@")]
    ),
}
SERVICE = {
    "apigatewayv2/api:Api": Shown(reads=[("apigatewayv2 get-api --api-id <id>", "@")], members=TAGS),
    "apigatewayv2/integration:Integration": Shown(
        reads=[(f"apigatewayv2 get-integrations {API}", "Items[?IntegrationId=='<id>']|[0]")],
        members={"timeoutMilliseconds": "TimeoutInMillis"},
        # An HTTP API has no templates to pass through; AWS shows it of WebSocket APIs.
        unseen=["passthroughBehavior"],
    ),
    "apigatewayv2/route:Route": Shown(
        reads=[(f"apigatewayv2 get-routes {API}", "Items[?RouteId=='<id>']|[0]")],
    ),
    "apigatewayv2/stage:Stage": Shown(
        reads=[(f"apigatewayv2 get-stages {API}", "Items[?StageName=='<name>']|[0]")], members=TAGS
    ),
    "apigatewayv2/authorizer:Authorizer": Shown(
        reads=[(f"apigatewayv2 get-authorizers {API}", "Items[?AuthorizerId=='<id>']|[0]")],
        members={"identitySources": "IdentitySource", "jwtConfiguration.audiences": "Audience"},
    ),
    "codedeploy/application:Application": Shown(
        reads=[("deploy get-application --application-name <name>", "application")], unseen=["tagsAll"]
    ),
    "codedeploy/deploymentConfig:DeploymentConfig": Shown(
        reads=[
            ("deploy get-deployment-config --deployment-config-name <deploymentConfigName>", "deploymentConfigInfo")
        ],
        members={
            "trafficRoutingConfig.timeBasedCanary.interval": "canaryInterval",
            "trafficRoutingConfig.timeBasedCanary.percentage": "canaryPercentage",
        },
    ),
    "codedeploy/deploymentGroup:DeploymentGroup": Shown(
        reads=[
            (
                (
                    "deploy get-deployment-group --application-name <appName>"
                    " --deployment-group-name <deploymentGroupName>"
                ),
                "deploymentGroupInfo",
            )
        ],
        members={"alarmConfiguration.alarms": "alarms[].name"},
        unseen=["tagsAll"],
    ),
    "ssm/parameter:Parameter": Shown(
        reads=[
            ("ssm get-parameter --name <name>", "Parameter"),
            ("ssm describe-parameters", "Parameters[?Name=='<name>']|[0].{Description: Description}"),
        ],
        members={"insecureValue": "Value"},
        unseen=["tagsAll"],
    ),
    "cloudfront/originAccessControl:OriginAccessControl": Shown(
        reads=[("cloudfront get-origin-access-control --id <id>", "OriginAccessControl.OriginAccessControlConfig")]
    ),
    "cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": Shown(
        reads=[
            (
                "cloudfront get-response-headers-policy --id <id>",
                "ResponseHeadersPolicy.ResponseHeadersPolicyConfig",
            )
        ]
    ),
    "cloudfront/distribution:Distribution": Shown(
        reads=[("cloudfront get-distribution-config --id <id>", "DistributionConfig")],
        members={
            "defaultCacheBehavior.cachedMethods": "AllowedMethods.CachedMethods",
            "origins.originId": "Id",
        },
        unseen=["retainOnDelete", "tagsAll", "waitForDeployment"],
    ),
}
WATCHING = {
    "cloudwatch/metricAlarm:MetricAlarm": Shown(
        reads=[(ALARMS, "MetricAlarms[?AlarmName=='<name>']|[0]")],
        members={
            "metricQueries": "Metrics",
            "metricQueries.metric": "MetricStat",
            "metricQueries.metric.dimensions": "Metric.Dimensions",
            "metricQueries.metric.metricName": "Metric.MetricName",
            "metricQueries.metric.namespace": "Metric.Namespace",
        },
        unseen=["tagsAll"],
    ),
    "cloudwatch/compositeAlarm:CompositeAlarm": Shown(
        reads=[(ALARMS, "CompositeAlarms[?AlarmName=='<alarmName>']|[0]")], unseen=["tagsAll"]
    ),
    "cloudwatch/dashboard:Dashboard": Shown(reads=[("cloudwatch get-dashboard --dashboard-name <dashboardName>", "@")]),
    "sns/topic:Topic": Shown(
        reads=[("sns get-topic-attributes --topic-arn <id>", "Attributes")],
        members={
            "name": lambda shown: last(shown["TopicArn"]),
            "contentBasedDeduplication": "ContentBasedDeduplication || `false`",
            "fifoTopic": "FifoTopic || `false`",
        },
        unseen=["tagsAll"],
    ),
    "sns/topicPolicy:TopicPolicy": Shown(reads=[("sns get-topic-attributes --topic-arn <arn>", "Attributes")]),
    "sns/topicSubscription:TopicSubscription": Shown(
        reads=[
            (
                "sns list-subscriptions-by-topic --topic-arn <topic>",
                "Subscriptions[?Endpoint=='<endpoint>' && Protocol=='<protocol>']|[0]",
            )
        ],
        unseen=["confirmationTimeoutInMinutes", "endpointAutoConfirms", "rawMessageDelivery"],
    ),
    "budgets/budget:Budget": Shown(
        reads=[
            ("budgets describe-budget --account-id <accountId> --budget-name <name>", "Budget"),
            (
                "budgets describe-notifications-for-budget --account-id <accountId> --budget-name <name>",
                "@",
            ),
        ],
        members={
            "costFilters": lambda shown: [{"name": k, "values": v} for k, v in shown["CostFilters"].items()],
            "limitAmount": "BudgetLimit.Amount",
            "limitUnit": "BudgetLimit.Unit",
        },
        unseen=["notifications.subscriberSnsTopicArns", "tagsAll", "timePeriodEnd"],
    ),
}
ROLE = {
    "iam/role:Role": Shown(
        reads=[(ROLES, "RoleDetailList[?RoleName=='<name>']|[0]"), ("iam get-role --role-name <name>", "Role")],
        members={
            "assumeRolePolicy": "AssumeRolePolicyDocument",
            "permissionsBoundary": "PermissionsBoundary.PermissionsBoundaryArn",
            **TAGS,
        },
        unseen=["forceDetachPolicies"],
    ),
    "iam/rolePolicy:RolePolicy": Shown(
        reads=[(ROLES, "RoleDetailList[?RoleName=='<role>'].RolePolicyList[]|[?PolicyName=='<name>']|[0]")],
        members={"policy": "PolicyDocument"},
    ),
    "iam/policy:Policy": Shown(
        reads=[
            (POLICIES, "Policies[?PolicyName=='<name>']|[0]"),
            (
                POLICIES,
                "{Document: Policies[?PolicyName=='<name>'].PolicyVersionList[]|[?IsDefaultVersion].Document|[0]}",
            ),
        ],
        members={"policy": "Document"},
        unseen=["description", "tagsAll"],
    ),
    "iam/rolePolicyAttachment:RolePolicyAttachment": Shown(
        reads=[(ROLES, "RoleDetailList[?RoleName=='<role>'].AttachedManagedPolicies[]|[?PolicyArn=='<policyArn>']|[0]")]
    ),
    "iam/instanceProfile:InstanceProfile": Shown(
        reads=[("iam get-instance-profile --instance-profile-name <name>", "InstanceProfile")],
        members={"role": "Roles[0].RoleName", **TAGS},
    ),
    "iam/openIdConnectProvider:OpenIdConnectProvider": Shown(
        reads=[("iam get-open-id-connect-provider --open-id-connect-provider-arn <id>", "@")],
        # AWS shows the issuer without its scheme.
        members={"clientIdLists": "ClientIDList", "url": lambda shown: f"https://{shown['Url']}", **TAGS},
    ),
}
STORAGE = {
    "s3/bucket:Bucket": Shown(
        reads=[
            ("s3api list-buckets", "Buckets[?Name=='<bucket>']|[0]"),
            (f"s3api get-bucket-tagging {BUCKET}", "{Tags: TagSet}"),
        ],
        members={"bucket": "Name", **TAGS},
        # The lock has a resource of its own here.
        unseen=["forceDestroy", "objectLockEnabled"],
    ),
    "s3/bucketVersioning:BucketVersioning": Shown(
        reads=[(f"s3api get-bucket-versioning {BUCKET}", "@")],
        members={"versioningConfiguration": "@"},
    ),
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": Shown(
        reads=[(f"s3api get-bucket-encryption {BUCKET}", "ServerSideEncryptionConfiguration")],
        members={"rules.applyServerSideEncryptionByDefault.kmsMasterKeyId": "KMSMasterKeyID"},
    ),
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock": Shown(
        reads=[(f"s3api get-public-access-block {BUCKET}", "PublicAccessBlockConfiguration")]
    ),
    "s3/bucketOwnershipControls:BucketOwnershipControls": Shown(
        reads=[(f"s3api get-bucket-ownership-controls {BUCKET}", "OwnershipControls")],
        members={"rule": "Rules[0]"},
    ),
    "s3/bucketPolicy:BucketPolicy": Shown(reads=[(f"s3api get-bucket-policy {BUCKET}", "@")]),
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": Shown(
        reads=[(f"s3api get-bucket-lifecycle-configuration {BUCKET}", "@")]
    ),
    "s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": Shown(
        reads=[(f"s3api get-object-lock-configuration {BUCKET}", "ObjectLockConfiguration")]
    ),
    "s3/bucketObjectv2:BucketObjectv2": Shown(
        reads=[(f"s3api head-object {BUCKET} --key <key>", "@")],
        # The bytes: those of the artifact are compared where they run.
        unseen=["content", "forceDestroy", "source", "tagsAll"],
    ),
    "ebs/encryptionByDefault:EncryptionByDefault": Shown(
        reads=[("ec2 get-ebs-encryption-by-default", "@")], members={"enabled": "EbsEncryptionByDefault"}
    ),
    "cloudtrail/trail:Trail": Shown(
        reads=[
            ("cloudtrail describe-trails", "trailList[?Name=='<name>']|[0]"),
            ("cloudtrail get-trail-status --name <id>", "{IsLogging: IsLogging}"),
            ("cloudtrail get-event-selectors --trail-name <id>", "@"),
        ],
        members={"enableLogFileValidation": "LogFileValidationEnabled", "enableLogging": "IsLogging"},
        unseen=["tagsAll"],
    ),
}
UNSHOWN = {
    # What an invocation did is in its result; AWS keeps no record of it that could be asked for.
    "lambda/invocation:Invocation",
    # The command line puts the account before S3 Control's host, and an address has no names below it.
    "s3/accountPublicAccessBlock:AccountPublicAccessBlock",
}
SHOWN = {**NETWORK, **DATABASE, **FUNCTIONS, **SERVICE, **WATCHING, **ROLE, **STORAGE}


class Witnessed:
    """A stack and its account: what was declared, and the command line to compare it with."""

    def __init__(self, checkout: Checkout, stack: str, account: str, number: str) -> None:
        self.stack = stack
        self.cli = Cli(
            endpoint=f"http://127.0.0.1:{checkout.record(f'cloud-{number}')['port']}", account=number, region=REGION
        )
        self.declared = self._exported(checkout, "--stack", stack)
        self.account = self._exported(checkout, "-C", "account", "--stack", account)

    @staticmethod
    def _exported(checkout: Checkout, *args: str) -> Declared:
        program, flags = (args[:2], args[2:]) if args[0] == "-C" else ((), args)
        return Declared.of(json.loads(checkout.ops("pulumi", "--", *program, "stack", "export", *flags).stdout))

    def differences(self, subject: dict[str, Shown], declared: Declared | None = None) -> list[str]:
        """What the command line shows otherwise of the resources of these types."""
        resources = [each for each in (declared or self.declared).resources if each.type in subject]
        self.cli.ask(command for each in resources for command in subject[each.type].commands(each))
        return [line for each in resources for line in subject[each.type].differences(self.cli, each)]


@pytest.fixture(scope="module", params=["local", pytest.param("prod", marks=pytest.mark.slow)])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witnessed]:
    """The standing rehearsal, and one of production."""
    if request.param == "local":
        request.getfixturevalue("report")
        yield Witnessed(request.getfixturevalue("checkout"), "local", "nonprod", "111122223333")
        return
    copy = Checkout.copy(tmp_path_factory.mktemp("production"))
    try:
        copy.up("prod")
        yield Witnessed(copy, "prod", "prod", "444455556666")
    finally:
        copy.end()


def test_every_type_that_is_declared_is_looked_at(stack: Witnessed) -> None:
    types = {each.type for each in [*stack.declared.resources, *stack.account.resources]}
    assert UNSHOWN == types - SHOWN.keys()


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param(NETWORK, id="network"),
        pytest.param(DATABASE, id="database"),
        pytest.param(FUNCTIONS, id="functions"),
        pytest.param(SERVICE, id="service"),
        pytest.param(WATCHING, id="alarms"),
        pytest.param(ROLE, id="roles"),
        pytest.param(STORAGE, id="storage"),
    ],
)
def test_it_is_shown_as_it_was_declared(stack: Witnessed, subject: dict[str, Shown]) -> None:
    assert [] == stack.differences(subject)


def test_what_the_account_has_once_is_shown_as_it_was_declared(stack: Witnessed) -> None:
    assert [] == stack.differences(SHOWN, stack.account)


def test_the_network_lets_through_what_is_declared_and_nothing_else(stack: Witnessed) -> None:
    network = stack.declared.one("ec2/vpc:Vpc").id
    of_network = [
        group["GroupId"]
        for group in stack.cli("ec2 describe-security-groups")["SecurityGroups"]
        if group["VpcId"] == network
    ]
    rules = [
        rule["SecurityGroupRuleId"]
        for rule in stack.cli("ec2 describe-security-group-rules")["SecurityGroupRules"]
        if rule["GroupId"] in of_network
    ]
    declared = [
        each.id
        for way in ("Ingress", "Egress")
        for each in stack.declared.all(f"vpc/securityGroup{way}Rule:SecurityGroup{way}Rule")
    ]
    assert declared
    assert sorted(declared) == sorted(rules)


def test_no_route_of_the_network_leads_out_of_it(stack: Witnessed) -> None:
    network = stack.declared.one("ec2/vpc:Vpc")
    tables = [table for table in stack.cli("ec2 describe-route-tables")["RouteTables"] if table["VpcId"] == network.id]
    routes = {(route["DestinationCidrBlock"], route["GatewayId"]) for table in tables for route in table["Routes"]}
    assert {(network.inputs["cidrBlock"], "local")} == routes
    gateways = stack.cli("ec2 describe-internet-gateways")["InternetGateways"]
    attached = [each["VpcId"] for gateway in gateways for each in gateway["Attachments"]]
    assert network.id not in attached


def test_there_are_no_alarms_but_those_declared_and_each_watches_something(stack: Witnessed) -> None:
    shown = stack.cli(ALARMS)
    ours = f"product-api-{stack.stack}-"
    names = [
        alarm["AlarmName"]
        for kind in ("MetricAlarms", "CompositeAlarms")
        for alarm in shown[kind]
        if alarm["AlarmName"].startswith(ours)
    ]
    declared = [
        *(each.inputs["name"] for each in stack.declared.all("cloudwatch/metricAlarm:MetricAlarm")),
        *(each.inputs["alarmName"] for each in stack.declared.all("cloudwatch/compositeAlarm:CompositeAlarm")),
    ]
    assert sorted(declared) == sorted(names)
    unwatching = [
        alarm["AlarmName"]
        for alarm in shown["MetricAlarms"]
        if not any("MetricStat" in query for query in alarm["Metrics"])
    ]
    assert [] == unwatching


def test_the_api_has_no_routes_and_no_integrations_but_those_declared(stack: Witnessed) -> None:
    api = stack.declared.one("apigatewayv2/api:Api").id
    for what, kind, member in (
        ("routes", "apigatewayv2/route:Route", "RouteId"),
        ("integrations", "apigatewayv2/integration:Integration", "IntegrationId"),
        ("authorizers", "apigatewayv2/authorizer:Authorizer", "AuthorizerId"),
    ):
        shown = [each[member] for each in stack.cli(f"apigatewayv2 get-{what} --api-id {api}")["Items"]]
        assert sorted(each.id for each in stack.declared.all(kind)) == sorted(shown)


def test_no_role_of_the_stack_may_do_more_than_was_declared(stack: Witnessed) -> None:
    shown = {role["RoleName"]: role for role in stack.cli(ROLES)["RoleDetailList"]}
    declared = [each for each in [*stack.declared.resources, *stack.account.resources] if each.type == "iam/role:Role"]
    policies: dict[str, Counter[str]] = {each.inputs["name"]: Counter() for each in declared}
    for each in [*stack.declared.resources, *stack.account.resources]:
        if each.type in {"iam/rolePolicy:RolePolicy", "iam/rolePolicyAttachment:RolePolicyAttachment"}:
            policies[each.inputs["role"]][each.inputs.get("policyArn", each.inputs.get("name"))] += 1
    for name, names in policies.items():
        role = shown[name]
        held = [policy["PolicyName"] for policy in role["RolePolicyList"]]
        attached = [policy["PolicyArn"] for policy in role["AttachedManagedPolicies"]]
        assert (name, names) == (name, Counter([*held, *attached]))


def test_each_function_lets_only_those_invoke_it_that_are_declared(stack: Witnessed) -> None:
    permissions: dict[tuple[str, str], list[str]] = {}
    for each in stack.declared.all("lambda/permission:Permission"):
        permissions.setdefault((each.inputs["function"], each.inputs.get("qualifier", "")), []).append(each.id)
    assert permissions
    for (function, qualifier), declared in permissions.items():
        command = f"lambda get-policy --function-name {function} {f'--qualifier {qualifier}' if qualifier else ''}"
        statements = stack.cli(command)["Policy"]["Statement"]
        assert sorted(declared) == sorted(statement["Sid"] for statement in statements)


def test_notifications_of_the_budget_reach_their_topics(stack: Witnessed) -> None:
    budget = stack.declared.one("budgets/budget:Budget")
    for notification in budget.inputs["notifications"]:
        asked = ",".join(
            f"{member}={notification[name]}"
            for name, member in (
                ("notificationType", "NotificationType"),
                ("comparisonOperator", "ComparisonOperator"),
                ("threshold", "Threshold"),
                ("thresholdType", "ThresholdType"),
            )
        )
        shown = stack.cli(
            f"budgets describe-subscribers-for-notification --account-id {stack.cli.account}"
            f" --budget-name {budget.inputs['name']} --notification {asked}"
        )["Subscribers"]
        assert sorted(notification["subscriberSnsTopicArns"]) == sorted(each["Address"] for each in shown)


def test_a_released_version_is_what_the_alias_points_at(stack: Witnessed) -> None:
    alias = stack.declared.one("lambda/alias:Alias")
    function = alias.inputs["functionName"]
    versions = stack.cli(f"lambda list-versions-by-function --function-name {function}")["Versions"]
    pointer = stack.cli(f"lambda get-alias --function-name {function} --name {alias.inputs['name']}")
    [serving] = [each for each in versions if each["Version"] == pointer["FunctionVersion"]]
    latest = stack.cli(f"lambda get-function --function-name {function}")["Configuration"]
    assert (latest["CodeSha256"], latest["Environment"]) == (serving["CodeSha256"], serving["Environment"])


@pytest.mark.parametrize(
    ("declared", "shown"),
    [
        pytest.param({"size": 1}, {"Size": 2}, id="another number"),
        pytest.param({"size": 1}, {}, id="nothing"),
        pytest.param({"on": True}, {"On": "false"}, id="another flag"),
        pytest.param({"ports": [1, 2]}, {"Ports": [1]}, id="one too few"),
        pytest.param({"ports": [1]}, {"Ports": [1, 2]}, id="one too many"),
        pytest.param({"rules": [{"port": 1}]}, {"Rules": [{"Port": 2}]}, id="another object"),
        pytest.param({"document": {"Action": "a"}}, {"Document": {"Action": "b"}}, id="another document"),
        pytest.param({"tags": [], "tagsAll": {"a": "b"}}, {"TagsAll": [{"Key": "a", "Value": "c"}]}, id="another tag"),
    ],
)
def test_a_difference_is_seen(declared: dict[str, Any], shown: dict[str, Any]) -> None:
    assert 1 == len(differences(declared, shown))
