"""The verdict on SQL: what it does to the data that is there.

Statements are read with PostgreSQL's own parser and walked in order, with a model of the schema that advances after
each. This finds what destroys committed data, and what cannot be known; it calls everything else safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .advance import STEPS, advance, column, create, find, refer
from .dynamic import assemble, embedded
from .finding import Class, Finding
from .nodes import (
    Node,
    builtin_functions,
    column_of,
    conjuncts,
    constant,
    descend,
    enum,
    inner,
    is_on,
    kind,
    option,
    parser,
    qualified,
    strings,
    type_of,
)
from .schema import PLACEHOLDER, Column, Relation, Schema
from .types import Conversion, Effect, Type, convert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

UNREADABLE = "sql-unreadable"
UNDECIDABLE = "sql-undecidable"
DROPS_TABLE = "sql-drops-table"
DROPS_COLUMN = "sql-drops-column"
DROPS_SCHEMA = "sql-drops-schema"
DROPS_TYPE = "sql-drops-type"
DROPS_SEQUENCE = "sql-drops-sequence"
DROPS_OTHER = "sql-drops-other"
TRUNCATES = "sql-truncates"
DELETES_ROWS = "sql-deletes-rows"
OVERWRITES = "sql-overwrites-values"
NARROWS_TYPE = "sql-narrows-type"

ALEMBIC = "alembic_version"

# Statements that are executed with all their parts: what they call, and what their WITH clauses change.
EXECUTED = frozenset(
    {
        "select_stmt",
        "insert_stmt",
        "update_stmt",
        "delete_stmt",
        "merge_stmt",
        "call_stmt",
        "copy_stmt",
        "create_table_as_stmt",
        "declare_cursor_stmt",
        "alter_table_stmt",
    }
)
# Statements that take no committed data away, and create nothing that the model must know.
HARMLESS = frozenset(
    "alter_collation_stmt alter_database_refresh_coll_stmt alter_database_set_stmt "  # noqa: SIM905
    "alter_database_stmt alter_default_privileges_stmt alter_domain_stmt alter_enum_stmt alter_event_trig_stmt "
    "alter_extension_stmt alter_fdw_stmt alter_foreign_server_stmt alter_function_stmt alter_object_depends_stmt "
    "alter_op_family_stmt alter_operator_stmt alter_owner_stmt alter_policy_stmt alter_publication_stmt "
    "alter_role_set_stmt alter_role_stmt alter_seq_stmt alter_stats_stmt alter_subscription_stmt alter_system_stmt "
    "alter_table_move_all_stmt alter_table_space_options_stmt alter_tsconfiguration_stmt alter_tsdictionary_stmt "
    "alter_type_stmt alter_user_mapping_stmt check_point_stmt close_portal_stmt cluster_stmt comment_stmt "
    "constraints_set_stmt create_am_stmt create_cast_stmt create_conversion_stmt create_event_trig_stmt "
    "create_fdw_stmt create_foreign_server_stmt create_op_class_stmt create_op_family_stmt create_plang_stmt "
    "create_policy_stmt create_publication_stmt create_role_stmt create_stats_stmt create_subscription_stmt "
    "create_table_space_stmt create_transform_stmt create_trig_stmt create_user_mapping_stmt createdb_stmt "
    "deallocate_stmt drop_role_stmt drop_subscription_stmt drop_table_space_stmt drop_user_mapping_stmt fetch_stmt "
    "grant_role_stmt grant_stmt import_foreign_schema_stmt index_stmt listen_stmt lock_stmt notify_stmt "
    "reassign_owned_stmt refresh_mat_view_stmt reindex_stmt rule_stmt sec_label_stmt unlisten_stmt vacuum_stmt "
    "variable_show_stmt replica_identity_stmt".split()
)

_LARGE_OBJECTS = frozenset({"lo_unlink", "lo_truncate", "lo_truncate64", "lo_put", "lowrite"})
_RUNS_SQL = frozenset({"query_to_xml", "query_to_xml_and_xmlschema", "query_to_xmlschema", "ts_stat"})
# Functions of extensions that compute and change nothing.
_EXTENSIONS = frozenset(
    "uuid_generate_v1 uuid_generate_v1mc uuid_generate_v3 uuid_generate_v4 uuid_generate_v5 "  # noqa: SIM905
    "uuid_nil crypt gen_salt digest hmac gen_random_bytes unaccent similarity word_similarity show_trgm".split()
)
# Extensions whose own tables hold rows that somebody wrote.
_KEEPING_ROWS = frozenset({"pg_cron", "pg_partman", "pgmq", "pgq", "pgagent", "postgis", "timescaledb"})
_CASCADES_TO_COLUMNS = {
    "OBJECT_TYPE": "type",
    "OBJECT_DOMAIN": "domain",
    "OBJECT_COLLATION": "collation",
    "OBJECT_ACCESS_METHOD": "access method",
}
_RELATIONS = frozenset({"OBJECT_TABLE", "OBJECT_SEQUENCE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"})
_MAX_DEPTH = 16

_TWO_STEPS = (
    "Do it in two releases: first one that no longer uses it, then, once that one is everywhere, a contract revision "
    "after a backup."
)


def judge(sql: str, given: str | None = None) -> list[Finding]:
    """Judges one piece of SQL.

    Args:
        sql: the statements.
        given: the complete schema before the first of them; None if it is not known.

    Returns:
        What was found, in the order of the statements. Never raises.
    """
    return Judge(given).judge(sql)


class Judge:
    """Judges pieces of SQL in order, each on the schema that those before have left."""

    def __init__(self, given: str | None = None) -> None:
        """Starts from a schema.

        Args:
            given: the complete schema before the first statement; None if it is not known.
        """
        self.schema = Schema()
        self._findings: list[Finding] = []
        self._statement, self._line, self._revision = "", 1, None
        self._certain, self._depth = True, 0
        if given is not None:
            self.schema.closed = True
            doubts = [f for f in self.judge(given) if f.rule in (UNREADABLE, UNDECIDABLE)]
            self.schema.settle()
            self.schema.closed = not doubts

    def judge(self, sql: str, revision: str | None = None) -> list[Finding]:
        """Judges the next piece, and advances the schema.

        Args:
            sql: its statements; a revision as rendered, say.
            revision: its name, for the findings.

        Returns:
            What was found in this piece.
        """
        self._findings, self._revision = [], revision  # type: ignore[assignment]
        self._statement, self._line, self._certain, self._depth = sql.strip(), 1, True, 0
        try:
            self._run(sql)
        except RecursionError:
            self._emit(UNDECIDABLE, Class.UNDECIDABLE, "it is nested too deeply to be read", "Split it up.")
        self.schema.end_transaction()
        self.schema.end_session()
        return self._findings

    def skip(self) -> None:
        """Goes on after a piece that nobody could read: whatever it did, nothing is certain any more."""
        self.schema.forget_new()

    # --- statements ------------------------------------------------------------------------------------------------

    def _run(self, sql: str) -> None:
        try:
            tree = parser().parse(sql)
        except (parser().PgQueryError, UnicodeError, ValueError) as error:
            self._unreadable(sql, error)
            return
        source = sql.encode()
        for raw in tree.stmts:
            if self._depth == 0:
                self._locate(source, raw)
            self._one(raw.stmt)

    def _locate(self, source: bytes, raw: Node) -> None:
        """Remembers the text of a statement and its line, comments before it left out."""
        end = raw.stmt_location + raw.stmt_len if raw.stmt_len else len(source)
        text = source[raw.stmt_location : end].decode(errors="replace")
        start = _after_comments(text)
        self._line = source[: raw.stmt_location].count(b"\n") + text[:start].count("\n") + 1
        self._statement = text[start:].strip()

    def _unreadable(self, sql: str, error: Exception) -> None:
        position = getattr(error, "cursorpos", 0) or 0
        message = getattr(error, "message", None) or type(error).__name__
        if self._depth:
            self._undecidable(f"it runs text that PostgreSQL cannot read: {message}")
            return
        before = sql[: max(position - 1, 0)]
        self._line = before.count("\n") + 1
        self._statement = sql.splitlines()[self._line - 1].strip() if sql.splitlines()[self._line - 1 :] else ""
        column = len(before) - (before.rfind("\n") + 1) + 1
        self._emit(
            UNREADABLE,
            Class.INCOMPATIBLE,
            f"PostgreSQL cannot read it: {message} (line {self._line}, column {column})",
            "Write it in PostgreSQL's SQL; commands of psql and other databases' dialects do not run in a migration.",
        )

    def _one(self, node: Node) -> None:
        name = kind(node)
        if not name:
            return
        statement = inner(node)
        if name in EXECUTED:
            self._execute(statement)
        handler: Callable[[Node], None] | None = getattr(self, f"_on_{name}", None)
        if handler is not None:
            handler(statement)
        advance(self.schema, node, certain=self._certain)
        if handler is None and name not in EXECUTED | HARMLESS | STEPS.keys():
            self._undecidable(f"a {name.removesuffix('_stmt').replace('_', ' ')} statement is not known to this check")

    def _nested(self, sql: str, *, certain: bool) -> None:
        """Judges SQL that runs inside the current statement."""
        if self._depth >= _MAX_DEPTH:
            self._undecidable("it is nested too deeply to be followed")
            return
        outer, self._certain = self._certain, self._certain and certain
        self._depth += 1
        try:
            self._run(sql)
        finally:
            self._depth -= 1
            self._certain = outer

    # --- findings --------------------------------------------------------------------------------------------------

    def _emit(self, rule: str, class_: Class, message: str, remedy: str) -> None:
        finding = Finding(
            rule=rule,
            class_=class_,
            statement=self._statement,
            line=self._line,
            message=message,
            remedy=remedy,
            revision=self._revision,
        )
        if finding not in self._findings:
            self._findings.append(finding)

    def _destroys(self, rule: str, message: str, remedy: str = _TWO_STEPS) -> None:
        self._emit(rule, Class.DESTRUCTIVE, message, remedy)

    def _undecidable(self, message: str, remedy: str = "Write out the statements that are to run.") -> None:
        self._emit(UNDECIDABLE, Class.UNDECIDABLE, message, remedy)
        # Whatever it did, what was certain before is not any more.
        self.schema.forget_new()

    # --- what is executed ------------------------------------------------------------------------------------------

    def _execute(self, statement: Node) -> None:
        """Judges what a statement does on the way: rows changed in its WITH clauses, functions called."""
        for message in descend(statement):
            name = message.DESCRIPTOR.name
            if name == "DeleteStmt":
                self._delete(message)
            elif name == "UpdateStmt":
                self._update(message)
            elif name == "MergeStmt":
                self._merge(message)
            elif name == "InsertStmt":
                self._insert(message)
            elif name == "FuncCall":
                self._call(message)
            elif name == "SelectStmt" and message.HasField("into_clause"):
                drop = enum(message.into_clause, "on_commit") == "ONCOMMIT_DROP"
                create(self.schema, message.into_clause.rel, Relation(), certain=self._certain, drop=drop)

    def _find(self, range_var: Node) -> Relation | None:
        return find(self.schema, range_var)

    def _delete(self, statement: Node) -> None:
        relation = self._find(statement.relation)
        where = statement.where_clause if statement.HasField("where_clause") else None
        if relation is None or not relation.holds_committed(deleting=True) or _never(where):
            return
        if _is_alembics(statement.relation) and _by_version(where):
            return
        table = _label(statement.relation)
        which = "rows" if where is not None else "all rows"
        self._destroys(
            DELETES_ROWS,
            f"deletes {which} of {table} that are there",
            "Keep them: mark them (a column such as deleted_at), or copy them to an archive in a release before. "
            + _TWO_STEPS,
        )

    def _update(self, statement: Node) -> None:
        where = statement.where_clause if statement.HasField("where_clause") else None
        if _is_alembics(statement.relation) and _by_version(where):
            return
        sole = not statement.from_clause
        self._overwrite(statement.relation, statement.target_list, where, sole=sole)

    def _insert(self, statement: Node) -> None:
        conflict = statement.on_conflict_clause
        if conflict.target_list:
            where = conflict.where_clause if conflict.HasField("where_clause") else None
            # An unqualified column means the row that is there; the new one is `excluded`.
            self._overwrite(statement.relation, conflict.target_list, where, sole=True)

    def _merge(self, statement: Node) -> None:
        relation = self._find(statement.relation)
        for node in statement.merge_when_clauses:
            clause = node.merge_when_clause
            command = enum(clause, "command_type")
            where = clause.condition if clause.HasField("condition") else None
            if command == "CMD_DELETE" and relation is not None and relation.holds_committed(deleting=True):
                self._destroys(DELETES_ROWS, f"deletes rows of {_label(statement.relation)} that are there")
            elif command == "CMD_UPDATE":
                self._overwrite(statement.relation, clause.target_list, where, sole=False)

    def _overwrite(self, target: Node, assignments: Any, where: Node | None, *, sole: bool) -> None:
        """Judges assignments to the columns of rows that are there.

        Args:
            target: the table.
            assignments: the SET list.
            where: the condition, if there is one.
            sole: whether an unqualified column can only be the table's own.
        """
        relation = self._find(target)
        if relation is None or not relation.holds_committed() or _never(where):
            return
        own = {target.alias.aliasname or target.relname} | ({""} if sole else set())
        empty = {name for part in conjuncts(where) for name in _null_tested(part, own)} if where is not None else set()
        lost = [
            node.res_target.name
            for node in assignments
            if node.res_target.name not in empty
            and not relation.column(node.res_target.name).new
            and not relation.column(node.res_target.name).generated
            and not _recoverable(node.res_target, own)
        ]
        if lost:
            columns = ", ".join(dict.fromkeys(lost))
            self._destroys(
                OVERWRITES,
                f"overwrites values of {_label(target)} ({columns}) that are there",
                f"Write only where there is nothing yet (WHERE {lost[0]} IS NULL), or write to a new column and keep "
                "the old one until the release after.",
            )

    def _call(self, call: Node) -> None:
        schema, name = qualified(strings(call.funcname))
        functions = self.schema.functions.get(name, [])
        for function in functions:
            if function.volatile:  # a stable or immutable one is not allowed to write
                self._body(function.language, function.source, function.body, certain=False)
        if functions and schema != "pg_catalog":
            return
        if schema in ("", "pg_catalog") and name in builtin_functions():
            if name in _LARGE_OBJECTS:
                self._destroys(DROPS_OTHER, f"{name} changes or removes a large object that is there")
            elif name in _RUNS_SQL:
                self._undecidable(f"{name} runs SQL that it is given as text")
            elif name == "set_config" and len(call.args) > 1 and constant(call.args[0]) == "search_path":
                self._set_path(constant(call.args[1]))
            return
        if name not in _EXTENSIONS:
            self._undecidable(
                f"it calls {name}(), and what that does is not in the text",
                f"Write out what {name}() does. If it writes nothing, declare it STABLE where this check can see it.",
            )

    def _body(self, language: str, source: str, body: str, *, certain: bool) -> None:
        """Judges the body of a function or of a DO block.

        Args:
            language: its language.
            source: the CREATE FUNCTION statement that has it.
            body: the body itself.
            certain: whether it certainly runs.
        """
        if language == "sql":
            self._nested(body, certain=certain)
            return
        if language != "plpgsql":
            self._undecidable(f"it runs {language or 'unknown'} code")
            return
        try:
            tree = parser().parse_plpgsql(source)
        except (parser().PgQueryError, UnicodeError, ValueError):
            self._undecidable("its body cannot be read as PL/pgSQL")
            return
        for piece in embedded(tree):
            if piece.dynamic:
                self._dynamic(piece.sql, certain=certain and piece.certain)
            else:
                self._nested(piece.sql, certain=certain and piece.certain)

    def _dynamic(self, expression: str, *, certain: bool) -> None:
        """Judges a statement that is put together when it runs."""
        self._nested(f"SELECT {expression}", certain=certain)  # the expression itself may call something
        try:
            target = parser().parse(f"SELECT {expression}").stmts[0].stmt.select_stmt.target_list[0]
        except (parser().PgQueryError, UnicodeError, ValueError, IndexError):
            return  # already said above
        text = assemble(target.res_target.val)
        before = len(self._findings)
        self._nested(text.sql, certain=certain)
        if text.open and not any(f.class_ is Class.DESTRUCTIVE for f in self._findings[before:]):
            self._undecidable("it runs text that is only put together when it runs")

    # --- statements that take something away -----------------------------------------------------------------------

    def _on_drop_stmt(self, statement: Node) -> None:
        what, cascade = enum(statement, "remove_type"), enum(statement, "behavior") == "DROP_CASCADE"
        for node in statement.objects:
            words = _words(node)
            if not words:
                continue
            schema, name = qualified(words)
            if what == "OBJECT_SCHEMA":
                self._drop_schema(name, cascade=cascade)
            elif what == "OBJECT_EXTENSION":
                self._drop_extension(name, cascade=cascade)
            elif what in _CASCADES_TO_COLUMNS:
                if cascade:
                    self._drop_type(_CASCADES_TO_COLUMNS[what], schema, name)
            elif what in ("OBJECT_TABLE", "OBJECT_SEQUENCE"):
                self._drop_relation(what, schema, name)
            if what in _RELATIONS and self._certain:
                self.schema.relations.pop(self.schema.key(schema, name), None)

    def _drop_relation(self, what: str, schema: str, name: str) -> None:
        relation = self.schema.find(schema, name)
        if relation is None:
            return
        label = f"{schema}.{name}" if schema else name
        if what == "OBJECT_SEQUENCE":
            if not relation.new:
                self._destroys(DROPS_SEQUENCE, f"drops the sequence {label}, and with it how far it has counted")
        elif relation.holds_committed():
            self._destroys(
                DROPS_TABLE,
                f"drops the table {label} with all its rows",
                f"Stop using it first, and rename it rather than drop it in the release after. {_TWO_STEPS}",
            )

    def _drop_schema(self, name: str, *, cascade: bool) -> None:
        inside = [relation for (schema, _), relation in self.schema.relations.items() if schema == name]
        committed = any(relation.holds_committed() for relation in inside if relation.kind in ("table", "sequence"))
        unknown = not self.schema.closed and not self.schema.schemas.get(name, False)
        if cascade and (committed or unknown):  # without CASCADE, one that is not empty is not dropped
            self._destroys(DROPS_SCHEMA, f"drops the schema {name} with everything in it")
        if self._certain and cascade:
            for key in [key for key in self.schema.relations if key[0] == name]:
                del self.schema.relations[key]
        self.schema.schemas.pop(name, None)

    def _drop_extension(self, name: str, *, cascade: bool) -> None:
        if name in self.schema.new_extensions:
            return
        if cascade:
            self._destroys(DROPS_OTHER, f"drops the extension {name} and every column of its types")
        elif name in _KEEPING_ROWS:
            self._destroys(DROPS_OTHER, f"drops the extension {name} with the rows in its own tables")

    def _drop_type(self, what: str, schema: str, name: str) -> None:
        """A type that is dropped with CASCADE takes the columns with it that have it."""
        label = f"{schema}.{name}" if schema else name
        used = any(
            column.type is not None and column.type.name in (label, name) and not column.new
            for relation in self.schema.relations.values()
            if relation.holds_committed()
            for column in relation.columns.values()
        )
        if used or (not (self.schema.closed and what in ("type", "domain")) and name not in self.schema.new_types):
            self._destroys(DROPS_TYPE, f"drops the {what} {label} and every column that has it (CASCADE)")

    def _on_truncate_stmt(self, statement: Node) -> None:
        cascade = enum(statement, "behavior") == "DROP_CASCADE"
        for node in statement.relations:
            relation = self._find(node.range_var)
            if relation is not None and relation.holds_committed(truncating=cascade):
                self._destroys(
                    TRUNCATES,
                    f"empties {_label(node.range_var)}" + (" and every table that refers to it" if cascade else ""),
                    f"Write the new rows to a new table and read from there. {_TWO_STEPS}",
                )

    def _on_drop_owned_stmt(self, statement: Node) -> None:
        roles = ", ".join(node.role_spec.rolename or "the current role" for node in statement.roles)
        self._destroys(
            DROPS_OTHER, f"drops everything that {roles} owns", "Use REASSIGN OWNED, and drop objects one by one."
        )

    def _on_dropdb_stmt(self, statement: Node) -> None:
        self._destroys(DROPS_OTHER, f"drops the database {statement.dbname}", "No migration drops a database.")

    def _on_alter_table_stmt(self, statement: Node) -> None:
        what = enum(statement, "objtype")
        if what == "OBJECT_TYPE":
            self._alter_composite(statement)
            return
        if what not in ("OBJECT_TABLE", "OBJECT_FOREIGN_TABLE"):
            return
        relation = self._find(statement.relation)
        if relation is None:
            return
        for node in statement.cmds:
            command = node.alter_table_cmd
            step = {
                "AT_DropColumn": self._drop_column,
                "AT_AddColumn": self._add_column,
                "AT_AlterColumnType": self._alter_type,
                "AT_AddConstraint": self._add_constraint,
                "AT_AttachPartition": self._attach,
                "AT_AddInherit": self._attach,
            }.get(enum(command, "subtype"))
            if step is not None:
                step(relation, _label(statement.relation), command)

    def _drop_column(self, relation: Relation, label: str, command: Node) -> None:
        column = relation.column(command.name)
        absent = relation.complete and command.missing_ok and command.name not in relation.columns
        committed = relation.kind == "table" and relation.holds_committed()
        if committed and not column.new and not column.generated and not absent:
            self._destroys(DROPS_COLUMN, f"drops the column {command.name} of {label} with all its values")
        if self._certain:
            relation.columns.pop(command.name, None)

    def _add_column(self, relation: Relation, label: str, command: Node) -> None:  # noqa: ARG002
        definition = getattr(command, "def").column_def
        name = definition.colname
        if name not in relation.columns:
            certainly = self._certain and (not command.missing_ok or relation.complete)
            relation.columns[name] = column(definition, new=certainly)
        for node in definition.constraints:
            refer(self.schema, relation, node.constraint)

    def _add_constraint(self, relation: Relation, label: str, command: Node) -> None:  # noqa: ARG002
        refer(self.schema, relation, getattr(command, "def").constraint)

    def _attach(self, relation: Relation, label: str, command: Node) -> None:  # noqa: ARG002
        definition = getattr(command, "def")
        other = self._find(
            definition.partition_cmd.name if kind(definition) == "partition_cmd" else definition.range_var
        )
        if other is not None:
            parent, child = (relation, other) if kind(definition) == "partition_cmd" else (other, relation)
            parent.children.append(child)

    def _alter_type(self, relation: Relation, label: str, command: Node) -> None:
        definition = getattr(command, "def").column_def
        column, new = relation.column(command.name), self._resolve(type_of(definition.type_name))
        if relation.kind == "table" and relation.holds_committed() and not column.new and not column.generated:
            using = definition.raw_default if definition.HasField("raw_default") else None
            change = self._conversion(command.name, self._resolve(column.type), new, using)
            if change.effect is Effect.LOSES:
                self._destroys(
                    NARROWS_TYPE,
                    f"changes the type of {label}.{command.name} with loss: {change.why}",
                    f"Add a column of the new type, fill it, and keep {command.name} for a release. {_TWO_STEPS}",
                )
            elif change.effect is Effect.UNKNOWN:
                self._emit(
                    UNDECIDABLE,
                    Class.UNDECIDABLE,
                    f"changes the type of {label}.{command.name}: {change.why}",
                    f"Add a column of the new type, fill it, and keep {command.name} until the release after.",
                )
        relation.columns[command.name] = Column(type=new, new=column.new, generated=column.generated)

    def _conversion(self, name: str, old: Type | None, new: Type | None, using: Node | None) -> Conversion:
        """The effect of a change of type, along the casts of its USING."""
        enums = frozenset(self.schema.enums)
        if using is None:
            return convert(old, new, explicit=False, enums=enums)
        casts: list[Type | None] = []
        current = using
        while True:
            if kind(current) == "type_cast":
                casts.append(self._resolve(type_of(current.type_cast.type_name)))
                current = current.type_cast.arg
            elif kind(current) == "func_call" and _is_time_zone_shift(current.func_call):
                casts.append(None)
                current = current.func_call.args[1]
            else:
                break
        reference = column_of(current)
        if reference is None or reference[1] != name:
            if not any(m.DESCRIPTOR.name in ("ColumnRef", "FuncCall", "SubLink") for m in descend(using)):
                return Conversion(Effect.LOSES, "every value is replaced by a constant")
            return Conversion(Effect.UNKNOWN, "whether the expression in USING keeps every value cannot be told")
        for cast in reversed(casts):
            if cast is None:  # AT TIME ZONE turns the two timestamps into each other
                if old is None or old.name not in ("timestamp", "timestamptz"):
                    return Conversion(Effect.UNKNOWN, "AT TIME ZONE on a type that is no timestamp")
                old = Type("timestamptz" if old.name == "timestamp" else "timestamp", old.mods)
                continue
            step = convert(old, cast, explicit=True, enums=enums)
            if step.effect is not Effect.KEEPS:
                return step
            old = cast
        return convert(old, new, explicit=False, enums=enums)

    def _resolve(self, type_: Type | None) -> Type | None:
        """A type with domains replaced by what they are over."""
        for _ in range(_MAX_DEPTH):
            if type_ is None or (base := self.schema.domains.get(type_.name)) is None:
                break
            type_ = Type(base.name, base.mods, array=base.array or type_.array)
        return type_

    def _alter_composite(self, statement: Node) -> None:
        if statement.relation.relname in self.schema.new_types:
            return
        for node in statement.cmds:
            command = node.alter_table_cmd
            label = f"{statement.relation.relname}.{command.name}"
            if enum(command, "subtype") == "AT_DropColumn":
                self._destroys(DROPS_COLUMN, f"drops the attribute {label} from every value of the type")
            elif enum(command, "subtype") == "AT_AlterColumnType":
                self._undecidable(f"changes the type of the attribute {label}")

    # --- statements that run others, and the session ---------------------------------------------------------------

    def _on_do_stmt(self, statement: Node) -> None:
        language, body = option(statement.args, "language"), option(statement.args, "as")
        text = body.arg.string.sval if body is not None else ""
        tag = "b"
        while f"${tag}$" in text:
            tag += "b"
        source = f"CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS ${tag}${text}${tag}$"
        self._body(language.arg.string.sval.lower() if language is not None else "plpgsql", source, text, certain=True)

    def _on_create_table_as_stmt(self, statement: Node) -> None:
        if kind(statement.query) == "execute_stmt":
            self._on_execute_stmt(statement.query.execute_stmt)

    def _on_alter_extension_contents_stmt(self, statement: Node) -> None:
        # A table that is made part of an extension is dropped with it.
        self._undecidable(f"changes what belongs to the extension {statement.extname}")

    def _on_explain_stmt(self, statement: Node) -> None:
        if is_on(option(statement.options, "analyze")):
            self._one(statement.query)

    def _on_prepare_stmt(self, statement: Node) -> None:
        self.schema.prepared[statement.name] = statement.query

    def _on_execute_stmt(self, statement: Node) -> None:
        query = self.schema.prepared.get(statement.name)
        if query is None:
            self._undecidable(f"runs the prepared statement {statement.name}, which is not in the text")
        else:
            self._one(query)

    def _on_copy_stmt(self, statement: Node) -> None:
        if statement.is_program:
            self._undecidable("runs a program on the database's server", "Do it outside of the migration.")

    def _on_load_stmt(self, statement: Node) -> None:
        self._undecidable(f"loads the library {statement.filename}")

    def _on_variable_set_stmt(self, statement: Node) -> None:
        if statement.name == "search_path":
            words = [constant(node) for node in statement.args]
            self._set_path(", ".join(word for word in words if word is not None) if words else "public")

    def _set_path(self, value: str | None) -> None:
        """The search path, from its text; None where it is only known when the statement runs."""
        if value is None or not self._certain:
            self.schema.forget_new()
            return
        names = [name.strip().strip('"') for name in value.split(",")]
        self.schema.search_path = tuple(name for name in names if name and name != "$user") or ("public",)

    def _on_transaction_stmt(self, statement: Node) -> None:
        what = enum(statement, "kind")
        if what in ("TRANS_STMT_ROLLBACK", "TRANS_STMT_ROLLBACK_TO"):
            self.schema.forget_new()  # what was created here may be gone again
        if what in ("TRANS_STMT_COMMIT", "TRANS_STMT_ROLLBACK", "TRANS_STMT_PREPARE"):
            self.schema.end_transaction()
        elif what == "TRANS_STMT_COMMIT_PREPARED":
            self._undecidable("commits a prepared transaction, which is not in the text")

    def _on_discard_stmt(self, statement: Node) -> None:
        if enum(statement, "target") in ("DISCARD_ALL", "DISCARD_TEMP"):
            self.schema.end_session()


def _label(range_var: Node) -> str:
    schema = f"{range_var.schemaname}." if range_var.schemaname else ""
    name = "a table that is not known yet" if range_var.relname == PLACEHOLDER else range_var.relname
    return f"{schema}{name}"


def _words(node: Node) -> list[str]:
    """The name of an object in a DROP, however it is spelled."""
    if kind(node) == "list":
        return strings(node.list.items)
    if kind(node) == "type_name":
        return strings(node.type_name.names)
    return strings([node])


def _after_comments(text: str) -> int:
    """Where a statement starts, after white space and comments."""
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif text.startswith("--", at):
            end = text.find("\n", at)
            at = len(text) if end < 0 else end + 1
        elif text.startswith("/*", at):
            depth, at = 1, at + 2
            while at < len(text) and depth:
                if text.startswith("/*", at):
                    depth, at = depth + 1, at + 2
                elif text.startswith("*/", at):
                    depth, at = depth - 1, at + 2
                else:
                    at += 1
        else:
            break
    return at


def _never(where: Node | None) -> bool:
    """Whether a condition is the constant false."""
    return where is not None and any(constant(part) == "false" for part in conjuncts(where))


def _is_alembics(range_var: Node) -> bool:
    return bool(range_var.relname == ALEMBIC)


def _by_version(where: Node | None) -> bool:
    """Whether a condition is the one that Alembic writes: `version_num = 'REVISION'`."""
    if where is None or kind(where) != "a_expr" or strings(where.a_expr.name) != ["="]:
        return False
    reference = column_of(where.a_expr.lexpr)
    return reference is not None and reference[1] == "version_num" and constant(where.a_expr.rexpr) is not None


def _null_tested(condition: Node, own: Iterable[str]) -> Iterator[str]:
    """The column that a condition requires to be NULL, if it is the table's own."""
    if kind(condition) == "null_test" and enum(condition.null_test, "nulltesttype") == "IS_NULL":
        reference = column_of(condition.null_test.arg)
        if reference is not None and reference[0] in own:
            yield reference[1]


def _recoverable(target: Node, own: Iterable[str]) -> bool:
    """Whether the old value can be told from the new one: the same, one more, or only where there was none."""

    def is_old(node: Node) -> bool:
        reference = column_of(node)
        return reference is not None and reference[1] == target.name and reference[0] in own

    value = target.val
    if target.indirection:
        return False
    if is_old(value):
        return True
    if kind(value) == "coalesce_expr":
        return is_old(value.coalesce_expr.args[0])
    if kind(value) == "a_expr" and strings(value.a_expr.name) in (["+"], ["-"]):
        return is_old(value.a_expr.lexpr) and constant(value.a_expr.rexpr) is not None
    return False


def _is_time_zone_shift(call: Node) -> bool:
    return (
        qualified(strings(call.funcname))[1] == "timezone"
        and len(call.args) == 2
        and constant(call.args[0]) is not None
    )
