"""One `kubectl rollout undo`, and how long its requests took, from what it logs itself.

Decides how kubectl's log is read. Its times are whole milliseconds for each request, and
microseconds for the line that is written once the answer is there.
"""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime

from benchmarks.rollback_host import TARGET

# I1124 00:31:46.9287 367 round_trippers.go:560] PATCH http://… 200 OK in 14 milliseconds, or since
# 1.33: "Response" verb="PATCH" … milliseconds=14
LINE = re.compile(
    r"^I\d{4} (?P<at>[\d:.]+) .*round_trippers\.go.*?\b(?P<verb>GET|PATCH)\b.*?"
    r"(?: in (?P<ms>\d+) milliseconds|milliseconds=(?P<new>\d+))$",
    re.MULTILINE,
)
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Undone:
    """An undo: `seconds` from the start of the process until its patch was accepted.

    `asking` is the part of it since the first request was sent; `requests` is their number.
    """

    began_at: float
    seconds: float
    asking: float
    requests: int


def undo(kubectl: str, kubeconfig: str) -> Undone:
    """Run `kubectl rollout undo`. Raises CalledProcessError."""
    command = [kubectl, "-v=6", "--kubeconfig", kubeconfig, "rollout", "undo", str(TARGET)]
    began_at, began = time.time(), _of_day(datetime.now().strftime("%H:%M:%S.%f"))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = list(LINE.finditer(done.stderr))
    assert lines and lines[-1]["verb"] == "PATCH", done.stderr
    first = _of_day(lines[0]["at"]) - int(lines[0]["ms"] or lines[0]["new"]) / 1000
    patched = _of_day(lines[-1]["at"])
    return Undone(began_at, (patched - began) % DAY, (patched - first) % DAY, len(lines))


def _of_day(text: str) -> float:
    hours, minutes, seconds = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
