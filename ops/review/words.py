"""Sentences: permissions and counts as people say them, for every form of output alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Sequence

    from ops.review.permissions import Holder, Sentence

Piece = tuple[str, bool]
"""A part of a sentence, and whether it is a name of AWS's and not a word."""

MANY: Final = 8


def sentence(said: Sentence, holder: Holder, account: str, *, named: bool = True) -> list[Piece]:
    """What is gained or lost.

    Args:
        said: The sentence.
        holder: At whom it was gathered: the subject of an identity's permissions, else the object.
        account: The stack's account, which need not be named.
        named: Whether to name the holder; not where its name stands above.
    """
    line = said.line
    me = f"{holder.kind} {holder.name}" if named else "it"
    pieces: list[Piece] = []
    trust = said.verb.endswith("as it")
    if line.principals:
        pieces += [(" and ".join(principal(each, account) for each in line.principals), False)]
    elif named:
        pieces += [(me, False)]
    pieces += [(said.verb.replace(" as it", f" as {me}"), False)]
    if not trust:
        pieces += _listed(line.actions)
        resources = [] if line.principals and line.resources == ("*",) else list(line.resources)
        if resources:
            pieces += [("on", False), *_listed([arn(each, account) for each in resources])]
        if line.principals:
            policy = f"by the policy of {me}" if named else "by its policy"
            pieces += [(f"on {me}" if not resources else policy, False)]
    if line.when:
        pieces += [("only when", False), *_listed(line.when, " and ")]
    return pieces


def notes(said: Sentence, account: str) -> list[str]:
    """What else there is to a sentence: what it widens, what it newly covers."""
    found = []
    if said.line.instead_of:
        before = "; ".join(_arns_in(each, account) for each in said.line.instead_of)
        found.append(f"until now {before}" if before.startswith("only ") else f"until now only {before}")
    if said.line.named:
        found.append(f"newly covers {some(said.line.named)}")
    return found


def plain(pieces: Iterable[Piece]) -> str:
    """A sentence as text."""
    return re.sub(r" ([,;])", r"\1", " ".join(text for text, _ in pieces))


def _listed(items: Sequence[str], between: str = ", ") -> list[Piece]:
    pieces: list[Piece] = []
    for at, item in enumerate(items):
        if at:
            pieces.append((between.strip(), False))
        pieces.append((item, True))
    return pieces


def principal(text: str, account: str) -> str:
    """Who: `the service lambda.amazonaws.com`, `account 123456789012`."""
    if text == "*":
        return "anybody"
    kind, _, name = text.partition(" ")
    if text.startswith("all but "):
        return f"everybody {text.removeprefix('all ')}"
    if kind == "Own":
        return name
    if kind == "Service":
        return f"the service {name}"
    if kind == "Federated":
        return f"identities of {name.rpartition('oidc-provider/')[2]}"
    root = re.fullmatch(r"arn:[\w-]+:iam::(\d{12}):root", name)
    if root:
        return "whoever this account's own policies let" if root[1] == account else f"account {root[1]}"
    return arn(name, account)


def arn(text: str, account: str) -> str:
    """A resource: without what is the same for all of the stack's own."""
    if text in ("*", "*:*"):
        return "anything"
    parts = text.split(":", 5)
    if len(parts) < 6 or parts[0] != "arn" or parts[4] not in ("", account):
        return text
    return f"{parts[2]} {parts[5]}"


def _arns_in(text: str, account: str) -> str:
    return re.sub(r"arn:[^\s,;]+", lambda found: arn(found[0], account), text)


def some(items: Sequence[str], many: int = MANY) -> str:
    """The first few, and how many more."""
    return ", ".join(items[:many]) + (f" and {len(items) - many} more" if len(items) > many else "")


def counted(counts: Counter[str], names: dict[str, str]) -> str:
    """Counts in words: `3 created, 1 changed`."""
    return ", ".join(f"{counts[key]} {name}" for key, name in names.items() if counts[key])


def plural(kind: str, count: int) -> str:
    """`security group`, or `3 security groups`."""
    if count == 1:
        return kind
    if kind.endswith("y") and kind[-2] not in "aeiou":
        return f"{count} {kind[:-1]}ies"
    return f"{count} {kind}{'es' if kind.endswith(('s', 'ch', 'x')) else 's'}"


def article(count: int, word: str, words: str | None = None) -> str:
    """`1 change`, `3 changes`."""
    return f"{count} {word if count == 1 else words or word + 's'}"
