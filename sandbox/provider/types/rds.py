"""RDS."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandbox.provider.resource import ResourceError
from sandbox.provider.table import Call, Do, Read, Resource, Tagging, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.resource import Context

PARAMETERS_A_CALL = 20
LOWERED = str.lower

NAMES = {
    "backupWindow": "PreferredBackupWindow",
    "caCertIdentifier": "CACertificateIdentifier",
    "dbSubnetGroupName": "DBSubnetGroupName",
    "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
    "iamDatabaseAuthenticationEnabled": "EnableIAMDatabaseAuthentication",
    "identifier": "DBInstanceIdentifier",
    "instanceClass": "DBInstanceClass",
    "maintenanceWindow": "PreferredMaintenanceWindow",
    "parameterGroupName": "DBParameterGroupName",
    "password": "MasterUserPassword",
    "performanceInsightsEnabled": "EnablePerformanceInsights",
    "username": "MasterUsername",
}
MODIFIED = (
    "allocatedStorage",
    "allowMajorVersionUpgrade",
    "autoMinorVersionUpgrade",
    "backupRetentionPeriod",
    "backupWindow",
    "caCertIdentifier",
    "copyTagsToSnapshot",
    "databaseInsightsMode",
    "dbSubnetGroupName",
    "dedicatedLogVolume",
    "deletionProtection",
    "engineVersion",
    "iamDatabaseAuthenticationEnabled",
    "instanceClass",
    "iops",
    "licenseModel",
    "maintenanceWindow",
    "manageMasterUserPassword",
    "masterUserSecretKmsKeyId",
    "maxAllocatedStorage",
    "monitoringInterval",
    "monitoringRoleArn",
    "multiAz",
    "networkType",
    "optionGroupName",
    "parameterGroupName",
    "password",
    "performanceInsightsEnabled",
    "performanceInsightsKmsKeyId",
    "performanceInsightsRetentionPeriod",
    "port",
    "publiclyAccessible",
    "storageThroughput",
    "storageType",
    "vpcSecurityGroupIds",
)
MODIFY = Call("modify_db_instance", {"DBInstanceIdentifier": "{identifier}"}, MODIFIED, names={"port": "DBPortNumber"})
FAILED = (
    "failed",
    "inaccessible-encryption-credentials",
    "incompatible-network",
    "incompatible-option-group",
    "incompatible-parameters",
    "incompatible-restore",
    "insufficient-capacity",
    "restore-error",
    "storage-full",
)


def _modify(context: Context) -> None:
    """One call for all that changed; the exports of logs are said as what comes and what goes."""
    changed = [
        name for name in (*MODIFIED, "enabledCloudwatchLogsExports", "passwordWoVersion") if context.changed(name)
    ]
    params = context.parameters(MODIFY, only=changed)
    if "enabledCloudwatchLogsExports" in changed:
        old, new = (set(values.get("enabledCloudwatchLogsExports") or ()) for values in (context.state, context.inputs))
        exports = {"EnableLogTypes": sorted(new - old), "DisableLogTypes": sorted(old - new)}
        params["CloudwatchLogsExportConfiguration"] = {member: kinds for member, kinds in exports.items() if kinds}
    if "passwordWoVersion" in changed and context.inputs.get("passwordWo"):
        params["MasterUserPassword"] = context.inputs["passwordWo"]
    if "engineVersion" in changed:
        params.setdefault("AllowMajorVersionUpgrade", bool(context.inputs.get("allowMajorVersionUpgrade")))
    context.call("modify_db_instance", **params, ApplyImmediately=bool(context.inputs.get("applyImmediately")))


def _create(context: Context) -> Any:
    params = context.parameters(CREATE, tagged=True)
    if context.inputs.get("passwordWo"):
        params["MasterUserPassword"] = context.inputs["passwordWo"]
    return context.call("create_db_instance", **params)


CREATE = Call(
    "create_db_instance",
    {},
    (
        *(name for name in MODIFIED if name != "allowMajorVersionUpgrade"),
        "availabilityZone",
        "characterSetName",
        "dbName",
        "enabledCloudwatchLogsExports",
        "engine",
        "engineLifecycleSupport",
        "identifier",
        "kmsKeyId",
        "ncharCharacterSetName",
        "storageEncrypted",
        "timezone",
        "username",
    ),
)


def _delete(context: Context) -> None:
    """Delete with a last snapshot, unless the program wants none.

    Raises:
        ResourceError: it wants one and does not say what it is called.
    """
    said = {**context.state, **context.inputs}
    params: dict[str, Any] = {"SkipFinalSnapshot": bool(said.get("skipFinalSnapshot"))}
    if not params["SkipFinalSnapshot"]:
        if not said.get("finalSnapshotIdentifier"):
            raise ResourceError(
                f"{context.entry.token} {said.get('identifier')!r}: "
                "finalSnapshotIdentifier is required when skipFinalSnapshot is false; "
                "set one of the two and update before you destroy"
            )
        params["FinalDBSnapshotIdentifier"] = said["finalSnapshotIdentifier"]
    params["DeleteAutomatedBackups"] = bool(said.get("deleteAutomatedBackups", True))
    context.call("delete_db_instance", DBInstanceIdentifier=said["identifier"], **params)


def _refine(context: Context, outputs: dict[str, Any]) -> None:
    found = context.found
    outputs["engineVersionActual"] = found.get("EngineVersion")
    given = context.inputs.get("engineVersion")
    if given and str(found.get("EngineVersion", "")).startswith(f"{given}."):
        outputs["engineVersion"] = given  # "18" is whatever 18 runs
    if outputs.get("address"):
        outputs["endpoint"] = f"{outputs['address']}:{outputs['port']}"
    secret = found.get("MasterUserSecret")
    outputs["masterUserSecrets"] = (
        [
            {
                "kmsKeyId": secret.get("KmsKeyId", ""),
                "secretArn": secret["SecretArn"],
                "secretStatus": secret.get("SecretStatus", ""),
            }
        ]
        if secret
        else []
    )
    if secret:
        outputs["manageMasterUserPassword"] = True
    context.id = outputs["resourceId"]


def _verify(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    faults: list[tuple[str, str]] = []
    passwords = [name for name in ("password", "passwordWo", "manageMasterUserPassword") if inputs.get(name)]
    if len(passwords) > 1:
        faults.append((passwords[0], f"give one of {', '.join(passwords)}, not more"))
    needed = [name for name in ("engine", "allocatedStorage", "username") if name not in inputs]
    faults += [
        (name, "missing; a new instance needs it (a restored one or a replica is not emulated)") for name in needed
    ]
    snapshot = inputs.get("finalSnapshotIdentifier")
    if isinstance(snapshot, str) and not re.fullmatch(r"[A-Za-z](?!.*--)[0-9A-Za-z-]*(?<!-)", snapshot):
        faults.append(
            (
                "finalSnapshotIdentifier",
                f"{snapshot!r} must be letters, digits and single hyphens, and begin with a letter",
            )
        )
    return faults


# Parameter groups


def _put_parameters(context: Context) -> None:
    """Set what the program gives, and reset what it no longer does."""
    old = {one["name"]: one for one in context.state.get("parameters") or []}
    new = {one["name"]: one for one in context.inputs.get("parameters") or []}
    removed = [one for name, one in old.items() if name not in new]
    changed = [
        one
        for name, one in new.items()
        if name not in old or any(old[name].get(key) != one.get(key) for key in ("value", "applyMethod"))
    ]
    for operation, items in (("reset_db_parameter_group", removed), ("modify_db_parameter_group", changed)):
        for start in range(0, len(items), PARAMETERS_A_CALL):
            parameters = [
                {
                    "ParameterName": one["name"],
                    "ParameterValue": one["value"],
                    "ApplyMethod": one.get("applyMethod", "immediate"),
                }
                for one in items[start : start + PARAMETERS_A_CALL]
            ]
            context.call(operation, DBParameterGroupName=context.id, Parameters=parameters)


ENTRIES = (
    Resource(
        "aws:rds/subnetGroup:SubnetGroup",
        "rds",
        create=Call("create_db_subnet_group"),
        id="{name}",
        reads=(
            Read(
                "describe_db_subnet_groups",
                {"DBSubnetGroupName": "{id}"},
                "DBSubnetGroups[0]",
                outputs={"arn": "DBSubnetGroupArn", "subnetIds": "Subnets[].SubnetIdentifier"},
            ),
        ),
        update=(
            Call("modify_db_subnet_group", {"DBSubnetGroupName": "{id}"}, ("description", "subnetIds"), whole=True),
        ),
        delete=Call("delete_db_subnet_group", {"DBSubnetGroupName": "{id}"}, ()),
        names={"name": "DBSubnetGroupName", "description": "DBSubnetGroupDescription"},
        name="name",
        named=LOWERED,
        replaces=("name",),
        sets=("subnetIds", "supportedNetworkTypes"),
        defaults={"description": "Managed by Pulumi"},
        unsupported=("namePrefix",),
        gone=("DBSubnetGroupNotFoundFault", "DBSubnetGroupNotFound"),
    ),
    Resource(
        "aws:rds/parameterGroup:ParameterGroup",
        "rds",
        create=Call("create_db_parameter_group", {}, ("name", "family", "description")),
        id="{name}",
        reads=(
            Read("describe_db_parameter_groups", {"DBParameterGroupName": "{id}"}, "DBParameterGroups[0]"),
            Read(
                "describe_db_parameters",
                {"DBParameterGroupName": "{id}", "Source": "user"},
                outputs={"parameters": "Parameters[?ParameterValue]"},
                only=(),
            ),
        ),
        settings=(Do(_put_parameters, ("parameters",)),),
        delete=Call("delete_db_parameter_group", {"DBParameterGroupName": "{id}"}, ()),
        names={
            "name": "DBParameterGroupName",
            "family": "DBParameterGroupFamily",
            "arn": "DBParameterGroupArn",
            "parameters.name": "ParameterName",
            "parameters.value": "ParameterValue",
        },
        name="name",
        named=LOWERED,
        replaces=("name", "family", "description"),
        sets=("parameters",),
        defaults={"description": "Managed by Pulumi", "skipDestroy": False, "parameters.applyMethod": "immediate"},
        allowed={"parameters.applyMethod": ("immediate", "pending-reboot")},
        local=("skipDestroy",),
        unsupported=("namePrefix",),
        gone=("DBParameterGroupNotFound", "DBParameterGroupNotFoundFault"),
    ),
    Resource(
        "aws:rds/instance:Instance",
        "rds",
        create=Do(_create, (*(CREATE.carries or ()), "passwordWo", "passwordWoVersion"), CREATE),
        id="DBInstance.DbiResourceId",
        imports="{identifier}",
        reads=(
            Read(
                "describe_db_instances",
                {"DBInstanceIdentifier": "{identifier}"},
                "DBInstances[0]",
                outputs={
                    "address": "Endpoint.Address",
                    "arn": "DBInstanceArn",
                    "dbSubnetGroupName": "DBSubnetGroup.DBSubnetGroupName",
                    "enabledCloudwatchLogsExports": "EnabledCloudwatchLogsExports",
                    "hostedZoneId": "Endpoint.HostedZoneId",
                    "iamDatabaseAuthenticationEnabled": "IAMDatabaseAuthenticationEnabled",
                    "masterUserSecretKmsKeyId": "MasterUserSecret.KmsKeyId",
                    "optionGroupName": "OptionGroupMemberships[0].OptionGroupName",
                    "parameterGroupName": "DBParameterGroups[0].DBParameterGroupName",
                    "performanceInsightsEnabled": "PerformanceInsightsEnabled",
                    "port": "Endpoint.Port",
                    "replicas": "ReadReplicaDBInstanceIdentifiers",
                    "resourceId": "DbiResourceId",
                    "status": "DBInstanceStatus",
                    "vpcSecurityGroupIds": "VpcSecurityGroups[].VpcSecurityGroupId",
                },
            ),
        ),
        update=(Do(_modify, (*MODIFIED, "enabledCloudwatchLogsExports", "passwordWoVersion"), MODIFY),),
        delete=Do(_delete),
        names=NAMES,
        name="identifier",
        named=LOWERED,
        replaces=(
            "availabilityZone",
            "characterSetName",
            "dbName",
            "engine",
            "engineLifecycleSupport",
            "identifier",
            "kmsKeyId",
            "ncharCharacterSetName",
            "storageEncrypted",
            "timezone",
            "username",
        ),
        sets=("enabledCloudwatchLogsExports", "vpcSecurityGroupIds"),
        arns=("kmsKeyId", "masterUserSecretKmsKeyId", "performanceInsightsKmsKeyId"),
        defaults={
            "applyImmediately": False,
            "autoMinorVersionUpgrade": True,
            "copyTagsToSnapshot": False,
            "deleteAutomatedBackups": True,
            "monitoringInterval": 0,
            "performanceInsightsEnabled": False,
            "publiclyAccessible": False,
            "skipFinalSnapshot": False,
        },
        allowed={"monitoringInterval": (0, 1, 5, 10, 15, 30, 60)},
        ranges={"port": (1150, 65535), "backupRetentionPeriod": (0, 35), "allocatedStorage": (5, 65536)},
        local=(
            "allowMajorVersionUpgrade",
            "applyImmediately",
            "deleteAutomatedBackups",
            "finalSnapshotIdentifier",
            "skipFinalSnapshot",
        ),
        write_only=("password", "passwordWo", "passwordWoVersion", "manageMasterUserPassword"),
        unsupported=(
            "backupTarget",
            "blueGreenUpdate",
            "customIamInstanceProfile",
            "customerOwnedIpEnabled",
            "domain",
            "domainAuthSecretArn",
            "domainDnsIps",
            "domainFqdn",
            "domainIamRoleName",
            "domainOu",
            "identifierPrefix",
            "replicaMode",
            "replicateSourceDb",
            "restoreToPointInTime",
            "s3Import",
            "snapshotIdentifier",
            "upgradeStorageConfig",
            "warningEventCategories",
        ),
        refine=_refine,
        verify=_verify,
        gone=("DBInstanceNotFound", "DBInstanceNotFoundFault"),
        ready=Wait("DBInstanceStatus", ("available", "storage-optimization"), FAILED, seconds=2400),
        awaited_gone=True,
    ),
    Resource(
        "aws:rds/proxy:Proxy",
        "rds",
        create=Call("create_db_proxy"),
        id="{name}",
        reads=(Read("describe_db_proxies", {"DBProxyName": "{id}"}, "DBProxies[0]", outputs={"arn": "DBProxyArn"}),),
        update=(
            Call(
                "modify_db_proxy",
                {"DBProxyName": "{id}"},
                (
                    "auths",
                    "debugLogging",
                    "defaultAuthScheme",
                    "idleClientTimeout",
                    "requireTls",
                    "roleArn",
                    "vpcSecurityGroupIds",
                ),
                names={"vpcSecurityGroupIds": "SecurityGroups"},
            ),
        ),
        delete=Call("delete_db_proxy", {"DBProxyName": "{id}"}, ()),
        names={"name": "DBProxyName", "auths.username": "UserName"},
        name="name",
        named=LOWERED,
        replaces=("name", "engineFamily", "endpointNetworkType", "targetConnectionNetworkType", "vpcSubnetIds"),
        sets=("auths", "vpcSecurityGroupIds", "vpcSubnetIds"),
        gone=("DBProxyNotFoundFault",),
        ready=Wait("Status", ("available",), ("incompatible-network", "insufficient-resource-limits", "suspended")),
        awaited_gone=True,
    ),
    Resource(
        "aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup",
        "rds",
        create=(
            put_group := Call(
                "modify_db_proxy_target_group",
                {"TargetGroupName": "default"},
                ("dbProxyName", "connectionPoolConfig"),
                whole=True,
            )
        ),
        id="{dbProxyName}",
        imports="{dbProxyName}",
        reads=(
            Read(
                "describe_db_proxy_target_groups",
                {"DBProxyName": "{dbProxyName}", "TargetGroupName": "default"},
                "TargetGroups[0]",
                outputs={"arn": "TargetGroupArn", "name": "TargetGroupName"},
            ),
        ),
        update=(put_group,),
        delete=None,
        replaces=("dbProxyName",),
        defaults={
            "connectionPoolConfig.connectionBorrowTimeout": 120,
            "connectionPoolConfig.maxConnectionsPercent": 100,
            "connectionPoolConfig.maxIdleConnectionsPercent": 50,
        },
        sets=("connectionPoolConfig.sessionPinningFilters",),
        gone=("DBProxyNotFoundFault", "DBProxyTargetGroupNotFoundFault"),
    ),
    Resource(
        "aws:rds/proxyTarget:ProxyTarget",
        "rds",
        create=Call(
            "register_db_proxy_targets",
            {},
            ("dbProxyName", "targetGroupName", "dbInstanceIdentifier"),
            names={"dbInstanceIdentifier": "DBInstanceIdentifiers"},
        ),
        id="{dbProxyName}/{targetGroupName}/RDS_INSTANCE/{dbInstanceIdentifier}",
        imports="{dbProxyName}/{targetGroupName}/RDS_INSTANCE/{dbInstanceIdentifier}",
        reads=(
            Read(
                "describe_db_proxy_targets",
                {"DBProxyName": "{dbProxyName}", "TargetGroupName": "{targetGroupName}"},
                "Targets[?RdsResourceId=='{dbInstanceIdentifier}'] | [0]",
            ),
        ),
        delete=Call(
            "deregister_db_proxy_targets",
            {
                "DBProxyName": "{dbProxyName}",
                "TargetGroupName": "{targetGroupName}",
                "DBInstanceIdentifiers": ["{dbInstanceIdentifier}"],
            },
            (),
        ),
        replaces=("dbProxyName", "targetGroupName", "dbInstanceIdentifier"),
        unsupported=("dbClusterIdentifier",),
        gone=("DBProxyNotFoundFault", "DBProxyTargetGroupNotFoundFault", "DBProxyTargetNotFoundFault"),
    ),
    Resource(
        "aws:rds/snapshot:Snapshot",
        "rds",
        create=Call("create_db_snapshot", {}, ("dbInstanceIdentifier", "dbSnapshotIdentifier")),
        id="{dbSnapshotIdentifier}",
        reads=(Read("describe_db_snapshots", {"DBSnapshotIdentifier": "{id}"}, "DBSnapshots[0]"),),
        delete=Call("delete_db_snapshot", {"DBSnapshotIdentifier": "{id}"}, ()),
        replaces=("dbInstanceIdentifier", "dbSnapshotIdentifier"),
        unsupported=("sharedAccounts",),
        gone=("DBSnapshotNotFound", "DBSnapshotNotFoundFault"),
        ready=Wait("Status", ("available",), ("failed",), seconds=1200),
        awaited_gone=True,
        tagging=Tagging(
            Call("add_tags_to_resource", {"ResourceName": "{dbSnapshotArn}"}),
            Call("remove_tags_from_resource", {"ResourceName": "{dbSnapshotArn}"}),
            Read("list_tags_for_resource", {"ResourceName": "{dbSnapshotArn}"}, "TagList"),
        ),
    ),
)
