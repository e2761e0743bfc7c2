"""Types of columns, and whether a change from one to another can lose a value.

Lossless here means that what was stored can be computed from what is stored afterwards, or that the statement fails: an
integer that does not fit, or a text that is too long for an assignment, is an error and not a loss. Sources: "Data
Types" and `CREATE CAST` in PostgreSQL's documentation, and pg_cast of version 18.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class Effect(Enum):
    """What a conversion does to the values."""

    KEEPS = "keeps"
    LOSES = "loses"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Type:
    """A type in normal form.

    Attributes:
        name: PostgreSQL's own name (`int4`, `timestamptz`), with its schema where that is not pg_catalog.
        mods: what stands in parentheses; None for nothing.
        array: whether it is an array.
    """

    name: str
    mods: tuple[int, ...] | None = None
    array: bool = False

    def __str__(self) -> str:
        mods = f"({', '.join(map(str, self.mods))})" if self.mods else ""
        return f"{self.name}{mods}{'[]' if self.array else ''}"


@dataclass(frozen=True, slots=True)
class Conversion:
    """The effect of a conversion, and why."""

    effect: Effect
    why: str = ""


KEEPS = Conversion(Effect.KEEPS)

SERIALS = {"serial": "int4", "serial4": "int4", "bigserial": "int8", "serial8": "int8"} | {
    "smallserial": "int2",
    "serial2": "int2",
}
# Decimal digits that every value of the type has room for, and the digits that a float keeps exactly.
_INTEGERS = {"int2": 5, "int4": 10, "int8": 19}
_FLOATS = {"float4": 6, "float8": 15}
_TEXTS = frozenset({"text", "varchar", "bpchar", "citext", "name"})
_CLOCKS = frozenset({"timestamp", "timestamptz", "time", "timetz"})
# What a conversion between types of time leaves out.
_TIME_LOSSES = {
    ("timestamp", "date"): "the time of day",
    ("timestamptz", "date"): "the time of day",
    ("timestamp", "time"): "the date",
    ("timestamptz", "time"): "the date",
    ("timestamptz", "timetz"): "the date",
    ("timestamp", "timetz"): "the date",
    ("timetz", "time"): "the time zone",
    ("interval", "time"): "whole days",
}
_TIME_KEEPS = frozenset(
    {
        ("date", "timestamp"),
        ("date", "timestamptz"),
        # In one session time zone these two are each other's inverse, but for the hour that a clock is set back.
        ("timestamp", "timestamptz"),
        ("timestamptz", "timestamp"),
        ("time", "timetz"),
        ("time", "interval"),
    }
)
_OTHER_KEEPS = frozenset(
    {
        ("json", "jsonb"),
        ("jsonb", "json"),
        ("text", "json"),
        ("cidr", "inet"),
        ("macaddr", "macaddr8"),
        ("money", "numeric"),
        ("bool", "int4"),
        ("bit", "varbit"),
    }
)


def convert(old: Type | None, new: Type | None, *, explicit: bool, enums: frozenset[str] = frozenset()) -> Conversion:
    """What converting every value from one type to another does.

    Args:
        old: the type so far; None if it is not known.
        new: the type afterwards; None if it is not known.
        explicit: whether a cast is written out. `varchar(40)::varchar(10)` cuts silently where an assignment fails.
        enums: names of enumerations, to which a text converts exactly or not at all.
    """
    if new is None:
        return Conversion(Effect.UNKNOWN, "the new type is not known")
    if old is not None and old.array and new.array:
        return convert(replace(old, array=False), replace(new, array=False), explicit=explicit, enums=enums)
    if new.name in _TEXTS and not new.array and (new.mods is None or not explicit) and new.name != "name":
        # Every type has a text form, and one that is too long is an error. A bare `char` is char(1).
        return KEEPS
    if old is None:
        return Conversion(
            Effect.UNKNOWN, f"the type so far is not known, and a conversion to {new} loses values of some"
        )
    if old == new:
        return KEEPS
    if old.array or new.array:
        return Conversion(Effect.UNKNOWN, f"whether {old} to {new} keeps every value cannot be told")
    for rule in (_to_text, _numbers, _times, _bits):
        if (found := rule(old, new, explicit=explicit)) is not None:
            return found
    if old.name == new.name and old.mods == new.mods:
        return KEEPS
    if (old.name, new.name) in _OTHER_KEEPS or (old.name in _TEXTS and new.name in enums):
        return KEEPS
    if new.name == "bool":
        return Conversion(Effect.LOSES, f"{old} to boolean leaves two values")
    return Conversion(Effect.UNKNOWN, f"whether {old} to {new} keeps every value cannot be told")


def _to_text(old: Type, new: Type, *, explicit: bool) -> Conversion | None:
    if new.name not in _TEXTS or not explicit or new.mods is None:
        return None
    if old.name in _TEXTS and old.mods is not None and old.mods[0] <= new.mods[0]:
        return KEEPS
    return Conversion(Effect.LOSES, f"the cast from {old} cuts longer texts to {new} without an error")


def _numbers(old: Type, new: Type, *, explicit: bool) -> Conversion | None:  # noqa: ARG001 -- one signature for all
    kinds = {**_INTEGERS, **_FLOATS, "numeric": 0, "money": 0}
    if old.name not in kinds or new.name not in kinds:
        return None
    scale = _scale(old)
    if new.name in _INTEGERS:
        return KEEPS if scale == 0 else Conversion(Effect.LOSES, f"{old} to {new} rounds fractions away")
    if new.name in _FLOATS:
        digits = _INTEGERS.get(old.name) or (old.mods[0] if old.name == "numeric" and old.mods else 99)
        fits = (old.name, new.name) == ("float4", "float8") or old.name == new.name or digits <= _FLOATS[new.name]
        return KEEPS if fits else Conversion(Effect.LOSES, f"{old} to {new} keeps {_FLOATS[new.name]} digits only")
    if old.name in _FLOATS:
        return Conversion(Effect.LOSES, f"{old} to {new} keeps {_FLOATS[old.name]} digits only")
    target = _scale(new)
    if target is None or (scale is not None and target >= scale):
        return KEEPS
    return Conversion(Effect.LOSES, f"{old} to {new} rounds to {target} decimal places")


def _scale(number: Type) -> int | None:
    """Decimal places of a numeric type; None for any number of them."""
    if number.name in _INTEGERS:
        return 0
    if number.name == "money":
        return 2
    if number.name == "numeric" and number.mods:
        return number.mods[1] if len(number.mods) > 1 else 0
    return None


def _times(old: Type, new: Type, *, explicit: bool) -> Conversion | None:  # noqa: ARG001
    pair = (old.name, new.name)
    if pair in _TIME_LOSSES:
        return Conversion(Effect.LOSES, f"{old} to {new} drops {_TIME_LOSSES[pair]}")
    if pair == ("interval", "interval"):
        return Conversion(Effect.LOSES, f"{old} to {new} drops fields or fractions") if new.mods else KEEPS
    if pair not in _TIME_KEEPS and not (old.name == new.name and old.name in _CLOCKS):
        return None
    # Without one, a time has six digits of a second.
    before, after = (t.mods[0] if t.mods and t.name in _CLOCKS else 6 for t in (old, new))
    if old.name == "date" or after >= before:
        return KEEPS
    return Conversion(Effect.LOSES, f"{old} to {new} rounds fractions of a second away")


def _bits(old: Type, new: Type, *, explicit: bool) -> Conversion | None:
    if old.name not in ("bit", "varbit") or new.name not in ("bit", "varbit"):
        return None
    if not explicit or new.mods is None or (old.mods is not None and old.mods[0] <= new.mods[0]):
        return KEEPS
    return Conversion(Effect.LOSES, f"the cast from {old} cuts longer values to {new} without an error")
