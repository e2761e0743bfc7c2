"""The migrator's logs: one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "aws_request_id", "taskName"}


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
