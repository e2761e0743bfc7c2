"""Who is told: a topic for warnings, and one for what must wake somebody."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import sns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from naming import Names


@dataclass(frozen=True, kw_only=True)
class NotificationsArgs:
    """Who is told of what.

    Attributes:
        names: The stack's names.
        key_arn: The key that encrypts messages.
        warning: E-mail addresses and https URLs that are told of warnings.
        critical: Those that are told of what is critical.
    """

    names: Names
    key_arn: pulumi.Input[str]
    warning: Sequence[str]
    critical: Sequence[str]


class Notifications(pulumi.ComponentResource):
    """Two encrypted topics, to which alarms and budgets of this account may publish.

    Attributes:
        warning_arn: The topic of warnings.
        critical_arn: The topic of what is critical.
    """

    warning_arn: pulumi.Output[str]
    critical_arn: pulumi.Output[str]

    def __init__(self, name: str, args: NotificationsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Notifications", name, None, opts)
        self.warning_arn = self._topic(name, "warning", args.warning, args)
        self.critical_arn = self._topic(name, "critical", args.critical, args)
        self.register_outputs({"warningArn": self.warning_arn, "criticalArn": self.critical_arn})

    def _topic(self, name: str, level: str, recipients: Sequence[str], args: NotificationsArgs) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        physical = args.names.name(level)
        topic = sns.Topic(
            f"{name}-{level}",
            name=physical,
            display_name=f"{args.names.project} {args.names.stack} {level}",
            kms_master_key_id=args.key_arn,
            opts=child,
        )
        policy = sns.TopicPolicy(
            f"{name}-{level}",
            arn=topic.arn,
            policy=json.dumps(_policy(args.names, args.names.arn("sns", physical))),
            opts=child,
        )
        for recipient in recipients:
            sns.TopicSubscription(
                f"{name}-{level}-{recipient}",
                topic=topic.arn,
                protocol="https" if recipient.startswith("https://") else "email",
                endpoint=recipient,
                endpoint_auto_confirms=False,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
            )
        return topic.arn


def _policy(names: Names, arn: str) -> dict[str, object]:
    own_account = {"StringEquals": {"aws:SourceAccount": names.account}}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": sid,
                "Effect": "Allow",
                "Principal": {"Service": f"{service}.amazonaws.com"},
                "Action": "sns:Publish",
                "Resource": arn,
                "Condition": own_account,
            }
            for sid, service in (("Alarms", "cloudwatch"), ("Budgets", "budgets"))
        ],
    }
