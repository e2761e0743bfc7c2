"""The bytes that every function of a release runs: code and layer, signed where the stack asks for it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 -- the engine's SDK evaluates a component's annotations
from typing import TYPE_CHECKING, Literal

import pulumi
from pulumi_aws import lambda_, s3, signer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from naming import Names

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-codesigning.html
PLATFORM = "AWSLambda-SHA384-ECDSA"


@dataclass(frozen=True, kw_only=True)
class ArtifactsArgs:
    """What was built, and how it is signed.

    Attributes:
        names: The stack's names.
        code: The code zip; its SHA-256 is the release's digest.
        layer: The dependencies' layer.
        runtime: Lambda runtime that the layer is built for.
        architecture: Instruction set that the layer is built for.
        signing: `off` takes the zips as they are; `warn` and `enforce` sign them, and say what becomes of code that
            is not.
    """

    names: Names
    code: Path
    layer: Path
    runtime: str
    architecture: str
    signing: Literal["off", "warn", "enforce"]


class Artifacts(pulumi.ComponentResource):
    """Code and layer as functions take them.

    Attributes:
        code: The unsigned code zip.
        runtime: Lambda runtime.
        architecture: Instruction set.
        layer_arn: The published layer.
        archive: The code, where it is not signed.
        bucket: Where signed code is, else None.
        signed_code: Its key there, else None.
        code_signing_arn: What functions must be held to, else None.
    """

    code: Path
    runtime: str
    architecture: str
    layer_arn: pulumi.Output[str]
    archive: pulumi.FileArchive | None
    bucket: str | None
    signed_code: pulumi.Output[str] | None
    code_signing_arn: pulumi.Output[str] | None

    def __init__(self, name: str, args: ArtifactsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Artifacts", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.code, self.runtime, self.architecture = args.code, args.runtime, args.architecture
        signed_layer = None
        if args.signing == "off":
            self.archive, self.bucket, self.signed_code, self.code_signing_arn = (
                pulumi.FileArchive(str(args.code)),
                None,
                None,
                None,
            )
        else:
            self.archive, self.bucket = None, args.names.bucket("artifacts")
            # A name that was once cancelled is never free again; the permissions name its beginning.
            profile = signer.SigningProfile(
                name, platform_id=PLATFORM, name_prefix=f"product_api_{args.names.stack.replace('-', '_')}_", opts=child
            )
            config = lambda_.CodeSigningConfig(
                name,
                description=f"Code of {args.names.project} {args.names.stack}",
                allowed_publishers=lambda_.CodeSigningConfigAllowedPublishersArgs(
                    signing_profile_version_arns=[profile.version_arn]
                ),
                policies=lambda_.CodeSigningConfigPoliciesArgs(untrusted_artifact_on_deployment=args.signing.title()),
                opts=child,
            )
            self.code_signing_arn = config.arn
            self.signed_code = self._sign(f"{name}-code", "code", args.code, args.names, profile)
            signed_layer = self._sign(f"{name}-layer", "layer", args.layer, args.names, profile)
        layer = lambda_.LayerVersion(
            name,
            layer_name=args.names.name("dependencies"),
            description="What the functions import, from requirements/layer.txt",
            code=None if signed_layer else pulumi.FileArchive(str(args.layer)),
            s3_bucket=self.bucket,
            s3_key=signed_layer,
            compatible_runtimes=[args.runtime],
            compatible_architectures=[args.architecture],
            opts=child,
        )
        self.layer_arn = layer.arn
        self.register_outputs({"layerArn": self.layer_arn})

    def _sign(
        self, name: str, what: str, path: Path, names: Names, profile: signer.SigningProfile
    ) -> pulumi.Output[str]:
        """Put a zip into the account's artifact bucket, under its own digest, and have it signed there."""
        child = pulumi.ResourceOptions(parent=self)
        bucket = names.bucket("artifacts")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        unsigned = s3.BucketObjectv2(
            name,
            bucket=bucket,
            key=f"{names.stack}/{what}/{digest}.zip",
            source=pulumi.FileAsset(str(path)),
            opts=child,
        )
        job = signer.SigningJob(
            name,
            profile_name=profile.name,
            source=signer.SigningJobSourceArgs(
                s3=signer.SigningJobSourceS3Args(bucket=bucket, key=unsigned.key, version=unsigned.version_id)
            ),
            destination=signer.SigningJobDestinationArgs(
                s3=signer.SigningJobDestinationS3Args(bucket=bucket, prefix=f"{names.stack}/signed/")
            ),
            opts=child,
        )
        return job.signed_objects.apply(_signed_key)


def _signed_key(objects: Sequence[signer.outputs.SigningJobSignedObject]) -> str:
    """Take the key of the one object that a finished job leaves."""
    [signed] = [s3s for each in objects for s3s in each.s3s or ()]
    if not signed.key:
        raise ValueError("the signing job left no object: look at it in AWS Signer (aws signer list-signing-jobs)")
    return signed.key
