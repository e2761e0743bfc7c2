"""One version of each thing, wherever it is named."""

from __future__ import annotations

import re
from pathlib import Path

from sandbox import session
from sandbox.engine import bootstrap

ROOT = Path(__file__).parents[1]


def _locked(name: str, lock: str) -> str:
    found = re.search(rf"^{name}==([^ ;\\]+)", (ROOT / "requirements" / lock).read_text(), re.MULTILINE)
    assert found, f"{name} is not in {lock}"
    return found[1]


def test_engine_and_sdk_are_one_version() -> None:
    module = (ROOT / "sandbox" / "engine" / "go" / "go.mod").read_text()
    assert f"github.com/pulumi/pulumi/pkg/v3 v{bootstrap.VERSION}" in module
    assert f"github.com/pulumi/pulumi/sdk/v3 v{bootstrap.VERSION}" in module
    assert _locked("pulumi", "dev.txt") == bootstrap.VERSION


def test_the_provider_plays_the_version_whose_types_it_reads() -> None:
    assert _locked("pulumi-aws", "dev.txt") == session.PROVIDER_VERSION


def test_the_functions_run_what_was_tested() -> None:
    shared = ("psycopg", "pydantic", "sqlalchemy", "alembic", "botocore")
    assert [_locked(name, "dev.txt") for name in shared] == [_locked(name, "layer.txt") for name in shared]


def test_locks_name_no_index() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text()
        assert "://" not in text
        assert "--index-url" not in text
        assert "--hash=sha256:" in text
