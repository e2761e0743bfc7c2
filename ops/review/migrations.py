"""What the plan's migrations do to which tables.

The plan is the inputs of a component (`product-api:index:MigrationPlan`). Every revision is judged on the schema that
those before it leave, as the guardrails do; told are those that the old plan did not have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ops.review.preview import LATER
from policies.guardrails import sql
from policies.guardrails.rules.migrations import PLAN
from policies.guardrails.sql.nodes import descend, enum, inner, kind, normalized, parser, qualified, strings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ops.review.preview import Preview, Resource
    from policies.guardrails.sql.nodes import Node

ALEMBIC = "alembic_version"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What one statement does.

    Attributes:
        tables: The tables that it speaks of.
        what: What happens to them, in words.
        judged: The guardrails' class, such as `safe` or `destructive`.
        reasons: What the guardrails found, each with its remedy.
        sql: The statement, its constants left out: they may be anything, passwords too.
    """

    tables: tuple[str, ...]
    what: str
    judged: str
    reasons: tuple[tuple[str, str], ...] = ()
    sql: str = ""


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One revision that is new in the plan, or no longer the one it was.

    Attributes:
        revision: Its identifier.
        summary: Its first line.
        state: `new`, `rewritten` (same name, other statements) or `gone`.
        effects: What it does, statement by statement.
        judged: The worst class of them.
        undecidable: Why its statements are not known; empty where they are.
    """

    revision: str
    summary: str
    state: str
    effects: tuple[Effect, ...]
    judged: str
    undecidable: str = ""


def changes(preview: Preview) -> list[Migration]:
    """The revisions that the update adds to the plan, takes from it, or rewrites."""
    found: list[Migration] = []
    for step in preview.steps.values():
        if step.resource.type != PLAN:
            continue
        before, after = _revisions(step.before), _revisions(step.after)
        released = bool(step.after and step.after.inputs.get("base"))
        found += _compared(before, after, released=released)
    return found


def _revisions(plan: Resource | None) -> dict[str, Mapping[str, Any]]:
    listed = plan.inputs.get("revisions") if plan else None
    items = listed if isinstance(listed, list) else []
    revisions: dict[str, Mapping[str, Any]] = {
        str(item.get("revision")): item
        for item in items
        if isinstance(item, dict) and item.get("revision") is not LATER
    }
    if listed is LATER or len(revisions) < len(items):
        revisions["?"] = {"revision": "?", "undecidable": "the plan is known after the update"}
    return revisions


def _compared(
    before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]], *, released: bool
) -> Iterator[Migration]:
    """Compare two plans.

    Args:
        before: The revisions that the stack has run.
        after: Those that it will have run.
        released: Whether others, which are not here, ran before them.
    """
    # What has run has left tables that hold rows: a column dropped from them now is data lost, which a judge that takes
    # the whole plan for one change cannot see.
    run = [name for name, item in after.items() if before.get(name) == item]
    judge = sql.Judge("\n".join(str(after[name].get("sql") or "") for name in run)) if run else sql.Judge()
    if released:
        judge.schema.closed = False
    for name, item in after.items():
        if name in run:
            continue
        text = item.get("sql")
        findings = judge.judge(text, name) if isinstance(text, str) else []
        undecidable = item.get("undecidable")
        if not isinstance(text, str) or undecidable:
            judge.skip()
        effects = tuple(_effects(text, findings)) if isinstance(text, str) else ()
        reason = str(undecidable or ("" if isinstance(text, str) else "its statements are known after the update"))
        yield Migration(
            revision=name,
            summary=str(item.get("summary") or ""),
            state="rewritten" if name in before else "new",
            effects=effects,
            judged="undecidable" if reason else sql.worst(findings).value,
            undecidable=reason,
        )
    for name, item in before.items():
        if name not in after:
            yield Migration(
                revision=name, summary=str(item.get("summary") or ""), state="gone", effects=(), judged="safe"
            )


def _effects(text: str, findings: Iterable[sql.Finding]) -> Iterator[Effect]:
    """The statements of a revision that change something, each with what was found in it."""
    found: dict[str, list[sql.Finding]] = {}
    for finding in findings:
        found.setdefault(finding.statement, []).append(finding)
    for statement, node in _statements(text):
        concerning = found.pop(statement, [])
        what, tables = describe(node)
        if what or concerning:
            yield _effect(what or "runs a statement", tables, concerning, statement)
    for statement, concerning in found.items():  # what could not be parsed, or is inside of another
        yield _effect("runs what cannot be told apart", (), concerning, statement)


def _effect(what: str, tables: tuple[str, ...], findings: list[sql.Finding], statement: str) -> Effect:
    shown = " ".join(normalized(statement).split())
    return Effect(
        tables=tables,
        what=what,
        judged=sql.worst(findings).value,
        reasons=tuple(dict.fromkeys((finding.message, finding.remedy) for finding in findings)),
        sql=shown,
    )


_COMMENTS = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)


def _statements(text: str) -> Iterator[tuple[str, Node]]:
    """Each statement's text and tree; none where PostgreSQL's parser refuses the text, which the judge tells."""
    try:
        tree = parser().parse(text)
    except (parser().PgQueryError, UnicodeError, ValueError):
        return
    source = text.encode()
    for raw in tree.stmts:
        end = raw.stmt_location + raw.stmt_len if raw.stmt_len else len(source)
        statement = source[raw.stmt_location : end].decode(errors="replace")
        comments = _COMMENTS.match(statement)
        yield statement[comments.end() if comments else 0 :].strip(), raw.stmt


# --- statements in words ---------------------------------------------------------------------------------------------

# What belongs to running a migration, and changes nothing that stays.
_HOUSEKEEPING = frozenset({"transaction_stmt", "variable_set_stmt", "variable_show_stmt", "select_stmt"})
_OBJECTS = {
    "OBJECT_TABLE": "table",
    "OBJECT_INDEX": "index",
    "OBJECT_VIEW": "view",
    "OBJECT_MATVIEW": "materialized view",
    "OBJECT_SEQUENCE": "sequence",
    "OBJECT_SCHEMA": "schema",
    "OBJECT_TYPE": "type",
    "OBJECT_FUNCTION": "function",
    "OBJECT_TRIGGER": "trigger",
    "OBJECT_EXTENSION": "extension",
    "OBJECT_COLUMN": "column",
    "OBJECT_TABCONSTRAINT": "constraint",
    "OBJECT_DOMAIN": "domain",
    "OBJECT_POLICY": "policy",
}


def describe(node: Node) -> tuple[str, tuple[str, ...]]:
    """What a statement does in words, and to which tables; no words for housekeeping."""
    name = kind(node)
    if not name:
        return "", ()
    statement = inner(node)
    tables = _tables(statement)
    if tables == (ALEMBIC,):
        return "", ()  # how Alembic notes that the revision has run
    if name == "create_stmt":
        return _created(statement), tables
    if name == "alter_table_stmt":
        steps = [_step(each.alter_table_cmd) for each in statement.cmds]
        return f"{_object(statement)}{_label(statement.relation)}: {'; '.join(steps)}", tables
    if name == "index_stmt":
        return _indexed(statement), tables
    if name == "drop_stmt":
        return _dropped(statement)
    if name == "rename_stmt":
        return _renamed(statement), tables
    words = {
        "insert_stmt": "writes rows into",
        "update_stmt": "changes rows of",
        "delete_stmt": "deletes rows of",
        "truncate_stmt": "empties",
        "merge_stmt": "merges rows into",
        "copy_stmt": "copies rows of",
        "lock_stmt": "locks",
        "create_trig_stmt": "adds a trigger to",
        "create_policy_stmt": "adds a row policy to",
        "comment_stmt": "comments on",
        "grant_stmt": "changes who may use",
        "create_table_as_stmt": "creates, with rows,",
        "view_stmt": "creates the view",
        "do_stmt": "runs a block of code, which may do anything, on",
    }.get(name)
    if words:
        return f"{words} {', '.join(tables) or 'the database'}", tables
    if name in _HOUSEKEEPING:
        return "", tables
    plain = name.removesuffix("_stmt").replace("_", " ")
    return f"{plain}{' on ' + ', '.join(tables) if tables else ''}", tables


def _tables(statement: Node) -> tuple[str, ...]:
    """The tables that a statement names, in its order."""
    found = [_label(each) for each in descend(statement) if each.DESCRIPTOR.name == "RangeVar"]
    return tuple(dict.fromkeys(filter(None, found)))


def _label(range_var: Node) -> str:
    return f"{range_var.schemaname}.{range_var.relname}" if range_var.schemaname else str(range_var.relname)


def _object(statement: Node) -> str:
    what = _OBJECTS.get(enum(statement, "objtype"), "")
    return "" if what in ("", "table") else f"{what} "


def _type(name: Node) -> str:
    """A type as SQL writes it."""
    tree = parser().parse("SELECT NULL::text")
    tree.stmts[0].stmt.select_stmt.target_list[0].res_target.val.type_cast.type_name.CopyFrom(name)
    try:
        return str(parser().deparse(tree)).partition("::")[2]
    except parser().PgQueryError:
        return qualified(strings(name.names))[1]


def _column(definition: Node) -> str:
    """A column in words: `note (text, may be empty)`."""
    kinds = {enum(node.constraint, "contype") for node in definition.constraints}
    parts = [_type(definition.type_name)]
    parts.append("never empty" if kinds & {"CONSTR_NOTNULL", "CONSTR_PRIMARY"} else "may be empty")
    if "CONSTR_DEFAULT" in kinds:
        parts.append("with a default")
    if "CONSTR_GENERATED" in kinds:
        parts.append("computed")
    if "CONSTR_UNIQUE" in kinds:
        parts.append("unique")
    return f"{definition.colname} ({', '.join(parts)})"


def _created(statement: Node) -> str:
    columns = [node.column_def.colname for node in statement.table_elts if kind(node) == "column_def"]
    what = "temporary table" if statement.relation.relpersistence == "t" else "table"
    listed = f" with {', '.join(columns)}" if columns else ""
    return f"creates the {what} {_label(statement.relation)}{listed}"


def _indexed(statement: Node) -> str:
    columns = [node.index_elem.name or "an expression" for node in statement.index_params]
    unique = "unique " if statement.unique else ""
    how = "while the table is in use" if statement.concurrent else "writes wait meanwhile"
    name = statement.idxname or "by a name of Postgres's"
    return f"builds the {unique}index {name} on {_label(statement.relation)} ({', '.join(columns)}); {how}"


def _dropped(statement: Node) -> tuple[str, tuple[str, ...]]:
    what = _OBJECTS.get(enum(statement, "remove_type"), enum(statement, "remove_type").removeprefix("OBJECT_").lower())
    names = []
    for node in statement.objects:
        words = strings(node.list.items) if kind(node) == "list" else strings([node])
        names.append(".".join(words) or (".".join(strings(node.type_name.names)) if kind(node) == "type_name" else "?"))
    cascade = ", and what depends on it" if enum(statement, "behavior") == "DROP_CASCADE" else ""
    return f"drops the {what} {', '.join(names)}{cascade}", tuple(names) if what == "table" else ()


def _renamed(statement: Node) -> str:
    what = _OBJECTS.get(enum(statement, "rename_type"), "object")
    if what in ("column", "constraint"):
        return f"{_label(statement.relation)}: renames the {what} {statement.subname} to {statement.newname}"
    old = _label(statement.relation) if statement.HasField("relation") else statement.subname
    return f"renames the {what} {old} to {statement.newname}"


def _step(command: Node) -> str:
    """One part of an ALTER TABLE in words."""
    what, definition = enum(command, "subtype"), getattr(command, "def")
    if what == "AT_AddColumn":
        return f"adds the column {_column(definition.column_def)}"
    if what == "AT_AlterColumnType":
        return f"changes the type of {command.name} to {_type(definition.column_def.type_name)}"
    if what == "AT_AddConstraint":
        constraint = definition.constraint
        checked = "" if constraint.initially_valid else ", without checking the rows that are there"
        return f"adds the constraint {constraint.conname or _constraint(constraint)}{checked}"
    simple = {
        "AT_DropColumn": "drops the column {}",
        "AT_SetNotNull": "lets {} never be empty",
        "AT_DropNotNull": "lets {} be empty",
        "AT_DropConstraint": "drops the constraint {}",
        "AT_ValidateConstraint": "checks the rows that are there against {}",
        "AT_ColumnDefault": "changes the default of {}",
        "AT_EnableRowSecurity": "turns row policies on",
        "AT_DisableRowSecurity": "turns row policies off",
        "AT_ChangeOwner": "changes the owner",
    }.get(what)
    if simple:
        return simple.format(command.name)
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", what.removeprefix("AT_")).lower()
    return f"{plain} {command.name}".strip()


def _constraint(constraint: Node) -> str:
    return enum(constraint, "contype").removeprefix("CONSTR_").lower()
