"""What `ops up` decides by itself."""

from __future__ import annotations

import pytest

from ops.commands.up import _moved

ENDPOINT = "http://127.0.0.1:3662"


@pytest.mark.parametrize(
    ("outputs", "moved"),
    [
        ({}, False),
        ({"apiUrl": f"{ENDPOINT}/_aws/execute-api/a1"}, False),
        ({"apiUrl": "http://127.0.0.1:36625/_aws/execute-api/a1"}, True),
        ({"apiUrl": "https://api.example.com"}, False),
    ],
)
def test_a_stack_that_remembers_another_address_is_looked_at_anew(outputs: dict[str, str], *, moved: bool) -> None:
    """One of its own domain is reached by its name, wherever the emulator is."""
    assert moved == _moved(outputs, ENDPOINT)
