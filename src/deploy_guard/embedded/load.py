"""Traffic for the toy service: real requests at a rate, spread over the pods that are ready.

Decides when a request is sent and to which pod. Like users, it does not wait for the answer of
one request before it sends the next.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from deploy_guard.embedded.service import ToyHost

REQUEST_TIMEOUT = 10.0  # seconds
IN_FLIGHT = 1000  # requests without an answer before new ones are given up

Addresses = Callable[[], Sequence[tuple[str, int]]]


class Load:
    """Sends `rate` requests a second in all, until closed; counts the answers by code."""

    def __init__(self, host: ToyHost, addresses: Addresses, *, rate: float) -> None:
        self.counts: Counter[str] = Counter()
        self._host = host
        self._addresses = addresses
        self._rate = rate
        self._in_flight = 0
        self._turn = 0
        self._task = asyncio.run_coroutine_threadsafe(self._send(), host.loop)

    def close(self) -> None:
        """Send no more."""
        self._task.cancel()

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            targets = self._addresses()
            while due <= loop.time():
                due += 1 / self._rate
                self._send_one(targets)
            await asyncio.sleep(max(0.0, due - loop.time()))

    def _send_one(self, targets: Sequence[tuple[str, int]]) -> None:
        if not targets:
            self.counts["no pod"] += 1
            return
        if self._in_flight >= IN_FLIGHT:
            self.counts["given up"] += 1
            return
        self._turn += 1
        host, port = targets[self._turn % len(targets)]
        self._in_flight += 1
        self._host.spawn(self._request(f"http://{host}:{port}/"))

    async def _request(self, url: str) -> None:
        try:
            answer = await self._host.client.get(url, timeout=REQUEST_TIMEOUT)
            self.counts[str(answer.status)] += 1
        except TimeoutError:
            self.counts["timeout"] += 1
        except OSError:
            self.counts["error"] += 1
        finally:
            self._in_flight -= 1
