"""Pictures: a layered graph as SVG, laid out here, so that a page needs nothing from elsewhere.

Nodes stand in layers, each after all that lead to it (longest path); within a layer they are ordered by where their
neighbours stand, in a few sweeps (Sugiyama's method). An edge over several layers gets a bend in each, so that it
passes between nodes and not through them. Layers follow each other downwards, where many must fit on a page, or to the
right, where arrows have labels.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDTH: Final = 208  # of a node
_LINE: Final = 17  # height of a line of text
_PADDING: Final = 10
_BETWEEN: Final = 18  # nodes of a layer
_GAP_RIGHT: Final = 88  # layers side by side: a label must fit
_GAP_DOWN: Final = 46  # layers below each other
_LABEL: Final = 15  # height of a label
_BEND: Final = 8  # room that a passing edge takes
_CHARACTER: Final = 7.4  # width of one, on average, at 12 px; text that is longer is cut
_SWEEPS: Final = 12


@dataclass(frozen=True, kw_only=True)
class Node:
    """A box.

    Attributes:
        key: Names it in edges.
        title: Its first line.
        lines: What else it says: style class and text.
        style: A class of the style sheet.
        link: Where it leads, as `#group-network`; empty for nowhere.
        tip: What it says at length, for a pointer and for a screen reader.
    """

    key: str
    title: str
    lines: tuple[tuple[str, str], ...] = ()
    style: str = ""
    link: str = ""
    tip: str = ""

    @property
    def height(self) -> int:
        """Its height in pixels."""
        return 2 * _PADDING + _LINE * (1 + len(self.lines))


@dataclass(frozen=True, kw_only=True)
class Edge:
    """An arrow.

    Attributes:
        source: The node that it leaves.
        target: The node that it leads to.
        label: What stands at its end; short.
        style: A class of the style sheet.
        tip: What it says at length.
    """

    source: str
    target: str
    label: str = ""
    tip: str = ""
    style: str = ""


@dataclass(slots=True, eq=False)
class _Place:
    """Where a node, or an edge's bend (one without a node), stands.

    Attributes:
        node: The node.
        layer: Its layer.
        size: Its extent within the layer.
        depth: Its extent from layer to layer.
        at: Where it begins within the layer.
        top: Where its layer begins.
        room: How deep its layer is.
        beside: Its neighbours in the layers before and after.
    """

    node: Node | None
    layer: int
    size: float = _BEND
    depth: float = 0.0
    at: float = 0.0
    top: float = 0.0
    room: float = 0.0
    beside: tuple[list[_Place], list[_Place]] = field(default_factory=lambda: ([], []))

    @property
    def middle(self) -> float:
        return self.at + self.size / 2


def draw(nodes: Sequence[Node], edges: Iterable[Edge], *, title: str, description: str, down: bool = False) -> str:
    """Draw a graph.

    Args:
        nodes: The boxes, in the order in which they are read.
        edges: The arrows; those to or from a node that is not there are left out.
        title: The picture's name, for a screen reader.
        description: What it shows.
        down: Whether the arrows lead downwards; else to the right.

    Returns:
        An `svg` element, styled by classes.
    """
    keys = {node.key for node in nodes}
    arrows = [edge for edge in edges if {edge.source, edge.target} <= keys and edge.source != edge.target]
    layers = layered([node.key for node in nodes], [(edge.source, edge.target) for edge in arrows])
    ends = Counter(edge.target for edge in arrows), Counter(edge.source for edge in arrows)
    places = {
        node.key: _Place(node, layers[node.key], WIDTH, node.height)
        if down
        # As high as the labels of its arrows need.
        else _Place(node, layers[node.key], max(node.height, _LABEL * (1 + max(e[node.key] for e in ends))), WIDTH)
        for node in nodes
    }
    everything = list(places.values())
    routes = [(edge, _route(edge, places, everything)) for edge in arrows]
    columns: list[list[_Place]] = [[] for _ in range(1 + max(layers.values(), default=0))]
    for place in everything:
        columns[place.layer].append(place)
    _order(columns)
    _settle(columns)
    depth = float(_PADDING)
    for column in columns:
        room = max((place.depth for place in column), default=0.0)
        for place in column:
            place.top, place.room = depth, room
        depth += room + (_GAP_DOWN if down else _GAP_RIGHT)
    depth += _PADDING - (_GAP_DOWN if down else _GAP_RIGHT)
    across = max((place.at + place.size for place in everything), default=0) + _PADDING
    width, height = (across, depth) if down else (depth, across)
    leave, arrive = _docks([route for _, route in routes])
    name = re.sub(r"\W+", "-", title.lower())
    return "".join(
        [
            f'<svg class="graph" role="group" aria-labelledby="{name}-t {name}-d" ',
            f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">',
            f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(description)}</desc>',
            *(_arrow(edge, route, leave[at], arrive[at], down=down) for at, (edge, route) in enumerate(routes)),
            *(_box(place, place.node, down=down) for place in places.values() if place.node),
            "</svg>",
        ]
    )


def layered(keys: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Give each node the layer after the last of those that lead to it; an edge that closes a circle counts not."""
    before: dict[str, list[str]] = {key: [] for key in keys}
    for source, target in edges:
        before[target].append(source)
    layers: dict[str, int] = {}
    underway: set[str] = set()

    def place(key: str) -> int:
        if key not in layers:
            underway.add(key)
            layers[key] = 1 + max((place(each) for each in before[key] if each not in underway), default=-1)
            underway.discard(key)
        return layers[key]

    for key in keys:
        place(key)
    return layers


def reduced(edges: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out the edges that a longer way says as well."""
    direct: dict[str, set[str]] = {}
    for source, target in edges:
        direct.setdefault(source, set()).add(target)

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        pending = [start]
        while pending:
            for key in direct.get(pending.pop(), set()) - found:
                found.add(key)
                pending.append(key)
        return found

    reach = {key: reached(key) for key in {*direct, *(key for targets in direct.values() for key in targets)}}

    def said(source: str, target: str) -> bool:
        """Whether a way by another node leads there, and that is not the edge's own circle."""
        return source not in reach[target] and any(
            target in reach[other] and other not in reach[target] and source not in reach[other]
            for other in direct[source] - {target}
        )

    return [(source, target) for source in direct for target in sorted(direct[source]) if not said(source, target)]


def _route(edge: Edge, places: dict[str, _Place], everything: list[_Place]) -> list[_Place]:
    """An edge's stops: its ends and a bend in each layer between."""
    first, last = places[edge.source], places[edge.target]
    step = 1 if first.layer <= last.layer else -1
    bends = [_Place(None, layer) for layer in range(first.layer + step, last.layer, step)]
    everything += bends
    route = [first, *bends, last]
    for one, other in pairwise(route):
        before, after = (one, other) if one.layer <= other.layer else (other, one)
        before.beside[1].append(after)
        after.beside[0].append(before)
    return route


def _order(columns: Sequence[list[_Place]]) -> None:
    """Order each layer by the mean of its nodes' neighbours, from left to right and back, a few times."""
    for column in columns:
        _stack(column)
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            column.sort(key=lambda place: _mean(place.beside[sweep % 2], place.middle))
            _stack(column)


def _mean(places: Sequence[_Place], otherwise: float) -> float:
    return sum(place.middle for place in places) / len(places) if places else otherwise


def _stack(column: Sequence[_Place]) -> None:
    """Stand the places of a layer beside each other."""
    at = float(_PADDING)
    for place in column:
        place.at = at
        at += place.size + _BETWEEN


def _settle(columns: Sequence[Sequence[_Place]]) -> None:
    """Move places towards the middle of their neighbours, as far as those beside them leave room."""
    for _ in range(_SWEEPS):
        for column in columns:
            wanted = [_mean([*place.beside[0], *place.beside[1]], place.middle) - place.size / 2 for place in column]
            for place, at in zip(column, wanted, strict=True):
                place.at = at
            # Apart again, to the one side and to the other, and the mean of both, so that the layer does not drift.
            for place, low, high in zip(column, _apart(column), _apart(column, back=True), strict=True):
                place.at = (low + high) / 2
    first = min((place.at for column in columns for place in column), default=0.0)
    for column in columns:
        for place in column:
            place.at += _PADDING - first


def _apart(column: Sequence[_Place], *, back: bool = False) -> list[float]:
    """Where places stand when those that overlap are pushed apart in one direction."""
    found: list[float] = []
    edge: float | None = None
    for place in reversed(column) if back else column:
        at = place.at
        if edge is not None:
            at = min(at, edge - _BETWEEN - place.size) if back else max(at, edge + _BETWEEN)
        edge = at if back else at + place.size
        found.append(at)
    return found[::-1] if back else found


def _docks(routes: Sequence[Sequence[_Place]]) -> tuple[dict[int, float], dict[int, float]]:
    """Where each edge leaves and arrives, by its number: spread over the side of the box, in order."""
    found: tuple[dict[int, float], dict[int, float]] = ({}, {})
    for docks, at, towards in ((found[0], 0, 1), (found[1], -1, -2)):
        ends: dict[_Place, list[tuple[float, int]]] = {}
        for number, route in enumerate(routes):
            ends.setdefault(route[at], []).append((route[towards].middle, number))
        for place, edges in ends.items():
            for order, (_, number) in enumerate(sorted(edges), start=1):
                docks[number] = place.at + place.size * order / (len(edges) + 1)
    return found


def _arrow(edge: Edge, route: Sequence[_Place], leaves: float, arrives: float, *, down: bool) -> str:
    """An edge as a smooth line through its bends, its label where it arrives."""
    forward = route[0].layer <= route[-1].layer
    first, last = route[0], route[-1]
    stops = [(first.top + (first.depth if forward else 0), leaves)]
    for place in route[1:-1]:
        ends = [(place.top, place.middle), (place.top + place.room, place.middle)]
        stops += ends if forward else ends[::-1]
    stops.append((last.top + (0 if forward else last.depth), arrives))

    def point(along: float, across: float) -> str:
        return f"{across:.1f} {along:.1f}" if down else f"{along:.1f} {across:.1f}"

    line = f"M{point(*stops[0])}"
    for (along, across), (further, beyond) in pairwise(stops):
        half = (along + further) / 2
        line += f"C{point(half, across)} {point(half, beyond)} {point(further, beyond)}"
    back = -7 if forward else 7
    (along, across) = stops[-1]
    head = f"M{point(along, across)}L{point(along + back, across - 4)} {point(along + back, across + 4)}z"
    tip = f"<title>{escape(edge.tip)}</title>" if edge.tip else ""
    label = ""
    if edge.label and not down:
        anchor, beside = ("end", -10) if forward else ("start", 10)
        label = (
            f'<text class="label" x="{along + beside:.0f}" y="{across - 4:.1f}" text-anchor="{anchor}">'
            f"{escape(edge.label)}</text>"
        )
    return (
        f'<g class="edge {edge.style}">{tip}<path class="line" d="{line}"/><path class="head" d="{head}"/>{label}</g>'
    )


def _box(place: _Place, node: Node, *, down: bool) -> str:
    x, y = (place.at, place.top) if down else (place.top, place.at)
    height = place.depth if down else place.size
    texts = [("title", node.title), *node.lines]
    body = "".join(
        f'<text class="{style}" x="{x + _PADDING:.1f}" y="{y + _PADDING + _LINE * (at + 0.75):.1f}">'
        f"{escape(cut(text))}</text>"
        for at, (style, text) in enumerate(texts)
    )
    tip = f"<title>{escape(node.tip)}</title>" if node.tip else ""
    box = (
        f'<g class="node {node.style}">{tip}<rect x="{x:.1f}" y="{y:.1f}" width="{WIDTH}" height="{height:.0f}" '
        f'rx="7"/>{body}</g>'
    )
    return f'<a href="{escape(node.link)}">{box}</a>' if node.link else box


def cut(text: str) -> str:
    """A text that fits into a box."""
    most = int((WIDTH - 2 * _PADDING) / _CHARACTER)
    return text if len(text) <= most else f"{text[: most - 1]}…"
