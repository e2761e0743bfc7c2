"""Code is signed by Signer's jobs, and Lambda takes no other where a configuration says so."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from sandbox.cloud.layers import interpreter
from tests.sandbox.cloud.harness import REGION, Cloud, wait, zip_of, zipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLATFORM = "AWSLambda-SHA384-ECDSA"
BUCKET = "artifacts"
CODE = zipped(index="def handler(event, context): return 'signed'")
USES_LAYER = zipped(index="import where\ndef handler(event, context): return where.ANSWER")


def layer(python: str, architecture: str, answer: str) -> bytes:
    """A layer as the build makes it."""
    manifest = {"requirements": "wanted", "python": python, "architecture": architecture}
    return zip_of({"python/.layer.json": json.dumps(manifest), "python/where.py": f"ANSWER = {answer!r}"})


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud with a versioned bucket, and a layer that stands in for another interpreter's."""
    folder: Path = tmp_path_factory.mktemp("layers")
    (folder / "here.zip").write_bytes(layer(*interpreter(), "here"))
    running = Cloud(tmp_path_factory.mktemp("cloud"), layers=folder).start()
    s3 = running.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    yield running
    running.stop()


@dataclasses.dataclass(frozen=True)
class Signing:
    """A profile, and two configurations that allow it and nothing else."""

    cloud: Cloud
    profile: str
    version: str
    enforce: str
    warn: str
    role: str

    def signed(self, content: bytes, profile: str = "") -> dict[str, str]:
        """Have a zip signed; return where the signed one is."""
        s3, signer = self.cloud.client("s3"), self.cloud.client("signer")
        version = s3.put_object(Bucket=BUCKET, Key="unsigned.zip", Body=content)["VersionId"]
        s3.put_object(Bucket=BUCKET, Key="unsigned.zip", Body=b"a later version, which is not what is to be signed")
        job = signer.start_signing_job(
            profileName=profile or self.profile,
            source={"s3": {"bucketName": BUCKET, "key": "unsigned.zip", "version": version}},
            destination={"s3": {"bucketName": BUCKET, "prefix": "signed/"}},
        )["jobId"]
        found = signer.describe_signing_job(jobId=job)
        assert (found["status"], found["signedObject"]["s3"]["key"]) == ("Succeeded", f"signed/{job}.zip")
        return {"S3Bucket": BUCKET, "S3Key": f"signed/{job}.zip"}

    def bytes_of(self, place: dict[str, str]) -> bytes:
        body: bytes = self.cloud.client("s3").get_object(Bucket=place["S3Bucket"], Key=place["S3Key"])["Body"].read()
        return body

    def function(self, name: str, code: dict[str, Any], config: str, **options: Any) -> dict[str, Any]:
        """Make a function that is held to a configuration, publish it and wait for it."""
        client = self.cloud.client("lambda")
        made: dict[str, Any] = client.create_function(
            FunctionName=name,
            Role=self.role,
            Code=code,
            Runtime="python3.13",
            Architectures=["arm64"],
            Handler="index.handler",
            CodeSigningConfigArn=config,
            Publish=True,
            **options,
        )
        wait(client.get_waiter("function_active_v2"), FunctionName=name)
        return made


@pytest.fixture(scope="module")
def signing(cloud: Cloud) -> Signing:
    """What the tests share."""
    made = cloud.client("signer").put_signing_profile(profileName="ours", platformId=PLATFORM)
    configs = {}
    for policy in ("Enforce", "Warn"):
        configs[policy] = cloud.client("lambda").create_code_signing_config(
            AllowedPublishers={"SigningProfileVersionArns": [made["profileVersionArn"]]},
            CodeSigningPolicies={"UntrustedArtifactOnDeployment": policy},
        )["CodeSigningConfig"]["CodeSigningConfigArn"]
    return Signing(cloud, "ours", made["profileVersionArn"], configs["Enforce"], configs["Warn"], cloud.role("signed"))


def test_signed_code_runs_and_says_who_signed_it(cloud: Cloud, signing: Signing) -> None:
    """It is the version of the object that the job was given, under another hash and with the same files."""
    place = signing.signed(CODE)
    made = signing.function("signed", place, signing.enforce)
    client = cloud.client("lambda")
    assert cloud.invoke("signed") == "signed"
    assert made["SigningProfileVersionArn"] == signing.version
    job = place["S3Key"].removeprefix("signed/").removesuffix(".zip")
    for version in ("$LATEST", "1"):
        found = client.get_function_configuration(FunctionName="signed", Qualifier=version)
        assert (found["SigningProfileVersionArn"], found["SigningJobArn"].rpartition("/")[2]) == (signing.version, job)
    assert client.get_function_code_signing_config(FunctionName="signed")["CodeSigningConfigArn"] == signing.enforce
    content = signing.bytes_of(place)
    assert content != CODE
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["index.py"]


@pytest.mark.parametrize("what", ["unsigned", "another profile", "another account's profile"])
def test_other_code_is_refused_where_the_policy_enforces(signing: Signing, what: str) -> None:
    """At the creation and at an update, with AWS's own error; nothing is made and nothing changed."""
    client = signing.cloud.client("lambda")
    code: dict[str, Any] = {"ZipFile": CODE}
    if what == "another profile":
        with_profile = what.replace(" ", "_")
        signing.cloud.client("signer").put_signing_profile(profileName=with_profile, platformId=PLATFORM)
        code = signing.signed(CODE, with_profile)
    elif what == "another account's profile":
        code = {"ZipFile": _elsewhere(signing.cloud)}
    with pytest.raises(client.exceptions.CodeVerificationFailedException, match="not configured to accept"):
        signing.function("refused", code, signing.enforce)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function(FunctionName="refused")
    name = f"held-{what.partition(' ')[0]}-{len(what)}"
    before = signing.function(name, signing.signed(CODE), signing.enforce)
    with pytest.raises(client.exceptions.CodeVerificationFailedException):
        client.update_function_code(FunctionName=name, **code)
    assert client.get_function_configuration(FunctionName=name)["CodeSha256"] == before["CodeSha256"]


def _elsewhere(cloud: Cloud) -> bytes:
    """The same code, signed by a profile of the same name in another account of the same sandbox."""
    s3, signer = (cloud.client(service, "000000000002") for service in ("s3", "signer"))
    s3.create_bucket(Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket="elsewhere", VersioningConfiguration={"Status": "Enabled"})
    signer.put_signing_profile(profileName="ours", platformId=PLATFORM)
    version = s3.put_object(Bucket="elsewhere", Key="a.zip", Body=CODE)["VersionId"]
    job = signer.start_signing_job(
        profileName="ours",
        source={"s3": {"bucketName": "elsewhere", "key": "a.zip", "version": version}},
        destination={"s3": {"bucketName": "elsewhere"}},
    )["jobId"]
    body: bytes = s3.get_object(Bucket="elsewhere", Key=f"{job}.zip")["Body"].read()
    return body


def test_a_warning_lets_unsigned_code_through(cloud: Cloud, signing: Signing) -> None:
    """And says so in the sandbox's log."""
    made = signing.function("warned", {"ZipFile": CODE}, signing.warn)
    assert "SigningProfileVersionArn" not in made
    assert cloud.invoke("warned") == "signed"
    assert "warned: code or a layer is not signed" in cloud.log()


@pytest.mark.parametrize("policy", ["enforce", "warn"])
def test_code_that_was_changed_after_signing_is_always_refused(signing: Signing, policy: str) -> None:
    """Integrity is demanded whatever the policy."""
    client = signing.cloud.client("lambda")
    content = signing.bytes_of(signing.signed(CODE)).replace(b"'signed'", b"'forged'")
    with pytest.raises(client.exceptions.InvalidCodeSignatureException):
        signing.function("forged", {"ZipFile": content}, getattr(signing, policy))


def test_an_expired_signature_is_none(signing: Signing) -> None:
    """A profile whose signatures are valid for no time at all."""
    signer, client = signing.cloud.client("signer"), signing.cloud.client("lambda")
    period = {"type": "DAYS", "value": -1}
    version = signer.put_signing_profile(profileName="old", platformId=PLATFORM, signatureValidityPeriod=period)[
        "profileVersionArn"
    ]
    config = client.create_code_signing_config(
        AllowedPublishers={"SigningProfileVersionArns": [version]},
        CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"},
    )["CodeSigningConfig"]["CodeSigningConfigArn"]
    with pytest.raises(client.exceptions.CodeVerificationFailedException):
        signing.function("late", signing.signed(CODE, "old"), config)


def test_layers_are_held_to_the_same(cloud: Cloud, signing: Signing) -> None:
    """A signed layer of another interpreter is recognised, and the one for this machine stands in for it."""
    client = cloud.client("lambda")
    content = layer("3.13", "another", "there")
    unsigned = client.publish_layer_version(LayerName="unsigned", Content={"ZipFile": content})["LayerVersionArn"]
    published = client.publish_layer_version(LayerName="signed", Content=signing.signed(content))
    assert published["Content"]["SigningProfileVersionArn"] == signing.version
    code = signing.signed(USES_LAYER)
    with pytest.raises(client.exceptions.CodeVerificationFailedException):
        signing.function("layered", code, signing.enforce, Layers=[unsigned])
    signing.function("layered", code, signing.enforce, Layers=[published["LayerVersionArn"]])
    assert cloud.invoke("layered") == "here"
    with pytest.raises(client.exceptions.CodeVerificationFailedException):
        client.update_function_configuration(FunctionName="layered", Layers=[unsigned])


@pytest.mark.parametrize(
    ("content", "reason"), [(b"no zip", "not a zip"), (zip_of({}), "empty"), (None, "already has a signature")]
)
def test_what_cannot_be_signed_fails_its_job(signing: Signing, content: bytes | None, reason: str) -> None:
    """And leaves no object."""
    s3, signer = signing.cloud.client("s3"), signing.cloud.client("signer")
    body = signing.bytes_of(signing.signed(CODE)) if content is None else content
    version = s3.put_object(Bucket=BUCKET, Key="bad.zip", Body=body)["VersionId"]
    job = signer.start_signing_job(
        profileName="ours",
        source={"s3": {"bucketName": BUCKET, "key": "bad.zip", "version": version}},
        destination={"s3": {"bucketName": BUCKET}},
    )["jobId"]
    found = signer.describe_signing_job(jobId=job)
    assert (found["status"], "signedObject" in found) == ("Failed", False)
    assert reason in found["statusReason"]
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix=job)["KeyCount"] == 0


def test_a_cancelled_profile_signs_nothing_more(signing: Signing) -> None:
    """What it has signed stays signed."""
    signer = signing.cloud.client("signer")
    signer.put_signing_profile(profileName="cancelled", platformId=PLATFORM)
    signer.cancel_signing_profile(profileName="cancelled")
    with pytest.raises(signer.exceptions.ValidationException, match="not active"):
        signing.signed(CODE, "cancelled")


def test_code_that_is_not_there_is_an_error(signing: Signing) -> None:
    """The emulator would make a function, or a layer, without any."""
    client = signing.cloud.client("lambda")
    place = {"S3Bucket": BUCKET, "S3Key": "nothing.zip"}
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="NoSuchKey"):
        signing.function("nothing", place, signing.warn)
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="NoSuchKey"):
        client.publish_layer_version(LayerName="nothing", Content=place)


class TestConfigurations:
    def test_one_that_is_used_cannot_be_deleted(self, signing: Signing) -> None:
        client = signing.cloud.client("lambda")
        made = signing.function("user", signing.signed(CODE), signing.enforce)["FunctionArn"]
        users = client.list_functions_by_code_signing_config(CodeSigningConfigArn=signing.enforce)["FunctionArns"]
        assert made.removesuffix(":1") in users
        with pytest.raises(client.exceptions.ResourceConflictException):
            client.delete_code_signing_config(CodeSigningConfigArn=signing.enforce)

    def test_one_that_does_not_exist_holds_nobody(self, signing: Signing) -> None:
        client = signing.cloud.client("lambda")
        missing = signing.enforce[:-1] + ("a" if signing.enforce[-1] != "a" else "b")
        with pytest.raises(client.exceptions.CodeSigningConfigNotFoundException):
            signing.function("lost", {"ZipFile": CODE}, missing)
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.get_code_signing_config(CodeSigningConfigArn=missing)


def test_signatures_outlive_a_restart(other: Cloud) -> None:
    """So do the configurations: the key and they are the account's."""
    s3, signer, client = (other.client(service) for service in ("s3", "signer", "lambda"))
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    version = signer.put_signing_profile(profileName="ours", platformId=PLATFORM)["profileVersionArn"]
    config = client.create_code_signing_config(
        AllowedPublishers={"SigningProfileVersionArns": [version]},
        CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"},
    )["CodeSigningConfig"]["CodeSigningConfigArn"]
    signing = Signing(other, "ours", version, config, "", other.role("signed"))
    place = signing.signed(CODE)
    other.save("signed")
    other.stop()
    other.start()
    signing.function("signed", place, config)
    with pytest.raises(ClientError, match="CodeVerificationFailed"):
        client.update_function_code(FunctionName="signed", ZipFile=CODE)


def test_a_job_needs_its_callers_rights_on_the_objects(cloud: Cloud, signing: Signing) -> None:
    """Signer reads and writes as whoever starts the job."""
    objects = f"arn:aws:s3:::{BUCKET}"
    role = cloud.role(
        "signs-a-little",
        {"Action": "signer:StartSigningJob", "Resource": "*"},
        {"Action": "s3:GetObjectVersion", "Resource": f"{objects}/unsigned.zip"},
        {"Action": "s3:PutObject", "Resource": f"{objects}/signed/*"},
    )
    signer = cloud.acting_as(role, "signer")
    version = cloud.client("s3").put_object(Bucket=BUCKET, Key="unsigned.zip", Body=CODE)["VersionId"]
    source = {"s3": {"bucketName": BUCKET, "key": "unsigned.zip", "version": version}}
    for prefix, allowed in (("signed/", True), ("elsewhere/", False)):
        destination = {"s3": {"bucketName": BUCKET, "prefix": prefix}}
        if allowed:
            signer.start_signing_job(profileName=signing.profile, source=source, destination=destination)
        else:
            with pytest.raises(ClientError, match="s3:PutObject"):
                signer.start_signing_job(profileName=signing.profile, source=source, destination=destination)
