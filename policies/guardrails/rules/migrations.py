"""Rules on the plan of migrations that a release carries.

The plan is the inputs of a component: `base`, `digest`, and `revisions`, each with `revision`, `downRevision`,
`summary` and `sql`.
A revision whose SQL is only known when it runs has `undecidable`, the reason, beside an empty `sql`. Resource rules see
a component's inputs; a stack rule would see what it registered as outputs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .. import sql
from ..rule import Example, Problem, Resource, Rule, undecidable
from ..sql.judge import UNREADABLE
from ..unknown import Unknown, known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PLAN = "product-api:index:MigrationPlan"

_Step = tuple[str, str, bool]
"""A revision's name, its SQL as far as it is known, and whether that is all that it runs."""


@lru_cache(maxsize=4)
def _judged(steps: tuple[_Step, ...]) -> tuple[tuple[sql.Finding, ...], ...]:
    """Judges the revisions in order, each on the schema that those before have left; once for all rules."""
    judge = sql.Judge()
    found: list[tuple[sql.Finding, ...]] = []
    for revision, text, complete in steps:
        found.append(tuple(judge.judge(text, revision)))
        if not complete:
            judge.skip()
    return tuple(found)


def _revisions(resource: Resource) -> Iterator[tuple[str, str, Mapping[str, Any] | None]]:
    """Property path, name and content of each revision; None for one that is not in the plan's form."""
    revisions = resource.read("revisions")
    if not isinstance(revisions, list):
        yield "revisions", "", None
        return
    for index, item in enumerate(revisions):
        path = f"revisions[{index}]"
        content = known(item)
        text = content.get("sql") if isinstance(content, dict) else None
        if not isinstance(content, dict) or not isinstance(content.get("revision"), str):
            yield path, "", None
        elif not isinstance(text, str | Unknown):
            yield f"{path}.sql", content["revision"], None
        else:
            yield path, content["revision"], content


def _findings(resource: Resource) -> Iterator[tuple[str, sql.Finding]]:
    """What the judge of SQL says, with the property path of the SQL."""
    places = list(_revisions(resource))
    steps = tuple(_step(name, content) for _, name, content in places)
    for (path, _, _), found in zip(places, _judged(steps), strict=True):
        for finding in found:
            yield f"{path}.sql", finding


def _step(name: str, content: Mapping[str, Any] | None) -> _Step:
    if content is None or isinstance(content["sql"], Unknown):
        return name, "", False
    return name, content["sql"], content.get("undecidable") is None


def _check(concerns: Callable[[sql.Finding], bool]) -> Callable[[Resource], Iterator[Problem]]:
    def check(resource: Resource) -> Iterator[Problem]:
        for path, finding in _findings(resource):
            if concerns(finding):
                yield Problem(
                    path=path,
                    message=f"revision {finding.revision}, line {finding.line}, {finding.message}: {_shown(finding)}",
                    remedy=finding.remedy,
                )

    return check


def _shown(finding: sql.Finding) -> str:
    """A statement for a message: its constants may be anything, passwords too, so they are left out."""
    text = " ".join(sql.normalized(finding.statement).split())
    return text if len(text) <= 160 else f"{text[:157]}..."


def _check_plan(resource: Resource) -> Iterator[Problem]:
    for path, name, content in _revisions(resource):
        if content is None:
            where = f"revision {name}" if name else "the plan"
            yield Problem(path=path, message=f"{where} is not in the form of a plan, so nobody can tell what it runs")
    yield from _check(lambda finding: finding.rule == UNREADABLE)(resource)


def _check_undecidable(resource: Resource) -> Iterator[Problem]:
    for path, name, content in _revisions(resource):
        if content is None:
            continue
        if isinstance(content["sql"], Unknown):
            yield undecidable(content["sql"].path)
        reason = content.get("undecidable")
        if reason is not None:
            yield Problem(path=path, message=f"revision {name} cannot be rendered without a database: {known(reason)}")
    yield from _check(lambda finding: finding.class_ is sql.Class.UNDECIDABLE)(resource)


def _plan(*statements: str, **more: str) -> Example:
    revisions = [
        {"revision": f"r{number:03}", "downRevision": f"r{number - 1:03}", "summary": "", "sql": statement, **more}
        for number, statement in enumerate(statements, start=1)
    ]
    return Example(type=PLAN, properties={"base": "r000", "revisions": revisions, "digest": "0" * 64})


_GOOD = _plan(
    "CREATE TABLE labels (id bigint PRIMARY KEY, name text NOT NULL)", "ALTER TABLE products ADD COLUMN note text"
)

RULES = (
    Rule(
        id="migration-destructive",
        what="A pending migration loses no data.",
        why="Rolling the schema back brings the columns back, not what was in them.",
        remedy="Expand first, stop using the old thing in a release, contract in a later one after a backup.",
        types=frozenset({PLAN}),
        check=_check(lambda finding: finding.class_ is sql.Class.DESTRUCTIVE),
        good=_GOOD,
        bad=_plan("DROP TABLE products"),
        references=("NIST 800-53 CP-9", "NIST 800-53 SI-12"),
    ),
    Rule(
        id="migration-undecidable",
        what="What a pending migration executes can be read in its plan.",
        why="A statement that is only known when it runs can be any statement.",
        remedy="Write the statements out, so that the revision renders offline.",
        types=frozenset({PLAN}),
        check=_check_undecidable,
        good=_GOOD,
        bad=_plan("", undecidable="reads the inspector"),
        references=("NIST 800-53 CM-3",),
    ),
    Rule(
        id="migration-plan",
        what="The plan of migrations is complete and is SQL that PostgreSQL reads.",
        why="What cannot be read cannot be judged, and would fail in the middle of the update.",
        remedy="Render the plan again from the revisions.",
        types=frozenset({PLAN}),
        check=_check_plan,
        good=_GOOD,
        bad=_plan("DROP THE TABLE products"),
        references=("NIST 800-53 CM-3",),
    ),
)
