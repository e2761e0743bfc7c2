"""The logs of the functions that change the database: one JSON object a line, metrics among them."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import Any, Final

NAMESPACE: Final = "product-api"  # as components/metrics.py reads it

_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "aws_request_id", "taskName"}

_measures = logging.getLogger(__name__)
# Who asks for fewer lines does not ask for fewer metrics: this logger's lines pass whatever the root's level is.
_measures.setLevel(logging.INFO)


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON, with CloudWatch's names for timestamp, level and message.

    Attributes:
        request_id: The invocation that the lines belong to.
    """

    def __init__(self, request_id: str) -> None:
        super().__init__()
        self.request_id = request_id

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "timestamp": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "requestId": self.request_id,
            **{name: value for name, value in vars(record).items() if name not in _ORDINARY},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: str, request_id: str) -> None:
    """Make the root logger write JSON lines to Lambda's handler, or to stderr where there is none.

    Args:
        level: The name of the least severe level to write.
        request_id: The invocation that the lines belong to.
    """
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler(sys.stderr))
    for handler in root.handlers:
        handler.setFormatter(JsonFormatter(request_id))
    root.setLevel(level)
    for chatty in ("boto3", "botocore", "urllib3", "sqlalchemy"):  # at DEBUG they would write secrets and parameters
        logging.getLogger(chatty).setLevel(logging.WARNING)


def measure(message: str, *, failed: bool, seconds: float, **fields: object) -> None:
    """Write a line from which CloudWatch takes how a step of the migrator went (see app/metrics.py on the format).

    Args:
        message: What the line is about.
        failed: Whether the step failed.
        seconds: How long it took.
        fields: What else the line says.
    """
    metrics = [
        {"Name": "MigrationFailures", "Unit": "Count"},
        {"Name": "MigrationSeconds", "Unit": "Seconds"},
    ]
    directive = {"Namespace": NAMESPACE, "Dimensions": [["Function"]], "Metrics": metrics}
    line: dict[str, Any] = {
        **fields,
        "Function": os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "local"),
        "MigrationFailures": int(failed),
        "MigrationSeconds": round(seconds, 3),
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]},
    }
    _measures.info(message, extra=line)
