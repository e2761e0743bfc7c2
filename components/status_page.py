"""A status page that stands when the API does not: two files in a bucket, shown by CloudFront, and nothing of ours.

`status.json` has `state` (operational, degraded, down, maintenance; all else is shown as not known), `message`, `since`
(ISO 8601), and `history`: a list of the same, newest first, with `until`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import cloudfront, s3

if TYPE_CHECKING:
    from naming import Names

PAGE = Path(__file__).with_name("status") / "index.html"
STATUS_KEY = "status.json"
# What the page shows until somebody says more; from then on the object is `ops`' and the release's.
FIRST_STATUS = {"state": "unknown", "message": "No status has been published yet.", "history": []}
# Viewers see a change within this time, and CloudFront asks S3 about as often.
CACHE_CONTROL = "public, max-age=30"
OLD_VERSIONS_DAYS = 90
# AWS's own cache policy "CachingOptimized", which heeds the objects' Cache-Control
# (https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html).
CACHE_POLICY = "658327ea-f89d-4fab-a63d-7e88639e58f6"
TWO_YEARS = 63072000
METHODS = ["GET", "HEAD"]


@dataclass(frozen=True, kw_only=True)
class PageDomain:
    """A domain of our own; its record is set where the domain is kept.

    Attributes:
        name: The host name.
        certificate_arn: Its ACM certificate, in us-east-1: CloudFront takes none from elsewhere.
    """

    name: str
    certificate_arn: str


@dataclass(frozen=True, kw_only=True)
class StatusPageArgs:
    """Where the page is found.

    Attributes:
        names: The stack's names.
        domain: The page's own domain. Without one it has CloudFront's name and certificate, under which AWS accepts
            TLS 1.0 whatever a distribution asks for; with one, TLS 1.2 is the least.
    """

    names: Names
    domain: PageDomain | None = None


class StatusPage(pulumi.ComponentResource):
    """The page, and the one object that says how the service is: `status.json`.

    Attributes:
        url: Where people look.
        bucket: Where `status.json` is put.
        distribution_id: What shows it.
    """

    url: pulumi.Output[str]
    bucket: str
    distribution_id: pulumi.Output[str]

    def __init__(self, name: str, args: StatusPageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:StatusPage", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.bucket = args.names.stack_bucket("status")
        stored = self._store(name, args)
        page = PAGE.read_text(encoding="utf-8")
        s3.BucketObjectv2(
            f"{name}-page",
            bucket=stored.bucket,
            key="index.html",
            content=page,
            content_type="text/html; charset=utf-8",
            cache_control=CACHE_CONTROL,
            opts=child,
        )
        s3.BucketObjectv2(
            f"{name}-status",
            bucket=stored.bucket,
            key=STATUS_KEY,
            content=json.dumps(FIRST_STATUS),
            content_type="application/json",
            cache_control=CACHE_CONTROL,
            # What it says is no matter of a deployment.
            opts=pulumi.ResourceOptions(
                parent=self, ignore_changes=["content", "contentType", "cacheControl", "metadata", "tags", "tagsAll"]
            ),
        )
        distribution = self._show(name, args, page)
        self.distribution_id = distribution.id
        host = pulumi.Output.from_input(args.domain.name if args.domain else distribution.domain_name)
        self.url = pulumi.Output.concat("https://", host)
        self.register_outputs({"url": self.url, "bucket": self.bucket})

    def _store(self, name: str, args: StatusPageArgs) -> s3.Bucket:
        """Declare a bucket that nobody reads but CloudFront, for distributions of this account."""
        child = pulumi.ResourceOptions(parent=self)
        # What is in it can be made again at any time.
        bucket = s3.Bucket(name, bucket=self.bucket, force_destroy=True, opts=child)
        versioning = s3.BucketVersioning(
            name,
            bucket=bucket.bucket,
            versioning_configuration=s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=child,
        )
        s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.bucket,
            rules=[
                s3.BucketLifecycleConfigurationRuleArgs(
                    id="old-versions",
                    status="Enabled",
                    filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
                    noncurrent_version_expiration=(
                        s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                            noncurrent_days=OLD_VERSIONS_DAYS
                        )
                    ),
                )
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )
        # S3's own key: what is encrypted is there for everybody to see.
        s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.bucket,
            rules=[
                s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                        sse_algorithm="AES256"
                    )
                )
            ],
            opts=child,
        )
        private = s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        owned = s3.BucketOwnershipControls(
            name,
            bucket=bucket.bucket,
            rule=s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=child,
        )
        s3.BucketPolicy(
            name,
            bucket=bucket.bucket,
            policy=json.dumps(_policy(args.names, self.bucket)),
            # S3 refuses two changes of a bucket's access at the same time.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[private, owned]),
        )
        return bucket

    def _show(self, name: str, args: StatusPageArgs, page: str) -> cloudfront.Distribution:
        """Declare the distribution: over TLS only, and nothing in the page but its own script and style."""
        child = pulumi.ResourceOptions(parent=self)
        names, domain = args.names, args.domain
        control = cloudfront.OriginAccessControl(
            name,
            name=names.name("status"),
            description="Reads the status page's bucket",
            origin_access_control_origin_type="s3",
            signing_behavior="always",
            signing_protocol="sigv4",
            opts=child,
        )
        headers = cloudfront.ResponseHeadersPolicy(
            name,
            name=names.name("status"),
            comment="Headers of the status page",
            security_headers_config=_security_headers(page),
            opts=child,
        )
        return cloudfront.Distribution(
            name,
            enabled=True,
            comment=f"Status page of {names.project} {names.stack}",
            aliases=[domain.name] if domain else None,
            default_root_object="index.html",
            http_version="http2and3",
            is_ipv6_enabled=True,
            price_class="PriceClass_100",
            origins=[
                cloudfront.DistributionOriginArgs(
                    origin_id="bucket",
                    domain_name=f"{self.bucket}.s3.{names.region}.amazonaws.com",
                    origin_access_control_id=control.id,
                )
            ],
            default_cache_behavior=cloudfront.DistributionDefaultCacheBehaviorArgs(
                target_origin_id="bucket",
                viewer_protocol_policy="redirect-to-https",
                allowed_methods=METHODS,
                cached_methods=METHODS,
                cache_policy_id=CACHE_POLICY,
                response_headers_policy_id=headers.id,
                compress=True,
            ),
            restrictions=cloudfront.DistributionRestrictionsArgs(
                geo_restriction=cloudfront.DistributionRestrictionsGeoRestrictionArgs(restriction_type="none")
            ),
            viewer_certificate=(
                cloudfront.DistributionViewerCertificateArgs(
                    acm_certificate_arn=domain.certificate_arn,
                    minimum_protocol_version="TLSv1.2_2021",
                    ssl_support_method="sni-only",
                )
                if domain
                else cloudfront.DistributionViewerCertificateArgs(cloudfront_default_certificate=True)
            ),
            tags={"Name": names.name("status")},
            opts=child,
        )


def _policy(names: Names, bucket: str) -> dict[str, object]:
    """Admit CloudFront, for distributions of this account.

    Not for the page's own only: AWS invents a distribution's id, and a policy with one unknown in it is unknown as a
    whole to whoever judges the preview. Another distribution of the account could show the page, which is public;
    another account's cannot, and nobody can write.
    """
    objects = f"arn:{names.partition}:s3:::{bucket}/*"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:{names.partition}:s3:::{bucket}", objects],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
            {
                "Sid": "CloudFrontReads",
                "Effect": "Allow",
                "Principal": {"Service": "cloudfront.amazonaws.com"},
                "Action": "s3:GetObject",
                "Resource": objects,
                "Condition": {
                    "ArnLike": {"aws:SourceArn": f"arn:{names.partition}:cloudfront::{names.account}:distribution/*"}
                },
            },
        ],
    }


def _security_headers(page: str) -> cloudfront.ResponseHeadersPolicySecurityHeadersConfigArgs:
    """Allow the page its own script and style, by their hashes, and status.json; nothing else, and nobody around it."""
    script, style = (_hash(page, kind) for kind in ("script", "style"))
    content = (
        f"default-src 'none'; script-src '{script}'; style-src '{style}'; img-src data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return cloudfront.ResponseHeadersPolicySecurityHeadersConfigArgs(
        content_security_policy=cloudfront.ResponseHeadersPolicySecurityHeadersConfigContentSecurityPolicyArgs(
            content_security_policy=content, override=True
        ),
        content_type_options=cloudfront.ResponseHeadersPolicySecurityHeadersConfigContentTypeOptionsArgs(override=True),
        frame_options=cloudfront.ResponseHeadersPolicySecurityHeadersConfigFrameOptionsArgs(
            frame_option="DENY", override=True
        ),
        referrer_policy=cloudfront.ResponseHeadersPolicySecurityHeadersConfigReferrerPolicyArgs(
            referrer_policy="no-referrer", override=True
        ),
        strict_transport_security=cloudfront.ResponseHeadersPolicySecurityHeadersConfigStrictTransportSecurityArgs(
            access_control_max_age_sec=TWO_YEARS, override=True
        ),
    )


def _hash(page: str, kind: str) -> str:
    """Return the source expression of the page's one inline `script` or `style`."""
    [content] = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
