"""Metrics of pods that do not exist: a Prometheus and the pods' own pages, computed from the time.

Decides how many series there are and how they grow: each pod serves 20 requests a second, one of
1,000 fails, in a histogram of 12 buckets, as a middle-sized web service has them.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

RATE = 20.0  # requests a second and pod
FAILING = 0.001
BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf")
SHARES = (0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1.0)
ROUTES = 8  # label values on a pod's page, each with its own counters and histogram
LIFE = 10_000_000.0  # seconds that old pods have counted already

Row = tuple[dict[str, str], float, float]  # labels, growth a second, start


class CannedMetrics:
    """Serves `/api/v1/query`, `/api/v1/query_range`, pods' pages and a probe, on a free port.

    Series of `old` pods end when the host starts; those of `new` ones begin there. A page of a pod
    has grown by `step` seconds each time it is read.
    """

    def __init__(self, *, old: Sequence[str], new: Sequence[str], step: float) -> None:
        self._old, self._new = old, new
        self._step = step
        self.began = time.time()
        self._reads: Counter[str] = Counter()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def kubeconfig_file(self, path: Path, like: Path) -> Path:
        """Write a kubeconfig whose API server answers for the pods' pages; return its path."""
        config = json.loads(like.read_text(encoding="utf-8"))
        config["clusters"][0]["cluster"] = {"server": self.url}
        path.write_text(json.dumps(config), encoding="utf-8")
        return path

    def instant(self, form: dict[str, str]) -> dict[str, Any]:
        """Answer an instant query: the new pods at a moment."""
        at, of_times = float(form["time"]), "timestamp(" in form["query"]
        found = [
            {"metric": labels, "value": [at, _text(at if of_times else grown)]}
            for labels, growth, start in _rows(form["query"], self._new, 0.0)
            for grown in [growth * (at - self.began) + start]
        ]
        return {"resultType": "vector", "result": found}

    def ranged(self, form: dict[str, str]) -> dict[str, Any]:
        """Answer a range query: the old pods, step by step."""
        start, end, step = (float(form[key]) for key in ("start", "end", "step"))
        moments = [start + number * step for number in range(int((end - start) / step + 1.5))]
        found = [
            {
                "metric": labels,
                "values": [[at, _text(growth * (at - self.began) + origin)] for at in moments],
            }
            for labels, growth, origin in _rows(form["query"], self._old, LIFE * RATE)
        ]
        return {"resultType": "matrix", "result": found}

    def page(self, pod: str) -> str:
        """Return the metrics page of a pod, grown since it was read last."""
        self._reads[pod] += 1
        total = self._reads[pod] * self._step * RATE / ROUTES
        lines = ["# TYPE http_requests_total counter"]
        for route in range(ROUTES):
            for code, share in (("200", 1 - FAILING), ("500", FAILING)):
                labels = f'{{route="/r{route}",method="GET",code="{code}"}}'
                lines.append(f"http_requests_total{labels} {_text(total * share)}")
        lines.append("# TYPE http_request_duration_seconds histogram")
        for route in range(ROUTES):
            labels = f'route="/r{route}",method="GET"'
            for bound, share in zip(BOUNDS, SHARES, strict=True):
                name = f'http_request_duration_seconds_bucket{{{labels},le="{bound}"}}'
                lines.append(f"{name} {_text(total * share)}")
            lines.append(f"http_request_duration_seconds_sum{{{labels}}} {_text(total * 0.03)}")
            lines.append(f"http_request_duration_seconds_count{{{labels}}} {_text(total)}")
        return "\n".join([*lines, ""])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _rows(query: str, pods: Sequence[str], start: float) -> list[Row]:
    """Return the series of a query, told by the name of its metric."""
    if "_bucket" in query:
        return [
            ({"pod": pod, "le": bound}, RATE * share, start * share)
            for pod in pods
            for bound, share in zip(BOUNDS, SHARES, strict=True)
        ]
    if "queue_depth" in query:
        return [({}, 0.0, 3.0)]
    share = FAILING if "code=~" in query else 1.0
    return [({"pod": pod}, RATE * share, start * share) for pod in pods]


def _text(value: float) -> str:
    return str(round(value))


class _Handler(BaseHTTPRequestHandler):
    owner: CannedMetrics
    protocol_version = "HTTP/1.1"  # connections are kept, as real servers do
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = {key: values[0] for key, values in parse_qs(body).items()}
        ranged = self.path.endswith("/query_range")
        data = self.owner.ranged(form) if ranged else self.owner.instant(form)
        self._answer(json.dumps({"status": "success", "data": data}), "application/json")

    def do_GET(self) -> None:
        if "/pods/" not in self.path:
            self._answer('{"state": "ready"}', "application/json")
            return
        pod = self.path.split("/pods/")[1].partition(":")[0]
        self._answer(self.owner.page(pod), "text/plain; version=0.0.4")

    def _answer(self, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
