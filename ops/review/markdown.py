"""The review as Markdown, for the comment on a pull request: the short answer first, what it rests on folded below."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ops.review.changes import shown
from ops.review.model import OPERATIONS, SIGNS
from ops.review.text import headline, kinds, parts, title
from ops.review.words import article, counted, notes, plain, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.review.model import Review

# GitHub refuses a comment of more than 65,536 characters.
LIMIT: Final = 60_000


def render(review: Review) -> str:
    """Write a review as Markdown; sections that would make it too long for a comment are named and left out."""
    text = "\n".join(_summary(review)) + "\n"
    for name, body in (
        ("What happens", _changes(review)),
        ("Who may do what", _permissions(review)),
        ("What can be reached from where", _reachability(review)),
        ("What the migrations do", _migrations(review)),
        ("What the policies say", _policies(review)),
    ):
        lines = list(body)
        if not lines:
            continue
        folded = "\n".join(["", "<details>", f"<summary>{name}</summary>", "", *lines, "", "</details>", ""])
        if len(text) + len(folded) > LIMIT:
            folded = f"\n**{name}**: too long for a comment; `ops review {review.stack} --format html` has it.\n"
        text += folded
    return text


def _summary(review: Review) -> Iterator[str]:
    yield f"### Review of stack `{review.stack}`"
    yield ""
    yield f"{headline(review).capitalize()}. {_verdict(review)}"
    yield ""
    rows = [
        ("permissions", _permissions_brief(review)),
        ("reachability", _reachability_brief(review)),
        ("migrations", _migrations_brief(review)),
    ]
    yield "| | |"
    yield "|---|---|"
    yield from (f"| {name} | {what} |" for name, what in rows)
    if review.attention:
        yield ""
        yield "**Look at first**"
        yield ""
        yield from (f"- {'**Careful:** ' if each.grave else ''}{_text(each.text)}" for each in review.attention)
    for note in review.notes:
        yield ""
        yield f"> {_text(note)}"


def _verdict(review: Review) -> str:
    if review.blocked:
        return "**Policies stop this update.**"
    return "No policy stops it." if review.packs else "No policy pack judged it."


def _permissions_brief(review: Review) -> str:
    sides = (
        (sum(bool(change.gained) for change in review.permissions), "gain"),
        (sum(bool(change.lost) for change in review.permissions), "lose"),
        (sum(bool(change.unknown) for change in review.permissions), "cannot be told"),
    )
    said = [f"{count} {word if word != 'gain' or count > 1 else 'gains'}" for count, word in sides if count]
    return ", ".join(said).replace("1 lose", "1 loses") if said else "nobody gains or loses any"


def _reachability_brief(review: Review) -> str:
    ways = review.reachability
    if not ways.gained and not ways.lost:
        return "as before"
    openings = sum(way.open for way in ways.gained)
    anybody = f", {openings} of them for anybody on the internet" if openings else ""
    return f"{article(len(ways.gained), 'way')} opened{anybody}; {len(ways.lost)} closed"


def _migrations_brief(review: Review) -> str:
    if not review.migrations:
        return "none"
    classes = sorted({each.judged for each in review.migrations})
    tables = sorted({table for each in review.migrations for effect in each.effects for table in effect.tables})
    where = f" on {', '.join(map(_code, tables))}" if tables else ""
    return f"{len(review.migrations)}{where}: {', '.join(classes)}"


def _changes(review: Review) -> Iterator[str]:
    for group in review.groups:
        unchanged = f", {group.unchanged} unchanged" if group.unchanged else ""
        yield f"- **{_text(title(group))}**: {counted(group.counts, OPERATIONS)}{unchanged}"
        listed = parts(group)
        created = [change for change in listed if change.operation == "create"]
        for change in listed:
            if change.operation == "create" and len(created) > 4:
                continue
            because = f": {_text(change.because)}" if change.because else ""
            name = f"{change.resource.kind} {_code(change.resource.name)}"
            yield f"  - {_sign(change.operation)} {name} {OPERATIONS[change.operation]}{because}"
            for each in change.properties:
                what = _text(each.note) if each.note else f"{_code(shown(each.old))} → {_code(shown(each.new))}"
                yield f"    - {_code(each.path)}: {what}{' (makes it necessary)' if each.replaces else ''}"
        if len(created) > 4:
            yield f"  - {_sign('create')} {_text(kinds(created))}"


def _sign(operation: str) -> str:
    return f"`{SIGNS[operation]}`"


def _permissions(review: Review) -> Iterator[str]:
    for change in review.permissions:
        state = "" if change.state == "changed" else f" ({change.state})"
        purpose = f": {_text(change.holder.purpose)}" if change.holder.purpose else ""
        yield f"- {change.holder.kind} **{_text(change.holder.name)}**{state}{purpose}"
        yield from (f"  - `?` cannot be told before the update: {_text(what)}" for what in change.unknown)
        doubtful = 0
        for sign, said in (*(("+", each) for each in change.gained), *(("-", each) for each in change.lost)):
            if said.uncertain:
                doubtful += 1
                continue
            pieces = [
                (_code(text) if name else _text(text), name)
                for text, name in sentence(said, change.holder, review.account, named=False)
            ]
            careful = f" **Careful:** {_text(said.notable)}." if said.notable else ""
            yield f"  - `{sign}` {plain(pieces)}.{careful}"
            yield from (f"    - {_text(note)}" for note in notes(said, review.account))
        if doubtful:
            yield f"  - `?` {article(doubtful, 'permission')} may or may not stay"


def _reachability(review: Review) -> Iterator[str]:
    ways = review.reachability
    for sign, found in (("+", ways.gained), ("-", ways.lost), ("?", ways.halves)):
        yield from (f"- `{sign}` {_text(str(way))}" for way in found)


def _migrations(review: Review) -> Iterator[str]:
    if not review.migrations:
        return
    yield "| revision | table | what happens | class |"
    yield "|---|---|---|---|"
    for each in review.migrations:
        name = f"{_code(each.revision)} {_text(each.summary)}"
        if not each.effects:
            what = each.undecidable or {"gone": "no longer in the plan"}.get(each.state, "nothing that stays")
            yield f"| {name} | | {_text(what)} | {each.judged} |"
        for effect in each.effects:
            reasons = "".join(f"<br>{_text(why)}. {_text(remedy)}" for why, remedy in effect.reasons)
            tables = ", ".join(map(_code, effect.tables))
            yield f"| {name} | {tables} | {_text(effect.what)}{reasons} | {effect.judged} |"


def _policies(review: Review) -> Iterator[str]:
    packs = ", ".join(f"{name} {version}".strip() for name, version in review.packs.items())
    if not review.verdicts:
        yield f"{_text(packs)}: no findings." if packs else "No policy pack judged this preview."
    for verdict in review.verdicts:
        stops = " **stops the update**" if verdict.level == "mandatory" else ""
        yield f"- {_code(verdict.policy)}, {_text(verdict.name)}{stops}"
        yield from (f"  - {_text(line.strip())}" for line in verdict.message.splitlines() if line.strip())


def _text(text: str) -> str:
    """A text whose signs mean nothing to Markdown, and which mentions nobody."""
    line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_|\[\]#~])", r"\\\1", line).replace("@", "@\u200b")


def _code(text: str) -> str:
    """A text as code, in as many backticks as it needs."""
    line = " ".join(text.split()).replace("|", "\\|")
    ticks = "`" * (1 + max((len(run) for run in re.findall(r"`+", line)), default=0))
    pad = " " if "`" in line or not line else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"
