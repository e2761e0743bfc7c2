"""`ops review`: the real engine's preview of a small program, told to a person and to a program."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from ops.commands import review as command
from ops.engine import Observed
from ops.exit_codes import Exit
from sandbox import session
from sandbox.session import Sandbox
from tests.support.checkout import Checkout, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = """
import json
import pulumi
from pulumi_aws import iam

class Worker(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("product-api:index:Worker", name, None)
        own = pulumi.ResourceOptions(parent=self)
        trust = {{"Effect": "Allow", "Principal": {{"Service": "lambda.amazonaws.com"}}, "Action": "sts:AssumeRole"}}
        role = iam.Role(
            name, name=f"product-api-{{pulumi.get_stack()}}-worker", description={description!r}, opts=own,
            # Without it the role that deploys may make none.
            permissions_boundary="arn:aws:iam::111122223333:policy/product-api-function-boundary",
            assume_role_policy=json.dumps({{"Version": "2012-10-17", "Statement": [trust]}}),
        )
        grant = {{"Effect": "Allow", "Action": {action!r}, "Resource": "arn:aws:sqs:eu-central-1:111122223333:jobs"}}
        iam.RolePolicy(
            name, name="grants", role=role.name, opts=own,
            policy=json.dumps({{"Version": "2012-10-17", "Statement": [grant]}}),
        )
        self.register_outputs({{}})

{before}
Worker("worker")
"""


def declare(
    checkout: Checkout, action: Any = "sqs:SendMessage", description: str = "Sends jobs", before: str = ""
) -> None:
    """Write the program of a checkout."""
    (checkout.root / "__main__.py").write_text(PROGRAM.format(action=action, description=description, before=before))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout with the small program, of which nothing stands."""
    copy = Checkout.copy(tmp_path_factory.mktemp("review"))
    declare(copy)
    try:
        yield copy
    finally:
        copy.end()


@pytest.fixture(scope="module")
def standing(fresh: Checkout) -> Checkout:
    """The same when it stands, in stack local."""
    declare(fresh)
    fresh.ops("pulumi", "--", "up", "--yes", "--skip-preview")
    return fresh


def document(checkout: Checkout, *args: str, **env: str) -> dict[str, Any]:
    """The review as JSON, with its exit code."""
    done = checkout.ops("review", *args, "--json", check=False, **env)
    assert "Traceback" not in done.stderr, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert next(iter(said)) == "schema"
    assert said["schema"] == "product-api/review/1"
    return {**said, "code": done.returncode}


@pytest.mark.engine
class TestFresh:
    def test_a_stack_that_is_not_there_is_all_new_and_is_not_there_afterwards(self, fresh: Checkout) -> None:
        declare(fresh)
        said = document(fresh, "dev")
        assert (said["fresh"], said["code"], said["counts"]) == (True, Exit.DONE, {"create": 3})
        assert said["policies"] == {"packs": {"product-api-guardrails": "0.1.0"}, "findings": []}
        assert [] == list((fresh.sandbox / "state" / ".pulumi" / "stacks" / "product-api").glob("dev.json"))

    def test_what_has_no_id_yet_is_named_all_the_same(self, fresh: Checkout) -> None:
        declare(fresh)
        (change,) = document(fresh, "dev")["permissions"]
        assert change["holder"]["name"] == "product-api-dev-worker"
        assert [said["text"] for said in change["gained"]] == [
            "role product-api-dev-worker may call sqs:SendMessage on sqs jobs",
            "the service lambda.amazonaws.com may act as role product-api-dev-worker",
        ]


@pytest.mark.engine
class TestStanding:
    def test_nothing_changes_twice_in_a_row(self, standing: Checkout) -> None:
        declare(standing)
        said = [document(standing) for _ in range(2)]
        assert said[0] == said[1]
        assert (said[0]["changed"], said[0]["counts"], said[0]["code"]) == (False, {"same": 3}, Exit.DONE)

    def test_a_sandbox_that_is_started_anew_is_no_change(self, standing: Checkout) -> None:
        """What it has is read again, for its addresses may be others."""
        declare(standing)
        standing.ops("pulumi", "--", "whoami")
        session.stop(standing.sandbox)
        assert document(standing)["counts"] == {"same": 3}

    def test_another_spelling_is_a_change_of_a_resource_and_of_no_permission(self, standing: Checkout) -> None:
        declare(standing, action=["SQS:sendmessage"])
        said = document(standing)
        assert said["permissions"] == []
        (change,) = said["changes"]
        assert change["properties"] == [
            {
                "path": "policy",
                "old": change["properties"][0]["old"],
                "new": change["properties"][0]["new"],
                "replaces": False,
                "note": "an IAM document; worded differently, it means the same",
            }
        ]

    def test_changes_are_no_failure(self, standing: Checkout) -> None:
        declare(standing, action="sqs:Send*", description="Sends more")
        done = standing.ops("review")
        assert "Review of stack local: 2 changed; 1 stay as they are" in done.stdout
        assert "description: Sends jobs → Sends more" in done.stdout
        assert "+ may call sqs:Send* on sqs jobs" in done.stdout
        assert "newly covers sqs:SendMessageBatch" in done.stdout
        assert "target: sandbox, stack local" in done.stderr.splitlines()[0]
        assert "target: sandbox, stack local" in done.stderr.splitlines()[-1]

    def test_a_policy_that_stops_the_update_is_told_with_all_the_rest(self, standing: Checkout) -> None:
        declare(standing, action="*")
        said = document(standing)
        assert (said["code"], said["blocked"]) == (Exit.BLOCKED_BY_POLICY, True)
        assert ["iam-all-actions"] == [each["policy"] for each in said["policies"]["findings"]]
        assert said["permissions"][0]["gained"][0]["notable"] == "every action of every service"
        assert said["attention"][0]["text"] == "Policies stop this update: iam-all-actions."

    def test_what_goes_is_told(self, standing: Checkout) -> None:
        (standing.root / "__main__.py").write_text("import pulumi\n")
        said = document(standing)
        assert said["counts"] == {"delete": 3}
        assert len(said["permissions"][0]["lost"]) == 2

    def test_a_program_that_fails_is_a_failure(self, standing: Checkout) -> None:
        declare(standing, before="raise RuntimeError('the settings are wrong')")
        done = standing.ops("review", check=False)
        assert (done.returncode, done.stdout) == (Exit.FAILED, "")
        assert "the settings are wrong" in done.stderr
        assert "ops/__main__.py" not in done.stderr  # no trace of ours

    @pytest.mark.parametrize(
        ("form", "start"), [("markdown", "### Review"), ("html", "<!doctype html>"), ("text", "Review")]
    )
    def test_it_can_be_written_to_a_file(self, standing: Checkout, tmp_path: Path, form: str, start: str) -> None:
        declare(standing)
        target = tmp_path / "review"
        done = standing.ops("review", "--format", form, "--output", str(target))
        assert done.stdout == ""
        assert target.read_text().startswith(start)
        assert f"written to {target}" in done.stderr

    def test_where_aws_is_asked_for_the_backend_and_the_account_are_the_caller_s(self, standing: Checkout) -> None:
        """The sandbox stands in for both: nothing in the command may know the difference."""
        declare(standing, description="Sends more")
        env = self.aws(standing)
        said = document(standing, OPS_TARGET="aws", **env)
        assert (said["target"], said["counts"], said["code"]) == ("aws", {"same": 2, "update": 1}, Exit.DONE)
        absent = standing.ops("review", "prod", "--aws", check=False, **env)
        assert absent.returncode == Exit.FAILED
        assert "no stack named 'prod' found" in absent.stderr

    @staticmethod
    def aws(checkout: Checkout) -> dict[str, str]:
        """The environment of a person whose AWS is the sandbox."""
        sandbox = Sandbox(
            directory=checkout.sandbox,
            account="111122223333",
            region="eu-central-1",
            engine=checkout.sandbox / "bin" / "pulumi",
        )
        before = checkout.environment()
        made = sandbox.environment(before)
        return {key: value for key, value in made.items() if before.get(key) != value}

    def test_an_interrupt_ends_it(self, standing: Checkout, tmp_path: Path) -> None:
        pid = tmp_path / "pid"
        wait = f"import os, pathlib, time; pathlib.Path({str(pid)!r}).write_text(str(os.getpid())); time.sleep(300)"
        declare(standing, before=wait)
        process = standing.begin("review")
        try:
            program = int(until(lambda: pid.exists() and pid.read_text(), "the program"))
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=60)
            assert (process.returncode, stdout) == (Exit.INTERRUPTED, "")
            assert "interrupted: run the same command again to go on" in stderr
            until(lambda: not (os.path.exists(f"/proc/{program}")), "the end of the program", 10)  # noqa: PTH110
        finally:
            process.kill()
            process.communicate()
        declare(standing)
        assert document(standing)["changed"] is False


class TestUsage:
    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (
                ["--format", "html", "--json"],
                "--json is a format by itself: give it or --format: see `ops review --help`",
            ),
            (["--format", "pdf"], "'pdf' is not one of 'text', 'markdown', 'html'"),
            (["--output", "/nowhere/review.html"], "there is no folder /nowhere to write review.html into"),
            (["nope"], "there is no stack 'nope'"),
        ],
    )
    def test_wrong_usage_is_one_line_and_exit_code_2(self, args: list[str], said: str, tmp_path: Path) -> None:
        from tests.support.checkout import ROOT

        done = Checkout(root=ROOT).ops("review", *args, check=False, PRODUCT_API_SANDBOX=str(tmp_path / "sandbox"))
        assert (done.returncode, done.stdout) == (Exit.USAGE, "")
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not (tmp_path / "sandbox").exists()


def test_what_failed_beside_a_policy_that_blocks_is_told() -> None:
    blocked = {"policy": "p", "pack": "g", "level": "mandatory", "resource": "", "message": ""}
    seen = Observed(findings=[blocked], errors=["role worker: no such thing"])
    assert command._beyond_policies(seen) == ["the preview ended early: role worker: no such thing"]
    assert command._beyond_policies(Observed(errors=["told as a failure"])) == []
