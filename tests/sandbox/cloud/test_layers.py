"""Layers are unpacked once and swapped only for one of the same requirements."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sandbox.cloud.layers import LayerError, Layers, Manifest, interpreter
from tests.sandbox.cloud.harness import zip_of

if TYPE_CHECKING:
    from pathlib import Path

VERSION, ARCHITECTURE = interpreter()


def layer(requirements: str, python: str = VERSION, architecture: str = ARCHITECTURE) -> bytes:
    """Return a layer's zip."""
    manifest = {"requirements": requirements, "python": python, "architecture": architecture}
    return zip_of({"python/.layer.json": json.dumps(manifest), "python/of.txt": f"{requirements} {python}"})


def test_a_layer_for_this_interpreter_is_used_as_it_is(tmp_path: Path) -> None:
    """Without a word."""
    folder, note = Layers(tmp_path, None).place("arn", layer("same"))
    assert (folder / "python" / "of.txt").read_text() == f"same {VERSION}"
    assert note is None


def test_a_stand_in_has_the_same_requirements_and_this_interpreter(tmp_path: Path) -> None:
    """Neither alone is enough, and what is no zip is passed over."""
    directory = tmp_path / "layers"
    directory.mkdir()
    (directory / "a.zip").write_bytes(layer("other"))
    (directory / "b.zip").write_bytes(layer("same", python="3.98"))
    (directory / "c.zip").write_bytes(b"no zip")
    layers = Layers(tmp_path / "cache", directory)
    with pytest.raises(LayerError, match="same requirements"):
        layers.place("arn", layer("same", python="3.99"))
    (directory / "d.zip").write_bytes(layer("same"))
    folder, note = layers.place("arn", layer("same", python="3.99"))
    assert (folder / "python" / "of.txt").read_text() == f"same {VERSION}"
    assert note is not None
    assert "d.zip" in note


def test_another_architecture_is_another_layer(tmp_path: Path) -> None:
    """Native parts do not run on it."""
    with pytest.raises(LayerError, match="none was given"):
        Layers(tmp_path, None).place("arn", layer("same", architecture="other"))


def test_the_same_bytes_are_unpacked_once(tmp_path: Path) -> None:
    """Workers share the folder."""
    layers = Layers(tmp_path, None)
    folder = layers.unpack(layer("same"))
    (folder / "mark").touch()
    assert layers.unpack(layer("same")) == folder
    assert (folder / "mark").exists()


def test_a_manifest_that_cannot_be_read_is_none() -> None:
    """Then the layer is taken as pure Python."""
    assert Manifest.of(b"no zip") is None
    assert Manifest.of(zip_of({"python/.layer.json": "[]"})) is None
    assert Manifest.of(zip_of({"python/module.py": ""})) is None
