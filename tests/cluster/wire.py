"""A TCP proxy before a server, whose wire can be cut, frozen or unplugged."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from urllib.parse import urlsplit


class Wire:
    """Forwards bytes between clients and the server at `url`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.frozen = False
        self.unplugged = False
        self._peers: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def cut(self) -> None:
        """Reset every open connection."""
        with self._lock:
            for side in list(self._peers):
                self._drop(side)

    def close(self) -> None:
        """Close everything."""
        self._stopping.set()
        self._thread.join()
        self.cut()
        self._selector.close()
        self._listener.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self.frozen:
                self._stopping.wait(0.01)
                continue
            for key, _ in self._selector.select(0.01):
                with self._lock, contextlib.suppress(OSError):
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket):
                        self._forward(key.fileobj)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self.unplugged:
            client.close()
            return
        server = socket.create_connection(self._server)
        self._peers |= {client: server, server: client}
        for side in (client, server):
            self._selector.register(side, selectors.EVENT_READ)

    def _forward(self, side: socket.socket) -> None:
        if side not in self._peers:
            return
        try:
            data = side.recv(65536)
        except OSError:
            data = b""
        if data:
            self._peers[side].sendall(data)
        else:
            self._drop(side)

    def _drop(self, side: socket.socket) -> None:
        peer = self._peers.pop(side, None)
        if peer is None:
            return
        self._peers.pop(peer, None)
        for end in (side, peer):
            self._selector.unregister(end)
            end.close()
