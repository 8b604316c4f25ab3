"""A reverse proxy on a real socket whose faults are chosen at run time.

It stands before the embedded API server or before Prometheus. A rule says which requests it is
about and what happens to them (`behaviours`); without a matching rule a request is forwarded.
Decides nothing about what is a right reaction.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Behaviour = Callable[["Exchange"], None]
MOMENT = 0.01  # seconds between two looks whether a fault has ended
HOP = {"connection", "transfer-encoding", "content-length", "date", "server", "keep-alive"}
QUESTIONS = ("reviews", "/query", "/query_range")  # POSTs that only ask
CHANGING = ("resourceVersion", "timeoutSeconds", "time", "timeout", "start", "end")


class Reset(Exception):
    """The connection is to be dropped with a RST, whatever was promised."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    target: str  # path and query
    headers: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """``watch``, ``read`` or ``write``; a review, a query, a dry run store nothing: reads."""
        if "watch" in self.query:
            return "watch"
        stored = self.method != "GET" and "dryRun" not in self.query
        return "write" if stored and not self.path.endswith(QUESTIONS) else "read"

    @property
    def name(self) -> str:
        """What two requests for the same thing share, whenever they are sent."""
        parts = {k: v for k, v in self.query.items() if k not in CHANGING}
        return f"{self.method} {self.path} {parts} {self.headers.get('accept')}"

    def changes_template(self) -> bool:
        """Tell whether this asks for another pod template, to be stored."""
        if self.kind != "write" or self.method != "PATCH":
            return False
        body = json.loads(self.body)
        if isinstance(body, dict):  # a merge patch
            return "template" in (body.get("spec") or {})
        changing = [o for o in body if o["op"] != "test"]
        return any(o["path"].startswith("/spec/template") for o in changing)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came from the server behind the proxy, or is given in its place."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Served:
    """A request that was forwarded, and the status that it had there."""

    request: Request
    status: int


@dataclass(eq=False)
class Rule:
    """What happens to which requests: of a kind, with a path, the first so many, for a time.

    `kinds` empty: all. `first` is how many requests it is for; `until` a moment of time.monotonic.
    `hits` counts the requests that it caught.
    """

    behaviour: Behaviour
    kinds: tuple[str, ...] = ()
    path: str = ""
    first: int | None = None
    until: float | None = None
    hits: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    @property
    def over(self) -> bool:
        """Whether it has no effect any more."""
        late = self.until is not None and time.monotonic() >= self.until
        return late or self._ended.is_set()

    def end(self) -> None:
        """Let requests through from now on; those that are held are let go."""
        self._ended.set()

    def takes(self, request: Request) -> bool:
        """Tell whether the request is one of those."""
        if self.over or (self.first is not None and self.hits >= self.first):
            return False
        known = not self.kinds or request.kind in self.kinds
        return known and re.search(self.path, request.path) is not None


class FaultProxy:
    """The proxy before the server at `url`; listens at its own `url`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.upstream = (parts.hostname or "", parts.port or 80)
        self.prefix = parts.path.rstrip("/")
        self.served: list[Served] = []
        self.memory: dict[str, Answer] = {}  # the first answer to each read
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self._rules: list[Rule] = []
        self._port = 0
        self._place: socket.socket | None = None  # holds the port while nobody listens
        self._open()
        self.url = f"http://127.0.0.1:{self._port}"

    # --- faults ---------------------------------------------------------------------------

    def fail(
        self,
        behaviour: Behaviour,
        *kinds: str,
        path: str = "",
        first: int | None = None,
        seconds: float | None = None,
        cut: bool = False,
    ) -> Rule:
        """Add a rule, which goes before older ones; `cut` also resets what is open now."""
        until = None if seconds is None else time.monotonic() + seconds
        rule = Rule(behaviour, kinds, path, first, until)
        with self.lock:
            self._rules.insert(0, rule)
        if cut:
            self.cut()
        return rule

    def heal(self) -> None:
        """End all rules."""
        with self.lock:
            rules, self._rules = self._rules, []
        for rule in rules:
            rule.end()

    def cut(self) -> None:
        """Reset every open connection."""
        self._server.cut()

    def go_away(self) -> None:
        """Reset every connection and refuse new ones."""
        self._server.end()
        self._thread.join()
        if self._place is None:
            # who only binds a port refuses connections, and keeps it from others meanwhile
            self._place = socket.socket()
            self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._place.bind(("127.0.0.1", self._port))

    def come_back(self) -> None:
        """Listen again, on the same port."""
        self._open()
        self._let_go()

    # --- what was seen --------------------------------------------------------------------

    def stored(self) -> list[Request]:
        """Return the writes that the server behind accepted, in their order."""
        with self.lock:
            return [s.request for s in self.served if s.request.kind == "write" and s.status < 300]

    def rollbacks(self) -> int:
        """Return how often the server behind was made to store another pod template."""
        return sum(request.changes_template() for request in self.stored())

    # --- the machinery --------------------------------------------------------------------

    def rule_for(self, request: Request) -> Rule | None:
        """Return the rule that this request falls under, and count it."""
        with self.lock:
            for rule in self._rules:
                if rule.takes(request):
                    rule.hits += 1
                    return rule
        return None

    def silenced(self, request: Request) -> Rule | None:
        """Return the rule that keeps an open watch silent."""
        with self.lock:
            rules = list(self._rules)
        for rule in rules:
            if rule.behaviour is silent and rule.takes(request):
                return rule
        return None

    def close(self) -> None:
        """End everything."""
        self.closing.set()
        self.heal()
        self.go_away()
        self._let_go()

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _let_go(self) -> None:
        if self._place is not None:
            self._place.close()
            self._place = None

    def _open(self) -> None:
        self._server = _Server(("127.0.0.1", self._port), self)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], proxy: FaultProxy) -> None:
        self.proxy = proxy
        self._lock = threading.Lock()
        self._open: dict[socket.socket, list[Callable[[], None]]] = {}
        self._reset: set[socket.socket] = set()
        super().__init__(address, Exchange)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open[request] = []
        super().process_request(request, client_address)

    def drops(self, connection: socket.socket) -> bool:
        """Tell whether a connection was cut."""
        return connection in self._reset

    def on_cut(self, connection: socket.socket, call: Callable[[], None]) -> None:
        """Have something called when the connection is cut, at once if it was."""
        with self._lock:
            if connection not in self._reset:
                self._open[connection].append(call)
                return
        call()

    def reset(self, connection: socket.socket) -> None:
        """Make the close of a connection a RST."""
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._reset.add(connection)

    def cut(self) -> None:
        """Reset every open connection; their threads end soon."""
        with self._lock:
            for connection, calls in self._open.items():
                self.reset(connection)
                for call in calls:
                    call()
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)

    def end(self) -> None:
        """Refuse connections, and reset those that are open."""
        self.shutdown()
        self.socket.close()
        self.cut()
        self.server_close()  # waits for the threads

    def shutdown_request(self, request: Any) -> None:
        """Close without a FIN where a RST was asked for."""
        with self._lock:
            self._open.pop(request, None)
        if request in self._reset:
            self.close_request(request)
            self._reset.discard(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: broken connections are what this is for."""


class Exchange(BaseHTTPRequestHandler):
    """One request and what becomes of it; behaviours use `forward`, `send` and `hold`."""

    protocol_version = "HTTP/1.1"
    server: _Server
    request_read: Request
    rule: Rule | None = None

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = parse_qs(parts.query, keep_blank_values=True)
        target = parts.path + (f"?{parts.query}" if parts.query else "")  # to a proxy: with a host
        request = Request(self.command, parts.path, query, target, headers, body)
        self.request_read = request
        self.rule = self.server.proxy.rule_for(request)
        try:
            (self.rule.behaviour if self.rule else passed)(self)
        except (Reset, http.client.HTTPException, OSError):
            self.server.reset(self.connection)
            self.close_connection = True

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class' names

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def forward(self, *, body: bytes | None = None) -> Answer:
        """Ask the server behind and return its whole answer."""
        with contextlib.closing(self._ask(body)) as connection:
            found = connection.getresponse()
            answer = Answer(found.status, dict(found.getheaders()), found.read())
            self._note(found.status)
        if self.request_read.kind == "read" and answer.status == 200:
            with self.server.proxy.lock:
                self.server.proxy.memory.setdefault(self.request_read.name, answer)
        return answer

    def stream(self) -> None:
        """Pass a watch on, piece by piece, unless it is silenced."""
        with contextlib.closing(self._ask(None)) as connection:
            found = connection.getresponse()
            self._note(found.status)
            self._head(Answer(found.status, dict(found.getheaders()), b""), chunked=True)
            while piece := found.read1(65536):
                if rule := self.server.proxy.silenced(self.request_read):
                    self.hold(rule)
                self._chunk(piece)
            if self.server.drops(self.connection):
                raise Reset
            self._chunk(b"")

    def send(self, answer: Answer, *, pause: float = 0.0) -> None:
        """Send an answer; with `pause` byte by byte, seconds apart, while the fault lasts."""
        self._head(answer)
        rest = answer.body
        while rest and pause and not (self.rule and self.rule.over):
            self.wfile.write(rest[:1])
            rest = rest[1:]
            self.hold(self.rule, pause)
        self.wfile.write(rest)

    def hold(self, rule: Rule | None, seconds: float | None = None) -> None:
        """Wait until the rule is over or `seconds` have passed; a cut ends it with a reset."""
        end = None if seconds is None else time.monotonic() + seconds
        while not (rule and rule.over) and (end is None or time.monotonic() < end):
            if self.server.drops(self.connection) or self.server.proxy.closing.wait(MOMENT):
                raise Reset

    def open_stream(self) -> None:
        """Promise a stream of events without asking anybody."""
        self._head(Answer(200, {"Content-Type": "application/json"}, b""), chunked=True)

    def end_stream(self) -> None:
        """End such a stream as a server does."""
        self._chunk(b"")

    def _ask(self, body: bytes | None) -> http.client.HTTPConnection:
        proxy = self.server.proxy
        read = self.request_read
        headers = {k: v for k, v in read.headers.items() if k not in {*HOP, "host"}}
        connection = http.client.HTTPConnection(*proxy.upstream, timeout=30)
        connection.connect()
        upstream = connection.sock
        self.server.on_cut(self.connection, lambda: _shut(upstream))
        try:
            target = proxy.prefix + read.target
            sent = body or read.body or None
            connection.request(read.method, target, body=sent, headers=headers)
        except BaseException:
            connection.close()
            raise
        return connection

    def _note(self, status: int) -> None:
        with self.server.proxy.lock:
            self.server.proxy.served.append(Served(self.request_read, status))

    def _head(self, answer: Answer, *, chunked: bool = False) -> None:
        self.send_response_only(answer.status)
        given = {name.lower(): value for name, value in answer.headers.items()}
        self.send_header("Date", given.get("date") or self.date_time_string())
        for name, value in given.items():
            if name not in HOP:
                self.send_header(name, value)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()

    def _chunk(self, piece: bytes) -> None:
        self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.wfile.flush()


def _shut(connection: socket.socket | None) -> None:
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


# --- behaviours -------------------------------------------------------------------------------


def passed(exchange: Exchange) -> None:
    """Forward it."""
    if exchange.request_read.kind == "watch":
        exchange.stream()
    else:
        exchange.send(exchange.forward())


def status(code: int, *, retry_after: str | None = None) -> Behaviour:
    """Answer with a status, as API servers, Prometheus and load balancers do: no use in it."""
    headers = {"Content-Type": "text/plain"} | (
        {} if retry_after is None else {"Retry-After": retry_after}
    )

    def behave(exchange: Exchange) -> None:
        exchange.send(Answer(code, headers, b"out of order\n"))

    return behave


def expired(exchange: Exchange) -> None:
    """Answer 401, as to a token that has expired."""
    text = {"kind": "Status", "code": 401, "reason": "Unauthorized", "message": "Unauthorized"}
    body = json.dumps(text).encode()
    exchange.send(Answer(401, {"Content-Type": "application/json"}, body))


def only_with(token: str) -> Behaviour:
    """Answer 401 to all that do not show this bearer token."""

    def behave(exchange: Exchange) -> None:
        shown = exchange.request_read.headers.get("authorization", "")
        (passed if shown.lower() == f"bearer {token}".lower() else expired)(exchange)

    return behave


def reset(exchange: Exchange) -> None:
    """Drop the connection before the request is forwarded."""
    raise Reset


def lost(exchange: Exchange) -> None:
    """Have the request done and drop the connection instead of answering."""
    exchange.forward()
    raise Reset


def hang(exchange: Exchange) -> None:
    """Say nothing until the fault is over, then drop the connection."""
    exchange.hold(exchange.rule)
    raise Reset


def late(seconds: float) -> Behaviour:
    """Forward it so many seconds later."""

    def behave(exchange: Exchange) -> None:
        exchange.hold(exchange.rule, seconds)
        passed(exchange)

    return behave


def drops(exchange: Exchange) -> None:
    """Answer drop by drop: 20 bytes a second."""
    exchange.send(exchange.forward(), pause=0.05)


def stale(exchange: Exchange) -> None:
    """Answer a read as it was answered the first time; forward what was never asked."""
    known = exchange.server.proxy.memory.get(exchange.request_read.name)
    if known is None or exchange.request_read.kind != "read":
        passed(exchange)
    else:
        exchange.send(known)


def ended(exchange: Exchange) -> None:
    """End a watch as soon as it is opened."""
    exchange.open_stream()
    exchange.end_stream()


def silent(exchange: Exchange) -> None:
    """Open a watch, or keep an open one, and say nothing; end it when the fault is over."""
    exchange.open_stream()
    exchange.hold(exchange.rule)
    exchange.end_stream()


def dated(date: str) -> Behaviour:
    """Forward it, and answer with another header Date."""

    def behave(exchange: Exchange) -> None:
        found = exchange.forward()
        exchange.send(Answer(found.status, {**found.headers, "Date": date}, found.body))

    return behave


def as_of(moment: float) -> Behaviour:
    """Have Prometheus answer as of a moment: what it says when it takes in nothing any more."""

    def behave(exchange: Exchange) -> None:
        body = re.sub(rb"(^|&)time=[^&]*", rb"\1time=%.3f" % moment, exchange.request_read.body)
        exchange.send(exchange.forward(body=body))

    return behave
