"""Whether two property values are the same to AWS, and which parts of them are not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.provider import schema, wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.provider.schema import ResourceType
    from sandbox.provider.table import Resource
    from sandbox.provider.wire import Path


NESTING = 6  # levels looked into; some types contain themselves


@dataclass(frozen=True, slots=True)
class Rules:
    """What is not told by values alone, by property paths without indexes (`vpcConfig.subnetIds`)."""

    sets: frozenset[str] = frozenset()
    documents: frozenset[str] = frozenset()
    arns: frozenset[str] = frozenset()
    maps: frozenset[str] = frozenset()

    @classmethod
    def of(cls, entry: Resource | None, type_: ResourceType) -> Rules:
        """The rules of an entry of the table; of a type that is not emulated, what its types say."""
        maps = _maps(type_)
        if entry is None:
            return cls(maps=maps)
        return cls(frozenset(entry.sets), frozenset(entry.documents), frozenset(entry.arns), maps)


_maps_of: dict[str, frozenset[str]] = {}


def _maps(type_: ResourceType) -> frozenset[str]:
    """The paths whose keys are the program's own, not names of properties."""
    if type_.token not in _maps_of:
        found = _map_paths(type_.inputs, "", NESTING)
        _maps_of[type_.token] = frozenset((*found, "tagsAll"))
    return _maps_of[type_.token]


def _map_paths(fields: Mapping[str, schema.Field], prefix: str, depth: int) -> Iterator[str]:
    for name, known in fields.items():
        kind = known.type.item if isinstance(known.type, schema.ListOf) else known.type
        if isinstance(kind, schema.MapOf):
            yield f"{prefix}{name}"
        elif isinstance(kind, schema.Object) and depth:
            yield from _map_paths(kind.fields, f"{prefix}{name}.", depth - 1)


def dotted(path: Path) -> str:
    """A path without its indexes."""
    return ".".join(part for part in path if isinstance(part, str))


def shown(path: Path) -> str:
    """A path as Pulumi writes it: `ingress[0].cidrBlocks`, `tags["a.b"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("_", "").replace("-", "").isalnum():
            text += f".{part}" if text else part
        else:
            text += f"[{json.dumps(part)}]"
    return text


def same(old: Any, new: Any, path: Path, rules: Rules) -> bool:
    """Whether two values mean the same there."""
    return next(differences(old, new, path, rules), None) is None


def differences(old: Any, new: Any, path: Path, rules: Rules) -> Iterator[tuple[Path, str]]:
    """The paths at which two values differ.

    Yields:
        (path, kind), where kind is add, delete or update.
    """
    if old is None or new is None:
        if old is not new:
            yield path, "add" if old is None else "delete"
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if not key.startswith("__"):
                yield from differences(old.get(key), new.get(key), (*path, key), rules)
    elif isinstance(old, list) and isinstance(new, list):
        yield from (_set if dotted(path) in rules.sets else _list)(old, new, path, rules)
    elif not _same_leaf(old, new, dotted(path), rules):
        yield path, "update"


def _list(old: list[Any], new: list[Any], path: Path, rules: Rules) -> Iterator[tuple[Path, str]]:
    for index in range(max(len(old), len(new))):
        before = old[index] if index < len(old) else None
        after = new[index] if index < len(new) else None
        yield from differences(before, after, (*path, index), rules)


def _set(old: list[Any], new: list[Any], path: Path, rules: Rules) -> Iterator[tuple[Path, str]]:
    left = list(old)
    added = []
    for index, item in enumerate(new):
        position = next((at for at, other in enumerate(left) if same(other, item, path, rules)), None)
        if position is None:
            added.append(index)
        else:
            del left[position]
    removed = [next(at for at, item in enumerate(old) if item is other) for other in left]
    for index in added:
        if index in removed:
            removed.remove(index)
            yield (*path, index), "update"
        else:
            yield (*path, index), "add"
    for index in removed:
        yield (*path, index), "delete"


def _same_leaf(old: Any, new: Any, path: str, rules: Rules) -> bool:
    if isinstance(old, wire.Asset | wire.Archive) and isinstance(new, type(old)) and old.digest and new.digest:
        return bool(old.digest == new.digest)
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    if old == new:
        return True
    if not (isinstance(old, str) and isinstance(new, str)):
        return False
    if path in rules.documents:
        return same_document(old, new)
    return path in rules.arns and _last(old) == _last(new)


def _last(identity: str) -> str:
    """What an ARN, an id or a name of one thing have in common: the last part."""
    return (
        identity.rpartition(":")[2].rpartition("/")[2] if identity.startswith("arn:") else identity.rpartition("/")[2]
    )


def same_document(old: str, new: str) -> bool:
    """Whether two JSON texts say the same; in policies, the order of a list and a list of one do not count."""
    try:
        before, after = json.loads(old or "null"), json.loads(new or "null")
    except ValueError:
        return old == new
    return bool(before == after or _policy(before) == _policy(after))


def _policy(document: Any) -> Any:
    if not isinstance(document, dict) or "Statement" not in document:
        return document
    statements = document["Statement"]
    statements = statements if isinstance(statements, list) else [statements]
    canonical = [
        {key: _element(key, value) for key, value in statement.items() if key != "Sid" or value}
        for statement in statements
    ]
    return {**document, "Statement": canonical}


def _element(key: str, value: Any) -> Any:
    if key in {"Principal", "NotPrincipal", "Condition"} and isinstance(value, dict):
        return {inner: _element("" if key == "Principal" else inner, item) for inner, item in value.items()}
    if key == "Principal" and value == "*":
        return {"AWS": ["*"]}
    if isinstance(value, dict):
        return {inner: _element(inner, item) for inner, item in value.items()}
    if isinstance(value, list):
        return sorted(_text(item) for item in value)
    return value if key in {"Sid", "Effect"} else [_text(value)]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def align(old: Any, read: Any, path: Path, rules: Rules) -> Any:
    """What the cloud says, in the words of the program: the old value where it means the same, otherwise what was read.

    Of an object, what the program did not give is left out, because AWS fills in more than one asks for.
    """
    if same(old, read, path, rules):
        return old
    if isinstance(old, dict) and isinstance(read, dict) and dotted(path) in rules.maps:
        return {
            key: align(old[key], value, (*path, key), rules) if key in old else value for key, value in read.items()
        }
    if isinstance(old, dict) and isinstance(read, dict):
        return {
            key: align(value, read[key], (*path, key), rules) if key in read else value
            for key, value in old.items()
            if key in read or _empty(value)
        }
    if isinstance(old, list) and isinstance(read, list):
        if dotted(path) in rules.sets:
            return _align_set(old, read, path, rules)
        return [
            align(old[index], item, (*path, index), rules) if index < len(old) else item
            for index, item in enumerate(read)
        ]
    return read


def _align_set(old: list[Any], read: list[Any], path: Path, rules: Rules) -> list[Any]:
    left = list(read)
    kept = []
    for item in old:
        position = next(
            (at for at, other in enumerate(left) if same(item, align(item, other, path, rules), path, rules)), None
        )
        if position is not None:
            del left[position]
            kept.append(item)
    return kept + left


def _empty(value: Any) -> bool:
    return value is None or value is False or value in ("", [], {}, 0)


def plain(value: Any) -> Any:
    """A value without the bridge's marks."""
    match value:
        case dict():
            return {key: plain(item) for key, item in value.items() if key != "__defaults"}
        case list():
            return [plain(item) for item in value]
    return value
