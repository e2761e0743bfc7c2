"""Who may import whom: the table of docs/architecture.md, held against the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"account", "app", "components", "migrations", "naming", "ops", "policies", "sandbox", "settings"}
# What each part may import of this repository, and which of the guarded libraries.
ALLOWED: dict[str, set[str]] = {
    "__main__": {"settings", "naming", "components", "app.routes", "migrations.rendering"},
    "settings": set(),
    "naming": set(),
    "account": {"account", "naming", "components.role", "components.key"},
    "components": {"components", "naming", "migrations.rendering", "app.routes"},
    "policies": {"policies"},
    "app": {"app"},
    "migrations": {"migrations"},
    "ops": {
        "ops",
        "naming",
        "settings",
        "policies",
        "migrations",
        "app",
        "sandbox.session",
        "sandbox.engine.bootstrap",
    },
    "sandbox": {"sandbox"},
}
FORBIDDEN_LIBRARIES: dict[str, set[str]] = {
    "__main__": {"boto3", "botocore", "alembic", "psycopg", "ministack"},
    "settings": {"boto3", "botocore", "pulumi_aws", "ministack"},
    "naming": {"boto3", "botocore", "pulumi", "pulumi_aws", "ministack"},
    "account": {"boto3", "botocore", "alembic", "psycopg", "ministack"},
    "components": {"boto3", "botocore", "alembic", "psycopg", "ministack"},
    "policies": {"boto3", "botocore", "pulumi_aws", "ministack"},
    "app": {"pulumi", "pulumi_aws", "alembic", "sqlalchemy", "ministack"},
    "migrations": {"pulumi", "pulumi_aws", "ministack"},
    "ops": {"ministack", "pulumi_aws"},
    "sandbox": set(),
}
# The hooks' driver asks AWS while an update runs; nothing else of the program does, and it declares nothing itself.
EXCEPTIONS: dict[str, set[str]] = {"components/release_driver.py": {"boto3", "botocore"}}


def _files() -> list[tuple[str, Path]]:
    found = [(part, path) for part in OURS - {"naming", "settings"} for path in (ROOT / part).rglob("*.py")]
    return [*found, *((name, ROOT / f"{name}.py") for name in ("__main__", "naming", "settings"))]


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            # `from sandbox import session` imports sandbox.session.
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def _covered(name: str, allowed: set[str]) -> bool:
    """Whether `name`, or the module that it is an attribute of, may be imported."""
    return any(name == entry or name.startswith(f"{entry}.") or entry.startswith(f"{name}.") for entry in allowed)


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_a_part_imports_only_what_it_may(part: str) -> None:
    offences = [
        f"{path.relative_to(ROOT)} imports {name}"
        for owner, path in _files()
        if owner == part
        for name in sorted(_imports(path))
        if (name.split(".")[0] in OURS and not _covered(name, ALLOWED[part]))
        or name.split(".")[0] in FORBIDDEN_LIBRARIES[part] - EXCEPTIONS.get(str(path.relative_to(ROOT)), set())
    ]
    assert [] == offences


def test_what_asks_aws_declares_nothing() -> None:
    """An exception is one while it is needed, and where it is, no resource can be declared."""
    for name, libraries in EXCEPTIONS.items():
        roots = {each.split(".")[0] for each in _imports(ROOT / name)}
        assert libraries <= roots
        assert set() == roots & {"pulumi", "pulumi_aws"}


def test_settings_alone_read_the_configuration() -> None:
    program = [path for part, path in _files() if part in {"__main__", "naming", "components", "app", "migrations"}]
    readers = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (*program, ROOT / "settings.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and ast.unparse(node) == "pulumi.Config")
        or (isinstance(node, ast.ImportFrom) and node.module == "pulumi" and "Config" in {a.name for a in node.names})
    ]
    assert readers
    assert [] == [reader for reader in readers if not reader.startswith("settings.py:")]


def test_guardrails_import_relatively() -> None:
    """So that they work as the pack's root and as policies.guardrails."""
    absolute = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / "policies" / "guardrails").rglob("*.py")
        for name in _imports(path)
        if name.split(".")[0] in OURS | {"guardrails"}
    ]
    assert [] == absolute


def test_the_table_knows_every_package() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {"policies"}
    assert packages - {"tests", "benchmarks"} <= set(ALLOWED)
