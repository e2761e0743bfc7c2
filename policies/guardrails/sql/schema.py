"""A model of the schema that advances with every statement.

It answers one question first: could this object hold committed rows? Everything may, except what a statement of this
change has certainly created; and a new table does too once an existing one has become its partition or child.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .types import Type

Name = tuple[str, str]
"""Schema and name."""

TEMPORARY = "pg_temp"
PLACEHOLDER = "?"
"""Stands for a name that is only known when the statement runs; it may be any object."""


@dataclass(slots=True)
class Column:
    """A column: its type if that is known, whether this change added it, whether it is computed from others."""

    type: Type | None = None
    new: bool = False
    generated: bool = False


@dataclass(slots=True, eq=False)
class Relation:
    """A table or what is like one.

    Attributes:
        kind: table, view, matview, foreign, sequence or type.
        new: whether this change has certainly created it.
        columns: those that are known.
        complete: whether these are all.
        children: partitions and inheriting tables.
        referrers: tables with a foreign key to this one, and whether deleting a row here changes rows there.
        transient: whether the end of the transaction drops it.
    """

    kind: str = "table"
    new: bool = False
    columns: dict[str, Column] = field(default_factory=dict)
    complete: bool = False
    children: list[Relation] = field(default_factory=list)
    referrers: list[tuple[Relation, bool]] = field(default_factory=list)
    transient: bool = False

    def column(self, name: str) -> Column:
        """A column by name; one that is not known has been there before."""
        return self.columns.get(name, Column())

    def holds_committed(self, *, deleting: bool = False, truncating: bool = False) -> bool:
        """Whether taking this table's rows away takes committed ones.

        Args:
            deleting: whether foreign keys that cascade a DELETE are followed.
            truncating: whether all foreign keys are followed, as TRUNCATE ... CASCADE does.
        """
        seen: set[int] = set()
        pending = [self]
        while pending:
            relation = pending.pop()
            if id(relation) in seen:
                continue
            seen.add(id(relation))
            if not relation.new or relation.kind in ("view", "foreign"):
                return True  # rows reached through a view or a server are somebody else's
            pending += relation.children
            pending += [other for other, cascades in relation.referrers if truncating or (deleting and cascades)]
        return False


@dataclass(frozen=True, slots=True)
class Function:
    """A user's function: its language, whether it may write (volatile), and the statement that made it."""

    language: str
    volatile: bool
    source: str
    body: str


@dataclass(slots=True)
class Schema:
    """The objects that are known.

    Attributes:
        closed: whether an object that is not here does not exist. Without a given schema that is never known.
    """

    closed: bool = False
    relations: dict[Name, Relation] = field(default_factory=dict)
    functions: dict[str, list[Function]] = field(default_factory=dict)
    domains: dict[str, Type] = field(default_factory=dict)
    enums: set[str] = field(default_factory=set)
    schemas: dict[str, bool] = field(default_factory=lambda: {"public": False})
    new_types: set[str] = field(default_factory=set)
    new_extensions: set[str] = field(default_factory=set)
    prepared: dict[str, object] = field(default_factory=dict)
    search_path: tuple[str, ...] = ("public",)

    def key(self, schema: str, name: str, *, creating: bool = False) -> Name:
        """Where a name leads: to the schema it names, else to the first of the search path that has it."""
        if schema:
            return (TEMPORARY if schema.startswith(TEMPORARY) else schema), name
        path = self.search_path or ("public",)
        if not creating:
            for candidate in (TEMPORARY, *path):
                if (candidate, name) in self.relations:
                    return candidate, name
        return path[0], name

    def find(self, schema: str, name: str) -> Relation | None:
        """The relation of a name.

        Returns:
            None if it certainly does not exist. One that was not heard of, in a schema that is not closed, exists: it
            is entered as such.
        """
        key = self.key(schema, name)
        found = self.relations.get(key)
        if found is None and (not self.closed or name == PLACEHOLDER):
            found = self.relations[key] = Relation()
        return found

    def create(self, key: Name, relation: Relation, *, certain: bool, if_not_exists: bool) -> Relation:
        """Enters a relation that a statement creates.

        Args:
            key: its name.
            relation: the relation as the statement has it.
            certain: whether the statement certainly runs.
            if_not_exists: whether an existing one stays as it is.
        """
        existing = self.relations.get(key)
        if existing is not None:
            return existing  # it stays (IF NOT EXISTS), or the statement fails
        relation.new = certain and (not if_not_exists or self.closed)
        self.relations[key] = relation
        return relation

    def rename(self, key: Name, to: Name, *, certain: bool) -> None:
        """Moves a relation to another name; if that may not happen, it is known under both."""
        relation = self.relations.get(key)
        if relation is None:
            return
        self.relations[to] = relation
        if certain:
            del self.relations[key]

    def forget_new(self) -> None:
        """Everything may have existed before: after a rollback, or a statement that nobody can read."""
        self.closed = False
        for relation in self.relations.values():
            relation.new = False
            for column in relation.columns.values():
                column.new = False
        self.new_types.clear()
        self.new_extensions.clear()
        self.schemas = dict.fromkeys(self.schemas, False)

    def end_transaction(self) -> None:
        """Drops what lives no longer than a transaction."""
        for key in [key for key, relation in self.relations.items() if relation.transient]:
            del self.relations[key]

    def end_session(self) -> None:
        """Drops what lives no longer than a session."""
        for key in [key for key in self.relations if key[0] == TEMPORARY]:
            del self.relations[key]
        self.prepared.clear()
        self.search_path = ("public",)

    def settle(self) -> None:
        """Makes all that is known committed: the end of the schema that is given."""
        self.end_session()
        self.forget_new()
        self.closed = True
