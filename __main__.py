"""The stack of one environment: network, database, migrations, API."""

import hashlib

import pulumi
from pulumi_aws import lambda_

import settings
from app.routes import ROUTES
from components.api_function import ApiFunction, ApiFunctionArgs
from components.database import Database, DatabaseArgs
from components.function import Artifacts
from components.http_api import HttpApi, HttpApiArgs
from components.migration_plan import MigrationPlan
from components.migrator import Migrator, MigratorArgs
from components.network import Network, NetworkArgs
from migrations import rendering
from naming import Names

stack = settings.load()
names = Names(project=stack.project, stack=stack.stack, region=stack.region, account=stack.account)
plan = rendering.plan()

MigrationPlan("migrations", plan)

network = Network("network", NetworkArgs(names=names, cidr=stack.vpc_cidr, zones=stack.zones))

database = Database(
    "database",
    DatabaseArgs(
        names=names,
        vpc_id=network.vpc_id,
        subnet_ids=network.subnet_ids,
        clients_group_id=network.clients_group_id,
        instance_class=stack.database_instance_class,
        storage_gb=stack.database_storage_gb,
        backup_days=stack.database_backup_days,
        multi_az=stack.database_multi_az,
        deletion_protection=stack.database_deletion_protection,
    ),
)

layer = lambda_.LayerVersion(
    "dependencies",
    layer_name=names.name("dependencies"),
    description="What the functions import, from requirements/layer.txt",
    code=pulumi.FileArchive(str(stack.layer)),
    compatible_runtimes=[stack.function_runtime],
    compatible_architectures=[stack.function_architecture],
)
artifacts = Artifacts(
    code=stack.code,
    layer_arn=layer.arn,
    runtime=stack.function_runtime,
    architecture=stack.function_architecture,
)

migrator = Migrator(
    "migrator",
    MigratorArgs(
        names=names,
        artifacts=artifacts,
        database=database,
        database_ca=stack.database_ca,
        plan=plan,
        subnet_ids=network.subnet_ids,
        security_group_id=network.clients_group_id,
        log_retention_days=stack.log_retention_days,
        log_level=stack.log_level,
        seeding=stack.seeding,
    ),
)

api_function = ApiFunction(
    "api",
    ApiFunctionArgs(
        names=names,
        artifacts=artifacts,
        database=database,
        database_ca=stack.database_ca,
        memory_mb=stack.function_memory_mb,
        timeout_seconds=stack.function_timeout_seconds,
        subnet_ids=network.subnet_ids,
        security_group_id=network.clients_group_id,
        log_retention_days=stack.log_retention_days,
        log_level=stack.log_level,
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
    ),
)

pulumi.export("apiUrl", api.url)
pulumi.export("apiFunction", api_function.name)
pulumi.export("apiVersion", api_function.version)
pulumi.export("migratorFunction", migrator.function_name)
pulumi.export("planDigest", plan.digest)
pulumi.export("head", plan.head)
pulumi.export("codeSha256", hashlib.sha256(stack.code.read_bytes()).hexdigest())
