"""What a request is authorised on: requests as botocore writes them, read back as actions, resources and keys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode

import botocore.session
import pytest
from botocore.serialize import create_serializer

from sandbox.cloud.iam import reference, requests, resources
from sandbox.provider import mapping, table
from tests.sandbox.provider.test_table import calls

if TYPE_CHECKING:
    from collections.abc import Mapping

REGION, ACCOUNT = "eu-central-1", "111122223333"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:db-AbCdEf"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/service"
SESSION = botocore.session.get_session()
# boto3's name of a service → the emulator's, where they differ
EMULATED = {"apigatewayv2": "apigateway", "cloudwatch": "monitoring", "resourcegroupstaggingapi": "tagging"}
# Rights that no operation has for its name: over other services' calls, of consoles, or under another operation.
WITHOUT_OPERATION = {
    "backup": {"CopyFromBackupVault", "CopyIntoBackupVault"},
    "budgets": {"ModifyBudget", "ViewBudget"},
    "cloudwatch": {"ListEntitiesForMetric"},
    "events": {"AllowVendedLogDeliveryForResource"},
    "iam": {"ListSTSRegionalEndpointsStatus", "PassRole", "SetSTSRegionalEndpointStatus"},
    "kms": {"ReEncryptFrom", "ReEncryptTo", "SynchronizeMultiRegionKey"},
    "lambda": {"InvokeFunction", "InvokeFunctionUrl", "UpdateFunctionCodeSigningConfig"},
    "logs": {"Link", "ListEntitiesForLogGroup", "ListLogGroupsForEntity", "StopLiveTail", "Unmask"},
    "rds": {"CrossRegionCommunication", "DownloadCompleteDBLogFile"},
    "scheduler": {"ListSchedulesByTarget"},
    "ssm": {"DescribeDocumentParameters"},
    "sts": {"GetServiceBearerToken", "SetContext", "SetSourceIdentity", "TagGetWebIdentityToken", "TagSession"},
}


class Account:
    """An account with one of each."""

    things = {  # noqa: RUF012 — a table
        ("iam/role", "service"): ROLE,
        ("iam/boundary", "bounded"): f"arn:aws:iam::{ACCOUNT}:policy/boundary",
        ("kms/key", "1234"): KEY,
        ("kms/key", KEY): KEY,
        ("kms/key", "alias/data"): KEY,
        ("secretsmanager/secret", "db"): SECRET,
        ("secretsmanager/key", SECRET): KEY,
        ("rds/proxy", "proxy"): f"arn:aws:rds:{REGION}:{ACCOUNT}:db-proxy:prx-1",
        ("vpc of subnet", "subnet-1"): "vpc-1",
        ("ec2/association", "rtbassoc-1"): "rtb-1",
        ("codedeploy/deployment", "d-1"): "app/live",
        ("ec2/launch-template", "tunnel"): "lt-1",
        ("ec2/image of template", "lt-1 $Default"): "resolve:ssm:/aws/service/image",
        ("ec2/profile of template", "lt-1 $Default"): "profile",
        ("ec2/key of template", "lt-1 $Default"): KEY,
        ("ec2/image", "resolve:ssm:/aws/service/image"): "ami-1",
        ("ec2/owner of image", "ami-1"): "amazon",
        ("iam/role of profile", "profile"): ROLE,
    }

    def find(self, kind: str, identifier: str) -> str:
        return self.things.get((kind, identifier), "")

    def tags(self, arn: str) -> Mapping[str, str]:
        return {"Team": "red"} if arn.endswith("subnet/subnet-1") else {}

    def aliases(self, key: str) -> list[str]:
        return ["alias/data"] if key == KEY else []


def read(service: str, operation: str, parameters: Mapping[str, Any]) -> requests.Operation:
    """Write a request as botocore does, and read it as the sandbox does."""
    model = SESSION.get_service_model(service)
    written = create_serializer(model.resolved_protocol, include_validation=False).serialize_to_request(
        dict(parameters), model.operation_model(operation)
    )
    body = written["body"]
    content = urlencode(body).encode() if isinstance(body, dict) else body if isinstance(body, bytes) else body.encode()
    headers = {name.lower(): str(value) for name, value in written["headers"].items()}
    path, _, inline = written["url_path"].partition("?")
    query: dict[str, Any] = {one.partition("=")[0]: [one.partition("=")[2]] for one in inline.split("&") if one}
    query.update({name: [value] for name, value in (written["query_string"] or {}).items()})
    found = requests.operation(
        EMULATED.get(service, service), written["method"], unquote(path), headers, content, query, REGION, ACCOUNT
    )
    assert found is not None
    return found


def wanted(service: str, operation: str, **parameters: Any) -> list[tuple[str, str]]:
    """Actions and resources of a request, the ARNs of this account and region without their beginning."""
    checks = resources.checks(read(service, operation, parameters), Account())
    return [(one.action, one.resource.replace(f"{REGION}:{ACCOUNT}:", "~")) for one in checks]


def keys(service: str, operation: str, **parameters: Any) -> list[Mapping[str, Any]]:
    """The condition keys of a request's checks."""
    return [one.context for one in resources.checks(read(service, operation, parameters), Account())]


FUNCTION = {"FunctionName": "f", "Runtime": "python3.13", "Handler": "h.h", "Code": {"ZipFile": b""}, "Role": ROLE}
PASS = ("iam:PassRole", ROLE)


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"),
    [
        ("ec2", "CreateVpc", {"CidrBlock": "10.0.0.0/16"}, [("ec2:CreateVpc", "arn:aws:ec2:~vpc/*")]),
        (
            "ec2",
            "CreateSubnet",
            {
                "VpcId": "vpc-1",
                "CidrBlock": "10.0.0.0/24",
                "TagSpecifications": [{"ResourceType": "subnet", "Tags": [{"Key": "a", "Value": "b"}]}],
            },
            [
                ("ec2:CreateSubnet", "arn:aws:ec2:~subnet/*"),
                ("ec2:CreateSubnet", "arn:aws:ec2:~vpc/vpc-1"),
                ("ec2:CreateTags", "arn:aws:ec2:~subnet/*"),
            ],
        ),
        (
            "ec2",
            "AuthorizeSecurityGroupIngress",
            {"GroupId": "sg-1", "IpPermissions": [{"IpProtocol": "tcp", "UserIdGroupPairs": [{"GroupId": "sg-2"}]}]},
            [("ec2:AuthorizeSecurityGroupIngress", "arn:aws:ec2:~security-group/sg-1")],
        ),
        (
            "ec2",
            "CreateVpcEndpoint",
            {"VpcId": "vpc-1", "ServiceName": "s", "SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
            [
                ("ec2:CreateVpcEndpoint", "arn:aws:ec2:~security-group/sg-1"),
                ("ec2:CreateVpcEndpoint", "arn:aws:ec2:~subnet/subnet-1"),
                ("ec2:CreateVpcEndpoint", "arn:aws:ec2:~vpc/vpc-1"),
                ("ec2:CreateVpcEndpoint", "arn:aws:ec2:~vpc-endpoint/*"),
            ],
        ),
        (
            "ec2",
            "CreateFlowLogs",
            {"ResourceIds": ["vpc-1"], "ResourceType": "VPC", "DeliverLogsPermissionArn": ROLE},
            [
                ("ec2:CreateFlowLogs", "arn:aws:ec2:~vpc/vpc-1"),
                ("ec2:CreateFlowLogs", "arn:aws:ec2:~vpc-flow-log/*"),
                PASS,
            ],
        ),
        (
            "ec2",
            "DeleteLaunchTemplate",
            {"LaunchTemplateName": "tunnel"},
            [("ec2:DeleteLaunchTemplate", "arn:aws:ec2:~launch-template/lt-1")],
        ),
        (
            "ec2",
            "RunInstances",
            {
                "MinCount": 1,
                "MaxCount": 1,
                "LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "$Default"},
                "NetworkInterfaces": [{"SubnetId": "subnet-1", "Groups": ["sg-1"]}],
                "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}],
            },
            [
                ("ec2:RunInstances", f"arn:aws:ec2:{REGION}::image/ami-1"),
                ("ec2:RunInstances", "arn:aws:ec2:~instance/*"),
                ("ec2:RunInstances", "arn:aws:ec2:~launch-template/lt-1"),
                ("ec2:RunInstances", "arn:aws:ec2:~network-interface/*"),
                ("ec2:RunInstances", "arn:aws:ec2:~security-group/sg-1"),
                ("ec2:RunInstances", "arn:aws:ec2:~subnet/subnet-1"),
                ("ec2:RunInstances", "arn:aws:ec2:~volume/*"),
                ("ec2:CreateTags", "arn:aws:ec2:~instance/*"),
                PASS,
                ("ssm:GetParameters", f"arn:aws:ssm:{REGION}::parameter/aws/service/image"),
                *(
                    (f"kms:{action}", "arn:aws:kms:~key/1234")
                    for action in ("DescribeKey", "CreateGrant", "GenerateDataKeyWithoutPlaintext", "Decrypt")
                ),
            ],
        ),
        (
            "ec2",
            "DisassociateRouteTable",
            {"AssociationId": "rtbassoc-1"},
            [("ec2:DisassociateRouteTable", "arn:aws:ec2:~route-table/rtb-1")],
        ),
        (
            "ec2",
            "DeleteTags",
            {"Resources": ["sg-1"], "Tags": [{"Key": "a"}]},
            [("ec2:DeleteTags", "arn:aws:ec2:~security-group/sg-1")],
        ),
        ("ec2", "DescribeVpcs", {"VpcIds": ["vpc-1"]}, [("ec2:DescribeVpcs", "*")]),
        ("rds", "DescribeDBInstances", {}, [("rds:DescribeDBInstances", "arn:aws:rds:~db:*")]),
        (
            "rds",
            "CreateDBInstance",
            {
                "DBInstanceIdentifier": "main",
                "DBInstanceClass": "db.t4g.micro",
                "Engine": "postgres",
                "DBSubnetGroupName": "subnets",
                "DBParameterGroupName": "parameters",
                "KmsKeyId": KEY,
                "ManageMasterUserPassword": True,
                "MonitoringRoleArn": ROLE,
                "Tags": [{"Key": "a", "Value": "b"}],
            },
            [
                ("rds:CreateDBInstance", "arn:aws:rds:~db:main"),
                ("rds:CreateDBInstance", "arn:aws:rds:~pg:parameters"),
                ("rds:CreateDBInstance", "arn:aws:rds:~subgrp:subnets"),
                ("rds:AddTagsToResource", "arn:aws:rds:~db:main"),
                PASS,
                ("kms:DescribeKey", KEY.replace(f"{REGION}:{ACCOUNT}:", "~")),
                ("kms:CreateGrant", KEY.replace(f"{REGION}:{ACCOUNT}:", "~")),
                ("secretsmanager:CreateSecret", "arn:aws:secretsmanager:~secret:rds!db-*"),
                ("secretsmanager:TagResource", "arn:aws:secretsmanager:~secret:rds!db-*"),
            ],
        ),
        (
            "rds",
            "DeleteDBProxy",
            {"DBProxyName": "proxy"},
            [("rds:DeleteDBProxy", "arn:aws:rds:~db-proxy:prx-1")],
        ),
        ("lambda", "CreateFunction", FUNCTION, [("lambda:CreateFunction", "arn:aws:lambda:~function:f"), PASS]),
        (
            "lambda",
            "CreateFunction",
            {**FUNCTION, "Code": {"S3Bucket": "b", "S3Key": "k"}, "VpcConfig": {"SubnetIds": ["subnet-1"]}},
            [
                ("lambda:CreateFunction", "arn:aws:lambda:~function:f"),
                PASS,
                ("s3:GetObject", "arn:aws:s3:::b/k"),
                ("ec2:DescribeSecurityGroups", "*"),
                ("ec2:DescribeSubnets", "*"),
                ("ec2:DescribeVpcs", "*"),
            ],
        ),
        (
            "lambda",
            "UpdateAlias",
            {"FunctionName": "f", "Name": "live"},
            [("lambda:UpdateAlias", "arn:aws:lambda:~function:f")],
        ),
        (
            "lambda",
            "Invoke",
            {"FunctionName": "f", "Qualifier": "live"},
            [("lambda:InvokeFunction", "arn:aws:lambda:~function:f:live")],
        ),
        (
            "lambda",
            "PublishVersion",
            {"FunctionName": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"},
            [("lambda:PublishVersion", "arn:aws:lambda:~function:f")],
        ),
        (
            "lambda",
            "GetLayerVersion",
            {"LayerName": "l", "VersionNumber": 3},
            [("lambda:GetLayerVersion", "arn:aws:lambda:~layer:l:3")],
        ),
        ("apigatewayv2", "CreateApi", {"Name": "n", "ProtocolType": "HTTP"}, [("apigateway:POST", "~/apis")]),
        (
            "apigatewayv2",
            "UpdateStage",
            {"ApiId": "a", "StageName": "$default"},
            [("apigateway:PATCH", "~/apis/a/stages/$default")],
        ),
        (
            "apigatewayv2",
            "CreateStage",
            {"ApiId": "a", "StageName": "s", "AccessLogSettings": {"DestinationArn": "arn:g", "Format": "f"}},
            [
                ("apigateway:POST", "~/apis/a/stages"),
                ("logs:CreateLogDelivery", "*"),
                ("logs:DescribeResourcePolicies", "*"),
                ("logs:PutResourcePolicy", "*"),
            ],
        ),
        (
            "kms",
            "CreateAlias",
            {"AliasName": "alias/data", "TargetKeyId": "1234"},
            [("kms:CreateAlias", "arn:aws:kms:~alias/data"), ("kms:CreateAlias", "arn:aws:kms:~key/1234")],
        ),
        ("kms", "Encrypt", {"KeyId": "alias/data", "Plaintext": b""}, [("kms:Encrypt", "arn:aws:kms:~key/1234")]),
        (
            "kms",
            "CreateKey",
            {"Tags": [{"TagKey": "a", "TagValue": "b"}]},
            [("kms:CreateKey", "*"), ("kms:TagResource", "*")],
        ),
        (
            "secretsmanager",
            "GetSecretValue",
            {"SecretId": "db"},
            [
                ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:~secret:db-AbCdEf"),
                ("kms:Decrypt", "arn:aws:kms:~key/1234"),
            ],
        ),
        (
            "secretsmanager",
            "RotateSecret",
            {"SecretId": "db", "RotationLambdaARN": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"},
            [
                ("secretsmanager:RotateSecret", "arn:aws:secretsmanager:~secret:db-AbCdEf"),
                ("lambda:InvokeFunction", "arn:aws:lambda:~function:f"),
            ],
        ),
        ("ssm", "PutParameter", {"Name": "/a/b", "Value": "v"}, [("ssm:PutParameter", "arn:aws:ssm:~parameter/a/b")]),
        (
            "ssm",
            "AddTagsToResource",
            {"ResourceType": "Parameter", "ResourceId": "/a/b", "Tags": []},
            [("ssm:AddTagsToResource", "arn:aws:ssm:~parameter/a/b")],
        ),
        (
            "logs",
            "CreateLogGroup",
            {"logGroupName": "/g"},
            [("logs:CreateLogGroup", "arn:aws:logs:~log-group:/g:log-stream:")],
        ),
        (
            "logs",
            "PutLogEvents",
            {"logGroupName": "/g", "logStreamName": "s", "logEvents": []},
            [("logs:PutLogEvents", "arn:aws:logs:~log-group:/g:log-stream:s")],
        ),
        (
            "logs",
            "TagResource",
            {"resourceArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/g", "tags": {"a": "b"}},
            [("logs:TagResource", "arn:aws:logs:~log-group:/g")],
        ),
        (
            "cloudwatch",
            "PutMetricAlarm",
            {"AlarmName": "slow", "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1},
            [("cloudwatch:PutMetricAlarm", "arn:aws:cloudwatch:~alarm:slow")],
        ),
        (
            "cloudwatch",
            "PutDashboard",
            {"DashboardName": "d", "DashboardBody": "{}"},
            [("cloudwatch:PutDashboard", f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/d")],
        ),
        (
            "events",
            "PutTargets",
            {"Rule": "tick", "Targets": [{"Id": "1", "Arn": "a", "RoleArn": ROLE}]},
            [("events:PutTargets", "arn:aws:events:~rule/tick"), PASS],
        ),
        (
            "scheduler",
            "CreateSchedule",
            {
                "Name": "probe",
                "GroupName": "g",
                "ScheduleExpression": "rate(1 minute)",
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "Target": {"Arn": "a", "RoleArn": ROLE},
            },
            [("scheduler:CreateSchedule", "arn:aws:scheduler:~schedule/g/probe"), PASS],
        ),
        (
            "signer",
            "StartSigningJob",
            {
                "profileName": "p",
                "source": {"s3": {"bucketName": "b", "key": "k", "version": "1"}},
                "destination": {"s3": {"bucketName": "c", "prefix": "signed/"}},
                "clientRequestToken": "t",
            },
            [
                ("signer:StartSigningJob", "arn:aws:signer:~/signing-profiles/p"),
                ("s3:GetObjectVersion", "arn:aws:s3:::b/k"),
                ("s3:PutObject", "arn:aws:s3:::c/signed/*"),
            ],
        ),
        (
            "signer",
            "PutSigningProfile",
            {"profileName": "p", "platformId": "AWSLambda-SHA384-ECDSA", "tags": {"a": "b"}},
            [("signer:PutSigningProfile", "*"), ("signer:TagResource", "arn:aws:signer:~/signing-profiles/p")],
        ),
        (
            "backup",
            "CreateBackupVault",
            {"BackupVaultName": "v", "EncryptionKeyArn": KEY, "BackupVaultTags": {"a": "b"}},
            [
                ("backup:CreateBackupVault", "arn:aws:backup:~backup-vault:v"),
                ("backup:TagResource", "arn:aws:backup:~backup-vault:v"),
                ("backup-storage:MountCapsule", "*"),
                *(
                    (f"kms:{action}", "arn:aws:kms:~key/1234")
                    for action in ("CreateGrant", "GenerateDataKey", "Decrypt", "RetireGrant", "DescribeKey")
                ),
            ],
        ),
        (
            "backup",
            "CreateBackupSelection",
            {"BackupPlanId": "p", "BackupSelection": {"SelectionName": "s", "IamRoleArn": ROLE}},
            [("backup:CreateBackupSelection", "arn:aws:backup:~backup-plan:p"), PASS],
        ),
        (
            "budgets",
            "CreateBudget",
            {"AccountId": ACCOUNT, "Budget": {"BudgetName": "b", "TimeUnit": "MONTHLY", "BudgetType": "COST"}},
            [("budgets:ModifyBudget", f"arn:aws:budgets::{ACCOUNT}:budget/b")],
        ),
        (
            "codedeploy",
            "CreateDeployment",
            {"applicationName": "app", "deploymentGroupName": "live", "deploymentConfigName": "canary"},
            [
                ("codedeploy:CreateDeployment", "arn:aws:codedeploy:~deploymentgroup:app/live"),
                ("codedeploy:GetDeploymentConfig", "arn:aws:codedeploy:~deploymentconfig:canary"),
                ("codedeploy:RegisterApplicationRevision", "arn:aws:codedeploy:~application:app"),
            ],
        ),
        (
            "codedeploy",
            "GetDeployment",
            {"deploymentId": "d-1"},
            [("codedeploy:GetDeployment", "arn:aws:codedeploy:~deploymentgroup:app/live")],
        ),
        (
            "iam",
            "CreateRole",
            {"RoleName": "r", "Path": "/p/", "AssumeRolePolicyDocument": "{}", "Tags": [{"Key": "a", "Value": "b"}]},
            [
                ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/p/r"),
                ("iam:TagRole", f"arn:aws:iam::{ACCOUNT}:role/p/r"),
            ],
        ),
        (
            "iam",
            "CreateOpenIDConnectProvider",
            {"Url": "https://host/path"},
            [("iam:CreateOpenIDConnectProvider", f"arn:aws:iam::{ACCOUNT}:oidc-provider/host/path")],
        ),
        (
            "cloudfront",
            "CreateDistributionWithTags",
            {
                "DistributionConfigWithTags": {
                    "DistributionConfig": {},
                    "Tags": {"Items": [{"Key": "a", "Value": "b"}]},
                }
            },
            [
                ("cloudfront:CreateDistribution", f"arn:aws:cloudfront::{ACCOUNT}:distribution/*"),
                ("cloudfront:TagResource", f"arn:aws:cloudfront::{ACCOUNT}:distribution/*"),
            ],
        ),
        (
            "cloudfront",
            "UpdateDistribution",
            {"Id": "E1", "IfMatch": "x", "DistributionConfig": {}},
            [("cloudfront:UpdateDistribution", f"arn:aws:cloudfront::{ACCOUNT}:distribution/E1")],
        ),
        (
            "cloudfront",
            "DeleteOriginAccessControl",
            {"Id": "E2", "IfMatch": "x"},
            [("cloudfront:DeleteOriginAccessControl", f"arn:aws:cloudfront::{ACCOUNT}:origin-access-control/E2")],
        ),
        ("sns", "Publish", {"TopicArn": "arn:aws:sns:r:a:t", "Message": "m"}, [("sns:Publish", "arn:aws:sns:r:a:t")]),
        (
            "sqs",
            "SendMessageBatch",
            {"QueueUrl": f"http://127.0.0.1:1/{ACCOUNT}/q", "Entries": []},
            [("sqs:SendMessage", "arn:aws:sqs:~q")],
        ),
        (
            "rds",
            "RegisterDBProxyTargets",
            {"DBProxyName": "p", "DBInstanceIdentifiers": ["main"]},
            [
                ("rds:RegisterDBProxyTargets", "arn:aws:rds:~db:main"),
                ("rds:RegisterDBProxyTargets", "arn:aws:rds:~target-group:*"),
            ],
        ),
        (
            "rds",
            "CreateDBProxy",
            {
                "DBProxyName": "p",
                "EngineFamily": "POSTGRESQL",
                "RoleArn": ROLE,
                "VpcSubnetIds": ["s"],
                "Tags": [{"Key": "a", "Value": "b"}],
            },
            [("rds:CreateDBProxy", "*"), ("rds:AddTagsToResource", "arn:aws:rds:~db-proxy:*"), PASS],
        ),
        (
            "cloudtrail",
            "CreateTrail",
            {"Name": "t", "S3BucketName": "b", "TagsList": [{"Key": "a", "Value": "b"}]},
            [
                ("cloudtrail:CreateTrail", "arn:aws:cloudtrail:~trail/t"),
                ("cloudtrail:AddTags", "arn:aws:cloudtrail:~trail/t"),
            ],
        ),
    ],
)
def test_a_request_is_authorised_on(
    service: str, operation: str, parameters: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    """Action and resource as the Service Authorization Reference has them, and what else the caller needs."""
    gateway = f"arn:aws:apigateway:{REGION}::"
    assert expected == [(action, arn.replace(gateway, "~")) for action, arn in wanted(service, operation, **parameters)]


class TestKeys:
    def test_of_tags(self) -> None:
        subnet, network, tagging = keys(
            "ec2",
            "CreateSubnet",
            VpcId="vpc-1",
            TagSpecifications=[{"ResourceType": "subnet", "Tags": [{"Key": "Team", "Value": "red"}]}],
        )
        assert subnet["aws:requesttag/team"] == network["aws:requesttag/team"] == "red"
        assert subnet["aws:tagkeys"] == ["Team"]
        assert tagging["ec2:createaction"] == "CreateSubnet"
        (deleted,) = keys("ec2", "DeleteSubnet", SubnetId="subnet-1")
        assert deleted["aws:resourcetag/team"] == deleted["ec2:resourcetag/team"] == "red"
        assert deleted["ec2:vpc"] == f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/vpc-1"
        assert deleted["aws:resourceaccount"] == ACCOUNT

    def test_of_an_image(self) -> None:
        image, *_ = keys("ec2", "RunInstances", MinCount=1, MaxCount=1, ImageId="ami-1")
        assert image["ec2:owner"] == "amazon"

    def test_of_a_role_that_is_passed_or_bounded(self) -> None:
        _, passing = keys("lambda", "CreateFunction", **FUNCTION)
        assert passing["iam:passedtoservice"] == "lambda.amazonaws.com"
        (made,) = keys("iam", "CreateRole", RoleName="r", AssumeRolePolicyDocument="{}", PermissionsBoundary="arn:b")
        assert made["iam:permissionsboundary"] == "arn:b"
        (changed,) = keys("iam", "PutRolePolicy", RoleName="bounded", PolicyName="p", PolicyDocument="{}")
        assert changed["iam:permissionsboundary"].endswith(":policy/boundary")
        (attached,) = keys("iam", "AttachRolePolicy", RoleName="r", PolicyArn="arn:p")
        assert attached["iam:policyarn"] == "arn:p"

    def test_of_a_key(self) -> None:
        _, used = keys("secretsmanager", "GetSecretValue", SecretId="db")
        assert used["kms:viaservice"] == f"secretsmanager.{REGION}.amazonaws.com"
        assert used["kms:resourcealiases"] == ["alias/data"]
        (direct,) = keys("kms", "Decrypt", KeyId="alias/data", CiphertextBlob=b"x", EncryptionContext={"a": "b"})
        assert direct["kms:requestalias"] == "alias/data"
        assert direct["kms:encryptioncontext:a"] == "b"
        assert "kms:viaservice" not in direct


def test_what_the_sandbox_cannot_name_is_an_error_that_says_so() -> None:
    """Rather than something allowed by accident."""
    with pytest.raises(resources.UnmappedError, match=r"ec2:AcceptVpcPeeringConnection.*reference\.txt"):
        wanted("ec2", "AcceptVpcPeeringConnection", VpcPeeringConnectionId="pcx-1")


def test_the_reference_names_actions_that_exist() -> None:
    """A slip of the pen would deny for ever."""
    models = {"tag": "resourcegroupstaggingapi", "servicequotas": "service-quotas"}
    for service, actions in reference.actions().items():
        operations = set(SESSION.get_service_model(models.get(service, service)).operation_names)
        missing = {one for one in actions if one not in operations and not one.endswith("SharingPolicy")}
        assert WITHOUT_OPERATION.get(service, set()) == missing, service


@pytest.mark.parametrize("entry", table.entries().values(), ids=lambda entry: entry.token)
def test_whatever_the_provider_calls_is_in_the_reference(entry: Any) -> None:
    """Or a role could do nothing about it: services without a section are the emulator's to name."""
    service = {"apigatewayv2": "apigateway"}.get(entry.service, entry.service)
    known = reference.actions().get(service)
    for call, _ in calls(entry):
        name = mapping.operation_model(entry.service, call).name
        assert known is None or resources.renamed(service, name) in known, f"{service}:{name}"


def test_a_body_that_is_no_json_is_no_parameters() -> None:
    """The service refuses it; deciding must not fail before."""
    headers = {"x-amz-target": "TrentService.CreateKey"}
    found = requests.operation("kms", "POST", "/", headers, b"{", {}, REGION, ACCOUNT)
    assert found is not None
    assert dict(found.parameters) == {}
    assert json.dumps(resources.checks(found, Account())[0].resource) == '"*"'
