"""The difference of IAM documents by what they allow, not by their text.

A document becomes a set of atoms, each one action on one resource for one principal under one set of conditions. Order,
splitting into statements, the letter case of actions and a string in place of a list vanish there. One atom covers
another when every request that the other lets through, it lets through as well. What has been gained is what no atom
of before covers; what has been lost, what none of after covers. A Deny counts the other way round.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

from policies.guardrails.iam import Kind, read
from policies.guardrails.iam.patterns import covers_everything, covers_everything_in, matches, split_action
from policies.guardrails.unknown import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from policies.guardrails.iam.document import Condition, Principal, Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One line of a condition, in a form that is the same for all its spellings.

    Attributes:
        operator: In small letters.
        qualifier: `foranyvalue`, `forallvalues` or empty.
        if_exists: Whether it also holds where the key is absent.
        key: In small letters.
        values: Any of them fulfils it, or with a negative operator: none may.
        shown: The key as it was written.
    """

    operator: str
    qualifier: str = ""
    if_exists: bool = False
    key: str
    values: frozenset[str]
    shown: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class But:
    """Everything but these patterns: NotAction, NotResource, NotPrincipal."""

    patterns: frozenset[str]


Scope = str | But


@dataclass(frozen=True, slots=True, kw_only=True)
class Atom:
    """The smallest thing that a statement says.

    Attributes:
        allows: Whether it is an Allow.
        principal: `TYPE TEXT`, such as `Service lambda.amazonaws.com`; `*` for anybody; empty in an identity's policy.
        action: In small letters.
        resource: Empty in a trust policy.
        when: All of these must hold.
        shown: The action as it was written.
    """

    allows: bool
    principal: Scope = ""
    action: Scope
    resource: Scope
    when: frozenset[Clause] = frozenset()
    shown: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What documents say together.

    Attributes:
        atoms: What is known.
        unknown: What is not, in words.
    """

    atoms: frozenset[Atom] = frozenset()
    unknown: tuple[str, ...] = ()

    def __or__(self, other: Reading) -> Reading:
        return Reading(atoms=self.atoms | other.atoms, unknown=(*self.unknown, *other.unknown))


# --- reading ---------------------------------------------------------------------------------------------------------


def reading(source: object, kind: Kind) -> Reading:
    """Read a document.

    Args:
        source: JSON text or the object itself, or `Unknown`.
        kind: Where it stands.
    """
    if isinstance(source, Unknown):
        return Reading(unknown=("the document is known after the update",))
    document = read(source, kind)
    unknown = [f"the document{f' at {d.pointer}' if d.pointer else ''} {d.message}" for d in document.defects]
    atoms: set[Atom] = set()
    pointers = [pointer for pointer in document.unknowns if not pointer.endswith("/Sid")]
    unknown += [f"{pointer or 'the document'} is known after the update" for pointer in pointers]
    for statement in document.statements:
        # What is partly unknown is said to be so, and not judged by its other half.
        if not any(pointer.startswith(f"{statement.pointer}/") for pointer in pointers):
            atoms |= set(_atoms(statement))
    return Reading(atoms=frozenset(atoms), unknown=tuple(unknown))


def _atoms(statement: Statement) -> Iterable[Atom]:
    when = frozenset(_clause(condition) for condition in statement.conditions)
    actions: list[tuple[Scope, str]] = [(item.text.lower(), item.text) for item in statement.actions]
    if statement.not_actions:
        actions.append((But(frozenset(item.text.lower() for item in statement.not_actions)), ""))
    resources: list[Scope] = [item.text for item in statement.resources]
    if statement.not_resources:
        resources.append(But(frozenset(item.text for item in statement.not_resources)))
    principals: list[Scope] = [_principal(each) for each in statement.principals]
    if statement.not_principals:
        principals.append(But(frozenset(_principal(each) for each in statement.not_principals)))
    for principal, (action, shown), resource in product(principals or [""], actions, resources or [""]):
        yield Atom(
            allows=statement.allows, principal=principal, action=action, shown=shown, resource=resource, when=when
        )


def _principal(principal: Principal) -> str:
    if principal.type == "*" or (principal.type == "AWS" and covers_everything(principal.text)):
        return "*"
    # An account is written by its number or by the ARN of its root: one and the same.
    text = f"arn:aws:iam::{principal.text}:root" if re.fullmatch(r"\d{12}", principal.text) else principal.text
    return f"{principal.type} {text}"


# Two names for one comparison: "ArnEquals and ArnLike behave identically" (IAM user guide).
_SYNONYMS = {"arnequals": "arnlike", "arnnotequals": "arnnotlike"}


def _clause(condition: Condition) -> Clause:
    return Clause(
        operator=_SYNONYMS.get(condition.operator, condition.operator),
        qualifier=condition.qualifier,
        if_exists=condition.if_exists,
        key=condition.key,
        values=frozenset(condition.values or ()),
        shown=condition.pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~"),
    )


# --- who covers whom -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=65536)
def includes(wide: str, narrow: str) -> bool:
    """Whether every text of pattern `narrow` is one of pattern `wide`."""
    if not {"*", "?"} & set(narrow):
        return matches(wide, narrow)
    wide, narrow = _canonical(wide), _canonical(narrow)
    states = _closure({0}, wide)
    for symbol in narrow:
        following = set()
        for at in states:
            if at == len(wide):
                continue
            if wide[at] == "*":
                following.add(at)
            elif symbol != "*" and wide[at] in ("?", symbol):
                following.add(at + 1)
        states = _closure(following, wide)
    return len(wide) in states


def _closure(states: set[int], pattern: str) -> set[int]:
    """The states, and those behind a `*`, which may stand for nothing."""
    reached = set(states)
    for at in states:
        end = at
        while end < len(pattern) and pattern[end] == "*":
            end += 1
            reached.add(end)
    return reached


def _canonical(pattern: str) -> str:
    """One spelling for runs of wildcards: `*?` and `?**` are `?*`."""
    return re.sub(r"[*?]+", lambda run: "?" * run[0].count("?") + ("*" if "*" in run[0] else ""), pattern)


@lru_cache(maxsize=65536)
def overlaps(one: str, other: str) -> bool:
    """Whether two patterns have a text in common."""
    pending, seen = [(0, 0)], set()
    while pending:
        at, by = pending.pop()
        if (at, by) in seen:
            continue
        seen.add((at, by))
        if at == len(one) and by == len(other):
            return True
        if at < len(one) and one[at] == "*":
            pending += [(at + 1, by)] + ([(at, by + 1)] if by < len(other) else [])
        if by < len(other) and other[by] == "*":
            pending += [(at, by + 1)] + ([(at + 1, by)] if at < len(one) else [])
        if at < len(one) and by < len(other) and (one[at] == other[by] or "?" in (one[at], other[by])):
            pending.append((at + 1, by + 1))
    return False


def _scope_covers(wide: Scope, narrow: Scope, everything: Callable[[str], bool]) -> bool:
    if isinstance(wide, str):
        return everything(wide) or (isinstance(narrow, str) and includes(wide, narrow))
    if isinstance(narrow, str):
        return not any(overlaps(pattern, narrow) for pattern in wide.patterns)
    return all(any(includes(out, pattern) for out in narrow.patterns) for pattern in wide.patterns)


def _principal_covers(wide: Scope, narrow: Scope) -> bool:
    if isinstance(wide, str):
        return wide in ("*", narrow)
    if isinstance(narrow, str):
        return narrow != "*" and narrow not in wide.patterns
    return wide.patterns <= narrow.patterns


_PATTERNED = {"stringlike": {"stringlike", "stringequals"}, "arnlike": {"arnlike"}}
_POSITIVE = frozenset("stringequals stringlike stringequalsignorecase arnlike ipaddress bool binaryequals".split())  # noqa: SIM905
_NEGATIVE = frozenset("stringnotequals stringnotlike stringnotequalsignorecase arnnotlike notipaddress".split())  # noqa: SIM905


def _implied(weak: Clause, strong: Clause) -> bool:
    """Whether `weak` holds wherever `strong` does."""
    if (weak.key, weak.qualifier) != (strong.key, strong.qualifier) or (strong.if_exists and not weak.if_exists):
        return False
    if strong.operator in _PATTERNED.get(weak.operator, ()):
        return all(any(includes(wide, text) for wide in weak.values) for text in strong.values)
    if weak.operator != strong.operator:
        return False
    if weak.operator in _POSITIVE:
        return strong.values <= weak.values
    if weak.operator in _NEGATIVE:
        return weak.values <= strong.values
    return weak.values == strong.values


def covers(wide: Atom, narrow: Atom) -> bool:
    """Whether `wide` speaks of every request that `narrow` speaks of; whether they allow or deny is not asked."""
    return (
        _principal_covers(wide.principal, narrow.principal)
        and _scope_covers(wide.action, narrow.action, lambda text: covers_everything_in(text, ":"))
        and _scope_covers(wide.resource, narrow.resource, lambda text: covers_everything_in(text, ":/"))
        and all(any(_implied(weak, strong) for strong in narrow.when) for weak in wide.when)
    )


# --- the difference --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What has changed between two readings.

    Attributes:
        gained: Allows that are new.
        lost: Allows that are gone.
        freed: Denies that are gone, which is a gain.
        barred: Denies that are new, which is a loss.
        unknown_before: What of before is not known.
        unknown_after: What of after is not known.
    """

    gained: frozenset[Atom]
    lost: frozenset[Atom]
    freed: frozenset[Atom]
    barred: frozenset[Atom]
    unknown_before: tuple[str, ...] = ()
    unknown_after: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any((self.gained, self.lost, self.freed, self.barred, self.unknown_before, self.unknown_after))


def difference(before: Reading, after: Reading) -> Difference:
    """Compare what was allowed with what will be."""
    old, new = _effective(before.atoms), _effective(after.atoms)
    added, removed = _beyond(new, old), _beyond(old, new)
    return Difference(
        gained=frozenset(atom for atom in added if atom.allows),
        lost=frozenset(atom for atom in removed if atom.allows),
        freed=frozenset(atom for atom in removed if not atom.allows),
        barred=frozenset(atom for atom in added if not atom.allows),
        unknown_before=before.unknown,
        unknown_after=after.unknown,
    )


def _effective(atoms: frozenset[Atom]) -> frozenset[Atom]:
    """Without the allows that a deny takes back whole."""
    denies = [atom for atom in atoms if not atom.allows]
    return frozenset(atom for atom in atoms if not (atom.allows and any(covers(deny, atom) for deny in denies)))


def _beyond(these: frozenset[Atom], those: frozenset[Atom]) -> frozenset[Atom]:
    """Those of `these` that none of `those` covers."""
    return frozenset(
        atom
        for atom in these - those
        if not any(other.allows == atom.allows and covers(other, atom) for other in those)
    )


# --- in lines that people read ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Line:
    """Atoms that are said in one breath.

    Attributes:
        principals: Who, in a trust or a resource's policy.
        actions: Which actions; `all but …` where they are given by exception.
        resources: On what.
        when: Under which conditions, in words.
        named: The operations that a wildcard newly covers.
        instead_of: What stood there before, where this widens it.
    """

    principals: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    when: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    instead_of: tuple[str, ...] = ()


def lines(
    atoms: Iterable[Atom],
    against: Iterable[Atom] = (),
    operations: Callable[[str], Sequence[str]] = lambda _: (),
) -> list[Line]:
    """Put atoms together again into as few lines as say the same.

    Args:
        atoms: What is to be said.
        against: What was there before, to tell what a wider atom widens.
        operations: The operations of a service, to name what a wildcard covers.
    """
    before = [atom for atom in against if atom.allows]
    loose: dict[tuple[Any, ...], Line] = {}
    for atom in atoms:
        narrower = [old for old in before if old != atom and covers(atom, old)]
        line = Line(
            principals=(_scope(atom.principal),) if atom.principal else (),
            actions=(atom.shown or _scope(atom.action),),
            resources=(_scope(atom.resource),) if atom.resource else (),
            when=tuple(sorted(map(clause_in_words, atom.when))),
            named=_newly_named(atom, before, operations),
            instead_of=tuple(sorted({_narrower(atom, old) for old in narrower})),
        )
        loose[line.principals, line.actions, line.resources, line.when, line.named, line.instead_of] = line
    found = list(loose.values())
    for element in ("actions", "resources", "principals"):
        found = _joined(found, element)
    return sorted(found, key=lambda line: (line.principals, line.resources, line.actions, line.when))


def _joined(loose: list[Line], element: str) -> list[Line]:
    """Lines that differ in one element only, as one line."""
    groups: dict[Line, set[str]] = {}
    for line in loose:
        groups.setdefault(replace(line, **{element: ()}), set()).update(getattr(line, element))
    return [replace(line, **{element: tuple(sorted(texts))}) for line, texts in groups.items()]


def _scope(scope: Scope) -> str:
    return scope if isinstance(scope, str) else f"all but {', '.join(sorted(scope.patterns))}"


def _narrower(wide: Atom, old: Atom) -> str:
    """In which respect an atom was narrower."""
    parts = []
    if wide.action != old.action:
        parts.append(old.shown or _scope(old.action))
    if wide.resource != old.resource:
        parts.append(f"on {_scope(old.resource)}")
    if wide.principal != old.principal:
        parts.append(f"for {_scope(old.principal)}")
    if wide.when != old.when:
        parts.append(f"only when {' and '.join(sorted(map(clause_in_words, old.when - wide.when)))}")
    return " ".join(parts)


def _newly_named(atom: Atom, before: Sequence[Atom], operations: Callable[[str], Sequence[str]]) -> tuple[str, ...]:
    """The operations that a wildcard covers, and nothing before did."""
    if not isinstance(atom.action, str) or not {"*", "?"} & set(atom.action):
        return ()
    service, name = split_action(atom.action)
    if {"*", "?"} & set(service) or (covers_everything(name) and not any(covers(atom, old) for old in before)):
        return ()  # "every action" says it
    return tuple(
        f"{service}:{operation}"
        for operation in operations(service)
        if matches(name, operation.lower())
        and not any(covers(old, replace(atom, action=f"{service}:{operation.lower()}")) for old in before)
    )


_OPERATORS = {
    "stringequals": "is",
    "stringnotequals": "is not",
    "stringequalsignorecase": "is, in any letter case,",
    "stringnotequalsignorecase": "is not, in any letter case,",
    "stringlike": "is like",
    "stringnotlike": "is not like",
    "arnlike": "is like",
    "arnnotlike": "is not like",
    "bool": "is",
    "ipaddress": "is within",
    "notipaddress": "is not within",
    "numericequals": "is",
    "numericnotequals": "is not",
    "numericlessthan": "is below",
    "numericlessthanequals": "is at most",
    "numericgreaterthan": "is above",
    "numericgreaterthanequals": "is at least",
    "dateequals": "is",
    "datenotequals": "is not",
    "datelessthan": "is before",
    "datelessthanequals": "is not after",
    "dategreaterthan": "is after",
    "dategreaterthanequals": "is not before",
    "binaryequals": "is",
}


def clause_in_words(clause: Clause) -> str:
    """A condition as people read it: `aws:SourceAccount is 123456789012`."""
    name = clause.shown or clause.key
    key = {"foranyvalue": f"any of {name}", "forallvalues": f"every {name}"}.get(clause.qualifier, name)
    if clause.operator == "null":
        return f"{key} is {'absent' if 'true' in clause.values else 'present'}"
    said = f"{key} {_OPERATORS[clause.operator]} {' or '.join(sorted(clause.values))}"
    return f"{said} (or absent)" if clause.if_exists else said
