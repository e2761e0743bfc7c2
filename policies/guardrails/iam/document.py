"""Reading an IAM document into one shape, whatever form it was written in.

Amazon takes one statement or a list, a string or a list, any letter case of an action. What it would refuse
(`MalformedPolicyDocument`) is a defect here, so that nothing passes because it was not understood. The grammar is that
of "Grammar of the IAM JSON policy language" in the IAM user guide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..unknown import Unknown
from .patterns import covers_everything_in


class Kind(Enum):
    """Where a document stands, which decides what it must and must not have."""

    IDENTITY = "identity"
    TRUST = "trust"
    RESOURCE = "resource"


@dataclass(frozen=True, slots=True)
class Item:
    """One text of a document, and where it stands (a JSON pointer)."""

    pointer: str
    text: str


@dataclass(frozen=True, slots=True)
class Principal:
    """One principal: its type (`AWS`, `Service`, `Federated`, `CanonicalUser`, or `*` for anybody) and identifier."""

    pointer: str
    type: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One line of a condition: operator, key, values.

    Attributes:
        operator: in small letters, without qualifier and IfExists, for example `stringequals`.
        qualifier: `foranyvalue`, `forallvalues` or empty.
        if_exists: whether it also holds where the key is absent.
        key: in small letters: letter case means nothing in keys.
        values: as text; None where one of them is not known.
    """

    pointer: str
    operator: str
    qualifier: str
    if_exists: bool
    key: str
    values: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement in normal form: every element a tuple, empty where the element is absent."""

    pointer: str
    allows: bool
    actions: tuple[Item, ...] = ()
    not_actions: tuple[Item, ...] = ()
    resources: tuple[Item, ...] = ()
    not_resources: tuple[Item, ...] = ()
    principals: tuple[Principal, ...] = ()
    not_principals: tuple[Principal, ...] = ()
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Defect:
    """Something that makes a document malformed."""

    pointer: str
    message: str


@dataclass(slots=True)
class Document:
    """A document in normal form, with what was wrong with it and what was not known."""

    kind: Kind
    statements: list[Statement] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    unknowns: list[str] = field(default_factory=list)


_TOP = frozenset({"Version", "Id", "Statement"})
_ELEMENTS = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)
_ACTION = re.compile(r"[A-Za-z0-9*?-]+:[A-Za-z0-9*?_-]+")
_OPERATOR = re.compile(r"(?:(foranyvalue|forallvalues):)?([a-z]+?)(ifexists)?")
_OPERATORS = frozenset(
    "stringequals stringnotequals stringequalsignorecase stringnotequalsignorecase stringlike "  # noqa: SIM905
    "stringnotlike "
    "numericequals numericnotequals numericlessthan numericlessthanequals numericgreaterthan "
    "numericgreaterthanequals dateequals datenotequals datelessthan datelessthanequals dategreaterthan "
    "dategreaterthanequals bool binaryequals ipaddress notipaddress arnequals arnlike arnnotequals arnnotlike "
    "null".split()
)


def read(source: object, kind: Kind) -> Document:
    """Reads a document.

    Args:
        source: JSON text, or the object itself; `Unknown` may stand anywhere in it.
        kind: where the document stands.

    Returns:
        The document in normal form. It never raises: what is wrong is in its `defects`.
    """
    document = Document(kind)
    if isinstance(source, str):
        try:
            source = json.loads(source, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            # The text itself is not quoted: it may be anything, a secret too.
            document.defects.append(Defect("", f"is not JSON: {_json_error(error)}"))
            return document
    if isinstance(source, Unknown):
        document.unknowns.append("")
    elif isinstance(source, Mapping):
        _Reader(document).top(source)
    else:
        document.defects.append(Defect("", f"is {_kind_of(source)}, not an object"))
    return document


class _DuplicateError(ValueError):
    pass


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        # Parsers differ in which one wins, so what is judged here need not be what is in force.
        raise _DuplicateError("an object has the same key twice")
    return result


def _no_constant(name: str) -> Any:
    raise _DuplicateError(f"{name} is no JSON value")


def _json_error(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _kind_of(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return names.get(type(value), f"of type {type(value).__name__}")


def _escape(key: object) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document

    def defect(self, pointer: str, message: str) -> None:
        self.document.defects.append(Defect(pointer, message))

    def top(self, source: Mapping[Any, Any]) -> None:
        for key in source:
            if key not in _TOP:
                self.defect(f"/{_escape(key)}", "is no element of a policy document")
        version = source.get("Version", "2008-10-17")
        if isinstance(version, Unknown):
            self.document.unknowns.append("/Version")
        elif version not in ("2012-10-17", "2008-10-17"):
            self.defect("/Version", "is neither 2012-10-17 nor 2008-10-17")
        statements = source.get("Statement")
        if isinstance(statements, Mapping):
            self.statement(statements, "/Statement")
        elif isinstance(statements, Unknown):
            self.document.unknowns.append("/Statement")
        elif isinstance(statements, list) and statements:
            for index, statement in enumerate(statements):
                pointer = f"/Statement/{index}"
                if isinstance(statement, Mapping):
                    self.statement(statement, pointer)
                elif isinstance(statement, Unknown):
                    self.document.unknowns.append(pointer)
                else:
                    self.defect(pointer, f"is {_kind_of(statement)}, not a statement")
        elif "Statement" not in source:
            self.defect("", "has no Statement")
        else:
            what = "an empty list" if isinstance(statements, list) else _kind_of(statements)
            self.defect("/Statement", f"is {what}, not a statement or a list of them")

    def statement(self, source: Mapping[Any, Any], pointer: str) -> None:
        for key in source:
            if key not in _ELEMENTS:
                self.defect(f"{pointer}/{_escape(key)}", "is no element of a statement")
        if "Sid" in source and not isinstance(source["Sid"], str | Unknown):
            self.defect(f"{pointer}/Sid", f"is {_kind_of(source['Sid'])}, not a string")
        effect = source.get("Effect")
        if isinstance(effect, Unknown):
            self.document.unknowns.append(f"{pointer}/Effect")
        elif effect not in ("Allow", "Deny"):
            self.defect(f"{pointer}/Effect", "is neither Allow nor Deny")
        self._one_of(source, pointer, "Action", "NotAction", required=True)
        kind = self.document.kind
        self._one_of(
            source, pointer, "Resource", "NotResource", required=kind is Kind.IDENTITY, banned=kind is Kind.TRUST
        )
        self._one_of(
            source,
            pointer,
            "Principal",
            "NotPrincipal",
            required=kind is not Kind.IDENTITY,
            banned=kind is Kind.IDENTITY,
        )
        self.document.statements.append(
            Statement(
                pointer=pointer,
                # What is not plainly a Deny is judged as what it would be at worst.
                allows=isinstance(effect, Unknown) or effect != "Deny",
                actions=tuple(self._actions(source, pointer, "Action")),
                not_actions=tuple(self._actions(source, pointer, "NotAction")),
                resources=tuple(self._resources(source, pointer, "Resource")),
                not_resources=tuple(self._resources(source, pointer, "NotResource")),
                principals=tuple(self._principals(source, pointer, "Principal")),
                not_principals=tuple(self._principals(source, pointer, "NotPrincipal")),
                conditions=tuple(self._conditions(source, pointer)),
            )
        )

    def _one_of(
        self, source: Mapping[Any, Any], pointer: str, name: str, negated: str, *, required: bool, banned: bool = False
    ) -> None:
        present = [element for element in (name, negated) if element in source]
        if len(present) > 1:
            self.defect(pointer, f"has both {name} and {negated}")
        if required and not present:
            self.defect(pointer, f"has neither {name} nor {negated}")
        if banned and present:
            self.defect(f"{pointer}/{present[0]}", f"has no place in {self.document.kind.value} documents")

    def _texts(self, value: object, pointer: str, *, scalars: bool = False) -> Iterator[Item]:
        """The texts of a string or a list of strings."""
        if isinstance(value, Unknown):
            self.document.unknowns.append(pointer)
        elif isinstance(value, str):
            if value or scalars:
                yield Item(pointer, value)
            else:
                self.defect(pointer, "is empty")
        elif scalars and isinstance(value, bool | int | float):
            yield Item(pointer, str(value).lower())
        elif isinstance(value, Sequence) and value:
            for index, item in enumerate(value):
                if isinstance(item, list):
                    self.defect(f"{pointer}/{index}", "is a list within a list")
                else:
                    yield from self._texts(item, f"{pointer}/{index}", scalars=scalars)
        else:
            what = "an empty list" if isinstance(value, list) else _kind_of(value)
            self.defect(pointer, f"is {what}, not a string or a list of strings")

    def _actions(self, source: Mapping[Any, Any], pointer: str, element: str) -> Iterator[Item]:
        if element not in source:
            return
        for item in self._texts(source[element], f"{pointer}/{element}"):
            if not covers_everything_in(item.text, ":") and not _ACTION.fullmatch(item.text):
                self.defect(item.pointer, "is no action: it must be service:Name")
            yield item

    def _resources(self, source: Mapping[Any, Any], pointer: str, element: str) -> Iterator[Item]:
        if element not in source:
            return
        for item in self._texts(source[element], f"{pointer}/{element}"):
            text = item.text
            arn = text.lower().startswith(("arn:", "${"))
            # API Gateway's own documents may leave out the front of the ARN.
            short = self.document.kind is Kind.RESOURCE and text.startswith("execute-api:/")
            if not (arn or short or covers_everything_in(text, ":/")):
                self.defect(item.pointer, "is neither an ARN nor *")
            yield item

    def _principals(self, source: Mapping[Any, Any], pointer: str, element: str) -> Iterator[Principal]:
        if element not in source:
            return
        value, at = source[element], f"{pointer}/{element}"
        if isinstance(value, Unknown):
            self.document.unknowns.append(at)
        elif value == "*":
            yield Principal(at, "*", "*")
        elif isinstance(value, Mapping) and value:
            for type_, texts in value.items():
                if type_ not in ("AWS", "Service", "Federated", "CanonicalUser"):
                    self.defect(f"{at}/{_escape(type_)}", "is no type of principal")
                for item in self._texts(texts, f"{at}/{_escape(type_)}"):
                    yield Principal(item.pointer, str(type_), item.text)
        else:
            self.defect(at, "is neither * nor an object of principals")

    def _conditions(self, source: Mapping[Any, Any], pointer: str) -> Iterator[Condition]:
        if "Condition" not in source:
            return
        block, at = source["Condition"], f"{pointer}/Condition"
        if isinstance(block, Unknown):
            self.document.unknowns.append(at)
            return
        if not isinstance(block, Mapping):
            self.defect(at, f"is {_kind_of(block)}, not an object")
            return
        for operator, keys in block.items():
            where = f"{at}/{_escape(operator)}"
            parsed = _OPERATOR.fullmatch(str(operator).lower())
            if parsed is None or parsed[2] not in _OPERATORS:
                self.defect(where, "is no condition operator")
                continue
            if isinstance(keys, Unknown):
                self.document.unknowns.append(where)
                continue
            if not isinstance(keys, Mapping) or not keys:
                self.defect(where, "is no object of condition keys")
                continue
            for key, values in keys.items():
                spot = f"{where}/{_escape(key)}"
                before = len(self.document.unknowns)
                texts = tuple(item.text for item in self._texts(values, spot, scalars=True))
                yield Condition(
                    pointer=spot,
                    operator=parsed[2],
                    qualifier=parsed[1] or "",
                    if_exists=bool(parsed[3]),
                    key=str(key).lower(),
                    values=texts if len(self.document.unknowns) == before else None,
                )
