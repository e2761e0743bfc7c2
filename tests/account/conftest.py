"""What both programs declare, once for all tests that look at it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.program import declared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.components.conftest import Deployment

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def account_of() -> Iterator[Callable[[str], Deployment]]:
    """What `account/` declares for one of its stacks."""
    with pytest.MonkeyPatch.context() as patch:
        yield cache(lambda stack: declared(ROOT / "account", stack, patch))


@pytest.fixture(scope="session")
def product_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Deployment]]:
    """What the product API declares for one of its stacks; artifacts and authorities are stand-ins."""
    built = tmp_path_factory.mktemp("built")
    for name in ("code.zip", "layer-python3.13-arm64.zip"):
        (built / name).write_bytes(b"zip")
    with pytest.MonkeyPatch.context() as patch:
        overrides = {"artifacts": str(built), "databaseCa": "/etc/authorities.pem"}
        yield cache(lambda stack: declared(ROOT, stack, patch, overrides))
