"""The plan: the revisions that a release carries, and the SQL that each will run.

Standard library only: the program that declares the plan as a resource neither imports Alembic nor runs a revision's
code. Rendering happens in a process without credentials (an empty environment, an empty home) and is cached by content.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from migrations.history import base as released_base

ROOT: Final = Path(__file__).parents[1]
_PATIENCE: Final = 120  # seconds


class PlanError(Exception):
    """There is no plan: the revisions do not load, do not form one line, or their rendering broke off."""


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One pending revision.

    Attributes:
        revision: Its identifier.
        down_revision: The one before; several, joined by commas, where it merges; None where it is the first.
        summary: The first line of its docstring.
        sql: What its upgrade runs, with the transaction's brackets; empty where that cannot be known.
        undecidable: Why it cannot be known; None where it is.
    """

    revision: str
    down_revision: str | None
    summary: str
    sql: str
    undecidable: str | None = None

    @property
    def sha256(self) -> str:
        """The hash of the SQL."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def inputs(self) -> dict[str, Any]:
        """The revision as the plan's component has it in the stack."""
        document: dict[str, Any] = {
            "revision": self.revision,
            "downRevision": self.down_revision,
            "summary": self.summary,
            "sql": self.sql,
        }
        return document if self.undecidable is None else document | {"undecidable": self.undecidable}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A base and the revisions after it, in the order in which they run.

    It changes when a revision is added or a release recorded, never because a database has caught up.

    Attributes:
        base: The head of the last release; None before the first.
        revisions: What follows.
    """

    base: str | None
    revisions: tuple[Revision, ...]

    @property
    def head(self) -> str | None:
        """Where the plan leaves a database."""
        return self.revisions[-1].revision if self.revisions else self.base

    @property
    def digest(self) -> str:
        """The SHA-256 over base and revisions."""
        document = {"base": self.base, "revisions": [revision.inputs() for revision in self.revisions]}
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def inputs(self) -> dict[str, Any]:
        """The plan as the inputs of its component."""
        return {
            "base": self.base,
            "revisions": [revision.inputs() for revision in self.revisions],
            "digest": self.digest,
        }

    def event(self) -> dict[str, Any]:
        """The plan as the migrator is told it: hashes in place of the SQL, which it has itself."""
        return {
            "base": self.base,
            "digest": self.digest,
            "revisions": [{"revision": r.revision, "sha256": r.sha256} for r in self.revisions],
        }


def plan_of(base: str | None, documents: list[dict[str, Any]]) -> Plan:
    """The plan of rendered revisions.

    Args:
        base: The revision before the first.
        documents: The revisions as `migrations.offline.render` spells them.
    """
    revisions = tuple(
        Revision(
            revision=document["revision"],
            down_revision=document["downRevision"],
            summary=document["summary"],
            sql=document["sql"],
            undecidable=document.get("undecidable"),
        )
        for document in documents
    )
    return Plan(base=base, revisions=revisions)


def plan(root: Path = ROOT, *, python: str = sys.executable) -> Plan:
    """The plan of a checkout.

    Args:
        root: The folder that holds `migrations/`; renderings are kept in its `.build/migrations/`.
        python: An interpreter that has Alembic and SQLAlchemy.

    Raises:
        PlanError: There is no plan; says why and what to do.
        HistoryError: The record of a release cannot be read.
    """
    scripts = root / "migrations"
    base = released_base(scripts)
    cached = root / ".build" / "migrations" / f"{_content(scripts, base)}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # absent or damaged: rendered anew
        return plan_of(base, json.loads(cached.read_text()))
    documents = _render(scripts, base, python)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=cached.parent, delete=False) as file:
            json.dump(documents, file)
        Path(file.name).replace(cached)
    return plan_of(base, documents)


def _content(scripts: Path, base: str | None) -> str:
    """A name for all that a rendering depends on."""
    here = Path(__file__).parent
    files = {path for folder in (scripts, here) for path in folder.rglob("*.py") if "__pycache__" not in path.parts}
    versions = [f"{name} {metadata.version(name)}" for name in ("alembic", "sqlalchemy")]
    hashed = hashlib.sha256(json.dumps([base, sys.version, *versions]).encode())
    for path in sorted(files):
        name, content = os.path.relpath(path, scripts).encode(), path.read_bytes()
        hashed.update(b"%d %d " % (len(name), len(content)) + name + content)
    return hashed.hexdigest()


def _render(scripts: Path, base: str | None, python: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "rendering"
        # A home of its own: a library that looks for credentials looks there first.
        environment = {"HOME": scratch, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
        command = [
            python,
            "-P",
            "-s",
            str(Path(__file__).with_name("offline.py")),
            str(scripts),
            base or "",
            str(target),
        ]
        try:
            process = subprocess.run(
                command,
                env=environment,
                cwd=scratch,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
            )
            outcome = (
                f"ended with exit code {process.returncode}: {process.stderr.decode(errors='replace').strip()[-500:]}"
            )
        except subprocess.TimeoutExpired:
            outcome = f"did not end within {_PATIENCE} s"
        lines = target.read_text(encoding="utf-8").splitlines() if target.exists() else []
        documents: list[dict[str, Any]] = []
        for line in lines:
            document = json.loads(line)
            if "error" in document:
                raise PlanError(document["error"])
            if "done" in document:
                return documents
            documents.append(document)
    after = documents[-1]["revision"] if documents else base
    raise PlanError(f"rendering the revision after {after or 'the base'} {outcome}")
