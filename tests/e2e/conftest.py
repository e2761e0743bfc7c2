"""One rehearsal for all tests that only look at it; a copy of their own for those that break it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.checkout import Checkout

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout whose sandbox stays up for the session."""
    copy = Checkout.copy(tmp_path_factory.mktemp("checkout"))
    try:
        yield copy
    finally:
        copy.end()


@pytest.fixture(scope="session")
def report(checkout: Checkout) -> dict[str, Any]:
    """What the first `ops up local` said."""
    return checkout.up()


@pytest.fixture
def own(tmp_path: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:  # noqa: ARG001
    """A checkout for one test."""
    copy = Checkout.copy(tmp_path_factory.mktemp("own"))
    try:
        yield copy
    finally:
        copy.end()
