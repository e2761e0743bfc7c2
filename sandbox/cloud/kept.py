"""What the sandbox itself remembers of accounts, beside the emulator's records; saved and loaded with them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_stores: dict[str, Any] = {}


def store(name: str, *, regional: bool = True) -> Any:
    """Return a store of that name, the same each time: a mapping whose content is the request's account's.

    Args:
        name: among the sandbox's own.
        regional: whether the content is the request's region's too.
    """
    from ministack.core.responses import AccountRegionScopedDict, AccountScopedDict

    if name not in _stores:
        _stores[name] = AccountRegionScopedDict() if regional else AccountScopedDict()
    return _stores[name]


def collect() -> Any:
    """Return a copy of everything."""
    return copy.deepcopy(_stores)


def restore(state: Mapping[str, Any]) -> None:
    """Take over what `collect` returned, in whichever process."""
    for name, saved in state.items():
        _stores.setdefault(name, type(saved)()).update(saved)
