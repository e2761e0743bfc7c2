"""A value that is not known yet, as rules see it: it refuses to be read."""

from __future__ import annotations

from typing import Any, NoReturn


class UnknownRead(Exception):  # noqa: N818 -- not a fault: it is how a check says "I could not tell"
    """A check read a value that is not known before the update.

    Attributes:
        path: where the value stands, for example `inlinePolicies[0].policy`.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Unknown:
    """Stands where an unknown value was.

    `isinstance(value, Unknown)` is the way to ask. Anything that would let it pass for a value (truth, comparison,
    iteration, an item, an attribute, formatting) raises `UnknownRead`, so that a check that forgot about unknowns
    ends as undecidable and never as passed.
    """

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Unknown({self.path!r})"

    def _refuse(self, *_: object) -> NoReturn:
        raise UnknownRead(self.path)

    __bool__ = __iter__ = __len__ = __getitem__ = __contains__ = __str__ = __format__ = __int__ = __float__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = _refuse
    __eq__ = __ne__ = __hash__ = _refuse

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the interpreter asks for these (copy, pickle, abc); no check does
            raise AttributeError(name)
        raise UnknownRead(self.path)


def known(value: Any) -> Any:
    """The value itself, or `UnknownRead` if it is none: for reads such as `is True` that nothing else would stop."""
    if isinstance(value, Unknown):
        raise UnknownRead(value.path)
    return value
