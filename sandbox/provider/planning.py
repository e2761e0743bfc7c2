"""What needs no AWS: Check, Diff and previews, for every type; the table adds what the SDK's types do not say."""

from __future__ import annotations

import hashlib
import re
import secrets as randomness
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.provider import compare, mapping, resource, schema, wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sandbox.provider.schema import ResourceType
    from sandbox.provider.table import Resource
    from sandbox.provider.wire import Document, Path

NAME_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Naming:
    """How a name that the program does not give is made.

    Attributes:
        logical: the resource's name in the program.
        seed: the engine's, so that one update proposes the same name twice.
        proposed: the engine's own proposal, from the project's autonaming configuration.
        enforced: whether no other name will do.
        disabled: whether the program must give every name.
    """

    logical: str
    seed: bytes = b""
    proposed: str = ""
    enforced: bool = False
    disabled: bool = False

    def make(self) -> str:
        """`<logical>-<7 hex digits>`, or what the configuration proposes."""
        if self.proposed:
            return self.proposed
        digits = hashlib.sha256(self.seed).hexdigest()[:7] if self.seed else randomness.token_hex(4)[:7]
        return f"{self.logical[: NAME_LENGTH - 8]}-{digits}"


@dataclass(slots=True)
class Plan:
    """The checked inputs, which of their paths are secret, and what is wrong."""

    inputs: dict[str, Any]
    secrets: set[Path]
    failures: list[tuple[Path, str]] = field(default_factory=list)


def check(
    type_: ResourceType,
    entry: Resource | None,
    news: Document,
    olds: Document,
    naming: Naming,
    config: ProviderDefaults,
) -> Plan:
    """Check a program's inputs and fill in what the official provider does: names, defaults, tags, region.

    Args:
        type_: of the SDK.
        entry: of the table, None for a type that is not emulated.
        news: the program's inputs.
        olds: the former checked inputs; empty for a new resource.
        naming: for a name that is not given.
        config: what the provider's configuration adds.
    """
    given = {name: value for name, value in news.values.items() if name != "tagsAll"}
    checked = schema.check(type_, given, news.secrets)
    plan = Plan(checked.values, set(news.secrets), checked.failures)
    defaulted = _name(type_, entry, plan, olds.values, naming)
    defaulted += _defaults(entry, plan.inputs)
    if "region" in type_.inputs and not plan.inputs.get("region") and config.region is not None:
        plan.inputs["region"] = config.region
    if "tagsAll" in type_.outputs and ("tags" in type_.inputs):
        tags = plan.inputs.get("tags")
        unknown = wire.has_unknown(tags) or wire.has_unknown(config.tags)
        merged = {} if unknown else {**config.tags, **(tags if isinstance(tags, dict) else {})}
        kept = {key: text for key, text in merged.items() if not config.ignores(key)}
        plan.inputs["tagsAll"] = wire.UNKNOWN if unknown else kept
        plan.secrets |= {("tagsAll", *path[1:]) for path in news.secrets if path[:1] == ("tags",)}
    if entry is not None and not plan.failures:
        plan.failures += _beyond_types(type_, entry, plan)
    _mark_defaults(plan.inputs, type_.inputs)
    plan.inputs["__defaults"] = sorted(defaulted)
    return plan


@dataclass(frozen=True, slots=True)
class ProviderDefaults:
    """What a provider's configuration adds to every resource; parts may be unknown in a preview."""

    region: Any = None
    tags: Any = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    ignored_prefixes: tuple[str, ...] = ()

    def ignores(self, key: str) -> bool:
        """Whether a tag is none of the provider's business."""
        return key in self.ignored or key.startswith(self.ignored_prefixes)


def name_property(type_: ResourceType, entry: Resource | None) -> str:
    """The property that names the resource; "" when there is none."""
    if entry is not None:
        return entry.name
    return "name" if "name" in type_.inputs else ""


def _name(
    type_: ResourceType, entry: Resource | None, plan: Plan, olds: Mapping[str, Any], naming: Naming
) -> list[str]:
    name = name_property(type_, entry)
    if not name or name in plan.inputs or plan.inputs.get(f"{name}Prefix") is not None:
        return []
    former = olds.get(name)
    if former is not None and name in olds.get("__defaults", ()):
        plan.inputs[name] = former
    elif naming.disabled:
        plan.failures.append(((name,), "missing; automatic naming is disabled in the project, so give the name"))
        return []
    else:
        made = naming.logical if entry is not None and entry.exact else naming.make()
        plan.inputs[name] = made if naming.enforced or entry is None else entry.named(made)
    return [name]


def _defaults(entry: Resource | None, inputs: dict[str, Any]) -> list[str]:
    if entry is None:
        return []
    filled = []
    for path, value in entry.defaults.items():
        *parents, last = path.split(".")
        targets: list[Any] = [inputs]
        for parent in parents:
            targets = [inner for target in targets for inner in _as_list(target.get(parent)) if isinstance(inner, dict)]
        for target in targets:
            if target.get(last) is None:
                target[last] = value
                if parents:
                    target.setdefault("__defaults", []).append(last)
                else:
                    filled.append(last)
    return filled


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _mark_defaults(inputs: dict[str, Any], fields: Mapping[str, schema.Field]) -> None:
    """Every nested object has a `__defaults`, as the bridge leaves it."""
    for name, known in fields.items():
        for item in _as_list(inputs.get(name)):
            kind = known.type.item if isinstance(known.type, schema.ListOf) else known.type
            if isinstance(item, dict) and isinstance(kind, schema.Object):
                item.setdefault("__defaults", [])
                _mark_defaults(item, kind.fields)


def _beyond_types(type_: ResourceType, entry: Resource, plan: Plan) -> Iterator[tuple[Path, str]]:
    hidden = {path[0] for path in plan.secrets}
    seen: set[Path] = set()
    for step in entry.calls:
        shape = mapping.operation_model(entry.service, step.operation).input_shape
        names = {**entry.names, **step.names}
        for name, members in resource.carried(entry, type_, step).items():
            value = plan.inputs.get(name)
            if not members or value is None or name in entry.allowed or name in entry.ranges:
                continue
            member = shape
            for part in members:
                member = member.members[part]
            for path, reason in mapping.validate(value, member, (name,), names):
                if path not in seen:
                    seen.add(path)
                    yield path, "the secret value is not allowed" if name in hidden else reason
    yield from _tabled(entry, plan.inputs)


def _tabled(entry: Resource, inputs: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for dotted, allowed in entry.allowed.items():
        for path, value in _at(inputs, dotted.split("."), ()):
            if value not in allowed:
                yield path, f"{value!r} is not allowed; expected one of {', '.join(map(str, allowed))}"
    for dotted, (low, high) in entry.ranges.items():
        for path, value in _at(inputs, dotted.split("."), ()):
            if not low <= value <= high:
                yield path, f"{value} is out of range; allowed is {mapping.bounds(low, high)}"
    if entry.verify is not None:
        yield from ((tuple(name.split(".")), reason) for name, reason in entry.verify(inputs))


def _at(value: Any, parts: list[str], path: Path) -> Iterator[tuple[Path, Any]]:
    """The known values at a dotted path, through lists."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _at(item, parts, (*path, index))
    elif not parts:
        if value is not None and not wire.has_unknown(value):
            yield path, value
    elif isinstance(value, dict) and parts[0] in value:
        yield from _at(value[parts[0]], parts[1:], (*path, parts[0]))


@dataclass(slots=True)
class Difference:
    """What an update would do.

    Attributes:
        changes: path → add, delete or update.
        replaces: the properties that need a new resource.
        delete_first: whether the old one must go before the new one can be, for both would have one name.
    """

    changes: dict[Path, str] = field(default_factory=dict)
    replaces: set[str] = field(default_factory=set)
    delete_first: bool = False


def diff(
    type_: ResourceType,
    entry: Resource | None,
    old_inputs: Mapping[str, Any],
    news: Mapping[str, Any],
    state: Mapping[str, Any],
    ignored: Iterable[str] = (),
) -> Difference:
    """What differs between the former inputs and the new ones, to AWS.

    Args:
        type_: of the SDK.
        entry: of the table.
        old_inputs: former checked inputs.
        news: new checked inputs.
        state: former outputs.
        ignored: the program's `ignore_changes`, property paths.
    """
    rules = compare.Rules.of(entry, type_)
    difference = Difference()
    tops = {re.split(r"[.\[]", path, maxsplit=1)[0] for path in ignored if "." not in path and "[" not in path}
    for name in sorted((old_inputs.keys() | news.keys()) - {"__defaults"} - tops):
        old, new = old_inputs.get(name), news.get(name)
        if new is None and (type_.computed(name) or old in (None, "", [], {}, False)):
            continue  # what is not asked for is left to AWS
        if old is None and new is not None:
            had = state.get(name)
            if had is not None:
                old = compare.align(new, had, (name,), rules)
            elif new in ("", [], {}, False) or (
                entry is not None and compare.same(entry.initial.get(name), new, (name,), rules)
            ):
                continue
        for path, kind in compare.differences(old, new, (name,), rules):
            if kind == "delete" and _computed_inside(type_, path):
                continue
            difference.changes[path] = kind
    replacing = {*entry.replacing(news), "region"} if entry is not None else {"region"}
    name = name_property(type_, entry)
    if entry is None and name:
        replacing.add(name)  # nearly always so; a type that is not emulated cannot be updated anyway
    for path in difference.changes:
        dotted = compare.dotted(path)
        if path[0] in replacing or any(dotted == one or dotted.startswith(f"{one}.") for one in replacing):
            difference.replaces.add(str(path[0]))
    difference.delete_first = bool(difference.replaces) and _same_place(entry, name, old_inputs, news)
    return difference


def _computed_inside(type_: ResourceType, path: Path) -> bool:
    """Whether a nested property that is no longer given is AWS's to fill in."""
    known = type_.outputs.get(str(path[0]))
    if known is None or len(path) == 1:
        return False
    kind: schema.Type = known.type
    required = known.required
    for part in path[1:]:
        if isinstance(part, int) and isinstance(kind, schema.ListOf):
            kind, required = kind.item, False
        elif isinstance(part, str) and isinstance(kind, schema.Object) and part in kind.fields:
            required, kind = kind.fields[part].required, kind.fields[part].type
        else:
            return False
    return required


def _same_place(entry: Resource | None, name: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Whether a replacement would stand where the old one stands: a fixed name that is kept, or an id made of names."""
    if name and name in news:
        return name not in news.get("__defaults", ()) and olds.get(name) == news[name]
    if entry is None or "{" not in entry.id:
        return False
    parts = re.findall(r"\{(\w+)\}", entry.id)
    return all(olds.get(part) == news.get(part) and part in news for part in parts)


def preview(type_: ResourceType, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs that a creation is sure of, and unknowns for the rest."""
    outputs = {
        name: compare.plain(value) for name, value in inputs.items() if name in type_.outputs and value is not None
    }
    for name in type_.outputs:
        if name not in outputs and type_.computed(name):
            outputs[name] = wire.UNKNOWN
    return outputs


def preview_update(
    type_: ResourceType,
    entry: Resource | None,
    state: Mapping[str, Any],
    old_inputs: Mapping[str, Any],
    news: Mapping[str, Any],
) -> dict[str, Any]:
    """The outputs after an update: the former ones under the new inputs, those unknown that the update makes anew."""
    rules = compare.Rules.of(entry, type_)
    outputs = {name: value for name, value in state.items() if name in type_.outputs}
    changed = set()
    for name in (old_inputs.keys() | news.keys()) - {"__defaults"}:
        if not compare.same(old_inputs.get(name), news.get(name), (name,), rules):
            changed.add(name)
            if name in type_.outputs:
                if name in news:
                    outputs[name] = compare.plain(news[name])
                elif not type_.computed(name):
                    outputs.pop(name, None)
        elif name in outputs and isinstance(news.get(name), wire.Asset | wire.Archive):
            # Of a former file the engine hands over the hash alone, which no program can read.
            outputs[name] = news[name]
    if entry is not None:
        for name, causes in entry.recomputed.items():
            if changed & set(causes) or ("*" in causes and changed - {"tags", "tagsAll", *entry.local}):
                outputs[name] = wire.UNKNOWN
    for name in type_.outputs:
        if name not in outputs and type_.computed(name):
            outputs[name] = wire.UNKNOWN
    return outputs
