"""A real VictoriaMetrics for tests: Debian's binary, started on a free port and filled.

Tests that use it carry the marker `victoria` and are skipped where the binary is missing.
"""

from __future__ import annotations

import shutil
import subprocess
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from prometheus_server import PrometheusServer, free_port

AVAILABLE = shutil.which("victoria-metrics") is not None
needs_victoria = [
    pytest.mark.victoria,
    pytest.mark.skipif(not AVAILABLE, reason="victoria-metrics is not on the PATH"),
]


class VictoriaServer(PrometheusServer):
    """A running VictoriaMetrics with its data under `folder`; `url` is its base URL.

    `history` is text in the OpenMetrics format, with a timestamp on each sample, as for
    PrometheusServer.
    """

    def __init__(self, folder: Path, *, history: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        for attempt in (1, 2, 3):  # somebody else may take the free port first
            self._start([])
            try:
                self._wait_until_ready()
                break
            except AssertionError:
                self.close()
                if attempt == 3:
                    raise
        if history:
            self._fill(history)

    def _start(self, arguments: Sequence[str]) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [
            "victoria-metrics",
            f"-storageDataPath={self._folder / 'data'}",
            f"-httpListenAddr=127.0.0.1:{port}",
            "-retentionPeriod=100y",
            "-search.latencyOffset=0s",  # the newest sample is seen at once
            "-loggerLevel=WARN",
            "-memory.allowedBytes=256MB",
            *arguments,
        ]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def _fill(self, history: str) -> None:
        """Import samples, and wait until queries see them."""
        lines = [_milliseconds(line) for line in history.splitlines() if line[:1] not in ("", "#")]
        body = "\n".join(lines).encode()
        for path, data in (("api/v1/import/prometheus", body), ("internal/force_flush", b"")):
            with urllib.request.urlopen(f"{self.url}/{path}", data, timeout=60):  # noqa: S310
                pass


def _milliseconds(line: str) -> str:
    """Return a sample with its timestamp in the unit that the import takes."""
    sample, _, moment = line.rpartition(" ")
    return f"{sample} {round(float(moment) * 1000)}"
