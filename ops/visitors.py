"""Users of the API while an update runs: a rehearsal plays them, and counts what an update costs them."""

from __future__ import annotations

import random
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

PER_SECOND = 25.0
AT_ONCE = 8
PATIENCE_SECONDS = 10.0
# What people ask for, by how often; nothing that changes data.
PATHS = (("GET", "/api/products", 9), ("POST", "/health", 1))


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One request and how it ended.

    Attributes:
        status: HTTP status; 0 where there was no answer.
        ms: Milliseconds until the answer.
    """

    status: int
    ms: float

    @property
    def failed(self) -> bool:
        """Whether the service failed the visitor, and not the other way round."""
        return self.status == 0 or self.status >= 500


@dataclass(frozen=True, kw_only=True)
class Served:
    """What all visitors of an update met.

    Attributes:
        requests: How many there were.
        failed: How many of them the service failed.
        p95_ms: Milliseconds within which 95% were answered; None where nobody came.
    """

    requests: int
    failed: int
    p95_ms: float | None

    @classmethod
    def of(cls, visits: list[Visit]) -> Served:
        """Sum visits up."""
        times = sorted(visit.ms for visit in visits)
        # The nearest rank: the smallest time that at least 95% of the visits took at most.
        p95 = round(times[-(-95 * len(times) // 100) - 1], 1) if times else None
        return cls(requests=len(visits), failed=sum(visit.failed for visit in visits), p95_ms=p95)

    def describe(self) -> str:
        """Say it, as in `1200 requests, 3 failed, 95% within 14 ms`."""
        within = f", 95% within {self.p95_ms:.0f} ms" if self.p95_ms is not None else ""
        return f"{self.requests} requests, {self.failed or 'none'} failed{within}"


class Visitors:
    """Ask the API `PER_SECOND` times a second, from entry to exit.

    A late answer delays nobody else's question until `AT_ONCE` are waiting; then visitors queue, as they would.
    """

    def __init__(self, url: str, visit: Callable[[str, str], Visit] | None = None) -> None:
        """Prepare to ask.

        Args:
            url: The API's address; paths are appended.
            visit: Makes one request, by method and URL.
        """
        self._url = url
        self._visit = visit or _visit
        self._visits: list[Visit] = []
        self._ended = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="visitor")
        self._thread = threading.Thread(target=self._keep_coming, name="visitors", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()
        self._pool.shutdown(cancel_futures=True)

    @property
    def served(self) -> Served:
        """What they met so far."""
        return Served.of(list(self._visits))

    def _keep_coming(self) -> None:
        paths = random.Random(0)  # noqa: S311 -- the same crowd every time
        choices = [(method, path) for method, path, _ in PATHS]
        weights = [weight for _, _, weight in PATHS]
        while not self._ended.wait(1 / PER_SECOND):
            [(method, path)] = paths.choices(choices, weights)
            self._pool.submit(self._one, method, f"{self._url}{path}")

    def _one(self, method: str, url: str) -> None:
        self._visits.append(self._visit(method, url))


def _visit(method: str, url: str) -> Visit:
    request = urllib.request.Request(url, method=method)  # noqa: S310 the gateway's own address
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy is not for loopback
    started = time.monotonic()
    try:
        with opener.open(request, timeout=PATIENCE_SECONDS) as answer:
            answer.read()
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    except OSError:
        status = 0
    return Visit(status=status, ms=(time.monotonic() - started) * 1000)
