"""Every rule of the pack, a module per service. Adding a module means adding its name here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import ebs, efs, iam, migrations, rds

if TYPE_CHECKING:
    from ..rule import Rule, StackRule

RULES: tuple[Rule | StackRule, ...] = (*iam.RULES, *rds.RULES, *ebs.RULES, *efs.RULES, *migrations.RULES)
