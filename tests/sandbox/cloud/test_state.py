"""State is saved whole, survives a kill, and is not loaded when it is not whole."""

# ruff: noqa: S310 — all that is fetched is on loopback

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.sandbox.cloud.harness import ACCOUNT, Cloud, alive, descendants, fetch, zipped

if TYPE_CHECKING:
    from pathlib import Path

BODY = b"object " * 5000  # longer than what is kept inline
SOURCE = """
import lasting
def handler(event, context):
    return {"statusCode": 200, "body": lasting.ANSWER}
"""


def build(cloud: Cloud) -> str:
    """Make one of everything whose bytes are easily lost; return an API's endpoint."""
    role = cloud.role("functions")
    lambda_, gateway, s3 = (cloud.client(service) for service in ("lambda", "apigatewayv2", "s3"))
    layer = zipped(python__lasting="ANSWER = '\"from the layer\"'")
    arn = lambda_.publish_layer_version(LayerName="lasting", Content={"ZipFile": layer})["LayerVersionArn"]
    function = cloud.function("lasting", SOURCE, role, Layers=[arn])
    lambda_.publish_version(FunctionName="lasting")
    lambda_.create_alias(FunctionName="lasting", Name="live", FunctionVersion="1")
    lambda_.add_permission(
        FunctionName="lasting",
        Qualifier="live",
        StatementId="gateway",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
    )
    api = gateway.create_api(Name="lasting", ProtocolType="HTTP")
    integration = gateway.create_integration(
        ApiId=api["ApiId"], IntegrationType="AWS_PROXY", IntegrationUri=f"{function}:live", PayloadFormatVersion="2.0"
    )["IntegrationId"]
    gateway.create_route(ApiId=api["ApiId"], RouteKey="$default", Target=f"integrations/{integration}")
    gateway.create_stage(ApiId=api["ApiId"], StageName="$default", AutoDeploy=True)
    s3.create_bucket(Bucket="lasting", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_bucket_versioning(Bucket="lasting", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"first version", BODY):
        s3.put_object(Bucket="lasting", Key="folder/code.zip", Body=body, Metadata={"kind": "code"})
    cloud.client("ssm").put_parameter(Name="/lasting", Value="parameter", Type="String")
    cloud.client("secretsmanager").create_secret(Name="lasting", SecretString="secret")
    cloud.client("secretsmanager").create_secret(Name="empty")
    return str(api["ApiEndpoint"])


def test_all_survives_save_kill_and_start(other: Cloud) -> None:
    """Code, layers, versions, aliases, objects with their versions, secrets, databases with address and password."""
    endpoint = build(other)
    instance = other.database("lasting", ManageMasterUserPassword=True)
    secret = instance["MasterUserSecret"]["SecretArn"]
    password = json.loads(other.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"])["password"]
    with other.connection(instance, password) as connection:
        connection.execute("CREATE TABLE lasting AS SELECT 42 AS answer")
    assert fetch(f"{endpoint}/health") == (200, "from the layer")
    assert other.save("first") == {"stamp": "first"}
    assert other.save("second") == {"stamp": "second"}
    other.client("ssm").put_parameter(Name="/after", Value="not saved", Type="String")
    below = descendants(other.process.pid)
    assert len(below) >= 2  # a worker and a postmaster at least
    other.stop(signal.SIGKILL)
    assert alive(below, after=3) == set()

    other.start()
    assert other.get("/_sandbox/stamp") == {"stamp": "second"}
    assert fetch(f"{endpoint}/health") == (200, "from the layer")
    s3 = other.client("s3")
    read = s3.get_object(Bucket="lasting", Key="folder/code.zip")
    assert (read["Body"].read(), read["Metadata"]) == (BODY, {"kind": "code"})
    versions = s3.list_object_versions(Bucket="lasting")["Versions"]
    oldest = s3.get_object(Bucket="lasting", Key="folder/code.zip", VersionId=versions[-1]["VersionId"])
    assert (len(versions), oldest["Body"].read()) == (2, b"first version")
    secrets = other.client("secretsmanager")
    assert secrets.get_secret_value(SecretId="lasting")["SecretString"] == "secret"
    with pytest.raises(secrets.exceptions.ResourceNotFoundException):
        secrets.get_secret_value(SecretId="empty")
    ssm = other.client("ssm")
    assert ssm.get_parameter(Name="/lasting")["Parameter"]["Value"] == "parameter"
    with pytest.raises(ssm.exceptions.ParameterNotFound):
        ssm.get_parameter(Name="/after")
    again = other.available("lasting")
    assert again["Endpoint"] == instance["Endpoint"]
    assert again["MasterUserSecret"] == instance["MasterUserSecret"]
    with other.connection(again, password) as connection:
        assert connection.execute("SELECT answer FROM lasting").fetchone() == (42,)


def snapshot(cloud: Cloud) -> Path:
    """Return the folder of the one snapshot there is."""
    (found,) = (cloud.directory / "state").iterdir()
    return found


@pytest.mark.parametrize(
    "damage", ["a service's file cut short", "a blob gone", "a blob changed", "no manifest", "an older format"]
)
def test_a_snapshot_that_is_not_whole_is_left_out_and_that_is_said(other: Cloud, damage: str) -> None:
    """Then nothing of it is loaded, and the databases' data stays."""
    other.client("ssm").put_parameter(Name="/torn", Value="torn", Type="String")
    other.client("s3").create_bucket(Bucket="torn", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    other.client("s3").put_object(Bucket="torn", Key="key", Body=BODY)
    other.database("torn", MasterUserPassword="torn-password")
    other.save("torn")
    other.stop(signal.SIGKILL)
    folder = snapshot(other)
    if damage == "a service's file cut short":
        content = (folder / "ssm.json").read_bytes()
        (folder / "ssm.json").write_bytes(content[: len(content) // 2])
    elif damage == "a blob gone":
        (folder / "blobs" / hashlib.sha256(BODY).hexdigest()).unlink()
    elif damage == "a blob changed":
        (folder / "blobs" / hashlib.sha256(BODY).hexdigest()).write_bytes(BODY[:-1])
    elif damage == "no manifest":
        (folder / "manifest.json").unlink()
    else:
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 0}))
    other.start()
    assert other.get("/_sandbox/stamp") == {"stamp": None}
    assert other.client("s3").list_buckets()["Buckets"] == []
    assert other.client("ssm").describe_parameters()["Parameters"] == []
    assert (other.directory / "postgres" / ACCOUNT / "torn" / "data").is_dir()
    assert "is not usable" in other.log()
    assert other.save("anew") == {"stamp": "anew"}


def test_a_save_that_was_interrupted_leaves_the_one_before(other: Cloud) -> None:
    """What is not renamed into place does not count."""
    other.client("ssm").put_parameter(Name="/kept", Value="kept", Type="String")
    other.save("kept")
    other.stop(signal.SIGKILL)
    shutil.copytree(snapshot(other), other.directory / "state" / "2.partial")
    other.start()
    assert other.get("/_sandbox/stamp") == {"stamp": "kept"}
    assert other.client("ssm").get_parameter(Name="/kept")["Parameter"]["Value"] == "kept"
    assert [path.name for path in (other.directory / "state").iterdir()] == ["1"]


def test_sigterm_saves_nothing(other: Cloud) -> None:
    """State on disk is of the last save, or it would not fit the engine's."""
    other.save("before")
    other.client("ssm").put_parameter(Name="/after", Value="after", Type="String")
    other.stop()
    other.start()
    assert other.get("/_sandbox/stamp") == {"stamp": "before"}
    assert other.client("ssm").describe_parameters()["Parameters"] == []


def test_bytes_are_written_once(other: Cloud) -> None:
    """The next snapshot links what the last one holds, so a save costs what changed."""
    other.client("s3").create_bucket(Bucket="big", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    other.client("s3").put_object(Bucket="big", Key="key", Body=BODY)
    other.save("first")
    blob = f"blobs/{hashlib.sha256(BODY).hexdigest()}"
    inode = (snapshot(other) / blob).stat().st_ino
    other.save("second")
    assert (snapshot(other) / blob).stat().st_ino == inode


@pytest.mark.parametrize("body", [b"", b"[]", b'{"stamp": 1}', b"no json"])
def test_a_save_without_a_stamp_is_refused(cloud: Cloud, body: bytes) -> None:
    """Nothing is written."""
    request = urllib.request.Request(f"{cloud.url}/_sandbox/save", data=body, method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5)
    assert caught.value.code == 400
    assert cloud.get("/_sandbox/stamp") == {"stamp": None}
