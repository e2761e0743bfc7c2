"""The stack of one environment: network, database, migrations, API, release, and what watches over them."""

import hashlib

import pulumi

import settings
from app.routes import ROUTES
from components.alarms import Alarms, AlarmsArgs, Threshold, Watched
from components.api_function import ApiFunction, ApiFunctionArgs
from components.artifacts import Artifacts, ArtifactsArgs
from components.backup import Backup, BackupArgs
from components.budget import Budget, BudgetArgs
from components.dashboard import Dashboard, DashboardArgs
from components.database import Database, DatabaseArgs
from components.dead_letters import DeadLetters, DeadLettersArgs
from components.function import Placement, Runtime
from components.gate import Gate, GateArgs
from components.http_api import Domain, HttpApi, HttpApiArgs, Issuer, Throttle
from components.key import Key, operations_key
from components.migration_plan import MigrationPlan
from components.migrator import Migrator, MigratorArgs
from components.network import Network, NetworkArgs
from components.notifications import Notifications, NotificationsArgs
from components.objectives import Objectives, ObjectivesArgs
from components.probe import Probe, ProbeArgs
from components.release import Release, ReleaseArgs
from components.release_driver import Cloud, Ledger
from components.rotation import Rotation, RotationArgs
from components.status_page import StatusPage, StatusPageArgs
from components.tunnel import Tunnel, TunnelArgs
from migrations import rendering
from naming import Names

stack = settings.load()
names = Names(project=stack.project, stack=stack.stack, region=stack.region, account=stack.account)
plan = rendering.plan()
digest = hashlib.sha256(stack.code.read_bytes()).hexdigest()

# Who may change data and traffic, and the record of it.
cloud = Cloud(region=stack.region, profile=stack.profile)
ledger = Ledger(
    cloud=cloud,
    bucket=names.bucket("ledger"),
    stack=stack.stack,
    release={"codeSha256": digest, "planDigest": plan.digest},
)
gate = Gate(GateArgs(ledger=ledger, approvers=stack.approvers))

MigrationPlan("migrations", plan)

# What everything else writes to, and runs in.
operations = Key("operations", operations_key(names))
notifications = Notifications(
    "notifications",
    NotificationsArgs(
        names=names, key_arn=operations.arn, warning=stack.warning_recipients, critical=stack.critical_recipients
    ),
)
dead_letters = DeadLetters("dead-letters", DeadLettersArgs(names=names, key_arn=operations.arn))
network = Network(
    "network",
    NetworkArgs(
        names=names,
        cidr=stack.vpc_cidr,
        zones=stack.zones,
        sessions=stack.database_tunnel,
        log_retention_days=stack.log_retention_days,
        log_key_arn=operations.arn,
    ),
)
runtime = Runtime(
    names=names,
    artifacts=Artifacts(
        "artifacts",
        ArtifactsArgs(
            names=names,
            code=stack.code,
            layer=stack.layer,
            runtime=stack.function_runtime,
            architecture=stack.function_architecture,
            signing=stack.signing,
        ),
    ),
    log_retention_days=stack.log_retention_days,
    log_level=stack.log_level,
    log_key_arn=operations.arn,
)

# The data.
database = Database(
    "database",
    DatabaseArgs(
        names=names,
        vpc_id=network.vpc_id,
        subnet_ids=network.subnet_ids,
        instance_class=stack.database_instance_class,
        storage_gb=stack.database_storage_gb,
        max_connections=stack.database_max_connections,
        proxy_percent=int(settings.PROXY_SHARE * 100),
        backup_days=stack.database_backup_days,
        multi_az=stack.database_multi_az,
        deletion_protection=stack.database_deletion_protection,
        log_retention_days=stack.log_retention_days,
        log_key_arn=operations.arn,
        gate=gate.binding,
    ),
)
beside_database = Placement(
    subnet_ids=network.subnet_ids, security_group_ids=[network.clients_group_id, database.clients_group_id]
)
Backup(
    "backup",
    BackupArgs(
        names=names,
        key_arn=database.key_arn,
        key_id=database.key_id,
        days=stack.backup_days,
        locked_days=settings.LOCKED_DAYS if stack.backup_lock else 0,
    ),
)
migrator = Migrator(
    "migrator",
    MigratorArgs(
        runtime=runtime,
        placement=beside_database,
        database=database,
        database_ca=stack.database_ca,
        plan=plan,
        seeding=stack.seeding,
        attempt=stack.attempt,
        keep_snapshots=stack.protected,
        gate=gate,
        cloud=cloud,
    ),
)
Rotation(
    "rotation",
    RotationArgs(
        runtime=runtime,
        placement=beside_database,
        database=database,
        database_ca=stack.database_ca,
        dead_letters=dead_letters,
    ),
    after=migrator.users,
)

# The service.
api_function = ApiFunction(
    "api",
    ApiFunctionArgs(
        runtime=runtime,
        placement=Placement(
            subnet_ids=network.subnet_ids,
            security_group_ids=[network.clients_group_id, database.proxy_clients_group_id],
        ),
        database=database,
        database_ca=stack.database_ca,
        memory_mb=stack.function_memory_mb,
        timeout_seconds=stack.function_timeout_seconds,
        concurrency=stack.function_concurrency,
        provisioned=stack.function_provisioned,
    ),
    after=migrator.verified,
)
api = HttpApi(
    "api",
    HttpApiArgs(
        names=names,
        routes=ROUTES,
        function_name=api_function.name,
        alias=api_function.alias,
        timeout_seconds=stack.function_timeout_seconds,
        log_retention_days=stack.log_retention_days,
        log_key_arn=operations.arn,
        issuer=Issuer(url=stack.jwt_issuer, audience=stack.jwt_audience) if stack.jwt_issuer else None,
        cors_origins=stack.cors_origins,
        throttle=Throttle(rate=stack.throttle_rate, burst=stack.throttle_burst),
        domain=Domain(name=stack.domain_name, certificate_arn=stack.domain_certificate) if stack.domain_name else None,
        gate=gate.binding,
    ),
)
probe = Probe("probe", ProbeArgs(runtime=runtime, url=api.url, minutes=stack.probe_minutes, dead_letters=dead_letters))
release = Release(
    "release",
    ReleaseArgs(
        names=names,
        function=api_function,
        shift=stack.traffic_shift,
        canary_percent=stack.canary_percent,
        canary_minutes=stack.canary_minutes,
        attempt=stack.attempt,
        error_percent=5,
        latency_ms=stack.response_time_critical_ms,
        notifications=notifications,
        gate=gate,
        ledger=ledger,
        cloud=cloud,
        warm=max(2, stack.function_provisioned),
    ),
    after=[api.stage],
)

# Who watches.
watched = Watched(
    api_id=api.id,
    api_function=api_function.name,
    migrator=migrator.function_name,
    probe=probe.function_name,
    probe_minutes=stack.probe_minutes,
    database=database.identifier,
    max_connections=stack.database_max_connections,
    storage_gb=stack.database_storage_gb,
    proxy=database.proxy_name,
    dead_letters=dead_letters.name,
)
response_time_ms = Threshold(warning=stack.response_time_warning_ms, critical=stack.response_time_critical_ms)
alarms = Alarms(
    "alarms",
    AlarmsArgs(
        names=names,
        watched=watched,
        full=stack.monitoring == "full",
        response_time_ms=response_time_ms,
        notifications=notifications,
    ),
)
objectives = (
    [Objectives("objectives", ObjectivesArgs(names=names, watched=watched, notifications=notifications))]
    if stack.monitoring == "full"
    else []
)
dashboard = Dashboard(
    "dashboard",
    DashboardArgs(
        names=names,
        watched=watched,
        alarm_arns=[*alarms.arns, *(arn for each in objectives for arn in each.arns)],
        response_time_ms=response_time_ms,
        log_group=api_function.log_group,
    ),
)
page = StatusPage("status", StatusPageArgs(names=names))
Budget("budget", BudgetArgs(names=names, usd=stack.budget_usd, topic_arn=notifications.warning_arn))
if stack.database_tunnel:
    tunnel = Tunnel(
        "tunnel",
        TunnelArgs(
            names=names,
            subnet_id=network.subnet_ids[0],
            security_group_ids=[network.clients_group_id, database.clients_group_id],
            key_arn=database.key_arn,
        ),
    )
    pulumi.export("tunnelInstance", tunnel.instance_id)

pulumi.export("apiUrl", api.url)
pulumi.export("apiFunction", api_function.name)
pulumi.export("apiVersion", release.version)
pulumi.export("migratorFunction", migrator.function_name)
pulumi.export("dashboard", dashboard.name)
pulumi.export("statusUrl", page.url)
pulumi.export("statusBucket", page.bucket)
pulumi.export("planDigest", plan.digest)
pulumi.export("head", plan.head)
pulumi.export("codeSha256", digest)
