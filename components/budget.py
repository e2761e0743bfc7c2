"""What a stack may cost in a month, and who hears when it is about to cost more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import budgets

if TYPE_CHECKING:
    from naming import Names


@dataclass(frozen=True, kw_only=True)
class BudgetArgs:
    """The limit.

    Attributes:
        names: The stack's names; its costs are known by its tags.
        usd: US dollars a month.
        topic_arn: The topic of warnings.
    """

    names: Names
    usd: int
    topic_arn: pulumi.Input[str]


class Budget(pulumi.ComponentResource):
    """A monthly budget that warns at 80% spent, and when the month is foreseen to end above it."""

    def __init__(self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:Budget", name, None, opts)
        budgets.Budget(
            name,
            name=args.names.name("monthly"),
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(args.usd),
            limit_unit="USD",
            cost_filters=[budgets.BudgetCostFilterArgs(name="TagKeyValue", values=[f"user:stack${args.names.stack}"])],
            notifications=[
                budgets.BudgetNotificationArgs(
                    notification_type=kind,
                    comparison_operator="GREATER_THAN",
                    threshold=threshold,
                    threshold_type="PERCENTAGE",
                    subscriber_sns_topic_arns=[args.topic_arn],
                )
                for kind, threshold in (("ACTUAL", 80), ("FORECASTED", 100))
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
