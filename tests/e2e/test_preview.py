"""Known at preview: in the first preview of an empty stack, a policy can judge whatever it must.

A value that only the cloud will know is *unknown* to a preview, and so to the rules. Only plain references may be: the
id, ARN or other output of a resource that the same preview declares, and of the type that belongs there. All else
(documents, ports, addresses, flags, names, days) is known.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.checkout import Checkout
from tests.support.configuration import STACKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.e2e

# How the engine writes an unknown string, number, boolean, list, map, asset, archive and output in JSON
# (pulumi/sdk/go/common/resource/plugin/rpc.go).
UNKNOWN = {
    "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "030794c1-ac77-496b-92df-f27374a8bd58",
    "e48ece36-62e2-4504-bad9-02848725956a",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
}

# Which inputs may be unknown, by the type of the resource that they wait for: type and path, without indices.
REFERENCES: dict[str, tuple[str, ...]] = {
    "apigatewayv2/api:Api": (
        "apigatewayv2/authorizer:Authorizer apiId",
        "apigatewayv2/integration:Integration apiId",
        "apigatewayv2/route:Route apiId",
        "apigatewayv2/stage:Stage apiId",
        "cloudwatch/metricAlarm:MetricAlarm metricQueries.metric.dimensions.ApiId",
        # What is watched, all of it; no rule reads it.
        "cloudwatch/dashboard:Dashboard dashboardBody",
        "lambda/function:Function environment.variables.API_URL",
        "lambda/permission:Permission sourceArn",
    ),
    "apigatewayv2/integration:Integration": ("apigatewayv2/route:Route target",),
    "backup/plan:Plan": ("backup/selection:Selection planId",),
    "backup/vault:Vault": (
        "backup/plan:Plan rules.targetVaultName",
        "backup/vaultLockConfiguration:VaultLockConfiguration backupVaultName",
    ),
    "cloudfront/originAccessControl:OriginAccessControl": (
        "cloudfront/distribution:Distribution origins.originAccessControlId",
    ),
    "cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": (
        "cloudfront/distribution:Distribution defaultCacheBehavior.responseHeadersPolicyId",
    ),
    "cloudwatch/logGroup:LogGroup": (
        "apigatewayv2/stage:Stage accessLogSettings.destinationArn",
        "ec2/flowLog:FlowLog logDestination",
    ),
    "ec2/launchTemplate:LaunchTemplate": ("ec2/instance:Instance launchTemplate.id",),
    "ec2/routeTable:RouteTable": ("ec2/routeTableAssociation:RouteTableAssociation routeTableId",),
    "ec2/securityGroup:SecurityGroup": (
        "ec2/instance:Instance vpcSecurityGroupIds",
        "ec2/vpcEndpoint:VpcEndpoint securityGroupIds",
        "lambda/function:Function vpcConfig.securityGroupIds",
        "rds/instance:Instance vpcSecurityGroupIds",
        "rds/proxy:Proxy vpcSecurityGroupIds",
        "vpc/securityGroupEgressRule:SecurityGroupEgressRule referencedSecurityGroupId",
        "vpc/securityGroupEgressRule:SecurityGroupEgressRule securityGroupId",
        "vpc/securityGroupIngressRule:SecurityGroupIngressRule referencedSecurityGroupId",
        "vpc/securityGroupIngressRule:SecurityGroupIngressRule securityGroupId",
    ),
    "ec2/subnet:Subnet": (
        "ec2/instance:Instance subnetId",
        "ec2/routeTableAssociation:RouteTableAssociation subnetId",
        "ec2/vpcEndpoint:VpcEndpoint subnetIds",
        "lambda/function:Function vpcConfig.subnetIds",
        "rds/proxy:Proxy vpcSubnetIds",
        "rds/subnetGroup:SubnetGroup subnetIds",
    ),
    "ec2/vpc:Vpc": (
        "ec2/defaultSecurityGroup:DefaultSecurityGroup vpcId",
        "ec2/flowLog:FlowLog vpcId",
        "ec2/routeTable:RouteTable vpcId",
        "ec2/securityGroup:SecurityGroup vpcId",
        "ec2/subnet:Subnet vpcId",
        "ec2/vpcEndpoint:VpcEndpoint vpcId",
    ),
    "iam/instanceProfile:InstanceProfile": ("ec2/launchTemplate:LaunchTemplate iamInstanceProfile.arn",),
    "iam/role:Role": (
        "backup/selection:Selection iamRoleArn",
        "codedeploy/deploymentGroup:DeploymentGroup serviceRoleArn",
        "ec2/flowLog:FlowLog iamRoleArn",
        "lambda/function:Function role",
        "rds/instance:Instance monitoringRoleArn",
        "rds/proxy:Proxy roleArn",
        "scheduler/schedule:Schedule target.roleArn",
    ),
    "kms/key:Key": (
        "backup/vault:Vault kmsKeyArn",
        "backup/vault:Vault name",
        "cloudwatch/logGroup:LogGroup kmsKeyId",
        "ec2/launchTemplate:LaunchTemplate blockDeviceMappings.ebs.kmsKeyId",
        "kms/alias:Alias targetKeyId",
        "rds/instance:Instance finalSnapshotIdentifier",
        "rds/instance:Instance kmsKeyId",
        "rds/instance:Instance masterUserSecretKmsKeyId",
        "rds/instance:Instance performanceInsightsKmsKeyId",
        "rds/snapshot:Snapshot dbSnapshotIdentifier",
        "secretsmanager/secret:Secret kmsKeyId",
        "sns/topic:Topic kmsMasterKeyId",
        "sqs/queue:Queue kmsMasterKeyId",
    ),
    "lambda/alias:Alias": ("apigatewayv2/integration:Integration integrationUri",),
    "lambda/codeSigningConfig:CodeSigningConfig": ("lambda/function:Function codeSigningConfigArn",),
    "lambda/function:Function": (
        "cloudwatch/metricAlarm:MetricAlarm metricQueries.metric.dimensions.ExecutedVersion",
        "cloudwatch/metricAlarm:MetricAlarm metricQueries.metric.dimensions.Version",
        "lambda/alias:Alias functionVersion",
        "scheduler/schedule:Schedule target.arn",
        "secretsmanager/secretRotation:SecretRotation rotationLambdaArn",
        "ssm/parameter:Parameter insecureValue",
    ),
    "lambda/layerVersion:LayerVersion": ("lambda/function:Function layers",),
    "rds/instance:Instance": (
        "lambda/function:Function environment.variables.DATABASE_HOST",
        "lambda/function:Function environment.variables.MASTER_SECRET",
    ),
    "rds/proxy:Proxy": ("lambda/function:Function environment.variables.DATABASE_HOST",),
    "rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup": ("rds/proxyTarget:ProxyTarget targetGroupName",),
    "s3/bucketObjectv2:BucketObjectv2": ("signer/signingJob:SigningJob source.s3.version",),
    "secretsmanager/secret:Secret": (
        "rds/proxy:Proxy auths.secretArn",
        "secretsmanager/secretRotation:SecretRotation secretId",
    ),
    "signer/signingJob:SigningJob": ("lambda/function:Function s3Key", "lambda/layerVersion:LayerVersion s3Key"),
    "signer/signingProfile:SigningProfile": (
        "lambda/codeSigningConfig:CodeSigningConfig allowedPublishers.signingProfileVersionArns",
        "signer/signingJob:SigningJob profileName",
    ),
    "sns/topic:Topic": (
        "budgets/budget:Budget notifications.subscriberSnsTopicArns",
        "cloudwatch/compositeAlarm:CompositeAlarm alarmActions",
        "cloudwatch/compositeAlarm:CompositeAlarm okActions",
        "cloudwatch/metricAlarm:MetricAlarm alarmActions",
        "cloudwatch/metricAlarm:MetricAlarm okActions",
        "codedeploy/deploymentGroup:DeploymentGroup triggerConfigurations.triggerTargetArn",
        "sns/topicPolicy:TopicPolicy arn",
        "sns/topicSubscription:TopicSubscription topic",
    ),
    "sqs/queue:Queue": (
        "lambda/functionEventInvokeConfig:FunctionEventInvokeConfig destinationConfig.onFailure.destination",
    ),
}

# What rules judge: each resource of the type has it, and each value of it is known.
JUDGED: dict[str, tuple[str, ...]] = {
    "apigatewayv2/api:Api": ("protocolType", "disableExecuteApiEndpoint"),
    "apigatewayv2/authorizer:Authorizer": (
        "authorizerType",
        "identitySources",
        "jwtConfiguration.issuer",
        "jwtConfiguration.audiences",
    ),
    "apigatewayv2/route:Route": ("routeKey", "authorizationType"),
    "apigatewayv2/stage:Stage": (
        "accessLogSettings.format",
        "defaultRouteSettings.throttlingBurstLimit",
        "defaultRouteSettings.throttlingRateLimit",
    ),
    "backup/plan:Plan": ("rules.schedule", "rules.lifecycle.deleteAfter"),
    "backup/selection:Selection": ("resources",),
    "backup/vault:Vault": ("forceDestroy",),
    "backup/vaultLockConfiguration:VaultLockConfiguration": ("minRetentionDays", "changeableForDays"),
    "budgets/budget:Budget": ("limitAmount",),
    "cloudwatch/compositeAlarm:CompositeAlarm": ("alarmRule",),
    "cloudwatch/logGroup:LogGroup": ("name", "retentionInDays"),
    "cloudwatch/metricAlarm:MetricAlarm": ("name", "threshold", "treatMissingData", "metricQueries.returnData"),
    "codedeploy/deploymentConfig:DeploymentConfig": (
        "trafficRoutingConfig.type",
        "trafficRoutingConfig.timeBasedCanary.interval",
        "trafficRoutingConfig.timeBasedCanary.percentage",
    ),
    "codedeploy/deploymentGroup:DeploymentGroup": (
        "deploymentConfigName",
        "autoRollbackConfiguration.enabled",
        "autoRollbackConfiguration.events",
    ),
    "ec2/defaultSecurityGroup:DefaultSecurityGroup": ("ingress", "egress"),
    "ec2/flowLog:FlowLog": ("trafficType",),
    "ec2/instance:Instance": ("associatePublicIpAddress",),
    "ec2/launchTemplate:LaunchTemplate": (
        "blockDeviceMappings.ebs.encrypted",
        "metadataOptions.httpTokens",
        "metadataOptions.httpPutResponseHopLimit",
    ),
    "ec2/routeTable:RouteTable": ("routes",),
    "ec2/subnet:Subnet": ("cidrBlock", "mapPublicIpOnLaunch", "availabilityZone"),
    "ec2/vpcEndpoint:VpcEndpoint": ("policy", "serviceName", "privateDnsEnabled"),
    "iam/role:Role": ("name", "assumeRolePolicy", "permissionsBoundary"),
    "iam/rolePolicy:RolePolicy": ("policy", "role"),
    "kms/alias:Alias": ("name",),
    "kms/key:Key": ("policy", "enableKeyRotation", "deletionWindowInDays"),
    "lambda/codeSigningConfig:CodeSigningConfig": ("policies.untrustedArtifactOnDeployment",),
    "lambda/function:Function": (
        "name",
        "runtime",
        "sourceCodeHash",
        "reservedConcurrentExecutions",
        "tracingConfig.mode",
        "loggingConfig.logGroup",
        "publish",
    ),
    "lambda/invocation:Invocation": ("functionName", "input"),
    "lambda/permission:Permission": ("action", "principal", "statementId"),
    "product-api:index:MigrationPlan": ("digest", "revisions.sql"),
    "rds/instance:Instance": (
        "identifier",
        "storageEncrypted",
        "publiclyAccessible",
        "multiAz",
        "manageMasterUserPassword",
        "deletionProtection",
        "skipFinalSnapshot",
        "deleteAutomatedBackups",
        "backupRetentionPeriod",
        "caCertIdentifier",
        "enabledCloudwatchLogsExports",
        "performanceInsightsEnabled",
        "monitoringInterval",
        "autoMinorVersionUpgrade",
    ),
    "rds/parameterGroup:ParameterGroup": ("parameters.name", "parameters.value"),
    "rds/proxy:Proxy": ("requireTls", "auths.iamAuth", "auths.authScheme"),
    "s3/bucketObjectv2:BucketObjectv2": ("bucket", "key"),
    "secretsmanager/secret:Secret": ("name", "recoveryWindowInDays"),
    "secretsmanager/secretRotation:SecretRotation": ("rotationRules.automaticallyAfterDays",),
    "signer/signingProfile:SigningProfile": ("platformId",),
    "sns/topicPolicy:TopicPolicy": ("policy",),
    "sns/topicSubscription:TopicSubscription": ("protocol", "endpoint"),
    "sqs/queue:Queue": ("name", "messageRetentionSeconds"),
    "ssm/parameter:Parameter": ("name", "type"),
    "vpc/securityGroupEgressRule:SecurityGroupEgressRule": ("ipProtocol", "fromPort", "toPort"),
    "vpc/securityGroupIngressRule:SecurityGroupIngressRule": ("ipProtocol", "fromPort", "toPort"),
}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A sandbox in which nothing was ever made; a preview leaves it so."""
    copy = Checkout.copy(tmp_path_factory.mktemp("empty"))
    copy.ops("artifact", "build")
    try:
        yield copy
    finally:
        copy.end()


def _preview(checkout: Checkout, stack: str) -> list[dict[str, Any]]:
    """What a stack's first preview would create: each resource's state, by its inputs."""
    done = checkout.ops("pulumi", "--", "preview", "--stack", stack, "--json")
    steps = json.loads(done.stdout)["steps"]
    assert {"create"} == {step["op"] for step in steps}
    return [step["newState"] for step in steps]


@pytest.fixture(scope="module")
def previews(empty: Checkout) -> dict[str, list[dict[str, Any]]]:
    """What each of the stacks would create."""
    return {stack: _preview(empty, stack) for stack in STACKS}


@pytest.fixture(params=STACKS)
def planned(previews: dict[str, list[dict[str, Any]]], request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """What one of the stacks would create."""
    return previews[request.param]


def _kind(urn: str) -> str:
    """A resource's type, without the provider's name."""
    return urn.split("::")[2].rpartition("$")[2].removeprefix("aws:")


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar with its path, without indices."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each, path)
    else:
        yield path, value


def _unknown(value: Any) -> bool:
    return any(unknown in str(value) for unknown in UNKNOWN)


def _targets(kind: str, path: str) -> set[str]:
    """The types of which one must be what this input waits for, where it may be unknown."""
    return {target for target, inputs in REFERENCES.items() if f"{kind} {path}" in inputs}


def _faults(planned: list[dict[str, Any]]) -> tuple[list[str], set[str]]:
    """Name each unknown that is no reference; and say which references were found."""
    declared = {resource["urn"] for resource in planned}
    wrong, found = [], set()
    for resource in planned:
        kind = _kind(resource["urn"])
        for path, value in _leaves(resource.get("inputs") or {}):
            if not _unknown(value):
                continue
            waits = set((resource.get("propertyDependencies") or {}).get(path.split(".")[0]) or ())
            kinds = {_kind(urn) for urn in waits}
            if value in UNKNOWN and waits <= declared and kinds & _targets(kind, path):
                found |= {f"{kind} {path} waits for {target}" for target in kinds & _targets(kind, path)}
            else:
                wrong.append(f"{resource['urn']}: {path} waits for {', '.join(sorted(kinds)) or 'nothing'}")
    return wrong, found


def test_what_is_unknown_is_a_plain_reference(planned: list[dict[str, Any]]) -> None:
    """To one of the resources that the same preview declares, and of the type that belongs there."""
    wrong, _ = _faults(planned)
    assert [] == wrong


def test_no_reference_is_allowed_that_no_stack_has(previews: dict[str, list[dict[str, Any]]]) -> None:
    found = set[str]().union(*(_faults(planned)[1] for planned in previews.values()))
    allowed = {f"{source} waits for {target}" for target, sources in REFERENCES.items() for source in sources}
    assert set() == allowed - found


def _at(value: Any, path: str) -> Iterator[Any]:
    """Every value at a path, without indices."""
    first, _, rest = path.partition(".")
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict) and first in each:
            if rest:
                yield from _at(each[first], rest)
            else:
                yield each[first]


def test_whatever_is_judged_is_there_and_known(planned: list[dict[str, Any]]) -> None:
    """A property that is left out is the provider's default, which no rule sees."""
    wrong = [
        f"{resource['urn']}: {path} is {'unknown' if values else 'not given'}"
        for resource in planned
        for path in JUDGED.get(_kind(resource["urn"]), ())
        if not (values := list(_at(resource["inputs"], path))) or any(map(_unknown, values))
    ]
    assert [] == wrong


def test_each_type_that_is_judged_occurs(previews: dict[str, list[dict[str, Any]]]) -> None:
    kinds = {_kind(resource["urn"]) for planned in previews.values() for resource in planned}
    assert set() == set(JUDGED) - kinds


def _inputs(planned: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    found = [resource["inputs"] for resource in planned if _kind(resource["urn"]) == kind]
    assert found, f"the stack declares no {kind}"
    return found


def _documents(planned: list[dict[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every policy document there is, wherever it stands."""
    for resource in planned:
        for path, value in _leaves(resource.get("inputs") or {}):
            if path.rpartition(".")[2].lower().endswith("policy") and str(value).lstrip().startswith("{"):
                yield f"{_kind(resource['urn'])} {path}", json.loads(value)


def test_every_policy_document_can_be_read(planned: list[dict[str, Any]]) -> None:
    """Those of roles, keys, endpoints, topics and buckets, and who may be a role."""
    documents = list(_documents(planned))
    assert {
        "ec2/vpcEndpoint:VpcEndpoint policy",
        "iam/role:Role assumeRolePolicy",
        "iam/rolePolicy:RolePolicy policy",
        "kms/key:Key policy",
        "s3/bucketPolicy:BucketPolicy policy",
        "sns/topicPolicy:TopicPolicy policy",
    } == {where for where, _ in documents}
    assert [] == [where for where, document in documents if not document["Statement"]]


def test_ports_encryption_and_exposure_can_be_read(planned: list[dict[str, Any]]) -> None:
    """With the values that make them safe."""
    for kind in ("Ingress", "Egress"):
        rules = _inputs(planned, f"vpc/securityGroup{kind}Rule:SecurityGroup{kind}Rule")
        assert {("tcp", 443, 443), ("tcp", 5432, 5432)} == {
            (rule["ipProtocol"], rule["fromPort"], rule["toPort"]) for rule in rules
        }
        assert [] == [rule for rule in rules if {"cidrIpv4", "cidrIpv6", "prefixListId"} & set(rule)]
    [database] = _inputs(planned, "rds/instance:Instance")
    assert (True, False, True) == tuple(
        database[key] for key in ("storageEncrypted", "publiclyAccessible", "manageMasterUserPassword")
    )
    assert database["deletionProtection"] is not database["skipFinalSnapshot"]
    assert {False} == {subnet["mapPublicIpOnLaunch"] for subnet in _inputs(planned, "ec2/subnet:Subnet")}
    assert {True} == {key["enableKeyRotation"] for key in _inputs(planned, "kms/key:Key")}


def test_the_plan_of_migrations_can_be_read(planned: list[dict[str, Any]]) -> None:
    [plan] = _inputs(planned, "product-api:index:MigrationPlan")
    assert [] == [revision for revision in plan["revisions"] if not revision["sql"] and "undecidable" not in revision]
    assert plan["digest"]


KNOWN = """policy=json.dumps(
                {"Version": "2012-10-17", "Statement": [grant.statement() for grant in args.grants]},
            ),"""
NOT_KNOWN = """policy=role.arn.apply(
                lambda arn: json.dumps(
                    {
                        "Version": "2012-10-17",
                        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": arn}],
                    }
                )
            ),"""


def test_one_arn_that_is_not_known_is_found_and_named(empty: Checkout) -> None:
    """It makes the document unknown as a whole, although what it waits for is declared."""
    path = empty.root / "components" / "role.py"
    before = path.read_text()
    assert KNOWN in before
    try:
        path.write_text(before.replace(KNOWN, NOT_KNOWN))
        planned = _preview(empty, "local")
    finally:
        path.write_text(before)
    policies = [resource["urn"] for resource in planned if _kind(resource["urn"]) == "iam/rolePolicy:RolePolicy"]
    wrong, _ = _faults(planned)
    assert policies
    assert sorted(f"{urn}: policy waits for iam/role:Role" for urn in policies) == sorted(wrong)
