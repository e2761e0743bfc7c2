"""A whole program of this repository against mocks: everything that a stack declares, without an engine."""

from __future__ import annotations

import asyncio
import json
import runpy
from typing import TYPE_CHECKING, Any

import pulumi
import yaml
from pulumi.runtime.mocks import set_mocks

from tests.components.conftest import Deployment, _Cloud, _Monitor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest


def declared(
    directory: Path, stack: str, monkeypatch: pytest.MonkeyPatch, overrides: Mapping[str, object] | None = None
) -> Deployment:
    """Run a stack's program to its end, and return what it declared.

    Args:
        directory: where `Pulumi.yaml` is.
        stack: one that has settings there.
        monkeypatch: of the test, for mocks have no engine that hooks could be registered with.
        overrides: settings that are other than in the stack's file, by their keys in the project's namespace.
    """

    async def registered(_hook: pulumi.ResourceHook) -> None:
        """Mocks have no engine to register a hook with."""

    monkeypatch.setattr(
        "pulumi.resource_hooks.register_resource_hook", lambda hook: asyncio.ensure_future(registered(hook))
    )
    project = yaml.safe_load((directory / "Pulumi.yaml").read_text())
    own = yaml.safe_load((directory / f"Pulumi.{stack}.yaml").read_text())["config"]
    defaults = {
        f"{project['name']}:{key}": schema["default"]
        for key, schema in project["config"].items()
        if "default" in schema
    }
    given = {f"{project['name']}:{key}": value for key, value in (overrides or {}).items()}
    deployment = Deployment()
    set_mocks(_Cloud(), project=project["name"], stack=stack, monitor=_Monitor(deployment))
    pulumi.runtime.set_all_config({key: _text(value) for key, value in {**defaults, **own, **given}.items()})

    def run() -> None:
        runpy.run_path(str(directory / "__main__.py"))

    try:
        pulumi.runtime.test(run)()
    finally:
        pulumi.runtime.set_all_config({})
    return deployment


def _text(value: Any) -> str:
    """A setting as the engine hands it over."""
    return value if isinstance(value, str) else json.dumps(value)
