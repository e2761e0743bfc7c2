"""What the sandbox remembers of accounts for what the emulator lacks; it is saved with the emulator's state."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

_stores: dict[str, Any] = {}


def store(name: str) -> MutableMapping[str, Any]:
    """Return the records of a name; a request sees those of its own account and region.

    Args:
        name: what is kept; the same name is the same store.
    """
    from ministack.core.responses import AccountRegionScopedDict

    found: MutableMapping[str, Any] = _stores.setdefault(name, AccountRegionScopedDict())
    return found


def collect() -> dict[str, Any]:
    """Copy everything that is kept."""
    return copy.deepcopy(_stores)


def restore(saved: Mapping[str, Any]) -> None:
    """Take up what `collect` gave before this process started."""
    for name, records in saved.items():
        store(name).update(records)
