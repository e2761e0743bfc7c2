"""Functions run isolated, as their roles, and answer as AWS's runtime does."""

from __future__ import annotations

import base64
import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from sandbox.cloud.layers import interpreter
from tests.sandbox.cloud.harness import ACCOUNT, REGION, Cloud, alive, wait, zip_of, zipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPORT = """
import os, sys
def handler(event, context):
    return {"paths": sys.path, "environment": dict(os.environ), "modules": sorted(sys.modules),
            "arn": context.invoked_function_arn, "version": context.function_version,
            "left": context.get_remaining_time_in_millis()}
"""
SIGNED_CALL = """
import datetime, hashlib, hmac, json, os, urllib.error, urllib.request
def handler(event, context):
    service, target = event["service"], event["target"]
    body = json.dumps(event["parameters"]).encode()
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    host, region = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://"), os.environ["AWS_REGION"]
    headers = {"content-type": "application/x-amz-json-1.1", "host": host, "x-amz-date": now,
               "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"], "x-amz-target": target}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\\n" for name in sorted(headers))
    request = "\\n".join(["POST", "/", "", lines, names, hashlib.sha256(body).hexdigest()])
    scope = f"{now[:8]}/{region}/{service}/aws4_request"
    text = "\\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in (now[:8], region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, SignedHeaders={names}, "
        f"Signature={hmac.new(key, text.encode(), 'sha256').hexdigest()}")
    try:
        with urllib.request.urlopen(urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], body, headers)) as answer:
            return {"status": answer.status, "body": json.load(answer)}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "body": json.load(error)}
"""


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one layer for this interpreter and one for another."""
    folder = tmp_path_factory.mktemp("layers")
    version, architecture = interpreter()
    (folder / "here.zip").write_bytes(layer("wanted", version, architecture, "here"))
    (folder / "other.zip").write_bytes(layer("unwanted", version, architecture, "other requirements"))
    return folder


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, layers: Path) -> Iterator[Cloud]:
    """A cloud with that folder, started by somebody who has AWS credentials of their own."""
    environment = {"AWS_ACCESS_KEY_ID": "callers-own", "AWS_PROFILE": "callers-own", "PYTHONPATH": "/callers/own"}
    running = Cloud(tmp_path_factory.mktemp("cloud"), layers=layers, environment=environment).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def role(cloud: Cloud) -> str:
    """A role that allows reading one secret."""
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:allowed-*"
    return cloud.role("functions", {"Action": "secretsmanager:GetSecretValue", "Resource": secret})


def layer(requirements: str, python: str, architecture: str, answer: str) -> bytes:
    """Return a layer's zip with a manifest and one module that says where it is from."""
    manifest = {"requirements": requirements, "python": python, "architecture": architecture}
    return zip_of({"python/.layer.json": json.dumps(manifest), "python/where.py": f"ANSWER = {answer!r}"})


def test_a_function_sees_its_code_and_the_standard_library_only(cloud: Cloud, role: str) -> None:
    """Nothing of this environment, or a layer's gaps would stay hidden."""
    cloud.function("isolated", REPORT, role)
    seen = cloud.invoke("isolated")
    assert [path for path in seen["paths"] if "site-packages" in path] == []
    assert sys.prefix not in " ".join(seen["paths"])
    assert "ministack" not in seen["modules"]
    failed = cloud.invoke(cloud.function("importing", "import psycopg\ndef handler(event, context): ...", role))
    assert failed["errorType"] == "Runtime.ImportModuleError"
    assert failed["errorMessage"] == "Unable to import module 'index': No module named 'psycopg'"


def test_a_function_has_its_own_environment_and_none_of_the_callers(cloud: Cloud, role: str) -> None:
    """What is declared, and what AWS provides."""
    cloud.function("environment", REPORT, role, Environment={"Variables": {"DECLARED": "yes"}}, MemorySize=256)
    environment = cloud.invoke("environment")["environment"]
    assert environment["DECLARED"] == "yes"
    assert environment["AWS_ENDPOINT_URL"] == cloud.url
    assert environment["AWS_REGION"] == REGION
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert environment["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert not {"AWS_PROFILE", "PYTHONPATH", "VIRTUAL_ENV", "AUTH", "STATE_DIR"} & set(environment)
    assert "callers-own" not in environment.values()


def test_a_function_acts_as_its_role(cloud: Cloud, role: str) -> None:
    """What the role allows works, what it does not allow is denied."""
    secrets = cloud.client("secretsmanager")
    for name in ("allowed", "forbidden"):
        secrets.create_secret(Name=name, SecretString="value")
    cloud.function("calling", SIGNED_CALL, role)

    def read(name: str) -> Any:
        event = {
            "service": "secretsmanager",
            "target": "secretsmanager.GetSecretValue",
            "parameters": {"SecretId": name},
        }
        return cloud.invoke("calling", event)

    assert read("allowed")["body"]["SecretString"] == "value"
    assert read("forbidden")["body"]["__type"].endswith("AccessDeniedException")


def test_a_layer_of_another_interpreter_is_swapped_and_that_is_said(cloud: Cloud, role: str) -> None:
    """The same requirements for the interpreter at hand, in the function's log and the sandbox's."""
    client = cloud.client("lambda")
    content = layer("wanted", "3.99", "arm64", "elsewhere")
    published = client.publish_layer_version(LayerName="swapped", Content={"ZipFile": content})["LayerVersionArn"]
    source = "import where\ndef handler(event, context): return where.ANSWER"
    cloud.function("layered", source, role, Layers=[published])
    answer = client.invoke(FunctionName="layered", LogType="Tail")
    assert json.load(answer["Payload"]) == "here"
    said = base64.b64decode(answer["LogResult"]).decode()
    assert "here.zip" in said
    assert "python3.99 arm64" in said
    assert "here.zip" in cloud.log()


def test_a_layer_that_cannot_be_swapped_is_an_error_that_says_what_to_build(cloud: Cloud, role: str) -> None:
    """Never a silent import error."""
    client = cloud.client("lambda")
    content = layer("unknown-requirements", "3.99", "arm64", "elsewhere")
    published = client.publish_layer_version(LayerName="missing", Content={"ZipFile": content})["LayerVersionArn"]
    cloud.function("unlayered", REPORT, role, Layers=[published])
    failed = cloud.invoke("unlayered")
    assert failed["errorType"] == "Sandbox.LayerMissing"
    assert "unknown-requ" in failed["errorMessage"]
    assert "build that layer" in failed["errorMessage"]


def test_a_layer_without_a_manifest_is_used_as_it_is(cloud: Cloud, role: str) -> None:
    """Pure Python fits any interpreter."""
    client = cloud.client("lambda")
    content = zipped(python__plain="ANSWER = 'plain'")
    published = client.publish_layer_version(LayerName="plain", Content={"ZipFile": content})["LayerVersionArn"]
    cloud.function("plain", "import plain\ndef handler(event, context): return plain.ANSWER", role, Layers=[published])
    assert cloud.invoke("plain") == "plain"


def test_published_versions_keep_their_code_and_environment(cloud: Cloud, role: str) -> None:
    """Only $LATEST changes."""
    client = cloud.client("lambda")
    source = "import os\ndef handler(event, context): return [{0}, os.environ['STAGE'], context.function_version]"
    cloud.function("versioned", source.format(1), role, Environment={"Variables": {"STAGE": "one"}})
    first = client.publish_version(FunctionName="versioned")
    assert first["FunctionArn"].endswith(":function:versioned:1")
    client.update_function_code(FunctionName="versioned", ZipFile=zipped(index=source.format(2)))
    wait(client.get_waiter("function_updated_v2"), FunctionName="versioned")
    client.update_function_configuration(FunctionName="versioned", Environment={"Variables": {"STAGE": "two"}})
    wait(client.get_waiter("function_updated_v2"), FunctionName="versioned")
    assert cloud.invoke("versioned", Qualifier="1") == [1, "one", "1"]
    assert cloud.invoke("versioned") == [2, "two", "$LATEST"]


def test_a_version_made_at_creation_has_the_qualified_arn(cloud: Cloud, role: str) -> None:
    """As any version that a provider reads back."""
    client = cloud.client("lambda")
    made = client.create_function(
        FunctionName="published",
        Role=role,
        Runtime="python3.13",
        Handler="index.handler",
        Code={"ZipFile": zipped(index=REPORT)},
        Publish=True,
    )
    base = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:published"
    assert (made["Version"], made["FunctionArn"]) == ("1", f"{base}:1")
    read = client.get_function(FunctionName="published", Qualifier="1")["Configuration"]
    assert read["FunctionArn"] == f"{base}:1"
    assert client.get_function(FunctionName="published")["Configuration"]["FunctionArn"] == base
    listed = client.list_versions_by_function(FunctionName="published")["Versions"]
    assert [one["FunctionArn"] for one in listed] == [f"{base}:$LATEST", f"{base}:1"]


def test_errors_are_those_of_aws(cloud: Cloud, role: str) -> None:
    """Type, message and trace of an exception; time-outs; crashes; results that are no JSON."""
    source = """
import os, time
class Refused(Exception): ...
def handler(event, context):
    if event == "raise": raise Refused("no")
    if event == "sleep": time.sleep(5)
    if event == "crash": os._exit(3)
    if event == "object": return {1, 2}
    return "well"
"""
    cloud.function("failing", source, role, Timeout=1)
    raised = cloud.invoke("failing", "raise")
    assert (raised["errorType"], raised["errorMessage"]) == ("Refused", "no")
    assert 'raise Refused("no")' in "".join(raised["stackTrace"])
    slept = cloud.invoke("failing", "sleep")
    assert slept["errorType"] == "Sandbox.Timedout"
    assert slept["errorMessage"].endswith("Task timed out after 1.00 seconds")
    crashed = cloud.invoke("failing", "crash")
    assert crashed["errorType"] == "Runtime.ExitError"
    assert crashed["errorMessage"].endswith("exit status 3")
    assert cloud.invoke("failing", "object")["errorType"] == "Runtime.MarshalError"
    assert cloud.invoke("failing", "well") == "well"


def test_what_a_function_prints_and_logs_is_its_log(cloud: Cloud, role: str) -> None:
    """Whole, in order, and only this invocation's."""
    source = """
import logging, sys
def handler(event, context):
    print("printed", event)
    logging.getLogger().warning("logged %s", event)
    print("to stderr", event, file=sys.stderr)
"""
    cloud.function("talking", source, role)
    client = cloud.client("lambda")
    for word in ("first", "second"):
        answer = client.invoke(FunctionName="talking", LogType="Tail", Payload=json.dumps(word).encode())
        lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
        assert lines[0] == f"printed {word}"
        assert lines[1].startswith("[WARNING]\t")
        assert lines[1].endswith(f"\tlogged {word}")
        assert lines[2:] == [f"to stderr {word}"]
    events = cloud.client("logs").filter_log_events(logGroupName="/aws/lambda/talking")["events"]
    assert [event["message"] for event in events if event["message"].startswith("printed")] == [
        "printed first",
        "printed second",
    ]


def test_a_long_log_is_whole(cloud: Cloud, role: str) -> None:
    """An answer does not overtake what was printed before it."""
    cloud.function("long", "def handler(event, context):\n  for i in range(20000): print('line', i)", role, Timeout=20)
    said = cloud.client("lambda").invoke(FunctionName="long", LogType="Tail")["LogResult"]
    assert base64.b64decode(said).decode().splitlines()[-1] == "line 19999"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"Role": f"arn:aws:iam::{ACCOUNT}:role/absent"}, "role with name absent cannot be found"),
        ({"Role": f"arn:aws:iam::{ACCOUNT}:role/for-ec2"}, "cannot be assumed by Lambda"),
        ({"Environment": {"Variables": {"AWS_REGION": "elsewhere"}}}, "reserved keys.*AWS_REGION"),
        ({"VpcConfig": {"SubnetIds": ["subnet-absent"], "SecurityGroupIds": []}}, r"InvalidSubnetID\.NotFound"),
    ],
)
def test_a_configuration_that_aws_refuses_is_refused(
    cloud: Cloud, role: str, options: dict[str, Any], message: str
) -> None:
    """At creation and at update; nothing is made."""
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    with contextlib.suppress(ClientError):  # made by an earlier case
        cloud.client("iam").create_role(
            RoleName="for-ec2", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )
    with pytest.raises(ClientError, match=message):
        cloud.function("refused", REPORT, options.pop("Role", role), **options)
    client = cloud.client("lambda")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function(FunctionName="refused")


def test_a_worker_outlives_the_invocation_that_started_it(cloud: Cloud, role: str) -> None:
    """Warm: the same process, not a start per request."""
    cloud.function("warm", "import os\ndef handler(event, context): return os.getpid()", role)
    assert len({cloud.invoke("warm") for _ in range(3)}) == 1


def test_an_alias_splits_its_traffic_by_weight(cloud: Cloud, role: str) -> None:
    """And says which version was executed; the function sees the alias's ARN."""
    client = cloud.client("lambda")
    source = "def handler(event, context): return [context.function_version, context.invoked_function_arn]"
    arn = cloud.function("split", source, role)
    client.publish_version(FunctionName="split")
    client.update_function_code(FunctionName="split", ZipFile=zipped(index=source + "  # second"))
    wait(client.get_waiter("function_updated_v2"), FunctionName="split")
    client.publish_version(FunctionName="split")
    weights = {"AdditionalVersionWeights": {"2": 0.5}}
    client.create_alias(FunctionName="split", Name="live", FunctionVersion="1", RoutingConfig=weights)
    seen = []
    for _ in range(40):
        answer = client.invoke(FunctionName="split", Qualifier="live")
        version, invoked = json.load(answer["Payload"])
        assert answer["ExecutedVersion"] == version
        assert invoked == f"{arn}:live"
        seen.append(version)
    assert {"1", "2"} == set(seen)
    client.update_alias(FunctionName="split", Name="live", FunctionVersion="2", RoutingConfig={})
    assert {cloud.invoke("split", Qualifier="live")[0] for _ in range(10)} == {"2"}


def test_invoking_through_an_alias_is_allowed_on_the_alias(cloud: Cloud, role: str) -> None:
    """In every way to name it; and a permission on the alias is none on the function."""
    arn = cloud.function("qualified", "def handler(event, context): return 'in'", role)
    client = cloud.client("lambda")
    client.publish_version(FunctionName="qualified")
    client.create_alias(FunctionName="qualified", Name="live", FunctionVersion="1")
    caller = cloud.role("caller", {"Action": "lambda:InvokeFunction", "Resource": f"{arn}:live"})
    invoking = cloud.acting_as(caller, "lambda")
    for named in (
        {"FunctionName": "qualified", "Qualifier": "live"},
        {"FunctionName": arn, "Qualifier": "live"},
        {"FunctionName": f"{arn}:live"},
        {"FunctionName": "qualified:live"},
    ):
        assert json.load(invoking.invoke(**named)["Payload"]) == "in"
    for named in ({"FunctionName": "qualified"}, {"FunctionName": arn}, {"FunctionName": f"{arn}:1"}):
        with pytest.raises(ClientError, match="not authorized to perform: lambda:InvokeFunction"):
            invoking.invoke(**named)


def test_the_policy_of_an_alias_is_its_own(cloud: Cloud, role: str) -> None:
    """GetPolicy without a qualifier knows nothing of it."""
    cloud.function("permitted", REPORT, role)
    client = cloud.client("lambda")
    client.publish_version(FunctionName="permitted")
    client.create_alias(FunctionName="permitted", Name="live", FunctionVersion="1")
    client.add_permission(
        FunctionName="permitted",
        Qualifier="live",
        StatementId="gateway",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
    )
    policy = json.loads(client.get_policy(FunctionName="permitted", Qualifier="live")["Policy"])
    assert [statement["Sid"] for statement in policy["Statement"]] == ["gateway"]
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_policy(FunctionName="permitted")


def test_a_worker_takes_along_what_it_has_started(other: Cloud) -> None:
    """When the sandbox ends, a function's own child processes end too."""
    role = other.role("functions")
    source = """
import os, subprocess
def handler(event, context):
    return [os.getpid(), subprocess.Popen(["sleep", "600"]).pid]
"""
    other.function("parent", source, role)
    pids = set(other.invoke("parent"))
    assert alive(pids) == pids
    other.stop()
    assert alive(pids, after=1) == set()


def test_idle_workers_leave() -> None:
    """The pool's first worker of a version would stay for ever."""
    import threading
    import types

    from sandbox.cloud import functions

    def worker(last_used: float, *, in_use: bool) -> Any:
        return types.SimpleNamespace(last_used=last_used, in_use=in_use, _proc=None, _discard_tmpdir=lambda: None)

    idle, busy = worker(0, in_use=False), worker(0, in_use=True)
    pool = types.SimpleNamespace(_lock=threading.Lock(), _workers={"a": [idle], "b": [busy]})
    functions.retire_idle(pool, 300)
    assert pool._workers == {"a": [], "b": [busy]}


def test_the_choice_follows_the_weights() -> None:
    """Shares are cut from the start of the interval; the rest is the alias's own version."""
    from sandbox.cloud.functions import choose

    alias = {"FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.25}}}
    assert choose(alias, lambda: 0.0) == "2"
    assert choose(alias, lambda: 0.249) == "2"
    assert choose(alias, lambda: 0.25) == "1"
    assert choose({"FunctionVersion": "7"}, lambda: 0.0) == "7"
