"""`ops up STACK`: the whole deployment of a stack, on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

import click

from ops.console import CommandError, data, emit, leave, say, step, style
from ops.exit_codes import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pulumi.automation import Stack

    from ops.engine import Observed
    from ops.rehearsal import Rehearsal

SEEDED = ("local", "dev")
CHECKED = (("POST", "/health"), ("GET", "/api/products"))
SLOW_MS = 500  # the gate of a deployment, requirement 56
_LEFT = re.compile(r"(\d+) s of (\d+) s left")
TIME_SCALE = 20.0  # a canary of ten minutes takes thirty seconds, and an alarm still sees dozens of requests a period


@click.command("up")
@click.argument("stack", default="local")
@click.option(
    "--aws-endpoint", metavar="URL", help="Use an AWS emulator that already runs, instead of the sandbox's own."
)
@click.option(
    "--time-scale",
    type=click.FloatRange(1, 600),
    default=TIME_SCALE,
    show_default=True,
    help="How many times as fast bake times, alarm periods and schedules pass while the update runs; 1 is real time.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what stands as JSON.")
def command(stack: str, aws_endpoint: str | None, time_scale: float, *, as_json: bool) -> None:
    """Rehearse STACK (default: local) on this machine; asks nothing and never touches AWS.

    Builds the artifact, starts the sandbox, brings up what the account needs, has people approve where the stack asks
    for it, previews with the policy pack, updates as the stack's deploy role while visitors use the API, seeds (local
    and dev), checks.

    \b
    Examples:
      ops up local
      ops up prod --json | jq .resources
      ops up prod --time-scale 1        a canary of ten minutes takes ten minutes
      ops up dev --aws-endpoint http://127.0.0.1:4566
    """
    from ops.rehearsal import Rehearsal, read_settings
    from sandbox.session import SandboxError

    read_settings(stack)  # a wrong name is told before anything begins
    started = time.monotonic()
    seconds: dict[str, float] = {}
    report: dict[str, Any] = {"stack": stack, "target": "sandbox", "failed": None}
    with step("engine", seconds) as running:
        rehearsal = Rehearsal.of(stack, endpoint=aws_endpoint, say=running.progress)
        running.detail = f"{rehearsal.sandbox.engine}"
    banner = f"target: sandbox, stack {stack}, account {rehearsal.sandbox.account} (played), {rehearsal.sandbox.region}"
    say(style(banner, bold=True))
    if time_scale != 1 and aws_endpoint is None:
        say(f"time: {time_scale:g} times as fast while the update runs: bake times, alarm periods, schedules")
    failed: CommandError | None = None
    try:
        with dataclasses.replace(rehearsal.sandbox, say=say).lock():
            _up(rehearsal, report, seconds, time_scale)
    except SandboxError as error:
        failed = CommandError(str(error))
    except CommandError as error:
        failed = error
    if failed:
        report["failed"] = {"outcome": failed.outcome, "exit_code": int(failed.code), "message": str(failed)}
    report["seconds"] = {**seconds, "total": round(time.monotonic() - started, 3)}
    if as_json:
        emit("product-api/up/1", report)
    elif not failed:
        _print(report)
    say(style(banner, bold=True))
    if failed:
        raise failed
    if not all(check["ok"] for check in report["checks"]):
        leave(Exit.UNHEALTHY)


def _up(rehearsal: Rehearsal, report: dict[str, Any], seconds: dict[str, float], time_scale: float) -> None:
    """Do it, and note in `report` what is known, as it becomes known: what has failed is reported too."""
    from ops.commands.artifact import build_for

    stack = rehearsal.stack
    with step("artifact", seconds) as running:
        build_for(stack, running)
    with step("sandbox", seconds) as running:
        started = rehearsal.start(running)
    from ops import approval, engine  # the SDK, half a second, while nothing waits for it
    from ops.account import bring_up_account

    with step("account", seconds) as running:
        account = bring_up_account(rehearsal, running.progress)
        approvals = approval.play(rehearsal, approval.at_hand(stack))
        given = f"; approved by {' and '.join(each.who for each in approvals)}" if approvals else ""
        running.detail = f"{account.stack}: {account.described}{given}"
    handle = engine.stack(rehearsal)
    refresh = started.restored or _moved(rehearsal.outputs, os.environ["AWS_ENDPOINT_URL"])
    report |= {"rebuilt": started.rebuilt, "time_scale": time_scale, "visitors": None}
    with step("preview", seconds) as running:
        seen = preview = engine.run(
            handle.preview, running.progress, rehearsal.config_file, refresh=refresh, note=running.note
        )
        report["policies"] = {"packs": preview.packs, "findings": preview.findings}
        running.detail = f"{seen.changed} to change; {_verdict(seen)}"
    with step("update", seconds) as running:
        if preview.changed or refresh:
            paced = _paced(1 if rehearsal.sandbox.endpoint else time_scale)
            with (
                _visited(handle if preview.changed and not refresh else None, report),
                rehearsal.sandbox.pace(time_scale),
            ):
                try:
                    seen = engine.run(
                        handle.up,
                        lambda line: running.progress(paced(line)),
                        rehearsal.config_file,
                        refresh=refresh,
                        note=lambda line: running.note(paced(line)),
                    )
                finally:
                    rehearsal.sandbox.save()
            running.detail = seen.describe()
        else:
            running.detail = "nothing to change: what stands is what is declared"
    outputs = {key: output.value for key, output in handle.outputs().items()}
    migrations = _invoke(outputs, rehearsal, {"action": "status"})
    seeded: int | None = None
    if stack in SEEDED:
        with step("seed", seconds) as running:
            seeded = int(_invoke(outputs, rehearsal, {"action": "seed"})["inserted"])
            running.detail = f"{seeded} products inserted" if seeded else "the sample products are there already"
    with step("check", seconds) as running:
        checks = [
            _check(outputs["apiUrl"], method, path) for method, path in (("POST", "/health"), ("GET", "/api/products"))
        ]
        running.detail = ", ".join(f"{c['method']} {c['path']} {c['status']} ({c['ms']} ms)" for c in checks)
    rehearsal.sandbox.save()
    report |= {
        "url": outputs["apiUrl"],
        "changes": dict(seen.changes),
        "changed": bool(preview.changed),
        "resources": _resources(rehearsal),
        "migrations": {"head": migrations["head"], "applied": _applied(migrations), "planned": outputs["head"]},
        "seeded": seeded,
        "code": outputs["codeSha256"],
        "version": outputs["apiVersion"],
        "checks": checks,
    }


def _paced(scale: float) -> Callable[[str], str]:
    """Return what says of a release's `480 s of 600 s left`, which is AWS's time, how long that is here."""

    def rewrite(found: re.Match[str]) -> str:
        left, whole = int(found[1]), int(found[2])
        # The program measures what has passed by the machine's clock.
        here = whole / scale
        remaining = max(0.0, here - (whole - left))
        return f"{remaining:.0f} s of {here:.0f} s left ({whole / 60:g} min at {scale:g} times)"

    return lambda line: line if scale == 1 else _LEFT.sub(rewrite, line)


def _moved(outputs: dict[str, Any], endpoint: str) -> bool:
    """Whether the emulator answers elsewhere than the stack remembers, as when another stack has started it anew."""
    url = str(outputs.get("apiUrl", ""))
    return url.startswith("http://127.0.0.1:") and not url.startswith(f"{endpoint}/")


@contextlib.contextmanager
def _visited(handle: Stack | None, report: dict[str, Any]) -> Iterator[None]:
    """Have users at the API while it is updated, and report what they met; before the first update there is none."""
    from ops.visitors import Visitors

    url = handle.outputs().get("apiUrl") if handle else None
    if url is None:
        yield
        return
    visitors = Visitors(str(url.value))
    try:
        with visitors:
            yield
    finally:
        report["visitors"] = dataclasses.asdict(visitors.served)
        say(f"    visitors  {visitors.served.describe()}")


def _verdict(seen: Observed) -> str:
    if not seen.packs:
        return "no policy pack"
    packs = ", ".join(f"{name}" for name in seen.packs)
    return f"{packs}: {len(seen.findings) or 'no'} findings"


def _invoke(outputs: dict[str, Any], rehearsal: Rehearsal, event: dict[str, Any]) -> dict[str, Any]:
    """Invoke the migrator outside of an update."""
    import boto3

    answer = boto3.client("lambda").invoke(FunctionName=outputs["migratorFunction"], Payload=json.dumps(event).encode())
    payload = json.loads(answer["Payload"].read() or b"null")
    if answer.get("FunctionError"):
        reason = payload.get("errorMessage", payload) if isinstance(payload, dict) else payload
        raise CommandError(f"the migrator of stack {rehearsal.stack} failed at {event['action']}: {reason}")
    return dict(payload)


def _applied(status: dict[str, Any]) -> list[str]:
    """The revisions up to the database's head, of those that the zip knows."""
    known: list[str] = status["known"]
    return known[: known.index(status["head"]) + 1] if status["head"] in known else known


def _check(url: str, method: str, path: str) -> dict[str, Any]:
    """Ask the API over HTTP, as its users do."""
    import urllib.error
    import urllib.request

    request = urllib.request.Request(f"{url}{path}", method=method)  # noqa: S310 the gateway's own address
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    result: dict[str, Any] = {"method": method, "path": path}
    for _ in range(2):  # the first request may find a cold function; users are served by warm ones
        started = time.monotonic()
        try:
            with opener.open(request, timeout=30) as response:
                result["status"], body = response.status, response.read()
        except urllib.error.HTTPError as error:
            result["status"], body = error.code, error.read()
        except OSError as error:
            result["status"], body = 0, str(error).encode()
        result["ms"] = round((time.monotonic() - started) * 1000)
        if result["status"] != 200 or result["ms"] < SLOW_MS:
            break
    result["ok"] = result["status"] == 200
    if not result["ok"]:
        result["body"] = body.decode(errors="replace")[:500]
    return result


def _resources(rehearsal: Rehearsal) -> dict[str, int]:
    """Count what stands, by type."""
    try:
        state = json.loads(rehearsal.state_file.read_text())["checkpoint"]["latest"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    counts: dict[str, int] = {}
    for resource in state.get("resources") or []:
        if not resource["type"].startswith("pulumi:"):
            counts[resource["type"]] = counts.get(resource["type"], 0) + 1
    return dict(sorted(counts.items()))


def _print(report: dict[str, Any]) -> None:
    total = sum(report["resources"].values())
    data(f"Stack:      {report['stack']}, {'updated' if report['changed'] else 'unchanged: nothing was to be done'}")
    data(f"Resources:  {total}")
    for kind, count in report["resources"].items():
        data(f"  {count:>3}  {kind}")
    packs = ", ".join(f"{name} {version}".strip() for name, version in report["policies"]["packs"].items()) or "none"
    data(f"Policies:   {packs}; {len(report['policies']['findings'])} findings")
    for finding in report["policies"]["findings"]:
        data(f"  {finding['level']:<9} {finding['policy']}: {finding['resource'].split('::')[-1]}")
    applied = ", ".join(report["migrations"]["applied"])
    data(f"Migrations: at {report['migrations']['head']} ({applied})")
    data(f"Release:    code {report['code'][:12]}, version {report['version']}")
    for check in report["checks"]:
        data(f"Check:      {check['method']} {check['path']} {check['status']} in {check['ms']} ms")
        if "body" in check:
            data(f"  {check['body']}")
    data("Seconds:    " + ", ".join(f"{name} {value:.1f}" for name, value in report["seconds"].items()))
    data(f"API: {report['url']}")
