"""Approvals: what is approved, by whom, once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ops import approval
from ops.approval import Approval, Release
from ops.console import CommandError
from tests.ops.world import target

if TYPE_CHECKING:
    from ops.target import Target
    from tests.sandbox.cloud.harness import Cloud

BUCKET = "product-api-ledger-000000000001-eu-central-1"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def place(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Target:
    s3 = cloud.client("s3")
    if BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return target(cloud, monkeypatch)


@pytest.fixture
def release(request: pytest.FixtureRequest) -> Release:
    """One release a test."""
    return Release(stack="dev", code=hashlib.sha256(request.node.name.encode()).hexdigest(), plan="plan")


def test_it_is_written_where_the_gate_reads_it(cloud: Cloud, place: Target, release: Release) -> None:
    from components.release_driver import Cloud as Clients
    from components.release_driver import Ledger

    identity = {"codeSha256": release.code, "planDigest": release.plan}
    ledger = Ledger(cloud=Clients(region="eu-central-1"), bucket=BUCKET, stack="dev", release=identity)
    assert ledger.missing_approvals(["lead", "devops"]) == ["lead", "devops"]
    approval.approve(place, release, "lead", None, lambda: NOW)
    assert ledger.missing_approvals(["lead", "devops"]) == ["devops"]
    document = json.loads(cloud.client("s3").get_object(Bucket=BUCKET, Key=release.key("lead"))["Body"].read())
    assert document == {
        "schema": "product-api/approval/1",
        "stack": "dev",
        **identity,
        "who": "lead",
        "by": "arn:aws:iam::000000000001:root",
        "at": "2026-01-02T03:04:05+00:00",
    }


def test_a_second_one_is_refused(place: Target, release: Release) -> None:
    given = approval.approve(place, release, "lead", None, lambda: NOW)
    with pytest.raises(CommandError, match="lead has approved this release for dev already"):
        approval.approve(place, release, "lead", None, lambda: NOW)
    assert approval.read(place, release, "lead") == given


def test_one_of_another_plan_is_told_from_ours(place: Target, release: Release) -> None:
    approval.approve(place, release, "lead", None, lambda: NOW)
    other = dataclasses.replace(release, plan="another")
    assert approval.read(place, other, "lead").state == "other"
    with pytest.raises(CommandError, match="the same code for dev with another plan"):
        approval.approve(place, other, "lead", None, lambda: NOW)


def test_one_that_is_not_there_is_missing(place: Target, release: Release) -> None:
    assert approval.read(place, release, "devops") == Approval(who="devops", state="missing")


def test_without_a_ledger_it_says_how_to_get_one(place: Target, release: Release) -> None:
    elsewhere = dataclasses.replace(place, names=dataclasses.replace(place.names, account="000000000002"))
    with pytest.raises(CommandError, match=r"is not reachable .*\(ops bootstrap dev\)"):
        approval.read(elsewhere, release, "lead")


def test_the_release_at_hand_is_the_checkout_s() -> None:
    found = approval.at_hand("dev")
    from migrations import rendering
    from ops import artifact

    code = hashlib.sha256(artifact.build_code().path.read_bytes()).hexdigest()
    assert found == Release(stack="dev", code=code, plan=rendering.plan().digest)


def test_whose_approval_is_asked_for_is_in_the_settings() -> None:
    assert approval.wanted({"product-api:approvers": ["devops", "product"]}) == ["devops", "product"]
    assert approval.wanted({}) == []
