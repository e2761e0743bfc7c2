"""The review: everything an update would do, and what of it somebody should look at first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ops.review import changes, migrations, permissions, reachability
from ops.review.words import plain, sentence, some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ops.review.changes import Change
    from ops.review.migrations import Migration
    from ops.review.permissions import PermissionChange
    from ops.review.preview import Preview, Resource
    from ops.review.reachability import Reachability

# What is said of an operation, in the order in which people want to know.
OPERATIONS: Final = {
    "delete": "deleted",
    "replace": "replaced",
    "update": "changed",
    "create": "created",
    "import": "imported",
    "forget": "forgotten, but left in the account",
}
SIGNS: Final = {"delete": "-", "replace": "±", "update": "~", "create": "+", "import": "→", "forget": "x", "same": " "}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One finding of a policy.

    Attributes:
        policy: The rule.
        level: `mandatory` blocks; `advisory` is told.
        urn: The resource.
        name: Its name, in words.
        message: What is wrong and what to do.
    """

    policy: str
    level: str
    urn: str
    name: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Attention:
    """Something to look at first.

    Attributes:
        grave: Whether it can lose data, open something up, or stops the update.
        text: What.
        section: Which part of the review has more: `changes`, `permissions`, `reachability`, `migrations`, `policies`.
    """

    grave: bool
    text: str
    section: str


@dataclass(frozen=True, kw_only=True)
class Group:
    """A component with what happens inside of it.

    Attributes:
        urn: The component.
        name: Its name.
        kind: What it is, in words.
        changes: What happens, parents first.
        unchanged: How many resources stay as they are.
    """

    urn: str
    name: str
    kind: str
    changes: tuple[Change, ...]
    unchanged: int

    @property
    def counts(self) -> Counter[str]:
        """Changes by operation."""
        return Counter(change.operation for change in self.changes)


@dataclass(frozen=True, kw_only=True)
class Review:
    """A review.

    Attributes:
        stack: The stack.
        target: Against what it was made.
        account: The account.
        region: The region.
        fresh: Whether nothing stands yet.
        resources: All resources, as they will be or were.
        operations: What happens to each, by URN.
        groups: The components that something happens in, the gravest first.
        permissions: Who gains or loses what.
        reachability: What can be reached from where.
        migrations: What happens to the data's tables.
        packs: The policy packs that judged, name to version.
        verdicts: What they found.
        notes: What the engine and the program warned of.
        attention: What to look at first, the gravest first.
    """

    stack: str
    target: str
    account: str
    region: str
    fresh: bool
    resources: Mapping[str, Resource]
    operations: Mapping[str, str]
    groups: tuple[Group, ...]
    permissions: tuple[PermissionChange, ...]
    reachability: Reachability
    migrations: tuple[Migration, ...]
    packs: Mapping[str, str]
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    attention: tuple[Attention, ...]

    @property
    def counts(self) -> Counter[str]:
        """Resources by operation; `same` among them."""
        return Counter(self.operations.values())

    @property
    def changed(self) -> bool:
        """Whether anything happens at all."""
        return any(operation != "same" for operation in self.operations.values())

    @property
    def blocked(self) -> bool:
        """Whether a policy stops the update."""
        return any(verdict.level == "mandatory" for verdict in self.verdicts)

    def name(self, urn: str) -> str:
        """A resource in words: its kind and its name."""
        resource = self.resources.get(urn)
        return f"{resource.kind} {resource.name}" if resource else urn.rpartition("::")[2] or urn


def build(
    preview: Preview,
    *,
    stack: str,
    target: str,
    account: str,
    region: str,
    packs: Mapping[str, str],
    findings: Sequence[Mapping[str, str]],
    operations: Callable[[str], Sequence[str]],
) -> Review:
    """Review a preview.

    Args:
        preview: What the engine said.
        stack: The stack's name.
        target: Where it stands, in words.
        account: Its account.
        region: Its region.
        packs: The policy packs that judged.
        findings: What they found, as `ops.engine.Observed` has it.
        operations: The operations of a service of AWS.
    """
    everything = {**preview.before, **preview.after}
    verdicts = tuple(
        Verdict(
            policy=finding["policy"],
            level=finding["level"],
            urn=finding["resource"],
            name=_name(everything.get(finding["resource"]), finding["resource"]),
            message=finding["message"],
        )
        for finding in sorted(findings, key=lambda finding: finding["level"] != "mandatory")
    )
    groups = tuple(_groups(preview, everything))
    told = permissions.changes(preview, operations, account)
    ways = reachability.changes(preview, account)
    steps = migrations.changes(preview)
    return Review(
        stack=stack,
        target=target,
        account=account,
        region=region,
        fresh=not preview.before,
        resources=everything,
        operations={urn: step.operation for urn, step in preview.steps.items()},
        groups=groups,
        permissions=tuple(told),
        reachability=ways,
        migrations=tuple(steps),
        packs=packs,
        verdicts=verdicts,
        notes=preview.warnings,
        attention=tuple(_attention(groups, told, ways, steps, verdicts, account)),
    )


def _name(resource: Resource | None, urn: str) -> str:
    return f"{resource.kind} {resource.name}" if resource else urn.rpartition("::")[2] or "the stack"


def _groups(preview: Preview, everything: Mapping[str, Resource]) -> list[Group]:
    members: dict[str, list[Change]] = {}
    for change in changes.changes(preview):
        members.setdefault(change.group, []).append(change)
    unchanged = Counter(
        changes.group(step.resource, everything) for step in preview.steps.values() if step.operation == "same"
    )
    order = {operation: at for at, operation in enumerate(OPERATIONS)}
    return sorted(
        (
            Group(
                urn=urn,
                name=everything[urn].name,
                kind=everything[urn].kind,
                changes=tuple(
                    sorted(found, key=lambda change: (order[change.operation], not change.resource.component))
                ),
                unchanged=unchanged[urn],
            )
            for urn, found in members.items()
        ),
        key=lambda group: min(order[change.operation] for change in group.changes),
    )


def _attention(
    groups: Sequence[Group],
    told: Sequence[PermissionChange],
    ways: Reachability,
    steps: Sequence[Migration],
    verdicts: Sequence[Verdict],
    account: str,
) -> list[Attention]:
    found = [
        *_of_policies(verdicts),
        *_of_changes([change for group in groups for change in group.changes]),
        *_of_migrations(steps),
        *_of_ways(ways),
        *_of_permissions(told, account),
    ]
    found = [replace(each, text=each.text[:1].upper() + each.text[1:]) for each in found]
    return sorted(found, key=lambda each: not each.grave)


def _of_policies(verdicts: Sequence[Verdict]) -> Iterator[Attention]:
    names = dict.fromkeys(verdict.policy for verdict in verdicts if verdict.level == "mandatory")
    if names:
        yield Attention(grave=True, text=f"policies stop this update: {', '.join(names)}.", section="policies")


def _of_changes(found: Sequence[Change]) -> Iterator[Attention]:
    for change in found:
        if change.operation in ("delete", "replace") and change.keeps_data:
            kept = change.resource.retained
            yield Attention(
                grave=not kept,
                text=f"the {change.resource.kind} {change.resource.name} is {OPERATIONS[change.operation]}"
                f"{f' ({change.because})' if change.because else ''}. What it holds "
                f"{'stays in the account' if kept else 'goes with it'}.",
                section="changes",
            )
    others = [
        change.resource
        for change in found
        if change.operation == "replace" and not change.keeps_data and not change.resource.component
    ]
    if others:
        names = some([f"{each.kind} {each.name}" for each in others], 5)
        yield Attention(grave=False, text=f"what cannot be changed in place is replaced: {names}.", section="changes")


def _of_migrations(steps: Sequence[Migration]) -> Iterator[Attention]:
    for step in steps:
        name = f"migration {step.revision} ({step.summary.rstrip('.')})"
        if step.judged != "safe":
            reason = f": {step.undecidable}" if step.undecidable else ""
            yield Attention(
                grave=step.judged in ("destructive", "undecidable", "incompatible"),
                text=f"{name} is {step.judged}{reason}.",
                section="migrations",
            )
        if step.state == "rewritten":
            yield Attention(
                grave=True,
                text=f"{name} is not the one that this stack has run: it was rewritten.",
                section="migrations",
            )


def _of_ways(ways: Reachability) -> Iterator[Attention]:
    names = list(dict.fromkeys(way.target for way in ways.gained if way.open))
    if names:
        yield Attention(
            # An API's paths are there to be reached; anything else that is open is worth a look.
            grave=any(" /" not in name for name in names),
            text=f"anybody on the internet can newly reach {some(names, 6)}.",
            section="reachability",
        )


def _of_permissions(told: Sequence[PermissionChange], account: str) -> Iterator[Attention]:
    for change in told:
        for said in change.gained:
            if said.notable:
                text = plain(sentence(said, change.holder, account))
                yield Attention(grave=True, text=f"{text}: {said.notable}.", section="permissions")
        if change.unknown:
            yield Attention(
                grave=True,
                text=f"what {change.holder.kind} {change.holder.name} allows cannot be told before the update: "
                f"{change.unknown[0]}.",
                section="permissions",
            )
