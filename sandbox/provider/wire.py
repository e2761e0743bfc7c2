"""Property values as Python: what a `google.protobuf.Struct` means to Pulumi, both ways.

Values become plain `dict`, `list`, `str`, `int`, `float`, `bool` and `None`; an unknown becomes `UNKNOWN`; assets and
archives become
their own frozen classes. Secretness is kept beside the value, as paths, so that the provider computes with plain
values and an error message can still tell what it must not print. Signatures: pulumi's `sdk/go/common/resource/sig`.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from google.protobuf import struct_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 (a signature)
ASSET: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"
RESOURCE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN_STRING: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS: Final = frozenset(
    {
        UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # of a boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # of a number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # of an array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # of an asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # of an archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # of an object
    }
)

Path = tuple[str | int, ...]


class Unknown:
    """A value that only an update will know; there is one, `UNKNOWN`."""

    def __repr__(self) -> str:
        return "unknown"

    def __bool__(self) -> bool:
        return False

    def __deepcopy__(self, _memo: dict[int, Any]) -> Unknown:
        return self


UNKNOWN: Final = Unknown()
_ZIP_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


class ContentError(Exception):
    """An asset or archive cannot be read; the message names it."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A blob: its text, or where it is. `digest` is the engine's SHA-256, by which two are compared."""

    text: str | None = None
    path: str | None = None
    uri: str | None = None
    digest: str = field(default="", compare=True)

    def content(self) -> bytes:
        """The bytes.

        Raises:
            ContentError: the file cannot be read, or the URI is not a file's.
        """
        return self.text.encode() if self.text is not None else _read(self.path, self.uri)


@dataclass(frozen=True, slots=True)
class Archive:
    """A tree of blobs: a zip file, a directory, or named parts."""

    assets: tuple[tuple[str, Asset | Archive], ...] | None = None
    path: str | None = None
    uri: str | None = None
    digest: str = ""

    def content(self) -> bytes:
        """The archive as a zip: the file itself where it is one, otherwise one made of names and contents alone.

        Raises:
            ContentError: a part cannot be read.
        """
        if self.assets is None and not (self.path and FilePath(self.path).is_dir()):
            return _read(self.path, self.uri)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
            for name, content in sorted(self._entries("")):
                entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                target.writestr(entry, content)
        return buffer.getvalue()

    def _entries(self, prefix: str) -> Iterable[tuple[str, bytes]]:
        if self.assets is not None:
            for name, part in self.assets:
                if isinstance(part, Asset):
                    yield prefix + name, part.content()
                else:
                    yield from part._entries(f"{prefix}{name}/")  # noqa: SLF001 (same class)
        elif self.path and FilePath(self.path).is_dir():
            root = FilePath(self.path)
            for file in sorted(root.rglob("*")):
                if file.is_file():
                    yield prefix + file.relative_to(root).as_posix(), file.read_bytes()
        else:
            with zipfile.ZipFile(io.BytesIO(_read(self.path, self.uri))) as source:
                for entry in source.infolist():
                    if not entry.is_dir():
                        yield prefix + entry.filename, source.read(entry)


def _read(path: str | None, uri: str | None) -> bytes:
    if path is None and uri is not None and urlsplit(uri).scheme == "file":
        path = url2pathname(urlsplit(uri).path)
    if path is None:
        raise ContentError(
            f"cannot read the asset {uri!r}: only files and file:// addresses are read; download it first"
        )
    try:
        return FilePath(path).read_bytes()
    except OSError as error:
        raise ContentError(f"cannot read the asset {path!r}: {error.strerror}") from error


@dataclass(slots=True)
class Document:
    """Property values, and the paths of those that are secret."""

    values: dict[str, Any] = field(default_factory=dict)
    secrets: set[Path] = field(default_factory=set)


def decode(struct: struct_pb2.Struct) -> Document:
    """The properties of a request."""
    document = Document()
    document.values = {
        key: _decode(value, (key,), document.secrets)
        for key, value in struct.fields.items()
        if not value.HasField("null_value")
    }
    return document


def _decode(value: struct_pb2.Value, path: Path, secrets: set[Path]) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_decode(item, (*path, index), secrets) for index, item in enumerate(value.list_value.values)]
        case "struct_value":
            return _decode_struct(value.struct_value, path, secrets)
    return None


def _decode_struct(struct: struct_pb2.Struct, path: Path, secrets: set[Path]) -> Any:
    fields = struct.fields
    match fields[SIGNATURE].string_value if SIGNATURE in fields else "":
        case "":
            return {key: _decode(item, (*path, key), secrets) for key, item in fields.items()}
        case signature if signature == SECRET:
            secrets.add(path)
            return _decode(fields["value"], path, secrets)
        case signature if signature == OUTPUT:
            if "secret" in fields and fields["secret"].bool_value:
                secrets.add(path)
            return _decode(fields["value"], path, secrets) if "value" in fields else UNKNOWN
        case signature if signature == RESOURCE:
            identity = fields["id"] if "id" in fields else fields["urn"]
            return _decode(identity, path, secrets)
        case signature if signature == ASSET:
            return Asset(
                _text(fields, "text"), _text(fields, "path"), _text(fields, "uri"), _text(fields, "hash") or ""
            )
        case signature if signature == ARCHIVE:
            parts = None
            if "assets" in fields:
                items = fields["assets"].struct_value.fields.items()
                parts = tuple(
                    sorted(((name, _decode(item, path, secrets)) for name, item in items), key=lambda part: part[0])
                )
            return Archive(parts, _text(fields, "path"), _text(fields, "uri"), _text(fields, "hash") or "")
    raise ValueError(f"{'.'.join(map(str, path))}: a value with an unrecognised signature")


def _text(fields: Mapping[str, struct_pb2.Value], key: str) -> str | None:
    return fields[key].string_value if key in fields else None


def encode(values: Mapping[str, Any], secrets: Iterable[Path] = ()) -> struct_pb2.Struct:
    """The properties of an answer, each path of `secrets` (or the nearest ancestor that exists) wrapped as a secret."""
    marked = {_nearest(values, path) for path in secrets}
    struct = struct_pb2.Struct()
    for key, value in values.items():
        if value is not None:
            struct.fields[key].CopyFrom(_encode(value, (key,), marked))
    return struct


def _nearest(values: Any, path: Path) -> Path:
    for depth, step in enumerate(path):
        items = dict(enumerate(values)) if isinstance(values, list) else values
        if not isinstance(items, dict) or step not in items:
            return path[:depth]
        values = items[step]
    return path


def _encode(value: Any, path: Path, secrets: set[Path]) -> struct_pb2.Value:
    encoded = _encode_plain(value, path, secrets)
    if path not in secrets:
        return encoded
    wrapped = struct_pb2.Value()
    wrapped.struct_value.fields[SIGNATURE].string_value = SECRET
    wrapped.struct_value.fields["value"].CopyFrom(encoded)
    return wrapped


def _encode_plain(value: Any, path: Path, secrets: set[Path]) -> struct_pb2.Value:
    encoded = struct_pb2.Value()
    match value:
        case None:
            encoded.null_value = struct_pb2.NULL_VALUE
        case Unknown():
            encoded.string_value = UNKNOWN_STRING
        case bool():
            encoded.bool_value = value
        case int() | float():
            encoded.number_value = value
        case str():
            encoded.string_value = value
        case dict():
            encoded.struct_value.SetInParent()
            for key, item in value.items():
                encoded.struct_value.fields[key].CopyFrom(_encode(item, (*path, key), secrets))
        case list() | tuple():
            encoded.list_value.SetInParent()
            encoded.list_value.values.extend(_encode(item, (*path, index), secrets) for index, item in enumerate(value))
        case Asset() | Archive():
            fields = encoded.struct_value.fields
            fields[SIGNATURE].string_value = ASSET if isinstance(value, Asset) else ARCHIVE
            for key, text in (("path", value.path), ("uri", value.uri), ("hash", value.digest or None)):
                if text is not None:
                    fields[key].string_value = text
            if isinstance(value, Asset):
                if value.text is not None:
                    fields["text"].string_value = value.text
            elif value.assets is not None:
                fields["assets"].struct_value.SetInParent()
                for name, part in value.assets:
                    fields["assets"].struct_value.fields[name].CopyFrom(_encode_plain(part, path, set()))
        case _:
            raise TypeError(f"{'.'.join(map(str, path))}: {type(value).__name__} is not a property value")
    return encoded


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal, as the engine hashes an asset."""
    return hashlib.sha256(content).hexdigest()


def has_unknown(value: Any) -> bool:
    """Whether any part of the value is unknown."""
    match value:
        case Unknown():
            return True
        case dict():
            return any(map(has_unknown, value.values()))
        case list():
            return any(map(has_unknown, value))
    return False
