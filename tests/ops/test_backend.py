"""Where the state of a team lives: made once, found again, mended where somebody has changed it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ops import backend
from ops.console import CommandError
from tests.ops.world import NAMES, target

if TYPE_CHECKING:
    from ops.backend import Backend
    from tests.sandbox.cloud.harness import Cloud

BUCKET = "product-api-state-000000000001-eu-central-1"


@pytest.fixture
def place(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Backend:
    return backend.of(target(cloud, monkeypatch))


def states(place: Backend) -> dict[str, str]:
    """What became of each part."""
    return {part.what: part.state for part in place.ensure()}


def test_it_is_made_whole_and_then_found(cloud: Cloud, place: Backend) -> None:
    first = states(place)
    # S3 itself encrypts new buckets under a key of its own, and closes them to the public.
    assert (first.pop("encryption"), first.pop("public access block")) == ("mended", "found")
    assert {"made"} == set(first.values())
    assert {"found"} == set(states(place).values())
    s3, kms = cloud.client("s3"), cloud.client("kms")
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    [rule] = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    key = kms.describe_key(KeyId="alias/product-api-account-state")["KeyMetadata"]["Arn"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    [statement] = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_what_somebody_has_changed_is_mended_and_nothing_else(cloud: Cloud, place: Backend) -> None:
    place.ensure()
    s3 = cloud.client("s3")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_public_access_block(Bucket=BUCKET)
    found = states(place)
    assert ("mended", "made") == (found.pop("versioning"), found.pop("public access block"))
    assert {"found"} == set(found.values())
    assert {"found"} == set(states(place).values())


def test_the_engine_finds_it_by_its_urls(place: Backend) -> None:
    assert place.url == f"s3://{BUCKET}?region=eu-central-1"
    assert place.secrets_provider == "awskms:///alias/product-api-account-state?region=eu-central-1"


def test_who_may_not_make_it_is_told_so(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    session = cloud.client("sts").assume_role(RoleArn=cloud.role("nobody"), RoleSessionName="test")["Credentials"]
    found = target(cloud, monkeypatch)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", session["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", session["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", session["SessionToken"])
    with pytest.raises(CommandError, match=f"account {NAMES.account} cannot be made .* act as an administrator"):
        backend.of(found).ensure()
