"""`ops pulumi`: Pulumi's own output and exit code, in the sandbox, from wherever the caller stands."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from ops.commands.pulumi import OWN_PATHS, PATHS, _absolute, _directory, _words
from sandbox import processes
from sandbox.engine import bootstrap
from tests.support.checkout import Checkout, until

if TYPE_CHECKING:
    from pathlib import Path

PACK = """
from pulumi_policy import EnforcementLevel, PolicyPack, StackValidationPolicy
PolicyPack("callers-own", enforcement_level=EnforcementLevel.MANDATORY, policies=[StackValidationPolicy(
    name="never", description="Nothing passes.", validate=lambda args, report: report("it does not pass"))])
"""


class TestArguments:
    @pytest.mark.parametrize(
        ("args", "words"),
        [
            (["preview", "--diff"], ["preview"]),
            (["--color", "never", "preview"], ["preview"]),
            (["-v", "3", "stack", "output", "apiUrl"], ["stack", "output", "apiUrl"]),
            (["--color=never", "up", "--yes"], ["up"]),
            ([], []),
        ],
    )
    def test_a_flag_s_value_is_no_command(self, args: list[str], words: list[str]) -> None:
        assert words == _words(args)

    @pytest.mark.parametrize("args", [["-C", "there"], ["--cwd", "there"], ["--cwd=there"], ["-Cthere"]])
    def test_a_folder_is_relative_to_the_caller(self, args: list[str], tmp_path: Path) -> None:
        assert _directory([*args, "preview"], tmp_path) == (tmp_path / "there", ["preview"])
        assert _directory(["preview"], tmp_path) == (None, ["preview"])
        assert _directory(["-C", "/other"], tmp_path)[0] == tmp_path.__class__("/other")

    def test_paths_are_the_caller_s_too(self, tmp_path: Path) -> None:
        args = [
            "preview",
            "--policy-pack",
            "p",
            "--policy-pack-config=c.json",
            "--save-plan",
            "plan",
            "--policy-pack=/a",
        ]
        assert _absolute(args, tmp_path, OWN_PATHS) == [
            "preview",
            "--policy-pack",
            f"{tmp_path}/p",
            f"--policy-pack-config={tmp_path}/c.json",
            "--save-plan",
            f"{tmp_path}/plan",
            "--policy-pack=/a",
        ]
        assert _absolute(["--file", "f"], tmp_path, PATHS) == ["--file", "f"]


@pytest.mark.engine
class TestEngine:
    def test_its_stdout_is_pulumi_s_alone(self, checkout: Checkout) -> None:
        engine = bootstrap.find(checkout.environment())
        assert engine
        plain = subprocess.run([engine.path, "version"], capture_output=True, text=True, check=True)
        assert checkout.ops("pulumi", "--", "version").stdout == plain.stdout

    def test_its_exit_code_is_pulumi_s(self, checkout: Checkout) -> None:
        failed = checkout.ops("pulumi", "--", "preview", "--nonsense", check=False)
        assert failed.returncode not in {0, 2}
        assert "unknown flag: --nonsense" in failed.stderr
        assert "Traceback" not in failed.stderr
        assert checkout.ops("pulumi", "--", "stack", "output", "nope", check=False).returncode != 0

    def test_a_stack_in_the_sandbox_is_made_when_it_is_needed(self, checkout: Checkout) -> None:
        stacks = json.loads(checkout.ops("pulumi", "--", "stack", "ls", "--json").stdout)
        assert "local" in [stack["name"].split("/")[-1] for stack in stacks]

    def test_a_file_is_written_where_the_caller_stands(self, checkout: Checkout, tmp_path: Path) -> None:
        checkout.ops("pulumi", "--", "stack", "export", "--file", "state.json", cwd=tmp_path)
        assert "deployment" in json.loads((tmp_path / "state.json").read_text())

    def test_the_sandbox_stays_up_and_is_saved(self, checkout: Checkout) -> None:
        before = checkout.ops("pulumi", "--", "version") and checkout.record("zygote")
        checkout.ops("pulumi", "--", "whoami")
        assert before == checkout.record("zygote")
        recorded = processes.read(checkout.sandbox / "run" / "zygote.json")
        assert recorded
        assert recorded.alive

    def test_another_program_is_relative_to_the_caller_with_its_pack(self, checkout: Checkout, tmp_path: Path) -> None:
        other = tmp_path / "elsewhere" / "program"
        other.mkdir(parents=True)
        (other / "Pulumi.yaml").write_text("name: other\nruntime: python\n")
        (other / "__main__.py").write_text("import pulumi\npulumi.export('made', 'by another')\n")
        pack = tmp_path / "elsewhere" / "pack"
        pack.mkdir()
        (pack / "PulumiPolicy.yaml").write_text("runtime: python\n")
        (pack / "__main__.py").write_text(PACK)
        where = {"cwd": tmp_path / "elsewhere"}
        checkout.ops("pulumi", "--", "-C", "program", "stack", "init", "dev", **where)
        shown = checkout.ops("pulumi", "--", "-C", "program", "preview", **where).stdout
        assert "by another" in shown
        assert "guardrails" not in shown  # the pack is this project's own
        judged = checkout.ops("pulumi", "--", "-C", "program", "preview", "--policy-pack", "pack", check=False, **where)
        assert judged.returncode != 0
        assert "callers-own" in judged.stdout
        assert "it does not pass" in judged.stdout

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_to_it_reaches_the_engine(
        self, checkout: Checkout, tmp_path: Path, number: signal.Signals
    ) -> None:
        (tmp_path / "Pulumi.yaml").write_text(f"name: sleeper-{number.value}\nruntime: python\n")
        (tmp_path / "__main__.py").write_text(
            "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\ntime.sleep(300)\n"
        )
        checkout.ops("pulumi", "--", "-C", str(tmp_path), "stack", "init", "dev")
        process = checkout.begin("pulumi", "--", "-C", str(tmp_path), "preview")
        try:
            pid = tmp_path / "pid"
            program = int(until(lambda: pid.exists() and pid.read_text(), "the program"))
            (engine,) = [child for child in processes.descendants(process.pid) if processes.name(child) == "pulumi"]
            process.send_signal(number)
            process.communicate(timeout=30)
            assert process.returncode > 0
            until(lambda: not [p for p in (engine, program) if processes.start_time(p)], "the end of both", 5)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the engine holds the same streams
            process.communicate()
