"""CloudFront."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from sandbox.provider.table import Call, Do, Read, Resource, Tagging, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.provider.resource import Context

ZONE = "Z2FDTNDATAQYW2"
"""Of all of CloudFront's names, for alias records."""
BEHAVIORS = ("defaultCacheBehavior", "orderedCacheBehaviors")
CONFIG = (
    "aliases",
    "comment",
    "customErrorResponses",
    *BEHAVIORS,
    "defaultRootObject",
    "enabled",
    "httpVersion",
    "isIpv6Enabled",
    "origins",
    "priceClass",
    "restrictions",
    "viewerCertificate",
    "webAclId",
)
NAMES = {
    "orderedCacheBehaviors": "CacheBehaviors",
    "origins.originId": "Id",
    "origins.customHeaders.name": "HeaderName",
    "origins.customHeaders.value": "HeaderValue",
    "restrictions.geoRestriction.locations": "Items",
    **{f"{name}.cachedMethods": "AllowedMethods.CachedMethods" for name in BEHAVIORS},
    **{f"{name}.lambdaFunctionAssociations.lambdaArn": "LambdaFunctionARN" for name in BEHAVIORS},
}
DISTRIBUTION = Call("create_distribution", {}, CONFIG, into="DistributionConfig")


def _counted(value: Any) -> Any:
    """Say, as CloudFront wants it, how many items each list has."""
    if isinstance(value, list):
        return [_counted(item) for item in value]
    if not isinstance(value, dict):
        return value
    counted = {name: _counted(item) for name, item in value.items()}
    return {"Quantity": len(counted["Items"]), **counted} if "Items" in counted else counted


def _config(context: Context, reference: str) -> dict[str, Any]:
    """Return the configuration as the API takes it, with what it wants to hear even where there is nothing to say."""
    config: dict[str, Any] = _counted(context.parameters(DISTRIBUTION)["DistributionConfig"])
    config["CallerReference"] = reference
    config.setdefault("Comment", "")
    config["Restrictions"]["GeoRestriction"].setdefault("Quantity", 0)
    for origin in config["Origins"]["Items"]:
        if "CustomOriginConfig" not in origin and "VpcOriginConfig" not in origin:
            origin.setdefault("S3OriginConfig", {"OriginAccessIdentity": ""})
    for behavior in (config["DefaultCacheBehavior"], *config.get("CacheBehaviors", {}).get("Items", [])):
        for name in ("TrustedSigners", "TrustedKeyGroups"):
            if name in behavior:
                behavior[name]["Enabled"] = bool(behavior[name]["Quantity"])
    return config


def _tags(context: Context) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in (context.inputs.get("tagsAll") or {}).items()]


def _create(context: Context) -> Any:
    config = _config(context, str(uuid.uuid4()))
    if not (tags := _tags(context)):
        return context.call("create_distribution", DistributionConfig=config)
    wanted = {"DistributionConfig": config, "Tags": {"Items": tags}}
    return context.call("create_distribution_with_tags", DistributionConfigWithTags=wanted)


def _update(context: Context) -> None:
    known = context.call("get_distribution_config", Id=context.id)
    config = _config(context, known["DistributionConfig"]["CallerReference"])
    context.call("update_distribution", Id=context.id, IfMatch=known["ETag"], DistributionConfig=config)


def _put_tags(context: Context) -> None:
    arn = context.state["arn"]
    left = [key for key in context.state.get("tagsAll") or {} if key not in (context.inputs.get("tagsAll") or {})]
    if left:
        context.call("untag_resource", Resource=arn, TagKeys={"Items": left})
    if tags := _tags(context):
        context.call("tag_resource", Resource=arn, Tags={"Items": tags})


def _delete(context: Context) -> None:
    """Take a distribution out of service, and then away: CloudFront deletes none that serves."""
    known = context.call("get_distribution_config", Id=context.id)
    config, etag = known["DistributionConfig"], known["ETag"]
    if config["Enabled"]:
        config = {**config, "Enabled": False}
        etag = context.call("update_distribution", Id=context.id, IfMatch=etag, DistributionConfig=config)["ETag"]
        context.settle()
    if not context.state.get("retainOnDelete"):
        context.call("delete_distribution", Id=context.id, IfMatch=etag)


def _refine(_context: Context, outputs: dict[str, Any]) -> None:
    """What CloudFront says of every distribution, and no program does."""
    outputs["hostedZoneId"] = ZONE
    for behavior in (outputs["defaultCacheBehavior"], *(outputs.get("orderedCacheBehaviors") or [])):
        for name, value in list(behavior.items()):
            if value in ("", []):
                del behavior[name]
    for origin in outputs["origins"]:
        for name, value in list(origin.items()):
            if value in ("", [], {"originAccessIdentity": ""}):
                del origin[name]


def _verify(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    known = [origin.get("originId") for origin in inputs.get("origins") or []]
    behaviors = [inputs.get("defaultCacheBehavior"), *(inputs.get("orderedCacheBehaviors") or [])]
    wanted = [one.get("targetOriginId") for one in behaviors if isinstance(one, dict)]
    return [
        ("origins", f"none is {name!r}, which a cache behavior targets")
        for name in wanted
        if isinstance(name, str) and all(isinstance(one, str) for one in known) and name not in known
    ]


POLICY = (
    "comment",
    "corsConfig",
    "customHeadersConfig",
    "name",
    "removeHeadersConfig",
    "securityHeadersConfig",
    "serverTimingHeadersConfig",
)
HEADERS = Call("create_response_headers_policy", {}, POLICY, into="ResponseHeadersPolicyConfig")


def _create_headers(context: Context) -> Any:
    return context.call("create_response_headers_policy", **_counted(context.parameters(HEADERS)))


def _update_headers(context: Context) -> None:
    params = _counted(context.parameters(HEADERS))
    context.call("update_response_headers_policy", Id=context.id, IfMatch=context.state["etag"], **params)


def _delete_as_it_is(kind: str) -> Callable[[Context], None]:
    """Delete one of a kind, whatever another has made of it meanwhile."""

    def run(context: Context) -> None:
        etag = context.call(f"get_{kind}", Id=context.id)["ETag"]
        context.call(f"delete_{kind}", Id=context.id, IfMatch=etag)

    return run


CONTROL = ("description", "name", "originAccessControlOriginType", "signingBehavior", "signingProtocol")

ENTRIES = (
    Resource(
        "aws:cloudfront/distribution:Distribution",
        "cloudfront",
        create=Do(_create, (*CONFIG, "tagsAll"), DISTRIBUTION),
        id="Distribution.Id",
        reads=(
            Read(
                "get_distribution",
                {"Id": "{id}"},
                outputs={
                    "arn": "Distribution.ARN",
                    "callerReference": "Distribution.DistributionConfig.CallerReference",
                    "domainName": "Distribution.DomainName",
                    "etag": "ETag",
                    "inProgressValidationBatches": "Distribution.InProgressInvalidationBatches",
                    "lastModifiedTime": "Distribution.LastModifiedTime",
                    "status": "Distribution.Status",
                },
                only=(),
            ),
            Read("get_distribution", {"Id": "{id}"}, "Distribution.DistributionConfig", only=CONFIG),
        ),
        update=(Do(_update, CONFIG, DISTRIBUTION), Do(_put_tags, ("tagsAll",))),
        delete=Do(_delete),
        names=NAMES,
        sets=(
            "aliases",
            "customErrorResponses",
            "origins",
            "restrictions.geoRestriction.locations",
            *(f"{name}.{methods}" for name in BEHAVIORS for methods in ("allowedMethods", "cachedMethods")),
        ),
        defaults={
            "httpVersion": "http2",
            "origins.connectionAttempts": 3,
            "origins.connectionTimeout": 10,
            "priceClass": "PriceClass_All",
            "retainOnDelete": False,
            "viewerCertificate.minimumProtocolVersion": "TLSv1",
            "waitForDeployment": True,
            **{f"{name}.compress": False for name in BEHAVIORS},
        },
        local=("retainOnDelete", "waitForDeployment"),
        unsupported=(
            "anycastIpListId",
            "cacheTagConfig",
            "connectionFunctionAssociation",
            "continuousDeploymentPolicyId",
            "loggingConfig",
            "originGroups",
            "staging",
            "viewerMtlsConfig",
        ),
        recomputed={"etag": CONFIG},
        refine=_refine,
        verify=_verify,
        gone=("NoSuchDistribution",),
        tagging=Tagging(read=Read("list_tags_for_resource", {"Resource": "{arn}"}, "Tags.Items")),
        ready=Wait("Distribution.Status", ("Deployed",)),
    ),
    Resource(
        "aws:cloudfront/originAccessControl:OriginAccessControl",
        "cloudfront",
        create=Call("create_origin_access_control", {}, CONTROL, into="OriginAccessControlConfig"),
        id="OriginAccessControl.Id",
        reads=(
            Read("get_origin_access_control", {"Id": "{id}"}, outputs={"etag": "ETag"}, only=()),
            Read(
                "get_origin_access_control",
                {"Id": "{id}"},
                "OriginAccessControl.OriginAccessControlConfig",
                only=CONTROL,
            ),
        ),
        update=(
            Call(
                "update_origin_access_control",
                {"Id": "{id}", "IfMatch": "{etag}"},
                CONTROL,
                into="OriginAccessControlConfig",
                whole=True,
            ),
        ),
        delete=Do(_delete_as_it_is("origin_access_control")),
        name="name",
        defaults={"description": "Managed by Pulumi"},
        outputs={"arn": "arn:{partition}:cloudfront::{account}:origin-access-control/{id}"},
        recomputed={"etag": CONTROL},
        gone=("NoSuchOriginAccessControl",),
    ),
    Resource(
        "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy",
        "cloudfront",
        create=Do(_create_headers, POLICY, HEADERS),
        id="ResponseHeadersPolicy.Id",
        reads=(
            Read("get_response_headers_policy", {"Id": "{id}"}, outputs={"etag": "ETag"}, only=()),
            Read(
                "get_response_headers_policy",
                {"Id": "{id}"},
                "ResponseHeadersPolicy.ResponseHeadersPolicyConfig",
                only=POLICY,
            ),
        ),
        update=(Do(_update_headers, POLICY, HEADERS),),
        delete=Do(_delete_as_it_is("response_headers_policy")),
        name="name",
        sets=("customHeadersConfig.items", "removeHeadersConfig.items"),
        outputs={"arn": "arn:{partition}:cloudfront::{account}:response-headers-policy/{id}"},
        recomputed={"etag": POLICY},
        gone=("NoSuchResponseHeadersPolicy",),
    ),
)
