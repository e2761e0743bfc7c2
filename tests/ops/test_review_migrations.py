"""What the plan's migrations do to which tables."""

from __future__ import annotations

from typing import Any

import pytest

from ops.review import migrations
from policies.guardrails.sql.nodes import parser
from tests.support.previews import LATER, read, resource

CREATE = "CREATE TABLE products (id bigint PRIMARY KEY, name text NOT NULL);"


def plan(*texts: str | dict[str, Any], base: str | None = None) -> dict[str, Any]:
    revisions = [
        {"revision": f"{n:04}", "downRevision": f"{n - 1:04}", "summary": f"Step {n}.", "sql": t}
        if isinstance(t, str)
        else {"revision": f"{n:04}", "summary": f"Step {n}.", "sql": "", **t}
        for n, t in enumerate(texts, start=1)
    ]
    return resource(migrations.PLAN, "migrations", {"base": base, "revisions": revisions, "digest": "0"})


def told(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(each.revision, each.state, each.judged) for each in migrations.changes(read(before, after))]


def effects(sql: str, *before: str, base: str | None = None) -> list[tuple[tuple[str, ...], str, str]]:
    """What a revision does on top of others that have run."""
    old, new = plan(*before, base=base), plan(*before, sql, base=base)
    (found,) = migrations.changes(read([old] if before else [], [new]))
    return [(each.tables, each.what, each.judged) for each in found.effects]


class TestPlans:
    def test_a_fresh_stack_runs_all(self) -> None:
        assert told([], [plan(CREATE, "SELECT 1")]) == [("0001", "new", "safe"), ("0002", "new", "safe")]

    def test_only_what_is_new_is_told(self) -> None:
        assert told([plan(CREATE)], [plan(CREATE, "ALTER TABLE products ADD COLUMN note text")]) == [
            ("0002", "new", "safe")
        ]
        assert told([plan(CREATE)], [plan(CREATE)]) == []

    def test_one_that_was_rewritten_is_told(self) -> None:
        assert told([plan(CREATE)], [plan(CREATE.replace("name", "title"))]) == [("0001", "rewritten", "safe")]

    def test_one_that_is_released_goes_from_the_plan(self) -> None:
        assert told([plan(CREATE, "SELECT 1")], [plan(CREATE)]) == [("0002", "gone", "safe")]

    def test_one_that_cannot_be_rendered_is_undecidable_with_its_reason(self) -> None:
        (found,) = migrations.changes(read([], [plan({"undecidable": "reads the inspector"})]))
        assert (found.judged, found.undecidable) == ("undecidable", "reads the inspector")

    @pytest.mark.parametrize("inputs", [{"revisions": LATER}, {"revisions": [LATER]}])
    def test_a_plan_that_is_not_known_is_never_no_change(self, inputs: dict[str, Any]) -> None:
        later = resource(migrations.PLAN, "migrations", {"base": None, **inputs})
        assert told([plan(CREATE)], [later])[0] == ("?", "new", "undecidable")

    def test_statements_that_are_not_known_are_never_no_change(self) -> None:
        (found,) = migrations.changes(read([], [plan({"sql": LATER})]))
        assert found.undecidable == "its statements are known after the update"


class TestClasses:
    def test_a_column_of_a_table_that_the_stack_has_is_data(self) -> None:
        """In one change with the table's creation it would be nobody's: the guardrails' rule sees it so."""
        assert effects("ALTER TABLE products DROP COLUMN name", CREATE) == [
            (("products",), "products: drops the column name", "destructive")
        ]

    def test_what_has_run_says_which_types_there_are(self) -> None:
        sql = "ALTER TABLE products ALTER COLUMN id TYPE numeric"
        assert effects(sql, CREATE)[0][2] == "safe"
        assert effects(sql, base="0000")[0][2] == "undecidable"

    def test_a_column_of_a_table_that_is_made_with_it_is_not(self) -> None:
        (_, found) = migrations.changes(read([], [plan(CREATE, "ALTER TABLE products DROP COLUMN name")]))
        assert found.judged == "safe"

    def test_a_table_that_ran_before_the_plan_is_data(self) -> None:
        assert effects("DROP TABLE orders", "SELECT 1", base="0000") == [
            (("orders",), "drops the table orders", "destructive")
        ]

    def test_what_cannot_be_parsed_is_told(self) -> None:
        ((tables, what, judged),) = effects("DROP THE TABLE products")
        assert (tables, what, judged) == ((), "runs what cannot be told apart", "incompatible")

    def test_a_reason_comes_with_its_remedy(self) -> None:
        (found,) = migrations.changes(read([plan(CREATE)], [plan(CREATE, "TRUNCATE products")]))
        ((why, remedy),) = found.effects[0].reasons
        assert why == "empties products"
        assert "in two releases" in remedy


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (CREATE, "creates the table products with id, name"),
        (
            "ALTER TABLE p ADD COLUMN a integer NOT NULL DEFAULT 3",
            "p: adds the column a (int, never empty, with a default)",
        ),
        ("ALTER TABLE s.p ALTER COLUMN a TYPE numeric(12, 2)", "s.p: changes the type of a to numeric(12, 2)"),
        (
            "ALTER TABLE p ADD CONSTRAINT c CHECK (a > 0) NOT VALID",
            "p: adds the constraint c, without checking the rows that are there",
        ),
        ("ALTER TABLE p VALIDATE CONSTRAINT c", "p: checks the rows that are there against c"),
        ("ALTER TABLE p ALTER a SET NOT NULL, ALTER b DROP NOT NULL", "p: lets a never be empty; lets b be empty"),
        ("CREATE INDEX i ON p (a, lower(b))", "builds the index i on p (a, an expression); writes wait meanwhile"),
        (
            "CREATE UNIQUE INDEX CONCURRENTLY i ON p (a)",
            "builds the unique index i on p (a); while the table is in use",
        ),
        ("DROP INDEX i", "drops the index i"),
        ("DROP TABLE a, b.c CASCADE", "drops the table a, b.c, and what depends on it"),
        ("ALTER TABLE p RENAME COLUMN a TO b", "p: renames the column a to b"),
        ("ALTER TABLE p RENAME TO q", "renames the table p to q"),
        ("INSERT INTO p SELECT * FROM q", "writes rows into p, q"),
        ("UPDATE p SET a = 1", "changes rows of p"),
        ("DO $$ BEGIN END $$", "runs a block of code, which may do anything, on the database"),
        ("CREATE TYPE t AS ENUM ('a')", "create enum"),
        ("SET lock_timeout = '3s'", ""),
        ("BEGIN", ""),
        ("UPDATE alembic_version SET version_num = '1'", ""),
    ],
)
def test_statements_are_told_in_words(sql: str, said: str) -> None:
    assert migrations.describe(parser().parse(sql).stmts[0].stmt)[0] == said


def test_constants_are_not_shown() -> None:
    (found,) = migrations.changes(read([], [plan("INSERT INTO keys VALUES ('hunter2')")]))
    assert "hunter2" not in repr(found)
