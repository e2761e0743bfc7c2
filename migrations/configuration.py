"""Alembic's configuration, built in code: there is no alembic.ini to disagree with."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic.config import Config

if TYPE_CHECKING:
    from sqlalchemy import Connection

SCRIPTS: Final = Path(__file__).parent

# A statement that waits for a lock stops everybody who comes after it, so it gives up long before a user would.
LOCK_TIMEOUT: Final = "3s"
# Long enough for whatever is fast under load; a revision that builds an index raises it itself, in sight of the plan.
STATEMENT_TIMEOUT: Final = "30s"


def configuration(
    *,
    scripts: Path = SCRIPTS,
    connection: Connection | None = None,
    output: io.StringIO | None = None,
    lock_timeout: str = LOCK_TIMEOUT,
    statement_timeout: str = STATEMENT_TIMEOUT,
) -> Config:
    """What Alembic needs to know.

    Args:
        scripts: The folder with `env.py`, `script.py.mako` and `versions/`.
        connection: The database to work on; None for offline rendering and for what needs no database.
        output: Where offline rendering writes.
        lock_timeout: How long a statement may wait for a lock, in Postgres's spelling.
        statement_timeout: How long a statement may take, in Postgres's spelling.
    """
    # Nothing of ours prints: stdout belongs to the caller's data, or to the worker's protocol.
    config = Config(stdout=io.StringIO(), output_buffer=output)
    options = {
        "script_location": str(scripts),
        "path_separator": "os",
        "file_template": "%(rev)s_%(slug)s",
        "lock_timeout": lock_timeout,
        "statement_timeout": statement_timeout,
    }
    for name, value in options.items():
        config.set_main_option(name, value.replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
