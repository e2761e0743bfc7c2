"""SQL inside SQL: the bodies of DO blocks and functions, and statements that are put together when they run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .nodes import constant, kind, qualified, strings
from .schema import PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .nodes import Node

_QUOTED_PLACEHOLDER = f'"{PLACEHOLDER}"'
_FORMAT = re.compile(r"%(?:(\d+)\$)?[-\d*$]*([sIL%])")
# Where statements below may not run, or run more than once.
_BRANCHES = ("_if", "_case", "_loop", "_while", "_fori", "_fors", "_forc", "_foreach_a", "_dynfors")


@dataclass(frozen=True, slots=True)
class Embedded:
    """One piece of SQL in a procedural body.

    Attributes:
        sql: its text: a statement; for a dynamic one, an expression whose value is the statement.
        dynamic: whether it is such an expression.
        certain: whether it certainly runs, once.
    """

    sql: str
    dynamic: bool
    certain: bool


def embedded(tree: object, *, certain: bool = True) -> Iterator[Embedded]:
    """The SQL in a body of PL/pgSQL, in order.

    Args:
        tree: what `postgast.parse_plpgsql` returns, or a part of it.
        certain: whether this part certainly runs.
    """
    if isinstance(tree, list):
        for item in tree:
            yield from embedded(item, certain=certain)
        return
    if not isinstance(tree, dict):
        return
    for key, value in tree.items():
        if key == "PLpgSQL_expr":
            yield Embedded(_statement(value), dynamic=False, certain=certain)
        elif key in ("PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors"):
            yield Embedded(_text(value.get("query")), dynamic=True, certain=certain)
            rest = {name: part for name, part in value.items() if name != "query"}
            yield from embedded(rest, certain=certain and key.endswith("dynexecute"))
        elif key == "dynquery":
            yield Embedded(_text(value), dynamic=True, certain=certain)
        else:
            branch = key == "PLpgSQL_exception_block" or key.endswith(_BRANCHES)
            yield from embedded(value, certain=certain and not branch)


def _text(expression: Any) -> str:
    return str((expression or {}).get("PLpgSQL_expr", {}).get("query", ""))


def _statement(expression: Any) -> str:
    """An expression of PL/pgSQL as a statement that the SQL parser takes."""
    query, mode = str(expression.get("query", "")), expression.get("parseMode", 0)
    if mode == 0:  # RAW_PARSE_DEFAULT
        return query
    if mode > 2:  # RAW_PARSE_PLPGSQL_ASSIGN1..3: `target := expression`
        query = query.partition(":=")[2] or query.partition("=")[2]
    return f"SELECT {query}"


@dataclass(frozen=True, slots=True)
class Assembled:
    """A statement put together from constants, with a placeholder for each part that is not one.

    Attributes:
        sql: its text.
        open: whether a part may be any text at all, further statements included.
    """

    sql: str
    open: bool


def assemble(expression: Node) -> Assembled:
    """Works out what text an expression has, as far as it is constant."""
    parts = list(_parts(expression))
    return Assembled("".join(text for text, _ in parts), any(unbounded for _, unbounded in parts))


def _parts(node: Node) -> Iterator[tuple[str, bool]]:
    text = constant(node)
    if text is not None:
        yield text, False
    elif kind(node) == "a_expr" and strings(node.a_expr.name) == ["||"]:
        yield from _parts(node.a_expr.lexpr)
        yield from _parts(node.a_expr.rexpr)
    elif kind(node) == "type_cast":
        yield from _parts(node.type_cast.arg)
    elif kind(node) == "func_call":
        yield from _call(node.func_call)
    else:
        yield _QUOTED_PLACEHOLDER, True


def _call(call: Node) -> Iterator[tuple[str, bool]]:
    name, args = qualified(strings(call.funcname))[1], list(call.args)
    if name == "format" and args and (template := constant(args[0])) is not None:
        yield from _formatted(template, args[1:])
    elif name == "concat":
        for arg in args:
            yield from _parts(arg)
    elif name == "quote_ident" and args:
        yield _identifier(args[0]), False
    elif name in ("quote_literal", "quote_nullable") and args:
        yield "'?'", False
    else:
        yield _QUOTED_PLACEHOLDER, True


def _identifier(node: Node) -> str:
    text = constant(node)
    if text is None:
        return _QUOTED_PLACEHOLDER
    return '"' + text.replace('"', '""') + '"'


def _formatted(template: str, args: list[Node]) -> Iterator[tuple[str, bool]]:
    at, following = 0, 0
    for match in _FORMAT.finditer(template):
        yield template[at : match.start()], False
        at = match.end()
        if match[2] == "%":
            yield "%", False
            continue
        index = int(match[1]) - 1 if match[1] else following
        following = index + 1
        if not 0 <= index < len(args):
            yield _QUOTED_PLACEHOLDER, True
        elif match[2] == "I":
            yield _identifier(args[index]), False
        elif match[2] == "L":
            yield "'?'", False
        else:
            yield from _parts(args[index])
    yield template[at:], False
