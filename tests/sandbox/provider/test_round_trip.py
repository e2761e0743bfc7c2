"""Every emulated type, through its whole life against a running emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.provider import table
from tests.sandbox.provider.examples import BY_NAME, EXAMPLES, Example

if TYPE_CHECKING:
    from tests.sandbox.provider.conftest import World


def test_every_emulated_type_has_an_example() -> None:
    """The round trips below leave no entry of the table out."""
    assert {entry.token for entry in table.entries().values()} == {example.token for example in EXAMPLES}


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_a_resource_lives_as_the_program_says(example: Example, world: World) -> None:
    """Created, read without a difference, updated, read again without one, imported, deleted."""
    client, inputs = world.client, world.filled(example.inputs)
    state = client.create(example.token, inputs)
    try:
        read = client.read(state)
        assert read is not None
        assert client.diff(read, inputs).kinds == {}
        assert read.outputs.values == state.outputs.values
        assert set(state.outputs.values) >= {name for name in inputs if name != "tags"}
        if example.later:
            later = world.later(example)
            assert client.diff(read, later).kinds
            assert client.diff(read, later).replaces == []
            state = client.update(read, later)
            read = client.read(state)
            assert read is not None
            assert client.diff(read, later).kinds == {}
        if example.importable:
            imported = client.imported(example.token, world.filled(example.importable, own=state))
            assert imported is not None
            assert imported.id == state.id
    finally:
        client.delete(state)
    assert (client.read(state) is not None) == example.stays


@pytest.mark.parametrize("example", [example for example in EXAMPLES if example.drift], ids=str)
def test_a_change_behind_the_programs_back_shows(example: Example, world: World) -> None:
    """What another has changed is in what Read returns, so that the next Diff would set it right."""
    client, inputs = world.client, world.filled(example.inputs)
    state = client.create(example.token, inputs)
    try:
        assert example.drift is not None
        changed = example.drift(world.api(example.service), state)
        read = client.read(state)
        assert read is not None
        assert changed in client.diff(read, inputs).kinds
        mended = client.read(client.update(read, inputs))
        assert mended is not None
        assert client.diff(mended, inputs).kinds == {}
    finally:
        client.delete(state)


def test_a_resource_that_is_gone_has_no_id(world: World) -> None:
    """An empty answer to Read is how the engine learns that a resource is to be made again."""
    state = world.client.create("aws:cloudwatch/logGroup:LogGroup", {})
    world.api("logs").delete_log_group(logGroupName=state.id)
    assert world.client.read(state) is None


@pytest.mark.parametrize("name", ["group", "default group"])
def test_a_group_lets_nothing_out_that_the_program_did_not_allow(name: str, world: World) -> None:
    """EC2 opens a new group's egress, and a VPC's default group; the official provider closes both."""
    example = BY_NAME[name]
    state = world.client.create(example.token, world.filled(example.inputs))
    try:
        assert state.outputs.values["egress"] == []
        found = world.api("ec2").describe_security_groups(GroupIds=[state.id])["SecurityGroups"][0]
        assert found["IpPermissionsEgress"] == found["IpPermissions"] == []
    finally:
        world.client.delete(state)


def test_rules_that_a_group_does_not_list_are_left_to_others(world: World) -> None:
    """A program that names no rules leaves them to others: rules of their own do not show as a change of the group."""
    token = "aws:ec2/securityGroup:SecurityGroup"
    inputs = {"vpcId": world.state("vpc").id}
    state = world.client.create(token, inputs)
    rule = {"securityGroupId": state.id, "ipProtocol": "tcp", "fromPort": 1, "toPort": 2, "cidrIpv4": "10.0.0.0/8"}
    try:
        world.client.create("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", rule)
        read = world.client.read(state)
        assert read is not None
        assert read.outputs.values["ingress"]
        assert world.client.diff(read, inputs).kinds == {}
    finally:
        world.client.delete(state)
