"""One example of every emulated type: what a program gives, what it gives later, and what it needs first.

Strings `${name}` and `${name.output}` stand for the id and an output of another example. `drift` changes the resource
behind the provider's back, and names the property that must then show it.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.provider import wire

if TYPE_CHECKING:
    from collections.abc import Callable

ACCOUNT = "000000000001"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
CERTIFICATE = "arn:aws:acm:eu-central-1:000000000001:certificate/11111111-1111-4111-8111-111111111111"
HANDLER = """
def handler(event, context):
    if event.get("fail"):
        raise ValueError("asked to fail")
    return {"got": event}
"""


def policy(action: str, **principal: str) -> str:
    """A policy document of one statement."""
    statement: dict[str, Any] = {"Effect": "Allow", "Action": [action], "Resource": "*"}
    if principal:
        statement["Principal"] = principal
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def code(text: str = HANDLER) -> wire.Archive:
    """An archive with a handler, and the engine's hash of it."""
    return wire.Archive(
        assets=(("code.py", wire.Asset(text=text, digest=wire.digest(text.encode()))),),
        digest=wire.digest(text.encode()),
    )


def zipped(text: str = HANDLER) -> bytes:
    """The same as a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("code.py", text)
    return buffer.getvalue()


@dataclass(frozen=True)
class Example:
    """An example of a type.

    Attributes:
        name: by which others need it.
        token: the type.
        inputs: of the creation.
        later: what an update makes of them; None as the value takes a property away. Empty: the type has nothing to
        update.
        drift: (client of the service, resource) → the property that must show the change.
        service: whose client `drift` gets.
        importable: the id of an import, as a template; "" where AWS keeps nothing to import.
        stays: whether it is still there after its deletion, as in AWS.
    """

    name: str
    token: str
    inputs: dict[str, Any] = field(default_factory=dict)
    later: dict[str, Any] = field(default_factory=dict)
    drift: Callable[[Any, Any], str] | None = None
    service: str = ""
    importable: str = "${id}"
    stays: bool = False

    def __str__(self) -> str:
        return self.name


def _drift_tags(ec2: Any, state: Any) -> str:
    ec2.create_tags(Resources=[state.id], Tags=[{"Key": "intruder", "Value": "yes"}])
    return "tagsAll.intruder"


def _drift_template(ec2: Any, state: Any) -> str:
    ec2.create_launch_template_version(
        LaunchTemplateId=state.id, SourceVersion="1", LaunchTemplateData={"InstanceType": "t4g.small"}
    )
    return "instanceType"


def _drift_rule(ec2: Any, state: Any) -> str:
    permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=state.id, IpPermissions=[permission])
    return "ingress[1]"


def _drift_rule_description(ec2: Any, state: Any) -> str:
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIpv4": "10.0.0.0/8", "Description": "changed"}
    ec2.modify_security_group_rules(
        GroupId=state.outputs.values["securityGroupId"],
        SecurityGroupRules=[{"SecurityGroupRuleId": state.id, "SecurityGroupRule": rule}],
    )
    return "description"


def _drift_retention(logs: Any, state: Any) -> str:
    logs.put_retention_policy(logGroupName=state.id, retentionInDays=1)
    return "retentionInDays"


def _drift_signing_policy(functions: Any, state: Any) -> str:
    functions.update_code_signing_config(
        CodeSigningConfigArn=state.id, CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"}
    )
    return "policies.untrustedArtifactOnDeployment"


def _drift_provisioned(functions: Any, state: Any) -> str:
    name, _, qualifier = state.id.partition(",")
    functions.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=7
    )
    return "provisionedConcurrentExecutions"


def _drift_event_config(functions: Any, state: Any) -> str:
    functions.update_function_event_invoke_config(FunctionName=state.id, MaximumRetryAttempts=0)
    return "maximumRetryAttempts"


def _drift_secret_rotation(secrets: Any, state: Any) -> str:
    secrets.rotate_secret(SecretId=state.id, RotationRules={"AutomaticallyAfterDays": 90}, RotateImmediately=False)
    return "rotationRules.automaticallyAfterDays"


def _drift_authorizer(gateway: Any, state: Any) -> str:
    configuration = {"Issuer": "https://login.example/", "Audience": ["intruder"]}
    gateway.update_authorizer(
        ApiId=state.outputs.values["apiId"], AuthorizerId=state.id, JwtConfiguration=configuration
    )
    return "jwtConfiguration.audiences[0]"


def _drift_environment(functions: Any, state: Any) -> str:
    functions.update_function_configuration(
        FunctionName=state.id, Environment={"Variables": {"LEVEL": "debug", "MORE": "1"}}
    )
    return "environment.variables.LEVEL"


def _drift_rotation(kms: Any, state: Any) -> str:
    kms.disable_key_rotation(KeyId=state.id)
    return "enableKeyRotation"


def _drift_policy(iam: Any, state: Any) -> str:
    role, name = state.id.split(":")
    iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=policy("*"))
    return "policy"


def _drift_block(s3: Any, state: Any) -> str:
    s3.put_public_access_block(Bucket=state.id, PublicAccessBlockConfiguration={"BlockPublicAcls": False})
    return "blockPublicAcls"


def _drift_value(ssm: Any, state: Any) -> str:
    ssm.put_parameter(Name=state.id, Value="another", Overwrite=True)
    return "value"


def _drift_alias(functions: Any, state: Any) -> str:
    functions.update_alias(FunctionName=state.outputs.values["functionName"], Name="live", FunctionVersion="$LATEST")
    return "functionVersion"


def _drift_topic(sns: Any, state: Any) -> str:
    sns.set_topic_attributes(TopicArn=state.id, AttributeName="DisplayName", AttributeValue="changed")
    return "displayName"


def _drift_schedule(scheduler: Any, state: Any) -> str:
    group, name = state.id.split("/")
    found = scheduler.get_schedule(GroupName=group, Name=name)
    kept = {key: found[key] for key in ("FlexibleTimeWindow", "ScheduleExpression", "Target")}
    scheduler.update_schedule(GroupName=group, Name=name, State="ENABLED", **kept)
    return "state"


def _drift_alarm(cloudwatch: Any, state: Any) -> str:
    found = cloudwatch.describe_alarms(AlarmNames=[state.id])["MetricAlarms"][0]
    kept = {name: found[name] for name in ("AlarmName", "EvaluationPeriods", "ComparisonOperator", "Metrics")}
    cloudwatch.put_metric_alarm(**kept, Threshold=found["Threshold"] + 1)
    return "threshold"


def _drift_dashboard(cloudwatch: Any, state: Any) -> str:
    cloudwatch.put_dashboard(DashboardName=state.id, DashboardBody='{"widgets": [], "periodOverride": "auto"}')
    return "dashboardBody"


def _drift_event_rule(events: Any, state: Any) -> str:
    events.enable_rule(Name=state.id)
    return "state"


def _drift_deployment_group(codedeploy: Any, state: Any) -> str:
    values = state.outputs.values
    codedeploy.update_deployment_group(
        applicationName=values["appName"],
        currentDeploymentGroupName=values["deploymentGroupName"],
        alarmConfiguration={"enabled": False, "alarms": []},
    )
    return "alarmConfiguration.enabled"


def _drift_queue(sqs: Any, state: Any) -> str:
    sqs.set_queue_attributes(QueueUrl=state.id, Attributes={"MessageRetentionPeriod": "60"})
    return "messageRetentionSeconds"


def _drift_bucket_policy(s3: Any, state: Any) -> str:
    changed = policy("s3:GetObject", AWS=ACCOUNT).replace('"*"', f'"arn:aws:s3:::{state.id}/*"')
    s3.put_bucket_policy(Bucket=state.id, Policy=changed)
    return "policy"


def _drift_lock(s3: Any, state: Any) -> str:
    s3.put_object_lock_configuration(Bucket=state.id, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    return "rule"


def _drift_logging(trails: Any, state: Any) -> str:
    trails.stop_logging(Name=state.id)
    return "enableLogging"


def _drift_proxy(rds: Any, state: Any) -> str:
    rds.modify_db_proxy(DBProxyName=state.id, RequireTLS=False)
    return "requireTls"


def _drift_vault_policy(backup: Any, state: Any) -> str:
    changed = policy("backup:DeleteRecoveryPoint", AWS=f"arn:aws:iam::{ACCOUNT}:root")
    backup.put_backup_vault_access_policy(BackupVaultName=state.id, Policy=changed)
    return "policy"


def _drift_plan(backup: Any, state: Any) -> str:
    plan = backup.get_backup_plan(BackupPlanId=state.id)["BackupPlan"]
    (rule,) = plan["Rules"]
    kept = {name: value for name, value in rule.items() if name != "RuleId"}
    rules = [{**kept, "ScheduleExpression": "cron(0 4 * * ? *)"}]
    backup.update_backup_plan(BackupPlanId=state.id, BackupPlan={**plan, "Rules": rules})
    return "rules[0]"


def _drift_budget(budgets: Any, state: Any) -> str:
    whose = {"AccountId": ACCOUNT, "BudgetName": state.outputs.values["name"]}
    silenced = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0}
    budgets.delete_notification(**whose, Notification={**silenced, "ThresholdType": "PERCENTAGE"})
    return "notifications[0]"


def _drift_account_block(s3control: Any, state: Any) -> str:
    s3control.put_public_access_block(
        AccountId=state.id, PublicAccessBlockConfiguration={"BlockPublicAcls": False, "BlockPublicPolicy": True}
    )
    return "blockPublicAcls"


def _drift_password_policy(iam: Any, _state: Any) -> str:
    iam.update_account_password_policy(MinimumPasswordLength=8, RequireNumbers=True)
    return "minimumPasswordLength"


def _drift_encryption(ec2: Any, _state: Any) -> str:
    ec2.disable_ebs_encryption_by_default()
    return "enabled"


def _drift_group_policy(iam: Any, state: Any) -> str:
    group, name = state.id.split(":")
    iam.put_group_policy(GroupName=group, PolicyName=name, PolicyDocument=policy("*"))
    return "policy"


def _drift_membership(iam: Any, state: Any) -> str:
    values = state.outputs.values
    iam.remove_user_from_group(UserName=values["user"], GroupName=values["groups"][0])
    return "groups[0]"


def _drift_headers(cloudfront: Any, state: Any) -> str:
    found = cloudfront.get_response_headers_policy_config(Id=state.id)
    changed = {**found["ResponseHeadersPolicyConfig"], "Comment": "changed"}
    cloudfront.update_response_headers_policy(Id=state.id, IfMatch=found["ETag"], ResponseHeadersPolicyConfig=changed)
    return "comment"


def _drift_distribution(cloudfront: Any, state: Any) -> str:
    found = cloudfront.get_distribution_config(Id=state.id)
    changed = found["DistributionConfig"]
    changed["DefaultCacheBehavior"]["ViewerProtocolPolicy"] = "allow-all"
    cloudfront.update_distribution(Id=state.id, IfMatch=found["ETag"], DistributionConfig=changed)
    return "defaultCacheBehavior.viewerProtocolPolicy"


BUCKET_POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "deny",
                "Effect": "Deny",
                "Principal": "*",
                "Action": ["s3:PutObject", "s3:DeleteObject"],
                "Resource": ["arn:aws:s3:::${bucket}/secret/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
)
TRAIL_POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "cloudtrail.amazonaws.com"},
                "Action": "s3:GetBucketAcl",
                "Resource": "arn:aws:s3:::example-trail",
            },
            {
                "Effect": "Allow",
                "Principal": {"Service": "cloudtrail.amazonaws.com"},
                "Action": "s3:PutObject",
                "Resource": f"arn:aws:s3:::example-trail/AWSLogs/{ACCOUNT}/*",
                "Condition": {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}},
            },
        ],
    }
)
FUNCTION = {
    "role": "${role.arn}",
    "handler": "code.handler",
    "runtime": "python3.13",
    "architectures": ["arm64"],
    "code": code(),
    "environment": {"variables": {"LEVEL": "info"}},
    "loggingConfig": {"logFormat": "JSON", "logGroup": "${logs}"},
    "publish": True,
    "tags": {"thing": "function"},
}
INSTANCE = {
    "engine": "postgres",
    "engineVersion": "18",
    "instanceClass": "db.t4g.micro",
    "allocatedStorage": 20,
    "storageEncrypted": True,
    "username": "master",
    "manageMasterUserPassword": True,
    "dbName": "app",
    "dbSubnetGroupName": "${subnets}",
    "parameterGroupName": "${parameters}",
    "vpcSecurityGroupIds": ["${group}"],
    "enabledCloudwatchLogsExports": ["postgresql"],
    "skipFinalSnapshot": True,
    "applyImmediately": True,
    "tags": {"thing": "database"},
}

EXAMPLES = (
    Example(
        "vpc",
        "aws:ec2/vpc:Vpc",
        {"cidrBlock": "10.7.0.0/16", "enableDnsHostnames": True, "tags": {"Name": "a"}},
        {"enableDnsHostnames": False, "tags": {"Name": "b"}},
        _drift_tags,
        "ec2",
    ),
    Example(
        "subnet",
        "aws:ec2/subnet:Subnet",
        {"vpcId": "${vpc}", "cidrBlock": "10.7.1.0/24", "availabilityZone": "eu-central-1a"},
        {"mapPublicIpOnLaunch": True},
        _drift_tags,
        "ec2",
    ),
    Example(
        "second",
        "aws:ec2/subnet:Subnet",
        {"vpcId": "${vpc}", "cidrBlock": "10.7.2.0/24", "availabilityZone": "eu-central-1b"},
    ),
    Example(
        "gateway",
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        {"vpcId": "${vpc}", "serviceName": "com.amazonaws.eu-central-1.s3"},
    ),
    Example(
        "table",
        "aws:ec2/routeTable:RouteTable",
        {"vpcId": "${vpc}", "tags": {"Name": "a"}},
        {"tags": {"Name": "b", "more": "c"}},
        _drift_tags,
        "ec2",
    ),
    Example(
        "association",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        {"subnetId": "${subnet}", "routeTableId": "${table}"},
    ),
    Example(
        "default group",
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        {"vpcId": "${vpc}"},
        {"tags": {"a": "b"}},
        stays=True,
    ),
    Example(
        "group",
        "aws:ec2/securityGroup:SecurityGroup",
        {"vpcId": "${vpc}", "description": "of an example", "tags": {"Name": "a"}},
        {"tags": {"Name": "b"}},
        _drift_tags,
        "ec2",
    ),
    Example(
        "group with rules",
        "aws:ec2/securityGroup:SecurityGroup",
        {
            "vpcId": "${vpc}",
            "ingress": [
                {"protocol": "tcp", "fromPort": 443, "toPort": 443, "cidrBlocks": ["10.0.0.0/8", "172.16.0.0/12"]}
            ],
        },
        {
            "ingress": [
                {
                    "protocol": "tcp",
                    "fromPort": 443,
                    "toPort": 443,
                    "cidrBlocks": ["10.0.0.0/8"],
                    "self": True,
                    "description": "tls",
                },
                {"protocol": "tcp", "fromPort": 80, "toPort": 81, "securityGroups": ["${group}"]},
            ],
            "egress": [{"protocol": "-1", "fromPort": 0, "toPort": 0, "cidrBlocks": ["0.0.0.0/0"]}],
        },
        _drift_rule,
        "ec2",
    ),
    Example(
        "ingress",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        {
            "securityGroupId": "${group}",
            "ipProtocol": "tcp",
            "fromPort": 443,
            "toPort": 443,
            "cidrIpv4": "10.0.0.0/8",
            "description": "tls",
        },
        {"description": "more", "tags": {"a": "b"}},
        _drift_rule_description,
        "ec2",
    ),
    Example(
        "egress",
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        {"securityGroupId": "${group}", "ipProtocol": "-1", "referencedSecurityGroupId": "${group}"},
        {"description": "all within"},
    ),
    Example(
        "interface",
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        {
            "vpcId": "${vpc}",
            "vpcEndpointType": "Interface",
            "serviceName": "com.amazonaws.eu-central-1.secretsmanager",
            "subnetIds": ["${second}", "${subnet}"],
            "securityGroupIds": ["${group}"],
            "privateDnsEnabled": True,
            "policy": policy("secretsmanager:GetSecretValue", AWS="*"),
        },
        {"subnetIds": ["${subnet}"], "securityGroupIds": ["${group with rules}"], "policy": policy("*", AWS="*")},
    ),
    Example(
        "subnets",
        "aws:rds/subnetGroup:SubnetGroup",
        {"subnetIds": ["${second}", "${subnet}"], "tags": {"a": "b"}},
        {"description": "of two", "subnetIds": ["${subnet}", "${second}"]},
    ),
    Example(
        "parameters",
        "aws:rds/parameterGroup:ParameterGroup",
        {
            "family": "postgres18",
            "parameters": [
                {"name": "rds.force_ssl", "value": "1"},
                {"name": "log_min_duration_statement", "value": "500"},
            ],
        },
        {"parameters": [{"name": "log_min_duration_statement", "value": "250"}]},
    ),
    Example(
        "database",
        "aws:rds/instance:Instance",
        INSTANCE,
        {"backupRetentionPeriod": 7, "enabledCloudwatchLogsExports": ["postgresql", "upgrade"], "tags": None},
        importable="${id.identifier}",
    ),
    Example(
        "watched database",
        "aws:rds/instance:Instance",
        {
            **INSTANCE,
            "allocatedStorage": 400,
            "maxAllocatedStorage": 1000,
            "storageType": "gp3",
            "iops": 12000,
            "storageThroughput": 500,
            "multiAz": True,
            "monitoringInterval": 60,
            "monitoringRoleArn": "${role.arn}",
            "performanceInsightsEnabled": True,
            "performanceInsightsKmsKeyId": "${key.arn}",
            "performanceInsightsRetentionPeriod": 7,
            "enabledCloudwatchLogsExports": ["postgresql", "upgrade"],
            "caCertIdentifier": "rds-ca-rsa2048-g1",
            "kmsKeyId": "${key.arn}",
            "masterUserSecretKmsKeyId": "${key.arn}",
            "maintenanceWindow": "sun:04:00-sun:05:00",
            "backupWindow": "02:00-03:00",
            "backupRetentionPeriod": 35,
            "copyTagsToSnapshot": True,
            "deletionProtection": True,
            "autoMinorVersionUpgrade": False,
        },
        {
            "maxAllocatedStorage": 2000,
            "iops": 13000,
            "monitoringInterval": 30,
            "performanceInsightsRetentionPeriod": 31,
            "enabledCloudwatchLogsExports": ["postgresql"],
            "caCertIdentifier": "rds-ca-ecc384-g1",
            "maintenanceWindow": "mon:04:00-mon:05:00",
            "backupWindow": "03:00-04:00",
            "deletionProtection": False,
        },
        importable="${id.identifier}",
    ),
    Example(
        "snapshot",
        "aws:rds/snapshot:Snapshot",
        {
            "dbInstanceIdentifier": "${database.identifier}",
            "dbSnapshotIdentifier": "before-a-migration",
            "tags": {"a": "b"},
        },
        {"tags": {"a": "c"}},
    ),
    Example(
        "proxy",
        "aws:rds/proxy:Proxy",
        {
            "engineFamily": "POSTGRESQL",
            "roleArn": "${role.arn}",
            "requireTls": True,
            "vpcSubnetIds": ["${second}", "${subnet}"],
            "vpcSecurityGroupIds": ["${group}"],
            "auths": [{"authScheme": "SECRETS", "iamAuth": "DISABLED", "secretArn": "${secret}"}],
            "tags": {"a": "b"},
        },
        {
            "idleClientTimeout": 60,
            "debugLogging": True,
            "vpcSecurityGroupIds": ["${group with rules}"],
            "tags": {"a": "c"},
        },
        _drift_proxy,
        "rds",
    ),
    Example(
        "proxy pool",
        "aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup",
        {"dbProxyName": "${proxy}", "connectionPoolConfig": {"maxConnectionsPercent": 90}},
        {"connectionPoolConfig": {"maxConnectionsPercent": 80, "connectionBorrowTimeout": 30}},
        stays=True,
    ),
    Example(
        "proxy target",
        "aws:rds/proxyTarget:ProxyTarget",
        {
            "dbProxyName": "${proxy}",
            "targetGroupName": "${proxy pool.name}",
            "dbInstanceIdentifier": "${database.identifier}",
        },
    ),
    Example(
        "key",
        "aws:kms/key:Key",
        {"description": "a", "enableKeyRotation": True, "deletionWindowInDays": 7},
        {"description": "b", "enableKeyRotation": False, "tags": {"a": "b"}},
        _drift_rotation,
        "kms",
    ),
    Example(
        "flow log role",
        "aws:iam/role:Role",
        {"assumeRolePolicy": json.dumps(TRUST).replace("lambda.amazonaws.com", "vpc-flow-logs.amazonaws.com")},
    ),
    Example(
        "flow log",
        "aws:ec2/flowLog:FlowLog",
        {
            "vpcId": "${vpc}",
            "trafficType": "ALL",
            "logDestination": "${logs.arn}",
            "iamRoleArn": "${flow log role.arn}",
            "maxAggregationInterval": 60,
            "tags": {"a": "b"},
        },
        {"tags": {"a": "c"}},
        _drift_tags,
        "ec2",
    ),
    Example(
        "template",
        "aws:ec2/launchTemplate:LaunchTemplate",
        {
            "description": "a",
            "imageId": "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64",
            "instanceType": "t4g.nano",
            "iamInstanceProfile": {"arn": "${profile.arn}"},
            "metadataOptions": {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1},
            "blockDeviceMappings": [
                {
                    "deviceName": "/dev/xvda",
                    "ebs": {"encrypted": "true", "kmsKeyId": "${key.arn}", "volumeSize": 8, "volumeType": "gp3"},
                }
            ],
            "updateDefaultVersion": True,
        },
        {"description": None, "instanceType": "t4g.micro", "userData": "IyEvYmluL3NoCg==", "tags": {"a": "b"}},
        _drift_template,
        "ec2",
    ),
    Example(
        "machine",
        "aws:ec2/instance:Instance",
        {
            "launchTemplate": {"id": "${template}", "version": "$Default"},
            "subnetId": "${subnet}",
            "vpcSecurityGroupIds": ["${group}"],
            "associatePublicIpAddress": False,
            "tags": {"Name": "a"},
        },
        {"vpcSecurityGroupIds": ["${group}", "${group with rules}"], "tags": {"Name": "b"}},
        _drift_tags,
        "ec2",
    ),
    Example(
        "machine without a template",
        "aws:ec2/instance:Instance",
        {"ami": "ami-0a64c2023d4e5f607", "instanceType": "t4g.nano", "subnetId": "${second}"},
        {"tags": {"Name": "b"}},
    ),
    Example("second key", "aws:kms/key:Key", {"isEnabled": False}, {"isEnabled": True}),
    Example(
        "key alias",
        "aws:kms/alias:Alias",
        {"targetKeyId": "${key.arn}", "name": "alias/example"},
        {"targetKeyId": "${second key}"},
    ),
    Example(
        "secret",
        "aws:secretsmanager/secret:Secret",
        {"description": "a", "recoveryWindowInDays": 0, "kmsKeyId": "${key.arn}"},
        {"description": "b", "tags": {"a": "b"}},
    ),
    Example(
        "secret version",
        "aws:secretsmanager/secretVersion:SecretVersion",
        {"secretId": "${secret}", "secretString": "s3cr3t"},
        stays=True,
    ),
    Example(
        "secret policy",
        "aws:secretsmanager/secretPolicy:SecretPolicy",
        {
            "secretArn": "${secret}",
            "policy": policy("secretsmanager:GetSecretValue", AWS=f"arn:aws:iam::{ACCOUNT}:root"),
        },
        {"policy": policy("secretsmanager:DescribeSecret", AWS=f"arn:aws:iam::{ACCOUNT}:root")},
    ),
    Example(
        "logs",
        "aws:cloudwatch/logGroup:LogGroup",
        {"retentionInDays": 7, "tags": {"a": "b"}},
        {"retentionInDays": None, "tags": {"a": "c"}},
        _drift_retention,
        "logs",
    ),
    Example(
        "role",
        "aws:iam/role:Role",
        {"assumeRolePolicy": json.dumps(TRUST), "tags": {"a": "b"}, "forceDetachPolicies": True},
        {"description": "of an example", "maxSessionDuration": 7200, "tags": None},
    ),
    Example(
        "role policy",
        "aws:iam/rolePolicy:RolePolicy",
        {"role": "${role}", "policy": policy("logs:PutLogEvents")},
        {"policy": policy("logs:CreateLogStream")},
        _drift_policy,
        "iam",
    ),
    Example(
        "policy",
        "aws:iam/policy:Policy",
        {"policy": policy("s3:GetObject")},
        {"policy": policy("s3:PutObject"), "tags": {"a": "b"}},
    ),
    Example(
        "attachment", "aws:iam/rolePolicyAttachment:RolePolicyAttachment", {"role": "${role}", "policyArn": "${policy}"}
    ),
    Example(
        "bounded role",
        "aws:iam/role:Role",
        {"assumeRolePolicy": json.dumps(TRUST), "permissionsBoundary": "${policy}"},
        {"permissionsBoundary": None},
    ),
    Example(
        "profile",
        "aws:iam/instanceProfile:InstanceProfile",
        {"role": "${role}", "tags": {"a": "b"}},
        {"role": "${bounded role}", "tags": {"a": "c"}},
    ),
    Example(
        "identity provider",
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        {
            "url": "https://token.actions.githubusercontent.com",
            "clientIdLists": ["sts.amazonaws.com"],
            "thumbprintLists": ["6938fd4d98bab03faadb97b34396831e3780aea1"],
        },
        {"clientIdLists": ["https://github.com/own", "sts.amazonaws.com"], "tags": {"a": "b"}},
    ),
    Example(
        "layer",
        "aws:lambda/layerVersion:LayerVersion",
        {"layerName": "things", "code": code("x = 1"), "compatibleRuntimes": ["python3.13"]},
    ),
    Example(
        "function",
        "aws:lambda/function:Function",
        FUNCTION,
        {
            "environment": {"variables": {"LEVEL": "warning"}},
            "memorySize": 256,
            "code": code(HANDLER + "\n# changed"),
            "tags": None,
        },
        _drift_environment,
        "lambda",
    ),
    Example(
        "signing profile",
        "aws:signer/signingProfile:SigningProfile",
        {
            "platformId": "AWSLambda-SHA384-ECDSA",
            "namePrefix": "example_",
            "signatureValidityPeriod": {"type": "YEARS", "value": 5},
            "tags": {"a": "b"},
        },
        {"tags": {"a": "c", "d": "e"}},
    ),
    Example(
        "signing config",
        "aws:lambda/codeSigningConfig:CodeSigningConfig",
        {
            "allowedPublishers": {"signingProfileVersionArns": ["${signing profile.versionArn}"]},
            "policies": {"untrustedArtifactOnDeployment": "Warn"},
            "tags": {"a": "b"},
        },
        {
            "policies": {"untrustedArtifactOnDeployment": "Enforce"},
            "description": "What may run",
            "tags": {"a": "c"},
        },
        _drift_signing_policy,
        "lambda",
    ),
    Example(
        "unsigned object",
        "aws:s3/bucketObjectv2:BucketObjectv2",
        {"bucket": "${locked bucket}", "key": "code/1.zip", "source": code()},
    ),
    Example(
        "signing job",
        "aws:signer/signingJob:SigningJob",
        {
            "profileName": "${signing profile}",
            "source": {
                "s3": {
                    "bucket": "${locked bucket}",
                    "key": "${unsigned object.key}",
                    "version": "${unsigned object.versionId}",
                }
            },
            "destination": {"s3": {"bucket": "${locked bucket}", "prefix": "signed/"}},
        },
        stays=True,
    ),
    Example(
        "alias",
        "aws:lambda/alias:Alias",
        {"functionName": "${function}", "functionVersion": "1", "name": "live"},
        {"description": "what is live"},
        _drift_alias,
        "lambda",
        importable="${id.functionName}/live",
    ),
    Example(
        "signed function",
        "aws:lambda/function:Function",
        {
            "role": "${role.arn}",
            "handler": "code.handler",
            "runtime": "python3.13",
            "s3Bucket": "${locked bucket}",
            "s3Key": "${unsigned object.key}",
            "s3ObjectVersion": "${unsigned object.versionId}",
            "sourceCodeHash": "of-the-unsigned-zip",
            "codeSigningConfigArn": "${signing config.arn}",
            "publish": True,
        },
        {"codeSigningConfigArn": None, "reservedConcurrentExecutions": 5},
    ),
    Example(
        "provisioned",
        "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig",
        {"functionName": "${function}", "qualifier": "1", "provisionedConcurrentExecutions": 1},
        {"provisionedConcurrentExecutions": 2},
        _drift_provisioned,
        "lambda",
    ),
    Example(
        "handing function",
        "aws:lambda/function:Function",
        {
            "role": "${handing role.arn}",
            "handler": "code.handler",
            "runtime": "python3.13",
            "code": code(),
            "deadLetterConfig": {"targetArn": "${queue.arn}"},
        },
        {"deadLetterConfig": {"targetArn": "${topic.arn}"}},
    ),
    Example(
        "handing role",
        "aws:iam/role:Role",
        {
            "assumeRolePolicy": json.dumps(TRUST),
            "inlinePolicies": [{"name": "hand-over", "policy": policy("*")}],
        },
    ),
    Example(
        "event invoke config",
        "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
        {
            "functionName": "${handing function}",
            "maximumEventAgeInSeconds": 3600,
            "destinationConfig": {"onFailure": {"destination": "${queue.arn}"}},
        },
        {
            "maximumEventAgeInSeconds": None,
            "maximumRetryAttempts": 1,
            "destinationConfig": {"onSuccess": {"destination": "${topic.arn}"}},
        },
        _drift_event_config,
        "lambda",
    ),
    Example(
        "qualified event invoke config",
        "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
        {"functionName": "${function}", "qualifier": "1", "maximumRetryAttempts": 0},
        {"maximumRetryAttempts": 2},
    ),
    Example(
        "permission",
        "aws:lambda/permission:Permission",
        {
            "function": "${function}",
            "action": "lambda:InvokeFunction",
            "principal": "apigateway.amazonaws.com",
            "sourceAccount": ACCOUNT,
        },
        importable="${id.function}/${id}",
    ),
    Example(
        "rotating function",
        "aws:lambda/function:Function",
        {"role": "${role.arn}", "handler": "code.handler", "runtime": "python3.13", "code": code()},
    ),
    Example(
        "rotation permission",
        "aws:lambda/permission:Permission",
        {
            "function": "${rotating function}",
            "action": "lambda:InvokeFunction",
            "principal": "secretsmanager.amazonaws.com",
            "sourceAccount": ACCOUNT,
            "statementId": "secrets-manager",
        },
        importable="${id.function}/${id}",
    ),
    Example(
        "rotation",
        "aws:secretsmanager/secretRotation:SecretRotation",
        {
            "secretId": "${secret}",
            "rotationLambdaArn": "arn:aws:lambda:eu-central-1:000000000001:function:${rotation permission.function}",
            "rotationRules": {"automaticallyAfterDays": 30},
            "rotateImmediately": False,
        },
        {"rotationRules": {"scheduleExpression": "rate(10 days)", "duration": "3h"}},
        _drift_secret_rotation,
        "secretsmanager",
        stays=True,
    ),
    Example(
        "invocation",
        "aws:lambda/invocation:Invocation",
        {"functionName": "${function}", "input": '{"a": 1}', "lifecycleScope": "CRUD"},
        {"input": '{"a": 2}'},
        importable="",
        stays=True,
    ),
    Example(
        "api",
        "aws:apigatewayv2/api:Api",
        {
            "protocolType": "HTTP",
            "corsConfiguration": {"allowOrigins": ["*"], "allowMethods": ["GET", "POST"]},
            "tags": {"a": "b"},
        },
        {"description": "of an example", "corsConfiguration": None, "tags": {"a": "c"}},
    ),
    Example(
        "integration",
        "aws:apigatewayv2/integration:Integration",
        {
            "apiId": "${api}",
            "integrationType": "AWS_PROXY",
            "integrationUri": "${function.invokeArn}",
            "payloadFormatVersion": "2.0",
        },
        {"timeoutMilliseconds": 5000},
        importable="${id.apiId}/${id}",
    ),
    Example(
        "route",
        "aws:apigatewayv2/route:Route",
        {"apiId": "${api}", "routeKey": "GET /things", "target": "integrations/${integration}"},
        {"routeKey": "POST /things"},
        importable="${id.apiId}/${id}",
    ),
    Example(
        "stage",
        "aws:apigatewayv2/stage:Stage",
        {
            "apiId": "${api}",
            "name": "$default",
            "autoDeploy": True,
            "accessLogSettings": {"destinationArn": "${logs.arn}", "format": '{"id":"$context.requestId"}'},
            "defaultRouteSettings": {"throttlingBurstLimit": 5, "throttlingRateLimit": 10},
            "routeSettings": [{"routeKey": "GET /things", "throttlingBurstLimit": 1, "throttlingRateLimit": 1}],
        },
        {"defaultRouteSettings": {"throttlingBurstLimit": 6, "throttlingRateLimit": 10}, "tags": {"a": "b"}},
        importable="${id.apiId}/$default",
    ),
    Example(
        "authorizer",
        "aws:apigatewayv2/authorizer:Authorizer",
        {
            "apiId": "${api}",
            "authorizerType": "JWT",
            "identitySources": ["$request.header.Authorization"],
            "jwtConfiguration": {"issuer": "https://login.example/", "audiences": ["api"]},
            "name": "tokens",
        },
        {"jwtConfiguration": {"issuer": "https://login.example/", "audiences": ["api", "app"]}},
        _drift_authorizer,
        "apigatewayv2",
        importable="${id.apiId}/${id}",
    ),
    Example(
        "guarded route",
        "aws:apigatewayv2/route:Route",
        {
            "apiId": "${api}",
            "routeKey": "POST /guarded",
            "target": "integrations/${integration}",
            "authorizationType": "JWT",
            "authorizerId": "${authorizer}",
            "authorizationScopes": ["write", "admin"],
        },
        {"authorizationScopes": ["write"]},
        importable="${id.apiId}/${id}",
    ),
    Example(
        "domain",
        "aws:apigatewayv2/domainName:DomainName",
        {
            "domainName": "api.example.com",
            "domainNameConfiguration": {
                "certificateArn": CERTIFICATE,
                "endpointType": "REGIONAL",
                "securityPolicy": "TLS_1_2",
            },
            "tags": {"a": "b"},
        },
        {
            "domainNameConfiguration": {
                "certificateArn": CERTIFICATE.replace("1", "2"),
                "endpointType": "REGIONAL",
                "securityPolicy": "TLS_1_2",
            },
            "tags": {"c": "d"},
        },
    ),
    Example(
        "mapped domain",
        "aws:apigatewayv2/domainName:DomainName",
        {
            "domainName": "mapped.example.com",
            "domainNameConfiguration": {
                "certificateArn": CERTIFICATE,
                "endpointType": "REGIONAL",
                "securityPolicy": "TLS_1_2",
            },
        },
    ),
    Example(
        "mapping",
        "aws:apigatewayv2/apiMapping:ApiMapping",
        {"apiId": "${api}", "domainName": "${mapped domain}", "stage": "${stage}"},
        {"apiMappingKey": "v1"},
        importable="${id}/${id.domainName}",
    ),
    Example("bucket", "aws:s3/bucket:Bucket", {"forceDestroy": True, "tags": {"a": "b"}}, {"tags": {"a": "c"}}),
    Example(
        "public access",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        {"bucket": "${bucket}", "blockPublicAcls": True, "ignorePublicAcls": True},
        {"blockPublicPolicy": True},
        _drift_block,
        "s3",
    ),
    Example(
        "versioning",
        "aws:s3/bucketVersioning:BucketVersioning",
        {"bucket": "${bucket}", "versioningConfiguration": {"status": "Enabled"}},
        {"versioningConfiguration": {"status": "Suspended"}},
        stays=True,
    ),
    Example(
        "encryption",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        {
            "bucket": "${bucket}",
            "rules": [
                {
                    "applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": "${key.arn}"},
                    "bucketKeyEnabled": True,
                }
            ],
        },
        {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
        stays=True,
    ),
    Example(
        "locked bucket",
        "aws:s3/bucket:Bucket",
        {"objectLockEnabled": True, "forceDestroy": True},
        {"forceDestroy": False},
    ),
    Example(
        "bucket policy",
        "aws:s3/bucketPolicy:BucketPolicy",
        {"bucket": "${bucket}", "policy": BUCKET_POLICY},
        {"policy": BUCKET_POLICY.replace("s3:PutObject", "s3:PutObjectAcl")},
        _drift_bucket_policy,
        "s3",
    ),
    Example(
        "object lock",
        "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
        {"bucket": "${locked bucket}", "rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": 1}}},
        {"rule": {"defaultRetention": {"mode": "COMPLIANCE", "years": 1}}},
        _drift_lock,
        "s3",
        stays=True,
    ),
    Example(
        "ownership",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        {"bucket": "${bucket}", "rule": {"objectOwnership": "BucketOwnerPreferred"}},
        {"rule": {"objectOwnership": "BucketOwnerEnforced"}},
    ),
    Example(
        "lifecycle",
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        {
            "bucket": "${bucket}",
            "rules": [
                {
                    "id": "all",
                    "status": "Enabled",
                    "noncurrentVersionExpiration": {"noncurrentDays": 30, "newerNoncurrentVersions": 3},
                    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
                },
                {
                    "id": "some",
                    "status": "Enabled",
                    "filter": {"and": {"prefix": "a/", "tags": {"keep": "no", "more": "b"}}},
                    "transitions": [{"days": 30, "storageClass": "STANDARD_IA"}],
                },
            ],
        },
        {"rules": [{"id": "all", "status": "Disabled", "filter": {"prefix": "b/"}, "expiration": {"days": 9}}]},
    ),
    Example(
        "bucket logging",
        "aws:s3/bucketLogging:BucketLogging",
        {"bucket": "${bucket}", "targetBucket": "${locked bucket}", "targetPrefix": "log/"},
        {"targetPrefix": "logs/", "targetObjectKeyFormat": {"partitionedPrefix": {"partitionDateSource": "EventTime"}}},
    ),
    Example("trail bucket", "aws:s3/bucket:Bucket", {"bucket": "example-trail", "forceDestroy": True}),
    Example("trail policy", "aws:s3/bucketPolicy:BucketPolicy", {"bucket": "${trail bucket}", "policy": TRAIL_POLICY}),
    Example(
        "trail",
        "aws:cloudtrail/trail:Trail",
        {
            "name": "example",
            "s3BucketName": "${trail policy}",
            "isMultiRegionTrail": True,
            "enableLogFileValidation": True,
            "kmsKeyId": "${key.arn}",
            "eventSelectors": [
                {
                    "dataResources": [{"type": "AWS::S3::Object", "values": ["arn:aws:s3:::"]}],
                    "readWriteType": "WriteOnly",
                }
            ],
            "tags": {"a": "b"},
        },
        {
            "enableLogging": False,
            "eventSelectors": None,
            "advancedEventSelectors": [
                {"name": "all", "fieldSelectors": [{"field": "eventCategory", "equals": ["Management"]}]}
            ],
            "tags": {"c": "d"},
        },
        _drift_logging,
        "cloudtrail",
    ),
    Example(
        "object",
        "aws:s3/bucketObjectv2:BucketObjectv2",
        {
            "bucket": "${bucket}",
            "key": "a/b.txt",
            "source": wire.Asset(text="one", digest="1"),
            "contentType": "text/plain",
            "tags": {"a": "b"},
        },
        {"source": wire.Asset(text="two", digest="2"), "cacheControl": "no-store"},
    ),
    Example(
        "parameter",
        "aws:ssm/parameter:Parameter",
        {"type": "String", "value": "one", "description": "a", "tags": {"a": "b"}},
        {"value": "two", "description": None},
        _drift_value,
        "ssm",
    ),
    Example(
        "topic",
        "aws:sns/topic:Topic",
        {
            "displayName": "a",
            "kmsMasterKeyId": "alias/aws/sns",
            "signatureVersion": 2,
            "policy": policy("sns:Publish", Service="cloudwatch.amazonaws.com"),
            "deliveryPolicy": json.dumps({"http": {"disableSubscriptionOverrides": False}}),
            "tags": {"a": "b"},
        },
        {
            "displayName": None,
            "kmsMasterKeyId": "${key}",
            "policy": policy("sns:Publish", Service="budgets.amazonaws.com"),
            "tracingConfig": "Active",
            "tags": {"a": "c"},
        },
        _drift_topic,
        "sns",
    ),
    Example(
        "topic policy",
        "aws:sns/topicPolicy:TopicPolicy",
        {"arn": "${topic}", "policy": policy("sns:Publish", Service="events.amazonaws.com")},
        {"policy": policy("sns:Publish", Service="scheduler.amazonaws.com")},
        stays=True,
    ),
    Example(
        "email subscription",
        "aws:sns/topicSubscription:TopicSubscription",
        {"topic": "${topic}", "protocol": "email", "endpoint": "on-call@example.com"},
        {"filterPolicy": json.dumps({"severity": ["critical"]}), "filterPolicyScope": "MessageBody"},
        stays=True,
    ),
    Example(
        "queue subscription",
        "aws:sns/topicSubscription:TopicSubscription",
        {
            "topic": "${topic}",
            "protocol": "sqs",
            "endpoint": "${queue.arn}",
            "rawMessageDelivery": True,
            "redrivePolicy": '{"deadLetterTargetArn": "${dead letters.arn}"}',
        },
        {"rawMessageDelivery": False, "redrivePolicy": None},
    ),
    Example(
        "dead letters",
        "aws:sqs/queue:Queue",
        {"messageRetentionSeconds": 1209600, "kmsMasterKeyId": "${key.arn}", "tags": {"a": "b"}},
        {"kmsMasterKeyId": None, "sqsManagedSseEnabled": True, "tags": None},
        _drift_queue,
        "sqs",
    ),
    Example(
        "queue",
        "aws:sqs/queue:Queue",
        {
            "visibilityTimeoutSeconds": 60,
            "redrivePolicy": '{"deadLetterTargetArn": "${dead letters.arn}", "maxReceiveCount": 3}',
            "sqsManagedSseEnabled": True,
        },
        {"visibilityTimeoutSeconds": None, "receiveWaitTimeSeconds": 20, "tags": {"a": "b"}},
    ),
    Example(
        "queue policy",
        "aws:sqs/queuePolicy:QueuePolicy",
        {"queueUrl": "${queue}", "policy": policy("sqs:SendMessage", Service="sns.amazonaws.com")},
        {"policy": policy("sqs:SendMessage", Service="events.amazonaws.com")},
    ),
    Example(
        "redrive allowance",
        "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
        {
            "queueUrl": "${dead letters}",
            "redriveAllowPolicy": '{"redrivePermission": "byQueue", "sourceQueueArns": ["${queue.arn}"]}',
        },
        {"redriveAllowPolicy": '{"redrivePermission": "denyAll"}'},
    ),
    Example(
        "scheduler role",
        "aws:iam/role:Role",
        {"assumeRolePolicy": json.dumps(TRUST).replace("lambda.amazonaws.com", "scheduler.amazonaws.com")},
        {"description": "of a schedule"},
    ),
    Example(
        "schedule group",
        "aws:scheduler/scheduleGroup:ScheduleGroup",
        {"tags": {"a": "b"}},
        {"tags": {"a": "c"}},
    ),
    Example(
        "schedule",
        "aws:scheduler/schedule:Schedule",
        {
            "groupName": "${schedule group}",
            "scheduleExpression": "rate(5 minutes)",
            "flexibleTimeWindow": {"mode": "OFF"},
            "state": "DISABLED",
            "target": {
                "arn": "${function.arn}",
                "roleArn": "${scheduler role.arn}",
                "input": '{"probe": true}',
                "deadLetterConfig": {"arn": "${dead letters.arn}"},
                "retryPolicy": {"maximumRetryAttempts": 2},
            },
        },
        {
            "scheduleExpression": "cron(0 8 ? * MON-FRI *)",
            "scheduleExpressionTimezone": "Europe/Berlin",
            "description": "each morning",
        },
        _drift_schedule,
        "scheduler",
    ),
    Example(
        "rule",
        "aws:cloudwatch/eventRule:EventRule",
        {"scheduleExpression": "rate(1 day)", "state": "DISABLED", "description": "a", "tags": {"a": "b"}},
        {"scheduleExpression": "rate(2 days)", "description": None, "tags": {"a": "c"}},
        _drift_event_rule,
        "events",
    ),
    Example(
        "rule of a pattern",
        "aws:cloudwatch/eventRule:EventRule",
        {"eventPattern": json.dumps({"source": ["aws.rds"], "detail-type": ["RDS DB Instance Event"]})},
        {"eventPattern": json.dumps({"source": ["aws.rds"]}), "state": "DISABLED"},
    ),
    Example(
        "target",
        "aws:cloudwatch/eventTarget:EventTarget",
        {"rule": "${rule}", "arn": "${function.arn}", "input": '{"a": 1}'},
        {
            "input": None,
            "inputTransformer": {"inputPaths": {"at": "$.time"}, "inputTemplate": '{"at": <at>}'},
            "deadLetterConfig": {"arn": "${dead letters.arn}"},
            "retryPolicy": {"maximumRetryAttempts": 1, "maximumEventAgeInSeconds": 60},
        },
        importable="${id.rule}/${id.targetId}",
    ),
    Example(
        "vault",
        "aws:backup/vault:Vault",
        {"kmsKeyArn": "${key.arn}", "forceDestroy": True, "tags": {"a": "b"}},
        {"forceDestroy": False, "tags": {"a": "c"}},
    ),
    Example(
        "vault lock",
        "aws:backup/vaultLockConfiguration:VaultLockConfiguration",
        {"backupVaultName": "${vault}", "minRetentionDays": 7, "maxRetentionDays": 365, "changeableForDays": 3},
    ),
    Example(
        "vault policy",
        "aws:backup/vaultPolicy:VaultPolicy",
        {"backupVaultName": "${vault}", "policy": policy("backup:StartBackupJob", AWS=f"arn:aws:iam::{ACCOUNT}:root")},
        {"policy": policy("backup:DescribeBackupVault", AWS=f"arn:aws:iam::{ACCOUNT}:root")},
        _drift_vault_policy,
        "backup",
    ),
    Example(
        "plan",
        "aws:backup/plan:Plan",
        {
            "rules": [
                {
                    "ruleName": "daily",
                    "targetVaultName": "${vault}",
                    "schedule": "cron(0 2 * * ? *)",
                    "startWindow": 60,
                    "completionWindow": 240,
                    "lifecycle": {"deleteAfter": 35},
                }
            ],
            "tags": {"a": "b"},
        },
        {
            "rules": [
                {
                    "ruleName": "weekly",
                    "targetVaultName": "${vault}",
                    "schedule": "cron(0 3 ? * SUN *)",
                    "lifecycle": {"coldStorageAfter": 30, "deleteAfter": 365},
                    "recoveryPointTags": {"every": "week"},
                },
                {"ruleName": "daily", "targetVaultName": "${vault}", "schedule": "cron(0 2 * * ? *)"},
            ],
            "tags": {"a": "c"},
        },
        _drift_plan,
        "backup",
    ),
    Example(
        "backup role",
        "aws:iam/role:Role",
        {"assumeRolePolicy": json.dumps(TRUST).replace("lambda.amazonaws.com", "backup.amazonaws.com")},
    ),
    Example(
        "selection",
        "aws:backup/selection:Selection",
        {
            "planId": "${plan}",
            "iamRoleArn": "${backup role.arn}",
            "resources": ["${database.arn}"],
            "selectionTags": [{"type": "STRINGEQUALS", "key": "backup", "value": "yes"}],
        },
        importable="${id.planId}|${id}",
    ),
    Example(
        "selection with conditions",
        "aws:backup/selection:Selection",
        {
            "planId": "${plan}",
            "iamRoleArn": "${backup role.arn}",
            "resources": ["*"],
            "conditions": [{"stringEquals": [{"key": "aws:ResourceTag/stack", "value": "dev"}]}],
        },
        importable="${id.planId}|${id}",
    ),
    Example(
        "budget",
        "aws:budgets/budget:Budget",
        {
            "budgetType": "COST",
            "timeUnit": "MONTHLY",
            "limitAmount": "100",
            "limitUnit": "USD",
            "costFilters": [{"name": "TagKeyValue", "values": ["user:stack$dev"]}],
            "notifications": [
                {
                    "notificationType": kind,
                    "comparisonOperator": "GREATER_THAN",
                    "threshold": threshold,
                    "thresholdType": "PERCENTAGE",
                    "subscriberSnsTopicArns": ["${topic}"],
                }
                for kind, threshold in (("ACTUAL", 80), ("FORECASTED", 100))
            ],
            "tags": {"a": "b"},
        },
        {
            "limitAmount": "200",
            "notifications": [
                {
                    "notificationType": "ACTUAL",
                    "comparisonOperator": "GREATER_THAN",
                    "threshold": 90,
                    "thresholdType": "PERCENTAGE",
                    "subscriberEmailAddresses": ["costs@example.com"],
                    "subscriberSnsTopicArns": ["${topic}"],
                }
            ],
            "tags": {"a": "c"},
        },
        _drift_budget,
        "budgets",
        importable=f"{ACCOUNT}:${{id.name}}",
    ),
    Example(
        "account block",
        "aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock",
        {"blockPublicAcls": True, "blockPublicPolicy": True, "ignorePublicAcls": True, "restrictPublicBuckets": True},
        {"ignorePublicAcls": None},
        _drift_account_block,
        "s3control",
        importable=ACCOUNT,
    ),
    Example(
        "password policy",
        "aws:iam/accountPasswordPolicy:AccountPasswordPolicy",
        {"minimumPasswordLength": 14, "requireNumbers": True, "maxPasswordAge": 90, "passwordReusePrevention": 24},
        {"minimumPasswordLength": 16, "maxPasswordAge": None},
        _drift_password_policy,
        "iam",
    ),
    Example(
        "encryption by default",
        "aws:ebs/encryptionByDefault:EncryptionByDefault",
        {},
        {"enabled": False},
        _drift_encryption,
        "ec2",
        stays=True,
    ),
    Example(
        "user",
        "aws:iam/user:User",
        {"path": "/people/", "permissionsBoundary": "${policy}", "forceDestroy": True, "tags": {"a": "b"}},
        {"permissionsBoundary": None, "tags": {"a": "c"}},
    ),
    Example(
        "user policy",
        "aws:iam/userPolicyAttachment:UserPolicyAttachment",
        {"user": "${user}", "policyArn": "${policy}"},
    ),
    Example("people", "aws:iam/group:Group", {"path": "/people/"}),
    Example("more people", "aws:iam/group:Group"),
    Example(
        "group policy",
        "aws:iam/groupPolicy:GroupPolicy",
        {"group": "${people}", "policy": policy("s3:GetObject")},
        {"policy": policy("s3:PutObject")},
        _drift_group_policy,
        "iam",
    ),
    Example(
        "group attachment",
        "aws:iam/groupPolicyAttachment:GroupPolicyAttachment",
        {"group": "${people}", "policyArn": "${policy}"},
    ),
    Example(
        "membership",
        "aws:iam/userGroupMembership:UserGroupMembership",
        {"user": "${user}", "groups": ["${people}"]},
        {"groups": ["${more people}", "${people}"]},
        _drift_membership,
        "iam",
        stays=True,
    ),
    Example(
        "key policy",
        "aws:kms/keyPolicy:KeyPolicy",
        {"keyId": "${key}", "policy": policy("kms:*", AWS=f"arn:aws:iam::{ACCOUNT}:root")},
        {
            "policy": json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                            "Action": ["kms:*"],
                            "Resource": "*",
                        },
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "logs.amazonaws.com"},
                            "Action": "kms:Decrypt",
                            "Resource": "*",
                        },
                    ],
                }
            )
        },
        stays=True,
    ),
    Example(
        "access control",
        "aws:cloudfront/originAccessControl:OriginAccessControl",
        {
            "name": "example",
            "originAccessControlOriginType": "s3",
            "signingBehavior": "always",
            "signingProtocol": "sigv4",
        },
        {"description": "of an example"},
    ),
    Example(
        "headers",
        "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy",
        {
            "comment": "a",
            "securityHeadersConfig": {
                "contentTypeOptions": {"override": True},
                "frameOptions": {"frameOption": "DENY", "override": True},
                "strictTransportSecurity": {"accessControlMaxAgeSec": 63072000, "override": True},
            },
            "customHeadersConfig": {"items": [{"header": "cache-control", "value": "no-cache", "override": False}]},
        },
        {
            "comment": "b",
            "securityHeadersConfig": {
                "contentSecurityPolicy": {"contentSecurityPolicy": "default-src 'none'", "override": True},
                "referrerPolicy": {"referrerPolicy": "no-referrer", "override": True},
            },
            "customHeadersConfig": None,
        },
        _drift_headers,
        "cloudfront",
    ),
    Example(
        "distribution",
        "aws:cloudfront/distribution:Distribution",
        {
            "enabled": True,
            "comment": "a",
            "defaultRootObject": "index.html",
            "isIpv6Enabled": True,
            "origins": [
                {
                    "originId": "bucket",
                    "domainName": "${bucket.bucketRegionalDomainName}",
                    "originAccessControlId": "${access control}",
                }
            ],
            "defaultCacheBehavior": {
                "targetOriginId": "bucket",
                "viewerProtocolPolicy": "redirect-to-https",
                "allowedMethods": ["HEAD", "GET"],
                "cachedMethods": ["GET", "HEAD"],
                "cachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6",
                "responseHeadersPolicyId": "${headers}",
                "compress": True,
            },
            "restrictions": {"geoRestriction": {"restrictionType": "none"}},
            "viewerCertificate": {"cloudfrontDefaultCertificate": True},
            "tags": {"a": "b"},
        },
        {
            "comment": None,
            "priceClass": "PriceClass_100",
            "orderedCacheBehaviors": [
                {
                    "pathPattern": "/status.json",
                    "targetOriginId": "bucket",
                    "viewerProtocolPolicy": "https-only",
                    "allowedMethods": ["GET", "HEAD"],
                    "cachedMethods": ["GET", "HEAD"],
                    "cachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
                }
            ],
            "restrictions": {"geoRestriction": {"restrictionType": "whitelist", "locations": ["DE", "AT"]}},
            "customErrorResponses": [{"errorCode": 403, "responseCode": 404, "responsePagePath": "/index.html"}],
            "tags": {"a": "c"},
        },
        _drift_distribution,
        "cloudfront",
    ),
    Example(
        "alarm",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        {
            "comparisonOperator": "GreaterThanThreshold",
            "evaluationPeriods": 3,
            "datapointsToAlarm": 2,
            "threshold": 80,
            "namespace": "AWS/RDS",
            "metricName": "CPUUtilization",
            "dimensions": {"DBInstanceIdentifier": "a"},
            "period": 60,
            "extendedStatistic": "p95",
            "evaluateLowSampleCountPercentiles": "ignore",
            "unit": "Percent",
            "alarmDescription": "a",
            "alarmActions": ["${topic}"],
            "tags": {"a": "b"},
        },
        {
            "threshold": 90,
            "extendedStatistic": None,
            "evaluateLowSampleCountPercentiles": None,
            "statistic": "Maximum",
            "dimensions": {"DBInstanceIdentifier": "b"},
            "datapointsToAlarm": None,
            "treatMissingData": "notBreaching",
            "alarmDescription": None,
            "alarmActions": None,
            "okActions": ["${topic}"],
            "tags": {"a": "c"},
        },
    ),
    Example(
        "alarm on metric math",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        {
            "comparisonOperator": "GreaterThanThreshold",
            "evaluationPeriods": 1,
            "threshold": 5,
            "metricQueries": [
                {
                    "id": "errors",
                    "metric": {
                        "namespace": "AWS/Lambda",
                        "metricName": "Errors",
                        "period": 60,
                        "stat": "Sum",
                        "dimensions": {"FunctionName": "a", "Resource": "a:live", "ExecutedVersion": "1"},
                    },
                },
                {"id": "value", "expression": "FILL(errors, 0)", "label": "errors", "returnData": True},
            ],
        },
        {
            "actionsEnabled": False,
            "metricQueries": [
                {"id": "errors", "metric": {"namespace": "a", "metricName": "b", "period": 300, "stat": "Sum"}},
                {"id": "value", "expression": "100 * errors", "returnData": True},
            ],
        },
        _drift_alarm,
        "cloudwatch",
    ),
    Example(
        "composite alarm",
        "aws:cloudwatch/compositeAlarm:CompositeAlarm",
        {
            "alarmName": "composite",
            "alarmRule": 'ALARM("${alarm}") AND NOT ALARM("${alarm on metric math}")',
            "alarmDescription": "a",
            "alarmActions": ["${topic}"],
            "tags": {"a": "b"},
        },
        {
            "alarmRule": 'ALARM("${alarm}")',
            "alarmDescription": None,
            "alarmActions": None,
            "okActions": ["${topic}"],
            "tags": {"a": "c"},
        },
    ),
    Example(
        "dashboard",
        "aws:cloudwatch/dashboard:Dashboard",
        {"dashboardName": "dashboard", "dashboardBody": '{"widgets": []}'},
        {"dashboardBody": json.dumps({"widgets": [{"type": "text", "properties": {"markdown": "a"}}]})},
        _drift_dashboard,
        "cloudwatch",
    ),
    Example(
        "application",
        "aws:codedeploy/application:Application",
        {"computePlatform": "Lambda", "tags": {"a": "b"}},
        {"name": "renamed-application", "tags": {"a": "c"}},
        importable="${id.name}",
    ),
    Example(
        "canary",
        "aws:codedeploy/deploymentConfig:DeploymentConfig",
        {
            "computePlatform": "Lambda",
            "trafficRoutingConfig": {
                "type": "TimeBasedCanary",
                "timeBasedCanary": {"percentage": 10, "interval": 5},
            },
        },
    ),
    Example(
        "linear shift",
        "aws:codedeploy/deploymentConfig:DeploymentConfig",
        {
            "deploymentConfigName": "tenths",
            "computePlatform": "Lambda",
            "trafficRoutingConfig": {
                "type": "TimeBasedLinear",
                "timeBasedLinear": {"percentage": 10, "interval": 1},
            },
        },
    ),
    Example(
        "codedeploy role",
        "aws:iam/role:Role",
        {"assumeRolePolicy": json.dumps(TRUST).replace("lambda.amazonaws.com", "codedeploy.amazonaws.com")},
        {"description": "of a release"},
    ),
    Example(
        "deployment group",
        "aws:codedeploy/deploymentGroup:DeploymentGroup",
        {
            "appName": "${application.name}",
            "deploymentGroupName": "live",
            "deploymentConfigName": "${canary}",
            "serviceRoleArn": "${codedeploy role.arn}",
            "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "alarmConfiguration": {"enabled": True, "alarms": ["errors", "latency"]},
            "autoRollbackConfiguration": {
                "enabled": True,
                "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"],
            },
            "tags": {"a": "b"},
        },
        {
            "deploymentGroupName": "alive",
            "deploymentConfigName": "CodeDeployDefault.LambdaAllAtOnce",
            "alarmConfiguration": None,
            "autoRollbackConfiguration": {"enabled": True, "events": ["DEPLOYMENT_FAILURE"]},
            "triggerConfigurations": [
                {
                    "triggerName": "rollbacks",
                    "triggerEvents": ["DeploymentStop", "DeploymentRollback"],
                    "triggerTargetArn": "${topic.arn}",
                }
            ],
            "tags": {"a": "c"},
        },
        _drift_deployment_group,
        "codedeploy",
        importable="${id.appName}:${id.deploymentGroupName}",
    ),
)
BY_NAME = {example.name: example for example in EXAMPLES}
