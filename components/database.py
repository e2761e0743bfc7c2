"""The Postgres database, its proxy, its key, and the secrets of its users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import cloudwatch, ec2, rds, secretsmanager

from components.key import Key, KeyArgs
from components.network import admit
from components.role import Grant, Role, RoleArgs, use_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from naming import Names

MAJOR = "18"
PORT = 5432
NAME = "products"
MASTER = "product_admin"
# UTC. RDS would choose them at random, and AWS Backup begins nothing within an hour of either: see `backup`.
BACKUP_WINDOW = "00:00-00:30"
MAINTENANCE_WINDOW = "sun:04:30-sun:05:30"
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.Enabling.html
METRICS_LOG_GROUP = "RDSOSMetrics"


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """What the database is, and where.

    Attributes:
        names: The stack's names.
        vpc_id: Its network.
        subnet_ids: Isolated subnets, in two zones or more.
        instance_class: RDS instance class.
        storage_gb: Allocated storage, GiB.
        max_connections: Connections it accepts.
        proxy_percent: Share of them, in percent, that the proxy may open.
        backup_days: How far back a restore to a point in time reaches.
        multi_az: Whether a standby in another zone takes over.
        deletion_protection: Whether it refuses deletion, and leaves a final snapshot when it is deleted all the same.
        log_retention_days: Days its logs are kept.
        log_key_arn: The key that encrypts them.
        gate: What must be open before it is touched.
    """

    names: Names
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    instance_class: str
    storage_gb: int
    max_connections: int
    proxy_percent: int
    backup_days: int
    multi_az: bool
    deletion_protection: bool
    log_retention_days: int
    log_key_arn: pulumi.Input[str]
    gate: pulumi.ResourceHookBinding


class Database(pulumi.ComponentResource):
    """An encrypted Postgres behind a proxy, both TLS only; credentials are in Secrets Manager and nowhere else.

    Attributes:
        identifier: The instance.
        host: The instance's address, for what needs a session of its own.
        proxy_host: The proxy's address, for what serves requests.
        proxy_name: The proxy.
        key_arn: The key that encrypts storage and secrets.
        key_id: Its id.
        master_secret_arn: RDS's own secret of the master user.
        migrator_secret: The secret of the user that owns the schema.
        api_secret: The secret of the user that reads and writes rows.
        clients_group_id: Members may connect to the instance.
        proxy_clients_group_id: Members may connect to the proxy.
    """

    identifier: pulumi.Output[str]
    host: pulumi.Output[str]
    proxy_host: pulumi.Output[str]
    proxy_name: pulumi.Output[str]
    key_arn: pulumi.Output[str]
    key_id: pulumi.Output[str]
    master_secret_arn: pulumi.Output[str]
    migrator_secret: secretsmanager.Secret
    api_secret: secretsmanager.Secret
    clients_group_id: pulumi.Output[str]
    proxy_clients_group_id: pulumi.Output[str]

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Database", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        names = args.names

        key = Key(
            name,
            # A final snapshot outlives the database; under a deleted key nobody could restore it.
            KeyArgs(
                names=names,
                thing="database",
                description=f"Data of {names.name('database')}",
                outlives=args.deletion_protection,
            ),
            opts=child,
        )
        self.key_arn, self.key_id = key.arn, key.id
        group = self._group(name, "database", "The database", args)
        clients = self._group(f"{name}-clients", "database-clients", "What connects to the database itself", args)
        proxy_clients = self._group(f"{name}-proxy-clients", "proxy-clients", "What connects to the proxy", args)
        self.clients_group_id, self.proxy_clients_group_id = clients.id, proxy_clients.id
        admit(name, source=clients.id, target=group.id, port=PORT, what="Postgres", opts=child)

        instance = self._instance(name, args, key, group)
        self.identifier, self.host = instance.identifier, instance.address
        self.master_secret_arn = instance.master_user_secrets.apply(_secret_arn)
        # Without a value: the migrator fills it, so that no password is ever in Pulumi's state.
        self.migrator_secret, self.api_secret = (
            secretsmanager.Secret(
                f"{name}-{user}",
                name=names.name(f"database-{user}"),
                description=f"Database user of the {user}",
                kms_key_id=key.arn,
                recovery_window_in_days=30 if args.deletion_protection else 0,
                opts=child,
            )
            for user in ("migrator", "api")
        )
        self._proxy(name, args, instance, group, proxy_clients)
        self.register_outputs({"host": self.host, "proxyHost": self.proxy_host})

    def _group(self, name: str, thing: str, what: str, args: DatabaseArgs) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            name,
            name=args.names.name(thing),
            description=what,
            vpc_id=args.vpc_id,
            tags={"Name": args.names.name(thing)},
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _log(self, name: str, group: str, args: DatabaseArgs) -> cloudwatch.LogGroup:
        """Make a log's group before RDS makes it by itself, without an end and without a key."""
        return cloudwatch.LogGroup(
            name,
            name=group,
            retention_in_days=args.log_retention_days,
            kms_key_id=args.log_key_arn,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _instance(self, name: str, args: DatabaseArgs, key: Key, group: ec2.SecurityGroup) -> rds.Instance:
        child = pulumi.ResourceOptions(parent=self)
        names = args.names
        physical = names.name("database")
        subnets = rds.SubnetGroup(
            name, name=physical, description="Isolated subnets", subnet_ids=args.subnet_ids, opts=child
        )
        # RDS refuses "immediate" for a static parameter, and reports "pending-reboot" for a value that is its
        # default: with the provider's default every preview would show a change. The group is there before the
        # instance first starts, so it holds from the first connection.
        static = "pending-reboot"
        parameters = rds.ParameterGroup(
            name,
            name=f"{physical}-{MAJOR}",
            family=f"postgres{MAJOR}",
            description="TLS only, slow statements logged",
            parameters=[
                rds.ParameterGroupParameterArgs(name="rds.force_ssl", value="1", apply_method=static),
                # Set, and not left to the instance class: alarms are shares of it, and must know it.
                rds.ParameterGroupParameterArgs(
                    name="max_connections", value=str(args.max_connections), apply_method=static
                ),
                rds.ParameterGroupParameterArgs(name="log_min_duration_statement", value="1000"),
            ],
            opts=child,
        )
        log = self._log(name, f"/aws/rds/instance/{physical}/postgresql", args)
        monitoring = Role(
            f"{name}-monitoring",
            RoleArgs(
                names=names,
                thing="database-monitoring",
                service="monitoring.rds.amazonaws.com",
                purpose=f"Writes what the machine of {physical} does",
                grants=_monitoring_grants(names),
            ),
            opts=child,
        )
        return rds.Instance(
            name,
            identifier=physical,
            engine="postgres",
            engine_version=MAJOR,
            auto_minor_version_upgrade=True,
            instance_class=args.instance_class,
            allocated_storage=args.storage_gb,
            max_allocated_storage=args.storage_gb * 4,
            storage_type="gp3",
            storage_encrypted=True,
            kms_key_id=key.arn,
            ca_cert_identifier="rds-ca-rsa2048-g1",
            db_name=NAME,
            port=PORT,
            username=MASTER,
            manage_master_user_password=True,
            master_user_secret_kms_key_id=key.id,
            db_subnet_group_name=subnets.name,
            parameter_group_name=parameters.name,
            vpc_security_group_ids=[group.id],
            publicly_accessible=False,
            multi_az=args.multi_az,
            backup_retention_period=args.backup_days,
            backup_window=BACKUP_WINDOW,
            maintenance_window=MAINTENANCE_WINDOW,
            copy_tags_to_snapshot=True,
            deletion_protection=args.deletion_protection,
            skip_final_snapshot=not args.deletion_protection,
            final_snapshot_identifier=_final_snapshot(names, key) if args.deletion_protection else None,
            delete_automated_backups=not args.deletion_protection,
            enabled_cloudwatch_logs_exports=["postgresql"],
            performance_insights_enabled=True,
            performance_insights_kms_key_id=key.arn,
            performance_insights_retention_period=7,
            monitoring_interval=60,
            monitoring_role_arn=monitoring.arn,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.deletion_protection,
                depends_on=[log, monitoring.granted],
                hooks=args.gate,
            ),
        )

    def _proxy(
        self,
        name: str,
        args: DatabaseArgs,
        instance: rds.Instance,
        group: ec2.SecurityGroup,
        clients: ec2.SecurityGroup,
    ) -> None:
        """Put a pool of connections in front of the instance, so that functions that come and go do not exhaust it."""
        child = pulumi.ResourceOptions(parent=self)
        names = args.names
        proxy_group = self._group(f"{name}-proxy", "proxy", "The proxy of the database", args)
        admit(
            f"{name}-proxy-clients", source=clients.id, target=proxy_group.id, port=PORT, what="the proxy", opts=child
        )
        admit(f"{name}-proxy", source=proxy_group.id, target=group.id, port=PORT, what="Postgres", opts=child)
        role = Role(
            f"{name}-proxy",
            RoleArgs(
                names=names,
                thing="proxy",
                service="rds.amazonaws.com",
                purpose="Reads the secret of the user whose connections the proxy pools",
                grants=(
                    Grant(
                        sid="ReadApiSecret",
                        actions=("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"),
                        resources=(names.secret("database-api"),),
                    ),
                    use_key("database", names, service="secretsmanager", actions=("kms:Decrypt",)),
                ),
                # The guide to proxies shows no condition, and a proxy that cannot act as its role reads no secret.
                own_account=False,
            ),
            opts=child,
        )
        log = self._log(f"{name}-proxy", f"/aws/rds/proxy/{names.name('proxy')}", args)
        proxy = rds.Proxy(
            name,
            name=names.name("proxy"),
            engine_family="POSTGRESQL",
            role_arn=role.arn,
            require_tls=True,
            idle_client_timeout=1800,
            vpc_subnet_ids=args.subnet_ids,
            vpc_security_group_ids=[proxy_group.id],
            auths=[
                rds.ProxyAuthArgs(
                    auth_scheme="SECRETS",
                    iam_auth="DISABLED",
                    client_password_auth_type="POSTGRES_SCRAM_SHA_256",  # noqa: S106 -- a method
                    description="The API",
                    secret_arn=self.api_secret.arn,
                )
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role.granted, log]),
        )
        targets = rds.ProxyDefaultTargetGroup(
            name,
            db_proxy_name=proxy.name,
            connection_pool_config=rds.ProxyDefaultTargetGroupConnectionPoolConfigArgs(
                max_connections_percent=args.proxy_percent,
                max_idle_connections_percent=args.proxy_percent // 2,
                connection_borrow_timeout=5,
            ),
            opts=child,
        )
        target = rds.ProxyTarget(
            name,
            db_proxy_name=proxy.name,
            target_group_name=targets.name,
            db_instance_identifier=instance.identifier,
            opts=child,
        )
        # Whoever connects needs the pool to have its target.
        self.proxy_host = pulumi.Output.all(proxy.endpoint, target.id).apply(lambda both: str(both[0]))
        self.proxy_name = proxy.name


def _final_snapshot(names: Names, key: Key) -> pulumi.Output[str]:
    """Name the snapshot that deletion leaves, after its key: a fixed name would be taken when the stack goes again."""
    return key.id.apply(lambda key_id: f"{names.name('database')}-final-{key_id[:8]}")


def _secret_arn(secrets: Sequence[rds.outputs.InstanceMasterUserSecret]) -> str:
    """Take the ARN of the one secret that RDS manages."""
    arn = secrets[0].secret_arn
    if arn is None:
        raise ValueError("RDS manages no master secret for this instance: set manage_master_user_password")
    return arn


def _monitoring_grants(names: Names) -> tuple[Grant, ...]:
    """What AWS's own AmazonRDSEnhancedMonitoringRole allows, in this account and region only."""
    group = names.arn("logs", f"log-group:{METRICS_LOG_GROUP}")
    return (
        Grant(
            sid="MakeMetricsLog",
            actions=("logs:CreateLogGroup", "logs:PutRetentionPolicy"),
            resources=(group, f"{group}:*"),
        ),
        Grant(
            sid="WriteMetricsLog",
            actions=(
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:GetLogEvents",
                "logs:PutLogEvents",
            ),
            resources=(f"{group}:log-stream:*",),
        ),
    )
