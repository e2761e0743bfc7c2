"""Whether a stack's environment has what the stack needs, as far as settings alone cannot say."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ops.console import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ops.target import Target

OK, FAILED, UNKNOWN = "ok", "failed", "unknown"
SECONDS = 10.0  # to wait for an answer over HTTP
# What Lambda keeps for functions without a reservation
# (https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html).
UNRESERVED = 100
# The stack's functions beside the API: each runs once at a time.
SINGLE = ("migrator", "rotation", "probe")
VPC_QUOTA = ("vpc", "L-F678F1CE")
# The longest name of each kind that a stack has, and what AWS allows.
NAMES: tuple[tuple[str, str, int], ...] = (
    ("role", "database-monitoring", 64),
    ("function", "migrator", 64),
    ("database instance", "database", 63),
    ("database proxy", "proxy", 63),
    ("parameter group", "database-18", 255),
    ("queue", "dead-letters", 80),
    ("schedule", "probe", 64),
    ("backup vault", "backups", 50),
    ("budget", "monthly", 100),
)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What it is.
        state: `ok`, `failed`, or `unknown` where it could not be told.
        found: What was found.
        remedy: What to do, where it is not ok.
    """

    name: str
    state: str
    found: str
    remedy: str = ""


class _Unknown(Exception):  # noqa: N818 -- no error: the check's answer
    """It cannot be told; why, and the remedy."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.found, self.remedy = found, remedy


class _Failed(_Unknown):
    """It is not as it must be."""


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Looks at everything that a stack needs and does not make.

    Attributes:
        target: The stack, where it is to live.
        setting: Returns a setting of the stack, by key, as its file or the default has it.
    """

    target: Target
    setting: Callable[[str], Any]

    def checks(self) -> Iterator[Check]:
        """Yield the checks as they are made; without the account's credentials there is only that one."""
        first = self._check("credentials", self._credentials)
        yield first
        if first.state != OK:
            return
        for name, look in (
            ("zones", self._zones),
            ("evidence", self._evidence),
            ("artifacts", self._artifacts),
            ("boundaries", self._boundaries),
            ("roles", self._roles),
            ("secrets", self._secrets),
            ("function concurrency", self._concurrency),
            ("networks", self._networks),
            ("database instances", self._databases),
            ("instance class", self._instance_class),
            ("network endpoints", self._endpoints),
            ("names", self._names),
            ("API", self._api),
        ):
            yield self._check(name, look)
        if self.setting("domainName"):
            yield self._check("certificate", self._certificate)
        if self.setting("jwtIssuer"):
            yield self._check("token issuer", self._issuer)

    def _check(self, name: str, look: Callable[[], str]) -> Check:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return Check(name=name, state=OK, found=look())
        except _Unknown as answer:
            state = FAILED if isinstance(answer, _Failed) else UNKNOWN
            return Check(name=name, state=state, found=answer.found, remedy=answer.remedy)
        except CommandError as error:
            found, _, remedy = str(error).rpartition(": ")
            return Check(name=name, state=FAILED, found=found, remedy=remedy)
        except (BotoCoreError, ClientError) as error:
            return Check(
                name=name,
                state=UNKNOWN,
                found=f"{error}",
                remedy="ask as who may look there (an administrator, say), or look by hand",
            )

    def _credentials(self) -> str:
        return self.target.caller()

    def _zones(self) -> str:
        wanted = list(self.setting("zones"))
        found = self.target.client("ec2").describe_availability_zones()["AvailabilityZones"]
        states = {zone["ZoneName"]: zone["State"] for zone in found}
        if missing := [zone for zone in wanted if states.get(zone) != "available"]:
            there = ", ".join(sorted(name for name, state in states.items() if state == "available"))
            raise _Failed(f"{', '.join(missing)} cannot be used", f"set zones to two or three of {there}")
        return ", ".join(wanted)

    # What the account has once

    def _bring_up(self) -> str:
        return f"bring the account up (ops bootstrap {self.target.names.stack}{' --aws' if self.target.aws else ''})"

    def _evidence(self) -> str:
        names = self.target.names
        s3, trails = self.target.client("s3"), self.target.client("cloudtrail")
        arn = names.arn("cloudtrail", f"trail/{names.of_account('trail')}")
        with _or_failed(f"there is no trail {arn}", self._bring_up(), "TrailNotFoundException"):
            logging = trails.get_trail_status(Name=arn)["IsLogging"]
        if not logging:
            raise _Failed(f"{arn} does not record", f"start it (aws cloudtrail start-logging --name {arn})")
        for purpose in ("ledger", "trail"):
            bucket = names.bucket(purpose)
            lost = ("NoSuchBucket", "404", "ObjectLockConfigurationNotFoundError")
            with _or_failed(f"there is no locked bucket {bucket}", self._bring_up(), *lost):
                s3.get_object_lock_configuration(Bucket=bucket, ExpectedBucketOwner=names.account)
        return "trail records, ledger and trail are locked"

    def _artifacts(self) -> str:
        bucket = self.target.names.bucket("artifacts")
        with _or_failed(f"there is no bucket {bucket}", self._bring_up(), "404", "NoSuchBucket"):
            self.target.client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner=self.target.names.account)
        return bucket

    def _boundaries(self) -> str:
        iam = self.target.client("iam")
        arns = (self.target.names.boundary, self.target.names.deploy_boundary)
        for arn in arns:
            with _or_failed(f"there is no boundary {arn}", self._bring_up(), "NoSuchEntity"):
                iam.get_policy(PolicyArn=arn)
        return ", ".join(arn.rpartition("/")[2] for arn in arns)

    def _roles(self) -> str:
        iam, names = self.target.client("iam"), self.target.names
        roles = [
            names.deploy_role,
            names.preview_role,
            *(names.approver_role(who) for who in self.setting("approvers")),
        ]
        for role in roles:
            with _or_failed(f"there is no role {role}", self._bring_up(), "NoSuchEntity"):
                iam.get_role(RoleName=role)
        return ", ".join(roles)

    # What the stack will need

    def _secrets(self) -> str:
        secrets, found = self.target.client("secretsmanager"), []
        for user in ("migrator", "api"):
            name = self.target.names.name(f"database-{user}")
            try:
                secret = secrets.describe_secret(SecretId=name)
            except secrets.exceptions.ResourceNotFoundException:
                continue
            if secret.get("DeletedDate"):
                raise _Failed(
                    f"{name} waits for its deletion and holds its name",
                    f"restore it (aws secretsmanager restore-secret --secret-id {name}), or delete it for good",
                )
            found.append(name)
        return f"{' and '.join(found)} exist" if found else "the first update makes them"

    def _concurrency(self) -> str:
        functions, names = self.target.client("lambda"), self.target.names
        limit = functions.get_account_settings()["AccountLimit"]
        own = 0
        for thing in ("api", *SINGLE):
            try:
                answer = functions.get_function_concurrency(FunctionName=names.name(thing))
            except functions.exceptions.ResourceNotFoundException:
                continue
            own += int(answer.get("ReservedConcurrentExecutions") or 0)
        needed = int(self.setting("functionConcurrency")) + len(SINGLE)
        left = int(limit["UnreservedConcurrentExecutions"]) + own - UNRESERVED
        if needed > left:
            raise _Failed(
                f"{needed} concurrent executions are to be reserved, {max(left, 0)} of {limit['ConcurrentExecutions']} "
                "are free for that",
                "have the quota raised (Lambda, concurrent executions), or lower functionConcurrency",
            )
        return f"{needed} of {left} free ones"

    def _networks(self) -> str:
        from botocore.exceptions import BotoCoreError, ClientError

        ec2, names = self.target.client("ec2"), self.target.names
        networks = ec2.describe_vpcs()["Vpcs"]
        tags = [{tag["Key"]: tag["Value"] for tag in each.get("Tags") or ()} for each in networks]
        if any(each.get("Name") == names.name("network") for each in tags):
            return "the stack has its network"
        service, code = VPC_QUOTA
        try:
            quota = self.target.client("service-quotas").get_service_quota(ServiceCode=service, QuotaCode=code)
            limit = int(quota["Quota"]["Value"])
        except (BotoCoreError, ClientError, KeyError) as error:
            raise _Unknown(
                f"{len(networks)} networks exist, and the quota cannot be read ({error})",
                "look at it in Service Quotas (VPCs per Region, 5 unless raised)",
            ) from error
        if len(networks) >= limit:
            raise _Failed(
                f"{len(networks)} networks exist, and {limit} are allowed",
                "have the quota raised (VPCs per Region), or delete one",
            )
        return f"{len(networks)} of {limit}"

    def _databases(self) -> str:
        rds, names = self.target.client("rds"), self.target.names
        try:
            rds.describe_db_instances(DBInstanceIdentifier=names.name("database"))
        except rds.exceptions.DBInstanceNotFoundFault:
            pass
        else:
            return "the stack has its database"
        quotas = {each["AccountQuotaName"]: each for each in rds.describe_account_attributes()["AccountQuotas"]}
        quota = quotas.get("DBInstances")
        if quota is None:
            raise _Unknown("RDS tells no quota of instances", "look at it in Service Quotas (RDS, DB instances)")
        if quota["Used"] >= quota["Max"]:
            raise _Failed(
                f"{quota['Used']} instances exist, and {quota['Max']} are allowed",
                "have the quota raised (RDS, DB instances), or delete one",
            )
        return f"{quota['Used']} of {quota['Max']} instances"

    def _instance_class(self) -> str:
        wanted = str(self.setting("databaseInstanceClass"))
        pages = self.target.client("rds").get_paginator("describe_orderable_db_instance_options")
        offered = [
            {zone["Name"] for zone in option["AvailabilityZones"]}
            for page in pages.paginate(Engine="postgres", DBInstanceClass=wanted)
            for option in page["OrderableDBInstanceOptions"]
        ]
        zones = set(self.setting("zones"))
        if not any(zones <= each for each in offered):
            where = "in no zone" if not offered else f"not in all of {', '.join(sorted(zones))}"
            raise _Failed(
                f"{wanted} is offered for Postgres {where}", "choose another databaseInstanceClass, or other zones"
            )
        return f"{wanted} in {', '.join(sorted(zones))}"

    def _endpoints(self) -> str:
        region = self.target.names.region
        services = ["secretsmanager", *(("ssm", "ssmmessages") if self.setting("databaseTunnel") else ())]
        wanted = [f"com.amazonaws.{region}.{service}" for service in services]
        answer = self.target.client("ec2").describe_vpc_endpoint_services(ServiceNames=wanted)
        zones, found = set(self.setting("zones")), {each["ServiceName"]: each for each in answer["ServiceDetails"]}
        for service in wanted:
            there = set((found.get(service) or {}).get("AvailabilityZones") or ())
            if not zones <= there:
                raise _Failed(
                    f"{service} has no endpoint in {', '.join(sorted(zones - there))}", "choose zones that have one"
                )
        return ", ".join(services)

    def _names(self) -> str:
        """Names have room, and those that the whole world shares are free or ours."""
        names = self.target.names
        for kind, thing, limit in NAMES:
            if len(name := names.name(thing)) > limit:
                raise _Failed(
                    f"{name} has {len(name)} characters, a {kind} at most {limit}", "give the stack a shorter name"
                )
        spare = min(limit - len(names.name(thing)) for _, thing, limit in NAMES)
        return f"all within limits, {spare} characters to spare"

    # What answers over HTTP

    def _api(self) -> str:
        url = self._api_url()
        if url is None:
            return "the first update makes it"
        try:
            answer = _fetch(f"{url}/health", "POST")
        except (OSError, ValueError) as error:
            raise _Failed(f"{url}/health does not answer ({error})", "look at the stack's dashboard") from error
        return f"{url}/health: {answer.get('status')}"

    def _api_url(self) -> str | None:
        if name := self.setting("domainName"):
            return f"https://{name}"
        gateway, names = self.target.client("apigatewayv2"), self.target.names
        pages = gateway.get_paginator("get_apis").paginate()
        found = [api["ApiEndpoint"] for page in pages for api in page["Items"] if api["Name"] == names.name("api")]
        return str(found[0]) if found else None

    def _certificate(self) -> str:
        arn, domain = str(self.setting("domainCertificate")), str(self.setting("domainName"))
        acm = self.target.client("acm")
        with _or_failed(f"there is no certificate {arn}", "request one in ACM", "ResourceNotFoundException"):
            found = acm.describe_certificate(CertificateArn=arn)["Certificate"]
        if found["Status"] != "ISSUED":
            raise _Failed(f"{arn} is {found['Status']}", "validate it (its DNS record), and wait until it is issued")
        covered = {found["DomainName"], *found.get("SubjectAlternativeNames", ())}
        if not covered & {domain, f"*.{domain.partition('.')[2]}"}:
            raise _Failed(f"{arn} is for {', '.join(sorted(covered))}", f"request one for {domain}")
        return f"{domain}: issued"

    def _issuer(self) -> str:
        issuer = str(self.setting("jwtIssuer"))
        configuration = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            keys = _fetch(str(_fetch(configuration)["jwks_uri"]))["keys"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            # A rehearsal plays no issuer, and its machine need not reach the real one.
            kind = _Failed if self.target.aws else _Unknown
            raise kind(f"{configuration} tells no keys ({error})", "set jwtIssuer to the issuer's own URL") from error
        if not keys:
            raise _Failed(f"{issuer} has no keys", "have the issuer publish them: without any, no token is accepted")
        return f"{issuer}: {len(keys)} keys"


class _or_failed:  # noqa: N801 -- used like a function
    """Turn those errors of AWS that say that something is not there into a failed check."""

    def __init__(self, found: str, remedy: str, *codes: str) -> None:
        self._found, self._remedy, self._codes = found, remedy, codes

    def __enter__(self) -> None:
        """Nothing is needed."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        response: Mapping[str, Any] = getattr(error, "response", None) or {}
        if error is not None and (response.get("Error") or {}).get("Code") in self._codes:
            raise _Failed(self._found, self._remedy) from error


def _fetch(url: str, method: str = "GET") -> dict[str, Any]:
    """Return the JSON object at a URL of http or https.

    Raises:
        OSError: it does not answer.
        ValueError: it answers something else.
    """
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{url!r} is no URL of http")
    request = urllib.request.Request(url, method=method)  # noqa: S310 checked above
    opener = urllib.request.build_opener(
        *([urllib.request.ProxyHandler({})] if url.startswith("http://127.0.0.1") else ())
    )
    with opener.open(request, timeout=SECONDS) as response:
        answer = json.load(response)
    if not isinstance(answer, dict):
        raise ValueError("the answer is no JSON object")  # noqa: TRY004 -- the caller tells one kind of error
    return answer
