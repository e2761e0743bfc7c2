"""The operators of a policy's Condition element, and the patterns of its other elements; pure.

After "IAM JSON policy elements: Condition operators" of AWS's IAM user guide.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import functools
import ipaddress
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Context = Mapping[str, str | Sequence[str]]
    Operator = Callable[[str, str], bool]

_VARIABLE: Final = re.compile(r"\$\{\s*([^},\s]+)\s*(?:,\s*'([^']*)'\s*)?\}")
_ITSELF: Final = ("*", "?", "$")  # `${*}` is an asterisk


class _Unresolved(Exception):  # noqa: N818 — no error: the pattern matches nothing then
    """A policy variable has no value in this request."""


def lowered(context: Mapping[str, Any]) -> dict[str, str | Sequence[str]]:
    """Return a context by lower-case keys, whose names do not depend on case; keys without a value are left out."""
    return {key.lower(): value for key, value in context.items() if value is not None}


def matches(pattern: str, value: str, context: Context | None = None, *, fold: bool = False) -> bool:
    """Tell whether a value fits a pattern with `*` and `?`.

    Args:
        pattern: of the policy.
        value: of the request, taken literally.
        context: for the policy variables of the pattern; None where they are plain text.
        fold: whether case does not matter.
    """
    try:
        return _compiled(pattern, _variables(pattern, context), fold).fullmatch(value) is not None
    except _Unresolved:
        return False


def _variables(pattern: str, context: Context | None) -> tuple[str, ...] | None:
    """Return the values of a pattern's variables, in order; None where variables are text.

    Raises:
        _Unresolved: one has no single value and no default.
    """
    if context is None or "${" not in pattern:
        return None
    values = []
    for found in _VARIABLE.finditer(pattern):
        name, default = found[1], found[2]
        value = name if name in _ITSELF else context.get(name.lower(), default)
        if not isinstance(value, str):
            raise _Unresolved
        values.append(value)
    return tuple(values)


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str, values: tuple[str, ...] | None, fold: bool) -> re.Pattern[str]:
    parts: list[str] = []
    replaced = iter(values or ())
    position = 0
    while position < len(pattern):
        if values is not None and (found := _VARIABLE.match(pattern, position)):
            parts.append(re.escape(next(replaced)))  # what a variable stands for has no wildcards
            position = found.end()
            continue
        character = pattern[position]
        parts.append({"*": ".*", "?": "."}.get(character) or re.escape(character))
        position += 1
    return re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if fold else 0))


def met(conditions: Mapping[str, Mapping[str, Any]], context: Context, *, variables: bool = True) -> bool:
    """Tell whether a statement's conditions hold: every operator, and every key below it.

    Args:
        conditions: the Condition element.
        context: the request's, by lower-case keys.
        variables: whether the policy's version knows policy variables.
    """
    return all(
        _holds(operator, context.get(key.lower()), _texts(wanted), context if variables else None)
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _texts(value: Any) -> list[str]:
    if isinstance(value, (list, tuple)):
        return [text for one in value for text in _texts(one)]
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def _holds(name: str, actual: str | Sequence[str] | None, wanted: Sequence[str], context: Context | None) -> bool:
    set_operator, _, plain = name.rpartition(":")
    base = plain.lower()
    if base == "null":
        absent = actual is None or (not isinstance(actual, str) and not actual)
        return any(absent == (one.lower() == "true") for one in wanted)
    if_exists = base.endswith("ifexists")
    base = base.removesuffix("ifexists")
    operator = _OPERATORS.get(base)
    if operator is None:
        return False
    negated = "not" in base
    given = None if actual is None else [actual] if isinstance(actual, str) else list(actual)
    quantifier = set_operator.lower()
    if not given:
        return if_exists or quantifier == "forallvalues" or (negated and quantifier != "foranyvalue")
    expanded = [_expanded(one, base, context) for one in wanted]

    def fits(value: str) -> bool:
        found = any(operator(value, one) for one in expanded if one is not None)
        return not found if negated else found

    if quantifier == "forallvalues" or (negated and quantifier != "foranyvalue"):
        return all(fits(value) for value in given)
    return any(fits(value) for value in given)


def _expanded(wanted: str, operator: str, context: Context | None) -> str | None:
    """Replace variables; in a pattern their values' wildcards are escaped as variables of their own."""
    if context is None or "${" not in wanted or not operator.startswith(("string", "arn")):
        return wanted
    try:
        values = iter(_variables(wanted, context) or ())
    except _Unresolved:
        return None
    patterned = operator.removeprefix("string").removeprefix("arn").removeprefix("not") == "like" or (
        operator.startswith("arn")
    )

    def literal(_found: re.Match[str]) -> str:
        value = next(values)
        return re.sub(r"[*?$]", lambda one: f"${{{one[0]}}}", value) if patterned else value

    return _VARIABLE.sub(literal, wanted)


def _arn(value: str, pattern: str) -> bool:
    """Compare ARNs component by component."""
    values, patterns = value.split(":", 5), pattern.split(":", 5)
    return len(values) == len(patterns) and all(
        matches(one, other, {}) for one, other in zip(patterns, values, strict=True)
    )


def _number(compare: Callable[[float, float], bool]) -> Operator:
    def operator(value: str, wanted: str) -> bool:
        try:
            return compare(float(value), float(wanted))
        except ValueError:
            return False

    return operator


def _moment(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromtimestamp(float(text), dt.UTC)
    except ValueError:
        read = dt.datetime.fromisoformat(text)
        return read if read.tzinfo else read.replace(tzinfo=dt.UTC)


def _date(compare: Callable[[dt.datetime, dt.datetime], bool]) -> Operator:
    def operator(value: str, wanted: str) -> bool:
        try:
            return compare(_moment(value), _moment(wanted))
        except (ValueError, OverflowError, OSError):
            return False

    return operator


def _address(value: str, wanted: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)
    except (ValueError, TypeError):
        return False


def _binary(value: str, wanted: str) -> bool:
    try:
        return base64.b64decode(value, validate=True) == base64.b64decode(wanted, validate=True)
    except (binascii.Error, ValueError):
        return False


def _like(value: str, wanted: str) -> bool:
    return matches(wanted, value, {})


def _same(value: str, wanted: str) -> bool:
    return value == wanted


def _same_folded(value: str, wanted: str) -> bool:
    return value.casefold() == wanted.casefold()


_POSITIVE: Final[dict[str, Operator]] = {
    "stringequals": _same,
    "stringequalsignorecase": _same_folded,
    "stringlike": _like,
    "numericequals": _number(lambda value, wanted: value == wanted),
    "dateequals": _date(lambda value, wanted: value == wanted),
    "arnequals": _arn,
    "arnlike": _arn,
    "ipaddress": _address,
}
# A negated operator is its positive one, denied of every value: "not" in its name says so.
_OPERATORS: Final[dict[str, Operator]] = {
    **_POSITIVE,
    "stringnotequals": _same,
    "stringnotequalsignorecase": _same_folded,
    "stringnotlike": _like,
    "numericnotequals": _POSITIVE["numericequals"],
    "datenotequals": _POSITIVE["dateequals"],
    "arnnotequals": _arn,
    "arnnotlike": _arn,
    "notipaddress": _address,
    "numericlessthan": _number(lambda value, wanted: value < wanted),
    "numericlessthanequals": _number(lambda value, wanted: value <= wanted),
    "numericgreaterthan": _number(lambda value, wanted: value > wanted),
    "numericgreaterthanequals": _number(lambda value, wanted: value >= wanted),
    "datelessthan": _date(lambda value, wanted: value < wanted),
    "datelessthanequals": _date(lambda value, wanted: value <= wanted),
    "dategreaterthan": _date(lambda value, wanted: value > wanted),
    "dategreaterthanequals": _date(lambda value, wanted: value >= wanted),
    "bool": _same_folded,
    "binaryequals": _binary,
}
