"""What happens to which resource, property by property."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ops.review import grants
from ops.review.preview import LATER, SECRET
from policies.guardrails.iam import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ops.review.preview import Preview, Resource, Step

PLAN: Final = "product-api:index:MigrationPlan"


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""Stands for a value where there is none."""


@dataclass(frozen=True, kw_only=True)
class Property:
    """A property that changes.

    Attributes:
        path: Where it stands, as `environment.variables.LOG_LEVEL`.
        old: What is there; `ABSENT` where it is new.
        new: What will be; `ABSENT` where it goes, `LATER` where that is not known yet.
        replaces: Whether the change makes the replacement necessary.
        note: What to read in place of the values; empty where they say it best.
    """

    path: str
    old: Any
    new: Any
    replaces: bool = False
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happens to one resource.

    Attributes:
        resource: The resource, as it will be if it stays.
        operation: `create`, `update`, `replace`, `delete`, `import` or `forget`.
        group: The component that it belongs to.
        properties: What changes of it.
        because: Why it is replaced, in words; empty where it is not.
        keeps_data: Whether it holds data that a deletion or a replacement takes away.
    """

    resource: Resource
    operation: str
    group: str
    properties: tuple[Property, ...] = ()
    because: str = ""
    keeps_data: bool = False


# What is gone with it when it is deleted.
DATA: Final = frozenset(
    "rds/instance:Instance rds/cluster:Cluster s3/bucket:Bucket s3/bucketV2:BucketV2 "  # noqa: SIM905
    "dynamodb/table:Table kms/key:Key secretsmanager/secret:Secret efs/fileSystem:FileSystem backup/vault:Vault "
    "cloudwatch/logGroup:LogGroup rds/snapshot:Snapshot".split()
)
# What the provider writes beside what was declared.
_COMPUTED: Final = frozenset({"tagsAll"})


def changes(preview: Preview) -> list[Change]:
    """Every resource that does not stay as it is."""
    stack = {**preview.before, **preview.after}
    found = []
    for step in preview.steps.values():
        if step.operation == "same":
            continue
        resource = step.resource
        found.append(
            Change(
                resource=resource,
                operation=step.operation,
                group=group(resource, stack),
                properties=tuple(_properties(step)),
                because=_because(step, preview),
                keeps_data=resource.type.removeprefix("aws:") in DATA,
            )
        )
    return found


def group(resource: Resource, stack: Mapping[str, Resource]) -> str:
    """The URN of the outermost component that a resource belongs to; its own where it is none's."""
    while resource.parent in stack:
        resource = stack[resource.parent]
    return resource.urn


def _because(step: Step, preview: Preview) -> str:
    if step.operation != "replace":
        return ""
    if step.because:
        return f"{' and '.join(step.because)} cannot be changed in place"
    upstream = [
        preview.steps[urn].resource.name
        for urn in step.resource.dependencies
        if urn in preview.steps and preview.steps[urn].operation == "replace"
    ]
    return f"it depends on {' and '.join(upstream)}, which is replaced" if upstream else "the provider asks for it"


def _properties(step: Step) -> Iterator[Property]:
    if not (step.before and step.after):
        return
    told = set()
    for path, old, new in differences(step.before.inputs, step.after.inputs):
        top = _top(path)
        if top in told or (top in _COMPUTED and "tags" in step.after.inputs):
            continue
        if step.resource.type == PLAN:
            continue  # a section of its own tells it
        if step.paths and not any(_touch(path, other) for other in step.paths):
            continue  # the provider knows that it is none: the order of a set, another spelling of a default
        whole = step.before.inputs.get(top, ABSENT), step.after.inputs.get(top, ABSENT)
        note = _document(*whole)
        if note:
            told.add(top)  # by what it means, elsewhere, and not line by line
        yield Property(path=top if note else path, old=old, new=new, replaces=top in step.because, note=note)
    told |= {_top(path) for path, _, _ in differences(step.before.inputs, step.after.inputs)} | _COMPUTED
    # What only the provider sees: a secret's new value, or that the account has something else than was declared.
    for path in step.paths:
        old, new = _at(step.before.inputs, path), _at(step.after.inputs, path)
        if (old == SECRET == new or _top(path) not in told) and step.resource.type != PLAN:
            yield Property(path=path, old=old, new=new, replaces=_top(path) in step.because)


def _touch(one: str, other: str) -> bool:
    """Whether one path is the other, or leads to it."""
    first, second = (re.findall(r"[^.\[\]\"]+", path) for path in (one, other))
    common = min(len(first), len(second))
    return first[:common] == second[:common]


def _top(path: str) -> str:
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def _at(value: Any, path: str) -> Any:
    """What stands at a path of the provider's, as `environment.variables.KEY` or `rules[0].port`."""
    for part in re.findall(r"[^.\[\]\"]+", path):
        if isinstance(value, dict):
            value = value.get(part, ABSENT)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return value if value == SECRET else ABSENT
    return value


def _document(old: Any, new: Any) -> str:
    """What to say of a property that is an IAM document; empty for any other."""
    parsed = [each for each in (_json(old), _json(new)) if isinstance(each, dict) and "Statement" in each]
    if not parsed:
        return ""
    if len(parsed) < 2:
        return "an IAM document; see who may do what"
    kinds = {"Principal", "NotPrincipal"} & {key for each in parsed for key in _statement_keys(each)}
    kind = Kind.RESOURCE if kinds else Kind.IDENTITY
    if grants.difference(grants.reading(old, kind), grants.reading(new, kind)):
        return "an IAM document; see who may do what"
    return "an IAM document; worded differently, it means the same"


def _statement_keys(document: Mapping[str, Any]) -> Iterator[str]:
    statements = document["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        if isinstance(statement, dict):
            yield from statement


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two values differ: path, old, new; as deep as both have the same shape.

    Texts that are JSON are compared by what they say.
    """
    parsed = _json(old), _json(new)
    if parsed[0] is not None and parsed[1] is not None:
        yield from differences(*parsed, path)
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differences(old.get(key, ABSENT), new.get(key, ABSENT), f"{path}.{key}" if path else str(key))
    elif isinstance(old, list) and isinstance(new, list) and _complex(old) and _complex(new):
        for index in range(max(len(old), len(new))):
            one, other = (items[index] if index < len(items) else ABSENT for items in (old, new))
            yield from differences(one, other, f"{path}[{index}]")
    elif not same(old, new):
        yield path, old, new


def same(old: Any, new: Any) -> bool:
    """Whether two values are one; what is only known later is like nothing else."""
    return type(old) is type(new) and old == new if isinstance(old, bool) or isinstance(new, bool) else bool(old == new)


def _complex(items: list[Any]) -> bool:
    return any(isinstance(item, dict | list) for item in items) or not items


def _json(value: Any) -> Any:
    """What a text of JSON says, if it says a thing with parts."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return None
    try:
        found = json.loads(value)
    except ValueError:
        return None
    return found if isinstance(found, dict | list) else None


def shown(value: Any, limit: int = 120) -> str:
    """A value as people read it, in one line of at most `limit` characters."""
    if value is ABSENT:
        return "nothing"
    if value is LATER:
        return "known after the update"
    if value == SECRET:
        return "secret (hidden)"
    text = value if isinstance(value, str) else json.dumps(value, default=_plain, ensure_ascii=False)
    text = " ".join(text.split()) or '""'
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _plain(value: object) -> str:
    return "known after the update" if value is LATER else repr(value)
