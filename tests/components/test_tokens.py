"""Type tokens: one family, each named for its class, for a rename would replace what stands."""

from __future__ import annotations

import ast
from pathlib import Path

COMPONENTS = Path(__file__).parents[2] / "components"


def test_each_component_is_registered_as_its_class_in_one_family() -> None:
    found = {}
    for path in COMPONENTS.glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and "ComponentResource" in {
                ast.unparse(b).split(".")[-1] for b in node.bases
            }:
                [token] = [
                    call.args[0].value
                    for call in ast.walk(node)
                    if isinstance(call, ast.Call)
                    and ast.unparse(call.func) == "super().__init__"
                    and isinstance(call.args[0], ast.Constant)
                ]
                found[node.name] = token
    expected = {
        "Alarms",
        "ApiFunction",
        "Database",
        "Function",
        "HttpApi",
        "MigrationPlan",
        "Migrator",
        "Network",
        "Release",
    }
    assert expected <= set(found)
    assert {name: f"product-api:index:{name}" for name in found} == found
