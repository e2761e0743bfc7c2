"""The settings of accounts: rules across keys, and agreement with the stacks that live there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import settings
from account.configuration import RESERVED, AccountSettings, AccountSettingsError

ROOT = Path(__file__).parents[2]
GOOD: dict[str, Any] = {
    "project": "product-api",
    "environment": "nonprod",
    "region": "eu-central-1",
    "account": "111122223333",
    "stacks": ("dev", "staging"),
    "protected": ("staging",),
    "repository": "owner/name",
    "approvers": ("lead",),
    "lock_mode": "GOVERNANCE",
    "record_days": 30,
}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"account": "1111"}, "account"),
        ({"stacks": ()}, "stacks"),
        ({"stacks": ("dev", "dev"), "protected": ()}, "stacks"),
        ({"stacks": ("Dev",), "protected": ()}, "stacks"),
        ({"stacks": ("dev", "dev-2"), "protected": ()}, "stacks"),
        *(({"stacks": (name,), "protected": ()}, "stacks") for name in (*RESERVED, "deploy-dev")),
        ({"protected": ("prod",)}, "protected"),
        ({"repository": "name"}, "repository"),
        ({"repository": "owner/*"}, "repository"),
        ({"approvers": ()}, "approvers"),
        ({"approvers": ("*",)}, "approvers"),
        ({"lock_mode": "NONE"}, "lockMode"),
        ({"record_days": 0}, "recordDays"),
        ({"environment": "prod"}, "lockMode"),
        ({"environment": "prod", "lock_mode": "COMPLIANCE"}, "recordDays"),
    ],
)
def test_a_broken_rule_is_told_by_its_key(changes: dict[str, Any], key: str) -> None:
    AccountSettings(**GOOD)
    with pytest.raises(AccountSettingsError, match=f"^product-api-account:{key} is "):
        AccountSettings(**(GOOD | changes))


def config(path: Path) -> dict[str, Any]:
    """The values of a stack's file, without namespaces."""
    read: dict[str, Any] = yaml.safe_load(path.read_text())["config"]
    return {key.rpartition(":")[2]: value for key, value in read.items()}


def test_every_stack_of_the_product_has_its_role_in_the_account_that_it_names() -> None:
    accounts = [config(path) for path in (ROOT / "account").glob("Pulumi.*.yaml")]
    stacks = {path.name.split(".")[1]: config(path) for path in ROOT.glob("Pulumi.*.yaml")}
    assert {name: values["account"] for name, values in stacks.items()} == {
        stack: values["account"] for values in accounts for stack in values["stacks"]
    }
    for values in accounts:
        assert [values["account"]] == values["allowedAccountIds"]
        assert {values["region"]} == {stacks[stack]["region"] for stack in values["stacks"]}
    assert set(settings.PROTECTED) == {stack for values in accounts for stack in values["protected"]}


def test_who_can_be_asked_for_approval_has_a_role() -> None:
    declared = yaml.safe_load((ROOT / "account" / "Pulumi.yaml").read_text())["config"]["approvers"]["default"]
    assert list(settings.APPROVERS) == declared
