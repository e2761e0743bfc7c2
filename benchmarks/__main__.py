"""`make bench`: what a rehearsal costs, each figure beside its peer in the same run.

Brings every stack up in a sandbox of its own, then measures: a warm `ops up local` split by step; previews of that
stack with the policy pack, with an empty pack and without one, and the preview of an empty program; what each stack's
first update and its previews cost beside the empty program's; the memory of all that is left running. Prints
Markdown; `benchmarks/results.md` holds the last one that was committed.
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
    cold = _up(env, "local")
    warm = _up(env, "local")
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
    engine, settings = _engine(env, "local")
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
            took = _timed(["pulumi", *arguments], folder, environment)
            if run:
                seconds[name].append(took)
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
    print(f"| all | {sum(memory.values()):.0f} |\n\nAim: 1024 MiB.\n")
    _stacks(program, {"local": cold}, median["empty program"], no_pack, env)


def _stacks(
    program: Path, up: dict[str, dict[str, Any]], empty_preview: float, engine: dict[str, str], env: dict[str, str]
) -> None:
    """Measure each stack's first update and its previews, beside the empty program's."""
    started = time.perf_counter()
    subprocess.run(
        ["pulumi", "up", "--yes", "--skip-preview", "--stack", "bench"],
        cwd=program,
        env=engine,
        check=True,
        capture_output=True,
    )
    empty_update = time.perf_counter() - started
    print(
        "## Every stack\n\n| stack | resources | first update s | to the empty one | ms a resource | preview s "
        f"| to the empty one |\n|---|---|---|---|---|---|---|\n| empty program | 1 | {empty_update:.1f} | 1.0 | | "
        f"{empty_preview:.2f} | 1.0 |"
    )
    for stack in ("local", "dev", "staging", "prod"):
        first = up.get(stack) or _up(env, stack)
        theirs, settings = _engine(env, stack)
        arguments = ["preview", "--stack", stack, "--config-file", settings]
        preview = statistics.median(_timed(["pulumi", *arguments], ROOT, theirs) for _ in range(RUNS))
        update = first["seconds"]["update"]
        print(
            f"| {stack} | {first['resources']} | {update:.1f} | {update / empty_update:.1f} | "
            f"{1000 * update / first['resources']:.0f} | {preview:.2f} | {preview / empty_preview:.1f} |"
        )


def _timed(command: list[str], folder: Path, env: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)
    return time.perf_counter() - started


def _up(env: dict[str, str], stack: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "ops", "up", stack, "--json"],
        cwd=ROOT,
        env=env,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return {**report, "resources": sum(report["resources"].values())}


def _engine(env: dict[str, str], stack: str) -> tuple[dict[str, str], str]:
    """The environment that `ops` gives the engine, and the settings' file."""
    code = (
        "import json, sys; from ops.rehearsal import Rehearsal; r = Rehearsal.of(sys.argv[1]);"
        "print(json.dumps([r.environment(), str(r.config_file)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, stack], cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, text=True
    )
    environment, settings = json.loads(done.stdout)
    return environment, settings


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
