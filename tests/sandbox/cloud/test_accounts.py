"""What holds for a whole account: no public buckets, encrypted disks, the policy of passwords."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from sandbox.provider.cloud import _without_account_in_address
from tests.sandbox.cloud.harness import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sandbox.cloud.harness import Cloud

OPEN = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::showcase/*"}
EVERYTHING = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)


def control(cloud: Cloud, client: Any = None) -> Any:
    """A client of S3 Control: its host would begin with the account, and an address has no names below it."""
    made = client or cloud.client("s3control")
    made.meta.events.register("before-sign.s3-control", _without_account_in_address)
    return made


@pytest.fixture
def blocked(cloud: Cloud) -> Iterator[Any]:
    """The account's block of all that is public, for one test."""
    client = control(cloud)
    client.put_public_access_block(AccountId=ACCOUNT, PublicAccessBlockConfiguration=EVERYTHING)
    yield client
    client.delete_public_access_block(AccountId=ACCOUNT)


def test_an_accounts_block_counts_whatever_a_bucket_says(cloud: Cloud, blocked: Any) -> None:
    """A public policy is refused in a bucket that has taken its own block away."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="showcase", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.delete_public_access_block(Bucket="showcase")
    assert blocked.get_public_access_block(AccountId=ACCOUNT)["PublicAccessBlockConfiguration"] == EVERYTHING
    document = json.dumps({"Version": "2012-10-17", "Statement": [OPEN]})
    with pytest.raises(ClientError, match="BlockPublicPolicy"):
        s3.put_bucket_policy(Bucket="showcase", Policy=document)
    blocked.delete_public_access_block(AccountId=ACCOUNT)
    with pytest.raises(ClientError) as gone:
        blocked.get_public_access_block(AccountId=ACCOUNT)
    assert gone.value.response["Error"]["Code"] == "NoSuchPublicAccessBlockConfiguration"
    s3.put_bucket_policy(Bucket="showcase", Policy=document)


def test_an_accounts_block_is_changed_by_whom_it_is_allowed(cloud: Cloud, blocked: Any) -> None:
    """By the action of its own, which another bucket's does not give."""
    del blocked
    role = cloud.role("of-buckets", {"Action": "s3:PutBucketPublicAccessBlock", "Resource": "*"})
    with pytest.raises(ClientError, match="s3:PutAccountPublicAccessBlock"):
        control(cloud, cloud.acting_as(role, "s3control")).delete_public_access_block(AccountId=ACCOUNT)


def test_disks_are_encrypted_without_being_asked_for(cloud: Cloud) -> None:
    """Where the account says so: a volume's own, and the one of an instance."""
    ec2 = cloud.client("ec2")
    assert ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    assert ec2.enable_ebs_encryption_by_default()["EbsEncryptionByDefault"] is True
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1)
    assert volume["Encrypted"] is True
    image = cloud.client("ssm").get_parameter(
        Name="/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    )["Parameter"]["Value"]
    (made,) = ec2.run_instances(MinCount=1, MaxCount=1, ImageId=image, InstanceType="t4g.nano")["Instances"]
    disk = made["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    assert ec2.describe_volumes(VolumeIds=[disk])["Volumes"][0]["Encrypted"] is True
    ec2.disable_ebs_encryption_by_default()
    assert ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1)["Encrypted"] is False


def test_a_password_policy_forgets_what_is_left_out(cloud: Cloud) -> None:
    """It is put whole: what is left out goes back to its default."""
    iam = cloud.client("iam")
    iam.update_account_password_policy(MinimumPasswordLength=14, RequireSymbols=True, MaxPasswordAge=90)
    iam.update_account_password_policy(RequireNumbers=True)
    found = iam.get_account_password_policy()["PasswordPolicy"]
    assert (found["MinimumPasswordLength"], found["RequireNumbers"], found["RequireSymbols"]) == (6, True, False)
    assert "MaxPasswordAge" not in found


def test_settings_of_an_account_outlive_the_process(other: Cloud) -> None:
    """They are saved with everything else, and are this account's."""
    client = control(other)
    client.put_public_access_block(AccountId=ACCOUNT, PublicAccessBlockConfiguration=EVERYTHING)
    other.client("ec2").enable_ebs_encryption_by_default()
    other.save("one")
    other.stop()
    other.start()
    assert client.get_public_access_block(AccountId=ACCOUNT)["PublicAccessBlockConfiguration"] == EVERYTHING
    assert other.client("ec2").get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is True
    foreign = other.client("ec2", account="000000000002").get_ebs_encryption_by_default()
    assert foreign["EbsEncryptionByDefault"] is False
