"""One copy of the checkout for the commands that start something; the others run in this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.checkout import Checkout

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout with a sandbox of its own."""
    copy = Checkout.copy(tmp_path_factory.mktemp("commands"))
    try:
        yield copy
    finally:
        copy.end()
