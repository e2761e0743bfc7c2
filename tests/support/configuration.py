"""The settings of a stack as the engine hands them to the program: its file over the project's defaults."""

from __future__ import annotations

import base64
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
PROJECT = "product-api"
STACKS = tuple(sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml")))


def declared() -> dict[str, dict[str, Any]]:
    """The keys that the project declares: type, default, description."""
    keys: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    return keys


def of(stack: str) -> dict[str, Any]:
    """What a stack's file holds, keys with their namespace."""
    document = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())
    config: dict[str, Any] = document["config"]
    return config


def configuration(stack: str, artifacts: Path, changes: Mapping[str, Any]) -> dict[str, str]:
    """Return what `pulumi.Config` reads: every value as text, objects and lists as JSON.

    Args:
        stack: Whose file.
        artifacts: Where code and layer are.
        changes: Values over the file's, by the project's own keys.
    """
    defaults = {f"{PROJECT}:{key}": entry["default"] for key, entry in declared().items() if "default" in entry}
    own = {f"{PROJECT}:{key}": value for key, value in {**changes, "artifacts": str(artifacts)}.items()}
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in {**defaults, **of(stack), **own}.items()
    }


def write_layer(path: Path, *authorities: str) -> None:
    """Write a layer with a bundle; a certificate is bytes with a name in them, as far as settings are concerned."""
    bodies = [base64.encodebytes(b"0~" + name.encode() + b"!").decode() for name in authorities]
    bundle = "".join(f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n" for body in bodies)
    with zipfile.ZipFile(path, "w") as layer:
        layer.writestr("python/other", "x")
        if authorities:
            layer.writestr("certs/rds-ca.pem", bundle)
