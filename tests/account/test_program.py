"""What `account/` declares: evidence that nobody can change, and who is trusted with what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.components.conftest import Deployment

ENVIRONMENTS = {"nonprod": "111122223333", "prod": "444455556666"}
BUCKETS = ("artifacts", "ledger", "trail")


@pytest.fixture(params=ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    """Each account's stack."""
    return str(request.param)


@pytest.fixture
def account(environment: str, account_of: Callable[[str], Deployment]) -> Deployment:
    return account_of(environment)


def statements(document: str) -> dict[str, dict[str, Any]]:
    """A document's statements by what they are called."""
    return {each.get("Sid", ""): each for each in json.loads(document)["Statement"]}


def test_every_bucket_is_private_encrypted_and_versioned(account: Deployment, environment: str) -> None:
    for purpose in BUCKETS:
        name = f"product-api-{purpose}-{ENVIRONMENTS[environment]}-eu-central-1"
        locked = purpose != "artifacts"
        bucket = account.the("s3/bucket:Bucket", purpose)
        assert {"bucket": name, "objectLockEnabled": locked} == bucket.inputs
        assert bucket.options == ({"protect", "retain_on_delete"} if locked else {"protect"})
        blocked = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        assert {"bucket": name, **dict.fromkeys(blocked, True)} == account.the(
            "s3/bucketPublicAccessBlock:BucketPublicAccessBlock", purpose
        ).inputs
        assert {"bucket": name, "versioningConfiguration": {"status": "Enabled"}} == account.the(
            "s3/bucketVersioning:BucketVersioning", purpose
        ).inputs
        [rule] = account.the(
            "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration", purpose
        ).inputs["rules"]
        assert {
            "applyServerSideEncryptionByDefault": {
                "kmsMasterKeyId": f"arn of Key {purpose}",
                "sseAlgorithm": "aws:kms",
            },
            "bucketKeyEnabled": True,
        } == rule
        policy = statements(account.the("s3/bucketPolicy:BucketPolicy", purpose).inputs["policy"])
        assert {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        } == policy["TlsOnly"]


@pytest.mark.parametrize(("stack", "mode", "days"), [("nonprod", "GOVERNANCE", 30), ("prod", "COMPLIANCE", 400)])
def test_evidence_is_locked(account_of: Callable[[str], Deployment], stack: str, mode: str, days: int) -> None:
    locks = account_of(stack).of("s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration")
    assert {"ledger", "trail"} == set(locks)
    assert all({"defaultRetention": {"mode": mode, "days": days}} == lock["rule"] for lock in locks.values())


def test_the_trail_records_every_region_and_can_be_verified(account: Deployment, environment: str) -> None:
    trail = account.the("cloudtrail/trail:Trail", "trail")
    name = f"product-api-trail-{ENVIRONMENTS[environment]}-eu-central-1"
    assert {
        "name": "product-api-account-trail",
        "s3BucketName": name,
        "kmsKeyId": "arn of Key trail",
        "isMultiRegionTrail": True,
        "includeGlobalServiceEvents": True,
        "enableLogFileValidation": True,
        "enableLogging": True,
        "eventSelectors": [
            {
                "readWriteType": "All",
                "includeManagementEvents": True,
                "dataResources": [
                    {"type": "AWS::S3::Object", "values": [f"arn:aws:s3:::{name.replace('trail', 'ledger')}/"]}
                ],
            }
        ],
    } == trail.inputs
    assert {"BucketPolicy trail", "BucketServerSideEncryptionConfiguration trail"} <= trail.after


def test_cloudtrail_delivers_for_this_trail_only(account: Deployment, environment: str) -> None:
    number = ENVIRONMENTS[environment]
    arn = f"arn:aws:cloudtrail:eu-central-1:{number}:trail/product-api-account-trail"
    policy = statements(account.the("s3/bucketPolicy:BucketPolicy", "trail").inputs["policy"])
    assert {"TlsOnly", "TrailLooks", "TrailDelivers"} == set(policy)
    assert {"StringEquals": {"aws:SourceArn": arn}} == policy["TrailLooks"]["Condition"]
    assert {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control", "aws:SourceArn": arn}} == policy[
        "TrailDelivers"
    ]["Condition"]
    key = statements(account.the("kms/key:Key", "trail").inputs["policy"])
    assert all(
        key[sid]["Condition"]["StringEquals"] == {"aws:SourceArn": arn} for sid in ("TrailEncrypts", "TrailLooks")
    )


def test_the_ledger_only_grows_and_each_approval_is_its_approver_s(account: Deployment, environment: str) -> None:
    number = ENVIRONMENTS[environment]
    objects = f"arn:aws:s3:::product-api-ledger-{number}-eu-central-1"
    policy = statements(account.the("s3/bucketPolicy:BucketPolicy", "ledger").inputs["policy"])
    assert all(each["Effect"] == "Deny" and each["Principal"] == "*" for each in policy.values())
    assert {"s3:DeleteObject", "s3:DeleteObjectVersion"} < set(policy["NeverDeleted"]["Action"])
    assert f"{objects}/*" == policy["NeverDeleted"]["Resource"] == policy["NeverWrittenOver"]["Resource"]
    assert "Condition" not in policy["NeverDeleted"]
    for who in ("lead", "devops", "product"):
        assert {
            "Sid": f"ApprovedBy{who.capitalize()}",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": f"{objects}/approvals/*/{who}.json",
            "Condition": {
                "ArnNotEquals": {"aws:PrincipalArn": f"arn:aws:iam::{number}:role/product-api-approver-{who}"}
            },
        } == policy[f"ApprovedBy{who.capitalize()}"]


@pytest.mark.parametrize(("stack", "expected"), [("nonprod", {"local", "dev", "staging"}), ("prod", {"prod"})])
def test_a_stack_is_deployed_from_its_own_environment_only(
    account_of: Callable[[str], Deployment], stack: str, expected: set[str]
) -> None:
    roles = account_of(stack).of("iam/role:Role")
    deploying = {name.removeprefix("access-deploy-"): role for name, role in roles.items() if "deploy" in name}
    assert expected == set(deploying)
    for name, role in deploying.items():
        number = ENVIRONMENTS[stack]
        [trust] = json.loads(role["assumeRolePolicy"])["Statement"]
        assert {
            "Effect": "Allow",
            "Principal": {"Federated": f"arn:aws:iam::{number}:oidc-provider/token.actions.githubusercontent.com"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {
                "StringEquals": {
                    "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                    "token.actions.githubusercontent.com:sub": f"repo:product-api/product-api:environment:{name}",
                }
            },
        } == trust
        assert f"arn:aws:iam::{number}:policy/product-api-deploy-boundary" == role["permissionsBoundary"]
        assert f"product-api-deploy-{name}" == role["name"]


def test_pull_requests_may_look(account: Deployment) -> None:
    preview = account.the("iam/role:Role", "access-preview").inputs
    [trust] = json.loads(preview["assumeRolePolicy"])["Statement"]
    assert (
        "repo:product-api/product-api:pull_request"
        == trust["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
    )


def test_who_approves_is_a_person_with_a_second_factor(account: Deployment, environment: str) -> None:
    number = ENVIRONMENTS[environment]
    approving = {name: role for name, role in account.of("iam/role:Role").items() if "approver" in name}
    assert {f"access-approver-{who}" for who in ("lead", "devops", "product")} == set(approving)
    for role in approving.values():
        [trust] = json.loads(role["assumeRolePolicy"])["Statement"]
        assert {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{number}:root"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{number}:user/people/*"},
                "Bool": {"aws:MultiFactorAuthPresent": "true"},
            },
        } == trust


def test_every_policy_of_a_role_is_attached_to_it(account: Deployment) -> None:
    attached = account.of("iam/rolePolicyAttachment:RolePolicyAttachment")
    declared = set(account.of("iam/policy:Policy"))
    boundaries = {"access-function-boundary", "access-deploy-boundary"}
    assert declared - boundaries == set(attached)
    assert all(each["policyArn"] == f"arn of Policy {name}" for name, each in attached.items())


def test_nothing_in_the_account_can_be_public_or_bare(account: Deployment) -> None:
    assert {
        "account": {
            "blockPublicAcls": True,
            "blockPublicPolicy": True,
            "ignorePublicAcls": True,
            "restrictPublicBuckets": True,
        }
    } == account.of("s3/accountPublicAccessBlock:AccountPublicAccessBlock")
    assert {"account": {"enabled": True}} == account.of("ebs/encryptionByDefault:EncryptionByDefault")
