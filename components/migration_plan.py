"""The migrations that a release carries, as a resource: shown in the diff, judged by the policy packs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

if TYPE_CHECKING:
    from migrations.rendering import Plan


class MigrationPlan(pulumi.ComponentResource):
    """A base and the revisions after it, with the SQL that will run; it does nothing by itself.

    The inputs handed to the base class are what `pulumi preview` shows and what a resource policy reads; a stack policy
    sees what is registered as outputs, hence the same once more.
    """

    def __init__(self, name: str, plan: Plan, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:MigrationPlan", name, plan.inputs(), opts)
        self.register_outputs(plan.inputs())
