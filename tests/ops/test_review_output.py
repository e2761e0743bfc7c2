"""The review as people and programs get it: text, Markdown, HTML, JSON; and its pictures."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.review import document as data
from ops.review import graph, html, markdown, migrations, pictures, preview, text
from tests.support.previews import LATER, document, policy, resource, review, role, statement, urn

if TYPE_CHECKING:
    from ops.review.model import Review

EVIL = "<script>alert(1)</script> |`x`| @team [a](b) *b* </details>"


def many() -> Review:
    """A change of every kind, with names that mean harm."""
    database = "product-api:index:Database"
    outer = resource(database, "store")
    bucket = resource("aws:s3/bucket:Bucket", "old", {"bucket": "old"}, parent=outer["urn"], identifier="old")
    instance = [
        resource("aws:rds/instance:Instance", "data", {"identifier": "data", "port": port}, parent=outer["urn"])
        for port in (1, 2)
    ]
    function = [
        resource(
            "aws:lambda/function:Function",
            "api",
            {"name": EVIL, "memorySize": size, "environment": {"variables": {"KEY": preview.SECRET, "B": size}}},
        )
        for size in (512, 1024)
    ]
    open_queue = document(statement("sqs:SendMessage", "*", Principal="*"))
    plan = [
        resource(migrations.PLAN, "migrations", {"revisions": revisions})
        for revisions in (
            [],
            [{"revision": "0001", "summary": EVIL, "sql": 'DROP TABLE products; SELECT 1 AS "</pre>|"'}],
        )
    ]
    before = [
        outer,
        bucket,
        instance[0],
        function[0],
        role(),
        policy(document(statement("s3:GetObject", "*"))),
        plan[0],
    ]
    after = [
        outer,
        instance[1],
        function[1],
        role(description=EVIL),
        policy(document(statement("s3:*", "*"))),
        plan[1],
        resource("aws:sqs/queue:Queue", "jobs", {"name": "jobs", "policy": open_queue, "url": LATER}),
    ]
    finding = {
        "policy": "rds-port",
        "pack": "guardrails",
        "level": "mandatory",
        "resource": instance[0]["urn"],
        "message": f"No such port.\n{EVIL}",
    }
    return review(before, after, finding, data={"op": "replace", "replaceReasons": ["port"]})


def fresh(number: int = 60) -> Review:
    """A stack of which nothing stands yet."""
    outer = resource("product-api:index:Alarms", "alarms")
    alarms = [
        resource("aws:cloudwatch/metricAlarm:MetricAlarm", f"alarm-{n}", {"threshold": n}, parent=outer["urn"])
        for n in range(number)
    ]
    return review([], [outer, *alarms])


def same() -> Review:
    """A stack that stays as it is."""
    return review([role()], [role()])


EVERY = pytest.mark.parametrize("made", [many, fresh, same])


class TestModel:
    def test_what_to_look_at_first_is_the_gravest(self) -> None:
        found = many().attention
        assert [each.grave for each in found] == sorted((each.grave for each in found), reverse=True)
        assert next(each.text.split(" ")[0:3] for each in found) == ["Policies", "stop", "this"]
        said = "\n".join(each.text for each in found)
        for part in (
            "The bucket old is deleted. What it holds goes with it.",
            "The instance data is replaced (port cannot be changed in place). What it holds goes with it.",
            "is destructive.",
            "Anybody on the internet can newly reach queue jobs.",
            "Role dev-worker may call s3:* on anything: every action of s3.",
        ):
            assert part in said

    def test_what_is_retained_is_said_to_stay(self) -> None:
        kept = resource("aws:s3/bucket:Bucket", "old", {"bucket": "old"}, retainOnDelete=True)
        (found,) = review([kept], []).attention
        assert (found.grave, found.text) == (False, "The bucket old is deleted. What it holds stays in the account.")

    def test_public_paths_of_an_api_are_no_alarm(self) -> None:
        route = resource("aws:apigatewayv2/route:Route", "r", {"routeKey": "GET /health", "authorizationType": "NONE"})
        assert [each.grave for each in review([], [route]).attention] == [False]

    def test_counts_add_up(self) -> None:
        counts = many().counts
        assert dict(counts) == {"same": 1, "delete": 1, "replace": 1, "update": 4, "create": 1}

    def test_policies_that_advise_do_not_block(self) -> None:
        advice = {"policy": "p", "pack": "g", "level": "advisory", "resource": "", "message": "m"}
        assert not review([], [role()], advice).blocked
        assert many().blocked


class TestText:
    def test_it_names_everything(self) -> None:
        said = text.render(many())
        for part in (
            "Review of stack dev: 1 deleted, 1 replaced, 4 changed, 1 created; 1 stay as they are",
            "- bucket old",
            "± instance data: port cannot be changed in place",
            "port: 1 → 2  (makes the replacement necessary)",
            "memorySize: 512 → 1024",
            "+ may call s3:* on anything",
            "until now only s3:GetObject",
            "+ anybody on the internet → queue jobs to sqs:SendMessage (no condition)",
            "! drops the table products  (destructive)",
            "! rds-port: instance data  (stops the update)",
        ):
            assert part in said, part

    def test_many_that_are_only_new_are_counted_by_kind(self) -> None:
        said = text.render(fresh())
        assert "nothing stands yet; 61 created" in said
        assert "+ 60 metric alarms" in said
        assert "alarm-7" not in said

    def test_nothing_is_said_to_be_nothing(self) -> None:
        said = text.render(same())
        assert "nothing changes; all 1 resources stay as they are" in said
        assert "nobody gains or loses a permission" in said

    @EVERY
    def test_on_a_terminal_no_line_is_longer_than_it(self, made: Any) -> None:
        long = [line for line in text.render(made(), width=80).splitlines() if len(line) > 80]
        assert [line for line in long if " " in line.strip()] == []

    def test_colours_are_there_only_when_wanted(self) -> None:
        assert "\x1b" not in text.render(many(), width=80)
        assert "\x1b[31m" in text.render(many(), width=80, colour=True)


class TestMarkdown:
    @EVERY
    def test_it_says_the_short_answer_first_and_folds_the_rest(self, made: Any) -> None:
        said = markdown.render(made())
        head, _, rest = said.partition("<details>")
        assert head.startswith("### Review of stack `dev`\n")
        assert "| permissions |" in head
        assert head.count("<details>") == 0
        tags = re.sub(r"(`+).*?\1", "", rest)
        assert tags.count("</details>") == tags.count("<summary>") == tags.count("<details>") + 1
        assert len(head) < 2500

    def test_names_that_mean_harm_are_only_names(self) -> None:
        said = markdown.render(many())
        outside = re.sub(r"(`+).*?\1", "", said)
        assert "<script" not in outside
        assert not re.search(r"(?<!\\)\[a\]", outside)
        assert "@team" not in outside  # nobody is called by it
        rows = [line for line in said.splitlines() if line.startswith("| `0001`")]
        assert {4} == {len(re.findall(r"(?<!\\)\|", row)) - 1 for row in rows}

    def test_it_fits_into_a_comment(self) -> None:
        huge = [resource("aws:sqs/queue:Queue", f"q{n}", {"x": "y" * 90, "n": 1}) for n in range(600)]
        changed = [resource("aws:sqs/queue:Queue", f"q{n}", {"x": "z" * 90, "n": 2}) for n in range(600)]
        said = markdown.render(review(huge, changed))
        assert len(said) < markdown.LIMIT
        assert "too long for a comment; `ops review dev --format html` has it" in said


class Page(HTMLParser):
    """What a page holds; fails on tags that do not close."""

    VOID = frozenset({"meta", "rect", "path", "br"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@EVERY
class TestHtml:
    def test_it_stands_alone(self, made: Any) -> None:
        source = html.render(made())
        page = Page(source)
        assert {"script", "img", "link", "iframe", "object", "embed"} & {tag for tag, _ in page.found} == set()
        assert [] == [a for _, a in page.found for key in ("src", "srcset", "data", "xlink:href") if a.get(key)]
        assert {"#"} >= {str(each["href"])[0] for each in page.all("a")}
        style = source.partition("<style>")[2].partition("</style>")[0]
        assert "url(" not in style
        assert "@import" not in style

    def test_every_link_leads_somewhere_and_every_place_is_one(self, made: Any) -> None:
        page = Page(html.render(made()))
        places = [a["id"] for _, a in page.found if "id" in a]
        assert sorted(set(places)) == sorted(places)  # type: ignore[type-var]
        assert {str(each["href"])[1:] for each in page.all("a")} <= set(places)
        named = [str(a["aria-labelledby"]).split() for _, a in page.found if a.get("aria-labelledby")]
        assert {name for names in named for name in names} <= set(places)

    def test_it_can_be_used_by_keyboard_and_read_aloud(self, made: Any) -> None:
        page = Page(html.render(made()))
        assert page.all("html") == [{"lang": "en"}]
        assert [each for _, each in page.found if "onclick" in each] == []
        scrolling = [a for _, a in page.found if a.get("class") in ("scroll", "wide")]
        assert [] == [a for a in scrolling if a.get("tabindex") != "0" or not a.get("aria-label")]
        assert len(page.all("h1")) == 1
        assert "".join(tag for tag, _ in page.found if tag in ("main", "nav", "header")) == "headernavmain"

    def test_it_follows_the_reader_s_colours_and_screen(self, made: Any) -> None:
        source = html.render(made())
        assert "prefers-color-scheme: dark" in source
        assert "max-width: 600px" in source
        assert 'name="viewport"' in source


def test_a_page_of_names_that_mean_harm_is_only_text() -> None:
    page = Page(html.render(many()))
    assert "<script>alert(1)</script>" in page.words
    assert preview.SECRET not in page.words


def test_every_change_is_on_the_page() -> None:
    words = Page(html.render(many())).words
    for part in (
        "bucket",
        "old",
        "memorySize",
        "512",
        "1024",
        "until now",
        "Anybody",
        "DROP TABLE products",
        "rds-port",
    ):
        assert part.lower() in words.lower(), part


class TestJson:
    @EVERY
    def test_it_is_json(self, made: Any) -> None:
        document_ = data.document(made())
        assert json.loads(json.dumps(document_)) == document_

    def test_it_says_what_a_program_needs(self) -> None:
        said = data.document(many())
        assert (said["changed"], said["blocked"], said["fresh"]) == (True, True, False)
        (api,) = [change for change in said["changes"] if change["urn"] == urn("aws:lambda/function:Function", "api")]
        assert {"path": "memorySize", "old": 512, "new": 1024, "replaces": False} in api["properties"]
        (queue,) = [change for change in said["changes"] if change["operation"] == "create"]
        assert queue["inputs"]["url"] == {"known": "after the update"}
        (worker,) = [each for each in said["permissions"] if each["holder"]["name"] == "dev-worker"]
        assert worker["gained"][0]["actions"] == ["s3:*"]
        assert [way["anybody"] for way in said["reachability"]["gained"]] == [True]
        assert said["migrations"][0]["effects"][0]["tables"] == ["products"]
        assert said["policies"]["findings"][0]["level"] == "mandatory"


# --- pictures --------------------------------------------------------------------------------------------------------

KEYS = "abcdefgh"
EDGES = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS)), max_size=16)


def boxes(svg: str) -> list[tuple[float, float, float, float]]:
    return [
        tuple(float(each) for each in found)  # type: ignore[misc]
        for found in re.findall(r'<rect x="([\d.-]+)" y="([\d.-]+)" width="([\d.]+)" height="([\d.]+)"', svg)
    ]


class TestGraph:
    @given(EDGES, st.booleans())
    def test_no_box_covers_another_or_leaves_the_picture(self, edges: list[tuple[str, str]], down: bool) -> None:
        nodes = [graph.Node(key=key, title=key) for key in KEYS]
        svg = graph.draw(
            nodes, [graph.Edge(source=a, target=b) for a, b in edges], title="t", description="d", down=down
        )
        found = boxes(svg)
        assert len(found) == len(nodes)
        width, height = (float(each) for each in re.findall(r'viewBox="0 0 (\d+) (\d+)"', svg)[0])
        for at, (x, y, w, h) in enumerate(found):
            assert 0 <= x <= x + w <= width
            assert 0 <= y <= y + h <= height
            for other, beside, wide, high in found[at + 1 :]:
                assert x + w <= other or other + wide <= x or y + h <= beside or beside + high <= y

    @given(EDGES)
    def test_an_arrow_leads_to_a_later_layer_unless_it_closes_a_circle(self, edges: list[tuple[str, str]]) -> None:
        layers = graph.layered(KEYS, edges)
        back = [(a, b) for a, b in edges if layers[a] >= layers[b]]
        forward = [(a, b) for a, b in edges if layers[a] < layers[b]]
        for source, target in back:
            assert source in reach(target, [*forward, *back])

    @given(EDGES)
    def test_leaving_out_what_a_longer_way_says_keeps_who_reaches_whom(self, edges: list[tuple[str, str]]) -> None:
        kept = graph.reduced(edges)
        assert set(kept) <= set(edges)
        assert [reach(key, edges) for key in KEYS] == [reach(key, kept) for key in KEYS]

    def test_a_chain_needs_no_shortcut(self) -> None:
        assert graph.reduced([("a", "b"), ("b", "c"), ("a", "c")]) == [("a", "b"), ("b", "c")]

    def test_text_that_is_too_long_is_cut(self) -> None:
        assert graph.cut("x" * 100).endswith("…")
        assert graph.cut("network") == "network"


def reach(start: str, edges: list[tuple[str, str]]) -> set[str]:
    """What is reached from a node."""
    found: set[str] = set()
    pending = [b for a, b in edges if a == start]
    while pending:
        key = pending.pop()
        if key not in found:
            found.add(key)
            pending += [b for a, b in edges if a == key]
    return found


class TestPictures:
    def test_a_component_is_coloured_by_the_gravest_thing_inside(self) -> None:
        svg = pictures.stack(many())
        assert re.search(r'<a href="#group-database-store"><g class="node delete">', svg)

    def test_ways_of_one_kind_are_one_arrow(self) -> None:
        svg = pictures.ways(many())
        assert svg.count('class="edge gained open"') == 1
        assert pictures.ways(same()) == ""
