"""The provider under the real engine: up, again, drift, replacement, failure, destroy."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from sandbox import session
from sandbox.engine import bootstrap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

PROGRAM = """
import json
import pulumi
import pulumi_aws as aws

settings = pulumi.Config()
ECHO = "def handler(event, context):\\n    return event\\n"
document = aws.iam.get_policy_document(statements=[{
    "actions": ["sts:AssumeRole"], "principals": [{"type": "Service", "identifiers": ["lambda.amazonaws.com"]}]}])
vpc = aws.ec2.Vpc("main", cidr_block="10.0.0.0/16", enable_dns_hostnames=True)
subnet = aws.ec2.Subnet("one", vpc_id=vpc.id, cidr_block="10.0.1.0/24", availability_zone="eu-central-1a")
group = aws.ec2.SecurityGroup("functions", vpc_id=vpc.id, description=settings.get("description") or "first")
aws.vpc.SecurityGroupEgressRule("out", security_group_id=group.id, ip_protocol="tcp", from_port=443, to_port=443,
    cidr_ipv4="10.0.0.0/16")
logs = aws.cloudwatch.LogGroup("logs", retention_in_days=int(settings.get("days") or 7))
role = aws.iam.Role("function", assume_role_policy=document.json)
function = aws.lambda_.Function("function", role=role.arn, handler="code.handler", runtime="python3.13",
    code=pulumi.AssetArchive({"code.py": pulumi.StringAsset(settings.get("code") or ECHO)}),
    publish=True, environment={"variables": {"A": pulumi.Output.secret("hidden-text")}},
    logging_config={"log_format": "JSON", "log_group": logs.name})
live = aws.lambda_.Alias("live", name="live", function_name=function.name, function_version=function.version)
called = aws.lambda_.Invocation("call", function_name=function.name, qualifier=live.name, input=json.dumps({"n": 1}),
    triggers={"version": function.version})
parameter = aws.ssm.Parameter("secret", type="SecureString", value="hidden-text", tags={"a": "b"})
if settings.get("bad"):
    aws.sfn.Activity("activity")
pulumi.export("result", called.result)
pulumi.export("version", function.version)
pulumi.export("group", group.id)
pulumi.export("logs", logs.name)
"""


class Stack:
    """A program with one stack, in a sandbox of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        (folder / "Pulumi.yaml").write_text("name: provided\nruntime: python\n")
        (folder / "__main__.py").write_text(PROGRAM)
        self.run("stack", "init", "dev")
        self.run("config", "set", "aws:region", "eu-central-1")
        self.run("config", "set", "--path", "aws:defaultTags.tags.team", "platform")

    def run(self, *arguments: str, expect: int | None = 0) -> str:
        """Run the engine; everything that it said."""
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive", "--color", "never"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        said = done.stdout + done.stderr
        assert expect is None or (done.returncode == 0) == (expect == 0), said
        return said

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs."""
        read: dict[str, Any] = json.loads(self.run("stack", "output", "--json"))
        return read

    def client(self, service: str) -> Any:
        """Any AWS client."""
        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name="eu-central-1",
            aws_access_key_id="000000000001",
            aws_secret_access_key="any",
        )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, up."""
    engine = bootstrap.find(dict(os.environ))
    assert engine is not None, "there is no Pulumi engine here: run `make setup`"
    box = session.Sandbox(
        directory=tmp_path_factory.mktemp("sandbox"), account="000000000001", region="eu-central-1", engine=engine.path
    )
    try:
        box.start()
        made = Stack(tmp_path_factory.mktemp("program"), box.environment(os.environ))
        made.run("up", "--yes", "--skip-preview")
        yield made
        made.run("destroy", "--yes", "--skip-preview")
    finally:
        session.stop(box.directory)


def test_a_second_look_shows_no_change(stack: Stack) -> None:
    """Neither from the state alone, nor with every resource read back."""
    assert json.loads(stack.outputs()["result"]) == {"n": 1}
    stack.run("preview", "--expect-no-changes")
    stack.run("preview", "--refresh", "--expect-no-changes")


def test_secrets_are_not_in_the_state(stack: Stack) -> None:
    """Neither what the program sealed nor what the SDK calls secret."""
    state = stack.run("stack", "export")
    assert "hidden-text" not in state
    assert '"platform"' in state


def test_drift_is_seen_and_set_right(stack: Stack) -> None:
    """A change by another shows in a preview with refresh; an update with refresh undoes it."""
    stack.client("logs").put_retention_policy(logGroupName=stack.outputs()["logs"], retentionInDays=1)
    said = stack.run("preview", "--refresh", "--diff")
    assert "retentionInDays: 1 => 7" in said
    stack.run("preview", "--refresh", "--expect-no-changes", expect=1)
    stack.run("up", "--refresh", "--yes", "--skip-preview")
    stack.run("preview", "--refresh", "--expect-no-changes")


def test_new_code_is_a_new_version_that_the_alias_follows(stack: Stack) -> None:
    """The preview knows that there will be one; what depends on it is shown to change."""
    stack.run("config", "set", "code", "def handler(event, context):\n    return [event]\n")
    said = stack.run("preview", "--diff")
    assert "~ aws:lambda/function:Function: (update)" in said
    assert "~ aws:lambda/alias:Alias: (update)" in said
    assert "+-aws:lambda/invocation:Invocation: (replace)" in said
    stack.run("up", "--yes", "--skip-preview")
    outputs = stack.outputs()
    assert outputs["version"] == "2"
    assert json.loads(outputs["result"]) == [{"n": 1}]
    stack.run("preview", "--refresh", "--expect-no-changes")


def test_a_replacement_takes_what_hangs_on_it_along(stack: Stack) -> None:
    """A security group's description cannot change: another group, and another rule in it."""
    before = stack.outputs()["group"]
    stack.run("config", "set", "description", "second")
    said = stack.run("preview", "--diff")
    assert "+-aws:ec2/securityGroup:SecurityGroup: (replace)" in said
    assert "+-aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule: (replace)" in said
    stack.run("up", "--yes", "--skip-preview")
    assert stack.outputs()["group"] != before
    stack.run("preview", "--refresh", "--expect-no-changes")


def test_mistakes_stop_a_preview_with_their_names(stack: Stack) -> None:
    """A value that AWS does not take, seen before anything runs."""
    stack.run("config", "set", "days", "8")
    said = stack.run("preview", expect=1)
    assert "retentionInDays" in said
    assert "8 is not allowed; expected one of 0, 1, 3, 5, 7" in said
    stack.run("config", "rm", "days")


def test_a_type_that_is_not_emulated_can_be_previewed_only(stack: Stack) -> None:
    """An update says where to add it."""
    stack.run("config", "set", "bad", "yes")
    assert "aws:sfn:Activity" in stack.run("preview")
    said = stack.run("up", "--yes", "--skip-preview", expect=1)
    assert "aws:sfn/activity:Activity is not emulated" in said
    assert "add an entry to sandbox/provider/types/sfn.py" in said
    stack.run("config", "rm", "bad")


def test_a_resource_can_be_imported(stack: Stack) -> None:
    """By its id alone; the code that the engine proposes has its properties."""
    stack.client("logs").create_log_group(logGroupName="found", tags={"a": "b"})
    stack.client("logs").put_retention_policy(logGroupName="found", retentionInDays=30)
    said = stack.run(
        "import",
        "aws:cloudwatch/logGroup:LogGroup",
        "found",
        "found",
        "--yes",
        "--protect=false",
        "--generate-code=false",
    )
    assert "1 imported" in said
