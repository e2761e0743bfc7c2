"""`ops review STACK`: what an update would do, for whoever must agree to it."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ops.console import CommandError, data, emit, leave, say, step, style
from ops.exit_codes import Exit

if TYPE_CHECKING:
    from ops.engine import Observed
    from ops.review.model import Review

SCHEMA = "product-api/review/1"


@click.command("review")
@click.argument("stack", default="local")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "html"]),
    help="text (default), markdown (a pull request's comment), or html (one file, with pictures).",
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option("--aws", is_flag=True, help="Review against AWS instead of the sandbox (also OPS_TARGET=aws).")
@click.option("--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write it to a file.")
def command(stack: str, form: str | None, output: Path | None, *, aws: bool, as_json: bool) -> None:
    """Say what an update of STACK (default: local) would do; changes nothing.

    Previews with the policy pack, in the sandbox unless told --aws: what is created, changed, replaced and deleted; who
    gains or loses which permission; what becomes reachable from where; what the migrations do to which tables; and what
    the policies say. Ends with 3 when a policy stops the update, else with 0, changes or none.

    \b
    Examples:
      ops review prod
      ops review staging --format html --output review.html
      ops review dev --format markdown | gh pr comment --body-file -
      ops review prod --json | jq '.permissions[] | select(.gained != [])'
    """
    if form and as_json:
        raise click.UsageError("--json is a format by itself: give it or --format")
    if output and not output.absolute().parent.is_dir():
        raise CommandError(
            f"there is no folder {output.absolute().parent} to write {output.name} into: make it, or name another",
            Exit.USAGE,
        )
    from ops.rehearsal import PROJECT, read_settings
    from ops.target import chosen

    target = chosen(os.environ, aws=aws)
    settings = read_settings(stack)  # a wrong name is told before anything begins
    account, region = str(settings[f"{PROJECT}:account"]), str(settings["aws:region"])
    played = " (played)" if target == "sandbox" else ""
    banner = style(f"target: {target}, stack {stack}, account {account}{played}, {region}", bold=True)
    say(banner)
    seconds: dict[str, float] = {}
    seen, text = _on_aws(stack, seconds) if target == "aws" else _in_sandbox(stack, seconds)
    with step("review", seconds) as running:
        from ops import engine
        from ops.review import model, operations, preview

        try:
            read = preview.read(text)
        except preview.PreviewError as error:
            raise engine.failed(error, seen) from error
        review = model.build(
            dataclasses.replace(read, warnings=(*read.warnings, *_beyond_policies(seen))),
            stack=stack,
            target=target,
            account=account,
            region=region,
            packs=seen.packs,
            findings=seen.findings,
            operations=operations.of,
        )
        running.detail = f"{len(review.resources)} resources, {len(review.permissions)} changes of permissions"
    _deliver(review, form or ("json" if as_json else "text"), output)
    say(banner)
    if review.blocked:
        leave(Exit.BLOCKED_BY_POLICY)


def _in_sandbox(stack: str, seconds: dict[str, float]) -> tuple[Observed, str]:
    """Preview a stack in the sandbox, as the role that previews; what is not up is brought up, and left so."""
    from ops.commands.artifact import build_for
    from ops.rehearsal import Rehearsal

    with step("engine", seconds) as running:
        rehearsal = dataclasses.replace(Rehearsal.of(stack, say=running.progress), acting="preview")
        running.detail = f"{rehearsal.sandbox.engine}"
    with dataclasses.replace(rehearsal.sandbox, say=say).lock():
        with step("artifact", seconds) as running:
            build_for(stack, running)
        with step("sandbox", seconds) as running:
            started = dataclasses.replace(rehearsal.sandbox, say=running.progress).start()
            rehearsal.release_stale_locks()
            running.detail = rehearsal.sandbox.environment(os.environ)["AWS_ENDPOINT_URL"]
        from ops import engine
        from ops.account import bring_up_account

        with step("account", seconds) as running:
            running.detail = bring_up_account(rehearsal, running.progress).described
        known = rehearsal.exists
        handle = engine.stack(rehearsal)
        try:
            # An account that was brought back may have other addresses than Pulumi remembers.
            return _preview(handle, seconds, config_file=str(rehearsal.config_file), refresh=started.restored)
        finally:
            if not known:  # to look at a stack is no reason for there to be one
                handle.workspace.remove_stack(stack)


def _on_aws(stack: str, seconds: dict[str, float]) -> tuple[Observed, str]:
    """Preview a stack where it stands, with the backend and the credentials of the caller.

    Raises:
        CommandError: there is no such stack in the backend, or it cannot be read.
    """
    from ops.commands.artifact import build_for
    from ops.rehearsal import POLICIES, ROOT
    from ops.rehearsal import engine as obtain

    with step("engine", seconds) as running:
        path = obtain(running.progress).path
        running.detail = f"{path}"
    with step("artifact", seconds) as running:
        build_for(stack, running)
    from pulumi import automation

    from ops import engine

    os.environ.setdefault("PULUMI_OPTION_POLICY_PACK", str(POLICIES))
    os.environ["PATH"] = f"{path.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    try:
        command = engine.Command()
        command.command = str(path)
        workspace = automation.LocalWorkspace(work_dir=str(ROOT), pulumi_command=command)
        handle = automation.Stack.select(stack, workspace)
    except automation.CommandError as error:
        raise engine.failed(error, engine.Observed()) from error
    return _preview(handle, seconds)


def _preview(handle: Any, seconds: dict[str, float], **how: Any) -> tuple[Observed, str]:
    """Preview, and return what was seen and the engine's digest; a policy that blocks is no failure of the review.

    Raises:
        CommandError: the preview fails for another reason.
    """
    from pulumi import automation

    from ops import engine

    printed: list[str] = []
    # What stays as it is belongs to the picture too; the Automation API has no argument for it.
    os.environ["PULUMI_OPTION_SHOW_SAMES"] = "true"
    with step("preview", seconds) as running:
        seen, on_event = engine.observe(running.progress)
        try:
            handle.preview(on_event=on_event, on_output=printed.append, json=True, color="never", **how)
        except automation.CommandError as error:
            if not seen.blocked:
                raise engine.failed(error, seen) from error
        running.detail = f"{', '.join(seen.packs) or 'no policy pack'}: {len(seen.findings) or 'no'} findings"
    return seen, "\n".join(printed)


def _beyond_policies(seen: Observed) -> list[str]:
    """What went wrong beside the policies, when they blocked: the preview may then have ended early."""
    return [f"the preview ended early: {error}" for error in seen.errors] if seen.blocked else []


def _deliver(review: Review, form: str, output: Path | None) -> None:
    """Print the review, or write it to a file."""
    if form == "json":
        from ops.review.document import document

        if output is None:
            emit(SCHEMA, document(review))
            return
        import json

        text = json.dumps({"schema": SCHEMA, **document(review)}, indent=2) + "\n"
    elif form == "markdown":
        from ops.review.markdown import render as render_markdown

        text = render_markdown(review)
    elif form == "html":
        from ops.review.html import render as render_html

        text = render_html(review)
    else:
        from ops.review.text import render as render_text

        terminal = output is None and sys.stdout.isatty()
        coloured = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        text = render_text(review, width=_width() if terminal else None, colour=coloured)
    if output is None:
        data(text.rstrip("\n"))
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{output} cannot be written ({error.strerror}): name another file") from error
    say(f"  written to {output}")


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns
