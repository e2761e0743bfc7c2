"""What a rule is, what it says, and how it is run so that neither an unknown nor a crash becomes a pass."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from .unknown import Unknown, UnknownRead, known


class Level(Enum):
    """How a finding acts."""

    MANDATORY = "mandatory"
    """Blocks, on every stack."""
    PROTECTED = "protected"
    """Blocks on protected stacks, advises elsewhere."""
    ADVISORY = "advisory"
    """Is shown, and blocks nothing."""


class Verdict(Enum):
    """What a rule found out. A resource without a problem has passed."""

    FAIL = "fail"
    UNDECIDABLE = "undecidable"
    CRASH = "crash"


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """A resource as rules see it.

    Attributes:
        urn: its URN, which is also where the stack's name comes from.
        type: its type token, for example `aws:rds/instance:Instance`.
        name: its logical name.
        properties: plain values with `Unknown` in place: inputs after the provider's check for a resource rule,
            outputs for a stack rule.
        dependencies: for stack rules, the resources that each property comes from.
    """

    urn: str
    type: str
    name: str
    properties: Mapping[str, Any]
    dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def stack(self) -> str:
        """The name of its stack: `urn:pulumi:STACK::PROJECT::TYPES::NAME`."""
        return stack_of(self.urn)

    def read(self, name: str) -> Any:
        """A top-level property, None where it is absent.

        Raises:
            UnknownRead: if it is there and not known yet.
        """
        return known(self.properties.get(name))


def stack_of(urn: str) -> str:
    """The stack's name in a URN; empty where the text is no URN."""
    head, _, _ = urn.partition("::")
    return head.removeprefix("urn:pulumi:") if head.startswith("urn:pulumi:") else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What a check yields.

    Attributes:
        path: the property that is at fault.
        message: what is wrong, with the value received where it can hold no secret.
        remedy: what to do, if there is something better to say here than the rule's own remedy.
        verdict: FAIL, or UNDECIDABLE for a part that could not be judged while others can.
        level: another level than the rule's.
    """

    path: str
    message: str
    remedy: str | None = None
    verdict: Verdict = Verdict.FAIL
    level: Level | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A problem, with all that a report needs.

    Attributes:
        level: MANDATORY or ADVISORY: what it is on this resource's stack.
    """

    rule: str
    level: Level
    verdict: Verdict
    urn: str
    path: str
    message: str
    remedy: str

    @property
    def text(self) -> str:
        """The message shown under the rule's description: the place and the value, then the remedy."""
        place = f"{self.path}: " if self.path else ""
        return f"{place}{self.message}\nRemedy: {self.remedy}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the pack's configuration decides.

    Attributes:
        protected: names of protected stacks; `*` and `?` are wildcards.
        undecidable: where an undecidable finding blocks: `protected` stacks, `always` or `never`.
    """

    protected: tuple[str, ...] = ("staging", "prod")
    undecidable: str = "protected"

    def protects(self, stack: str) -> bool:
        """Whether a stack is protected. One without a name is: what cannot be told is not waved through."""
        from fnmatch import fnmatchcase

        return not stack or any(fnmatchcase(stack, pattern) for pattern in self.protected)

    def level(self, level: Level, verdict: Verdict, stack: str) -> Level:
        """The level of a finding on a stack: MANDATORY or ADVISORY."""
        if verdict is Verdict.CRASH:
            return Level.MANDATORY
        if verdict is Verdict.UNDECIDABLE:
            # An advisory rule stays advisory: what it would say if it could tell blocks nothing either.
            where = {"always": Level.MANDATORY, "never": Level.ADVISORY}.get(self.undecidable, Level.PROTECTED)
            level = Level.ADVISORY if level is Level.ADVISORY else where
        if level is Level.PROTECTED:
            return Level.MANDATORY if self.protects(stack) else Level.ADVISORY
        return level


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A resource that a rule blocks, or lets pass; tests run every one through the SDK.

    Attributes:
        type: its type token.
        properties: its inputs.
        siblings: other resources of the stack, for a stack rule.
    """

    type: str
    properties: Mapping[str, Any]
    siblings: tuple[Example, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule over one resource. It guards data or traffic: the engine stops the resource before it changes.

    Attributes:
        id: the policy's name; reports, configuration and exemptions use it.
        what: the rule in one sentence, shown above each finding.
        why: what happens where it is broken.
        remedy: what to do about it.
        types: the type tokens it looks at.
        check: yields the problems of one resource. It may read unknowns (that becomes an undecidable finding) and
            yields what it knows before it does.
        good: an example that passes.
        bad: an example that is blocked.
        level: how its findings act.
        references: controls of CIS, AWS FSBP and NIST, and documentation.
    """

    id: str
    what: str
    why: str
    remedy: str
    types: frozenset[str]
    check: Callable[[Resource], Iterable[Problem]]
    good: Example
    bad: Example
    level: Level = Level.MANDATORY
    references: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StackRule:
    """A rule that needs a resource's siblings. It runs after all steps: it fails a preview, not an update under way.

    The attributes are those of `Rule`, but `check` also gets every resource of the stack.
    """

    id: str
    what: str
    why: str
    remedy: str
    types: frozenset[str]
    check: Callable[[Resource, Mapping[str, Resource]], Iterable[Problem]]
    good: Example
    bad: Example
    level: Level = Level.MANDATORY
    references: tuple[str, ...] = ()


def judge(
    rule: Rule | StackRule,
    resource: Resource,
    settings: Settings,
    stack: Mapping[str, Resource] | None = None,
) -> list[Finding]:
    """Runs one rule on one resource.

    Args:
        rule: the rule; one that does not look at this type finds nothing.
        resource: the resource.
        settings: the pack's configuration.
        stack: every resource by URN, for a stack rule.

    Returns:
        Its findings. An unknown that the check read is an undecidable one; an exception is a mandatory one, and both
        stand beside what the check had found before.
    """
    if resource.type not in rule.types:
        return []
    return [
        Finding(
            rule=rule.id,
            level=settings.level(problem.level or rule.level, problem.verdict, resource.stack),
            verdict=problem.verdict,
            urn=resource.urn,
            path=problem.path,
            message=problem.message,
            remedy=problem.remedy or rule.remedy,
        )
        for problem in _problems(rule, resource, stack or {})
    ]


def _problems(rule: Rule | StackRule, resource: Resource, stack: Mapping[str, Resource]) -> Iterator[Problem]:
    try:
        yield from rule.check(resource) if isinstance(rule, Rule) else rule.check(resource, stack)
    except UnknownRead as unknown:
        yield undecidable(unknown.path)
    except Exception as error:  # noqa: BLE001 -- a crash must block, whatever it is
        yield Problem(
            path="",
            # Type and place, not the text: an exception may quote the value that it tripped over.
            message=f"rule {rule.id} failed on {resource.name} ({resource.type}): {_describe(error)}",
            remedy="This is a fault of the rule, not of the resource. Report it; nothing passes unjudged meanwhile.",
            verdict=Verdict.CRASH,
        )


def undecidable(path: str) -> Problem:
    """The problem of a value that is not known yet."""
    return Problem(
        path=path,
        message="the value is not known before the update, so the rule cannot judge it",
        remedy="Build it from values that are known (project, stack, account, region) instead of another resource's "
        "outputs.",
        verdict=Verdict.UNDECIDABLE,
    )


def unknown_paths(value: Any) -> Iterator[str]:
    """The places inside plain values that are not known."""
    if isinstance(value, Unknown):
        yield value.path
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from unknown_paths(item)
    elif isinstance(value, list):
        for item in value:
            yield from unknown_paths(item)


def _describe(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
