"""The reference of actions, see `reference.txt`."""

from __future__ import annotations

import functools
from pathlib import Path

NAMED = "@"
WHOLE_SERVICE = "-"


@functools.cache
def actions() -> dict[str, dict[str, tuple[str, ...]]]:
    """Return by service and action the types of resources that it is authorised on; see `reference.txt`."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    section: dict[str, tuple[str, ...]] = {}
    types: tuple[str, ...] = ()
    for line in Path(__file__).with_name("reference.txt").read_text().splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            head, separator, names = line.partition(": ")
            if separator:
                types = tuple(head.split())
            section.update(dict.fromkeys((names if separator else line).split(), types))
    return found
