"""A database's address is its own, remembered, and never somebody else's."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from sandbox.cloud import databases

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def address(home: Path, port: int = 54329) -> tuple[str, int]:
    """Take an address for a home and give it back."""
    with databases.bind(home, port) as bound:
        taken: tuple[str, int] = bound.getsockname()
    return taken


def test_an_address_is_loopback_and_the_same_for_the_same_home(tmp_path: Path) -> None:
    """Two homes have two."""
    first, second = address(tmp_path / "first"), address(tmp_path / "second")
    assert ipaddress.ip_address(first[0]) in databases._NETWORK
    assert first == address(tmp_path / "first")
    assert first != second
    assert first[1] == 54329


def test_a_remembered_address_is_preferred(tmp_path: Path) -> None:
    """It may stand in somebody's configuration."""
    (tmp_path / "address").write_text("127.99.98.97\n")
    assert address(tmp_path) == ("127.99.98.97", 54329)


def test_what_is_remembered_wrongly_is_passed_over(tmp_path: Path) -> None:
    """A damaged file is no address."""
    (tmp_path / "address").write_text("not an address")
    assert ipaddress.ip_address(address(tmp_path)[0]) in databases._NETWORK


def test_a_taken_address_is_passed_over(tmp_path: Path) -> None:
    """Another sandbox may have it."""
    with databases.bind(tmp_path, 54329) as bound:
        bound.listen()
        other = address(tmp_path)
        assert other != bound.getsockname()
        assert other[1] == 54329


def test_a_port_that_is_taken_everywhere_is_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A Postgres of the machine's own on all addresses, say; and it is said."""
    with socket.socket() as everywhere:
        everywhere.bind(("0.0.0.0", 0))  # noqa: S104 — closed again at once, nothing answers
        everywhere.listen()
        port = everywhere.getsockname()[1]
        host, replaced = address(tmp_path, port)
    assert host == "127.0.0.1"
    assert replaced != port
    assert "is free on no loopback address" in caplog.text
