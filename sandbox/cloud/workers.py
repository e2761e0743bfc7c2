"""Functions' processes: isolated from this one's packages and environment, ended with it.

The emulator keeps the pool (one process per concurrent invocation of a version, reused while warm); what a process
is, how it starts and how an invocation ends is said here.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud.layers import LayerError, Layers
from sandbox.cloud.processes import spawn

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("sandbox.workers")

_BOOTSTRAP: Final = Path(__file__).with_name("bootstrap.py")
_RESERVED: Final = (
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
_INIT_SECONDS: Final = 30.0  # AWS allows 10 on its machines, and then once more within the function's timeout


class Worker:
    """One execution environment of a function's version.

    Its attributes are those that the emulator's pool uses of its own class.
    """

    layers: Layers
    endpoint: str
    credentials: Callable[[dict[str, Any]], dict[str, str]]
    layer_content: Callable[[Any], bytes | None]

    def __init__(self, func_name: str, config: dict[str, Any], code_zip: bytes) -> None:
        """Describe an environment; its process starts with the first invocation."""
        self.func_name = func_name
        self.config = config
        self.code_zip = code_zip
        self.in_use = False
        self.last_used = time.time()
        self._lock = threading.Lock()
        self._cold = True
        self._proc: subprocess.Popen[bytes] | None = None
        self._tmpdir: str | None = None
        self._answers: Any = None
        self._log_lines: list[str] = []
        self._log_done = threading.Event()
        self._answered = 0.0

    def invoke(self, event: Any, request_id: str, *, arn: str, trace: str | None) -> dict[str, Any]:
        """Run one invocation.

        Args:
            event: what the handler gets.
            request_id: the invocation's id.
            arn: the ARN that was invoked, qualifier included.
            trace: the X-Ray header, if any.

        Returns:
            `result`, or `failure` (the error as AWS answers it); `log`, the lines printed; and `seconds` that the
            handler ran, without the start of its environment.
        """
        with self._lock:
            self._log_lines = []
            seconds = float(self.config.get("Timeout", 3))
            failure, spent = None, 0.0
            if self._proc is None or self._proc.poll() is not None:
                failure = self._start()
            if failure is None:
                invocation = {"event": event, "requestId": request_id, "arn": arn, "seconds": seconds, "trace": trace}
                began = time.perf_counter()
                answer = self._exchange(invocation, seconds)
                spent = self._answered - began
                failure = self._lost(request_id, seconds, timed_out=answer is None) if not answer else None
            else:
                answer = {"failure": failure}
                self._end()
            outcome = answer or {"failure": failure}
            return {**outcome, "log": "\n".join(self._log_lines), "seconds": spent}

    def _start(self) -> dict[str, Any] | None:
        """Start the process and load the handler; return the failure, if it is one."""
        self._discard_tmpdir()
        self._tmpdir = tempfile.mkdtemp(prefix="fn-")
        try:
            task, paths, notes = self._unpack()
        except LayerError as error:
            _log.error("%s: %s", self.func_name, error)
            return {"errorMessage": str(error), "errorType": "Sandbox.LayerMissing"}
        reading, writing = os.pipe()
        try:
            self._proc = spawn(
                [sys._base_executable, "-I", "-S", _BOOTSTRAP, str(writing)],  # type: ignore[attr-defined] # noqa: SLF001
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(writing,),
                cwd=task,
                env=self._environment(task),
                start_new_session=True,
            )
        finally:
            os.close(writing)
        self._answers = os.fdopen(reading, "rb")
        self._log_lines = [*notes]
        threading.Thread(target=self._read_log, args=(self._proc,), name=f"log-{self.func_name}", daemon=True).start()
        logging_config = self.config.get("LoggingConfig") or {}
        as_json = logging_config.get("LogFormat") == "JSON"
        setup = {
            "paths": paths,
            "handler": self.config.get("Handler", ""),
            "jsonLogs": as_json,
            "level": logging_config.get("ApplicationLogLevel", "INFO") if as_json else None,
        }
        answer = self._exchange(setup, _INIT_SECONDS)
        if not answer:
            return self._lost("", _INIT_SECONDS, timed_out=answer is None)
        return answer.get("failure")

    def _unpack(self) -> tuple[str, list[str], list[str]]:
        """Return the code's folder, the import path and what is to be said in the log."""
        notes: list[str] = []
        task = str(self.layers.unpack(self.code_zip))
        paths = [task]
        for layer in self.config.get("Layers", []):
            arn = layer if isinstance(layer, str) else layer["Arn"]
            zipped = self.layer_content(layer)
            if zipped is None:
                continue
            folder, note = self.layers.place(arn, zipped)
            if note:
                _log.info("%s: %s", self.func_name, note)
                notes.append(note)
            version = f"python{sys.version_info.major}.{sys.version_info.minor}"
            paths += [str(folder / "python" / "lib" / version / "site-packages"), str(folder / "python")]
        return task, paths, notes

    def _environment(self, task: str) -> dict[str, str]:
        """Return the declared variables and AWS's (docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html)."""
        config = self.config
        name, version = config["FunctionName"], config.get("Version", "$LATEST")
        declared = (config.get("Environment") or {}).get("Variables", {})
        home = config["FunctionArn"].split(":")[3]
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "TMPDIR": str(self._tmpdir),
            "LAMBDA_TASK_ROOT": task,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.get('Runtime', '')}",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.get("MemorySize", 128)),
            "AWS_LAMBDA_LOG_GROUP_NAME": (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d')}/[{version}]{uuid.uuid4().hex}",
            "_HANDLER": config.get("Handler", ""),
            **{key: value for key, value in declared.items() if key not in _RESERVED},
            "AWS_REGION": home,
            "AWS_DEFAULT_REGION": home,
            **self.credentials(config),
        }

    def _exchange(self, message: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        """Send a message and wait for its answer: None after the time is up, empty when the process ended."""
        box: list[bytes] = []
        self._log_done.clear()
        process, answers = self._proc, self._answers

        def exchange() -> None:
            try:
                process.stdin.write(json.dumps(message).encode() + b"\n")  # type: ignore[union-attr]
                process.stdin.flush()  # type: ignore[union-attr]
                box.append(answers.readline())
            except (OSError, ValueError):
                box.append(b"")

        thread = threading.Thread(target=exchange, daemon=True, name=f"invoke-{self.func_name}")
        thread.start()
        thread.join(seconds)
        self._answered = time.perf_counter()
        if not box:
            return None
        if not box[0]:
            return {}
        self._log_done.wait(1)
        answer: dict[str, Any] = json.loads(box[0])
        return answer

    def _read_log(self, process: subprocess.Popen[bytes]) -> None:
        """Collect what the process prints; a line that starts with NUL ends an invocation's part."""
        for line in process.stdout or ():
            if line.startswith(b"\0"):
                self._log_done.set()
            else:
                self._log_lines.append(line.decode(errors="replace").rstrip("\n"))
        self._log_done.set()

    def _lost(self, request_id: str, seconds: float, *, timed_out: bool) -> dict[str, Any]:
        """End the process and say of it what AWS says."""
        process = self._proc
        if timed_out:
            kind, what = "Sandbox.Timedout", f"Task timed out after {seconds:.2f} seconds"
            self._end()
        else:
            code = process.wait() if process else None
            kind, what = "Runtime.ExitError", f"Runtime exited with error: exit status {code}"
            self._log_done.wait(1)
            self._end()
        self._log_lines.append(f"RequestId: {request_id} Error: {what}")
        return {"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {what}"}

    def _end(self) -> None:
        """Kill the process and what it has started."""
        process, self._proc = self._proc, None
        if process is not None:
            kill(process)
            process.wait()
        if self._answers is not None:
            self._answers.close()
            self._answers = None

    def _discard_tmpdir(self) -> None:
        """Remove what the process has left in its /tmp."""
        if self._tmpdir:
            shutil.rmtree(self._tmpdir, ignore_errors=True)
            self._tmpdir = None


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker with its whole group: a function may have started processes of its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
