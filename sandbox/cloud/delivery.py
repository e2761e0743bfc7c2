"""What a service delivers on somebody's behalf: through the front door, signed with a session of the role it has."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.error
import urllib.request
import uuid
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from sandbox.cloud import patches

if TYPE_CHECKING:
    from collections.abc import Mapping

_SESSION_SECONDS: Final = 900


class DeliveryError(RuntimeError):
    """A target refused what was delivered.

    Attributes:
        code: AWS's name of the error.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Delivery:
    """Delivers to functions, queues, topics and event buses."""

    def __init__(self, endpoint: str) -> None:
        """Describe it.

        Args:
            endpoint: the sandbox's own, `http://127.0.0.1:PORT`.
        """
        (self._sts,) = patches.modules("sts")
        patches.expect(self._sts, "register_session", "access_key", "session")
        self._endpoint = endpoint

    def deliver(
        self,
        arn: str,
        payload: str,
        *,
        role: str,
        session: str,
        attributes: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Deliver a payload, as the role.

        Args:
            arn: of the function (which is invoked asynchronously), queue, topic or event bus.
            payload: JSON.
            role: ARN of the role.
            session: name of the session.
            attributes: of the message, all texts; to queues and topics.
            more: members of the request to a queue, or of the event to a bus.

        Raises:
            DeliveryError: the service refused, or is none of these.
        """
        service, home = arn.split(":")[2:4]
        path, headers = "/", {"content-type": "application/x-amz-json-1.0"}
        if service == "lambda":
            path = f"/2015-03-31/functions/{quote(arn, safe='')}/invocations"
            body, headers["x-amz-invocation-type"] = payload.encode(), "Event"
        elif service == "sqs":
            typed = {name: {"DataType": "String", "StringValue": value} for name, value in (attributes or {}).items()}
            message = {"QueueUrl": self._queue(arn), "MessageBody": payload, "MessageAttributes": typed, **(more or {})}
            body, headers["x-amz-target"] = json.dumps(message).encode(), "AmazonSQS.SendMessage"
        elif service == "sns":
            form = {"Action": "Publish", "Version": "2010-03-31", "TopicArn": arn, "Message": payload}
            for at, (name, value) in enumerate((attributes or {}).items(), 1):
                entry = f"MessageAttributes.entry.{at}"
                form |= {f"{entry}.Name": name, f"{entry}.Value.StringValue": value}
                form[f"{entry}.Value.DataType"] = "String"
            body, headers["content-type"] = urlencode(form).encode(), "application/x-www-form-urlencoded"
        elif service == "events":
            event = {"EventBusName": arn, "Detail": payload, **(more or {})}
            body, headers["x-amz-target"] = json.dumps({"Entries": [event]}).encode(), "AWSEvents.PutEvents"
        else:
            raise DeliveryError("ValidationException", f"the sandbox delivers nothing to {service}")
        self._send(service, path, headers, body, self._session(role, session), home)

    def _queue(self, arn: str) -> str:
        account, name = arn.split(":")[4:6]
        return f"{self._endpoint}/{account}/{name}"

    def _session(self, role: str, session: str) -> Any:
        from botocore.credentials import Credentials

        account, name = role.split(":")[4], role.rpartition("/")[2]
        made = Credentials(f"ASIA{uuid.uuid4().hex[:16].upper()}", uuid.uuid4().hex, uuid.uuid4().hex)
        record = {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
            "UserId": f"{name}:{session}",
            "SecretAccessKey": made.secret_key,
            "SessionToken": made.token,
            "Expiration": time.time() + _SESSION_SECONDS,
        }
        self._sts.register_session(made.access_key, record)
        return made

    def _send(
        self, service: str, path: str, headers: Mapping[str, str], body: bytes, credentials: Any, home: str
    ) -> None:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        url = f"{self._endpoint}{path}"
        signed = AWSRequest("POST", url, data=body, headers=dict(headers))
        SigV4Auth(credentials, service, home).add_auth(signed)
        request = urllib.request.Request(url, body, dict(signed.headers), method="POST")  # noqa: S310 — ours
        try:
            with urllib.request.urlopen(request, timeout=60):  # noqa: S310
                pass
        except urllib.error.HTTPError as error:
            raise DeliveryError(*_named(error)) from error
        except OSError as error:
            raise DeliveryError("InternalServerException", str(error)) from error


def _named(error: urllib.error.HTTPError) -> tuple[str, str]:
    """Return the code and message of an error, in whichever protocol it is told."""
    text = error.read().decode(errors="replace")
    code = error.headers.get("x-amzn-errortype", "").partition(":")[0]
    with contextlib.suppress(ValueError):
        told = json.loads(text)
        code = code or str(told.get("__type", "")).rpartition("#")[2]
        text = str(told.get("message") or told.get("Message") or text)
    if found := re.search(r"<Code>([^<]+)</Code>", text):
        code = code or found[1]
    if error.code == 403:
        code = "AccessDeniedException"
    return code or ("TooManyRequestsException" if error.code == 429 else "InternalServerException"), text
