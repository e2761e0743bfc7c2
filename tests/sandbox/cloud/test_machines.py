"""Instances are launched as their templates say, and flow logs keep what they were given."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.cloud.harness import ACCOUNT, REGION

if TYPE_CHECKING:
    from tests.sandbox.cloud.harness import Cloud

PARAMETER = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234"
DATA: dict[str, Any] = {
    "ImageId": f"resolve:ssm:{PARAMETER}",
    "InstanceType": "t4g.nano",
    "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
    "BlockDeviceMappings": [
        {
            "DeviceName": "/dev/xvda",
            "Ebs": {"Encrypted": True, "KmsKeyId": KEY, "VolumeSize": 12, "VolumeType": "gp3"},
        }
    ],
    "TagSpecifications": [{"ResourceType": "volume", "Tags": [{"Key": "of", "Value": "the template"}]}],
}


@pytest.fixture(scope="module")
def network(cloud: Cloud) -> dict[str, str]:
    """A network with a subnet and a group, and another network's group."""
    ec2 = cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.3.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.3.16.0/20", AvailabilityZone=f"{REGION}b")["Subnet"]["SubnetId"]
    foreign = ec2.create_vpc(CidrBlock="10.4.0.0/16")["Vpc"]["VpcId"]
    return {
        "vpc": vpc,
        "subnet": subnet,
        "group": ec2.create_security_group(GroupName="tunnel", Description="d", VpcId=vpc)["GroupId"],
        "foreign": ec2.create_security_group(GroupName="tunnel", Description="d", VpcId=foreign)["GroupId"],
    }


@pytest.fixture(scope="module")
def template(cloud: Cloud) -> str:
    """A launch template."""
    made = cloud.client("ec2").create_launch_template(LaunchTemplateName="tunnel", LaunchTemplateData=DATA)
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


def version_of(cloud: Cloud, template: str, version: str) -> dict[str, Any]:
    """Describe one version of a template."""
    (found,) = cloud.client("ec2").describe_launch_template_versions(LaunchTemplateId=template, Versions=[version])[
        "LaunchTemplateVersions"
    ]
    return dict(found)


def run(cloud: Cloud, template: str, **options: Any) -> dict[str, Any]:
    """Run an instance from a template; return its description."""
    ec2 = cloud.client("ec2")
    spec = {"LaunchTemplateId": template, "Version": "$Default"}
    (made,) = ec2.run_instances(MinCount=1, MaxCount=1, LaunchTemplate=spec, **options)["Instances"]
    (found,) = ec2.describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0]["Instances"]
    assert found == made
    return dict(found)


def test_a_template_keeps_everything_it_was_given(cloud: Cloud, template: str) -> None:
    """Also the key of a disk, and in a version made from another."""
    kept = version_of(cloud, template, "$Default")["LaunchTemplateData"]
    assert kept == {**DATA, "MetadataOptions": {"State": "applied", **DATA["MetadataOptions"]}}
    made = cloud.client("ec2").create_launch_template_version(
        LaunchTemplateId=template, SourceVersion="1", LaunchTemplateData={"InstanceType": "t4g.micro"}
    )["LaunchTemplateVersion"]
    assert made["VersionNumber"] == 2
    assert version_of(cloud, template, "$Latest")["LaunchTemplateData"] == {**kept, "InstanceType": "t4g.micro"}
    assert version_of(cloud, template, "$Default")["VersionNumber"] == 1


def test_an_instance_is_what_its_template_says(cloud: Cloud, template: str, network: dict[str, str]) -> None:
    """With the image that the public parameter names, in the request's subnet and groups, without a public address."""
    ec2 = cloud.client("ec2")
    interface = {
        "DeviceIndex": 0,
        "SubnetId": network["subnet"],
        "Groups": [network["group"]],
        "AssociatePublicIpAddress": False,
    }
    made = run(cloud, template, NetworkInterfaces=[interface])
    assert made["ImageId"] == cloud.client("ssm").get_parameter(Name=PARAMETER)["Parameter"]["Value"]
    assert ec2.describe_images(ImageIds=[made["ImageId"]])["Images"]
    assert (made["InstanceType"], made["Architecture"]) == ("t4g.nano", "arm64")
    assert (made["SubnetId"], made["Placement"]["AvailabilityZone"]) == (network["subnet"], f"{REGION}b")
    assert ipaddress.IPv4Address(made["PrivateIpAddress"]) in ipaddress.IPv4Network("10.3.16.0/20")
    assert "PublicIpAddress" not in made
    assert made["MetadataOptions"]["HttpTokens"] == "required"
    (described,) = made["NetworkInterfaces"]
    assert [group["GroupId"] for group in described["Groups"]] == [network["group"]]
    assert "Association" not in described
    tags = {tag["Key"]: tag["Value"] for tag in made["Tags"]}
    assert tags == {"aws:ec2launchtemplate:id": template, "aws:ec2launchtemplate:version": "1"}
    volume = made["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    (disk,) = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    assert (disk["Encrypted"], disk["Size"], disk["AvailabilityZone"]) == (True, 12, f"{REGION}b")
    assert disk["Tags"] == [{"Key": "of", "Value": "the template"}]
    other = run(cloud, template, SubnetId=network["subnet"])
    assert other["PrivateIpAddress"] != made["PrivateIpAddress"]
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    (gone,) = ec2.describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0]["Instances"]
    assert (gone["State"]["Name"], gone["NetworkInterfaces"]) == ("terminated", [])
    assert ec2.describe_volumes(Filters=[{"Name": "volume-id", "Values": [volume]}])["Volumes"] == []


def test_a_public_address_comes_from_the_subnet_or_the_request(
    cloud: Cloud, template: str, network: dict[str, str]
) -> None:
    """As in EC2: the request's word counts, else the subnet's."""
    asked = {"DeviceIndex": 0, "SubnetId": network["subnet"], "AssociatePublicIpAddress": True}
    assert run(cloud, template, NetworkInterfaces=[asked])["PublicIpAddress"]
    assert "PublicIpAddress" not in run(cloud, template, SubnetId=network["subnet"])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"SubnetId": "subnet-00000000000000000"}, "InvalidSubnetID.NotFound"),
        ({"SubnetId": "{subnet}", "SecurityGroupIds": ["sg-00000000000000000"]}, "InvalidGroup.NotFound"),
        ({"SubnetId": "{subnet}", "SecurityGroupIds": ["{foreign}"]}, "InvalidParameter"),
        (
            {"SubnetId": "{subnet}", "NetworkInterfaces": [{"DeviceIndex": 0, "AssociatePublicIpAddress": False}]},
            "InvalidParameterCombination",
        ),
        ({"SubnetId": "{subnet}", "IamInstanceProfile": {"Name": "nobody"}}, "InvalidParameterValue"),
        ({"SubnetId": "{subnet}", "ImageId": "resolve:ssm:/nothing"}, "InvalidParameterValue"),
        ({"LaunchTemplate": {"LaunchTemplateId": "lt-00000000000000000"}}, "InvalidLaunchTemplateId.NotFound"),
    ],
)
def test_an_instance_that_cannot_be_is_refused(
    cloud: Cloud, template: str, network: dict[str, str], options: dict[str, Any], code: str
) -> None:
    """With EC2's own code."""
    text = json.dumps(options)
    for name, value in network.items():
        text = text.replace(f"{{{name}}}", value)
    asked = {"LaunchTemplate": {"LaunchTemplateId": template}, **json.loads(text)}
    with pytest.raises(ClientError) as refused:
        cloud.client("ec2").run_instances(MinCount=1, MaxCount=1, **asked)
    assert refused.value.response["Error"]["Code"] == code


def test_a_flow_log_is_described_as_it_was_made(cloud: Cloud, network: dict[str, str]) -> None:
    """And is made once for a resource and a destination."""
    ec2 = cloud.client("ec2")
    role = cloud.role("flow-logs")
    asked = {
        "ResourceIds": [network["vpc"]],
        "ResourceType": "VPC",
        "TrafficType": "ALL",
        "LogDestination": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/vpc/flows:*",
        "DeliverLogsPermissionArn": role,
        "MaxAggregationInterval": 60,
    }
    tagged = [{"ResourceType": "vpc-flow-log", "Tags": [{"Key": "Name", "Value": "flows"}]}]
    (made,) = ec2.create_flow_logs(**asked, TagSpecifications=tagged)["FlowLogIds"]
    (found,) = ec2.describe_flow_logs(FlowLogIds=[made])["FlowLogs"]
    assert (found["LogGroupName"], found["DeliverLogsPermissionArn"]) == ("/aws/vpc/flows", role)
    assert (found["MaxAggregationInterval"], found["FlowLogStatus"]) == (60, "ACTIVE")
    assert found["LogFormat"].startswith("${version} ${account-id}")
    assert found["Tags"] == tagged[0]["Tags"]
    (again,) = ec2.create_flow_logs(**asked)["Unsuccessful"]
    assert again["Error"]["Code"] == "FlowLogAlreadyExists"
    (nowhere,) = ec2.create_flow_logs(**{**asked, "ResourceIds": ["vpc-00000000"]})["Unsuccessful"]
    assert nowhere["Error"]["Code"] == "InvalidVpcId.NotFound"
    with pytest.raises(ClientError, match="aggregation interval"):
        ec2.create_flow_logs(**{**asked, "MaxAggregationInterval": 300})


def test_who_launches_must_be_allowed_what_the_template_gives_away(cloud: Cloud, network: dict[str, str]) -> None:
    """An image of Amazon's, a role to the machine, the parameter that names its image, the key of its disk."""
    iam, kms, ec2 = cloud.client("iam"), cloud.client("kms"), cloud.client("ec2")
    machine = cloud.role("machine")
    iam.create_instance_profile(InstanceProfileName="machine")
    iam.add_role_to_instance_profile(InstanceProfileName="machine", RoleName="machine")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    disk = {"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "KmsKeyId": key}}
    data = {**DATA, "IamInstanceProfile": {"Name": "machine"}, "BlockDeviceMappings": [disk]}
    data.pop("TagSpecifications")
    template = ec2.create_launch_template(LaunchTemplateName="given", LaunchTemplateData=data)["LaunchTemplate"]
    image = f"arn:aws:ec2:{REGION}::image/*"
    launch = {"Action": "ec2:RunInstances", "NotResource": image}
    amazons = {"StringEquals": {"ec2:Owner": "amazon"}}
    needed: dict[str, Any] = {
        "ec2:RunInstances": {"Action": "ec2:RunInstances", "Resource": image, "Condition": amazons},
        "iam:PassRole": {"Action": "iam:PassRole", "Resource": machine},
        "ssm:GetParameters": {"Action": "ssm:GetParameters", "Resource": f"arn:aws:ssm:{REGION}::parameter{PARAMETER}"},
        "kms:CreateGrant": {"Action": "kms:*", "Resource": key},
    }
    asked = {"LaunchTemplateId": template["LaunchTemplateId"]}
    for left_out in needed:
        allowed = [statement for name, statement in needed.items() if name != left_out]
        client = cloud.acting_as(cloud.role(f"without-{left_out.replace(':', '-')}", launch, *allowed), "ec2")
        with pytest.raises(ClientError, match=left_out.partition(":")[0]):
            client.run_instances(MinCount=1, MaxCount=1, LaunchTemplate=asked, SubnetId=network["subnet"])
    client = cloud.acting_as(cloud.role("with-all", launch, *needed.values()), "ec2")
    (made,) = client.run_instances(MinCount=1, MaxCount=1, LaunchTemplate=asked, SubnetId=network["subnet"])[
        "Instances"
    ]
    assert made["IamInstanceProfile"]["Arn"].endswith(":instance-profile/machine")
