"""A real Prometheus for tests: Debian's binary, started on a free port, filled or scraping.

Tests that use it carry the marker `prometheus` and are skipped where the binary is missing.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

import pytest

AVAILABLE = shutil.which("prometheus") is not None and shutil.which("promtool") is not None
needs_prometheus = [
    pytest.mark.prometheus,
    pytest.mark.skipif(not AVAILABLE, reason="prometheus and promtool are not on the PATH"),
]


class PrometheusServer:
    """A running Prometheus with its data under `folder`; `url` is its base URL.

    `targets` maps host:port to the extra labels of what is scraped there (such as pod);
    `history` is text in the OpenMetrics format, with a timestamp on each sample, that is there
    from the start; `arguments` are further ones of the binary, `prefix` a path before all others.
    """

    def __init__(
        self,
        folder: Path,
        *,
        targets: Mapping[str, Mapping[str, str]] | None = None,
        scrape_interval: str = "1s",
        history: str = "",
        arguments: Sequence[str] = (),
        prefix: str = "",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._targets = folder / "targets.json"
        self.set_targets(targets or {})
        (folder / "prometheus.yml").write_text(_config(self._targets, scrape_interval))
        if history:
            self._fill(history)
        for attempt in (1, 2, 3):  # somebody else may take the free port first
            self._start([*([f"--web.route-prefix={prefix}"] if prefix else []), *arguments])
            self.url += prefix
            try:
                self._wait_until_ready()
                return
            except AssertionError:
                self.close()
                if attempt == 3:
                    raise

    def _start(self, arguments: Sequence[str]) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [
            "prometheus",
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
            *arguments,
        ]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def set_targets(self, targets: Mapping[str, Mapping[str, str]]) -> None:
        """Change what is scraped; a running server begins with it within about five seconds."""
        groups = [{"targets": [address], "labels": dict(more)} for address, more in targets.items()]
        changed = self._targets.with_suffix(".new")
        changed.write_text(json.dumps(groups))
        changed.replace(self._targets.with_suffix(".json"))

    def query(self, promql: str, *, at: float | None = None) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each series of an instant query."""
        form = {"query": promql} | ({} if at is None else {"time": f"{at:.3f}"})
        url = f"{self.url}/api/v1/query?{urlencode(form)}"
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
            document = json.load(answer)
        return [(s["metric"], float(s["value"][1])) for s in document["data"]["result"]]

    def wait_for(self, promql: str, *, seconds: float = 60.0) -> float:
        """Wait until a query has a result; return its first value. Raises AssertionError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := self.query(promql):
                return found[0][1]
            time.sleep(0.1)
        raise AssertionError(f"no result within {seconds:g} s: {promql}")

    @property
    def pid(self) -> int:
        """The process' number, for tests that stop or kill it."""
        return self._process.pid

    def close(self) -> None:
        """Stop the server, if it still runs."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _fill(self, history: str) -> None:
        """Write blocks from text; the server finds them when it starts."""
        text = self._folder / "history.txt"
        text.write_text(history if history.endswith("# EOF\n") else history + "# EOF\n")
        blocks = ["promtool", "tsdb", "create-blocks-from", "openmetrics"]
        subprocess.run(
            [*blocks, str(text), str(self._folder / "data")], check=True, capture_output=True
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5):  # noqa: S310
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        log = (self._folder / "log").read_text()
        raise AssertionError(f"prometheus did not start: {log}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _config(targets: Path, interval: str) -> str:
    return (
        f"global: {{scrape_interval: {interval}, scrape_timeout: {interval}}}\n"
        "scrape_configs:\n"
        "  - job_name: pods\n"
        "    file_sd_configs:\n"
        f"      - {{files: ['{targets}'], refresh_interval: 1s}}\n"
    )


def free_port() -> int:
    """Return a port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
