"""The status page: nobody reads its bucket but CloudFront, and the page runs nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from components.status_page import PAGE, PageDomain, StatusPage, StatusPageArgs

if TYPE_CHECKING:
    from collections.abc import Callable

    from naming import Names
    from tests.components.conftest import Deployment

BUCKET = "product-api-dev-status-111122223333"
OWN = PageDomain(
    name="status.example.com", certificate_arn="arn:aws:acm:us-east-1:111122223333:certificate/12345678-abcd"
)


@pytest.fixture
def page(deploy: Callable[..., Deployment], names: Names) -> Callable[..., Deployment]:
    def declare(name: str = "status", **changes: Any) -> Deployment:
        return deploy(lambda: StatusPage(name, StatusPageArgs(names=names, **changes)))

    return declare


def test_everything_there_is(page: Callable[..., Deployment]) -> None:
    """A bucket with what makes it safe, two objects, and what shows them."""
    assert {
        "Bucket status",
        "BucketVersioning status",
        "BucketLifecycleConfiguration status",
        "BucketServerSideEncryptionConfiguration status",
        "BucketPublicAccessBlock status",
        "BucketOwnershipControls status",
        "BucketPolicy status",
        "BucketObjectv2 status-page",
        "BucketObjectv2 status-status",
        "OriginAccessControl status",
        "ResponseHeadersPolicy status",
        "Distribution status",
    } == page().names


def test_the_bucket_is_private_versioned_and_encrypted(page: Callable[..., Deployment]) -> None:
    declared = page()
    assert {"status": {"bucket": BUCKET, "forceDestroy": True}} == declared.of("s3/bucket:Bucket")
    assert {"status": "Enabled"} == declared.of("s3/bucketVersioning:BucketVersioning")["status"][
        "versioningConfiguration"
    ]
    assert {
        "bucket": BUCKET,
        "blockPublicAcls": True,
        "blockPublicPolicy": True,
        "ignorePublicAcls": True,
        "restrictPublicBuckets": True,
    } == declared.of("s3/bucketPublicAccessBlock:BucketPublicAccessBlock")["status"]
    assert [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}] == declared.of(
        "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    )["status"]["rules"]
    assert {"objectOwnership": "BucketOwnerEnforced"} == declared.of(
        "s3/bucketOwnershipControls:BucketOwnershipControls"
    )["status"]["rule"]


def test_cloudfront_alone_reads_it_and_only_for_this_account(page: Callable[..., Deployment]) -> None:
    """Known at preview: it names no id that AWS is still to invent."""
    declared = page().the("s3/bucketPolicy:BucketPolicy", "status")
    assert {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
            {
                "Sid": "CloudFrontReads",
                "Effect": "Allow",
                "Principal": {"Service": "cloudfront.amazonaws.com"},
                "Action": "s3:GetObject",
                "Resource": f"arn:aws:s3:::{BUCKET}/*",
                "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:cloudfront::111122223333:distribution/*"}},
            },
        ],
    } == json.loads(declared.inputs["policy"])
    assert {"BucketPublicAccessBlock status", "BucketOwnershipControls status"} <= declared.after


def test_the_distribution_shows_the_bucket_over_tls_only(page: Callable[..., Deployment]) -> None:
    [distribution] = page().of("cloudfront/distribution:Distribution").values()
    assert {
        "enabled": True,
        "comment": "Status page of product-api dev",
        "defaultRootObject": "index.html",
        "httpVersion": "http2and3",
        "isIpv6Enabled": True,
        "priceClass": "PriceClass_100",
        "origins": [
            {
                "originId": "bucket",
                "domainName": f"{BUCKET}.s3.eu-central-1.amazonaws.com",
                "originAccessControlId": "id of OriginAccessControl status",
            }
        ],
        "defaultCacheBehavior": {
            "targetOriginId": "bucket",
            "viewerProtocolPolicy": "redirect-to-https",
            "allowedMethods": ["GET", "HEAD"],
            "cachedMethods": ["GET", "HEAD"],
            "cachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6",
            "responseHeadersPolicyId": "id of ResponseHeadersPolicy status",
            "compress": True,
        },
        "restrictions": {"geoRestriction": {"restrictionType": "none"}},
        "viewerCertificate": {"cloudfrontDefaultCertificate": True},
        "tags": {"Name": "product-api-dev-status"},
    } == distribution


def test_a_domain_of_its_own_takes_tls_1_2_at_least(page: Callable[..., Deployment]) -> None:
    """CloudFront's own certificate would take less, whatever was asked."""
    [distribution] = page(domain=OWN).of("cloudfront/distribution:Distribution").values()
    assert distribution["aliases"] == ["status.example.com"]
    assert {
        "acmCertificateArn": OWN.certificate_arn,
        "minimumProtocolVersion": "TLSv1.2_2021",
        "sslSupportMethod": "sni-only",
    } == distribution["viewerCertificate"]


def test_what_the_status_is_no_deployment_says(page: Callable[..., Deployment]) -> None:
    """The page comes from the repository; the status begins as not known, and is then left alone."""
    declared = page()
    shown, status = (declared.the("s3/bucketObjectv2:BucketObjectv2", f"status-{each}") for each in ("page", "status"))
    assert (shown.inputs["content"], shown.ignored) == (PAGE.read_text(encoding="utf-8"), [])
    assert status.inputs["key"] == "status.json"
    assert json.loads(status.inputs["content"])["state"] == "unknown"
    assert {"content", "contentType", "cacheControl"} <= set(status.ignored)
    assert "max-age=30" in shown.inputs["cacheControl"]


class Reader(HTMLParser):
    """What a browser finds in a page: every element with its attributes, and the text of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inline: dict[str, list[str]] = {"script": [], "style": []}
        self._within = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = tag

    def handle_data(self, data: str) -> None:
        if self._within in self.inline:
            self.inline[self._within].append(data)

    def handle_endtag(self, _tag: str) -> None:
        self._within = ""


def test_the_page_may_run_its_own_script_and_nothing_else(page: Callable[..., Deployment]) -> None:
    """The hashes are those of the file that is shown, or a browser would show an empty page."""
    [policy] = page().of("cloudfront/responseHeadersPolicy:ResponseHeadersPolicy").values()
    headers = policy["securityHeadersConfig"]
    directives = dict(
        part.strip().split(" ", 1) for part in headers["contentSecurityPolicy"]["contentSecurityPolicy"].split(";")
    )
    found = Reader(PAGE.read_text(encoding="utf-8"))
    for kind, directive in (("script", "script-src"), ("style", "style-src")):
        [content] = found.inline[kind]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"'sha256-{digest}'" == directives[directive]
    assert {"'none'"} == {directives[name] for name in ("default-src", "base-uri", "form-action", "frame-ancestors")}
    assert headers["frameOptions"] == {"frameOption": "DENY", "override": True}
    assert headers["strictTransportSecurity"]["accessControlMaxAgeSec"] >= 31536000
    assert all(headers[name]["override"] for name in ("contentTypeOptions", "referrerPolicy"))


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """No script, style, picture or font but its own, and no style or handler in an attribute, which CSP would stop."""
    for tag, attributes in Reader(PAGE.read_text(encoding="utf-8")).elements:
        assert not {name for name in attributes if name == "style" or name.startswith("on")}, tag
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:,") in ("data:,", "status.json"), tag


def test_the_page_can_be_read_by_everybody() -> None:
    """A language, a title, one heading of the first level, and a region that says changes aloud."""
    elements = Reader(PAGE.read_text(encoding="utf-8")).elements
    tags = [tag for tag, _ in elements]
    assert dict(elements)["html"] == {"lang": "en"}
    assert (tags.count("h1"), tags.count("main"), tags.count("title")) == (1, 1, 1)
    assert {"role": "status", "aria-live": "polite"}.items() <= next(
        attributes for _, attributes in elements if attributes.get("id") == "now"
    ).items()
