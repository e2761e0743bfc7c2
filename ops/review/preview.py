"""Reading the engine's preview: `pulumi preview --json --show-sames`.

The digest is read and not the event stream, because only the digest says from which resources a property comes: before
the update ids are not known, and a security group is then nothing but that.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# How the engine writes what is only known after the update (`computedValuePlaceholder` in its pkg/resource/stack).
PLACEHOLDER: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SECRET: Final = "[secret]"  # noqa: S105 what the engine writes in place of one
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"  # marks assets and archives in its JSON
_ROOT: Final = "pulumi:pulumi:Stack"


class Later:
    """Stands for a value that is known after the update; there is one, `LATER`."""

    def __repr__(self) -> str:
        return "LATER"


LATER: Final = Later()


class PreviewError(ValueError):
    """The text is no preview."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource before or after the update.

    Attributes:
        urn: Its URN.
        type: Its type token, such as `aws:rds/instance:Instance`.
        name: Its logical name.
        parent: The URN of the component that it belongs to; empty at the top.
        id: What AWS calls it; empty before it exists.
        inputs: What is declared, `LATER` where that is not known yet.
        dependencies: The resources it comes after.
        sources: The resources that each property comes from.
        protect: Whether the engine refuses to delete it.
        retained: Whether it stays in the account when the stack lets go of it.
    """

    urn: str
    type: str
    name: str
    parent: str = ""
    id: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    protect: bool = False
    retained: bool = False

    @property
    def kind(self) -> str:
        """What it is, in words: `security group`."""
        return words(self.type.rpartition(":")[2])

    @property
    def component(self) -> bool:
        """Whether it only groups others."""
        return not self.type.startswith(("aws:", "pulumi:")) and "/" not in self.type

    @property
    def label(self) -> str:
        """What people call it: its physical name, or else its logical one."""
        for key in ("name", "identifier", "bucket"):
            value = self.inputs.get(key)
            if isinstance(value, str) and value and not value.startswith("/"):
                return value
        return self.name


@dataclass(frozen=True, kw_only=True)
class Step:
    """What happens to one resource.

    Attributes:
        operation: `create`, `update`, `replace`, `delete`, `import`, `forget` or `same`.
        before: The resource as it stands; None when it is new.
        after: As it will be; None when it goes.
        because: The properties that make a replacement necessary.
        paths: Where the provider sees a difference, by its own count.
    """

    operation: str
    before: Resource | None
    after: Resource | None
    because: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @property
    def resource(self) -> Resource:
        """The resource, as it will be if it stays."""
        found = self.after or self.before
        assert found  # noqa: S101 a step without either is not read
        return found


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A preview: a step for each resource, in the order of their URNs.

    Attributes:
        steps: By URN.
        warnings: What the engine and the program warned of.
    """

    steps: Mapping[str, Step]
    warnings: tuple[str, ...] = ()

    @property
    def before(self) -> dict[str, Resource]:
        """The stack as it stands."""
        return {urn: step.before for urn, step in self.steps.items() if step.before}

    @property
    def after(self) -> dict[str, Resource]:
        """The stack as it will be."""
        return {urn: step.after for urn, step in self.steps.items() if step.after}


_OPERATIONS: Final = {
    "create": "create",
    "update": "update",
    "delete": "delete",
    "same": "same",
    "read": "same",
    "refresh": "same",
    "import": "import",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "read-replacement": "replace",
    "import-replacement": "replace",
    "discard": "forget",
    "discard-replaced": "forget",
    "remove-pending-replace": "same",
}


def read(text: str) -> Preview:
    """Read a preview.

    Args:
        text: What `pulumi preview --json` prints.

    Raises:
        PreviewError: It is something else.
    """
    try:
        document = json.loads(text)
        parts: dict[str, list[Step]] = {}
        for entry in document.get("steps") or ():
            step = _step(entry)
            if step.resource.type != _ROOT and not step.resource.type.startswith("pulumi:providers:"):
                parts.setdefault(step.resource.urn, []).append(step)
        warnings = [
            " ".join(entry["message"].removeprefix("warning: ").split())
            for entry in document.get("diagnostics") or ()
            if entry.get("severity") == "warning"
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PreviewError(f"the engine's preview is not readable: {type(error).__name__}: {error}") from error
    return Preview(
        steps={urn: _merge(parts[urn]) for urn in sorted(parts)},  # the engine's order is another each time
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _step(entry: Mapping[str, Any]) -> Step:
    before, after = (_resource(entry[key]) if entry.get(key) else None for key in ("oldState", "newState"))
    if before is None and after is None:
        raise ValueError(f"the step of {entry.get('urn')} has no state")  # to leave it out would be to say "no change"
    operation = _OPERATIONS.get(entry["op"], entry["op"])
    if before and after and operation in ("same", "update"):
        after = replace(after, id=before.id)  # before the step has run, the engine's new state has none
    return Step(
        operation=operation,
        before=None if operation == "create" else before,
        after=None if operation in ("delete", "forget") else after,
        because=tuple(entry.get("replaceReasons") or ()),
        paths=tuple(entry.get("detailedDiff") or entry.get("diffReasons") or ()),
    )


def _merge(steps: list[Step]) -> Step:
    """One step of the two or three that replace a resource."""
    if len(steps) == 1:
        return steps[0]
    return Step(
        operation="replace" if any(step.operation == "replace" for step in steps) else steps[-1].operation,
        before=next((step.before for step in steps if step.before), None),
        after=next((step.after for step in steps if step.after), None),
        because=tuple(dict.fromkeys(key for step in steps for key in step.because)),
        paths=tuple(dict.fromkeys(path for step in steps for path in step.paths)),
    )


def _resource(state: Mapping[str, Any]) -> Resource:
    urn = state["urn"]
    identifier = state.get("id") or ""
    return Resource(
        urn=urn,
        type=state["type"],
        name=urn.rpartition("::")[2],
        parent="" if (state.get("parent") or "").rpartition("::")[0].endswith(_ROOT) else state.get("parent") or "",
        id="" if identifier == PLACEHOLDER else identifier,
        inputs=value(state.get("inputs") or {}),
        dependencies=tuple(state.get("dependencies") or ()),
        sources={key: tuple(urns or ()) for key, urns in (state.get("propertyDependencies") or {}).items()},
        protect=bool(state.get("protect")),
        retained=bool(state.get("retainOnDelete")),
    )


def value(raw: Any) -> Any:
    """A value of the digest as people mean it: `LATER` in place of placeholders, one word for an asset."""
    if isinstance(raw, str):
        return LATER if raw == PLACEHOLDER else raw
    if isinstance(raw, list):
        return [value(item) for item in raw]
    if isinstance(raw, dict):
        if _SIGNATURE in raw:
            return f"file sha256 {str(raw.get('hash', '?'))[:12]}"
        # The engine's and the provider's own notes.
        return {key: value(item) for key, item in raw.items() if not key.startswith("__")}
    return raw


def words(name: str) -> str:
    """A type's name in words: `SecurityGroup` is a security group, `HttpApi` an HTTP API."""
    name = re.sub(r"[vV]2$", "", name)
    parts = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z][a-z]*|\d+|[a-z]+", name)
    short = {"vpc": "VPC", "api": "API", "http": "HTTP", "iam": "IAM"}
    return " ".join(filter(None, (short.get(part.lower(), part.lower()) for part in parts)))


def walk(resources: Mapping[str, Resource], kind: str) -> Iterator[Resource]:
    """The resources of a type, by the end of its token: `iam/role:Role`."""
    return (resource for resource in resources.values() if resource.type == f"aws:{kind}")


def sources(resource: Resource, key: str, among: Mapping[str, Resource], *kinds: str) -> list[Resource]:
    """The resources of some types that a property names.

    By what it says where that is known (an id, a name, an ARN), else by where it comes from.

    Args:
        resource: Whose property it is.
        key: The property; `vpcConfig.securityGroupIds` for one inside another.
        among: The stack.
        kinds: Ends of type tokens, such as `iam/role:Role`.
    """
    types = {f"aws:{kind}" for kind in kinds}
    said: Any = resource.inputs
    for part in key.split("."):
        said = said.get(part) if isinstance(said, dict) else None
    texts = [text for text in (said if isinstance(said, list) else [said]) if isinstance(text, str)]
    unknown = said is LATER or (isinstance(said, list) and any(item is LATER for item in said))
    declared = [among[urn] for urn in resource.sources.get(key.split(".", maxsplit=1)[0], ()) if urn in among]
    candidates = [each for each in (*declared, *among.values()) if each.type in types]
    found = [each for text in texts for each in candidates if named(each, text)]
    if unknown or (texts and not found and len(declared) == 1):
        found += [each for each in declared if each.type in types]
    return list({each.urn: each for each in found}.values())


def named(resource: Resource, text: str) -> bool:
    """Whether a text is a resource's id, name or ARN (of a version or an alias of it, too)."""
    name = resource.inputs.get("name")
    if text in {resource.id, name} - {"", None, LATER}:
        return True
    if not text.startswith("arn:") or not isinstance(name, str):
        return False
    return re.search(rf"[:/]{re.escape(name)}(?:[:/]|$)", text) is not None
