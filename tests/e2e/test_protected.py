"""A protected stack in its own account: taken away only when told so, and then as often as one likes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ops.exit_codes import Exit
from sandbox import session

if TYPE_CHECKING:
    from tests.support.checkout import Checkout

pytestmark = pytest.mark.e2e
ACCOUNT = "444455556666"


def _resources(checkout: Checkout) -> int:
    state = json.loads(checkout.ops("pulumi", "--", "stack", "export", "--stack", "prod").stdout)
    return len(state["deployment"].get("resources") or [])


def test_production_is_rehearsed_in_its_own_account_and_protected(own: Checkout) -> None:
    report = own.up("prod")
    assert report["seeded"] is None
    assert (own.sandbox / "run" / "cloud-444455556666.json").exists()
    assert not (own.sandbox / "run" / "cloud-111122223333.json").exists()
    before = _resources(own)
    refused = own.ops("down", "prod", check=False)
    assert refused.returncode == Exit.FAILED
    assert "nothing was deleted" in refused.stderr
    assert _resources(own) == before
    box = session.Sandbox(directory=own.sandbox, account=ACCOUNT, region="eu-central-1", engine=Path("unused"))
    assert [] == box.denials("product-api-deploy-prod")
    gone = own.ops("down", "prod", "--unprotect").stderr
    assert f"as the root of account {ACCOUNT}: its data is beyond product-api-deploy-prod" in gone
    [key] = re.findall(r"stays: key (\S+), without which no snapshot can be restored", gone)
    assert f"stays: final snapshot product-api-prod-database-final-{key[:8]}" in gone
    vault = f"product-api-prod-vault-{key[:6]}"
    assert f"stays: vault {vault}, whose recovery points nobody can delete before their time" in gone
    assert f"stays: vault lock configuration {vault}" in gone
    [before_release] = re.findall(r"stays: snapshot (\S+), the data as it was before a release", gone)
    assert len(re.findall(r"stays: key \S+, which waits \d+ days for its deletion", gone)) == 1
    assert [] == own.processes()
    again = own.up("prod")
    assert all(check["ok"] for check in again["checks"])
    gone = own.ops("down", "prod", "--unprotect").stderr
    assert f"stays: snapshot {before_release}, from an earlier release or stack" in gone
    assert f"stays: snapshot product-api-prod-database-final-{key[:8]}, from an earlier release or stack" in gone
