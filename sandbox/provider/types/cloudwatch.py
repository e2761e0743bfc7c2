"""CloudWatch and its Logs."""

from __future__ import annotations

from sandbox.provider.table import Call, Read, Resource

RETENTIONS = (
    0,
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)

ENTRIES = (
    Resource(
        "aws:cloudwatch/logGroup:LogGroup",
        "logs",
        create=Call("create_log_group"),
        id="{name}",
        reads=(
            Read(
                "describe_log_groups",
                {"logGroupNamePrefix": "{id}"},
                "logGroups[?logGroupName=='{id}'] | [0]",
                outputs={"retentionInDays": "retentionInDays || `0`"},
            ),
        ),
        settings=(
            Call(
                "put_retention_policy",
                {"logGroupName": "{id}"},
                ("retentionInDays",),
                clear=Call("delete_retention_policy", {"logGroupName": "{id}"}, ()),
            ),
        ),
        update=(
            Call(
                "associate_kms_key",
                {"logGroupName": "{id}"},
                ("kmsKeyId",),
                clear=Call("disassociate_kms_key", {"logGroupName": "{id}"}, ()),
            ),
            Call("put_log_group_deletion_protection", {"logGroupIdentifier": "{id}"}, ("deletionProtectionEnabled",)),
        ),
        delete=Call("delete_log_group", {"logGroupName": "{id}"}, ()),
        names={"name": "logGroupName"},
        name="name",
        replaces=("name", "logGroupClass"),
        defaults={"retentionInDays": 0, "skipDestroy": False},
        initial={"retentionInDays": 0},
        allowed={"retentionInDays": RETENTIONS},
        local=("skipDestroy",),
        unsupported=("namePrefix",),
        outputs={"arn": "arn:{partition}:logs:{region}:{account}:log-group:{id}"},
        gone=("ResourceNotFoundException",),
    ),
)
