"""Settings: each rule refuses what breaks it, naming key, value and remedy."""

from __future__ import annotations

import base64
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from settings import SettingsError, StackSettings, check_authorities

ROOT = Path(__file__).parents[1]
DEV = StackSettings(
    project="product-api",
    stack="dev",
    region="eu-central-1",
    account="111122223333",
    zones=("eu-central-1a", "eu-central-1b"),
    vpc_cidr="10.20.0.0/16",
    database_instance_class="db.t4g.micro",
    database_storage_gb=20,
    database_backup_days=7,
    database_multi_az=False,
    database_deletion_protection=False,
    database_ca="/opt/certs/rds-ca.pem",
    function_runtime="python3.13",
    function_architecture="arm64",
    function_memory_mb=256,
    function_timeout_seconds=10,
    log_retention_days=30,
    log_level="INFO",
    seeding=True,
    artifacts=Path(".build"),
    database_max_connections=80,
    database_tunnel=True,
    function_concurrency=20,
    function_provisioned=0,
    signing="warn",
    monitoring="basic",
    warning_recipients=(),
    critical_recipients=(),
    probe_minutes=5,
    budget_usd=50,
    traffic_shift="all-at-once",
    canary_percent=10,
    canary_minutes=5,
    approvers=(),
    attempt=1,
    jwt_issuer="",
    jwt_audience=(),
    cors_origins=(),
    domain_name="",
    domain_certificate="",
    throttle_rate=50,
    throttle_burst=100,
    backup_lock=False,
    backup_days=35,
)
PROD: dict[str, Any] = {
    "stack": "prod",
    "database_multi_az": True,
    "database_deletion_protection": True,
    "database_backup_days": 35,
    "seeding": False,
    "database_tunnel": False,
    "signing": "enforce",
    "monitoring": "full",
    "traffic_shift": "canary",
    "approvers": ("devops", "product"),
    "critical_recipients": ("oncall@product-api.example",),
    "backup_lock": True,
}


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"account": "1111"}, "account"),
        ({"zones": ("eu-central-1a",)}, "zones"),
        ({"zones": ("eu-central-1a", "eu-central-1a")}, "zones"),
        ({"zones": ("us-east-1a", "us-east-1b")}, "zones"),
        ({"zones": ("eu-central-1a", "eu-central-12")}, "zones"),
        ({"vpc_cidr": "ten"}, "vpcCidr"),
        ({"vpc_cidr": "10.20.0.1/16"}, "vpcCidr"),
        ({"vpc_cidr": "10.20.0.0/24"}, "vpcCidr"),
        ({"vpc_cidr": "8.8.0.0/16"}, "vpcCidr"),
        ({"vpc_cidr": "127.0.0.0/16"}, "vpcCidr"),
        ({"vpc_cidr": "169.254.0.0/16"}, "vpcCidr"),
        ({"database_backup_days": 0}, "databaseBackupDays"),
        ({"database_backup_days": 36}, "databaseBackupDays"),
        ({"database_storage_gb": 5}, "databaseStorageGb"),
        ({"function_runtime": "nodejs22.x"}, "functionRuntime"),
        ({"function_architecture": "mips"}, "functionArchitecture"),
        ({"function_memory_mb": 64}, "functionMemoryMb"),
        ({"function_timeout_seconds": 30}, "functionTimeoutSeconds"),
        ({"log_retention_days": 31}, "logRetentionDays"),
        (PROD | {"database_multi_az": False}, "databaseMultiAz"),
        (PROD | {"database_deletion_protection": False}, "databaseDeletionProtection"),
        (PROD | {"database_backup_days": 1}, "databaseBackupDays"),
        (PROD | {"seeding": True}, "seeding"),
        (PROD | {"database_tunnel": True}, "databaseTunnel"),
        (PROD | {"signing": "warn"}, "signing"),
        (PROD | {"monitoring": "basic"}, "monitoring"),
        (PROD | {"traffic_shift": "all-at-once"}, "trafficShift"),
        (PROD | {"approvers": ("devops",)}, "approvers"),
        (PROD | {"critical_recipients": ()}, "criticalRecipients"),
        (PROD | {"backup_lock": False}, "backupLock"),
        ({"function_concurrency": 65}, "functionConcurrency"),
        ({"jwt_issuer": "https://login.example.com/"}, "jwtAudience"),
        ({"cors_origins": ("*",)}, "corsOrigins"),
        ({"approvers": ("boss",)}, "approvers"),
        (PROD | {"stack": "staging", "seeding": True}, "seeding"),
    ],
)
def test_a_broken_rule_names_key_value_and_remedy(change: dict[str, Any], key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        replace(DEV, **change)
    message = str(caught.value)
    assert message.startswith(f"product-api:{key} is ")
    assert any(word in message for word in ("give ", "set ", "name "))


@pytest.mark.parametrize("stack", ["Dev", "1st", "feature_x", "a--b", "a-", "x" * 25, ""])
def test_a_name_that_no_database_could_have_is_refused(stack: str) -> None:
    with pytest.raises(SettingsError, match=r"the stack's name is .*: give 1 to 24 lower-case letters"):
        replace(DEV, stack=stack)


def test_what_keeps_the_rules_is_accepted() -> None:
    assert not DEV.protected
    assert replace(DEV, **PROD).protected


def _layer(folder: Path, *authorities: str) -> StackSettings:
    """Settings whose layer has a bundle; a certificate is bytes with a name in them, as far as this is concerned."""
    bodies = [base64.encodebytes(b"0~" + name.encode() + b"!").decode() for name in authorities]
    bundle = "".join(f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n" for body in bodies)
    with zipfile.ZipFile(folder / "layer-python3.13-arm64.zip", "w") as layer:
        layer.writestr("python/other", "x")
        if authorities:
            layer.writestr("certs/rds-ca.pem", bundle)
    return replace(DEV, artifacts=folder)


def test_a_layer_with_the_regions_authority_is_accepted(tmp_path: Path) -> None:
    check_authorities(
        _layer(tmp_path, "Amazon RDS us-east-1 Root CA RSA2048 G1", "Amazon RDS eu-central-1 Root CA RSA2048 G1")
    )


def test_a_layer_that_could_not_verify_its_database_is_refused(tmp_path: Path) -> None:
    """Before anything is declared: the functions would fail at their first connection, in the middle of an update."""
    built = (
        r"product-api:databaseCa is .*layer-python3\.13-arm64\.zip has no such file; .*ops artifact build --stack dev"
    )
    with pytest.raises(SettingsError, match=built):
        check_authorities(replace(DEV, artifacts=tmp_path))
    with pytest.raises(SettingsError, match=built):
        check_authorities(_layer(tmp_path))
    with pytest.raises(SettingsError, match=r"no authority in it signs databases in eu-central-1; see docs/decisions"):
        check_authorities(_layer(tmp_path, "Amazon RDS us-east-1 Root CA RSA2048 G1"))


def test_an_authority_that_is_not_the_layers_is_not_looked_for(tmp_path: Path) -> None:
    """A rehearsal's is a file of the sandbox."""
    check_authorities(replace(DEV, artifacts=tmp_path / "nothing", database_ca="/somewhere/ca.pem"))


def test_artifacts_are_those_of_the_runtime() -> None:
    assert DEV.layer == Path(".build/layer-python3.13-arm64.zip")
    assert DEV.code == Path(".build/code.zip")


@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod"])
def test_stack_files_hold_declared_keys_and_no_secret(stack: str) -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    document = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())
    own = {key.removeprefix("product-api:") for key in document["config"] if key.startswith("product-api:")}
    assert set(document) == {"config"}
    assert own <= set(declared)
    assert document["config"]["aws:allowedAccountIds"] == [document["config"]["product-api:account"]]


def test_production_is_alone_in_its_account() -> None:
    accounts = {
        stack: yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]["product-api:account"]
        for stack in ("local", "dev", "staging", "prod")
    }
    assert accounts["prod"] not in {accounts["local"], accounts["dev"], accounts["staging"]}


def test_every_declared_key_says_what_it_is() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert [] == [key for key, entry in declared.items() if not entry.get("description") or not entry.get("type")]
