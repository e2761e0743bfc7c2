"""Brings up what an account has once, before its stacks: cheap to ask for when nothing has changed."""

from __future__ import annotations

import ast
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ops.console import say
from ops.rehearsal import ACCOUNT, POLICIES, ROOT, account_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ops.rehearsal import Rehearsal
    from ops.target import Target

# Where the modules of this repository are that the program may import.
_MODULES = (ROOT / "account", ROOT / "components", ROOT)


@dataclass(frozen=True, kw_only=True)
class Brought:
    """What bringing an account up came to.

    Attributes:
        stack: The account's stack of `account/`, such as `nonprod`.
        account: The account.
        changed: How many resources were changed; 0 when it stood as it should.
        described: The same in words.
        changes: By operation.
        packs: The policy packs in force, with version; empty when nothing had to be looked at.
        findings: What they found.
        looked: Whether the engine was asked, or the inputs were those of the last time.
    """

    stack: str
    account: str
    changed: int
    described: str
    changes: dict[str, int] = field(default_factory=dict)
    packs: dict[str, str] = field(default_factory=dict)
    findings: list[dict[str, str]] = field(default_factory=list)
    looked: bool = True


def bring_up_account(rehearsal: Rehearsal, progress: Callable[[str], None]) -> Brought:
    """Bring up what the account of a rehearsed stack has once; the sandbox must run.

    The policy pack is in force: a preview comes first, and the update only where that shows a change. When neither the
    program nor its settings nor the pack have changed since this sandbox brought the account up, nothing is asked.

    Args:
        rehearsal: any stack of the account.
        progress: gets a line per resource.

    Raises:
        CommandError: a policy forbids it, or the engine failed.
    """
    account = rehearsal.account
    inputs = digest(account)
    if _stands(account, inputs):
        return Brought(
            stack=account.stack,
            account=account.sandbox.account,
            changed=0,
            described="stands as it was brought up",
            looked=False,
        )
    if rehearsal.sandbox.endpoint is not None and not account.exists and _is_there(rehearsal):
        return Brought(
            stack=account.stack,
            account=account.sandbox.account,
            changed=0,
            described=f"stands at {rehearsal.sandbox.endpoint}, by another's hand",
            looked=False,
        )
    from ops import engine

    handle = engine.stack(account)
    seen = preview = engine.run(handle.preview, progress, account.config_file)
    if preview.changed:
        try:
            seen = engine.run(handle.up, progress, account.config_file)
        finally:
            account.sandbox.save()
    _remember(account, inputs)
    return Brought(
        stack=account.stack,
        account=account.sandbox.account,
        changed=seen.changed,
        described=seen.describe() if preview.changed else "nothing to change",
        changes=dict(seen.changes),
        packs=preview.packs,
        findings=preview.findings,
    )


def stands(rehearsal: Rehearsal) -> bool:
    """Whether what the account of a rehearsed stack has once is as this sandbox last brought it up.

    Raises:
        CommandError: `account/` has no settings for the account.
    """
    account = rehearsal.account
    return _stands(account, digest(account))


def bring_up_account_on_aws(
    target: Target, backend: str, secrets_provider: str, progress: Callable[[str], None]
) -> tuple[Brought, dict[str, Any]]:
    """Bring up, on AWS, what the account of a stack has once, and return what came of it with the outputs.

    Args:
        target: any stack of the account, on AWS.
        backend: the URL of the state.
        secrets_provider: that encrypts what is secret in it.
        progress: gets a line per resource.

    Raises:
        CommandError: a policy forbids it, or the engine failed.
    """
    from ops import engine

    stack = account_stack(target.names.account)
    settings = ACCOUNT.settings_file(stack)
    before = settings.read_bytes()
    handle = engine.stack_on_aws(target, ACCOUNT, stack, backend, secrets_provider)
    if settings.read_bytes() != before:
        say(f"  account/{settings.name} names the secrets provider now: commit it")
    seen = preview = engine.run(handle.preview, progress, None)
    if preview.changed:
        seen = engine.run(handle.up, progress, None)
    brought = Brought(
        stack=stack,
        account=target.names.account,
        changed=seen.changed,
        described=seen.describe() if preview.changed else "nothing to change",
        changes=dict(seen.changes),
        packs=preview.packs,
        findings=preview.findings,
    )
    return brought, {key: output.value for key, output in handle.outputs().items()}


def digest(account: Rehearsal) -> str:
    """Hash everything that decides what `account/` declares: its modules, settings, and the policies that judge it."""
    files = {*_closure(ACCOUNT.directory / "__main__.py"), ACCOUNT.directory / "Pulumi.yaml"}
    files |= {path for path in POLICIES.rglob("*") if path.suffix in {".py", ".txt", ".yaml"}}
    found = hashlib.sha256(json.dumps(account.settings, sort_keys=True).encode())
    for path in sorted(files):
        found.update(f"{path.relative_to(ROOT)}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _closure(path: Path, known: frozenset[Path] = frozenset()) -> set[Path]:
    """Return a module's file with those of this repository that it imports, and they import."""
    found = {path}
    for imported in _imported(path):
        if imported not in found | known:
            found |= _closure(imported, known | found)
    return found


def _imported(path: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            file = ROOT / f"{name.replace('.', '/')}.py"
            if file.parent in _MODULES and file.exists():
                yield file


def _is_there(rehearsal: Rehearsal) -> bool:
    """Whether an emulator that somebody else runs has the account's ledger, and so all that comes with it."""
    from botocore.exceptions import ClientError

    from ops import target as targets

    target = targets.rehearsed(rehearsal)
    try:
        target.client("s3").head_bucket(Bucket=target.names.bucket("ledger"))
    except ClientError:
        return False
    return True


def _stands(account: Rehearsal, inputs: str) -> bool:
    return account.exists and not account.pending_operations() and _remembered(account) == inputs


def _memory(account: Rehearsal) -> Path:
    return account.config_file.with_suffix(".digest")


def _remembered(account: Rehearsal) -> str | None:
    try:
        return _memory(account).read_text()
    except OSError:
        return None


def _remember(account: Rehearsal, inputs: str) -> None:
    _memory(account).write_text(inputs)
