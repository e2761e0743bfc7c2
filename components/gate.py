"""The gate: what must hold before an update touches data or traffic, and the record that it did.

A hook and not a rule of the policy pack: the pack does not know whether it sees a preview or an update.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from components.release_driver import GateClosedError, Ledger

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class GateArgs:
    """What opens the gate.

    Attributes:
        ledger: Approvals and records.
        approvers: Who must have approved this release.
    """

    ledger: Ledger
    approvers: Sequence[str]


class Gate:
    """Bound to every resource that touches data or traffic; it is asked once in an update.

    In a preview it says how it stands, and stops nothing.

    Attributes:
        before: The hook that asks.
        after: The hook that records.
        binding: Both, for a resource that has no other hooks.
    """

    def __init__(self, args: GateArgs) -> None:
        self._args = args
        self._asked: asyncio.Task[None] | None = None
        self.before = pulumi.ResourceHook("gate", self._before, pulumi.ResourceHookOptions(on_dry_run=True))
        self.after = pulumi.ResourceHook("ledger", self._after)
        self.binding = pulumi.ResourceHookBinding(
            before_create=[self.before],
            before_update=[self.before],
            after_create=[self.after],
            after_update=[self.after],
        )

    async def _before(self, hook: pulumi.ResourceHookArgs) -> None:
        if self._asked is None:
            self._asked = asyncio.ensure_future(asyncio.to_thread(self._ask))
        try:
            await asyncio.shield(self._asked)
        except GateClosedError as error:
            if pulumi.runtime.is_dry_run():
                return
            raise GateClosedError(f"the gate is closed: {error}") from None
        if not pulumi.runtime.is_dry_run():
            await asyncio.to_thread(self._args.ledger.record, "started", resource=hook.urn)

    def _ask(self) -> None:
        """Say how the gate stands, and raise where it is closed."""
        try:
            self._require_approvals()
        except GateClosedError as error:
            if pulumi.runtime.is_dry_run():
                pulumi.log.warn(f"gate: an update would stop here: {error}")
            raise
        if self._args.approvers and pulumi.runtime.is_dry_run():
            pulumi.log.info(f"gate: open, approved by {' and '.join(self._args.approvers)}")

    def _require_approvals(self) -> None:
        ledger, approvers = self._args.ledger, self._args.approvers
        missing = ledger.missing_approvals(approvers) if approvers else []
        if missing:
            raise GateClosedError(
                f"this release (code {ledger.release['codeSha256'][:12]}) is not approved for {ledger.stack} by "
                f"{' and '.join(missing)}. Have it approved (ops approve {ledger.stack}), and run the update again"
            )

    async def _after(self, hook: pulumi.ResourceHookArgs) -> None:
        await asyncio.to_thread(self._args.ledger.record, "done", resource=hook.urn)
