"""The health probe against servers of every kind: what it takes for an API that is up, and what for a failure."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app import logs, probe
from app.environment import EnvironmentVariableError
from app.metrics import Meter
from app.probe import Probe
from sandbox.cloud.tls import Authority
from tests.support.http import Clock, event
from tests.support.metrics import metrics_in

if TYPE_CHECKING:
    import io
    import ssl
    from collections.abc import Iterator

    from tests.support.http import Stack

ROOT = Path(__file__).parents[2]
WELL = {"POST /health": (200, b'{"status": "ok"}'), "GET /api/products": (200, b'{"items": [], "next_cursor": null}')}
PROBE = (("Function", "probe"),)


@dataclass
class Api:
    """An API that answers as it is told.

    Attributes:
        answers: Status and body by method and path; None says nothing at all.
        asked: What it was asked so far, and with which headers.
        url: Its address.
    """

    answers: dict[str, tuple[int, bytes] | None] = field(default_factory=lambda: dict(WELL))
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Api]:
    """Serve an API on loopback, over TLS where a context is given."""
    told = Api()
    released = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            name = f"{self.command} {self.path}"
            told.asked.append((name, {key.lower(): value for key, value in self.headers.items()}))
            answer = told.answers[name]
            if answer is None:
                released.wait(60)
                return
            self.send_response(answer[0])
            self.send_header("location", "/api/elsewhere")
            self.send_header("content-length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        do_GET = do_POST = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        told.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield told
        finally:
            released.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def served() -> Iterator[Api]:
    """An API that is well."""
    with serving() as told:
        yield told


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    """Each test has a process of its own, as it were."""
    yield
    probe._probe.cache_clear()
    probe._opener.cache_clear()
    logs.REQUEST.set(None)


def probing(url: str, timeout: float = 30) -> dict[str, Any]:
    """Probe an API once."""
    meter = Meter(function="probe", version="1", memory_mb=128, peak_kib=lambda: None)
    return Probe(url=url, meter=meter, timeout=timeout).run()


def test_an_api_that_is_well_is_a_success(served: Api, lines: io.StringIO) -> None:
    """Measured for the function alone: an alarm does not care for the probe's version."""
    logs.configure("ERROR")
    found = probing(served.url)

    assert (found["success"], found["failures"]) == (True, {})
    assert [name for name, _ in served.asked] == ["POST /health", "GET /api/products"]
    assert metrics_in(lines.getvalue()) == [
        {("ProbeSuccess", PROBE): (1, "Count"), ("ProbeLatency", PROBE): (found["latencyMs"], "Milliseconds")}
    ]
    assert json.loads(lines.getvalue())["level"] == "INFO"


def test_the_latency_is_that_of_the_slower_answer(served: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that a user would wait for."""
    clock = Clock()
    took = iter([0.125, 0.5])
    right = probe._is_right

    def slow(*given: Any) -> bool:
        clock.now += next(took)
        return right(*given)

    monkeypatch.setattr(probe, "_is_right", slow)
    meter = Meter(function="probe", version="1", memory_mb=None, peak_kib=lambda: None)

    assert Probe(url=served.url, meter=meter, clock=clock).run()["latencyMs"] == 500.0


@pytest.mark.parametrize(
    ("question", "answer", "failure"),
    [
        ("POST /health", (503, b'{"status":\n"unavailable"}'), 'answered 503: {"status": "unavailable"}'),
        ("POST /health", (200, b'{"status": "unavailable"}'), 'answered 200: {"status": "unavailable"}'),
        ("POST /health", (200, b"<html>parked</html>"), "answered 200: <html>parked</html>"),
        ("POST /health", (204, b""), "answered 204: "),
        ("GET /api/products", (200, b'["items"]'), 'answered 200: ["items"]'),
        ("GET /api/products", (200, b'{"items": null}'), 'answered 200: {"items": null}'),
        ("GET /api/products", (302, b""), "answered 302: "),
        ("GET /api/products", (500, b"x" * 5000), f"answered 500: {'x' * 300}"),
        ("GET /api/products", (200, b"\xff\xfe"), "answered 200: \ufffd\ufffd"),
    ],
)
def test_a_wrong_answer_is_a_failure_that_says_what_came(
    served: Api, lines: io.StringIO, question: str, answer: tuple[int, bytes], failure: str
) -> None:
    """In the line that carries the metrics; the other question is asked all the same, and no redirect followed."""
    served.answers[question] = answer
    logs.configure("INFO")
    found = probing(served.url)

    assert (found["success"], found["failures"]) == (False, {question: failure})
    assert len(served.asked) == 2
    [taken] = metrics_in(lines.getvalue())
    assert taken["ProbeSuccess", PROBE] == (0, "Count")
    line = json.loads(lines.getvalue())
    assert (line["level"], line["failures"]) == ("ERROR", {question: failure})


def test_an_api_that_says_nothing_is_a_failure_and_not_waited_for(served: Api) -> None:
    """Both questions have to fit into the function's own time."""
    served.answers["POST /health"] = None

    assert "timed out" in probing(served.url, timeout=0.5)["failures"]["POST /health"]
    assert 2 * probe.TIMEOUT < 30


def test_nobody_there_is_a_failure(served: Api) -> None:
    """Refused, unknown: whatever the network says."""
    with serving() as gone:
        address = gone.url
    failures = probing(address)["failures"]

    assert set(failures) == set(WELL)
    assert all("refused" in failure for failure in failures.values())
    assert served.asked == []


def test_a_certificate_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the system's authorities."""
    authority = Authority(tmp_path)
    with serving(authority.endpoint("127.0.0.1")) as secured:
        assert "certificate verify failed" in probing(secured.url)["failures"]["POST /health"]
        assert secured.asked == []

        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        probe._opener.cache_clear()
        assert probing(secured.url)["success"] is True


def test_no_proxy_answers_in_its_place(served: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says of proxies is for others."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")

    assert probing(served.url)["success"] is True


def test_the_handler_probes_what_the_environment_names(
    served: Api, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Again without reading it again."""
    variables = {"ENVIRONMENT": "test", "API_URL": f"{served.url}/", "AWS_LAMBDA_FUNCTION_NAME": "probe"}
    monkeypatch.setattr(os, "environ", variables)
    for _ in range(2):
        assert json.loads(json.dumps(probe.handler({}, None)))["success"] is True
        variables["API_URL"] = "nonsense"

    assert [("ProbeSuccess", PROBE) in taken for taken in metrics_in(lines.getvalue())] == [True, True]


def test_a_probe_that_has_nothing_to_probe_raises(lines: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """It measures nothing, and the alarm takes that for a failure."""
    monkeypatch.setattr(os, "environ", {"ENVIRONMENT": "test"})
    with pytest.raises(EnvironmentVariableError, match="API_URL"):
        probe.handler({}, None)

    assert metrics_in(lines.getvalue()) == []


def test_the_api_itself_answers_as_the_probe_expects(stack: Stack) -> None:
    """The two are deployed together and have to agree."""
    for question in probe.QUESTIONS:
        response = stack.application.respond(event(question.method, question.path))
        assert probe._is_right(question, response["statusCode"], response["body"].encode())
    stack.application.database.close()
    stack.application.database.parameters["host"] = "/nowhere"
    for question in probe.QUESTIONS:
        response = stack.application.respond(event(question.method, question.path))
        assert not probe._is_right(question, response["statusCode"], response["body"].encode())


def test_what_is_watched_of_the_probe_is_what_it_writes(served: Api, lines: io.StringIO) -> None:
    """Alarms, objectives and the dashboard read these names."""
    sources = [path.read_text() for path in (ROOT / "components").glob("*.py")]
    read = {name for source in sources for name in re.findall(r'NAMESPACE, "(Probe\w+)"', source)}
    logs.configure("INFO")
    probing(served.url)

    assert read
    assert {(name, PROBE) for name in read} <= set(metrics_in(lines.getvalue())[0])
