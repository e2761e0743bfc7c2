"""Small readers over the parser's tree (libpg_query's protobuf messages, as `postgast` gives them)."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .types import SERIALS, Type

if TYPE_CHECKING:
    from collections.abc import Iterator

Node = Any
"""A protobuf message of the tree."""


@cache
def parser() -> Any:
    """The package `postgast`, loaded at first use (0.25 s).

    By name, because the stub that it ships is no Python (one of its fields is called `def`) and stops mypy.
    """
    return import_module("postgast")


def normalized(sql: str) -> str:
    """A statement with a placeholder for every constant; empty where it cannot be read.

    Constants may hold personal data or passwords: this is the form for messages.
    """
    try:
        return str(parser().normalize(sql))
    except (parser().PgQueryError, UnicodeError, ValueError):
        return ""


def kind(node: Node) -> str:
    """Which message a `Node` wraps, for example `drop_stmt`; empty for none."""
    return node.WhichOneof("node") or ""


def inner(node: Node) -> Any:
    """The message that a `Node` wraps."""
    return getattr(node, kind(node))


def enum(message: Node, field: str) -> str:
    """The name of an enum's value, for example `DROP_CASCADE`."""
    descriptor = message.DESCRIPTOR.fields_by_name[field].enum_type
    return str(descriptor.values_by_number[getattr(message, field)].name)


def strings(nodes: Any) -> list[str]:
    """The texts of a list of String nodes, such as a qualified name."""
    return [node.string.sval for node in nodes if kind(node) == "string"]


def qualified(names: list[str]) -> tuple[str, str]:
    """Schema (empty where none is written) and name."""
    return (names[-2] if len(names) > 1 else "", names[-1] if names else "")


def descend(message: Node) -> Iterator[Node]:
    """Every message below one, itself included, parents first."""
    pending = [message]
    while pending:
        current = pending.pop()
        yield current
        below: list[Node] = []
        for field, value in current.ListFields():
            if field.message_type is None:
                continue
            below += value if field.label == field.LABEL_REPEATED else [value]
        pending += reversed(below)


def type_of(name: Node) -> Type | None:
    """The type that a TypeName stands for; None for `table.column%TYPE` and for modifiers that are no numbers."""
    words = strings(name.names)
    if not words or name.pct_type:
        return None
    schema, base = qualified(words)
    if schema not in ("", "pg_catalog"):
        base = f"{schema}.{base}"
    base = SERIALS.get(base, base)
    base = {"decimal": "numeric", "char": "bpchar" if schema == "pg_catalog" else "char"}.get(base, base)
    mods: list[int] = []
    for node in name.typmods:
        if kind(node) != "a_const":
            return None
        mods.append(node.a_const.ival.ival)
    return Type(base, tuple(mods) or None, array=bool(name.array_bounds))


def constant(node: Node) -> str | None:
    """The text of a constant; None for NULL and for what is no constant."""
    if kind(node) == "type_cast":
        return constant(node.type_cast.arg)
    if kind(node) != "a_const" or node.a_const.isnull:
        return None
    value = node.a_const
    which = value.WhichOneof("val")
    if which == "boolval":
        return str(value.boolval.boolval).lower()
    return str(getattr(getattr(value, which), which)) if which else None


def option(options: Any, name: str) -> Node | None:
    """The DefElem of a name in a list of options."""
    return next((node.def_elem for node in options if node.def_elem.defname == name), None)


def is_on(element: Node | None) -> bool:
    """Whether an option such as `ANALYZE` or `ANALYZE false` is on."""
    if element is None:
        return False
    if not element.HasField("arg"):
        return True
    arg = element.arg
    word = "true"
    if kind(arg) == "string":
        word = arg.string.sval
    elif kind(arg) == "integer":
        word = str(arg.integer.ival)
    return word.lower() not in ("false", "off", "0")


def conjuncts(where: Node) -> Iterator[Node]:
    """The conditions of a WHERE that all have to hold."""
    if kind(where) == "bool_expr" and enum(where.bool_expr, "boolop") == "AND_EXPR":
        for arg in where.bool_expr.args:
            yield from conjuncts(arg)
    else:
        yield where


def column_of(node: Node) -> tuple[str, str] | None:
    """Qualifier and name of a column reference; None for anything else."""
    if kind(node) != "column_ref":
        return None
    words = strings(node.column_ref.fields)
    if not words or len(words) < len(node.column_ref.fields):
        return None  # t.*
    return qualified(words)


@cache
def builtin_functions() -> dict[str, str]:
    """Functions of PostgreSQL itself, and the worst volatility among those of the name."""
    found: dict[str, str] = {}
    volatility = ""
    for line in Path(__file__).with_name("functions.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            volatility = line.strip("[]")
        elif not line.startswith("#"):
            found |= dict.fromkeys(line.split(), volatility)
    return found
