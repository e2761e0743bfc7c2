"""A sandbox's cloud process on a free port, in a folder of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sandbox.cloud.harness import Cloud

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud for one module's tests."""
    running = Cloud(tmp_path_factory.mktemp("cloud")).start()
    yield running
    running.stop()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud that a test may lose."""
    running = Cloud(tmp_path / "cloud").start()
    yield running
    running.stop()
