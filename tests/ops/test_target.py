"""Two targets, never mixed: whose account it is, and how loudly that is said."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from naming import Names
from ops.console import CommandError
from tests.ops.world import NAMES, target

if TYPE_CHECKING:
    from tests.sandbox.cloud.harness import Cloud


def test_credentials_of_the_stack_s_account_are_taken(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    assert target(cloud, monkeypatch).caller() == f"arn:aws:iam::{NAMES.account}:root"


def test_those_of_another_account_are_refused(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    other = dataclasses.replace(target(cloud, monkeypatch), names=dataclasses.replace(NAMES, account="444455556666"))
    with pytest.raises(CommandError, match=r"credentials of account 000000000001 .* lives in 444455556666: use that"):
        other.caller()


def test_none_are_one_error_with_its_remedy(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    found = target(cloud, monkeypatch)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY0000000000")
    with pytest.raises(CommandError, match=r"AWS does not say who you are .* sign in"):
        found.caller()


@pytest.mark.parametrize(("stack", "loud"), [("dev", False), ("prod", True)])
def test_the_first_and_the_last_line_say_which_target(
    cloud: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stack: str,
    *,
    loud: bool,
) -> None:
    names = Names(project="product-api", stack=stack, region="eu-central-1", account="111122223333")
    with dataclasses.replace(target(cloud, monkeypatch), names=names).announced():
        pass
    out, err = capsys.readouterr()
    said = f"{'*** PRODUCTION *** ' if loud else ''}target: AWS, stack {stack}, account 111122223333, eu-central-1"
    assert (out, err.splitlines()) == ("", [said, said])
