"""Two pods' metrics around a deploy, in the OpenMetrics format, as a Prometheus has them."""

from __future__ import annotations

from signals.workloads import DEPLOYED, NEW_POD, OLD_POD

STEP = 15
BEFORE, AFTER = 1800, 600  # seconds of history around the deploy
RESTART = DEPLOYED - 300  # of the old pod
FIRST_ERROR = DEPLOYED + 60  # of the new pod


def moments() -> list[int]:
    """Return the times of all scrapes."""
    return list(range(int(DEPLOYED) - BEFORE, int(DEPLOYED) + AFTER + 1, STEP))


class _Text:
    def __init__(self) -> None:
        self._families: dict[str, list[str]] = {}

    def add(self, family: str, suffix: str, value: float, at: int, **labels: str) -> None:
        text = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        line = f"{family}{suffix}{{{text}}} {value} {at}"
        self._families.setdefault(family, []).append(line)

    def text(self, kinds: dict[str, str]) -> str:
        lines = []
        for family, samples in self._families.items():
            lines += [f"# TYPE {family} {kinds[family]}", *samples]
        return "\n".join([*lines, "# EOF", ""])


def history() -> str:
    """Return all of it.

    The old pod serves 10 requests a scrape and fails one of them; at RESTART its counters begin
    anew. The new pod serves 20 from the deploy on, and fails 5 of them from FIRST_ERROR on.
    """
    out = _Text()
    old = old_errors = new = new_errors = 0
    for at in moments():
        if at == RESTART:
            old = old_errors = 0
        old, old_errors = old + 10, old_errors + 1
        _pod(out, at, OLD_POD, old, old_errors)
        if at > DEPLOYED:
            new += 20
            new_errors += 5 if at >= FIRST_ERROR else 0
            _pod(out, at, NEW_POD, new, new_errors)
        out.add("ingress_requests", "_total", 7 * (at - moments()[0]), at, pod="ingress-x", s="web")
        if not DEPLOYED - 1000 < at < DEPLOYED - 400:
            out.add("gappy", "_total", at - moments()[0], at, pod=OLD_POD)
        out.add("foreign", "_total", at, at, pod="web-admin-6d4cf56db6-zzzzz")
        out.add("foreign", "_total", at, at, pod=OLD_POD)
        out.add("no_number", "", float("nan"), at, pod=OLD_POD)
        if at < DEPLOYED + 120:
            out.add("lost", "_total", at, at, pod=NEW_POD)
        out.add("lost", "_total", at, at, pod=OLD_POD)
    counters = ("http_requests", "ingress_requests", "gappy", "foreign", "lost")
    kinds = dict.fromkeys(counters, "counter") | {"lat": "histogram"}
    return out.text(kinds | {"queue_depth": "gauge", "no_number": "gauge"})


def _pod(out: _Text, at: int, pod: str, requests: int, errors: int) -> None:
    """Write one scrape of a pod; half of its requests are quicker than 100 ms."""
    out.add("http_requests", "_total", requests - errors, at, pod=pod, code="200")
    if errors:
        out.add("http_requests", "_total", errors, at, pod=pod, code="500")
    for bound, count in (("0.1", requests // 2), ("0.5", requests), ("+Inf", requests)):
        out.add("lat", "_bucket", count, at, pod=pod, le=bound)
    out.add("lat", "_count", requests, at, pod=pod)
    out.add("lat", "_sum", requests / 5, at, pod=pod)
    out.add("queue_depth", "", 3 if pod == OLD_POD else 9, at, pod=pod)
