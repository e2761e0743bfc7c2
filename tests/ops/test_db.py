"""The way into a development database: the session that leads there, and who has none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ops.commands import db
from ops.console import CommandError
from ops.exit_codes import Exit
from tests.ops.world import target
from tests.support.checkout import ROOT, Checkout

if TYPE_CHECKING:
    from tests.sandbox.cloud.harness import Cloud


def test_the_session_forwards_a_port_to_the_database_and_no_other() -> None:
    argv = db.session("i-0123", "database.internal", 15432, "eu-central-1")
    assert argv[:5] == ["aws", "ssm", "start-session", "--target", "i-0123"]
    assert argv[6] == "AWS-StartPortForwardingSessionToRemoteHost"
    assert json.loads(argv[8]) == {"host": ["database.internal"], "portNumber": ["5432"], "localPortNumber": ["15432"]}
    assert argv[9:] == ["--region", "eu-central-1"]


@pytest.mark.parametrize("stack", ["local", "staging", "prod"])
def test_a_stack_without_a_way_in_has_none(stack: str) -> None:
    done = Checkout(root=ROOT).ops("db", "tunnel", stack, check=False)
    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert f"stack {stack} has no way in: databaseTunnel is not set" in done.stderr


def test_a_database_that_is_not_there_is_told_with_the_remedy(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match=r"product-api-dev-database is not there .*\(ops up dev\)"):
        db._database(target(cloud, monkeypatch))


def test_the_machine_is_found_by_its_name_while_it_runs(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    place = target(cloud, monkeypatch)
    with pytest.raises(CommandError, match="no machine product-api-dev-tunnel that runs"):
        db._machine(place)
    tags = [{"Key": "Name", "Value": "product-api-dev-tunnel"}]
    ec2 = cloud.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    made = ec2.run_instances(
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )["Instances"][0]["InstanceId"]
    assert db._machine(place) == made
    ec2.terminate_instances(InstanceIds=[made])
    with pytest.raises(CommandError, match="no machine"):
        db._machine(place)
