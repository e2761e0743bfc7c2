"""`ops env`: what a command would act on, and whether all is there."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import click

from ops.console import data, emit, leave, style
from ops.exit_codes import Exit


@click.group("env")
def command() -> None:
    """What a command would act on, and whether all is there that a stack needs.

    \b
    Examples:
      ops env show
      ops env show prod --aws --json
      ops env validate prod --aws
    """


@command.command("show")
@click.argument("stack", default="local")
@click.option("--aws", is_flag=True, help="As for the AWS target (also OPS_TARGET=aws).")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def show(stack: str, *, aws: bool, as_json: bool) -> None:
    """Say which target, account, region, state and endpoints a command for STACK (default: local) would use.

    \b
    Examples:
      ops env show
      ops env show prod --aws --json
    """
    from ops.rehearsal import POLICIES, PROJECT, read_settings
    from ops.target import Described, chosen
    from sandbox import session

    target = chosen(os.environ, aws=aws)
    settings = read_settings(stack)
    account, region = str(settings[f"{PROJECT}:account"]), str(settings["aws:region"])
    if target == "sandbox":
        # Not by `Rehearsal.of`, which obtains an engine where there is none: to look costs nothing.
        sandbox = session.Sandbox(
            directory=session.directory(os.environ), account=account, region=region, engine=Path("pulumi")
        )
        env = sandbox.environment(os.environ) if sandbox.running else {}
        described = Described(
            target=target,
            stack=stack,
            account=account,
            region=region,
            state=os.environ.get("PULUMI_BACKEND_URL") or sandbox.state.as_uri(),
            policy_pack=str(POLICIES),
            endpoints={"aws": env["AWS_ENDPOINT_URL"]} if env else {},
            running={name: process.pid for name, process in session.running(sandbox.directory).items()},
        )
    else:
        described = Described(
            target=target,
            stack=stack,
            account=account,
            region=region,
            state=os.environ.get("PULUMI_BACKEND_URL", "as `pulumi login` chose"),
            policy_pack=os.environ.get("PULUMI_OPTION_POLICY_PACK", "none: source .envrc"),
            endpoints={"aws": os.environ["AWS_ENDPOINT_URL"]} if "AWS_ENDPOINT_URL" in os.environ else {},
            running={},
        )
    if as_json:
        emit("product-api/env/1", asdict(described))
        return
    for name, value in asdict(described).items():
        text = (
            ", ".join(f"{key} {entry}" for key, entry in value.items()) or "none" if isinstance(value, dict) else value
        )
        data(f"{name.replace('_', ' '):<12} {text}")


@command.command("validate")
@click.argument("stack", default="local")
@click.option("--aws", is_flag=True, help="Look at AWS (also OPS_TARGET=aws).")
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
def validate(stack: str, *, aws: bool, as_json: bool) -> None:
    """Say whether the account has what STACK (default: local) needs and settings alone cannot tell.

    Credentials, what the account has once, quotas, zones, certificate, token issuer. Changes nothing. Exit code 1 when
    a check failed; one that could not be told is no failure.

    \b
    Examples:
      ops env validate local
      ops env validate prod --aws --json | jq '.checks[] | select(.state != "ok")'
    """
    from ops import target as targets
    from ops.rehearsal import setting
    from ops.validation import FAILED, Validation

    target = targets.ready(stack, aws=aws)
    with target.announced():
        checks = []
        for check in Validation(target=target, setting=lambda key: setting(stack, key)).checks():
            checks.append(check)
            if not as_json:
                colour = {"ok": "green", "failed": "red", "unknown": "yellow"}[check.state]
                data(f"{style(f'{check.state:<8}', fg=colour)}{check.name:<21} {check.found}")
                if check.remedy:
                    data(f"{'':<29} → {check.remedy}")
        if as_json:
            emit(
                "product-api/env-validate/1",
                {"stack": stack, "target": target.kind, "checks": [asdict(check) for check in checks]},
            )
    if any(check.state == FAILED for check in checks):
        leave(Exit.FAILED)
