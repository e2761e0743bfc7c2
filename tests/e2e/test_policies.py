"""The three kinds of rule, each shown to stop a real update of this project, with nothing changed."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from ops.exit_codes import Exit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.checkout import Checkout

pytestmark = pytest.mark.e2e

DROP = '''"""Drop what is sold."""

from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("{statement}")


def downgrade() -> None:
    pass
'''


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def _wildcard(checkout: Checkout) -> None:
    _edit(checkout.root / "components" / "migrator.py", '"secretsmanager:DescribeSecret", ', '"secretsmanager:*", ')


def _unencrypted(checkout: Checkout) -> None:
    _edit(checkout.root / "components" / "database.py", "storage_encrypted=True", "storage_encrypted=False")


def _destructive(checkout: Checkout) -> None:
    """What a release left in production is dropped; dropping what nobody has yet would be harmless."""
    record = {"release": "2026.1", "head": _head(checkout), "digest": "0" * 64, "statements": ["SELECT 1"]}
    releases = checkout.root / "migrations" / "releases"
    releases.mkdir(exist_ok=True)
    (releases / "0001.json").write_text(json.dumps(record))
    text = DROP.format(head=_head(checkout), statement="DROP TABLE products")
    (checkout.root / "migrations" / "versions" / "9999_drop.py").write_text(text)


def _head(checkout: Checkout) -> str:
    known = sorted(path.name for path in (checkout.root / "migrations" / "versions").glob("0*.py"))
    return known[-1].split("_")[0]


BREAKS = {"an IAM wildcard": _wildcard, "unencrypted storage": _unencrypted, "a destructive migration": _destructive}
RESOURCE = {
    "an IAM wildcard": "RolePolicy migrator",
    "unencrypted storage": "Instance database",
    "a destructive migration": "MigrationPlan migrations",
}


@pytest.mark.parametrize("broken", BREAKS)
def test_a_real_update_is_blocked(own: Checkout, broken: str) -> None:
    BREAKS[broken](own)
    done = own.ops("up", check=False)
    assert done.returncode == Exit.BLOCKED_BY_POLICY, done.stderr
    assert "blocked by policy, nothing was changed" in done.stderr
    assert RESOURCE[broken] in done.stderr
    assert [] == _resources(own)


@pytest.mark.parametrize("broken", BREAKS)
def test_a_plain_up_without_a_flag_is_blocked(own: Checkout, broken: str) -> None:
    """Only the environment names the pack, as `.envrc` and CI do; without a preview the rule alone stops it."""
    own.ops("pulumi", "--", "stack", "ls")  # starts the sandbox and makes the stack
    own.ops("bootstrap", "local")  # makes the role that deploys it
    BREAKS[broken](own)
    own.ops("artifact", "build")
    env = _environment(own)
    assert env["PULUMI_OPTION_POLICY_PACK"] == str(own.root / "policies")
    config = own.sandbox / "config" / "Pulumi.local.yaml"
    done = subprocess.run(
        ["pulumi", "up", "--yes", "--skip-preview", "--stack", "local", "--config-file", str(config)],
        cwd=own.root,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode != 0
    assert "[mandatory]" in done.stdout
    guarded = {**RESOURCE, "a destructive migration": "Invocation migrator-migrate"}
    assert guarded[broken] not in _resources(own)


def _environment(checkout: Checkout) -> dict[str, str]:
    """What `ops` gives the engine."""
    code = (
        "import json, os; from ops.rehearsal import Rehearsal; print(json.dumps(Rehearsal.of('local').environment()))"
    )
    import sys

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=checkout.root,
        env=checkout.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    env: dict[str, str] = json.loads(done.stdout)
    return env


def _resources(checkout: Checkout) -> list[str]:
    """The custom resources that stand, as in `Instance database`."""
    state = json.loads(checkout.ops("pulumi", "--", "stack", "export").stdout)
    return [
        f"{resource['type'].split(':')[-1]} {resource['urn'].split('::')[-1]}"
        for resource in state["deployment"].get("resources") or []
        if resource.get("custom") and not resource["type"].startswith("pulumi:")
    ]
