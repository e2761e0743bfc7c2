"""The settings of a stack: the only reader of `pulumi.Config`.

`Pulumi.yaml` declares each key with type, default and description, and the engine checks values against it; what is
checked here is what one key cannot say: ranges, and rules across keys.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import pulumi

PROTECTED = ("staging", "prod")
# Who can approve a release; `account/` has a role for each.
APPROVERS = ("lead", "devops", "product")
# The part of the database's connections that the proxy may open.
PROXY_SHARE = 0.8
# Storage grows by itself up to four times what it begins with, and RDS ends at 64 TiB.
MAX_STORAGE_GB = 65536 // 4
# Days within which nobody can delete a backup from a locked vault; once the lock holds it cannot be changed.
LOCKED_DAYS = 35
# Slowest twentieth of responses, warning and critical, that a protected stack may allow (requirement 63).
RESPONSE_TIME_MS = (1000, 3000)
# Minutes between two probes that leave two of them to the objectives' short window of five.
MAX_PROBE_MINUTES = 2
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
    """Everything that tells one stack from another; see `Pulumi.yaml` for each key's meaning and unit.

    `region` and `profile` are the AWS provider's own settings (`aws:region`, `aws:profile`).
    """

    project: str
    stack: str
    region: str
    account: str
    profile: str | None
    zones: tuple[str, ...]
    vpc_cidr: str
    database_instance_class: str
    database_storage_gb: int
    database_backup_days: int
    database_multi_az: bool
    database_deletion_protection: bool
    database_ca: str
    database_max_connections: int
    database_tunnel: bool
    function_runtime: str
    function_architecture: Literal["arm64", "x86_64"]
    function_memory_mb: int
    function_timeout_seconds: int
    function_concurrency: int
    function_provisioned: int
    log_retention_days: int
    log_level: str
    seeding: bool
    artifacts: Path
    signing: Literal["off", "warn", "enforce"]
    monitoring: Literal["basic", "full"]
    response_time_warning_ms: int
    response_time_critical_ms: int
    warning_recipients: tuple[str, ...]
    critical_recipients: tuple[str, ...]
    probe_minutes: int
    budget_usd: int
    traffic_shift: Literal["all-at-once", "canary"]
    canary_percent: int
    canary_minutes: int
    approvers: tuple[str, ...]
    attempt: int
    jwt_issuer: str
    jwt_audience: tuple[str, ...]
    cors_origins: tuple[str, ...]
    domain_name: str
    domain_certificate: str
    throttle_rate: int
    throttle_burst: int
    backup_lock: bool
    backup_days: int

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
        self._check_place()
        self._check_database()
        self._check_functions()
        self._check_api()
        self._check_release()
        self._check_watch()
        if self.protected:
            self._check_protected()

    def _check_place(self) -> None:
        if not re.fullmatch(r"(?=.{1,24}$)[a-z][a-z0-9]*(-[a-z0-9]+)*", self.stack):
            # Physical names are made from it: RDS takes no upper case and no two hyphens in a row, and a role's name
            # ends at 64 characters.
            raise SettingsError(
                f"the stack's name is {self.stack!r}: give 1 to 24 lower-case letters, digits and single hyphens, a "
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

    def _check_database(self) -> None:
        _within("databaseBackupDays", self.database_backup_days, 1, 35, "days")
        _within("databaseStorageGb", self.database_storage_gb, 20, MAX_STORAGE_GB, "GiB")
        _within("databaseMaxConnections", self.database_max_connections, 20, 5000, "connections")
        # The proxy takes its share of what the database accepts; the rest is the migrator's and people's.
        _check(
            self.function_concurrency <= PROXY_SHARE * self.database_max_connections,
            "functionConcurrency",
            self.function_concurrency,
            f"give at most {int(PROXY_SHARE * self.database_max_connections)}, or raise databaseMaxConnections: each "
            "concurrent request may hold a connection",
        )
        _within("backupDays", self.backup_days, LOCKED_DAYS if self.backup_lock else 1, 36500, "days")

    def _check_functions(self) -> None:
        _check(
            re.fullmatch(r"python3\.\d+", self.function_runtime),
            "functionRuntime",
            self.function_runtime,
            "give a Python runtime such as python3.13",
        )
        _one_of("functionArchitecture", self.function_architecture, ("arm64", "x86_64"))
        _within("functionMemoryMb", self.function_memory_mb, 128, 10240, "MB")
        _within("functionTimeoutSeconds", self.function_timeout_seconds, 1, 29, "seconds")
        _within("functionConcurrency", self.function_concurrency, 1, 1000, "requests")
        _within("functionProvisioned", self.function_provisioned, 0, self.function_concurrency, "instances")
        _check(
            self.log_retention_days in RETENTION_DAYS,
            "logRetentionDays",
            self.log_retention_days,
            f"give one of {', '.join(map(str, sorted(RETENTION_DAYS)))}",
        )
        _one_of("logLevel", self.log_level, ("DEBUG", "INFO", "WARNING", "ERROR"))
        _one_of("signing", self.signing, ("off", "warn", "enforce"))

    def _check_api(self) -> None:
        issuer = urlsplit(self.jwt_issuer)
        _check(
            not self.jwt_issuer
            or (issuer.scheme == "https" and issuer.hostname and not issuer.query and not issuer.fragment),
            "jwtIssuer",
            self.jwt_issuer,
            "give the https URL of an OpenID Connect issuer, or leave it out",
        )
        _check(
            bool(self.jwt_issuer) == bool(self.jwt_audience) and all(self.jwt_audience),
            "jwtAudience",
            self.jwt_audience,
            "name at least one audience where jwtIssuer is set, and none where it is not: a token for anybody else "
            "would open this API",
        )
        for origin in self.cors_origins:
            _check(
                re.fullmatch(r"https://[a-z0-9.-]+(:\d+)?|http://localhost(:\d+)?", origin),
                "corsOrigins",
                origin,
                "give origins such as https://shop.example.com, without a path and never *",
            )
        _check(
            not self.domain_name or re.fullmatch(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}", self.domain_name),
            "domainName",
            self.domain_name,
            "give a host name such as api.example.com",
        )
        certificate = rf"arn:aws[\w-]*:acm:{re.escape(self.region)}:{self.account}:certificate/[\w-]+"
        _check(
            re.fullmatch(certificate, self.domain_certificate) if self.domain_name else not self.domain_certificate,
            "domainCertificate",
            self.domain_certificate,
            "give the ARN of an ACM certificate of this account and region where domainName is set, and only there",
        )
        _within("throttleRate", self.throttle_rate, 1, 10000, "requests a second")
        _within("throttleBurst", self.throttle_burst, 1, 5000, "requests")

    def _check_release(self) -> None:
        _one_of("trafficShift", self.traffic_shift, ("all-at-once", "canary"))
        _within("canaryPercent", self.canary_percent, 1, 50, "percent")
        _within("canaryMinutes", self.canary_minutes, 1, 10, "minutes")
        _check(
            len(set(self.approvers)) == len(self.approvers) and set(self.approvers) <= set(APPROVERS),
            "approvers",
            self.approvers,
            f"name each at most once, of {', '.join(APPROVERS)}",
        )
        _within("attempt", self.attempt, 1, 9999, "as the attempt's number")

    def _check_watch(self) -> None:
        _one_of("monitoring", self.monitoring, ("basic", "full"))
        # The gateway gives up after thirty seconds. A protected stack promises no less than requirement 63.
        most_warning, most_critical = RESPONSE_TIME_MS if self.protected else (29_998, 29_999)
        _within("responseTimeCriticalMs", self.response_time_critical_ms, 2, most_critical, "milliseconds")
        _within(
            "responseTimeWarningMs",
            self.response_time_warning_ms,
            1,
            min(most_warning, self.response_time_critical_ms - 1),
            "milliseconds",
        )
        for key, recipients in (
            ("warningRecipients", self.warning_recipients),
            ("criticalRecipients", self.critical_recipients),
        ):
            for recipient in recipients:
                _check(
                    re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+|https://[^/\s]+(/\S*)?", recipient),
                    key,
                    recipient,
                    "give e-mail addresses or https URLs",
                )
        _within(
            "probeMinutes", self.probe_minutes, 1, MAX_PROBE_MINUTES if self.monitoring == "full" else 60, "minutes"
        )
        _within("budgetUsd", self.budget_usd, 1, 10_000_000, "US dollars")

    def _check_protected(self) -> None:
        why = f"stack {self.stack} is protected"
        for key, value, wanted in (
            ("databaseMultiAz", self.database_multi_az, True),
            ("databaseDeletionProtection", self.database_deletion_protection, True),
            ("seeding", self.seeding, False),
            ("databaseTunnel", self.database_tunnel, False),
            ("signing", self.signing, "enforce"),
            ("monitoring", self.monitoring, "full"),
            ("trafficShift", self.traffic_shift, "canary"),
        ):
            _check(value == wanted, key, value, f"set it to {json.dumps(wanted)}: {why}")
        _within("databaseBackupDays", self.database_backup_days, 7, 35, f"days: {why}")
        _check(self.approvers, "approvers", self.approvers, f"name who approves a release: {why}")
        if self.stack == "prod":
            why = "production is what nobody can make again"
            _check(self.backup_lock, "backupLock", self.backup_lock, f"set it to true: {why}")
            _within("databaseBackupDays", self.database_backup_days, 35, 35, f"days: {why}")
            _check(
                self.critical_recipients,
                "criticalRecipients",
                self.critical_recipients,
                "name who is woken when production fails",
            )
            _check(len(self.approvers) >= 2, "approvers", self.approvers, "name two: production needs four eyes")


def load() -> StackSettings:
    """Read the settings of the stack that the engine runs.

    Raises:
        SettingsError: a value breaks a rule.
    """
    import pulumi

    config = pulumi.Config()
    check_accounts(pulumi.Config("aws").get_object("allowedAccountIds"), config.require("account"))
    stack = StackSettings(
        project=pulumi.get_project(),
        stack=pulumi.get_stack(),
        region=pulumi.Config("aws").require("region"),
        account=config.require("account"),
        profile=pulumi.Config("aws").get("profile"),
        zones=_strings(config, "zones"),
        vpc_cidr=config.require("vpcCidr"),
        database_instance_class=config.require("databaseInstanceClass"),
        database_storage_gb=config.require_int("databaseStorageGb"),
        database_backup_days=config.require_int("databaseBackupDays"),
        database_multi_az=config.require_bool("databaseMultiAz"),
        database_deletion_protection=config.require_bool("databaseDeletionProtection"),
        database_ca=config.require("databaseCa"),
        database_max_connections=config.require_int("databaseMaxConnections"),
        database_tunnel=config.require_bool("databaseTunnel"),
        function_runtime=config.require("functionRuntime"),
        function_architecture=cast("Literal['arm64', 'x86_64']", config.require("functionArchitecture")),
        function_memory_mb=config.require_int("functionMemoryMb"),
        function_timeout_seconds=config.require_int("functionTimeoutSeconds"),
        function_concurrency=config.require_int("functionConcurrency"),
        function_provisioned=config.require_int("functionProvisioned"),
        log_retention_days=config.require_int("logRetentionDays"),
        log_level=config.require("logLevel"),
        seeding=config.require_bool("seeding"),
        artifacts=ROOT / config.require("artifacts"),
        signing=cast("Literal['off', 'warn', 'enforce']", config.require("signing")),
        monitoring=cast("Literal['basic', 'full']", config.require("monitoring")),
        response_time_warning_ms=config.require_int("responseTimeWarningMs"),
        response_time_critical_ms=config.require_int("responseTimeCriticalMs"),
        warning_recipients=_strings(config, "warningRecipients"),
        critical_recipients=_strings(config, "criticalRecipients"),
        probe_minutes=config.require_int("probeMinutes"),
        budget_usd=config.require_int("budgetUsd"),
        traffic_shift=cast("Literal['all-at-once', 'canary']", config.require("trafficShift")),
        canary_percent=config.require_int("canaryPercent"),
        canary_minutes=config.require_int("canaryMinutes"),
        approvers=_strings(config, "approvers"),
        attempt=config.require_int("attempt"),
        jwt_issuer=config.get("jwtIssuer") or "",
        jwt_audience=_strings(config, "jwtAudience"),
        cors_origins=_strings(config, "corsOrigins"),
        domain_name=config.get("domainName") or "",
        domain_certificate=config.get("domainCertificate") or "",
        throttle_rate=config.require_int("throttleRate"),
        throttle_burst=config.require_int("throttleBurst"),
        backup_lock=config.require_bool("backupLock"),
        backup_days=config.require_int("backupDays"),
    )
    check_built(stack)
    check_authorities(stack)
    return stack


def check_accounts(allowed: object, account: str) -> None:
    """Check that the provider acts in the stack's own account and refuses any other's credentials.

    Raises:
        SettingsError: `aws:allowedAccountIds` is not exactly the account.
    """
    if allowed != [account]:
        raise SettingsError(
            f"aws:allowedAccountIds is {allowed!r}: make it the stack's one account, [{account!r}], so that nobody "
            "deploys with another account's credentials"
        )


def check_built(stack: StackSettings) -> None:
    """Check that the artifact is there, whose digest is the release's name.

    Raises:
        SettingsError: code or layer is not built.
    """
    for path in (stack.code, stack.layer):
        _check(
            path.is_file(),
            "artifacts",
            str(path),
            f"it is not built; ops artifact build --stack {stack.stack} makes it",
        )


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


def _within(key: str, value: int, low: int, high: int, unit: str) -> None:
    _check(low <= value <= high, key, value, f"give {low} to {high} {unit}" if low < high else f"give {low} {unit}")


def _one_of(key: str, value: str, choices: tuple[str, ...]) -> None:
    _check(value in choices, key, value, f"give {', '.join(choices[:-1])} or {choices[-1]}")


def _error(key: str, value: object, remedy: str) -> SettingsError:
    return SettingsError(f"product-api:{key} is {value!r}: {remedy} (pulumi config set {key} …)")


def _check(holds: object, key: str, value: object, remedy: str) -> None:
    if not holds:
        raise _error(key, value, remedy)
