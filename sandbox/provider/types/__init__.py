"""The table: every emulated type, a file per module of pulumi-aws.

To add a type, write an entry in its module's file (and a file for a new module in `_FILES`). What is not said there is
found out: a property
goes to the member of the same name, nested ones too. A test walks the table and names every property that goes
nowhere, and every
operation and member that botocore does not have; an example in `tests/sandbox/provider/examples.py` makes the round
trip.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sandbox.provider.table import Call, Read, Tagging

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.table import Resource

_FILES = (
    "ec2",
    "rds",
    "kms",
    "secretsmanager",
    "cloudwatch",
    "iam",
    "lambda_",
    "apigatewayv2",
    "s3",
    "ssm",
    "cloudtrail",
    "sns",
    "sqs",
    "scheduler",
    "events",
    "backup",
    "budgets",
    "ebs",
    "signer",
    "cloudfront",
    "codedeploy",
)

TAGGING: Mapping[str, Tagging] = {
    "rds": Tagging(
        Call("add_tags_to_resource", {"ResourceName": "{arn}"}),
        Call("remove_tags_from_resource", {"ResourceName": "{arn}"}),
        Read("list_tags_for_resource", {"ResourceName": "{arn}"}, "TagList"),
    ),
    "kms": Tagging(
        Call("tag_resource", {"KeyId": "{keyId}"}),
        Call("untag_resource", {"KeyId": "{keyId}"}),
        Read("list_resource_tags", {"KeyId": "{keyId}"}, "Tags"),
    ),
    "secretsmanager": Tagging(
        Call("tag_resource", {"SecretId": "{arn}"}), Call("untag_resource", {"SecretId": "{arn}"})
    ),
    "logs": Tagging(
        Call("tag_resource", {"resourceArn": "{arn}"}),
        Call("untag_resource", {"resourceArn": "{arn}"}),
        Read("list_tags_for_resource", {"resourceArn": "{arn}"}, "tags"),
    ),
    "lambda": Tagging(
        Call("tag_resource", {"Resource": "{arn}"}),
        Call("untag_resource", {"Resource": "{arn}"}),
        Read("list_tags", {"Resource": "{arn}"}, "Tags"),
    ),
    "apigatewayv2": Tagging(
        Call("tag_resource", {"ResourceArn": "{arn}"}),
        Call("untag_resource", {"ResourceArn": "{arn}"}),
        Read("get_tags", {"ResourceArn": "{arn}"}, "Tags"),
    ),
    "signer": Tagging(
        Call("tag_resource", {"resourceArn": "{arn}"}),
        Call("untag_resource", {"resourceArn": "{arn}"}),
    ),
    "ssm": Tagging(
        Call("add_tags_to_resource", {"ResourceType": "Parameter", "ResourceId": "{name}"}),
        Call("remove_tags_from_resource", {"ResourceType": "Parameter", "ResourceId": "{name}"}),
        Read("list_tags_for_resource", {"ResourceType": "Parameter", "ResourceId": "{name}"}, "TagList"),
    ),
}


def all_entries() -> tuple[Resource, ...]:
    """Every entry of every file."""
    modules = (importlib.import_module(f"{__name__}.{name}") for name in _FILES)
    return tuple(entry for module in modules for entry in module.ENTRIES)
