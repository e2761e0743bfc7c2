"""Runs a Pulumi program in this process, by the contract between the engine's language host and the SDK.

It imports nothing but the standard library and `pulumi`, for it also runs under another program's own interpreter:
`python program.py REQUEST`, REQUEST being JSON with the fields of the protocol's RunRequest that a program needs.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# The SDK's agreement with its host: the error has been shown already, so that the engine adds none of its own.
SHOWN = 32


def main(argv: list[str]) -> int:
    """Run the program that `argv[0]` describes and return its exit status."""
    request: dict[str, Any] = json.loads(argv[0])
    try:
        import pulumi
        import pulumi.runtime
    except ImportError as error:
        print(f"the program's interpreter {sys.executable} cannot import the Pulumi SDK: {error}", file=sys.stderr)
        return 1
    pulumi.runtime.set_all_config(request["config"], request["config_secret_keys"])
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            project=request["project"],
            stack=request["stack"],
            organization=request["organization"],
            root_directory=request["root_directory"],
            dry_run=request["dry_run"],
            parallel=request["parallel"],
            monitor=request["monitor"],
            engine=request["engine"],
        )
    )
    program = os.path.abspath(os.path.join(request["program_directory"], request["entry_point"]))  # noqa: PTH100, PTH118
    os.chdir(request["pwd"])
    sys.argv = [program, *request["args"]]
    if not os.path.isdir(program):  # noqa: PTH112 runpy adds a directory to the path by itself, a file's not
        sys.path.insert(0, os.path.dirname(program))  # noqa: PTH120
    # Futures that nobody awaited are the normal end of a failed graph, not news.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(ThreadPoolExecutor(max_workers=4 * max(request["parallel"], 1)))

    main_file = os.path.join(program, "__main__.py") if os.path.isdir(program) else program  # noqa: PTH112, PTH118

    def run() -> None:
        if not os.path.exists(main_file):  # noqa: PTH110 runpy would take a `__main__` from anywhere on the path
            raise pulumi.RunError(f"there is no Python program at {program}: expected {main_file}")
        runpy.run_path(program, run_name="__main__")

    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(run))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return SHOWN
    except Exception as error:  # noqa: BLE001 whatever a program raises is shown to its author
        pulumi.log.error(_describe(error, main_file))
        return SHOWN
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _describe(error: Exception, main_file: str) -> str:
    """Give the traceback from the program's own first frame on; what lies before it is this host's."""
    frames = traceback.extract_tb(error.__traceback__)
    first = next((n for n, frame in enumerate(frames) if os.path.abspath(frame.filename) == main_file), None)  # noqa: PTH100
    limit = None if first is None else first - len(frames)
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__, limit=limit))
    return f"Program failed with an unhandled exception:\n{text}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
