"""What has been released: the base that the plan begins after. Standard library only.

Each release that reached production is one file, `migrations/releases/NNNN.json`, numbered in order and never changed:

    {"release": "2026.7", "head": "0003", "digest": "<sha256 of the code zip>", "statements": ["SELECT …", …]}

`head` is the revision it left the database at; `statements` are what that version says to the database, against which
later revisions are checked for backward compatibility. Without a file nothing has been released, and every revision is
pending.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class HistoryError(Exception):
    """A record of a release that cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """One release that reached production.

    Attributes:
        release: Its name.
        head: The revision that the database was at.
        digest: The SHA-256 of its code zip.
        statements: What it says to the database.
    """

    release: str
    head: str
    digest: str
    statements: tuple[str, ...]


def releases(scripts: Path) -> tuple[Release, ...]:
    """The releases so far, oldest first.

    Args:
        scripts: The folder of the migrations, which holds `releases/`.

    Raises:
        HistoryError: A record cannot be read; names the file and what is wrong.
    """
    return tuple(_release(path) for path in sorted((scripts / "releases").glob("*.json")))


def base(scripts: Path) -> str | None:
    """The revision that the last release left production at; None before the first release."""
    known = releases(scripts)
    return known[-1].head if known else None


def _release(path: Path) -> Release:
    try:
        document = json.loads(path.read_text())
        texts = {name: document[name] for name in ("release", "head", "digest")}
        statements = document["statements"]
        if not all(isinstance(value, str) for value in (*texts.values(), *statements)):
            raise TypeError("release, head, digest and each statement are strings")  # noqa: TRY301 - as the others
    except (ValueError, KeyError, TypeError) as error:
        raise HistoryError(f"migrations/releases/{path.name} is not a record of a release: {error!r}") from error
    return Release(**texts, statements=tuple(statements))
