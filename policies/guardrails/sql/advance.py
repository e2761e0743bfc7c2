"""How a statement changes the model of the schema: what it creates, renames and moves.

What a statement takes away is with the judge, which has to look at the model before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .nodes import Node, enum, inner, kind, option, parser, qualified, strings, type_of
from .schema import TEMPORARY, Column, Function, Relation, Schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def advance(schema: Schema, node: Node, *, certain: bool) -> None:
    """Enters what a statement creates or moves into the model.

    Args:
        schema: the model.
        node: the statement.
        certain: whether it certainly runs; what only may have been created may have been there before.
    """
    step = STEPS.get(kind(node))
    if step is not None:
        step(schema, inner(node), certain)


def find(schema: Schema, range_var: Node) -> Relation | None:
    """The relation that a statement names; None if it certainly does not exist."""
    return schema.find(range_var.schemaname, range_var.relname)


def create(
    schema: Schema,
    range_var: Node,
    relation: Relation,
    *,
    certain: bool,
    if_not_exists: bool = False,
    drop: bool = False,
) -> Relation:
    """Enters a relation under the name that a statement gives it.

    Args:
        schema: the model.
        range_var: the name; it also says whether the relation is temporary.
        relation: the relation.
        certain: whether the statement certainly runs.
        if_not_exists: whether an existing one stays.
        drop: whether the end of the transaction drops it (ON COMMIT DROP).

    Returns:
        The relation that now has the name.
    """
    temporary = range_var.relpersistence == "t" or range_var.schemaname.startswith(TEMPORARY)
    relation.transient = temporary and drop
    key = schema.key(TEMPORARY if temporary else range_var.schemaname, range_var.relname, creating=True)
    return schema.create(key, relation, certain=certain, if_not_exists=if_not_exists)


def column(definition: Node, *, new: bool) -> Column:
    """A column as its definition has it."""
    generated = any(enum(node.constraint, "contype") == "CONSTR_GENERATED" for node in definition.constraints)
    return Column(type_of(definition.type_name), new=new, generated=generated)


def refer(schema: Schema, relation: Relation, constraint: Node) -> None:
    """Remembers a foreign key: what it leads to can take rows of this table with it."""
    if constraint.HasField("pktable"):
        target = find(schema, constraint.pktable)
        if target is not None:
            # a: no action, r: restrict; c, n, d: cascade, set null, set default
            target.referrers.append((relation, constraint.fk_del_action in ("c", "n", "d")))


def _table(schema: Schema, statement: Node, certain: bool, kind_: str = "table") -> None:
    columns: dict[str, Column] = {}
    complete = not statement.inh_relations and not statement.HasField("of_typename")
    for node in statement.table_elts:
        if kind(node) == "column_def":
            columns[node.column_def.colname] = column(node.column_def, new=False)
        elif kind(node) == "table_like_clause":
            source = find(schema, node.table_like_clause.relation)
            complete = complete and source is not None and source.complete
            columns |= {name: Column(each.type) for name, each in (source.columns if source else {}).items()}
    relation = create(
        schema,
        statement.relation,
        Relation(kind_, columns=columns, complete=complete),
        certain=certain,
        if_not_exists=statement.if_not_exists,
        drop=enum(statement, "oncommit") == "ONCOMMIT_DROP",
    )
    for node in statement.inh_relations:
        parent = find(schema, node.range_var)
        if parent is not None:
            parent.children.append(relation)
            relation.columns = {**parent.columns, **relation.columns}
    for node in (*statement.table_elts, *statement.constraints):
        for each in node.column_def.constraints if kind(node) == "column_def" else [node]:
            if kind(each) == "constraint":
                refer(schema, relation, each.constraint)


def _foreign_table(schema: Schema, statement: Node, certain: bool) -> None:
    _table(schema, statement.base_stmt, certain, "foreign")


def _table_as(schema: Schema, statement: Node, certain: bool) -> None:
    matview = enum(statement, "objtype") == "OBJECT_MATVIEW"
    create(
        schema,
        statement.into.rel,
        Relation("matview" if matview else "table"),
        certain=certain,
        if_not_exists=statement.if_not_exists,
        drop=enum(statement.into, "on_commit") == "ONCOMMIT_DROP",
    )


def _view(schema: Schema, statement: Node, certain: bool) -> None:
    create(schema, statement.view, Relation("view"), certain=certain, if_not_exists=statement.replace)


def _sequence(schema: Schema, statement: Node, certain: bool) -> None:
    create(schema, statement.sequence, Relation("sequence"), certain=certain, if_not_exists=statement.if_not_exists)


def _schema(schema: Schema, statement: Node, certain: bool) -> None:
    name = statement.schemaname or statement.authrole.rolename
    absent = schema.closed and name not in schema.schemas
    schema.schemas.setdefault(name, certain and (absent or not statement.if_not_exists))
    outer, schema.search_path = schema.search_path, (name,)
    for node in statement.schema_elts:
        advance(schema, node, certain=certain)
    schema.search_path = outer


def _domain(schema: Schema, statement: Node, certain: bool) -> None:
    owner, name = qualified(strings(statement.domainname))
    base = type_of(statement.type_name)
    if base is not None:
        schema.domains[f"{owner}.{name}" if owner not in ("", "public") else name] = base
    _new_type(schema, name, certain)


def _enumeration(schema: Schema, statement: Node, certain: bool) -> None:
    owner, name = qualified(strings(statement.type_name))
    schema.enums |= {name, f"{owner}.{name}"} if owner else {name}
    _new_type(schema, name, certain)


def _range(schema: Schema, statement: Node, certain: bool) -> None:
    _new_type(schema, qualified(strings(statement.type_name))[1], certain)


def _composite(schema: Schema, statement: Node, certain: bool) -> None:
    _new_type(schema, statement.typevar.relname, certain)


def _define(schema: Schema, statement: Node, certain: bool) -> None:
    if enum(statement, "kind") == "OBJECT_TYPE":
        _new_type(schema, qualified(strings(statement.defnames))[1], certain)


def _new_type(schema: Schema, name: str, certain: bool) -> None:
    if certain:
        schema.new_types.add(name)


def _extension(schema: Schema, statement: Node, certain: bool) -> None:
    if certain and not statement.if_not_exists:
        schema.new_extensions.add(statement.extname)


def _function(schema: Schema, statement: Node, certain: bool) -> None:  # noqa: ARG001 -- one signature for all
    language, body = option(statement.options, "language"), option(statement.options, "as")
    volatility = option(statement.options, "volatility")
    words = strings(body.arg.list.items) if body is not None else []
    schema.functions.setdefault(qualified(strings(statement.funcname))[1], []).append(
        Function(
            language=language.arg.string.sval.lower() if language is not None else "sql",
            volatile=volatility is None or volatility.arg.string.sval == "volatile",
            source=_text("create_function_stmt", statement),
            body=words[0] if words else _sql_body(statement),
        )
    )


def _rename(schema: Schema, statement: Node, certain: bool) -> None:
    what, new = enum(statement, "rename_type"), statement.newname
    if what == "OBJECT_SCHEMA":
        _rename_schema(schema, statement.subname, new, certain)
    elif what == "OBJECT_COLUMN":
        relation = find(schema, statement.relation)
        if relation is not None:
            old = statement.subname
            relation.columns[new] = relation.columns.pop(old, Column()) if certain else Column()
            if not certain:
                relation.columns[old] = Column()
    elif what in ("OBJECT_TYPE", "OBJECT_DOMAIN"):
        schema.new_types.discard(new)
        schema.domains.pop(new, None)
    elif what in ("OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE"):
        old = qualified(strings(statement.object.object_with_args.objname))[1]
        schema.functions.setdefault(new, []).extend(schema.functions.get(old, []))
    elif statement.HasField("relation") and find(schema, statement.relation) is not None:
        key = schema.key(statement.relation.schemaname, statement.relation.relname)
        schema.rename(key, (key[0], new), certain=certain)


def _rename_schema(schema: Schema, old: str, new: str, certain: bool) -> None:
    schema.schemas[new] = schema.schemas.get(old, False)
    if certain:
        schema.schemas.pop(old, None)
    for key in [key for key in schema.relations if key[0] == old]:
        schema.rename(key, (new, key[1]), certain=certain)


def _move(schema: Schema, statement: Node, certain: bool) -> None:
    if statement.HasField("relation") and find(schema, statement.relation) is not None:
        key = schema.key(statement.relation.schemaname, statement.relation.relname)
        schema.rename(key, (statement.newschema, key[1]), certain=certain)


def _text(field: str, statement: Node) -> str:
    """A statement of the tree as text again; empty where the parser cannot write it."""
    tree = parser().ParseResult()
    getattr(tree.stmts.add().stmt, field).CopyFrom(statement)
    try:
        return str(parser().deparse(tree))
    except parser().PgQueryError:
        return ""


_IN_BODIES = {
    "SelectStmt": "select_stmt",
    "InsertStmt": "insert_stmt",
    "UpdateStmt": "update_stmt",
    "DeleteStmt": "delete_stmt",
    "MergeStmt": "merge_stmt",
}


def _sql_body(statement: Node) -> str:
    """The body of a function that is written as SQL (BEGIN ATOMIC, or RETURN) and not as text."""
    from .nodes import descend

    found = [(_IN_BODIES.get(message.DESCRIPTOR.name), message) for message in descend(statement.sql_body)]
    return ";\n".join(_text(field, message) for field, message in found if field is not None)


STEPS: Mapping[str, Callable[[Schema, Node, bool], None]] = {
    "create_stmt": _table,
    "create_foreign_table_stmt": _foreign_table,
    "create_table_as_stmt": _table_as,
    "view_stmt": _view,
    "create_seq_stmt": _sequence,
    "create_schema_stmt": _schema,
    "create_domain_stmt": _domain,
    "create_enum_stmt": _enumeration,
    "create_range_stmt": _range,
    "composite_type_stmt": _composite,
    "define_stmt": _define,
    "create_extension_stmt": _extension,
    "create_function_stmt": _function,
    "rename_stmt": _rename,
    "alter_object_schema_stmt": _move,
}
