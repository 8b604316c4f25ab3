"""Reads the metrics pages of many pods at once, through the API server or straight from their IP.

Decides which pods are read and how long to wait for them, and says why one could not be read.
What stands on the pages is not looked at.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from deploy_guard.errors import GuardError
from deploy_guard.model import NoDataReason, Pod, Workload
from deploy_guard.signals.exposition import Page
from deploy_guard.signals.fan_out import gather

if TYPE_CHECKING:
    from deploy_guard.signals.http_client import HttpClient

WORKERS = 8
LARGEST_PAGE = 16 << 20  # bytes
LONGEST = 5.0  # seconds for all pods together
FRESH = 0.5  # seconds within which signals share what was read


class PodReader(Protocol):
    """The part of the cluster that reads a page of a pod through the API server."""

    def pod_get(
        self, namespace: str, pod: str, port: int | str, path: str, *, timeout: float
    ) -> str:
        """Return the page; raises GuardError."""
        ...


PageReader = Callable[[str, Pod, float], str]  # namespace, pod, seconds; raises PodFailed


class PodFailed(Exception):
    """A pod whose metrics could not be read, and why."""

    def __init__(self, reason: NoDataReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class PodPages:
    """The pages of a workload's pods at one path; all signals on that path share what was read.

    `seconds` is the time for all pods together.
    """

    def __init__(self, reader: PageReader, *, seconds: float) -> None:
        self._reader = reader
        self._seconds = min(seconds, LONGEST)
        self._lock = threading.Lock()
        self._read_at: float | None = None
        self._pages: dict[str, Page | PodFailed] = {}

    def read(self, workload: Workload, now: float) -> Mapping[str, Page | PodFailed]:
        """Return the page, or the failure, of every running pod; candidates are read first."""
        pods = [
            pod for pod in (*workload.candidates(), *workload.controls()) if pod.phase == "Running"
        ]
        names = {pod.name for pod in pods}
        with self._lock:
            fresh = self._read_at is not None and abs(now - self._read_at) < FRESH
            if not fresh or not names <= set(self._pages):
                self._pages = self._read_all(workload.target.namespace, pods)
                self._read_at = now
            return {name: page for name, page in self._pages.items() if name in names}

    def _read_all(self, namespace: str, pods: Sequence[Pod]) -> dict[str, Page | PodFailed]:
        each = self._seconds / 2  # one hanging pod must not use up a worker's whole time
        jobs = {pod.name: self._job(namespace, pod, each) for pod in pods}
        results = gather(jobs, workers=WORKERS, seconds=self._seconds)
        return {name: _outcome(result) for name, result in results.items()}

    def _job(self, namespace: str, pod: Pod, seconds: float) -> Callable[[], str]:
        return lambda: self._reader(namespace, pod, seconds)


def _outcome(result: str | Exception) -> Page | PodFailed:
    if isinstance(result, str):
        return Page(result)
    if isinstance(result, PodFailed):
        return result.with_traceback(None)  # which would keep the page that it failed for
    if isinstance(result, TimeoutError):
        return PodFailed(NoDataReason.TIMEOUT, str(result))
    return PodFailed(NoDataReason.UNREACHABLE, f"reading failed ({type(result).__name__})")


def through_api_server(cluster: PodReader, *, port: int | str, path: str) -> PageReader:
    """Return a reader that goes through the API server's pod proxy; `port` may be a name."""

    def read(namespace: str, pod: Pod, seconds: float) -> str:
        try:
            return cluster.pod_get(namespace, pod.name, port, path, timeout=seconds)
        except GuardError as error:
            raise _explain(error, f"{port}{path}") from None

    return read


def straight(client: HttpClient, *, port: int, path: str) -> PageReader:
    """Return a reader that calls the pods' IP addresses."""
    from deploy_guard.signals.http_failures import CallFailed

    def read(_namespace: str, pod: Pod, seconds: float) -> str:
        if not pod.ip:
            raise PodFailed(NoDataReason.NO_PODS, "the pod has no IP address yet")
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        try:
            answer = client.call("GET", f"http://{host}:{port}{path}", seconds=seconds)
        except CallFailed as error:
            raise PodFailed(error.reason, error.detail) from None
        if answer.cut:
            text = f"the page is larger than {len(answer.body)} bytes"
            raise PodFailed(NoDataReason.PROVIDER_ERROR, text)
        if answer.status != 200:
            text = f"expected status 200 from :{port}{path}, got {answer.status}"
            raise PodFailed(_by_status(answer.status), text)
        return answer.text

    return read


def _explain(error: GuardError, where: str) -> PodFailed:
    """Sort the cluster's errors; `code` is the HTTP status, 0 without an answer."""
    code = int(getattr(error, "code", 0))
    detail = str(getattr(error, "detail", "") or error.message)
    if code == 0:
        late = any(kind.__name__ == "Timeout" for kind in type(error).__mro__)
        return PodFailed(NoDataReason.TIMEOUT if late else NoDataReason.UNREACHABLE, detail)
    if code == 503:  # the API server's word for a pod that it cannot connect to
        return PodFailed(NoDataReason.UNREACHABLE, detail)
    return PodFailed(_by_status(code), f"status {code} from :{where}: {detail}")


def _by_status(status: int) -> NoDataReason:
    if status in (401, 403):
        return NoDataReason.UNAUTHORIZED
    refused = 400 <= status < 500 and status != 429
    return NoDataReason.REJECTED if refused else NoDataReason.PROVIDER_ERROR
