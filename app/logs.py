"""Structured logs: one JSON object a line, with the request it belongs to."""

from __future__ import annotations

import contextvars
import json
import logging
import sys
import time
from typing import Any

REQUEST: contextvars.ContextVar[dict[str, str] | None] = contextvars.ContextVar("request", default=None)

# What a bare record carries; everything else on one was passed as `extra=` and belongs in the line.
_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "aws_request_id", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON, with CloudWatch's names for timestamp, level and message."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "timestamp": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **(REQUEST.get() or {}),
            **{name: value for name, value in vars(record).items() if name not in _ORDINARY},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: str) -> None:
    """Make the root logger write JSON lines; again makes no difference.

    Lambda's runtime has put a handler on the root logger, which has to stay: it is what reaches CloudWatch. Elsewhere
    there is none, and lines go to stderr, for stdout may carry a protocol.

    Args:
        level: The name of the least severe level to write.
    """
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler(sys.stderr))
    for handler in root.handlers:
        handler.setFormatter(JsonFormatter())
    root.setLevel(level)
    for chatty in ("boto3", "botocore", "urllib3"):  # at DEBUG they would write answers of Secrets Manager
        logging.getLogger(chatty).setLevel(logging.WARNING)
