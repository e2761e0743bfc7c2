"""docs/requirements.md names something that exists for each requirement, or says that it comes later."""

from __future__ import annotations

import re
from pathlib import Path

from ops.__main__ import COMMANDS

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\|\s*(\d+)\s*\|(.*)\|(.*)\|(.*)\|$", re.MULTILINE)


def _rows() -> dict[int, tuple[str, str, str]]:
    found = ROW.findall((ROOT / "docs" / "requirements.md").read_text())
    return {int(number): (what.strip(), how.strip(), shown.strip()) for number, what, how, shown in found}


def test_every_requirement_has_its_row() -> None:
    assert list(range(1, 95)) == sorted(_rows())


def test_what_is_named_exists() -> None:
    missing = []
    for number, row in _rows().items():
        for name in re.findall(r"`([^`]+)`", " ".join(row)):
            words = name.split()
            exists = (
                words[1] in COMMANDS
                if words[0] == "ops"
                else f"{words[1]}:" in (ROOT / "Makefile").read_text()
                if words[0] == "make"
                else (ROOT / name).exists()
            )
            if not exists:
                missing.append(f"{number}: {name}")
    assert [] == missing


def test_no_row_is_silent() -> None:
    assert [] == [number for number, (_, how, _) in _rows().items() if not how]
