"""Where invocations go that failed for good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import sqs

if TYPE_CHECKING:
    from naming import Names


@dataclass(frozen=True, kw_only=True)
class DeadLettersArgs:
    """What the queue is called, and what encrypts it.

    Attributes:
        names: The stack's names.
        key_arn: The key that encrypts it.
    """

    names: Names
    key_arn: pulumi.Input[str]


class DeadLetters(pulumi.ComponentResource):
    """An encrypted queue that keeps failed invocations for two weeks, the longest SQS keeps anything.

    Attributes:
        arn: The queue's ARN.
        name: The queue's name.
    """

    arn: pulumi.Output[str]
    name: pulumi.Output[str]

    def __init__(self, name: str, args: DeadLettersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:DeadLetters", name, None, opts)
        queue = sqs.Queue(
            name,
            name=args.names.name("dead-letters"),
            message_retention_seconds=14 * 24 * 3600,
            kms_master_key_id=args.key_arn,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = queue.arn
        self.name = queue.name
        self.register_outputs({"arn": self.arn})
