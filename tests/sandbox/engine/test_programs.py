"""Programs and packs under the real engine, with the warm process and without: they run, fail, and end as they should.

No cloud starts: none of these programs has a resource of AWS.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import textwrap
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox import processes, session
from sandbox.engine import bootstrap
from tests.support.checkout import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.engine

# What ends a program that hangs, in seconds: far below a test's patience, far above what the end takes.
SOON = 8.0


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[session.Sandbox]:
    """A sandbox without a cloud: an endpoint is given, and nobody asks it anything."""
    engine = bootstrap.find(dict(os.environ))
    assert engine is not None, "there is no Pulumi engine here: run `make setup`"
    sandbox = session.Sandbox(
        directory=tmp_path_factory.mktemp("sandbox"),
        account="000000000001",
        region="eu-central-1",
        engine=engine.path,
        endpoint="http://127.0.0.1:1",
    )
    try:
        sandbox.start()
        yield sandbox
    finally:
        session.stop(sandbox.directory)


@dataclass(frozen=True)
class Program:
    """A Pulumi program with one stack."""

    folder: Path
    env: dict[str, str]

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the engine, as the only process in its session."""
        return subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive", "--color", "never"],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run the engine; give its exit code and what it said."""
        with self.begin(*arguments) as process:
            try:
                said, _ = process.communicate(timeout=120)
            finally:
                process.kill()
        return process.returncode, said

    def file(self, name: str, text: str) -> Path:
        """Write a file of the program."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path


@pytest.fixture
def program(tmp_path: Path, box: session.Sandbox, request: pytest.FixtureRequest) -> Callable[..., Program]:
    """Makes a program of some code, with a stack `dev`."""

    def make(code: str | None, name: str = "program", **project: object) -> Program:
        env = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
        result = Program(tmp_path / name, box.environment(env))
        # All tests share one state: each has projects of its own.
        identity = f"{name}-{zlib.crc32(request.node.nodeid.encode()):08x}"
        result.file("Pulumi.yaml", json.dumps({"name": identity, "runtime": "python", **project}))
        if code is not None:
            result.file("__main__.py", code)
        status, said = result.run("stack", "init", "dev")
        assert status == 0, said
        return result

    return make


def errors(said: str) -> list[str]:
    """The lines that tell an error."""
    return [line.strip() for line in said.splitlines() if "error:" in line]


def holders(mark: str) -> list[int]:
    """Every process of this machine whose environment has the mark: what an engine started, directly or not."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark.encode() in (entry / "environ").read_bytes() and processes.start_time(int(entry.name)):
                    found.append(int(entry.name))
    return found


class TestProgram:
    def test_an_empty_one_previews(self, program: Callable[..., Program]) -> None:
        status, said = program("").run("preview")
        assert status == 0, said
        assert [] == errors(said)
        assert "warning" not in said

    def test_one_that_raises_shows_its_own_frames_only(self, program: Callable[..., Program]) -> None:
        made = program(
            """
            import helper
            def outer():
                helper.inner()
            outer()
            """
        )
        made.file("helper.py", "def inner():\n    raise LookupError('the reason')\n")
        status, said = made.run("preview")
        assert status != 0
        assert said.count("LookupError: the reason") == 1
        frames = re.findall(r'File "([^"]+)", line \d+, in (\S+)', said)
        folder = made.folder
        main = str(folder / "__main__.py")
        assert [(main, "<module>"), (main, "outer"), (str(folder / "helper.py"), "inner")] == frames
        assert "non-zero exit code" not in said  # the engine adds nothing of its own

    def test_an_error_of_the_sdk_is_told_without_frames(self, program: Callable[..., Program]) -> None:
        status, said = program("import pulumi\npulumi.Config().require('port')\n").run("preview")
        assert status != 0
        assert "Missing required configuration variable" in said
        assert "Traceback" not in said
        assert "non-zero exit code" not in said

    def test_a_missing_program_is_one_clear_error(self, program: Callable[..., Program]) -> None:
        made = program(None)
        status, said = made.run("preview")
        assert status != 0
        assert len(set(errors(said))) <= 2, said  # the display has it twice: while it runs, and at the end
        assert all(f"expected {made.folder / '__main__.py'}" in line for line in errors(said))
        assert "there is no Python program" in said
        assert "Traceback" not in said

    def test_a_missing_module_is_no_missing_program(self, program: Callable[..., Program]) -> None:
        status, said = program("import no_such_module\n").run("preview")
        assert status != 0
        assert "No module named 'no_such_module'" in said
        assert "there is no Python program" not in said

    def test_main_may_name_a_file_or_a_folder(self, program: Callable[..., Program]) -> None:
        for main in ("start.py", "src"):
            made = program(None, name=main.replace(".", "-"), main=main)
            name = "start.py" if main.endswith("py") else "src/__main__.py"
            made.file(name, "import beside, sys\nprint('from', beside.NAME, sys.argv[1:])\n")
            made.file(str(Path(name).parent / "beside.py"), f"NAME = 'beside {main}'\n")
            status, said = made.run("preview")
            assert status == 0, said
            assert f"from beside {main} []" in said

    def test_what_it_prints_appears(self, program: Callable[..., Program]) -> None:
        status, said = program("import sys\nprint('to stdout')\nprint('to stderr', file=sys.stderr)\n").run("preview")
        assert status == 0
        assert "to stdout" in said
        assert "to stderr" in said

    def test_its_exit_code_is_told_where_it_says_nothing(self, program: Callable[..., Program]) -> None:
        status, said = program("import os\nos._exit(9)\n").run("preview")
        assert status != 0
        assert "Program exited with non-zero exit code: 9" in said

    def test_config_and_secrets_reach_it_and_secrets_stay_secret(self, program: Callable[..., Program]) -> None:
        made = program(
            """
            import hashlib, pulumi
            config = pulumi.Config()
            pulumi.export("port", config.require_int("port"))
            pulumi.export("password", config.require_secret("password"))
            secret = config.require("password")
            pulumi.export("digest", hashlib.sha256(secret.encode()).hexdigest())
            pulumi.export("marked", pulumi.Config().get_secret("password") is not None)
            """
        )
        assert made.run("config", "set", "port", "8080")[0] == 0
        assert made.run("config", "set", "--secret", "password", "correct horse")[0] == 0
        status, said = made.run("up", "--yes", "--skip-preview")
        assert status == 0, said
        assert "correct horse" not in said
        outputs = json.loads(made.run("stack", "output", "--json")[1])
        assert (outputs["port"], outputs["password"]) == (8080, "[secret]")
        assert outputs["digest"] == __import__("hashlib").sha256(b"correct horse").hexdigest()
        shown = json.loads(made.run("stack", "output", "--json", "--show-secrets")[1])
        assert shown["password"] == "correct horse"

    def test_project_stack_and_mode_are_what_the_engine_says(self, program: Callable[..., Program]) -> None:
        made = program("import pulumi\nprint('here', pulumi.get_stack(), pulumi.runtime.is_dry_run())\n")
        assert "here dev True" in made.run("preview")[1]
        assert "here dev False" in made.run("up", "--yes", "--skip-preview")[1]

    def test_a_hook_that_raises_fails_the_update_and_is_named(self, program: Callable[..., Program]) -> None:
        made = program(
            """
            import pulumi
            def refuse(args):
                raise RuntimeError("the canary is unhealthy")
            hook = pulumi.ResourceHook("canary-gate", refuse)
            class Release(pulumi.ComponentResource):
                def __init__(self, name, opts=None):
                    super().__init__("test:index:Release", name, None, opts)
                    self.register_outputs({})
            Release("r", pulumi.ResourceOptions(hooks=pulumi.ResourceHookBinding(before_create=[hook])))
            """
        )
        status, said = made.run("up", "--yes", "--skip-preview")
        assert status != 0
        assert "canary-gate" in said
        assert "the canary is unhealthy" in said


class TestOwnInterpreter:
    """A program that names a virtual environment runs in it, without the warm process."""

    @pytest.fixture
    def own(self, program: Callable[..., Program]) -> Callable[..., Program]:
        def make(code: str) -> Program:
            made = program(code, runtime={"name": "python", "options": {"virtualenv": "venv"}})
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", made.folder / "venv"], check=True)
            (site,) = (made.folder / "venv").glob("lib/python*/site-packages")
            (site / "shared.pth").write_text(sysconfig.get_path("purelib"))
            return made

        return make

    def test_it_is_that_interpreter(self, own: Callable[..., Program]) -> None:
        made = own("import pulumi, sys\npulumi.export('prefix', sys.prefix)\n")
        status, said = made.run("up", "--yes", "--skip-preview")
        assert status == 0, said
        assert json.loads(made.run("stack", "output", "--json")[1])["prefix"] == str(made.folder / "venv")

    def test_its_errors_are_its_own_too(self, own: Callable[..., Program]) -> None:
        status, said = own("raise LookupError('the reason')\n").run("preview")
        assert status != 0
        assert said.count("LookupError: the reason") == 1
        assert "sandbox/engine" not in said

    def test_one_without_the_sdk_says_which_interpreter(self, own: Callable[..., Program]) -> None:
        made = own("")
        next((made.folder / "venv").glob("lib/python*/site-packages/shared.pth")).unlink()
        status, said = made.run("preview")
        assert status != 0
        assert f"{made.folder / 'venv' / 'bin' / 'python'} cannot import the Pulumi SDK" in said

    def test_one_that_is_not_there_says_so(self, program: Callable[..., Program]) -> None:
        made = program("", runtime={"name": "python", "options": {"virtualenv": "venv"}})
        status, said = made.run("preview")
        assert status != 0
        assert errors(said)
        wanted = f"names an interpreter that is not there: {made.folder / 'venv' / 'bin' / 'python'}; make that"
        assert all(wanted in line for line in errors(said))
        assert "Traceback" not in said

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
    def test_it_ends_with_the_engine(self, own: Callable[..., Program], number: signal.Signals) -> None:
        ends_with_the_engine(own(SLEEPER), number)


class TestPolicyPack:
    PACK = """
        from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy
        def check(args, report):
            print("the pack looks at", args.name)
            if args.name == "bad":
                report("is bad")
        PolicyPack("tests", enforcement_level=EnforcementLevel.MANDATORY, policies=[
            ResourceValidationPolicy(name="no-bad", description="Nothing is bad.", validate=check)])
    """
    COMPONENT = """
        import pulumi
        class Thing(pulumi.ComponentResource):
            def __init__(self, name):
                super().__init__("test:index:Thing", name)
                self.register_outputs({{}})
        Thing("{name}")
    """

    @pytest.mark.parametrize(("name", "status"), [("bad", 255), ("good", 0)])
    def test_its_violation_blocks(self, program: Callable[..., Program], name: str, status: int) -> None:
        made = program(self.COMPONENT.format(name=name))
        made.file("pack/PulumiPolicy.yaml", "runtime: python\n")
        made.file("pack/__main__.py", self.PACK)
        code, said = made.run("up", "--yes", "--skip-preview", "--policy-pack", "pack")
        assert (code != 0) == (status != 0), said
        assert ("[mandatory]  no-bad" in said) == (name == "bad")
        state = json.loads(made.run("stack", "export")[1])["deployment"]
        things = [r for r in state.get("resources", []) if r["type"] == "test:index:Thing"]
        assert len(things) == (name == "good")

    def test_one_that_does_not_start_fails_the_preview(self, program: Callable[..., Program]) -> None:
        made = program("")
        made.file("pack/PulumiPolicy.yaml", "runtime: python\n")
        made.file("pack/__main__.py", "raise LookupError('a broken pack')\n")
        status, said = made.run("preview", "--policy-pack", "pack")
        assert status != 0
        assert "a broken pack" in said

    def test_no_module_of_the_project_leaks_into_it(self, program: Callable[..., Program]) -> None:
        made = program("")
        made.file("leaked.py", "")
        made.file("pack/PulumiPolicy.yaml", "runtime: python\n")
        made.file("pack/__main__.py", "import leaked\n")
        status, said = made.run("preview", "--policy-pack", "pack")
        assert status != 0
        assert "No module named 'leaked'" in said


# It sleeps with a child that sleeps, and writes when both do.
SLEEPER = """
    import os, pathlib, subprocess, time
    child = subprocess.Popen(["sleep", "300"])
    pathlib.Path("sleeping").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(300)
"""


def ends_with_the_engine(made: Program, number: signal.Signals) -> None:
    """Send the engine a signal while its program sleeps; nothing of it may be left."""
    mark = f"ENDS_WITH={made.folder}"
    marked = Program(made.folder, {**made.env, "ENDS_WITH": str(made.folder)})
    process = marked.begin("preview")
    try:
        sleeping = made.folder / "sleeping"
        pids = [int(pid) for pid in until(lambda: sleeping.exists() and sleeping.read_text().split(), "the sleep", 60)]
        assert len(pids) == 2
        started = {pid: processes.start_time(pid) for pid in (*pids, *holders(mark))}
        assert len(started) >= 4  # engine and shim have the mark by themselves, program and child by request
        before = time.monotonic()
        process.send_signal(number)
        process.wait(SOON)
        until(
            lambda: not [pid for pid, when in started.items() if processes.start_time(pid) == when],
            f"the end of {started}",
            SOON,
        )
        assert time.monotonic() - before < SOON
        assert [] == holders(mark)
        assert process.returncode != 0
    finally:
        process.kill()
        process.communicate()
        for pid in holders(mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class TestTheEnd:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
    def test_a_program_ends_with_the_engine(self, program: Callable[..., Program], number: signal.Signals) -> None:
        ends_with_the_engine(program(SLEEPER), number)

    def test_the_warm_process_survives_both_and_serves_the_next(
        self, program: Callable[..., Program], box: session.Sandbox
    ) -> None:
        before = processes.read(box.directory / "run" / "zygote.json")
        assert before is not None
        ends_with_the_engine(program(SLEEPER, name="killed"), signal.SIGKILL)
        assert before.alive
        assert program("", name="next").run("preview")[0] == 0


class TestWarmth:
    def test_programs_and_hosts_are_forks_of_the_warm_process(
        self, program: Callable[..., Program], box: session.Sandbox
    ) -> None:
        zygote = processes.read(box.directory / "run" / "zygote.json")
        assert zygote
        status, said = program("import os\nprint('parent', os.getppid())\n").run("preview")
        assert status == 0
        assert f"parent {zygote.pid}\n" in said

    def test_what_a_program_imports_of_the_sdk_is_there_before_the_next_fork(
        self, program: Callable[..., Program], box: session.Sandbox
    ) -> None:
        code = """
            import sys
            def loaded(name):
                return type(sys.modules.get(name)).__name__ == "module"
            print("before", loaded("pulumi_aws.sqs"))
            import pulumi_aws
            print("after", pulumi_aws.sqs.Queue is not None and loaded("pulumi_aws.sqs"))
        """
        warm = box.directory / "run" / "warm.json"
        made = program(code)
        _, said = made.run("preview")
        assert "before False" in said
        assert "after True" in said
        assert "pulumi_aws.sqs" in json.loads(warm.read_text())
        until(lambda: "before True" in made.run("preview")[1], "a program born with it", 60)

    def test_only_the_sdk_is_ever_remembered(self, program: Callable[..., Program], box: session.Sandbox) -> None:
        made = program("import own_module, pulumi_aws\npulumi_aws.sqs\n")
        made.file("own_module.py", "")
        assert made.run("preview")[0] == 0
        remembered = json.loads((box.directory / "run" / "warm.json").read_text())
        assert {"pulumi_aws"} == {name.split(".")[0] for name in remembered}

    def test_an_edit_needs_no_restart(self, program: Callable[..., Program]) -> None:
        made = program("import own_module\nprint('it says', own_module.WORD)\n")
        for word in ("one", "another"):  # of another length: Python tells an edit by second and size
            made.file("own_module.py", f"WORD = 'the word {word}'\n")
            assert f"it says the word {word}" in made.run("preview")[1]

    def test_two_engines_at_once_do_not_mix(self, program: Callable[..., Program]) -> None:
        code = """
            import os, pulumi, sys, time
            print("standing in", os.getcwd())
            time.sleep(1)
            for n in range(50):
                print("{name} line", n, os.environ["WHO"], pulumi.get_project())
        """
        both = {}
        for name in ("left", "right"):
            made = program(code.format(name=name), name=name)
            both[name] = Program(made.folder, {**made.env, "WHO": f"who-{name}"})
        running = {name: made.begin("preview") for name, made in both.items()}
        said = {name: process.communicate(timeout=120)[0] for name, process in running.items()}
        for name, other in (("left", "right"), ("right", "left")):
            assert running[name].returncode == 0, said[name]
            lines = re.findall(rf"{name} line (\d+) who-{name} {name}-", said[name])
            assert [str(n) for n in range(50)] == lines[-50:]
            assert f"standing in {both[name].folder}\n" in said[name]
            assert other not in said[name]

    def test_without_a_warm_process_the_engine_says_what_to_do(self, program: Callable[..., Program]) -> None:
        made = program("")
        cold = Program(made.folder, {**made.env, "SANDBOX_ZYGOTE": str(made.folder / "none.sock")})
        status, said = cold.run("preview")
        assert status != 0
        assert "the sandbox's warm process does not answer" in said
        assert "ops up" in said


def test_it_leaves_when_its_folder_is_removed(tmp_path: Path, box: session.Sandbox) -> None:
    import dataclasses
    import shutil

    own = dataclasses.replace(box, directory=tmp_path / "own")
    own.start()
    try:
        zygote = processes.read(own.directory / "run" / "zygote.json")
        assert zygote
        shutil.rmtree(own.directory)
        until(lambda: not zygote.alive, "the end of the warm process", 10)
    finally:
        session.stop(own.directory)


def test_a_path_deeper_than_a_socket_s_name_may_be_is_no_obstacle(tmp_path: Path, box: session.Sandbox) -> None:
    import dataclasses

    own = dataclasses.replace(box, directory=tmp_path / ("deep" * 20) / ("deeper" * 20))
    own.start()
    try:
        shim = own.directory / "bin" / "pulumi-language-python"
        env = {**os.environ, "SANDBOX_ZYGOTE": str(own.directory / "run" / "zygote.sock")}
        with subprocess.Popen([shim, "127.0.0.1:1"], env=env, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline().strip().isdigit()  # the port on which the host answers
            process.kill()
    finally:
        session.stop(own.directory)


def test_the_end_of_the_warm_process_is_that_of_all_it_forked(program: Callable[..., Program]) -> None:
    """It stops with programs running when the sandbox goes down."""
    made = program(SLEEPER)
    import dataclasses

    own = dataclasses.replace(_of(made), directory=made.folder / "sandbox")
    own.start()
    env = {**made.env, **own.environment({"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]})}
    env["PULUMI_BACKEND_URL"] = made.env["PULUMI_BACKEND_URL"]
    process = Program(made.folder, env).begin("preview", "--stack", "dev")
    try:
        sleeping = made.folder / "sleeping"
        pids = [int(pid) for pid in until(lambda: sleeping.exists() and sleeping.read_text().split(), "the sleep", 60)]
        zygote = processes.read(own.directory / "run" / "zygote.json")
        assert zygote
        os.kill(zygote.pid, signal.SIGTERM)  # by itself, without the care of `session.stop`
        until(lambda: not [pid for pid in pids if processes.start_time(pid)], "the end of program and child", SOON)
        assert process.wait(SOON) != 0
    finally:
        process.kill()
        process.communicate()
        session.stop(own.directory)


def _of(made: Program) -> session.Sandbox:
    engine = bootstrap.find(dict(os.environ))
    assert engine
    return session.Sandbox(
        directory=made.folder,
        account="000000000001",
        region="eu-central-1",
        engine=engine.path,
        endpoint="http://127.0.0.1:1",
    )
