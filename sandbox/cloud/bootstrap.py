"""What runs inside a function's process: AWS's Python runtime, played by the bare interpreter.

Run as `python -I -S bootstrap.py`, so a function sees its code, its layers and the standard library, and nothing
else. The first line on stdin says what to load; each further line is an invocation. Answers go to the file descriptor
given as first argument; what the function prints goes to stdout and is its log, ended for each invocation by a line
that starts with NUL.
"""

import sys

_ANSWERS = int(sys.argv[1])


def _die_with_parent() -> None:
    """Have the kernel end this process when the sandbox dies, however it dies."""
    import ctypes
    import signal

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


_die_with_parent()

import importlib  # noqa: E402
import json  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import time  # noqa: E402
import traceback  # noqa: E402
from typing import Any  # noqa: E402


class _Context:
    """The context object of an invocation (https://docs.aws.amazon.com/lambda/latest/dg/python-context.html)."""

    identity = None
    client_context = None

    def __init__(self, invocation: dict[str, Any]) -> None:
        environment = os.environ
        self.aws_request_id = invocation["requestId"]
        self.invoked_function_arn = invocation["arn"]
        self.function_name = environment["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = environment["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = environment["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = environment["AWS_LAMBDA_LOG_STREAM_NAME"]
        self._deadline = time.monotonic() + invocation["seconds"]

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.monotonic()) * 1000))

    def log(self, message: object) -> None:
        sys.stdout.write(str(message))


class _Handler(logging.Handler):
    """The root logger's handler that AWS's runtime installs."""

    request_id = ""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json
        self.setFormatter(logging.Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)dZ\t%(request_id)s\t%(message)s"))
        self.formatter.datefmt = "%Y-%m-%dT%H:%M:%S"  # type: ignore[union-attr]
        self.formatter.converter = time.gmtime  # type: ignore[union-attr]

    def emit(self, record: logging.LogRecord) -> None:
        record.request_id = self.request_id
        sys.stdout.write((self._json(record) if self._as_json else self.format(record)) + "\n")

    def _json(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        line = {"timestamp": moment, "level": record.levelname, "message": record.getMessage(), "logger": record.name}
        if record.exc_info and record.exc_info[0]:
            line["errorType"] = record.exc_info[0].__name__
            line["errorMessage"] = str(record.exc_info[1])
            line["stackTrace"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps({**line, "requestId": self.request_id})


def _failure(kind: str, message: str, trace: list[str]) -> dict[str, Any]:
    return {"errorMessage": message, "errorType": kind, "requestId": _Handler.request_id, "stackTrace": trace}


def _report(failure: dict[str, Any]) -> None:
    """Log a failure as the runtime does, before the invocation ends with it."""
    lines = [f"[ERROR] {failure['errorType']}: {failure['errorMessage']}"]
    if failure["stackTrace"]:
        lines += ["Traceback (most recent call last):", *(line.rstrip("\n") for line in failure["stackTrace"])]
    sys.stdout.write("\n".join(lines) + "\n")


def _load(handler: str) -> Any:
    """Import the handler.

    Raises:
        LookupError: with what AWS answers when it cannot be.
    """
    module_name, _, name = handler.replace("/", ".").rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise LookupError(
            _failure("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}", [])
        ) from error
    if not hasattr(module, name):
        raise LookupError(
            _failure("Runtime.HandlerNotFound", f"Handler '{name}' missing on module '{module_name}'", [])
        )
    return getattr(module, name)


def main() -> None:
    """Load the handler, then answer invocations until stdin ends."""
    answers = os.fdopen(_ANSWERS, "w", encoding="utf-8")
    os.set_inheritable(_ANSWERS, False)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    setup = json.loads(sys.stdin.readline())
    sys.path[:0] = setup["paths"]

    def answer(body: dict[str, Any]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(1, f"\0{body.get('requestId', '')}\n".encode())
        answers.write(json.dumps(body) + "\n")
        answers.flush()

    root = logging.getLogger()
    root.addHandler(_Handler(as_json=setup["jsonLogs"]))
    if setup["level"]:
        root.setLevel(setup["level"])
    try:
        handler = _load(setup["handler"])
    except LookupError as error:
        _report(error.args[0])
        answer({"failure": error.args[0]})
        return
    except BaseException as error:  # noqa: BLE001 — whatever a module raises on import, SystemExit too, is an answer
        failure = _failure(type(error).__name__, str(error), traceback.format_tb(error.__traceback__)[1:])
        _report(failure)
        answer({"failure": failure})
        return
    answer({"ready": True})
    for line in sys.stdin:
        invocation = json.loads(line)
        request_id = _Handler.request_id = invocation["requestId"]
        if invocation.get("trace"):
            os.environ["_X_AMZN_TRACE_ID"] = invocation["trace"]
        try:
            result = handler(invocation["event"], _Context(invocation))
        except Exception as error:  # noqa: BLE001 — a handler may raise anything
            failure = _failure(type(error).__name__, str(error), traceback.format_tb(error.__traceback__)[1:])
            _report(failure)
            answer({"requestId": request_id, "failure": failure})
            continue
        try:
            json.dumps(result)
        except (TypeError, ValueError) as error:
            failure = _failure("Runtime.MarshalError", f"Unable to marshal response: {error}", [])
            _report(failure)
            answer({"requestId": request_id, "failure": failure})
            continue
        answer({"requestId": request_id, "result": result})


main()
