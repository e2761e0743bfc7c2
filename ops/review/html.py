"""The review as one HTML file: nothing is loaded from elsewhere, no script, light and dark, for keyboard and paper."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops.review import pictures
from ops.review.changes import shown
from ops.review.model import OPERATIONS, SIGNS
from ops.review.preview import LATER
from ops.review.text import headline, kinds, parts, title
from ops.review.words import article, counted, notes, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ops.review.changes import Change, Property
    from ops.review.model import Group, Review
    from ops.review.permissions import PermissionChange, Sentence
    from ops.review.reachability import Way
    from ops.review.words import Piece

_LONG = 400  # characters of a value
_GLOSSARY = (
    ("stack", "Everything that one environment consists of (local, dev, staging or prod), declared as code."),
    ("resource", "One thing in the cloud: a function, a database, a role, an alarm."),
    ("component", "A group of resources that belong together, such as the database with its proxy and its secrets."),
    ("replaced", "It cannot be changed as it stands: a new one is made and the old one deleted, with what it held."),
    ("known after the update", "A value that the cloud gives only when the resource is made."),
    ("role", "What a function or a service acts as. It may do what its policies allow, and nothing else."),
    ("act as a role", "Use all permissions of the role. Who may do so is written at the role."),
    ("security group", "A gate around a resource: who may connect to it, and whereto it may connect, by port."),
    ("migration", "A step that changes the tables of the database. It runs once, in the order of the plan."),
    ("policy", "A rule that every update is held against before it begins. A mandatory one stops it."),
)
# Of each part: its place on the page, its title, and the title in brief.
_SECTIONS = (
    ("first", "Look at first", "First"),
    ("picture", "The stack as a picture", "Picture"),
    ("changes", "What happens", "Changes"),
    ("permissions", "Who may do what", "Permissions"),
    ("reachability", "What can be reached from where", "Reachability"),
    ("migrations", "What the migrations do to the data", "Migrations"),
    ("policies", "What the policies say", "Policies"),
    ("words", "Words", "Words"),
)


_READ_FROM = (
    "<p>Read from security groups, the routes of APIs and networks, private endpoints, public addresses and access "
    "blocks, and from what policies give to anybody or to other accounts.</p>"
)


def render(review: Review) -> str:
    """Write a review as a page."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    bodies = {
        "first": _attention(review),
        "picture": _picture(review),
        "changes": _changes(review),
        "permissions": _permissions(review),
        "reachability": _reachability(review),
        "migrations": _migrations(review),
        "policies": _policies(review),
        "words": _words(),
    }
    sections = "".join(
        f'<section id="{key}" aria-labelledby="{key}-h"><h2 id="{key}-h">{name}</h2>{bodies[key]}</section>'
        for key, name, _ in _SECTIONS
        if bodies[key]
    )
    nav = "".join(f'<li><a href="#{key}">{brief}</a></li>' for key, _, brief in _SECTIONS if bodies[key])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        # Nothing but what stands in this file: also not by a value that somebody managed to put into it.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Review of stack {escape(review.stack)}</title><style>{style}</style></head><body>"
        f'<a class="skip" href="#main">Skip to the review</a>{_header(review)}'
        f'<nav aria-label="Parts of the review"><ul>{nav}</ul></nav><main id="main">{sections}</main>'
        "<footer>Made by <code>ops review</code> from a preview: nothing has been changed.</footer></body></html>\n"
    )


def _header(review: Review) -> str:
    badges = "".join(
        f'<li class="badge {operation}"><b>{SIGNS[operation]}{review.counts[operation]}</b> {name}</li>'
        for operation, name in OPERATIONS.items()
        if review.counts[operation]
    )
    same = review.counts["same"]
    badges += f'<li class="badge same"><b>{same}</b> stay as they are</li>' if same else ""
    verdict = (
        '<p class="verdict stop">Policies stop this update.</p>'
        if review.blocked
        else '<p class="verdict go">No policy stops this update.</p>'
        if review.packs
        else '<p class="verdict">No policy pack judged this preview.</p>'
    )
    lead = {
        (True, True): "Nothing stands yet: this update makes the whole stack.",
        (True, False): "Nothing stands yet, and nothing is declared.",
        (False, True): f"This is what an update would do to what stands: {escape(headline(review))}.",
        (False, False): "What stands is what is declared: an update would change nothing.",
    }[review.fresh, review.changed]
    return (
        f'<header><p class="where">{escape(review.target)} · account {escape(review.account)} · '
        f"{escape(review.region)}</p><h1>Review of stack <em>{escape(review.stack)}</em></h1>"
        f'<p class="lead">{lead}</p><ul class="badges">{badges}</ul>{verdict}</header>'
    )


def _attention(review: Review) -> str:
    if not review.attention and not review.notes:
        return "<p>Nothing stands out.</p>"
    items = "".join(
        f'<li class="{"grave" if each.grave else "mild"}">'
        f'<span class="mark">{"Careful" if each.grave else "Note"}</span> '
        f'<a href="#{each.section}">{escape(each.text)}</a></li>'
        for each in review.attention
    )
    items += "".join(f'<li class="mild"><span class="mark">Note</span> {escape(note)}</li>' for note in review.notes)
    return f'<ul class="attention">{items}</ul>'


def _picture(review: Review) -> str:
    if not review.resources:
        return ""
    legend = "".join(
        f'<li><span class="swatch {operation}">{SIGNS[operation]}</span> {name}</li>'
        for operation, name in OPERATIONS.items()
        if review.counts[operation]
    )
    legend += '<li><span class="swatch same">=</span> stays as it is</li>' if review.counts["same"] else ""
    return (
        "<p>Each box is a component. An arrow leads from what is used to what uses it: a change above can be felt "
        f'below. A box is coloured by the gravest thing that happens inside.</p><ul class="legend">{legend}</ul>'
        f"{_scrolled('Picture of the components', pictures.stack(review))}"
    )


def _scrolled(name: str, picture: str) -> str:
    """A picture in a box that scrolls by pointer and by keyboard."""
    return f'<div class="scroll" role="region" aria-label="{escape(name)}" tabindex="0">{picture}</div>'


# --- what happens ----------------------------------------------------------------------------------------------------


def _changes(review: Review) -> str:
    if not review.changed:
        return "<p>Nothing: everything stays as it is.</p>"
    few = sum(len(group.changes) for group in review.groups) <= 40
    return "".join(_group(review, group, opened=few) for group in review.groups)


def _group(review: Review, group: Group, *, opened: bool) -> str:
    drawn = pictures.component(review, group.urn)
    picture = (
        f'<details class="inner"><summary>Its resources as a picture</summary>'
        f"{_scrolled(f'Picture of the resources of {group.name}', drawn)}</details>"
        if drawn
        else ""
    )
    listed = parts(group)
    urgent = any(change.operation != "create" for change in listed)
    unchanged = f", {group.unchanged} unchanged" if group.unchanged else ""
    created = [change for change in listed if change.operation == "create"]
    brief = f'<span class="brief">{escape(kinds(created))}</span>' if len(created) == len(listed) else ""
    return (
        f'<details class="group" id="{pictures.anchor(group.urn)}"{" open" if opened or urgent else ""}><summary>'
        f'<span class="name">{escape(title(group))}</span> <span class="counts">{counted(group.counts, OPERATIONS)}'
        f'{unchanged}</span>{brief}</summary><ul class="resources">{"".join(map(_change, listed))}</ul>'
        f"{picture}</details>"
    )


def _change(change: Change) -> str:
    because = f'<p class="because">Because {escape(change.because)}.</p>' if change.because else ""
    name = (
        f'<span class="sign {change.operation}" title="{OPERATIONS[change.operation]}">{SIGNS[change.operation]}</span>'
        f'<span class="sr">{OPERATIONS[change.operation]}: </span>'
        f'<span class="kind">{escape(change.resource.kind)}</span> <b>{escape(change.resource.name)}</b>'
    )
    if change.properties:
        return f"<li>{name}{because}{_properties(change.properties)}</li>"
    inputs = {key: value for key, value in change.resource.inputs.items() if key != "tagsAll"}
    if not inputs or change.resource.component:
        return f"<li>{name}{because}</li>"
    rows = "".join(
        f'<tr><th scope="row">{escape(key)}</th><td>{_value(value)}</td></tr>' for key, value in inputs.items()
    )
    word = "is declared as" if change.operation == "create" else "was declared as"
    return (
        f'<li><details class="resource"><summary>{name}</summary><table class="inputs"><caption class="sr">{word}'
        f"</caption><tbody>{rows}</tbody></table></details>{because}</li>"
    )


def _properties(properties: Sequence[Property]) -> str:
    if all(each.note and not each.replaces for each in properties):
        return "".join(f'<p class="because">{escape(each.path)}: {escape(each.note)}</p>' for each in properties)
    rows = "".join(
        f'<tr><th scope="row">{escape(each.path)}'
        f"{'<span class=why>makes the replacement necessary</span>' if each.replaces else ''}</th>"
        + (
            f'<td colspan="2">{escape(each.note)}</td></tr>'
            if each.note
            else f'<td class="old">{_value(each.old)}</td><td class="new">{_value(each.new)}</td></tr>'
        )
        for each in properties
    )
    return (
        '<table class="properties"><thead><tr><th scope="col">property</th><th scope="col">now</th>'
        f'<th scope="col">after</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _value(value: Any) -> str:
    text = shown(value, _LONG)
    if value is LATER or text in ("nothing", "secret (hidden)"):
        return f'<i class="later">{escape(text)}</i>'
    return f"<code>{escape(text)}</code>"


# --- permissions -----------------------------------------------------------------------------------------------------


def _permissions(review: Review) -> str:
    if not review.permissions:
        return "<p>Nobody gains or loses a permission.</p>"
    opened = len(review.permissions) <= 8
    return (
        "<p>By what the documents mean, not by how they are written: putting statements in another order or form is no "
        "change. Whatever is not listed stays as it is.</p>"
        + "".join(
            _holder(change, review.account, opened=opened or change.state == "changed") for change in review.permissions
        )
    )


def _holder(change: PermissionChange, account: str, *, opened: bool) -> str:
    certain = [[said for said in side if not said.uncertain] for side in (change.gained, change.lost)]
    doubtful = [said for side in (change.gained, change.lost) for said in side if said.uncertain]
    counts = [f"{len(side)} {word}" for side, word in zip(certain, ("gained", "lost"), strict=True) if side]
    counts += ["cannot be told"] if change.unknown else []
    state = "" if change.state == "changed" else f' <span class="state">{change.state}</span>'
    purpose = f'<span class="brief">{escape(change.holder.purpose)}</span>' if change.holder.purpose else ""
    items = "".join(
        f'<li class="unknown"><span class="sign">?</span> Cannot be told: {escape(what)}.</li>'
        for what in change.unknown
    )
    for side, sign, word in zip(certain, "+-", ("gain", "loss"), strict=True):
        items += "".join(_sentence(said, change, account, sign, word) for said in side)
    if doubtful:
        inner = "".join(_sentence(said, change, account, "?", "doubt") for said in doubtful)
        items += (
            '<li class="unknown"><span class="sign">?</span> <details class="doubtful"><summary>'
            f"{article(len(doubtful), 'permission')} may or may not stay</summary>"
            f'<ul class="sentences">{inner}</ul></details></li>'
        )
    return (
        f'<details class="group"{" open" if opened else ""}><summary>'
        f'<span class="kind">{escape(change.holder.kind)}</span> '
        f'<span class="name">{escape(change.holder.name)}</span>{state} <span class="counts">{", ".join(counts)}</span>'
        f'{purpose}</summary><ul class="sentences">{items}</ul></details>'
    )


def _sentence(said: Sentence, change: PermissionChange, account: str, sign: str, word: str) -> str:
    more = "".join(f'<p class="note">{escape(note[:1].upper() + note[1:])}.</p>' for note in notes(said, account))
    if said.notable:
        more += f'<p class="note careful"><span class="mark">Careful</span> {escape(said.notable)}.</p>'
    text = _pieces(sentence(said, change.holder, account, named=False))
    return f'<li class="{word}"><span class="sign">{sign}</span><span class="sr">{word}: </span> {text}{more}</li>'


def _pieces(pieces: Iterable[Piece]) -> str:
    found = ""
    for text, name in pieces:
        part = f"<code>{escape(text)}</code>" if name else escape(text)
        found += part if text in (",", ";") or not found else f" {part}"
    return found


# --- reachability ----------------------------------------------------------------------------------------------------


def _reachability(review: Review) -> str:
    ways = review.reachability
    picture = pictures.ways(review)
    if not picture:
        return "<p>Nothing in this stack can be reached by a network, a public address or a policy.</p>"
    legend = (
        '<ul class="legend"><li><span class="way gained"></span> opens</li>'
        '<li><span class="way gained open"></span> opens for anybody</li>'
        '<li><span class="way lost"></span> closes</li>'
        '<li><span class="way kept"></span> stays</li></ul>'
    )
    told = (
        "".join(
            f'<h3>{name}</h3><ul class="sentences">{"".join(_way(way, sign, word) for way in found)}</ul>'
            for name, found, sign, word in (
                ("Opens", ways.gained, "+", "gain"),
                ("Closes", ways.lost, "-", "loss"),
                ("Leads nowhere", ways.halves, "?", "unknown"),
            )
            if found
        )
        or f"<p>Nothing changes: {article(len(ways.kept), 'way')} as before.</p>"
    )
    return f"{_READ_FROM}{legend}{_scrolled('Picture of who reaches what', picture)}{told}"


def _way(way: Way, sign: str, word: str) -> str:
    rest = "".join(
        part
        for part in (
            f" of {escape(way.behind)}" if way.behind else "",
            f" <code>{escape(way.how)}</code>" if way.how else "",
            f' <span class="guard">{escape(way.guard)}</span>' if way.guard else "",
        )
    )
    mark = ' <span class="mark grave">Anybody</span>' if way.open and word == "gain" else ""
    return (
        f'<li class="{word}"><span class="sign">{sign}</span> {escape(way.source)} <span aria-label="reaches">→</span> '
        f"<b>{escape(way.target)}</b>{rest}{mark}</li>"
    )


# --- migrations, policies, words -------------------------------------------------------------------------------------


def _migrations(review: Review) -> str:
    if not review.migrations:
        return "<p>No migration is added: the database's tables stay as they are.</p>"
    found = []
    for each in review.migrations:
        state = {"gone": "no longer in the plan", "rewritten": "its statements were changed"}.get(each.state, "")
        effects = "".join(
            f"<tr><td>{escape(', '.join(effect.tables)) or '—'}</td><td>{escape(effect.what)}"
            f'<details class="sql"><summary>SQL</summary><pre tabindex="0">{escape(effect.sql)}</pre></details>'
            + "".join(f'<p class="note">{escape(why)}. {escape(remedy)}</p>' for why, remedy in effect.reasons)
            + f'</td><td><span class="class {effect.judged}">{effect.judged}</span></td></tr>'
            for effect in each.effects
        )
        table = (
            '<div class="wide" tabindex="0" role="region" aria-label="Statements"><table><thead><tr>'
            '<th scope="col">table</th><th scope="col">what happens</th><th scope="col">class</th></tr></thead>'
            f"<tbody>{effects}</tbody></table></div>"
            if effects
            else ""
        )
        reason = f'<p class="note careful">{escape(each.undecidable)}</p>' if each.undecidable else ""
        found.append(
            f'<article class="migration"><h3><code>{escape(each.revision)}</code> {escape(each.summary)} '
            f'<span class="class {each.judged}">{each.judged}</span> <span class="state">{state}</span></h3>'
            f"{reason}{table}</article>"
        )
    return "".join(found)


def _policies(review: Review) -> str:
    packs = ", ".join(f"{name} {version}".strip() for name, version in review.packs.items())
    judged = f"<p>Judged by {escape(packs)}.</p>" if packs else "<p>No policy pack judged this preview.</p>"
    if not review.verdicts:
        return judged + ("<p>No findings.</p>" if packs else "")
    items = "".join(
        f'<li class="{"grave" if verdict.level == "mandatory" else "mild"}"><span class="mark">'
        f"{'Stops the update' if verdict.level == 'mandatory' else 'Advice'}</span> <b>{escape(verdict.policy)}</b>, "
        f"{escape(verdict.name)}<pre>{escape(verdict.message)}</pre></li>"
        for verdict in review.verdicts
    )
    return f'{judged}<ul class="sentences">{items}</ul>'


def _words() -> str:
    items = "".join(f"<dt>{escape(word)}</dt><dd>{escape(what)}</dd>" for word, what in _GLOSSARY)
    return f"<details><summary>What the words on this page mean</summary><dl>{items}</dl></details>"
