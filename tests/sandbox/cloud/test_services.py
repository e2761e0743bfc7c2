"""What a provider reads back is what it wrote, for every kind of resource of the stack."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.cloud.harness import ACCOUNT, REGION

if TYPE_CHECKING:
    from tests.sandbox.cloud.harness import Cloud

POLICY = json.dumps({"Statement": [{"Action": "secretsmanager:GetSecretValue", "Effect": "Allow", "Principal": "*"}]})


@pytest.fixture(scope="module")
def network(cloud: Cloud) -> dict[str, Any]:
    """A network with two subnets and a security group."""
    ec2 = cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{index}.0/24", AvailabilityZone=f"{REGION}{zone}")
        for index, zone in enumerate("ab")
    ]
    group = ec2.create_security_group(GroupName="endpoints", Description="d", VpcId=vpc)["GroupId"]
    return {"vpc": vpc, "subnets": [one["Subnet"]["SubnetId"] for one in subnets], "group": group}


def endpoint(cloud: Cloud, identifier: str) -> dict[str, Any]:
    """Describe an endpoint."""
    found: dict[str, Any] = cloud.client("ec2").describe_vpc_endpoints(VpcEndpointIds=[identifier])["VpcEndpoints"][0]
    return found


@pytest.mark.parametrize("service", ["secretsmanager", "kms", "logs", "lambda"])
def test_an_interface_endpoint_keeps_what_it_was_given(cloud: Cloud, network: dict[str, Any], service: str) -> None:
    """Policy, private DNS, groups, subnets and an interface in each."""
    made = cloud.client("ec2").create_vpc_endpoint(
        VpcId=network["vpc"],
        VpcEndpointType="Interface",
        ServiceName=f"com.amazonaws.{REGION}.{service}",
        SubnetIds=network["subnets"],
        SecurityGroupIds=[network["group"]],
        PrivateDnsEnabled=True,
        PolicyDocument=POLICY,
        TagSpecifications=[{"ResourceType": "vpc-endpoint", "Tags": [{"Key": "Name", "Value": service}]}],
    )["VpcEndpoint"]
    read = endpoint(cloud, made["VpcEndpointId"])
    for described in (made, read):
        assert described["PolicyDocument"] == POLICY
        assert described["PrivateDnsEnabled"] is True
        assert described["Groups"] == [{"GroupId": network["group"], "GroupName": "endpoints"}]
        assert described["SubnetIds"] == network["subnets"]
        assert len(described["NetworkInterfaceIds"]) == len(network["subnets"])
        assert described["IpAddressType"] == "ipv4"
        assert described["DnsEntries"][-1]["DnsName"] == f"{service}.{REGION}.amazonaws.com"
        assert described["Tags"] == [{"Key": "Name", "Value": service}]
    assert read["NetworkInterfaceIds"] == made["NetworkInterfaceIds"]


def test_an_endpoints_policy_dns_and_groups_can_be_changed(cloud: Cloud, network: dict[str, Any]) -> None:
    """And the policy reset to the one that allows everything."""
    ec2 = cloud.client("ec2")
    made = ec2.create_vpc_endpoint(
        VpcId=network["vpc"], VpcEndpointType="Interface", ServiceName="x.y", SecurityGroupIds=[network["group"]]
    )["VpcEndpoint"]
    identifier = made["VpcEndpointId"]
    assert json.loads(made["PolicyDocument"])["Statement"][0]["Action"] == "*"
    second = ec2.create_security_group(GroupName="second", Description="d", VpcId=network["vpc"])["GroupId"]
    ec2.modify_vpc_endpoint(
        VpcEndpointId=identifier,
        PolicyDocument=POLICY,
        PrivateDnsEnabled=False,
        AddSecurityGroupIds=[second],
        RemoveSecurityGroupIds=[network["group"]],
        AddSubnetIds=network["subnets"],
    )
    read = endpoint(cloud, identifier)
    assert (read["PolicyDocument"], read["PrivateDnsEnabled"]) == (POLICY, False)
    assert [group["GroupId"] for group in read["Groups"]] == [second]
    assert len(read["NetworkInterfaceIds"]) == 2
    ec2.modify_vpc_endpoint(VpcEndpointId=identifier, ResetPolicy=True)
    assert json.loads(endpoint(cloud, identifier)["PolicyDocument"])["Statement"][0]["Action"] == "*"
    ec2.delete_vpc_endpoints(VpcEndpointIds=[identifier])
    with pytest.raises(ClientError, match="NotFound"):
        ec2.describe_vpc_endpoints(VpcEndpointIds=[identifier])


def test_a_new_networks_default_group_is_that_of_aws(cloud: Cloud, network: dict[str, Any]) -> None:
    """It allows traffic within itself."""
    filters = [{"Name": "vpc-id", "Values": [network["vpc"]]}, {"Name": "group-name", "Values": ["default"]}]
    (group,) = cloud.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    (inward,) = group["IpPermissions"]
    assert [pair["GroupId"] for pair in inward["UserIdGroupPairs"]] == [group["GroupId"]]


def test_a_rule_is_known_by_its_id_until_it_is_revoked(cloud: Cloud, network: dict[str, Any]) -> None:
    """Reading a revoked one is NotFound, so that a provider sees that it is gone."""
    ec2 = cloud.client("ec2")
    permission = {
        "IpProtocol": "tcp",
        "FromPort": 443,
        "ToPort": 443,
        "UserIdGroupPairs": [{"GroupId": network["group"], "Description": "self"}],
    }
    tags = [{"ResourceType": "security-group-rule", "Tags": [{"Key": "Name", "Value": "https"}]}]
    (rule,) = ec2.authorize_security_group_ingress(
        GroupId=network["group"], IpPermissions=[permission], TagSpecifications=tags
    )["SecurityGroupRules"]
    identifier = rule["SecurityGroupRuleId"]
    (read,) = ec2.describe_security_group_rules(SecurityGroupRuleIds=[identifier])["SecurityGroupRules"]
    assert (read["FromPort"], read["Description"], read["Tags"]) == (443, "self", [{"Key": "Name", "Value": "https"}])
    ec2.revoke_security_group_ingress(GroupId=network["group"], SecurityGroupRuleIds=[identifier])
    with pytest.raises(ClientError, match=r"InvalidSecurityGroupRuleId\.NotFound"):
        ec2.describe_security_group_rules(SecurityGroupRuleIds=[identifier])


def test_a_secret_without_a_value_has_none(cloud: Cloud) -> None:
    """Reading it is ResourceNotFoundException until it is filled."""
    secrets = cloud.client("secretsmanager")
    made = secrets.create_secret(Name="empty", Tags=[{"Key": "a", "Value": "b"}])
    assert "VersionId" not in made
    assert not secrets.describe_secret(SecretId="empty").get("VersionIdsToStages")
    with pytest.raises(secrets.exceptions.ResourceNotFoundException, match="staging label: AWSCURRENT"):
        secrets.get_secret_value(SecretId="empty")
    secrets.put_secret_value(SecretId="empty", SecretString="filled")
    assert secrets.get_secret_value(SecretId="empty")["SecretString"] == "filled"
    assert list(secrets.describe_secret(SecretId="empty")["VersionIdsToStages"].values()) == [["AWSCURRENT"]]


def test_a_key_keeps_policy_rotation_alias_and_tags(cloud: Cloud) -> None:
    """As it was made, and after the alias has moved."""
    kms = cloud.client("kms")
    policy = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                    "Action": "kms:*",
                    "Resource": "*",
                }
            ],
        }
    )
    key = kms.create_key(Policy=policy, Description="own", Tags=[{"TagKey": "a", "TagValue": "b"}])["KeyMetadata"]
    kms.enable_key_rotation(KeyId=key["KeyId"], RotationPeriodInDays=180)
    kms.create_alias(AliasName="alias/own", TargetKeyId=key["KeyId"])
    assert json.loads(kms.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"]) == json.loads(policy)
    rotation = kms.get_key_rotation_status(KeyId=key["KeyId"])
    assert (rotation["KeyRotationEnabled"], rotation["RotationPeriodInDays"]) == (True, 180)
    assert kms.list_resource_tags(KeyId=key["KeyId"])["Tags"] == [{"TagKey": "a", "TagValue": "b"}]
    assert kms.describe_key(KeyId="alias/own")["KeyMetadata"]["Arn"] == key["Arn"]
    second = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.update_alias(AliasName="alias/own", TargetKeyId=second)
    (alias,) = kms.list_aliases(KeyId=second)["Aliases"]
    assert alias["AliasArn"] == f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/own"


def test_a_log_group_keeps_retention_key_and_tags(cloud: Cloud) -> None:
    """A function's group is made by the stack before the function writes to it."""
    logs, key = cloud.client("logs"), f"arn:aws:kms:{REGION}:{ACCOUNT}:key/logs"
    logs.create_log_group(logGroupName="/aws/lambda/own", kmsKeyId=key, tags={"a": "b"})
    logs.put_retention_policy(logGroupName="/aws/lambda/own", retentionInDays=30)
    (group,) = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/own")["logGroups"]
    assert (group["retentionInDays"], group["kmsKeyId"]) == (30, key)
    named = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/own"
    assert logs.list_tags_for_resource(resourceArn=named)["tags"] == {"a": "b"}


def test_a_function_in_a_network_says_so(cloud: Cloud, network: dict[str, Any]) -> None:
    """Subnets, groups and the network that they are in."""
    role = cloud.role("networked")
    inside = {"SubnetIds": network["subnets"], "SecurityGroupIds": [network["group"]]}
    cloud.function("networked", "def handler(event, context): ...", role, VpcConfig=inside, Tags={"a": "b"})
    read = cloud.client("lambda").get_function(FunctionName="networked")
    found = read["Configuration"]["VpcConfig"]
    assert (found["VpcId"], found["SubnetIds"], found["SecurityGroupIds"]) == (
        network["vpc"],
        network["subnets"],
        [network["group"]],
    )
    assert read["Tags"] == {"a": "b"}


def test_a_bucket_keeps_encryption_versioning_and_block(cloud: Cloud) -> None:
    """And its object's checksum and tags."""
    s3, key = cloud.client("s3"), f"arn:aws:kms:{REGION}:{ACCOUNT}:key/bucket"
    s3.create_bucket(Bucket="own-bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    rule = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key},
        "BucketKeyEnabled": True,
    }
    block = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_bucket_encryption(Bucket="own-bucket", ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_bucket_versioning(Bucket="own-bucket", VersioningConfiguration={"Status": "Enabled"})
    s3.put_public_access_block(Bucket="own-bucket", PublicAccessBlockConfiguration=block)
    s3.put_object(Bucket="own-bucket", Key="key", Body=b"x", ChecksumAlgorithm="SHA256", Tagging="a=b")
    assert s3.get_bucket_encryption(Bucket="own-bucket")["ServerSideEncryptionConfiguration"]["Rules"] == [rule]
    assert s3.get_bucket_versioning(Bucket="own-bucket")["Status"] == "Enabled"
    assert s3.get_public_access_block(Bucket="own-bucket")["PublicAccessBlockConfiguration"] == block
    head = s3.head_object(Bucket="own-bucket", Key="key", ChecksumMode="ENABLED")
    assert (head["SSEKMSKeyId"], bool(head["ChecksumSHA256"])) == (key, True)
    assert s3.get_object_tagging(Bucket="own-bucket", Key="key")["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_the_version_at_hand_is_among_the_engines(cloud: Cloud) -> None:
    """By its major version, too."""
    from sandbox.postgres import version

    rds = cloud.client("rds")
    for wanted in (version(), version().partition(".")[0]):
        (found,) = rds.describe_db_engine_versions(Engine="postgres", EngineVersion=wanted)["DBEngineVersions"]
        assert (found["EngineVersion"], found["DBParameterGroupFamily"]) == (version(), "postgres18")
