"""The pack in the real engine: what is bad does not come into being, with no flag on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox import session
from sandbox.engine import bootstrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.engine

PACK = Path(__file__).parents[2] / "policies"
ACCOUNT = "000000000001"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a sandbox of its own, with the pack in force by environment variable only."""
    engine = bootstrap.find(dict(os.environ))
    assert engine is not None, "there is no Pulumi engine here: run `make setup`"
    box = session.Sandbox(
        directory=tmp_path_factory.mktemp("sandbox"), account=ACCOUNT, region="eu-central-1", engine=engine.path
    )
    try:
        box.start()
        yield {**box.environment(os.environ), "PULUMI_OPTION_POLICY_PACK": str(PACK)}
    finally:
        session.stop(box.directory)


@dataclass(frozen=True)
class Program:
    """A Pulumi program with one stack."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pulumi", *arguments, "--non-interactive", "--color", "never"],
            cwd=self.folder,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def resources(self) -> list[str]:
        """The types of what exists, the stack itself left out."""
        state: dict[str, Any] = json.loads(self.run("stack", "export").stdout)
        found = [resource["type"] for resource in state["deployment"].get("resources", [])]
        return [type_ for type_ in found if type_.startswith(("aws:", "product-api:"))]


@pytest.fixture
def program(tmp_path: Path, environment: dict[str, str], request: pytest.FixtureRequest) -> Any:
    """Makes a program of some code, on a stack."""
    made: list[Program] = []

    def make(code: str, stack: str = "dev") -> Program:
        # All tests of the module share one state: each has a project of its own.
        project = f"guarded-{zlib.crc32(request.node.nodeid.encode()):08x}"
        (tmp_path / "Pulumi.yaml").write_text(f"name: {project}\nruntime: python\n")
        (tmp_path / "__main__.py").write_text(code)
        result = Program(tmp_path, environment)
        done = result.run("stack", "init", stack)
        assert done.returncode == 0, done.stderr
        made.append(result)
        return result

    yield make
    for each in made:
        each.run("destroy", "--yes", "--skip-preview")


IAM = """
import json
import pulumi_aws as aws
aws.iam.Policy("jobs", policy=json.dumps({{"Version": "2012-10-17", "Statement": [
    {{"Effect": "Allow", "Action": "{action}", "Resource": "arn:aws:sqs:eu-central-1:000000000001:jobs"}}]}}))
"""
DATABASE = """
import pulumi_aws as aws
aws.rds.Instance("main", engine="postgres", engine_version="18", instance_class="db.t4g.micro", allocated_storage=20,
    username="master", manage_master_user_password=True, skip_final_snapshot=True, storage_encrypted={encrypted})
"""
MIGRATIONS = """
import pulumi

class MigrationPlan(pulumi.ComponentResource):
    def __init__(self, name, plan):
        super().__init__("product-api:index:MigrationPlan", name, plan)
        self.register_outputs({{}})

MigrationPlan("plan", {{"base": "r1", "digest": "0" * 64, "revisions": [
    {{"revision": "r2", "downRevision": "r1", "summary": "s", "sql": "{sql}"}}]}})
"""
BAD = {
    "iam-service-wildcard": IAM.format(action="SQS:*"),
    "rds-instance-encrypted": DATABASE.format(encrypted=False),
    "migration-destructive": MIGRATIONS.format(sql="DROP TABLE products"),
}
GOOD = {
    "iam-service-wildcard": IAM.format(action="sqs:SendMessage"),
    "rds-instance-encrypted": DATABASE.format(encrypted=True),
    "migration-destructive": MIGRATIONS.format(sql="ALTER TABLE products ADD COLUMN note text"),
}


@pytest.mark.parametrize("rule", BAD)
def test_a_preview_shows_what_is_wrong_and_fails(program: Any, rule: str) -> None:
    done = program(BAD[rule]).run("preview")

    assert done.returncode != 0
    assert f"[mandatory]  {rule}  (" in done.stdout


@pytest.mark.parametrize("rule", BAD)
def test_an_update_without_a_flag_creates_nothing(program: Any, rule: str) -> None:
    bad = program(BAD[rule])

    done = bad.run("up", "--yes")

    assert done.returncode != 0
    assert rule in done.stdout
    assert bad.resources() == []


@pytest.mark.parametrize("rule", BAD)
def test_the_resource_is_stopped_even_where_the_preview_is_skipped(program: Any, rule: str) -> None:
    bad = program(BAD[rule])

    done = bad.run("up", "--yes", "--skip-preview")

    assert done.returncode != 0
    assert rule in done.stdout
    assert bad.resources() == []


@pytest.mark.parametrize("rule", GOOD)
def test_the_good_twin_passes_on_a_protected_stack(program: Any, rule: str) -> None:
    done = program(GOOD[rule], "prod").run("preview")

    assert done.returncode == 0, done.stdout
    assert "[mandatory]" not in done.stdout
    assert "[advisory]" not in done.stdout


@pytest.mark.parametrize("rule", ["iam-service-wildcard", "migration-destructive"])
def test_the_good_twin_comes_into_being(program: Any, rule: str) -> None:
    good = program(GOOD[rule])

    done = good.run("up", "--yes")

    assert done.returncode == 0, done.stdout
    assert len(good.resources()) == 1


@pytest.mark.parametrize(("stack", "level", "status"), [("dev", "advisory", 0), ("prod", "mandatory", 255)])
def test_an_unknown_document_blocks_the_preview_of_a_protected_stack_only(
    program: Any, stack: str, level: str, status: int
) -> None:
    code = """
import json
import pulumi_aws as aws
one = aws.sqs.Queue("one")
aws.iam.Policy("jobs", policy=one.arn.apply(lambda arn: json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn}]})))
"""
    done = program(code, stack).run("preview")

    assert (done.returncode != 0) == (status != 0)
    assert f"[{level}]" in done.stdout
    assert "iam-unknown" in done.stdout


def test_the_pack_s_configuration_is_taken_from_the_environment_too(program: Any, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"guardrails": {"protectedStacks": ["dev"]}}))
    code = """
import pulumi_aws as aws
aws.ebs.Volume("v", availability_zone="eu-central-1a", size=8, snapshot_id="snap-1")
"""
    made: Program = program(code)

    before = made.run("preview")
    strict = Program(made.folder, {**made.environment, "PULUMI_OPTION_POLICY_PACK_CONFIG": str(config)})
    after = strict.run("preview")

    assert (before.returncode, "ebs-volume-encrypted-advisory" in before.stdout) == (0, True)
    assert (after.returncode != 0, "[mandatory]" in after.stdout) == (True, True)
