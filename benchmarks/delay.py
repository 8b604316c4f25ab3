"""A wire of some length: forwards TCP connections, with a delay in each direction.

Decides when bytes go on, and that opening a connection takes a round trip as well. Bandwidth has no
limit, and nothing is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Self

Chunk = tuple[float, bytes]


class Wire:
    """Listens on a port of its own, for a server at `port` of this machine.

    `round_trip` is in seconds: half of it passes before a byte goes on, in either direction.
    """

    def __init__(self, port: int, *, round_trip: float) -> None:
        self._upstream = port
        self._delay = round_trip / 2
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0)
        )
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await asyncio.sleep(self._delay * 2)  # the handshake
            far, there = await asyncio.open_connection("127.0.0.1", self._upstream)
            try:
                await asyncio.gather(self._carry(near, there), self._carry(far, back))
            finally:
                there.close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            back.close()
            self._tasks.discard(task)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Forward what is read as long as it is read; each piece waits for itself alone."""
        under_way: asyncio.Queue[Chunk] = asyncio.Queue()
        delivery = asyncio.create_task(self._deliver(under_way, sink))
        try:
            while data := await source.read(65536):
                under_way.put_nowait((self._loop.time() + self._delay, data))
            under_way.put_nowait((self._loop.time() + self._delay, b""))
            await delivery
        finally:
            delivery.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await delivery

    async def _deliver(self, under_way: asyncio.Queue[Chunk], sink: asyncio.StreamWriter) -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            if not data:
                sink.close()
                return
            sink.write(data)
            await sink.drain()
