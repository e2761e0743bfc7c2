"""`ops setup`: the Pulumi engine."""

from __future__ import annotations

import click

from ops.console import data, step


@click.command("setup")
def command() -> None:
    """Find the Pulumi engine, or obtain it: from PATH, as the official archive, or built with Go.

    It is cached outside the checkout, by version: this takes time once a machine. `ops doctor` says what is there.

    \b
    Examples:
      ops setup
      "$(ops setup)" version      its path is the one line on stdout
    """
    from ops.rehearsal import engine

    with step("engine", {}) as running:
        found = engine(running.progress)
        running.detail = f"Pulumi {found.version} from {found.source}"
    data(str(found.path))
