"""What every command keeps to: lazy imports, help with examples, one line an error, streams, schemas, exit codes."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from ops.__main__ import COMMANDS
from ops.exit_codes import Exit
from tests.support.checkout import ROOT, Checkout, until

if TYPE_CHECKING:
    from pathlib import Path

HERE = Checkout(root=ROOT)
HELPS = [
    [],
    *([name] for name in COMMANDS),
    ["env", "show"],
    ["env", "validate"],
    ["db", "tunnel"],
    ["artifact", "build"],
]
HEAVY = {"pulumi", "boto3", "botocore", "grpc", "yaml", "rich", "urllib.request", "http.client", "sandbox", "psycopg"}


def ops(*args: str, sandbox: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command that starts nothing."""
    return HERE.ops(*args, check=False, **({"PRODUCT_API_SANDBOX": str(sandbox)} if sandbox else {}), **env)


@pytest.mark.parametrize("args", HELPS, ids=" ".join)
class TestHelp:
    def test_it_is_data_with_examples(self, args: list[str]) -> None:
        done = ops(*args, "--help")
        assert done.returncode == Exit.DONE
        assert done.stderr == ""
        assert "Examples:" in done.stdout
        assert f"ops {' '.join(args)}".strip() in done.stdout.split("Examples:")[1]
        assert done.stdout == ops(*args, "-h").stdout

    def test_it_imports_nothing_heavy(self, args: list[str]) -> None:
        code = (
            "import sys, contextlib\n"
            "from ops.__main__ import main\n"
            f"sys.argv = ['ops', *{args!r}, '--help']\n"
            "with contextlib.suppress(SystemExit):\n    main()\n"
            "print(*sys.modules, sep='\\n', file=sys.stderr)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=HERE.environment(), capture_output=True, text=True, check=True
        )
        modules = done.stderr.split()
        assert "click" in modules
        assert [] == sorted(HEAVY & set(modules))


def test_help_names_every_command_and_every_exit_code() -> None:
    said = ops("--help").stdout
    assert [] == [name for name in COMMANDS if f"\n  {name} " not in said]
    assert [] == [code for code in Exit if f"{code.value} " not in said.split("Exit codes:")[1]]


def test_every_command_is_the_module_that_its_name_says() -> None:
    import importlib

    for name, (module, text) in COMMANDS.items():
        command = importlib.import_module(f"ops.commands.{module}").command
        assert command.name == name
        assert text.endswith(".")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nope"], "No such command 'nope': see `ops --help`"),
        (["--nope"], "No such option '--nope': see `ops --help`"),
        (["up", "--nope"], "No such option '--nope': see `ops up --help`"),
        (["up", "local", "dev"], "unexpected extra argument"),
        (["env", "nope"], "No such command 'nope': see `ops env --help`"),
        (["up", "nope"], "there is no stack 'nope': give one of dev, local, prod, staging, or write Pulumi.nope.yaml"),
        (["up", ""], "'' is no stack's name: give one of dev, local, prod, staging"),
        (["up", "../../etc/x"], "'../../etc/x' is no stack's name"),
        (["down", "nope"], "there is no stack 'nope'"),
        (["down", ""], "'' is no stack's name"),
        (["env", "show", "nope"], "there is no stack 'nope'"),
        (["env", "show", "nope", "--aws"], "there is no stack 'nope'"),
        (["env", "validate", "nope"], "there is no stack 'nope'"),
        (["bootstrap", "nope"], "there is no stack 'nope'"),
        (["bootstrap", "nope", "--aws"], "there is no stack 'nope'"),
        (["approve", "nope"], "there is no stack 'nope'"),
        (["approve", "dev"], "stack dev asks nobody for approval"),
        (["approve", "prod"], "stack prod asks more than one: give --as devops or --as product"),
        (["approve", "staging", "--as", "product"], "stack staging does not ask product: give --as lead"),
        (["db", "tunnel", "nope"], "there is no stack 'nope'"),
        (["db", "tunnel", "dev", "--port", "0"], "--port is 0: give 1 to 65535"),
        (
            ["pulumi", "--", "-C", "account", "--stack", "dev", "preview"],
            "there is no stack 'dev': give one of nonprod",
        ),
        (["artifact", "build", "--stack", "nope"], "there is no stack 'nope'"),
        (["artifact", "build", "--stack"], "Option '--stack' requires an argument: see `ops"),
        (["pulumi", "--", "--stack", "nope", "preview"], "there is no stack 'nope'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_line_and_exit_code_2(args: list[str], said: str, tmp_path: Path) -> None:
    done = ops(*args, sandbox=tmp_path / "sandbox")
    assert done.returncode == Exit.USAGE, done.stderr
    assert done.stdout == ""
    assert said in done.stderr
    errors = [line for line in done.stderr.splitlines() if "error: " in line]
    assert len(errors) == 1
    assert done.stderr.splitlines()[-1] == errors[0]
    assert args[0] == "artifact" or [errors[0]] == done.stderr.splitlines()  # no step had begun
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "sandbox").exists()


@pytest.mark.parametrize("args", [[], ["env"], ["db"], ["artifact"]], ids=" ".join)
def test_a_group_alone_is_wrong_usage_and_shows_its_help(args: list[str]) -> None:
    done = ops(*args)
    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert "Commands:" in done.stderr


@pytest.mark.parametrize("text", ["", "- a list\n", "config: [\n", "config:\n  aws:region: eu-central-1\n"])
def test_unreadable_settings_are_unreadable_input(tmp_path: Path, text: str) -> None:
    copy = Checkout.copy(tmp_path)
    (copy.root / "Pulumi.dev.yaml").write_text(text)
    done = copy.ops("env", "show", "dev", check=False)
    assert done.returncode == Exit.USAGE
    assert "Pulumi.dev.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_target_that_is_none_is_refused() -> None:
    done = ops("env", "show", OPS_TARGET="nonsense")
    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert ["error: OPS_TARGET is 'nonsense': set it to sandbox or aws, or unset it"] == done.stderr.splitlines()


def test_a_sandbox_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for args in (["up"], ["down"], ["pulumi", "--", "version"]):
        done = ops(*args, sandbox=tmp_path / "file" / "sandbox")
        assert done.returncode == Exit.FAILED
        assert "Traceback" not in done.stderr
        assert "set PRODUCT_API_SANDBOX" in done.stderr.splitlines()[-1]


class TestEnv:
    def shown(self, *args: str, **env: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(HERE.ops("env", "show", *args, "--json", **env).stdout)
        assert next(iter(document)) == "schema"
        assert document["schema"] == "product-api/env/1"
        return document

    def test_the_sandbox_is_the_target_unless_aws_is_asked_for(self, tmp_path: Path) -> None:
        shown = self.shown(PRODUCT_API_SANDBOX=str(tmp_path / "s"))
        assert (shown["target"], shown["stack"]) == ("sandbox", "local")
        assert shown["state"] == f"file://{tmp_path}/s/state"
        assert shown["policy_pack"] == str(ROOT / "policies")
        assert (shown["endpoints"], shown["running"]) == ({}, {})
        assert not (tmp_path / "s").exists()  # to look changes nothing

    @pytest.mark.parametrize(("args", "env"), [(["--aws"], {}), ([], {"OPS_TARGET": "aws"})])
    def test_aws_is_by_flag_or_variable(self, args: list[str], env: dict[str, str]) -> None:
        shown = self.shown("prod", *args, **env)
        assert shown["target"] == "aws"
        assert shown["account"] != self.shown("local", *args, **env)["account"]
        assert ".sandbox" not in json.dumps(shown)

    def test_what_the_caller_has_set_wins(self) -> None:
        assert self.shown(PULUMI_BACKEND_URL="file:///tmp/mine")["state"] == "file:///tmp/mine"
        assert self.shown("--aws", PULUMI_BACKEND_URL="s3://b")["state"] == "s3://b"

    def test_it_needs_no_engine_and_obtains_none(self, tmp_path: Path) -> None:
        shown = self.shown(PATH="/usr/bin:/bin", PRODUCT_API_CACHE=str(tmp_path / "cache"))
        assert shown["target"] == "sandbox"
        assert not (tmp_path / "cache").exists()

    def test_as_text_it_is_a_line_each(self) -> None:
        lines = ops("env", "show", "prod", "--aws").stdout.splitlines()
        assert ["target", "stack", "account", "region", "state", "policy", "endpoints", "running"] == [
            line.split()[0] for line in lines
        ]


class TestDoctor:
    def test_a_missing_engine_is_exit_code_1_with_its_remedy(self, tmp_path: Path) -> None:
        bare = {"PATH": str(tmp_path), "PRODUCT_API_CACHE": str(tmp_path / "cache")}
        done = ops("doctor", sandbox=tmp_path / "sandbox", **bare)
        assert done.returncode == Exit.FAILED
        assert done.stderr == ""
        lines = done.stdout.splitlines()
        at = next(n for n, line in enumerate(lines) if line.startswith("✗ Pulumi engine"))
        assert "make setup" in lines[at + 1]
        assert any(line.startswith("✗ Go ") for line in lines)
        document = json.loads(ops("doctor", "--json", sandbox=tmp_path / "sandbox", **bare).stdout)
        assert document["schema"] == "product-api/doctor/1"
        assert {"Pulumi engine", "Go"} == {part["name"] for part in document["parts"] if not part["ok"]}
        assert not (tmp_path / "cache").exists()

    def test_an_old_go_does_not_help_and_a_new_one_does(self, tmp_path: Path) -> None:
        def go(version: str) -> dict[str, Any]:
            script = tmp_path / "go"
            script.write_text(f"#!/bin/sh\necho {version}\n")
            script.chmod(0o755)
            bare = {"PATH": str(tmp_path), "PRODUCT_API_CACHE": str(tmp_path / "cache")}
            parts = json.loads(ops("doctor", "--json", sandbox=tmp_path / "sandbox", **bare).stdout)["parts"]
            return next(part for part in parts if part["name"] == "Go")

        assert (go("go1.24.9")["ok"], go("go1.25.0")["ok"]) == (False, True)
        assert go("go1.26.1")["version"] == "go1.26.1"

    def test_where_all_is_well_it_says_versions_and_places(self, tmp_path: Path) -> None:
        done = ops("doctor", "--json", sandbox=tmp_path / "sandbox")
        assert done.returncode == Exit.DONE, done.stdout
        parts = {part["name"]: part for part in json.loads(done.stdout)["parts"]}
        assert parts["Pulumi engine"]["version"].startswith("3.")
        assert parts["Python"]["source"] == sys.executable
        assert parts["Sandbox"]["version"] == "not running"


class TestStreams:
    def test_setup_s_one_line_of_data_is_the_engine(self) -> None:
        done = ops("setup")
        assert done.returncode == Exit.DONE
        (path,) = done.stdout.splitlines()
        assert os.access(path, os.X_OK)
        assert "engine" in done.stderr

    def test_what_cannot_be_obtained_is_told_on_stderr(self, tmp_path: Path) -> None:
        closed = "http://127.0.0.1:1"
        done = ops(
            "setup",
            PATH=str(tmp_path),
            PRODUCT_API_CACHE=str(tmp_path / "cache"),
            HTTPS_PROXY=closed,
            https_proxy=closed,
        )
        assert (done.returncode, done.stdout) == (Exit.FAILED, "")
        assert "any one of these mends it" in done.stderr
        assert ["1.", "2.", "3."] == [
            line.split()[0] for line in done.stderr.splitlines() if line.strip()[:2] in {"1.", "2.", "3.", "4."}
        ]

    def test_without_a_terminal_there_are_no_escapes(self) -> None:
        for args in (["doctor"], ["setup"], ["up", "nope"], ["nope"]):
            done = HERE.ops(*args, check=False, NO_COLOR="")
            assert "\x1b" not in done.stdout + done.stderr

    @pytest.mark.parametrize(("env", "coloured"), [({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)])
    def test_on_a_terminal_colours_are_the_person_s_choice(self, env: dict[str, str], coloured: bool) -> None:
        assert ("\x1b[3" in on_terminal("up", "nope", **env)) == coloured
        assert ("\x1b[3" in on_terminal("doctor", **env)) == coloured

    def test_a_terminal_that_knows_no_ticks_is_no_reason_to_fail(self) -> None:
        done = ops("doctor", PYTHONIOENCODING="latin-1")
        assert done.returncode == Exit.DONE, done.stderr
        assert "Traceback" not in done.stderr

    def test_a_reader_that_has_gone_is_no_traceback(self) -> None:
        read, write = os.pipe()
        os.close(read)
        with subprocess.Popen(
            [sys.executable, "-m", "ops", "doctor"],
            cwd=ROOT,
            env=HERE.environment(),
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            os.close(write)
            _, stderr = process.communicate(timeout=60)
        assert (process.returncode, stderr) == (Exit.FAILED, "")


def on_terminal(*args: str, **env: str) -> str:
    """Run a command with a terminal as its output, and give what a person would see."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ops", *args],
        cwd=ROOT,
        env={**HERE.environment(**env), "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                said += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
        elif process.poll() is not None:
            break
    process.kill()
    process.wait()
    os.close(ours)
    return said.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_build_ends_with_130_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    go = tmp_path / "go"
    go.write_text(
        '#!/bin/sh\n[ "$1" = env ] && { echo go1.26.1; exit; }\n'
        f"/bin/sleep 300 &\necho $! $$ > {tmp_path}/pids\necho pkg\nwait\n"
    )
    go.chmod(0o755)
    closed = "http://127.0.0.1:1"
    process = HERE.begin(
        "setup", PATH=str(tmp_path), PRODUCT_API_CACHE=str(tmp_path / "cache"), HTTPS_PROXY=closed, https_proxy=closed
    )
    pids = tmp_path / "pids"
    try:
        started = [int(pid) for pid in until(lambda: pids.exists() and pids.read_text().split(), "the build", 60)]
        time.sleep(0.2)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
        assert process.returncode == Exit.INTERRUPTED
        assert "interrupted: run the same command again to go on" in stderr.splitlines()[-1]
        assert "Traceback" not in stderr
        from sandbox import processes

        until(lambda: not [pid for pid in started if processes.start_time(pid)], "the end of the build", 5)
        assert [".lock"] == [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    finally:
        process.kill()
        if pids.exists():
            for pid in map(int, pids.read_text().split()):
                subprocess.run(["kill", "-9", str(pid)], check=False, stderr=subprocess.DEVNULL)
