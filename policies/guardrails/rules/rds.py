"""Rules on relational databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..rule import Example, Problem, Resource, Rule
from .encryption import WHY, encrypted

if TYPE_CHECKING:
    from collections.abc import Iterator

_INSTANCE = "aws:rds/instance:Instance"
_CLUSTERS = frozenset({"aws:rds/cluster:Cluster", "aws:docdb/cluster:Cluster", "aws:neptune/cluster:Cluster"})
_REFERENCES = ("CIS AWS Foundations 2.3.1", "AWS FSBP RDS.3", "NIST 800-53 SC-28")

_instance = encrypted(
    "storageEncrypted", inherited_from=("snapshotIdentifier", "replicateSourceDb", "restoreToPointInTime")
)
_cluster = encrypted(
    "storageEncrypted",
    inherited_from=(
        "snapshotIdentifier",
        "replicationSourceIdentifier",
        "restoreToPointInTime",
        "globalClusterIdentifier",
    ),
)


def _check_instance(resource: Resource) -> Iterator[Problem]:
    properties = resource.properties
    if properties.get("replicateSourceDb") is not None and properties.get("kmsKeyId") is not None:
        return  # a replica from another region: its key is what encrypts it, and the switch is ignored
    yield from _instance(resource)


def _check_cluster(resource: Resource) -> Iterator[Problem]:
    if resource.read("engineMode") == "serverless":
        return  # Aurora Serverless v1 is always encrypted
    yield from _cluster(resource)


RULES = (
    Rule(
        id="rds-instance-encrypted",
        what="A database instance's storage is encrypted.",
        why=WHY,
        remedy="Set storageEncrypted to true. An instance that exists is encrypted by restoring an encrypted copy "
        "of its snapshot.",
        types=frozenset({_INSTANCE}),
        check=_check_instance,
        good=Example(type=_INSTANCE, properties={"engine": "postgres", "storageEncrypted": True}),
        bad=Example(type=_INSTANCE, properties={"engine": "postgres"}),
        references=_REFERENCES,
    ),
    Rule(
        id="rds-cluster-encrypted",
        what="A database cluster's storage is encrypted.",
        why=WHY,
        remedy="Set storageEncrypted to true. A cluster that exists is encrypted by restoring its snapshot with a key.",
        types=_CLUSTERS,
        check=_check_cluster,
        good=Example(
            type="aws:rds/cluster:Cluster", properties={"engine": "aurora-postgresql", "storageEncrypted": True}
        ),
        bad=Example(
            type="aws:rds/cluster:Cluster", properties={"engine": "aurora-postgresql", "storageEncrypted": False}
        ),
        references=("AWS FSBP RDS.27", "NIST 800-53 SC-28"),
    ),
)
