"""`ops artifact`: the code zip and the layers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from ops.console import CommandError, data, emit, step


@click.group("artifact")
def command() -> None:
    """The code zip and the layers.

    \b
    Examples:
      ops artifact build
      ops artifact build --stack prod --json
    """


@command.command("build")
@click.option("--stack", default="local", help="For this stack's runtime and architecture.")
@click.option("--json", "as_json", is_flag=True, help="Print what was built as JSON.")
def build(stack: str, *, as_json: bool) -> None:
    """Build the code zip, the same bytes every time, and the layers for the stack and for this machine.

    \b
    Examples:
      ops artifact build
      ops artifact build --stack prod --json
    """
    with step("artifact", {}) as running:
        built = build_for(stack, running)
    if as_json:
        emit("product-api/artifact/1", {name: {**asdict(part), "path": str(part.path)} for name, part in built.items()})
        return
    for name, part in built.items():
        data(f"{name:<28} {part.sha256}  {part.path}")


def build_for(stack: str, running: Any) -> dict[str, Any]:
    """Build everything that a rehearsal of `stack` needs; return the artifacts by name.

    Args:
        stack: Whose runtime and architecture the layer is for.
        running: The step to report to.

    Raises:
        CommandError: something cannot be built.
    """
    from ops import artifact
    from ops.rehearsal import project_setting

    runtime = project_setting(stack, "functionRuntime")
    architecture = project_setting(stack, "functionArchitecture")
    try:
        built = {"code": artifact.build_code()}
        # The rehearsal runs the interpreter at hand, and so needs the layer for that one.
        for python, machine in {(runtime.removeprefix("python"), architecture), artifact.interpreter_at_hand()}:
            running.progress(f"layer for python{python} {machine}")
            layer = artifact.build_layer(python=python, architecture=machine, progress=running.progress)
            built[f"layer python{python} {machine}"] = layer
            artifact.check_size(built["code"], layer)
    except artifact.ArtifactError as error:
        raise CommandError(str(error)) from error
    running.detail = f"code {built['code'].sha256[:12]}, layers for {runtime} {architecture} and for this machine"
    return built
