"""The review's two pictures: the stack by components, and who reaches what."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from ops.review.changes import group
from ops.review.graph import Edge, Node, draw, reduced
from ops.review.model import OPERATIONS, SIGNS
from ops.review.words import article, counted, some

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.review.model import Review
    from ops.review.reachability import Way

_WRAP = 24  # characters of a line in a box
_LABEL = 12  # characters beside an arrow


def anchor(urn: str) -> str:
    """The page's place for a component."""
    parts = urn.split("::")
    return "-".join(["group", parts[-2].rpartition(":")[2].lower(), parts[-1]]) if len(parts) > 3 else "changes"


def stack(review: Review) -> str:
    """The stack's components, and what uses what."""
    members: dict[str, list[str]] = {}
    of = {urn: group(resource, review.resources) for urn, resource in review.resources.items()}
    for urn, owner in of.items():
        members.setdefault(owner, []).append(urn)
    changed = {each.urn for each in review.groups}
    nodes = [_component(review, owner, members[owner], linked=owner in changed) for owner in members]
    uses = [
        (of[urn], of[resource.urn])
        for resource in review.resources.values()
        for urn in resource.dependencies
        if urn in of and of[urn] != of[resource.urn]
    ]
    edges = [
        Edge(
            source=source,
            target=target,
            style="same" if not {source, target} & changed else "",
            tip=f"{review.resources[target].name} uses {review.resources[source].name}",
        )
        for source, target in reduced(dict.fromkeys(uses))
    ]
    return draw(
        nodes,
        edges,
        title=f"The components of stack {review.stack}",
        description=f"{article(len(nodes), 'component')}; arrows lead from what is used to what uses it.",
        down=True,
    )


def _component(review: Review, urn: str, members: list[str], *, linked: bool) -> Node:
    resource = review.resources[urn]
    counts = Counter(review.operations[each] for each in members)
    said = [f"{SIGNS[operation]}{counts[operation]}" for operation in OPERATIONS if counts[operation]]
    if counts["same"]:
        said.append(f"{counts['same']} unchanged")
    style = next((operation for operation in OPERATIONS if counts[operation]), "same")
    kind = [("kind", resource.kind)] if resource.kind != resource.name.replace("-", " ") else []
    told = counted(counts, {**OPERATIONS, "same": "unchanged"})
    return Node(
        key=urn,
        title=resource.name,
        lines=(*kind, ("count", " · ".join(said))),
        style=style,
        link=f"#{anchor(urn)}" if linked else "",
        tip=f"{resource.kind} {resource.name}: {told}",
    )


def component(review: Review, urn: str) -> str:
    """The resources of one component, and what uses what; empty where none uses another."""
    inside = {
        each.urn: each
        for each in review.resources.values()
        if not each.component and group(each, review.resources) == urn
    }
    edges = reduced(
        dict.fromkeys((used, each.urn) for each in inside.values() for used in each.dependencies if used in inside)
    )
    joined = {end for edge in edges for end in edge}
    nodes = [
        Node(
            key=each.urn,
            title=each.name,
            lines=(("kind", each.kind), ("count", _operation(review, each.urn))),
            style=review.operations[each.urn],
            tip=f"{each.kind} {each.name}: {_operation(review, each.urn)}",
        )
        for each in inside.values()
        if each.urn in joined
    ]
    name = review.resources[urn].name
    if not nodes:
        return ""
    return draw(
        nodes,
        [Edge(source=source, target=target) for source, target in edges],
        title=f"The resources of {name} ({anchor(urn)})",
        description=f"{article(len(nodes), 'resource')}; arrows lead from what is used to what uses it.",
        down=True,
    )


def _operation(review: Review, urn: str) -> str:
    operation = review.operations[urn]
    return f"{SIGNS[operation]} {OPERATIONS.get(operation, 'stays as it is')}".strip()


def ways(review: Review) -> str:
    """Who reaches what; empty where nobody reaches anything."""
    found = review.reachability
    arrows: dict[tuple[str, str], dict[str, list[Way]]] = {}
    for style, which in (("gained", found.gained), ("lost", found.lost), ("kept", found.kept)):
        for way in which:
            arrows.setdefault((way.source, way.behind or way.target), {}).setdefault(style, []).append(way)
    nodes = [_actor(name, arrows) for name in dict.fromkeys(name for ends in arrows for name in ends)]
    edges = [
        Edge(
            source=source,
            target=target,
            style=f"{style} open" if style == "gained" and any(way.open for way in which) else style,
            label=_label(which),
            tip=_tip(style, which),
        )
        for (source, target), styles in arrows.items()
        for style, which in styles.items()
    ]
    if not edges:
        return ""
    return draw(
        nodes,
        edges,
        title=f"Who reaches what in stack {review.stack}",
        description=f"{len(found.gained)} ways open, {len(found.lost)} close, {len(found.kept)} stay.",
    )


def _actor(name: str, arrows: Mapping[tuple[str, str], Mapping[str, list[Way]]]) -> Node:
    named = re.fullmatch(r"([A-Za-z ]+) (\S*[-/]\S*)", name)
    lines = textwrap.wrap(named[2] if named else name, _WRAP) or [name]
    kind = (("kind", named[1]),) if named else ()
    touching = {style for ends, styles in arrows.items() if name in ends for style in styles}
    world = name.startswith(("anybody", "the internet", "account "))
    style = "world" if world else "kept" if touching == {"kept"} else "actor"
    return Node(
        key=name, title=lines[0], lines=(*(("title", line) for line in lines[1:]), *kind), style=style, tip=name
    )


def _label(which: list[Way]) -> str:
    """What stands at an arrow: a port where there is one, else how many ways it stands for."""
    hows = list(dict.fromkeys(way.how for way in which))
    if len(hows) == 1 and 0 < len(hows[0]) <= _LABEL:
        return hows[0]
    if len(which) > 1:
        return f"{len(which)} ways"
    return which[0].target if which[0].behind and len(which[0].target) <= _LABEL else ""


def _tip(style: str, which: list[Way]) -> str:
    word = {"gained": "opens", "lost": "closes", "kept": "stays"}[style]
    return f"{word}: {some([str(way) for way in which], 12)}"
