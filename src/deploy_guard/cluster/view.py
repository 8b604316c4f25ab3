"""Keep the objects of one resource true by list and watch, in one thread.

Decides when to list again (410, a stream that said nothing at all), when to connect again and how
long to wait before that. When nothing can be seen, `blind` says why and since when.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError, Gone, Timeout
from deploy_guard.cluster.snapshot import Blind, Json
from deploy_guard.cluster.stream import Stream

LONGEST_WAIT = 60.0  # seconds, whatever Retry-After says: a watch cannot be blind for hours


@dataclass(frozen=True, slots=True)
class Tempo:
    """The times of a watch, in seconds.

    The server ends a watch after `watch`; silence for `grace` beyond that means that it is broken,
    so this is how long a network that swallows everything stays unnoticed. A new watch costs the
    server little, for it begins where the last one ended.
    Pauses after failures grow from `first_pause` to `longest_pause`; a stream that ends sooner
    than `shortest` is followed by a pause, too.
    """

    watch: int = 20
    grace: float = 5.0
    first_pause: float = 0.2
    longest_pause: float = 10.0
    shortest: float = 1.0


class View:
    """All objects of one resource at `path` that match `params`."""

    def __init__(
        self,
        cluster: Cluster,
        resource: str,
        path: str,
        params: dict[str, str],
        *,
        changed: Callable[[], None],
        clock: Callable[[], float],
        tempo: Tempo,
    ) -> None:
        self.blind: Blind | None = None
        self._cluster = cluster
        self._resource = resource
        self._path = path
        self._params = params
        self._changed = changed
        self._clock = clock
        self._tempo = tempo
        self._objects: dict[str, Json] = {}
        self._version = ""  # empty: a list is needed
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._stream: Stream | None = None
        self._thread = threading.Thread(target=self._run, name=f"follow {resource}", daemon=True)

    def start(self) -> None:
        """Begin to watch from the last list."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end and end its stream; does not wait."""
        self._stopping.set()
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.close()

    def join(self, timeout: float) -> None:
        """Wait for the thread, at most `timeout` seconds."""
        if self._thread.is_alive():
            self._thread.join(timeout)

    def objects(self) -> list[Json]:
        """Return what is known now."""
        with self._lock:
            return list(self._objects.values())

    def load(self, *, patient: bool = False) -> None:
        """Read everything anew; `patient` tries again what may pass."""
        answer = self._cluster.get(self._path, params=self._params, patient=patient)
        with self._lock:
            self._objects = {o["metadata"]["uid"]: self._trim(o) for o in answer["items"]}
        self._version = answer["metadata"]["resourceVersion"]
        self.blind = None

    def _run(self) -> None:
        pause = self._tempo.first_pause
        while not self._stopping.is_set():
            wait = pause
            try:
                if self._follow():
                    pause = self._tempo.first_pause
                    continue
            except Gone:
                self._version = ""
            except ApiError as error:
                self._unseen(error)
                wait = max(pause, min(error.retry_after or 0.0, LONGEST_WAIT))
                if isinstance(error, Timeout):  # a watch that opens again may stay as silent
                    self._version = ""
            except Exception as error:  # a bug must not become silence
                self._version = ""
                self._unseen(error)
            self._stopping.wait(wait * random.uniform(0.7, 1.0))
            pause = min(pause * 2, self._tempo.longest_pause)

    def _follow(self) -> bool:
        """List if need be and watch until the server ends it; tell whether that went as usual."""
        if not self._version:
            self.load()
            self._changed()
        began = time.monotonic()
        if not self._watch():
            # not even a bookmark: the version may be one that the server will never reach
            self._version = ""
        return time.monotonic() - began >= self._tempo.shortest

    def _watch(self) -> int:
        """Apply the events of one watch; return how many came, bookmarks included."""
        params = {
            **self._params,
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(self._tempo.watch),
        }
        count = 0
        silence = self._tempo.watch + self._tempo.grace
        with self._cluster.watch(self._path, params, silence=silence) as stream:
            with self._lock:
                self._stream = stream
            try:
                if self._stopping.is_set():
                    return count
                if self.blind is not None:
                    self.blind = None
                    self._changed()
                for event in stream:
                    self._apply(event["type"], event["object"])
                    count += 1
            finally:
                with self._lock:
                    self._stream = None
        return count

    def _apply(self, kind: str, obj: Json) -> None:
        metadata = obj["metadata"]
        self._version = metadata["resourceVersion"]
        self._cluster.freshness.saw_event(self._path, obj)
        if kind == "BOOKMARK":
            return
        with self._lock:
            if kind == "DELETED":
                self._objects.pop(metadata["uid"], None)
            else:
                self._objects[metadata["uid"]] = self._trim(obj)
        self._changed()

    def _unseen(self, error: Exception) -> None:
        if self._stopping.is_set():
            return
        since = self._clock()
        if self.blind is not None:
            since = self.blind.since
        elif isinstance(error, Timeout):  # nothing has come since then
            since -= self._tempo.watch + self._tempo.grace
        reason = error.detail if isinstance(error, ApiError) else f"a bug: {type(error).__name__}"
        self.blind = Blind(self._resource, reason, since)
        self._changed()

    def _trim(self, obj: Json) -> Json:
        """Leave out who manages the fields: large, and of interest only for the workload."""
        if self._resource in ("replicasets", "controllerrevisions", "pods"):
            obj["metadata"].pop("managedFields", None)
        return obj
