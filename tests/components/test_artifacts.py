"""Artifacts: the zips that were built, as they are or signed, and what becomes of code that is not."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, cast

import pulumi
import pytest

from components.artifacts import Artifacts, ArtifactsArgs, _signed_key
from components.function import Function, FunctionArgs, Runtime
from tests.components.conftest import CODE, LAYER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from naming import Names
    from tests.components.conftest import Deployment

BUCKET = "product-api-artifacts-111122223333-eu-central-1"


@pytest.fixture
def artifacts_of(
    deploy: Callable[..., Deployment], names: Names, zips: tuple[Path, Path]
) -> Callable[[str], Deployment]:
    """Artifacts, and a function that runs them."""

    def declare(signing: Any) -> Deployment:
        def program() -> None:
            artifacts = Artifacts(
                "artifacts",
                ArtifactsArgs(
                    names=names,
                    code=zips[0],
                    layer=zips[1],
                    runtime="python3.13",
                    architecture="arm64",
                    signing=signing,
                ),
            )
            Function(
                "function",
                FunctionArgs(
                    runtime=Runtime(
                        names=names,
                        artifacts=artifacts,
                        log_retention_days=14,
                        log_level="INFO",
                        log_key_arn="the log's key",
                    ),
                    thing="function",
                    purpose="",
                    handler="a.b",
                    memory_mb=128,
                    timeout_seconds=1,
                    concurrency=1,
                    environment={},
                    grants=(),
                    placement=None,
                ),
            )

        return deploy(program)

    return declare


def test_where_nothing_is_signed_the_zips_go_as_they_are(
    artifacts_of: Callable[[str], Deployment], zips: tuple[Path, Path]
) -> None:
    declared = artifacts_of("off")
    layer = declared.the("lambda/layerVersion:LayerVersion", "artifacts").inputs
    code = layer.pop("code")
    assert isinstance(code, pulumi.FileArchive)
    assert str(zips[1]) == code.path
    assert {
        "layerName": "product-api-dev-dependencies",
        "description": "What the functions import, from requirements/layer.txt",
        "compatibleRuntimes": ["python3.13"],
        "compatibleArchitectures": ["arm64"],
    } == layer
    function = declared.the("lambda/function:Function", "function").inputs
    assert isinstance(function["code"], pulumi.FileArchive)
    assert not {"s3Bucket", "s3Key", "codeSigningConfigArn"} & set(function)
    assert not {each.type for each in declared.resources if each.type.startswith(("aws:signer", "aws:s3"))}


@pytest.mark.parametrize(("signing", "otherwise"), [("warn", "Warn"), ("enforce", "Enforce")])
def test_functions_are_held_to_code_that_this_stacks_profile_signed(
    artifacts_of: Callable[[str], Deployment], signing: str, otherwise: str
) -> None:
    declared = artifacts_of(signing)
    assert {"artifacts": {"platformId": "AWSLambda-SHA384-ECDSA", "namePrefix": "product_api_dev_"}} == declared.of(
        "signer/signingProfile:SigningProfile"
    )
    assert {
        "artifacts": {
            "description": "Code of product-api dev",
            "allowedPublishers": {"signingProfileVersionArns": ["version arn of SigningProfile artifacts"]},
            "policies": {"untrustedArtifactOnDeployment": otherwise},
        }
    } == declared.of("lambda/codeSigningConfig:CodeSigningConfig")
    function = declared.the("lambda/function:Function", "function").inputs
    assert ("arn of CodeSigningConfig artifacts", BUCKET, "signed by SigningJob artifacts-code") == (
        function["codeSigningConfigArn"],
        function["s3Bucket"],
        function["s3Key"],
    )
    assert "code" not in function


def test_code_and_layer_are_signed_from_their_own_bytes(
    artifacts_of: Callable[[str], Deployment], zips: tuple[Path, Path]
) -> None:
    """The object is named for its digest, and signed as the version that was just put there."""
    declared = artifacts_of("enforce")
    objects = declared.of("s3/bucketObjectv2:BucketObjectv2")
    assert {f"artifacts-{what}": str(path) for what, path in zip(("code", "layer"), zips, strict=True)} == {
        name: cast("pulumi.FileAsset", inputs.pop("source")).path for name, inputs in objects.items()
    }
    keys = {
        what: f"dev/{what}/{hashlib.sha256(body).hexdigest()}.zip" for what, body in (("code", CODE), ("layer", LAYER))
    }
    assert {f"artifacts-{what}": {"bucket": BUCKET, "key": key} for what, key in keys.items()} == objects
    assert {
        f"artifacts-{what}": {
            "profileName": "name of SigningProfile artifacts",
            "source": {
                "s3": {"bucket": BUCKET, "key": key, "version": f"version id of BucketObjectv2 artifacts-{what}"}
            },
            "destination": {"s3": {"bucket": BUCKET, "prefix": "dev/signed/"}},
        }
        for what, key in keys.items()
    } == declared.of("signer/signingJob:SigningJob")


def test_the_layer_is_signed_too(artifacts_of: Callable[[str], Deployment]) -> None:
    """Lambda holds layers to the same publishers as the code."""
    layer = artifacts_of("enforce").the("lambda/layerVersion:LayerVersion", "artifacts").inputs
    assert (BUCKET, "signed by SigningJob artifacts-layer") == (layer["s3Bucket"], layer["s3Key"])
    assert "code" not in layer


@pytest.mark.parametrize("signing", ["off", "enforce"])
def test_a_release_is_known_by_its_unsigned_zip(artifacts_of: Callable[[str], Deployment], signing: str) -> None:
    """The digest that is promoted from stack to stack, whoever signed it on the way."""
    function = artifacts_of(signing).the("lambda/function:Function", "function").inputs
    assert hashlib.sha256(CODE).digest() == base64.b64decode(function["sourceCodeHash"])


def test_a_job_that_left_nothing_is_an_error_that_says_where_to_look() -> None:
    class Nothing:
        s3s = (type("Signed", (), {"key": ""})(),)

    with pytest.raises(ValueError, match=r"the signing job left no object: look at it in AWS Signer"):
        _signed_key(cast("Any", [Nothing()]))
