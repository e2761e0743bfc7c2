"""The health probe: asks the API as a user would, from outside, and measures whether it is up."""

from __future__ import annotations

import functools
import http.client
import json
import logging
import os
import ssl
import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from app import logs
from app.environment import ProbeEnvironment
from app.metrics import FUNCTION, Measure, Meter, Unit

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds without a byte. Both questions have to fit into the function's own 30, or a probe that hangs measures nothing.
TIMEOUT: Final = 10.0
# Bytes of an answer that are read: the largest page of products is far smaller.
LIMIT: Final = 1 << 20
# Characters of a wrong answer that the log shows.
SHOWN: Final = 300


@dataclass(frozen=True)
class Question:
    """One request and what makes its answer right.

    Attributes:
        method: The HTTP method.
        path: The path below the API's address.
        right: Whether a document that came with status 200 is the one that was asked for.
    """

    method: str
    path: str
    right: Callable[[dict[str, Any]], bool]


QUESTIONS: Final = (
    Question("POST", "/health", lambda document: document.get("status") == "ok"),
    Question("GET", "/api/products", lambda document: isinstance(document.get("items"), list)),
)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Asks one API.

    Attributes:
        url: Its address.
        meter: Where the outcome is measured.
        clock: Monotonic seconds.
        timeout: Seconds to wait for the next byte.
    """

    url: str
    meter: Meter
    clock: Callable[[], float] = time.monotonic
    timeout: float = TIMEOUT

    def run(self) -> dict[str, Any]:
        """Ask all questions, and measure whether every answer was right and how long the slowest took.

        An API that is down is what a probe is there to find, and no failure of its own: it raises nothing, for Lambda
        would run it again, and again, to measure a moment that is over.
        """
        answers = {f"{question.method} {question.path}": self._ask(question) for question in QUESTIONS}
        failures = {name: failure for name, (failure, _) in answers.items() if failure is not None}
        latency = max(milliseconds for _, milliseconds in answers.values())
        measures = {
            "ProbeSuccess": Measure(int(not failures), Unit.COUNT),
            "ProbeLatency": Measure(latency, Unit.MILLISECONDS),
        }
        level = logging.ERROR if failures else logging.INFO
        self.meter.write("probe", measures, by=([FUNCTION],), level=level, url=self.url, failures=failures)
        return {"success": not failures, "latencyMs": latency, "failures": failures}

    def _ask(self, question: Question) -> tuple[str | None, float]:
        """What was wrong with the answer, if anything, and the milliseconds that it took."""
        request = urllib.request.Request(  # noqa: S310 - the environment admits https, and http on loopback
            self.url + question.path,
            method=question.method,
            data=b"" if question.method == "POST" else None,
            headers={"accept": "application/json", "user-agent": "product-api-probe"},
        )
        started = self.clock()
        try:
            with _opener().open(request, timeout=self.timeout) as response:
                status, body = response.status, response.read(LIMIT)
        except (OSError, http.client.HTTPException) as error:  # a timeout and a wrong certificate among them
            failure: str | None = f"{type(error).__name__}: {' '.join(str(error).split())}"
        else:
            failure = None if _is_right(question, status, body) else f"answered {status}: {_shown(body[:SHOWN])}"
        return failure, round((self.clock() - started) * 1000, 2)


def handler(event: object, context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's contract
    """Lambda's entry point.

    Args:
        event: The schedule's; it says nothing.
        context: Lambda's context object.

    Raises:
        EnvironmentVariableError: There is nothing to probe. That does raise: an alarm misses the measure, Lambda counts
            an error, and the invocation ends among the dead letters.
    """
    logs.REQUEST.set({"requestId": str(getattr(context, "aws_request_id", ""))})
    return _probe().run()


@functools.cache
def _probe() -> Probe:
    logs.configure("INFO")
    environment = ProbeEnvironment.read(os.environ)
    logs.configure(environment.log_level)
    return Probe(url=environment.api_url, meter=Meter.read(os.environ))


class _AsItIs(urllib.request.HTTPErrorProcessor):
    """Leaves every answer as it is: a redirect is no right one, for then another service would answer for this one."""

    def http_response(self, request: urllib.request.Request, response: Any) -> Any:  # noqa: ARG002 - urllib's signature
        """The answer."""
        return response

    https_response = http_response


@functools.cache
def _opener() -> urllib.request.OpenerDirector:
    secured = urllib.request.HTTPSHandler(context=ssl.create_default_context())
    # No proxy, whatever the environment says: it could answer from a cache.
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), secured, _AsItIs)


def _is_right(question: Question, status: int, body: bytes) -> bool:
    if status != http.HTTPStatus.OK:
        return False
    try:
        document = json.loads(body)
    except ValueError:
        return False
    return isinstance(document, dict) and question.right(document)


def _shown(body: bytes) -> str:
    return " ".join(body.decode(errors="replace").split())
