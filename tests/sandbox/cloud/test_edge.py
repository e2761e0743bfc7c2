"""What a viewer gets of a distribution: what the bucket's policy admits, and nothing past it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.cloud.harness import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.sandbox.cloud.harness import Cloud

PAGE = b"<!doctype html><title>well</title>"
# AWS's own policy that caches nothing.
NOT_CACHED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"


@pytest.fixture(scope="module")
def distribution(cloud: Cloud) -> dict[str, Any]:
    """A distribution before a private bucket with a page in it."""
    s3, cloudfront = cloud.client("s3"), cloud.client("cloudfront")
    s3.create_bucket(Bucket="status-page", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="status-page", Key="index.html", Body=PAGE, ContentType="text/html; charset=utf-8")
    control = cloudfront.create_origin_access_control(
        OriginAccessControlConfig={
            "Name": "status",
            "SigningProtocol": "sigv4",
            "SigningBehavior": "always",
            "OriginAccessControlOriginType": "s3",
        }
    )["OriginAccessControl"]["Id"]
    headers = cloudfront.create_response_headers_policy(
        ResponseHeadersPolicyConfig={
            "Name": "status",
            "SecurityHeadersConfig": {"FrameOptions": {"Override": True, "FrameOption": "DENY"}},
        }
    )["ResponseHeadersPolicy"]["Id"]
    made = cloudfront.create_distribution(
        DistributionConfig={
            "CallerReference": str(uuid.uuid4()),
            "Comment": "",
            "Enabled": True,
            "DefaultRootObject": "index.html",
            "Origins": {
                "Quantity": 1,
                "Items": [
                    {
                        "Id": "bucket",
                        "DomainName": f"status-page.s3.{REGION}.amazonaws.com",
                        "S3OriginConfig": {"OriginAccessIdentity": ""},
                        "OriginAccessControlId": control,
                    }
                ],
            },
            "DefaultCacheBehavior": {
                "TargetOriginId": "bucket",
                "ViewerProtocolPolicy": "https-only",
                "CachePolicyId": NOT_CACHED,
                "ResponseHeadersPolicyId": headers,
            },
            "ViewerCertificate": {"CloudFrontDefaultCertificate": True, "MinimumProtocolVersion": "TLSv1.2_2021"},
        }
    )["Distribution"]
    return dict(made)


def admit(cloud: Cloud, source: str) -> None:
    """Let CloudFront read the bucket for distributions of that ARN."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::status-page/*",
        "Condition": {"ArnLike": {"aws:SourceArn": source}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    cloud.client("s3").put_bucket_policy(Bucket="status-page", Policy=document)


def view(cloud: Cloud, path: str, **headers: str) -> tuple[int, Mapping[str, str], bytes]:
    """What a viewer is answered: status, headers, body."""
    request = urllib.request.Request(cloud.url + path, headers=headers)  # noqa: S310 — on loopback
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (f"arn:aws:cloudfront::{ACCOUNT}:distribution/*", 200),
        ("arn:aws:cloudfront::999999999999:distribution/*", 403),
    ],
)
def test_a_bucket_says_which_distributions_may_read_it(
    cloud: Cloud, distribution: dict[str, Any], source: str, expected: int
) -> None:
    """By the ARN of the one that asks; nobody reads the bucket itself."""
    admit(cloud, source)
    root = f"/_aws/cloudfront/{distribution['Id']}"
    for path in (root, f"{root}/", f"{root}/index.html"):
        assert view(cloud, path)[0] == expected
    assert view(cloud, "/status-page/index.html")[0] == 403


def test_a_viewer_gets_the_page_with_the_policys_headers(cloud: Cloud, distribution: dict[str, Any]) -> None:
    """At the distribution's path, or under its name."""
    admit(cloud, f"arn:aws:cloudfront::{ACCOUNT}:distribution/*")
    status, headers, body = view(cloud, f"/_aws/cloudfront/{distribution['Id']}/")
    assert (status, body) == (200, PAGE)
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["X-Frame-Options"] == "DENY"
    named = {"Host": distribution["DomainName"], "X-Forwarded-Proto": "https"}
    assert view(cloud, "/index.html", **named)[2] == PAGE
    assert view(cloud, "/index.html", Host=distribution["DomainName"])[0] == 403  # https only
    assert view(cloud, f"/_aws/cloudfront/{distribution['Id']}/nothing.html")[0] == 403


def test_what_is_not_there_is_said_to_be_not_there(cloud: Cloud) -> None:
    """Rather than answered by another service."""
    assert view(cloud, "/_aws/cloudfront/E0000000000000/")[0] == 404
    assert view(cloud, "/", Host="dnothing.cloudfront.net")[0] == 404


def test_a_distributions_own_certificate_has_a_policy_of_its_own(cloud: Cloud, distribution: dict[str, Any]) -> None:
    """TLS 1.0 is accepted under it, whatever was asked for: only another certificate can ask for more."""
    found = cloud.client("cloudfront").get_distribution(Id=distribution["Id"])["Distribution"]["DistributionConfig"]
    assert found["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1"


def test_a_distribution_is_changed_by_whom_it_is_allowed(cloud: Cloud, distribution: dict[str, Any]) -> None:
    """Its ARN is what a policy names."""
    role = cloud.role(
        "of-another-distribution",
        {"Action": "cloudfront:*", "Resource": f"arn:aws:cloudfront::{ACCOUNT}:distribution/E0000000000000"},
    )
    with pytest.raises(ClientError, match="cloudfront:GetDistribution"):
        cloud.acting_as(role, "cloudfront").get_distribution(Id=distribution["Id"])
