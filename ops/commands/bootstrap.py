"""`ops bootstrap STACK`: what must be there before a stack's first deployment."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ops.console import data, emit, say, step

if TYPE_CHECKING:
    from ops.account import Brought
    from ops.target import Target


@click.command("bootstrap")
@click.argument("stack", default="local")
@click.option("--aws", is_flag=True, help="Act on AWS (also OPS_TARGET=aws).")
@click.option("--json", "as_json", is_flag=True, help="Print what was found and made as JSON.")
def command(stack: str, *, aws: bool, as_json: bool) -> None:
    """Make where the state of STACK's account lives, then bring up what that account has once; safe to repeat.

    The state lives in a versioned, encrypted, private bucket, and a key encrypts what is secret in it. Then `account/`
    is brought up under the policy pack: trail, ledger, artifacts, roles. In the sandbox the state is in files, and
    `account/` is all that is brought up.

    \b
    Examples:
      ops bootstrap dev
      ops bootstrap prod --aws
    """
    from ops import target as targets

    started, seconds = time.monotonic(), dict[str, float]()
    target = targets.of(stack, aws=aws)
    with target.announced():
        report = _on_aws(target, seconds) if target.aws else _in_sandbox(target, seconds)
    report["seconds"] = {**seconds, "total": round(time.monotonic() - started, 3)}
    emit("product-api/bootstrap/1", report) if as_json else _print(report)


def _in_sandbox(target: Target, seconds: dict[str, float]) -> dict[str, Any]:
    from ops.account import bring_up_account

    rehearsal = target.rehearsal
    assert rehearsal is not None  # noqa: S101 -- the sandbox
    with rehearsal.sandbox.lock():
        with step("sandbox", seconds) as running:
            rehearsal.start(running)
        with step("account", seconds) as running:
            brought = bring_up_account(rehearsal, running.progress)
            running.detail = brought.described
    return _report(target, [], rehearsal.sandbox.state.as_uri(), "passphrase", brought, rehearsal.account.outputs)


def _on_aws(target: Target, seconds: dict[str, float]) -> dict[str, Any]:
    from ops import backend

    with step("identity", seconds) as running:
        running.detail = target.caller()
    place = backend.of(target)
    with step("state", seconds) as running:
        parts = place.ensure()
        running.detail = ", ".join(f"{part.what} {part.state}" for part in parts if part.state != "found") or "found"
    url = os.environ.get("PULUMI_BACKEND_URL") or place.url
    if url != place.url:
        say(f"  PULUMI_BACKEND_URL is set: the state is kept in {url}")
    with step("account", seconds) as running:
        from ops.account import bring_up_account_on_aws

        brought, outputs = bring_up_account_on_aws(target, url, place.secrets_provider, running.progress)
        running.detail = brought.described
    return _report(target, [asdict(part) for part in parts], url, place.secrets_provider, brought, outputs)


def _report(
    target: Target,
    backend: list[dict[str, str]],
    state: str,
    secrets_provider: str,
    brought: Brought,
    outputs: dict[str, Any],
) -> dict[str, Any]:
    return {
        "stack": target.names.stack,
        "target": target.kind,
        "account": target.names.account,
        "region": target.names.region,
        "state": state,
        "secretsProvider": secrets_provider,
        "backend": backend,
        "program": asdict(brought),
        "outputs": outputs,
    }


def _print(report: dict[str, Any]) -> None:
    program = report["program"]
    data(f"Account:    {report['account']} ({program['stack']}): {program['described']}")
    data(f"State:      {report['state']}")
    data(f"Secrets:    {report['secretsProvider']}")
    for part in report["backend"]:
        data(f"  {part['state']:<7} {part['what']:<20} {part['name']}")
    for finding in program["findings"]:
        data(f"  {finding['level']:<9} {finding['policy']}: {finding['resource'].split('::')[-1]}")
    outputs = report["outputs"]
    for name in ("ledger", "trail", "artifacts", "previewRole"):
        if name in outputs:
            data(f"  {name:<12} {outputs[name]}")
    for name in ("deployRoles", "approverRoles"):
        for who, arn in (outputs.get(name) or {}).items():
            data(f"  {who:<12} {arn}")
    data("Seconds:    " + ", ".join(f"{name} {value:.1f}" for name, value in report["seconds"].items()))
