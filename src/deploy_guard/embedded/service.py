"""The toy service: what a pod of the embedded cluster serves, and the payments API it calls.

Decides how the service behaves under its environment, which comes from the pod's template: so a
deploy changes the behaviour. A wrong PAYMENTS_URL makes an error loop: each failed payment is
tried again, at once and later, on the same few workers; the queue grows, latency with it, and
in the end requests are refused. All pods share one thread and one asyncio loop.

Environment: PAYMENTS_URL, PAYMENTS_KEY, LATENCY_MS (10), ERROR_RATIO (0), WARMUP_SECONDS (0),
WORKERS (4), QUEUE (64), SEED.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from deploy_guard.embedded.small_http import (
    Handler,
    HttpClient,
    HttpServer,
    Request,
    Response,
)
from deploy_guard.embedded.toy_metrics import CONTENT_TYPE, Counter, Histogram, gauge_lines

T = TypeVar("T")

CALL_TIMEOUT = 2.0  # seconds for one call of the payments API
ATTEMPTS = 3  # calls per payment before it counts as failed
BACK_OFF = 0.1  # seconds before the second call, doubled before the third
RETRY_LATER = 1.0  # seconds until a failed payment is tried again
DRAIN = 1.0  # seconds for the requests of a pod that ends
OPEN_PAYMENTS = 500  # failed payments that are kept for later
PAYMENTS_PATH = "/v1/charges"


class ToyHost:
    """The thread and loop in which all toy services, the payments API and the load run."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = HttpClient()
        self._opened = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[HttpServer] = []
        self._thread = threading.Thread(target=self._run, name="toy-services", daemon=True)
        self._thread.start()

    def open(self, name: str, environment: Mapping[str, str]) -> ToyService:
        """Start a service and return it; its port is open then."""
        self._opened += 1
        service = ToyService(self, name, environment, seed=self._opened)
        self.call(service.start())
        return service

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=30)

    def do(self, work: Callable[[], None]) -> None:
        """Run a function in the loop, soon; do nothing when the host is closed."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(work)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task from inside the loop; it is cancelled at the latest by `close`."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def server(self, handler: Handler) -> HttpServer:
        """Return a server that is closed at the latest by `close`."""
        server = HttpServer(handler)
        self._servers.append(server)
        return server

    def close(self) -> None:
        """Cancel everything, close every socket and end the thread."""
        if self.loop.is_closed():
            return
        self.call(self._end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for _ in range(5):  # what is just being accepted, and aborted, must not be cancelled
            await asyncio.sleep(0)
        this = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not this]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.client.close()
        await asyncio.sleep(0)  # so that aborted connections are told and closed


class ToyService:
    """One pod's service."""

    def __init__(
        self, host: ToyHost, name: str, environment: Mapping[str, str], *, seed: int
    ) -> None:
        self.name = name
        self._host = host
        self._payments_url = environment.get("PAYMENTS_URL", "")
        self._payments_key = environment.get("PAYMENTS_KEY", "")
        self._latency = _number(environment, "LATENCY_MS", 10.0) / 1000
        self._error_ratio = _number(environment, "ERROR_RATIO", 0.0)
        self._warm_at = time.monotonic() + _number(environment, "WARMUP_SECONDS", 0.0)
        self._workers = asyncio.Semaphore(int(_number(environment, "WORKERS", 4)))
        self._queue = int(_number(environment, "QUEUE", 64))
        self._random = random.Random(f"{environment.get('SEED', '')}/{seed}")
        self._server = host.server(self._handle)
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._open_payments = 0
        self._started = time.time()
        labels = ("code", "method", "path")
        self._requests = Counter("http_requests_total", "Requests answered.", labels)
        self._durations = Histogram(
            "http_request_duration_seconds", "Time to answer a request.", ("method", "path")
        )
        self._calls = Counter(
            "api_client_requests_total", "Calls of other services.", ("integration", "code")
        )
        self._call_durations = Histogram(
            "api_client_request_duration_seconds", "Time of a call.", ("integration",)
        )

    @property
    def port(self) -> int:
        """The port on 127.0.0.1 where the service listens."""
        return self._server.port

    async def start(self) -> None:
        """Listen."""
        await self._server.start()

    def close(self) -> None:
        """Take no more requests; those that are being answered get DRAIN seconds."""
        self._host.do(self._close)

    def _close(self) -> None:
        self._server.close(drain=DRAIN)
        for task in list(self._tasks):
            task.cancel()
        self._host.client.forget(("127.0.0.1", self.port))

    async def _handle(self, request: Request) -> Response:
        path = request.path.partition("?")[0]
        if path == "/metrics":
            return Response(200, self.metrics().encode(), CONTENT_TYPE)
        if path == "/healthz":
            warm = time.monotonic() >= self._warm_at
            return Response(200, b"ok\n") if warm else Response(503, b"warming up\n")
        began = time.monotonic()
        status = await self._work() if path == "/" else 404
        self._requests.add(str(status), request.method, path if status != 404 else "other")
        if status != 404:
            self._durations.observe(time.monotonic() - began, request.method, path)
        return Response(status, f"{status}\n".encode())

    async def _work(self) -> int:
        if self._waiting >= self._queue:
            return 503
        self._waiting += 1
        try:
            await self._workers.acquire()
        finally:
            self._waiting -= 1
        try:
            await asyncio.sleep(self._latency * self._random.uniform(0.8, 1.2))
            if self._random.random() < self._error_ratio:
                return 500
            return 200 if not self._payments_url or await self._pay() else self._keep_payment()
        finally:
            self._workers.release()

    async def _pay(self) -> bool:
        """Call the payments API, up to three times; return whether it took the payment."""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(BACK_OFF * 2 ** (attempt - 1))
            if await self._call():
                return True
        return False

    async def _call(self) -> bool:
        began = time.monotonic()
        headers = {"Authorization": f"Bearer {self._payments_key}"} if self._payments_key else None
        try:
            answer = await self._host.client.get(
                self._payments_url, timeout=CALL_TIMEOUT, headers=headers
            )
            code = str(answer.status)
        except TimeoutError:
            code = "timeout"
        except (OSError, ValueError):
            code = "error"
        self._calls.add("payments", code)
        self._call_durations.observe(time.monotonic() - began, "payments")
        return code == "200"

    def _keep_payment(self) -> int:
        if self._open_payments < OPEN_PAYMENTS:
            self._open_payments += 1
            task = self._host.spawn(self._pay_later())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return 502

    async def _pay_later(self) -> None:
        """Try a failed payment again and again: with a wrong URL this is the error loop."""
        try:
            paid = False
            while not paid:
                await asyncio.sleep(RETRY_LATER * self._random.uniform(0.8, 1.2))
                async with self._workers:
                    paid = await self._pay()
        finally:
            self._open_payments -= 1

    def metrics(self) -> str:
        """Return the metrics in Prometheus' text format."""
        lines = [
            *self._requests.lines(),
            *self._durations.lines(),
            *self._calls.lines(),
            *self._call_durations.lines(),
            *gauge_lines("http_requests_waiting", "Requests without a worker.", self._waiting),
            *gauge_lines("open_payments", "Payments to be tried again.", self._open_payments),
            *gauge_lines("process_start_time_seconds", "Start, Unix time.", self._started),
        ]
        return "\n".join(lines) + "\n"


class PaymentsApi:
    """The API integration's other side; `fail` is its own outage, `latency` its time in seconds.

    Answers 200 at its path, 404 elsewhere, and 401 when `key` is set and not sent.
    """

    def __init__(self, host: ToyHost) -> None:
        self.fail = False
        self.latency = 0.005
        self.key = ""
        self._host = host
        self._server = host.server(self._handle)
        host.call(self._server.start())

    @property
    def base_url(self) -> str:
        """The address without a path."""
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def url(self) -> str:
        """The right PAYMENTS_URL."""
        return self.base_url + PAYMENTS_PATH

    def close(self) -> None:
        """Stop listening."""
        self._host.do(self._server.close)

    async def _handle(self, request: Request) -> Response:
        await asyncio.sleep(self.latency)
        if self.fail:
            return Response(503, b'{"error": "unavailable"}\n', "application/json")
        if request.path.partition("?")[0] != PAYMENTS_PATH:
            return Response(404, b'{"error": "no such endpoint"}\n', "application/json")
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return Response(401, b'{"error": "unauthorized"}\n', "application/json")
        return Response(200, b'{"status": "paid"}\n', "application/json")


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(environment.get(name, default))
    except ValueError:
        return default
