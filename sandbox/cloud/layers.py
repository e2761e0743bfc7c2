"""Layers: unpacked once per content, and swapped for the interpreter at hand.

A layer with native parts belongs to one runtime and architecture. Its manifest, `python/.layer.json`, says which, and
which requirements it was built from; a function whose layer is for another interpreter gets the layer of the same
requirements that was built for this one.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
import sys
import threading
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_MANIFEST: Final = "python/.layer.json"
_ARCHITECTURES: Final = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64", "AMD64": "x86_64"}


class LayerError(RuntimeError):
    """No layer for this interpreter; the message says what is missing and how it comes to be."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a layer's zip says of itself."""

    requirements: str
    python: str
    architecture: str

    @classmethod
    def of(cls, zipped: bytes | Path) -> Manifest | None:
        """Read a zip's manifest; None when it has none or cannot be read."""
        try:
            with zipfile.ZipFile(io.BytesIO(zipped) if isinstance(zipped, bytes) else zipped) as archive:
                read = json.loads(archive.read(_MANIFEST))
            return cls(requirements=read["requirements"], python=read["python"], architecture=read["architecture"])
        except (KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile):
            return None

    def __str__(self) -> str:
        return f"python{self.python} {self.architecture}"


def interpreter() -> tuple[str, str]:
    """Return the version and architecture that functions run on here, e.g. ("3.11", "x86_64")."""
    machine = platform.machine()
    return f"{sys.version_info.major}.{sys.version_info.minor}", _ARCHITECTURES.get(machine, machine)


class Layers:
    """The layers that functions of this process use."""

    def __init__(self, cache: Path, directory: Path | None) -> None:
        """Describe where layers are unpacked and found.

        Args:
            cache: this process's own folder.
            directory: zips to choose from when a layer is for another interpreter.
        """
        self._cache = cache
        self._directory = directory
        self._lock = threading.Lock()

    def place(self, arn: str, zipped: bytes) -> tuple[Path, str | None]:
        """Unpack a layer, or the one that stands in for it.

        Args:
            arn: the layer version's name in messages.
            zipped: its content.

        Returns:
            The folder that AWS would merge into /opt, and a note when another layer stands in.

        Raises:
            LayerError: if it is for another interpreter and none stands in.
        """
        manifest = Manifest.of(zipped)
        if manifest is None or (manifest.python, manifest.architecture) == interpreter():
            return self.unpack(zipped), None
        version, architecture = interpreter()
        here = Manifest(requirements=manifest.requirements, python=version, architecture=architecture)
        for path in sorted(self._directory.glob("*.zip")) if self._directory else ():
            if Manifest.of(path) == here:
                note = f"sandbox: layer {arn} is for {manifest}; {path.name} ({here}, same requirements) stands in"
                return self.unpack(path.read_bytes()), note
        msg = (
            f"layer {arn} is for {manifest}, this machine runs functions on {here}, "
            f"and no zip in {self._directory or 'the layers folder (none was given)'} has the same requirements "
            f"({manifest.requirements[:12]}) for it: build that layer"
        )
        raise LayerError(msg)

    def unpack(self, zipped: bytes) -> Path:
        """Unpack a zip once; functions share the folder and may not write to it on AWS either."""
        target = self._cache / hashlib.sha256(zipped).hexdigest()[:32]
        with self._lock:
            if not target.is_dir():
                partial = target.with_suffix(".partial")
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir(parents=True)
                with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
                    archive.extractall(partial)
                partial.rename(target)
        return target
