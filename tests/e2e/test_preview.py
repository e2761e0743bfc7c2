"""Known at preview: in the first preview of an empty stack, a policy can judge whatever it must.

A value that only the cloud will know is *unknown* to a preview, and so to the rules. Only plain references may be: the
id or ARN of a resource that the same preview declares. All else (documents, ports, addresses, flags, names) is known.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.checkout import Checkout

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

# How the engine writes an unknown string, number, boolean, list, map, asset, archive and output in JSON
# (pulumi/sdk/go/common/resource/plugin/rpc.go).
UNKNOWN = {
    "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "030794c1-ac77-496b-92df-f27374a8bd58",
    "e48ece36-62e2-4504-bad9-02848725956a",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
}

# Which input may be unknown, by its path without indices, and of which type the resource is that it waits for.
REFERENCES = {
    "vpcId": "Vpc",
    "subnetId": "Subnet",
    "subnetIds": "Subnet",
    "routeTableId": "RouteTable",
    "securityGroupId": "SecurityGroup",
    "securityGroupIds": "SecurityGroup",
    "referencedSecurityGroupId": "SecurityGroup",
    "vpcSecurityGroupIds": "SecurityGroup",
    "vpcConfig.subnetIds": "Subnet",
    "vpcConfig.securityGroupIds": "SecurityGroup",
    "kmsKeyId": "Key",
    "masterUserSecretKmsKeyId": "Key",
    "targetKeyId": "Key",
    "finalSnapshotIdentifier": "Key",
    "role": "Role",
    "layers": "LayerVersion",
    "environment.variables.DATABASE_HOST": "Instance",
    "environment.variables.MASTER_SECRET": "Instance",
    "functionVersion": "Function",
    "apiId": "Api",
    "sourceArn": "Api",
    "integrationUri": "Alias",
    "target": "Integration",
    "accessLogSettings.destinationArn": "LogGroup",
}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A sandbox in which nothing was ever made; a preview leaves it so."""
    copy = Checkout.copy(tmp_path_factory.mktemp("empty"))
    copy.ops("artifact", "build")
    try:
        yield copy
    finally:
        copy.end()


@pytest.fixture(scope="module", params=["local", "dev", "staging", "prod"])
def planned(empty: Checkout, request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """What a stack's first preview would create: each resource's state, by its inputs."""
    done = empty.ops("pulumi", "--", "preview", "--stack", request.param, "--json")
    steps = json.loads(done.stdout)["steps"]
    assert {"create"} == {step["op"] for step in steps}
    return [step["newState"] for step in steps]


def _kind(urn: str) -> str:
    return urn.split("::")[2].rpartition(":")[2]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar with its path, without indices."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each, path)
    else:
        yield path, value


def test_what_is_unknown_is_a_plain_reference(planned: list[dict[str, Any]]) -> None:
    """To one of the resources that the same preview declares, and of the type that belongs there."""
    declared = {resource["urn"] for resource in planned}
    found, wrong = set(), []
    for resource in planned:
        for path, value in _leaves(resource.get("inputs") or {}):
            if not any(unknown in str(value) for unknown in UNKNOWN):
                continue
            waits = set((resource.get("propertyDependencies") or {}).get(path.split(".")[0]) or ())
            kinds = {_kind(urn) for urn in waits & declared}
            if value in UNKNOWN and waits <= declared and REFERENCES.get(path) in kinds:
                found.add(path)
            else:
                wrong.append(f"{resource['urn']}: {path} waits for {kinds or 'nothing'}")
    assert [] == wrong
    # finalSnapshotIdentifier: only what is protected has one.
    assert set(REFERENCES) - {"finalSnapshotIdentifier"} <= found


def _inputs(planned: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    found = [resource["inputs"] for resource in planned if _kind(resource["urn"]) == kind]
    assert found, f"the stack declares no {kind}"
    return found


def test_every_policy_document_can_be_read(planned: list[dict[str, Any]]) -> None:
    """Those of roles, keys, endpoints, and who may be a role."""
    documents = [
        json.loads(inputs[key])
        for kind, key in (
            ("RolePolicy", "policy"),
            ("Role", "assumeRolePolicy"),
            ("Key", "policy"),
            ("VpcEndpoint", "policy"),
        )
        for inputs in _inputs(planned, kind)
    ]
    assert [] == [document for document in documents if not document["Statement"]]


def test_ports_encryption_and_exposure_can_be_read(planned: list[dict[str, Any]]) -> None:
    """With the values that make them safe."""
    for kind in ("SecurityGroupIngressRule", "SecurityGroupEgressRule"):
        rules = _inputs(planned, kind)
        assert {("tcp", 443, 443), ("tcp", 5432, 5432)} == {
            (rule["ipProtocol"], rule["fromPort"], rule["toPort"]) for rule in rules
        }
        assert [] == [rule for rule in rules if {"cidrIpv4", "cidrIpv6", "prefixListId"} & set(rule)]
    [database] = _inputs(planned, "Instance")
    assert (True, False, True) == tuple(
        database[key] for key in ("storageEncrypted", "publiclyAccessible", "manageMasterUserPassword")
    )
    assert database["deletionProtection"] is not database["skipFinalSnapshot"]
    assert {False} == {subnet["mapPublicIpOnLaunch"] for subnet in _inputs(planned, "Subnet")}
    assert [True] == [key["enableKeyRotation"] for key in _inputs(planned, "Key")]


def test_the_plan_of_migrations_can_be_read(planned: list[dict[str, Any]]) -> None:
    [plan] = _inputs(planned, "MigrationPlan")
    assert [] == [revision for revision in plan["revisions"] if not revision["sql"] and "undecidable" not in revision]
    assert plan["digest"]
