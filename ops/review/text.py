"""The review as text, for a terminal or a log."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from ops.review.changes import shown
from ops.review.model import OPERATIONS, SIGNS
from ops.review.words import article, counted, notes, plain, plural, sentence

if TYPE_CHECKING:
    from ops.review.changes import Change
    from ops.review.model import Group, Review
    from ops.review.permissions import Sentence

_COLOURS = {"+": "green", "-": "red", "±": "magenta", "~": "yellow", "!": "red", "?": "yellow"}


def render(review: Review, *, width: int | None = None, colour: bool = False) -> str:
    """Write a review as text.

    Args:
        review: The review.
        width: Columns to wrap at; None for one line each, as a log has it.
        colour: Whether to colour it.
    """
    page = _Page(width=width, colour=colour)
    page.line(0, "", f"Review of stack {review.stack}: {headline(review)}", bold=True)
    page.line(0, "", f"{review.target}, account {review.account}, {review.region}", dim=True)
    _attention(page, review)
    _changes(page, review)
    _permissions(page, review)
    _reachability(page, review)
    _migrations(page, review)
    _policies(page, review)
    if review.notes:
        page.title("Notes")
        for note in review.notes:
            page.line(1, "", note)
    return "\n".join(page.lines) + "\n"


def headline(review: Review) -> str:
    """What happens, in one line."""
    if not review.changed:
        return f"nothing changes; all {review.counts['same']} resources stay as they are"
    said = counted(review.counts, OPERATIONS)
    if review.fresh:
        return f"nothing stands yet; {said}"
    return f"{said}; {review.counts['same']} stay as they are"


class _Page:
    """Lines, wrapped with a hanging indent where there is a width."""

    def __init__(self, *, width: int | None, colour: bool) -> None:
        self.lines: list[str] = []
        self._width, self._colour = width, colour

    def title(self, text: str) -> None:
        self.lines.append("")
        self.line(0, "", text, bold=True)

    def line(self, depth: int, sign: str, text: str, **styles: Any) -> None:
        indent = "  " * depth
        lead = f"{indent}{sign} " if sign else indent
        wrapped = (
            textwrap.wrap(
                text,
                max(self._width, 40),
                initial_indent=lead,
                subsequent_indent=" " * len(lead) + "  ",
                break_on_hyphens=False,
            )
            if self._width
            else [lead + text]
        )
        if self._colour:
            styles = {"fg": _COLOURS.get(sign), **styles}
            wrapped = [click.style(line, **styles) for line in wrapped]
        self.lines += wrapped


def _attention(page: _Page, review: Review) -> None:
    if not review.attention:
        return
    page.title("Look at first")
    for each in review.attention:
        page.line(1, "!" if each.grave else "·", each.text)


def _changes(page: _Page, review: Review) -> None:
    page.title("What happens")
    if not review.changed:
        page.line(1, "", "nothing")
    for group in review.groups:
        unchanged = f", {group.unchanged} unchanged" if group.unchanged else ""
        page.line(1, "", f"{title(group)}: {counted(group.counts, OPERATIONS)}{unchanged}", bold=True)
        # Many that are only new are told by kind: their names say little, and nothing depends on reading them.
        listed = parts(group)
        created = [change for change in listed if change.operation == "create"]
        brief = len(created) > 4
        for change in listed:
            if not (brief and change.operation == "create"):
                _change(page, change)
        if brief:
            page.line(2, "+", kinds(created))


def title(group: Group) -> str:
    """A component's name, with what it is where the name does not say it."""
    return group.name if group.kind == group.name.replace("-", " ") else f"{group.name} ({group.kind})"


def parts(group: Group) -> list[Change]:
    """What happens inside a component; the component itself where that is all."""
    inside = [change for change in group.changes if change.properties or not change.resource.component]
    return inside or list(group.changes)


def kinds(changes: list[Change]) -> str:
    """Resources by kind: `VPC, 2 subnets, 3 security groups`."""
    counts = Counter(change.resource.kind for change in changes)
    return ", ".join(plural(kind, count) for kind, count in counts.items())


def _change(page: _Page, change: Change) -> None:
    because = f": {change.because}" if change.because else ""
    page.line(2, SIGNS[change.operation], f"{change.resource.kind} {change.resource.name}{because}")
    for each in change.properties:
        replaces = "  (makes the replacement necessary)" if each.replaces else ""
        page.line(4, "", f"{each.path}: {each.note or f'{shown(each.old)} → {shown(each.new)}'}{replaces}")


def _permissions(page: _Page, review: Review) -> None:
    page.title("Who may do what")
    if not review.permissions:
        page.line(1, "", "nobody gains or loses a permission")
    for change in review.permissions:
        purpose = f": {change.holder.purpose}" if change.holder.purpose else ""
        state = "" if change.state == "changed" else f", {change.state}"
        page.line(1, "", f"{change.holder.kind} {change.holder.name}{state}{purpose}", bold=True)
        for what in change.unknown:
            page.line(2, "?", f"cannot be told before the update: {what}")
        doubtful = 0
        for sign, said in (*(("+", s) for s in change.gained), *(("-", s) for s in change.lost)):
            if said.uncertain:
                doubtful += 1
                continue
            _sentence(page, sign, said, change.holder, review.account)
        if doubtful:
            page.line(2, "?", f"{article(doubtful, 'permission')} may or may not stay")


def _sentence(page: _Page, sign: str, said: Sentence, holder: Any, account: str) -> None:
    page.line(2, sign, plain(sentence(said, holder, account, named=False)))
    for note in notes(said, account):
        page.line(4, "", note)
    if said.notable:
        page.line(4, "!", said.notable)


def _reachability(page: _Page, review: Review) -> None:
    page.title("What can be reached from where")
    ways = review.reachability
    if not ways.gained and not ways.lost:
        page.line(1, "", f"nothing changes; {article(len(ways.kept), 'way')} as before")
    for sign, found in (("+", ways.gained), ("-", ways.lost)):
        for way in found:
            page.line(1, sign, f"{way}")
    for way in ways.halves:
        page.line(1, "?", f"leads nowhere: {way}")


def _migrations(page: _Page, review: Review) -> None:
    page.title("What the migrations do")
    if not review.migrations:
        page.line(1, "", "no migration is added")
    for each in review.migrations:
        state = {"gone": " (no longer in the plan)", "rewritten": " (its statements were changed)"}.get(each.state, "")
        page.line(1, "", f"{each.revision} {each.summary}{state}  {each.judged}", bold=True)
        if each.undecidable:
            page.line(2, "?", each.undecidable)
        for effect in each.effects:
            safe = effect.judged == "safe"
            page.line(2, "·" if safe else "!", f"{effect.what}{'' if safe else f'  ({effect.judged})'}")
            for why, remedy in effect.reasons:
                page.line(4, "", f"{why}. Remedy: {remedy}")


def _policies(page: _Page, review: Review) -> None:
    page.title("What the policies say")
    packs = ", ".join(f"{name} {version}".strip() for name, version in review.packs.items())
    if not review.verdicts:
        page.line(1, "", f"{packs}: no findings" if packs else "no policy pack judged this preview")
    for verdict in review.verdicts:
        blocks = verdict.level == "mandatory"
        page.line(
            1, "!" if blocks else "·", f"{verdict.policy}: {verdict.name}{'  (stops the update)' if blocks else ''}"
        )
        for line in verdict.message.splitlines():
            page.line(3, "", line.strip())
