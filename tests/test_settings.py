"""Settings: each rule refuses what breaks it, naming key, value and remedy."""

from __future__ import annotations

import ast
import inspect
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import settings
from settings import SettingsError, StackSettings, check_accounts, check_authorities
from tests.support.configuration import PROJECT, ROOT, STACKS, configuration, declared, of, write_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEV = StackSettings(
    project="product-api",
    stack="dev",
    region="eu-central-1",
    account="111122223333",
    profile=None,
    zones=("eu-central-1a", "eu-central-1b"),
    vpc_cidr="10.20.0.0/16",
    database_instance_class="db.t4g.micro",
    database_storage_gb=20,
    database_backup_days=7,
    database_multi_az=False,
    database_deletion_protection=False,
    database_ca="/opt/certs/rds-ca.pem",
    database_max_connections=80,
    database_tunnel=True,
    function_runtime="python3.13",
    function_architecture="arm64",
    function_memory_mb=256,
    function_timeout_seconds=10,
    function_concurrency=20,
    function_provisioned=0,
    log_retention_days=30,
    log_level="INFO",
    seeding=True,
    artifacts=Path(".build"),
    signing="warn",
    monitoring="basic",
    response_time_warning_ms=1000,
    response_time_critical_ms=3000,
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
CERTIFICATE = "arn:aws:acm:eu-central-1:111122223333:certificate/1234-abcd"
PROD: dict[str, Any] = {
    "stack": "prod",
    "database_multi_az": True,
    "database_deletion_protection": True,
    "database_backup_days": 35,
    "database_tunnel": False,
    "seeding": False,
    "signing": "enforce",
    "monitoring": "full",
    "critical_recipients": ("oncall@example.com",),
    "probe_minutes": 1,
    "traffic_shift": "canary",
    "approvers": ("devops", "product"),
    "backup_lock": True,
}
STAGING = PROD | {"stack": "staging", "backup_lock": False, "approvers": ("lead",), "critical_recipients": ()}
# Each field by the key that it is read from.
FIELDS = {
    "".join(word if index == 0 else word.capitalize() for index, word in enumerate(field.name.split("_"))): field.name
    for field in fields(StackSettings)
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
        ({"database_storage_gb": 16385}, "databaseStorageGb"),
        ({"database_max_connections": 19}, "databaseMaxConnections"),
        ({"database_max_connections": 5001}, "databaseMaxConnections"),
        # Each request may hold a connection, and the proxy opens four fifths of them: of 80 that is 64.
        ({"function_concurrency": 65}, "functionConcurrency"),
        ({"function_concurrency": 0}, "functionConcurrency"),
        ({"function_provisioned": -1}, "functionProvisioned"),
        # More than are reserved could never be started.
        ({"function_provisioned": 21}, "functionProvisioned"),
        ({"log_level": "LOUD"}, "logLevel"),
        ({"signing": "sometimes"}, "signing"),
        ({"monitoring": "none"}, "monitoring"),
        ({"warning_recipients": ("nobody",)}, "warningRecipients"),
        ({"critical_recipients": ("http://alerts.example.com",)}, "criticalRecipients"),
        ({"response_time_critical_ms": 30_000}, "responseTimeCriticalMs"),
        ({"response_time_warning_ms": 3000}, "responseTimeWarningMs"),
        ({"response_time_warning_ms": 0}, "responseTimeWarningMs"),
        ({"probe_minutes": 0}, "probeMinutes"),
        ({"probe_minutes": 61}, "probeMinutes"),
        # The objectives' short window of five minutes must see two probes fail.
        ({"probe_minutes": 3, "monitoring": "full"}, "probeMinutes"),
        ({"budget_usd": 0}, "budgetUsd"),
        ({"traffic_shift": "linear"}, "trafficShift"),
        ({"canary_percent": 0}, "canaryPercent"),
        ({"canary_percent": 51}, "canaryPercent"),
        ({"canary_minutes": 0}, "canaryMinutes"),
        ({"canary_minutes": 11}, "canaryMinutes"),
        ({"approvers": ("somebody",)}, "approvers"),
        ({"approvers": ("lead", "lead")}, "approvers"),
        ({"attempt": 0}, "attempt"),
        ({"jwt_issuer": "http://login.example.com", "jwt_audience": ("us",)}, "jwtIssuer"),
        ({"jwt_issuer": "https://login.example.com?tenant=1", "jwt_audience": ("us",)}, "jwtIssuer"),
        ({"jwt_issuer": "https://", "jwt_audience": ("us",)}, "jwtIssuer"),
        # A token for anybody else would open the API.
        ({"jwt_issuer": "https://login.example.com"}, "jwtAudience"),
        ({"jwt_issuer": "https://login.example.com", "jwt_audience": ("",)}, "jwtAudience"),
        ({"jwt_audience": ("us",)}, "jwtAudience"),
        ({"cors_origins": ("*",)}, "corsOrigins"),
        ({"cors_origins": ("https://shop.example.com/",)}, "corsOrigins"),
        ({"cors_origins": ("http://shop.example.com",)}, "corsOrigins"),
        ({"domain_name": "https://api.example.com", "domain_certificate": CERTIFICATE}, "domainName"),
        ({"domain_name": "api.example.com"}, "domainCertificate"),
        ({"domain_certificate": CERTIFICATE}, "domainCertificate"),
        (
            {"domain_name": "api.example.com", "domain_certificate": CERTIFICATE.replace("eu-central-1", "us-east-1")},
            "domainCertificate",
        ),
        (
            {"domain_name": "api.example.com", "domain_certificate": CERTIFICATE.replace("1111", "9999")},
            "domainCertificate",
        ),
        ({"throttle_rate": 0}, "throttleRate"),
        ({"throttle_rate": 10_001}, "throttleRate"),
        ({"throttle_burst": 0}, "throttleBurst"),
        ({"throttle_burst": 5001}, "throttleBurst"),
        ({"backup_days": 0}, "backupDays"),
        # The vault's lock refuses every backup that would be kept for less.
        ({"backup_days": 34, "backup_lock": True}, "backupDays"),
        (PROD | {"database_multi_az": False}, "databaseMultiAz"),
        (PROD | {"database_deletion_protection": False}, "databaseDeletionProtection"),
        (PROD | {"database_backup_days": 1}, "databaseBackupDays"),
        (PROD | {"database_backup_days": 34}, "databaseBackupDays"),
        (PROD | {"seeding": True}, "seeding"),
        (PROD | {"zones": ("eu-central-1a",)}, "zones"),
        (PROD | {"account": ""}, "account"),
        (PROD | {"database_tunnel": True}, "databaseTunnel"),
        (PROD | {"signing": "warn"}, "signing"),
        (PROD | {"monitoring": "basic"}, "monitoring"),
        (PROD | {"critical_recipients": ()}, "criticalRecipients"),
        (PROD | {"traffic_shift": "all-at-once"}, "trafficShift"),
        (PROD | {"approvers": ()}, "approvers"),
        (PROD | {"approvers": ("devops",)}, "approvers"),
        (PROD | {"backup_lock": False}, "backupLock"),
        (PROD | {"response_time_warning_ms": 1001}, "responseTimeWarningMs"),
        (PROD | {"response_time_critical_ms": 3001}, "responseTimeCriticalMs"),
        (STAGING | {"seeding": True}, "seeding"),
        (STAGING | {"signing": "off"}, "signing"),
        (STAGING | {"approvers": ()}, "approvers"),
        (STAGING | {"database_tunnel": True}, "databaseTunnel"),
        (STAGING | {"database_backup_days": 6}, "databaseBackupDays"),
    ],
)
def test_a_broken_rule_names_key_value_and_remedy(change: dict[str, Any], key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        replace(DEV, **change)
    message = str(caught.value)
    value = (vars(DEV) | change)[FIELDS[key]]
    if key in {"warningRecipients", "criticalRecipients", "corsOrigins"} and value:
        [value] = value  # the one that is wrong
    assert message.startswith(f"product-api:{key} is {value!r}: ")
    assert any(word in message for word in ("give ", "set ", "name "))
    assert message.endswith(f"(pulumi config set {key} …)")


@pytest.mark.parametrize("stack", ["Dev", "1st", "feature_x", "a--b", "a-", "x" * 25, ""])
def test_a_name_that_no_database_could_have_is_refused(stack: str) -> None:
    with pytest.raises(SettingsError, match=r"the stack's name is .*: give 1 to 24 lower-case letters"):
        replace(DEV, stack=stack)


def test_what_keeps_the_rules_is_accepted() -> None:
    assert not DEV.protected
    assert replace(DEV, **PROD).protected
    assert replace(DEV, **STAGING).protected
    replace(
        DEV,
        jwt_issuer="https://login.example.com/tenant/",
        jwt_audience=("us", "them"),
        cors_origins=("https://shop.example.com", "http://localhost:3000"),
        domain_name="api.example.com",
        domain_certificate=CERTIFICATE,
        warning_recipients=("team@example.com", "https://alerts.example.com/hook?level=1"),
        function_concurrency=64,
        function_provisioned=64,
        zones=("eu-central-1a", "eu-central-1b", "eu-central-1c"),
    )


NUMBERS = sorted(field.name for field in fields(StackSettings) if field.type == "int")


@given(st.dictionaries(st.sampled_from(NUMBERS), st.integers(-1, 100_000), max_size=3), st.sampled_from([{}, PROD]))
def test_any_numbers_are_settings_or_an_error_that_says_how_to_mend_them(
    numbers: dict[str, int], over: dict[str, Any]
) -> None:
    try:
        made = replace(DEV, **(over | numbers))
    except SettingsError as error:
        assert "(pulumi config set " in str(error)  # noqa: PT017 -- of the two outcomes, this one
    else:
        assert numbers == {name: getattr(made, name) for name in numbers}


def _layer(folder: Path, *authorities: str) -> StackSettings:
    write_layer(folder / "layer-python3.13-arm64.zip", *authorities)
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


@pytest.mark.parametrize("missing", ["code.zip", "layer-python3.13-arm64.zip"])
def test_what_is_not_built_is_refused_by_its_name(
    load: Callable[..., StackSettings], tmp_path: Path, missing: str
) -> None:
    (tmp_path / missing).unlink()
    with pytest.raises(SettingsError, match=rf"{missing}'.* not built; ops artifact build --stack dev makes it"):
        load("dev")


def test_artifacts_are_those_of_the_runtime() -> None:
    assert DEV.layer == Path(".build/layer-python3.13-arm64.zip")
    assert DEV.code == Path(".build/code.zip")


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Callable[..., StackSettings]]:
    """Read the settings of a stack as the engine hands them over."""
    write_layer(tmp_path / "layer-python3.13-arm64.zip", "Amazon RDS eu-central-1 Root CA RSA2048 G1")
    (tmp_path / "code.zip").touch()

    def read(stack: str, **changes: Any) -> StackSettings:
        pulumi.runtime.configure(pulumi.runtime.Settings(project=PROJECT, stack=stack))
        pulumi.runtime.set_all_config(configuration(stack, tmp_path, changes))
        return settings.load()

    yield read
    pulumi.runtime.set_all_config({})


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_file_loads(load: Callable[..., StackSettings], stack: str) -> None:
    """With what it says, and the project's defaults for the rest."""
    loaded = load(stack)
    said = {key.removeprefix(f"{PROJECT}:"): value for key, value in of(stack).items() if key.startswith(PROJECT)}
    expected = {key: entry["default"] for key, entry in declared().items() if "default" in entry} | said
    expected.pop("artifacts")
    assert {key: tuple(value) if isinstance(value, list) else value for key, value in expected.items()} == {
        key: getattr(loaded, FIELDS[key]) for key in expected
    }
    assert (PROJECT, stack, "eu-central-1", None) == (loaded.project, loaded.stack, loaded.region, loaded.profile)


def test_the_four_environments_are_those_of_the_strategy(load: Callable[..., StackSettings]) -> None:
    stacks = {stack: load(stack) for stack in STACKS}
    assert {
        "local": ("basic", "all-at-once", 10, 5, "off", 1, False, False),
        "dev": ("basic", "all-at-once", 10, 5, "warn", 7, False, False),
        "staging": ("full", "canary", 10, 5, "enforce", 14, True, False),
        "prod": ("full", "canary", 10, 10, "enforce", 35, True, True),
    } == {
        name: (
            each.monitoring,
            each.traffic_shift,
            each.canary_percent,
            each.canary_minutes,
            each.signing,
            each.database_backup_days,
            each.database_multi_az,
            each.backup_lock,
        )
        for name, each in stacks.items()
    }


def test_another_accounts_credentials_are_refused(load: Callable[..., StackSettings]) -> None:
    for allowed in (None, [], ["999999999999"], ["111122223333", "999999999999"], "111122223333"):
        with pytest.raises(SettingsError, match=r"aws:allowedAccountIds is .*: make it the stack's one account"):
            check_accounts(allowed, "111122223333")
    with pytest.raises(SettingsError, match=r"make it the stack's one account, \['999999999999'\]"):
        load("dev", account="999999999999")


@pytest.mark.parametrize("value", [{"a": "b"}, "a", ["a", 1]])
def test_a_list_that_is_none_is_refused(load: Callable[..., StackSettings], value: object) -> None:
    with pytest.raises((SettingsError, pulumi.ConfigTypeError), match="corsOrigins"):
        load("dev", corsOrigins=value)


def _read_keys() -> dict[str, str]:
    """Each key that `settings.load` reads, with the type that it reads."""
    types = {"require": "string", "get": "string", "require_int": "integer", "require_bool": "boolean"}
    found = {}
    for node in ast.walk(ast.parse(inspect.getsource(settings.load))):
        match node:
            case ast.Call(ast.Attribute(ast.Name("config"), method), [ast.Constant(key)]):
                found[str(key)] = types[method]
            case ast.Call(ast.Name("_strings"), [ast.Name("config"), ast.Constant(key)]):
                found[str(key)] = "array"
            case _:
                continue
    return found


def test_exactly_what_is_read_is_declared_and_as_the_same_type() -> None:
    assert {key: entry["type"] for key, entry in declared().items()} == _read_keys()
    assert {"string"} == {entry["items"]["type"] for entry in declared().values() if entry["type"] == "array"}
    # What is no setting of ours: who runs, and the provider's own.
    assert {"project", "stack", "region", "profile"} == set(FIELDS) - set(declared())


def test_every_declared_key_says_what_it_is_and_what_it_is_otherwise() -> None:
    python = {"string": str, "integer": int, "boolean": bool, "array": list}
    for key, entry in declared().items():
        assert entry["description"].endswith("."), key
        assert set(entry) <= {"type", "items", "default", "description"}, key
        if "default" in entry:
            assert python[entry["type"]] is type(entry["default"]), key
    # These two have no default: nobody's account and zones are everybody's.
    assert {"account", "zones"} == {key for key, entry in declared().items() if "default" not in entry}


@pytest.mark.parametrize("stack", STACKS)
def test_stack_files_hold_declared_keys_and_no_secret(stack: str) -> None:
    document = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())
    own = {key.removeprefix("product-api:") for key in document["config"] if key.startswith("product-api:")}
    assert set(document) == {"config"}
    assert own <= set(declared())
    assert document["config"]["aws:allowedAccountIds"] == [document["config"]["product-api:account"]]
    assert {"project": PROJECT, "stack": stack, "managed-by": "pulumi"} == document["config"]["aws:defaultTags"]["tags"]


def test_production_is_alone_in_its_account() -> None:
    accounts = {stack: of(stack)["product-api:account"] for stack in STACKS}
    assert accounts["prod"] not in {account for stack, account in accounts.items() if stack != "prod"}
