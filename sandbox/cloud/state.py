"""Snapshots: everything the emulator knows, saved whole or not at all.

A snapshot is a folder `state/<number>/` with a file per service, the services' bytes (code, layers, objects) by
content in `blobs/`, and `manifest.json`, which names and hashes every file and carries the caller's stamp. It is
written beside its place, synced and renamed; the one before it is removed after that. What is not whole, or not of
this format, is not loaded.
"""

# ruff: noqa: SLF001 — the emulator's stores are what is saved

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import shutil
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud import kept
from sandbox.cloud.patches import PINNED, expect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_log = logging.getLogger("sandbox.state")

_FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
_INLINE: Final = 4096  # bytes; what is longer goes to a blob
_TRIES: Final = 5
_S3_OBJECTS: Final = "s3-objects"
_KEPT: Final = "sandbox"
_S3_STORES: Final = (
    "_object_versions",
    "_object_tags",
    "_object_acl",
    "_object_annotations",
    "_object_retention",
    "_object_legal_hold",
)


class State:
    """The snapshots in a folder."""

    def __init__(self, folder: Path) -> None:
        """Describe the store; nothing is read."""
        self._folder = folder
        self.stamp: str | None = None

    # -- saving ------------------------------------------------------------------------------------------------------

    def collect(self) -> dict[str, Any]:
        """Copy the state of every service in use, at one moment.

        Raises:
            RuntimeError: if invocations kept changing it while it was copied.
        """
        from ministack import app

        services: dict[str, Callable[[], Any]] = expect(app, "_build_persistence_save_dict")()
        for left in reversed(range(_TRIES)):
            try:
                state = {name: get() for name, get in services.items() if name != "lambda"}
                state["lambda"] = self._lambda()
                state[_S3_OBJECTS] = self._s3_objects()
                state[_KEPT] = kept.collect()
            except RuntimeError:  # "dictionary changed size during iteration"
                if not left:
                    raise
            else:
                return {name: value for name, value in state.items() if value is not None}
        raise AssertionError

    def save(self, state: dict[str, Any], stamp: str) -> None:
        """Write a snapshot; may take a moment and runs beside requests.

        Args:
            state: from `collect`, not shared with anyone.
            stamp: what `stamp` answers from now on, and after a restart.

        Raises:
            OSError: if it could not be written; the snapshot before it is then still the last one.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        numbers = self._numbers()
        number = (numbers[-1] if numbers else 0) + 1
        partial = self._folder / f"{number}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            (partial / "blobs").mkdir(parents=True)
            writer = _Writer(partial, self._folder / str(numbers[-1]) if numbers else None)
            for name, value in state.items():
                writer.write(f"{name}.json", writer.encode(value))
            manifest = {"format": _FORMAT, "emulator": PINNED, "stamp": stamp, "files": writer.files}
            _sync_write(partial / _MANIFEST, json.dumps(manifest).encode())
            _sync_folder(partial / "blobs")
            _sync_folder(partial)
            partial.rename(self._folder / str(number))
            _sync_folder(self._folder)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        for old in numbers:
            shutil.rmtree(self._folder / str(old), ignore_errors=True)
        self.stamp = stamp

    # -- loading -----------------------------------------------------------------------------------------------------

    def load(self) -> bool:
        """Load the last snapshot, if there is one that is whole; say so if there is one that is not.

        Returns:
            Whether one was loaded.
        """
        for leftover in self._folder.glob("*.partial"):
            shutil.rmtree(leftover, ignore_errors=True)
        for number in reversed(self._numbers()):
            folder = self._folder / str(number)
            try:
                manifest, state = _read(folder)
            except (OSError, ValueError, KeyError, TypeError) as error:
                _log.warning("the snapshot %s is not usable (%s): it is left out", number, error)
                continue
            self._restore(state)
            self.stamp = manifest["stamp"]
            return True
        return False

    def _restore(self, state: dict[str, Any]) -> None:
        from ministack import app
        from ministack.services import rds

        names: dict[str, str] = expect(app, "_state_map")
        load: Callable[[str], Any] = expect(app, "_get_module", "name")
        objects = state.pop(_S3_OBJECTS, None)
        kept.restore(state.pop(_KEPT, {}))
        for name, value in state.items():
            if name == "rds":
                expect(rds, "_restore_state", "data")(value)  # the other entry looks for containers
            elif name in names:
                load(names[name]).load_persisted_state(value)
        if objects is not None:
            from ministack.services import s3

            for key, held in objects["objects"].items():
                account, _, bucket = key.partition("/")
                s3._buckets._data[account, bucket]["objects"].update(held)
            for store in _S3_STORES:
                getattr(s3, store).update(objects[store])

    # -- what the emulator does not give in one piece -----------------------------------------------------------------

    def _lambda(self) -> Any:
        """Return Lambda's state with the code in it; the emulator's own way writes files as it goes."""
        from ministack.services import lambda_svc

        state = {
            "functions": expect(lambda_svc, "_functions"),
            "layers": expect(lambda_svc, "_layers"),
            "esms": expect(lambda_svc, "_esms"),
            "function_urls": expect(lambda_svc, "_function_urls"),
            "kinesis_positions": expect(lambda_svc, "_kinesis_positions"),
            "dynamodb_stream_positions": expect(lambda_svc, "_dynamodb_stream_positions"),
        }
        import copy

        return copy.deepcopy(state)

    def _s3_objects(self) -> Any:
        """Return the objects of all buckets with their bodies, which the emulator leaves out of its state."""
        import copy

        from ministack.services import s3

        buckets = expect(s3, "_buckets")._data.items()
        objects = {f"{account}/{name}": bucket["objects"] for (account, name), bucket in list(buckets)}
        return copy.deepcopy({"objects": objects, **{store: expect(s3, store) for store in _S3_STORES}})

    def _numbers(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        return sorted(int(path.name) for path in self._folder.iterdir() if path.name.isdigit())


class _Writer:
    """Writes a snapshot's files; bytes that the previous one holds are linked, not written again."""

    def __init__(self, folder: Path, previous: Path | None) -> None:
        self._folder = folder
        self._previous = previous
        self.files: dict[str, str] = {}

    def encode(self, value: Any) -> bytes:
        return json.dumps(value, default=self._default).encode()

    def write(self, name: str, content: bytes) -> None:
        self.files[name] = hashlib.sha256(content).hexdigest()
        _sync_write(self._folder / name, content)

    def _default(self, value: Any) -> Any:
        from ministack.core.persistence import _json_default

        if isinstance(value, bytes) and len(value) > _INLINE:
            digest = hashlib.sha256(value).hexdigest()
            name = f"blobs/{digest}"
            if name not in self.files:
                self._link_or_write(name, value)
                self.files[name] = digest
            return {"__blob__": digest}
        if isinstance(value, bytes):
            return {"__bytes__": base64.b64encode(value).decode()}
        if isinstance(value, (set, frozenset)):
            return {"__set__": sorted(value)}
        return _json_default(value)

    def _link_or_write(self, name: str, content: bytes) -> None:
        if self._previous and (self._previous / name).is_file():
            try:
                os.link(self._previous / name, self._folder / name)
            except OSError:  # a file system without links
                pass
            else:
                return
        _sync_write(self._folder / name, content)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a snapshot, all of it before any of it is used.

    Raises:
        OSError: if a file is missing.
        ValueError: if a file is not what was written, or the format is another one.
    """
    from ministack.core.persistence import _json_object_hook

    manifest = json.loads((folder / _MANIFEST).read_bytes())
    if (manifest.get("format"), manifest.get("emulator")) != (_FORMAT, PINNED):
        msg = f"written in format {manifest.get('format')} by emulator {manifest.get('emulator')}"
        raise ValueError(msg)
    contents = {}
    for name, digest in manifest["files"].items():
        contents[name] = (folder / name).read_bytes()
        if hashlib.sha256(contents[name]).hexdigest() != digest:
            msg = f"{name} is damaged"
            raise ValueError(msg)

    def hook(item: dict[str, Any]) -> Any:
        if "__blob__" in item:
            return contents[f"blobs/{item['__blob__']}"]
        if "__set__" in item:
            return set(item["__set__"])
        return _json_object_hook(item)

    files = {name.removesuffix(".json"): body for name, body in contents.items() if name.endswith(".json")}
    return manifest, {name: json.loads(body, object_hook=hook) for name, body in files.items()}


def _sync_write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
