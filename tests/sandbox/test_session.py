"""What the sandbox knows without anything running: whose account, which environment, what has changed, what is kept."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from sandbox import session
from sandbox.session import Sandbox
from tests.support.checkout import ROOT, until

ACCOUNT = "111122223333"


def box(directory: Path, **more: Any) -> Sandbox:
    """A sandbox that is not started, with an emulator that need not run."""
    values: dict[str, Any] = {
        "directory": directory,
        "account": ACCOUNT,
        "region": "eu-central-1",
        "engine": Path("/nowhere/pulumi"),
        "endpoint": "http://127.0.0.1:4566",
    }
    return Sandbox(**{**values, **more})


def state(directory: Path, stack: str, project: str = "product-api", text: str = "{}") -> Path:
    """Write a stack's state file."""
    path = directory / "state" / ".pulumi" / "stacks" / project / f"{stack}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


class TestWhere:
    def test_it_lives_in_the_checkout_unless_told_otherwise(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        assert session.directory({}) == ROOT / ".sandbox"
        assert session.directory({session.DIRECTORY: ""}) == ROOT / ".sandbox"
        assert session.directory({session.DIRECTORY: str(tmp_path)}) == tmp_path
        monkeypatch.chdir(tmp_path)
        assert session.directory({session.DIRECTORY: "here"}) == tmp_path / "here"

    @pytest.mark.parametrize("stack", ["local", "dev", "staging"])
    def test_non_production_shares_an_account_and_production_has_its_own(self, stack: str) -> None:
        assert session.account_of("product-api", stack) == session.account_of("product-api", "local")
        assert session.account_of("product-api", stack) != session.account_of("product-api", "prod")

    def test_it_is_the_account_that_the_settings_name(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "Pulumi.local.yaml").write_text("config:\n  product-api:account: '000000000042'\n")
        (tmp_path / "Pulumi.empty.yaml").write_text("")
        monkeypatch.setattr(session, "ROOT", tmp_path)
        assert session.account_of("product-api", "local") == "000000000042"
        assert session.account_of("product-api", "empty") == "000000000042"
        assert session.account_of("product-api", "none") == "000000000042"
        (tmp_path / "Pulumi.local.yaml").unlink()
        assert session.account_of("product-api", "local") == "000000000000"

    def test_what_an_account_has_once_lives_in_it(self) -> None:
        for environment, stack in (("nonprod", "dev"), ("prod", "prod")):
            found = session.account_of("product-api-account", environment)
            assert session.account_of("product-api", stack) == found

    def test_another_project_s_prod_is_not_ours(self) -> None:
        assert session.account_of("other", "prod") == session.account_of("product-api", "local")


class TestEnvironment:
    def test_it_names_the_emulator_and_nothing_of_aws_proper(self, tmp_path: Path) -> None:
        dangerous = {
            "AWS_PROFILE": "production",
            "AWS_SESSION_TOKEN": "token",
            "AWS_ROLE_ARN": "arn:aws:iam::1:role/admin",
            "AWS_WEB_IDENTITY_TOKEN_FILE": "/token",
            "AWS_ENDPOINT_URL_S3": "https://s3.amazonaws.com",
            "AWS_CONFIG_FILE": "/home/person/.aws/config",
            "AWS_ACCESS_KEY_ID": "AKIAREAL",
            "AWS_SECRET_ACCESS_KEY": "real",
            "AWS_REGION": "us-east-1",
            "PULUMI_DEBUG_PROVIDERS": "aws:1234",
        }
        env = box(tmp_path).environment({"PATH": "/usr/bin", "HOME": "/home/person", **dangerous})
        assert [] == [key for key, value in dangerous.items() if env.get(key) == value]
        assert {key: env[key] for key in env if key in dangerous} == {
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": session.SECRET_ACCESS_KEY,
            "AWS_REGION": "eu-central-1",
        }
        assert env["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
        assert env["HOME"] == "/home/person"
        assert env["PATH"] == f"{tmp_path / 'bin'}:/usr/bin"

    def test_a_certificate_bundle_of_the_machine_stays(self, tmp_path: Path) -> None:
        assert box(tmp_path).environment({"AWS_CA_BUNDLE": "/ca.pem"})["AWS_CA_BUNDLE"] == "/ca.pem"

    @pytest.mark.parametrize(
        "name", ["PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_OPTION_POLICY_PACK", "PULUMI_STACK"]
    )
    def test_what_the_caller_has_set_of_pulumi_s_wins(self, tmp_path: Path, name: str) -> None:
        assert box(tmp_path).environment({name: "mine"})[name] == "mine"

    def test_else_state_and_passphrase_are_the_sandbox_s(self, tmp_path: Path) -> None:
        env = box(tmp_path).environment({})
        assert env["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/state"
        assert env["PULUMI_CONFIG_PASSPHRASE"] == session.PASSPHRASE
        assert env["PULUMI_HOME"] == str(tmp_path / "pulumi")  # never the person's own credentials and plugins
        assert "PULUMI_OPTION_POLICY_PACK" not in env  # a pack is the choice of the project that runs

    def test_without_a_running_account_there_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(session.SandboxError, match=f"account {ACCOUNT} does not run: start it with `ops up`"):
            box(tmp_path, endpoint=None).environment({})


class TestStamp:
    def test_it_changes_with_what_pulumi_knows_of_this_account(self, tmp_path: Path) -> None:
        stamps = [box(tmp_path)._stamp()]
        path = state(tmp_path, "local")
        stamps.append(box(tmp_path)._stamp())
        path.write_text('{"version": 3}')
        stamps.append(box(tmp_path)._stamp())
        path.rename(path.with_name("dev.json"))
        stamps.append(box(tmp_path)._stamp())
        state(tmp_path, "local", project="another")
        stamps.append(box(tmp_path)._stamp())
        assert len(set(stamps)) == 5

    def test_it_is_the_same_for_the_same_wherever_the_sandbox_stands(self, tmp_path: Path) -> None:
        for name in ("one", "two"):
            state(tmp_path / name, "dev", text="a")
            state(tmp_path / name, "local", text="b")
        assert box(tmp_path / "one")._stamp() == box(tmp_path / "two")._stamp()

    def test_another_account_s_stacks_and_backups_are_no_part_of_it(self, tmp_path: Path) -> None:
        path = state(tmp_path, "local")
        before = box(tmp_path)._stamp()
        state(tmp_path, "prod")
        path.with_name("local.json.bak").write_text("{}")
        assert before == box(tmp_path)._stamp()
        assert [path] == box(tmp_path)._stacks()


def test_forgetting_keeps_the_databases_and_their_certificates_only(tmp_path: Path) -> None:
    sandbox = box(tmp_path)
    for name in ("postgres/1/db/PG_VERSION", "tls/ca.pem", "state/s3.json", "functions/f/code.py"):
        (sandbox.cloud / name).parent.mkdir(parents=True, exist_ok=True)
        (sandbox.cloud / name).write_text("kept?")
    (sandbox.cloud / "stamp").write_text("x")
    mine, other = state(tmp_path, "local"), state(tmp_path, "prod")
    for name in ("local.json.bak", "local.json.attrs"):
        mine.with_name(name).write_text("{}")
    sandbox.forget()
    kept = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert [
        f"cloud/{ACCOUNT}/postgres/1/db/PG_VERSION",
        f"cloud/{ACCOUNT}/tls/ca.pem",
        str(other.relative_to(tmp_path)),
    ] == kept
    sandbox.forget()  # and again, when there is nothing to forget


def test_forgetting_lets_go_of_this_account_s_locks_only(tmp_path: Path) -> None:
    locks = tmp_path / "state" / ".pulumi" / "locks" / "organization" / "product-api"
    for stack in ("local", "prod"):
        (locks / stack).mkdir(parents=True)
        (locks / stack / "one.json").write_text("{}")
    box(tmp_path).forget()
    assert ["prod"] == [path.parent.name for path in locks.rglob("*.json")]


class TestRecords:
    def test_what_runs_is_told_by_name_and_only_while_it_runs(self, tmp_path: Path) -> None:
        run = tmp_path / "run"
        run.mkdir()
        from sandbox import processes

        started = processes.start_time(os.getpid())
        (run / "zygote.json").write_text(json.dumps({"pid": os.getpid(), "started": started}))
        (run / "cloud-1.json").write_text(json.dumps({"pid": os.getpid(), "started": 1}))
        (run / "warm.json").write_text('["pulumi_aws.s3"]')
        assert ["zygote"] == list(session.running(tmp_path))

    def test_stopping_leaves_what_the_warm_process_has_learned(self, tmp_path: Path) -> None:
        run = tmp_path / "run"
        run.mkdir()
        for name in ("warm", "zygote"):
            (run / f"{name}.json").write_text("[]")
        assert [] == session.stop(tmp_path)
        assert ["warm.json"] == [path.name for path in run.iterdir()]

    def test_the_number_in_a_lock_may_be_anybody_s(self) -> None:
        assert not session.is_engine(os.getpid())
        assert not session.is_engine(0)


def test_a_second_command_waits_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    entered = threading.Event()
    second = dataclasses.replace(box(tmp_path), say=said.append)

    def wait() -> None:
        with second.lock():
            entered.set()

    with box(tmp_path).lock():
        thread = threading.Thread(target=wait)
        thread.start()
        until(lambda: said, "the second command's word", 5)
        assert not entered.is_set()
    thread.join(5)
    assert entered.is_set()
    assert ["another command is using the sandbox; waiting for it"] == said


def test_a_lock_is_free_when_its_holder_is_gone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
    said: list[str] = []
    with box(tmp_path, say=said.append).lock():
        assert [] == said


def test_a_directory_that_cannot_be_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(session.SandboxError, match=f"free some room, or set {session.DIRECTORY}"),
        box(tmp_path / "file").lock(),
    ):
        pass


class TestTheEnginesFolder:
    def test_the_engine_is_there_under_its_own_name_beside_the_hosts(self, tmp_path: Path) -> None:
        engine = tmp_path / "elsewhere" / "pulumi-3"
        engine.parent.mkdir()
        engine.write_text("engine")
        sandbox = box(tmp_path / "sandbox", engine=engine)
        sandbox._install_engine()
        folder = sandbox.directory / "bin"
        assert ["pulumi", "pulumi-language-python"] == sorted(path.name for path in folder.iterdir())
        assert not (folder / "pulumi").is_symlink()
        assert os.access(folder / "pulumi-language-python", os.X_OK)

    @pytest.mark.parametrize("linkable", [True, False])
    def test_another_engine_takes_its_place_and_the_same_one_is_left(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linkable: bool
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError("another file system")

        if not linkable:
            monkeypatch.setattr(os, "link", refuse)
        binary = tmp_path / "sandbox" / "bin" / "pulumi"
        for name in ("one", "two"):
            (tmp_path / name).write_text(name)
        os.utime(tmp_path / "two", (1, 1))
        box(tmp_path / "sandbox", engine=tmp_path / "one")._install_engine()
        first = binary.stat()
        box(tmp_path / "sandbox", engine=tmp_path / "one")._install_engine()
        again = binary.stat()
        assert (first.st_ino, first.st_ctime_ns) == (again.st_ino, again.st_ctime_ns)  # not copied once more
        box(tmp_path / "sandbox", engine=tmp_path / "two")._install_engine()
        assert binary.read_text() == "two"
