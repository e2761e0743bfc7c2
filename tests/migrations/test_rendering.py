"""The plan: what it shows, when it changes, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from migrations import rendering
from migrations.history import HistoryError
from migrations.rendering import PlanError, plan

if TYPE_CHECKING:
    from tests.support.world import Checkout

READS = """\
rows = op.get_bind().execute(sa.text("SELECT id FROM products")).fetchall()
for row in rows:
    op.execute(f"DELETE FROM products WHERE id = {row.id}")"""


def release(checkout: Checkout, head: str) -> None:
    """Record a release that left production at a revision."""
    folder = checkout.scripts / "releases"
    folder.mkdir()
    document = {"release": "1", "head": head, "digest": "0" * 64, "statements": ["SELECT 1"]}
    (folder / "0001.json").write_text(json.dumps(document))


def test_nothing_released_means_that_every_revision_is_pending_in_order() -> None:
    """The project's own plan."""
    current = plan()

    assert current.base is None
    assert [revision.revision for revision in current.revisions][:3] == ["0001", "0002", "0003"]
    assert [revision.down_revision for revision in current.revisions][:3] == [None, "0001", "0002"]
    assert [None] * len(current.revisions) == [revision.undecidable for revision in current.revisions]


def test_the_sql_brackets_transactions_and_sets_timeouts_before_it_locks(checkout: Checkout) -> None:
    """What a judge of the plan reads is what runs: an index build stands outside of a transaction."""
    statements = [s.strip() for s in plan(checkout.root).revisions[1].sql.split(";\n") if s.strip()]

    assert statements[0] == "BEGIN"
    assert statements.index("SET statement_timeout = '30s'") < statements.index("COMMIT")
    build = next(i for i, s in enumerate(statements) if "CONCURRENTLY" in s)
    assert "COMMIT" in statements[:build]
    assert statements[build + 1] == "BEGIN"


def test_a_release_moves_the_base_and_leaves_what_follows(checkout: Checkout) -> None:
    """The first rendering after a base does not create Alembic's table again."""
    release(checkout, "0002")

    current = plan(checkout.root)

    assert current.base == "0002"
    assert [revision.revision for revision in current.revisions] == ["0003"]
    assert "CREATE TABLE alembic_version" not in current.revisions[0].sql


def test_when_everything_is_released_the_plan_is_empty_and_ends_at_its_base(checkout: Checkout) -> None:
    """The head of an empty plan is where the release left the database."""
    release(checkout, "0003")

    current = plan(checkout.root)

    assert current.revisions == ()
    assert current.head == "0003"


def test_a_base_that_is_no_revision_is_an_error(checkout: Checkout) -> None:
    """A record of a release whose revision was removed."""
    release(checkout, "0815")

    with pytest.raises(PlanError, match="base 0815 is not before the head"):
        plan(checkout.root)


def test_a_record_that_cannot_be_read_is_named(checkout: Checkout) -> None:
    """The file's name is in the error."""
    release(checkout, "0003")
    (checkout.scripts / "releases" / "0002.json").write_text('{"release": "2", "head": null}')

    with pytest.raises(HistoryError, match=r"releases/0002\.json"):
        plan(checkout.root)


@pytest.mark.parametrize(
    ("upgrade", "reason"),
    [
        (READS, "AttributeError"),
        ("sa.inspect(op.get_bind()).get_columns('products')", "NoInspectionAvailable"),
        ("raise RuntimeError('not now')", "RuntimeError: not now"),
        ("raise SystemExit(0)", "SystemExit"),
    ],
)
def test_a_revision_that_cannot_be_rendered_is_shown_as_undecidable(
    checkout: Checkout, upgrade: str, reason: str
) -> None:
    """It is never left out, and what follows is still rendered."""
    checkout.add("0004", "0003", upgrade)
    checkout.add("0005", "0004", "op.execute('SELECT 1')")

    [*_, undecidable, after] = plan(checkout.root).revisions

    assert (undecidable.revision, undecidable.sql) == ("0004", "")
    assert reason in str(undecidable.undecidable)
    assert undecidable.undecidable == undecidable.inputs()["undecidable"]
    assert "version_num='0005' WHERE alembic_version.version_num = '0004'" in after.sql
    assert "undecidable" not in after.inputs()


def test_two_heads_are_refused_with_their_names_and_the_remedy(checkout: Checkout) -> None:
    """Two branches were merged, each with a revision after the same one."""
    checkout.add("0004a", "0003", "pass")
    checkout.add("0004b", "0003", "pass")

    with pytest.raises(PlanError, match=r"2 heads \(0004a, 0004b\).*down_revision"):
        plan(checkout.root)


def test_a_merge_names_both_that_it_joins(checkout: Checkout) -> None:
    """Its rendering takes both heads out of Alembic's table."""
    checkout.add("0004a", "0003", "op.execute('SELECT 1')")
    checkout.add("0004b", "0003", "op.execute('SELECT 2')")
    checkout.add("0005", "0004a", "pass")
    path = checkout.scripts / "versions" / "0005_added.py"
    path.write_text(path.read_text().replace("down_revision = '0004a'", "down_revision = ('0004a', '0004b')"))

    merge = plan(checkout.root).revisions[-1]

    assert merge.down_revision == "0004a, 0004b"
    assert "DELETE FROM alembic_version" in merge.sql


def test_a_file_that_does_not_load_is_an_error_and_no_plan(checkout: Checkout) -> None:
    """The revisions after it could not be put in order."""
    checkout.add("0004", "0003", "pass")
    (checkout.scripts / "versions" / "0004_added.py").write_text("revision = = 1")

    with pytest.raises(PlanError, match="do not load: SyntaxError"):
        plan(checkout.root)


def test_a_rendering_that_breaks_off_names_the_revision_before(checkout: Checkout) -> None:
    """A revision that ends the process cannot end the plan silently."""
    checkout.add("0004", "0003", "import os\nos._exit(0)")

    with pytest.raises(PlanError, match="after 0003 ended with exit code 0"):
        plan(checkout.root)


def test_a_revision_sees_no_credentials_and_its_output_is_not_taken_for_data(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process has nothing of the environment of whoever previews."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    seen = checkout.root / "seen"
    checkout.add(
        "0004",
        "0003",
        f"import os, pathlib\nprint('{{}}')\npathlib.Path({str(seen)!r}).write_text(repr(dict(os.environ)))",
    )

    assert plan(checkout.root).revisions[-1].undecidable is None

    assert "HOME" in seen.read_text()
    assert "AWS" not in seen.read_text()


def test_a_plan_is_rendered_once_and_again_when_a_byte_changes(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second call starts no process; a change of a revision starts one."""
    first = plan(checkout.root)
    with monkeypatch.context() as broken:
        broken.setattr(rendering, "_render", lambda *_: pytest.fail("rendered again"))
        assert first == plan(checkout.root)

    checkout.add("0004", "0003", "op.execute('SELECT 1')")

    assert plan(checkout.root).head == "0004"


def test_a_damaged_cache_is_rendered_anew(checkout: Checkout) -> None:
    """A process that was killed while it wrote, say."""
    first = plan(checkout.root)
    [cached] = (checkout.root / ".build" / "migrations").glob("*.json")
    cached.write_text(cached.read_text()[:-20])

    assert first == plan(checkout.root)


def test_the_digest_is_of_base_and_revisions(checkout: Checkout) -> None:
    """The same text has the same digest, a changed literal another."""
    checkout.add("0004", "0003", "op.execute('SELECT 1')")
    one = plan(checkout.root)
    checkout.add("0004", "0003", "op.execute('SELECT 2')")
    two = plan(checkout.root)

    assert one.digest != two.digest
    assert one.digest == one.inputs()["digest"] == one.event()["digest"]
    assert {"base", "revisions", "digest"} == set(one.event())
    assert {"revision", "sha256"} == set(one.event()["revisions"][0])


def test_importing_and_rendering_bring_in_nothing_heavy() -> None:
    """A preview pays for what it uses, and does not run a revision's code in its own process."""
    script = (
        "import sys; from migrations.rendering import plan; plan(); heavy = ('alembic', 'sqlalchemy', 'psycopg');"
        "print([m for m in sys.modules if m.split('.')[0] in heavy])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=rendering.ROOT
    )

    assert done.stdout.strip() == "[]"
