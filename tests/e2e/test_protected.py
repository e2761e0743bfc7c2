"""A protected stack in its own account: taken away only when told so, and then as often as one likes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from ops.exit_codes import Exit

if TYPE_CHECKING:
    from tests.support.checkout import Checkout

pytestmark = pytest.mark.e2e


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
    gone = own.ops("down", "prod", "--unprotect")
    [key] = re.findall(r"stays: key (\S+), without which no snapshot can be restored", gone.stderr)
    assert f"stays: final snapshot product-api-prod-database-final-{key[:8]}" in gone.stderr
    assert [] == own.processes()
    again = own.up("prod")
    assert all(check["ok"] for check in again["checks"])
    own.ops("down", "prod", "--unprotect")
