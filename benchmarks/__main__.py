"""`make bench`: what a rehearsal costs, each figure beside its peer in the same run.

Brings the stack `local` up in a sandbox of its own, then measures: a warm `ops up` split by step; previews of the stack
with the policy pack, with an empty pack and without one, and the preview of an empty program; the memory of all
processes that are left running. Prints Markdown; `benchmarks/results.md` holds the last one that was committed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sandbox import session

ROOT = Path(__file__).parents[1]
RUNS = 5
EMPTY_PACK = """\
from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy

# The SDK refuses a pack without a policy; this one looks at nothing.
nothing = ResourceValidationPolicy(
    name="nothing",
    description="nothing",
    enforcement_level=EnforcementLevel.ADVISORY,
    validate=lambda args, report: None,
)
PolicyPack(name="empty", policies=[nothing])
"""
EMPTY_PROGRAM = "import pulumi\n"


def main() -> None:
    """Measure in a temporary sandbox, which is gone afterwards."""
    # Inside the checkout: the engine reads the repository's metadata (0.2 s), for the empty program as for the stack.
    (ROOT / ".build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / ".build") as work:
        sandbox = Path(work, "sandbox")
        env = {**os.environ, session.DIRECTORY: str(sandbox), "NO_COLOR": "1"}
        try:
            _measure(Path(work), sandbox, env)
        finally:
            session.stop(sandbox)


def _measure(work: Path, sandbox: Path, env: dict[str, str]) -> None:
    cold = _up(env)
    warm = _up(env)
    memory = {name: process.resident_bytes() / 2**20 for name, process in session.running(sandbox).items()}

    pack, program = work / "pack", work / "empty"
    _write(pack, {"PulumiPolicy.yaml": "runtime: python\n", "__main__.py": EMPTY_PACK})
    _write(program, {"Pulumi.yaml": "name: empty\nruntime: python\n", "__main__.py": EMPTY_PROGRAM})
    subprocess.run(
        [sys.executable, "-m", "ops", "pulumi", "--", "-C", str(program), "stack", "init", "bench"],
        cwd=ROOT,
        env=env,
        check=True,
        capture_output=True,
    )
    engine, settings = _engine(env)
    stack = ["preview", "--stack", "local", "--config-file", settings]
    no_pack = {key: value for key, value in engine.items() if key != "PULUMI_OPTION_POLICY_PACK"}
    cases = {
        "empty program": (["preview", "--stack", "bench"], program, no_pack),
        "stack, no pack": (stack, ROOT, no_pack),
        "stack, empty pack": ([*stack, "--policy-pack", str(pack)], ROOT, no_pack),
        "stack, our pack": (stack, ROOT, engine),
    }
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for run in range(RUNS + 1):  # the first warms files and imports, and does not count
        for name, (arguments, folder, environment) in cases.items():  # interleaved: a busy moment hits all alike
            started = time.perf_counter()
            subprocess.run(["pulumi", *arguments], cwd=folder, env=environment, check=True, capture_output=True)
            if run:
                seconds[name].append(time.perf_counter() - started)
    median = {name: statistics.median(values) for name, values in seconds.items()}

    print(f"# Benchmarks\n\n{os.cpu_count()} cores, Python {sys.version.split()[0]}, {cold['resources']} resources.\n")
    print("## `ops up local`, seconds per step\n\n| step | first | warm |\n|---|---|---|")
    for step in warm["seconds"]:
        print(f"| {step} | {cold['seconds'].get(step, 0):.1f} | {warm['seconds'][step]:.1f} |")
    print("\nAim: warm under 60 s.\n\n## Previews\n\n| preview of | median s | to the empty program |\n|---|---|---|")
    for name, value in median.items():
        print(f"| {name} | {value:.2f} | {value / median['empty program']:.2f} |")
    ratio = median["stack, our pack"] / median["stack, empty pack"]
    print(f"\nOur pack to an empty pack: {ratio:.2f} (aim: under 1.3). Stack to empty program: aim under 3.\n")
    print("## Memory left running (PSS: shared pages counted once)\n\n| process | MiB |\n|---|---|")
    for name, value in memory.items():
        print(f"| {name} with what it started | {value:.0f} |")
    print(f"| all | {sum(memory.values()):.0f} |\n\nAim: 1024 MiB.")


def _up(env: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "ops", "up", "local", "--json"],
        cwd=ROOT,
        env=env,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return {**report, "resources": sum(report["resources"].values())}


def _engine(env: dict[str, str]) -> tuple[dict[str, str], str]:
    """The environment that `ops` gives the engine, and the settings' file."""
    code = (
        "import json; from ops.rehearsal import Rehearsal; r = Rehearsal.of('local');"
        "print(json.dumps([r.environment(), str(r.config_file)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, text=True
    )
    environment, settings = json.loads(done.stdout)
    return environment, settings


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
