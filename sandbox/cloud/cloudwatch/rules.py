"""The rule of a composite alarm: states of other alarms, joined by AND, OR, NOT and AT_LEAST."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    State = Callable[[str], str | None]

STATES: Final = ("ALARM", "OK", "INSUFFICIENT_DATA")
_TOKEN: Final = re.compile(r'[(),]|"(?:[^"\\]|\\.)*"|[^\s(),"]+|\S')
_DEEPEST: Final = 100


class RuleError(ValueError):
    """Not a rule; the message is what AWS answers."""


@dataclass(frozen=True)
class Rule:
    """A rule, or a part of one.

    Attributes:
        kind: "and", "or", "not", "true", "false", "at least", or a state of `STATES`.
        parts: what it joins.
        name: of an alarm, or its ARN, where it is a state.
        least: how many of its parts must hold, of "at least".
    """

    kind: str
    parts: tuple[Rule, ...] = ()
    name: str = ""
    least: int = 0

    def holds(self, state: State) -> bool:
        """Tell whether it holds.

        Args:
            state: of an alarm by its name or ARN; None for one that does not exist.
        """
        if self.kind == "and":
            return all(part.holds(state) for part in self.parts)
        if self.kind == "or":
            return any(part.holds(state) for part in self.parts)
        if self.kind == "not":
            return not self.parts[0].holds(state)
        if self.kind == "at least":
            return sum(part.holds(state) for part in self.parts) >= self.least
        if self.kind in STATES:
            return state(self.name) == self.kind
        return self.kind == "true"

    def names(self) -> Iterator[str]:
        """Yield the alarms that it names, in its order."""
        if self.kind in STATES:
            yield self.name
        for part in self.parts:
            yield from part.names()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = [(found.group(), found.start()) for found in _TOKEN.finditer(text)] + [("<EOF>", len(text))]
        self._at = self._depth = 0

    def parse(self) -> Rule:
        rule = self._joined("OR")
        if self._word() != "<EOF>":
            raise self._error("<EOF>, 'AND', 'OR'")
        return rule

    def _word(self) -> str:
        return self._tokens[self._at][0]

    def _error(self, wanted: str) -> RuleError:
        text, position = self._tokens[self._at]
        return RuleError(f"Error in AlarmRule [Unsupported token '{text}' at char {position}, must be: {wanted}]")

    def _take(self, word: str) -> bool:
        taken = self._word() == word
        self._at += taken
        return taken

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise self._error(f"'{word}'")

    def _joined(self, word: str) -> Rule:
        parts = [self._part(word)]
        while self._take(word):
            parts.append(self._part(word))
        return parts[0] if len(parts) == 1 else Rule(word.lower(), tuple(parts))

    def _part(self, word: str) -> Rule:
        return self._joined("AND") if word == "OR" else self._operand()

    def _operand(self) -> Rule:
        self._depth += 1
        try:
            if self._depth > _DEEPEST:
                raise self._error("a shallower rule")
            if self._take("NOT"):
                return Rule("not", (self._operand(),))
            if self._take("("):
                rule = self._joined("OR")
                self._expect(")")
                return rule
            for word in ("TRUE", "FALSE"):
                if self._take(word):
                    return Rule(word.lower())
            if self._take("AT_LEAST"):
                return self._at_least()
            state = self._word()
            if state not in STATES:
                raise self._error("'(', 'NOT', AT_LEAST, TRUE or FALSE, ALARM, OK, or INSUFFICIENT_DATA")
            self._at += 1
            self._expect("(")
            rule = Rule(state, name=self._name())
            self._expect(")")
            return rule
        finally:
            self._depth -= 1

    def _name(self) -> str:
        text = self._word()
        if text in ("(", ")", ",", '"', "<EOF>"):
            raise self._error("an alarm's name or ARN")
        self._at += 1
        return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text

    def _at_least(self) -> Rule:
        self._expect("(")
        count = re.fullmatch(r"(\d+)(%?)", self._word())
        if not count:
            raise self._error("a number or a percentage")
        self._at += 1
        self._expect(",")
        negated = self._take("NOT")
        state = self._word()
        if state not in STATES:
            raise self._error("ALARM, OK, or INSUFFICIENT_DATA")
        self._at += 1
        self._expect(",")
        self._expect("(")
        names = [self._name()]
        while self._take(","):
            names.append(self._name())
        self._expect(")")
        self._expect(")")
        parts = [Rule(state, name=name) for name in names]
        least = -(-int(count[1]) * len(parts) // 100) if count[2] else int(count[1])
        return Rule("at least", tuple(Rule("not", (part,)) if negated else part for part in parts), least=least)


@functools.lru_cache(maxsize=512)
def parse(text: str) -> Rule:
    """Read a rule.

    Raises:
        RuleError: it is none.
    """
    return _Parser(text).parse()
