"""Renders revisions to SQL without a database; run as a script by `migrations.rendering`, in a process of its own.

A revision is somebody's code, so whoever previews a stack does not import it: see `migrations.rendering`.
"""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if __name__ == "__main__":  # a bare script: the folder above is where `migrations` is imported from
    sys.path.insert(0, str(Path(__file__).parents[1]))

from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError

from migrations.configuration import configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.script import Script

_ADDRESS: Final = re.compile(r"0x[0-9a-f]+")


class RevisionsError(Exception):
    """Revisions of which no plan can be made: they do not load, or do not form one line."""


def scripts_in(scripts: Path) -> ScriptDirectory:
    """The revisions in a folder.

    Args:
        scripts: The folder with `versions/`.

    Raises:
        RevisionsError: There is more than one head, or a file does not load.
    """
    directory = ScriptDirectory.from_config(configuration(scripts=scripts))
    try:
        heads = sorted(directory.get_heads())
    except Exception as error:  # whatever a revision's file raises when it is imported
        raise RevisionsError(f"the revisions do not load: {_reason(error)}") from error
    if len(heads) > 1:
        raise RevisionsError(
            f"the revisions have {len(heads)} heads ({', '.join(heads)}), so their order is nobody's decision: "
            f"set the down_revision of the one not yet deployed to the other, or join them with a merge revision"
        )
    return directory


def render(scripts: Path, base: str | None) -> Iterator[dict[str, Any]]:
    """The upgrades after a base, in the order in which they run, as the plan spells them.

    Args:
        scripts: The folder with `env.py` and `versions/`.
        base: The revision before the first; None for all.

    Yields:
        `revision`, `downRevision`, `summary`, `sql`, and `undecidable` where the SQL cannot be known.

    Raises:
        RevisionsError: There is more than one head, a file does not load, or the base is not a revision.
    """
    directory = scripts_in(scripts)
    try:
        pending = list(directory.iterate_revisions(directory.get_current_head(), base or "base"))
    except RevisionError as error:
        raise RevisionsError(f"the base {base} is not before the head of the revisions: {_reason(error)}") from error
    heads: tuple[str, ...] = (base,) if base else ()
    for revision in reversed(pending):
        before = revision._versioned_down_revisions  # noqa: SLF001 - the one place that has () where there is none
        document = {
            "revision": revision.revision,
            "downRevision": ", ".join(before) or None,
            "summary": revision.doc,
            "sql": "",
        }
        try:
            document["sql"] = _upgrade(scripts, directory, revision, heads)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a revision raises, it cannot be rendered
            document["undecidable"] = f"cannot be rendered without a database: {_reason(error)}"
        heads = (*(head for head in heads if head not in before), revision.revision)
        yield document


def _upgrade(scripts: Path, directory: ScriptDirectory, revision: Script, heads: tuple[str, ...]) -> str:
    output = io.StringIO()

    def step(_heads: tuple[str, ...], _migrations: MigrationContext) -> list[MigrationStep]:
        return [MigrationStep.upgrade_from_script(directory.revision_map, revision)]

    config = configuration(scripts=scripts, output=output)
    with EnvironmentContext(
        config, directory, fn=step, as_sql=True, starting_rev=heads or None, destination_rev=revision.revision
    ):
        directory.run_env()
    return output.getvalue().strip() + "\n"


def _reason(error: BaseException) -> str:
    # Part of the plan's digest, so it must not differ from machine to machine.
    first = (str(error).strip().splitlines() or [""])[0]
    return _ADDRESS.sub("0x…", f"{type(error).__name__}: {first}".rstrip(": "))


def main(arguments: list[str]) -> int:
    """Write the rendering of `arguments[0]` after `arguments[1]` ("" for all) to the file `arguments[2]`, line by line.

    A file and not stdout, for a revision may print. The last line is `{"done": true}`, or `{"error": …}`.
    """
    scripts, base, target = Path(arguments[0]), arguments[1] or None, Path(arguments[2])
    with target.open("w", encoding="utf-8") as lines:
        try:
            for document in render(scripts, base):
                lines.write(json.dumps(document) + "\n")
                lines.flush()
            lines.write('{"done": true}\n')
        except RevisionsError as error:
            lines.write(json.dumps({"error": str(error)}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
