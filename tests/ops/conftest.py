"""One copy of the checkout for the commands that start something; the others run in this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sandbox.cloud.harness import Cloud
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


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A played account for one module's tests."""
    running = Cloud(tmp_path_factory.mktemp("cloud")).start()
    yield running
    running.stop()
