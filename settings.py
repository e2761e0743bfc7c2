"""The settings of a stack: the only reader of `pulumi.Config`.

`Pulumi.yaml` declares each key with type, default and description, and the engine checks values against it; what is
checked here is what one key cannot say: ranges, and rules across keys.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    import pulumi

PROTECTED = ("staging", "prod")
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
RETENTION_DAYS = frozenset(
    {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
)
# RFC 1918, as https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html recommends; the "private" of
# ipaddress has more, such as loopback, which AWS refuses.
PRIVATE = tuple(ipaddress.IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
ROOT = Path(__file__).parent


class SettingsError(Exception):
    """A setting breaks a rule; the message names key, value and remedy."""


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """Everything that tells one stack from another; see `Pulumi.yaml` for each key's meaning and unit."""

    project: str
    stack: str
    region: str
    account: str
    zones: tuple[str, ...]
    vpc_cidr: str
    database_instance_class: str
    database_storage_gb: int
    database_backup_days: int
    database_multi_az: bool
    database_deletion_protection: bool
    database_ca: str
    function_runtime: str
    function_architecture: Literal["arm64", "x86_64"]
    function_memory_mb: int
    function_timeout_seconds: int
    log_retention_days: int
    log_level: str
    seeding: bool
    artifacts: Path

    @property
    def protected(self) -> bool:
        """Whether this stack's data and users are real, or rehearse for those that are."""
        return self.stack in PROTECTED

    @property
    def code(self) -> Path:
        """The code zip, the artifact that is promoted."""
        return self.artifacts / "code.zip"

    @property
    def layer(self) -> Path:
        """The dependencies' layer for the stack's runtime and architecture."""
        return self.artifacts / f"layer-{self.function_runtime}-{self.function_architecture}.zip"

    def __post_init__(self) -> None:
        """Check ranges and rules across keys.

        Raises:
            SettingsError: for the first rule that is broken.
        """
        if not re.fullmatch(r"(?=.{1,30}$)[a-z][a-z0-9]*(-[a-z0-9]+)*", self.stack):
            # Physical names are made from it, and RDS takes the least: lower case, no two hyphens in a row.
            raise SettingsError(
                f"the stack's name is {self.stack!r}: give 1 to 30 lower-case letters, digits and single hyphens, a "
                "letter first (pulumi stack init …)"
            )
        _check(re.fullmatch(r"\d{12}", self.account), "account", self.account, "give the 12 digits of an AWS account")
        _check(
            2 <= len(set(self.zones)) == len(self.zones) <= 3, "zones", self.zones, "name two or three different zones"
        )
        _check(
            all(re.fullmatch(re.escape(self.region) + "[a-p]", zone) for zone in self.zones),
            "zones",
            self.zones,
            f"name zones of {self.region}, such as {self.region}a",
        )
        try:
            network = ipaddress.IPv4Network(self.vpc_cidr)
        except ValueError as error:
            raise _error("vpcCidr", self.vpc_cidr, "give an IPv4 range such as 10.20.0.0/16") from error
        _check(
            any(network.subnet_of(block) for block in PRIVATE) and 16 <= network.prefixlen <= 20,
            "vpcCidr",
            self.vpc_cidr,
            f"give a range of /16 to /20 within {', '.join(map(str, PRIVATE))}",
        )
        _check(
            1 <= self.database_backup_days <= 35, "databaseBackupDays", self.database_backup_days, "give 1 to 35 days"
        )
        _check(
            20 <= self.database_storage_gb <= 65536,
            "databaseStorageGb",
            self.database_storage_gb,
            "give 20 to 65536 GiB",
        )
        _check(
            re.fullmatch(r"python3\.\d+", self.function_runtime),
            "functionRuntime",
            self.function_runtime,
            "give a Python runtime such as python3.13",
        )
        _check(
            self.function_architecture in {"arm64", "x86_64"},
            "functionArchitecture",
            self.function_architecture,
            "give arm64 or x86_64",
        )
        _check(
            128 <= self.function_memory_mb <= 10240, "functionMemoryMb", self.function_memory_mb, "give 128 to 10240 MB"
        )
        _check(
            1 <= self.function_timeout_seconds <= 29,
            "functionTimeoutSeconds",
            self.function_timeout_seconds,
            "give 1 to 29 seconds",
        )
        _check(
            self.log_retention_days in RETENTION_DAYS,
            "logRetentionDays",
            self.log_retention_days,
            f"give one of {', '.join(map(str, sorted(RETENTION_DAYS)))}",
        )
        if self.protected:
            for key, value in (
                ("databaseMultiAz", self.database_multi_az),
                ("databaseDeletionProtection", self.database_deletion_protection),
            ):
                _check(value, key, value, f"set it to true: stack {self.stack} is protected")
            _check(not self.seeding, "seeding", self.seeding, f"set it to false: stack {self.stack} is protected")
            _check(
                self.database_backup_days >= 7,
                "databaseBackupDays",
                self.database_backup_days,
                f"give 7 days or more: stack {self.stack} is protected",
            )


def load() -> StackSettings:
    """Read the settings of the stack that the engine runs.

    Raises:
        SettingsError: a value breaks a rule.
    """
    import pulumi

    config = pulumi.Config()
    stack = StackSettings(
        project=pulumi.get_project(),
        stack=pulumi.get_stack(),
        region=pulumi.Config("aws").require("region"),
        account=config.require("account"),
        zones=_strings(config, "zones"),
        vpc_cidr=config.require("vpcCidr"),
        database_instance_class=config.require("databaseInstanceClass"),
        database_storage_gb=config.require_int("databaseStorageGb"),
        database_backup_days=config.require_int("databaseBackupDays"),
        database_multi_az=config.require_bool("databaseMultiAz"),
        database_deletion_protection=config.require_bool("databaseDeletionProtection"),
        database_ca=config.require("databaseCa"),
        function_runtime=config.require("functionRuntime"),
        function_architecture=cast("Literal['arm64', 'x86_64']", config.require("functionArchitecture")),
        function_memory_mb=config.require_int("functionMemoryMb"),
        function_timeout_seconds=config.require_int("functionTimeoutSeconds"),
        log_retention_days=config.require_int("logRetentionDays"),
        log_level=config.require("logLevel"),
        seeding=config.require_bool("seeding"),
        artifacts=ROOT / config.require("artifacts"),
    )
    check_authorities(stack)
    return stack


def check_authorities(stack: StackSettings) -> None:
    """Check that functions will find, in their layer, the authorities that sign databases in the stack's region.

    A path outside of /opt is not the layer's business.

    Raises:
        SettingsError: the layer is not built, lacks the file, or the file lacks the region.
    """
    key, path = "databaseCa", stack.database_ca
    if not path.startswith("/opt/"):
        return
    remedy = f"build the layer (ops artifact build --stack {stack.stack}), or name a file that functions have"
    try:
        with zipfile.ZipFile(stack.layer) as layer:
            bundle = layer.read(path.removeprefix("/opt/")).decode("ascii", "replace")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise _error(key, path, f"{stack.layer.name} has no such file; {remedy}") from error
    # Without a parser of certificates: a name stands in them as it is.
    certificates = [base64.b64decode(body) for body in re.findall("-BEGIN CERTIFICATE-----([^-]+)-----END", bundle)]
    _check(
        any(f"Amazon RDS {stack.region} Root CA".encode() in certificate for certificate in certificates),
        key,
        path,
        f"no authority in it signs databases in {stack.region}; see docs/decisions/0006-rds-authorities.md",
    )


def _strings(config: pulumi.Config, key: str) -> tuple[str, ...]:
    values = config.require_object(key)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _error(key, values, "give a list of strings")
    return tuple(values)


def _error(key: str, value: object, remedy: str) -> SettingsError:
    return SettingsError(f"product-api:{key} is {value!r}: {remedy} (pulumi config set {key} …)")


def _check(holds: object, key: str, value: object, remedy: str) -> None:
    if not holds:
        raise _error(key, value, remedy)
