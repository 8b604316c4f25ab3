"""Range queries over history: how many they are, and how they are asked without hurting anybody.

Decides what is asked at once, how quickly, what is asked again and in which parts. What the
queries are for is decided in `reading`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy_guard.backtest.cache import Cache
from deploy_guard.backtest.tracks import Grid, joined, tracks_of
from deploy_guard.errors import GuardError
from deploy_guard.model import NoDataReason
from deploy_guard.signals.http_failures import CallFailed, NotConfigured
from deploy_guard.signals.prometheus_api import BadQuery, PrometheusApi, Result

if TYPE_CHECKING:
    from tenacity import RetryCallState

    from deploy_guard.policy.models import PrometheusConnection

AT_ONCE = 4  # queries
PER_SECOND = 20.0  # queries begun
MOST_POINTS = 2_500  # of one series in one answer: of a hundred pods a quarter of a million numbers
LONGEST = 60.0  # seconds for one answer at least: a range takes longer than a poll
ATTEMPTS = 6  # where the server says that it is busy
FAILURES = 3  # ... that fail in another way
TIMEOUTS = 2  # ... that take too long
TO_COUNT = 10.0  # seconds for the number of a query's series
TO_LEAVE = 1.0  # seconds that an interrupt waits for requests under way
FIRST_WAIT, LONGEST_WAIT = 0.5, 15.0  # seconds between attempts
FEWEST_POINTS = 20  # shorter parts are not asked for
HOPELESS = 4  # windows in a row that could not be read
_ATTEMPTS = {
    NoDataReason.TIMEOUT: TIMEOUTS,
    NoDataReason.UNREACHABLE: FAILURES,
    NoDataReason.PROVIDER_ERROR: FAILURES,
}
_BUSY = ("answers 429", "answers 503")
_TOO_MUCH = (
    "too many samples",
    "too many points",
    "maxsamplesperquery",
    "maxpointspertimeseries",
    "maximum resolution",
    "exceeded the maximum",
    "exceeds the limit",
    "limit exceeded",
    "larger than",
)

Progress = Callable[[int, int], None]  # answered, of all


def tell_nobody(_done: int, _total: int) -> None:
    """Tell nobody how far it is."""


def tell_nothing(_words: str) -> None:
    """Tell nobody what the server said."""


@dataclass(frozen=True, slots=True, order=True)
class RangeQuery:
    """One range query: points from the tick `first` to the tick `last`, `step` seconds apart."""

    text: str
    step: float
    first: int
    last: int

    @property
    def points(self) -> int:
        """How many points each series may have."""
        return self.last - self.first + 1

    @property
    def start(self) -> float:
        """Unix seconds of the first point."""
        return self.first * self.step

    @property
    def end(self) -> float:
        """Unix seconds of the last point."""
        return self.last * self.step

    def meets(self, other: RangeQuery) -> bool:
        """Tell whether another query asks for some of the same points."""
        alike = (self.text, self.step) == (other.text, other.step)
        return alike and self.first <= other.last and other.first <= self.last

    def and_all_of(self, other: RangeQuery) -> RangeQuery:
        """Return the query over its own time and that of another one with the same text."""
        first, last = min(self.first, other.first), max(self.last, other.last)
        return RangeQuery(self.text, self.step, first, last)


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be asked: `queries` in the order of time, at most `at_once` at the same time.

    `series` is how many series the queries were found to have, by text, as far as it is known.
    Attempts that follow a failure, and the parts of a query that was too large, come on top.
    """

    queries: tuple[RangeQuery, ...]
    at_once: int = AT_ONCE
    per_second: float = PER_SECOND
    series: Mapping[str, int] | None = None

    @property
    def points(self) -> int:
        """All points of all answers; of each query one series where the number is not known."""
        known = self.series or {}
        return sum(query.points * max(1, known.get(query.text, 1)) for query in self.queries)


def merged(windows: Iterable[RangeQuery]) -> tuple[RangeQuery, ...]:
    """Return the fewest queries that have all points of the windows, in the order of time.

    Windows that overlap or touch become one; what has too many points for one answer is cut.
    """
    whole: list[RangeQuery] = []
    for window in sorted(windows):
        last = whole[-1] if whole else None
        alike = last is not None and (last.text, last.step) == (window.text, window.step)
        if last is not None and alike and window.first <= last.last + 1:
            whole[-1] = last.and_all_of(window)
        else:
            whole.append(window)
    parts = (part for one in whole for part in cut(one, MOST_POINTS))
    return tuple(sorted(parts, key=lambda query: (query.end, query.text, query.step)))


def cut(query: RangeQuery, most: int) -> Iterator[RangeQuery]:
    """Yield a query in parts of at most so many points, all about as long."""
    count = -(-query.points // most)
    length = -(-query.points // count)
    for first in range(query.first, query.last + 1, length):
        last = min(first + length - 1, query.last)
        yield RangeQuery(query.text, query.step, first, last)


class Fetcher:
    """Asks one server for ranges, a bounded number at once and in a second.

    What passes is asked again with growing waits; what is too much is asked for in halves.
    `warn` is told once, in a thread of its own, what the server warns of, as of partial answers.
    """

    def __init__(
        self,
        connection: PrometheusConnection,
        *,
        environ: Mapping[str, str],
        at_once: int = AT_ONCE,
        per_second: float = PER_SECOND,
        cache: Cache | None = None,
        clock: Callable[[], float] = time.time,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        timeout = max(LONGEST, connection.timeout)
        longer = connection.model_copy(update={"timeout": timeout})
        self.api = PrometheusApi(longer, environ=environ)
        self._at_once = at_once
        self._pace = _Pace(per_second)
        self._cache = cache
        self._clock = clock
        self._warn = warn or tell_nothing
        self._warned: set[str] = set()
        self._stopping = threading.Event()
        self._jobs: queue.SimpleQueue[tuple[Future[Grid], RangeQuery] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name="guard-history", daemon=True)
            for _ in range(at_once)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Begin nothing more and close idle connections; what is under way ends by itself."""
        self._stopping.set()
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + TO_LEAVE
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.api.close()

    def submit(self, query: RangeQuery) -> Future[Grid]:
        """Ask in the background; the future raises CallFailed."""
        future: Future[Grid] = Future()
        self._jobs.put((future, query))
        return future

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, query = job
            if self._stopping.is_set():
                continue
            try:
                future.set_result(self._fetch(query))
            except Exception as error:  # handed to the caller, who knows what it means
                future.set_exception(error)

    def fetch(self, queries: Sequence[RangeQuery], progress: Progress) -> list[Grid]:
        """Return all answers; `progress` is called as they come. Raises GuardError."""
        futures = [self.submit(query) for query in queries]
        left = set(futures)
        while left:
            _, left = wait(left, return_when=FIRST_COMPLETED)
            progress(len(futures) - len(left), len(futures))
        try:
            return [future.result() for future in futures]
        except CallFailed as error:
            raise unreadable(error) from error

    def count(self, text: str, *, at: float) -> int:
        """Return how many series a query has at a moment; asks once and raises CallFailed."""
        self._pace.wait(self._stopping)
        result = self.api.instant(f"count({text})", at=at, seconds=TO_COUNT)
        return int(result.series[0].points[-1][1]) if result.series else 0

    def _fetch(self, query: RangeQuery) -> Grid:
        if self._cache is not None and (known := self._cache.get(query)) is not None:
            return known
        grid = self._in_parts(query)
        if self._cache is not None:
            self._cache.put(query, grid, now=self._clock())
        return grid

    def _in_parts(self, query: RangeQuery) -> Grid:
        try:
            result = self._asked(
                lambda seconds: self.api.range(
                    query.text, start=query.start, end=query.end, step=query.step, seconds=seconds
                )
            )
        except CallFailed as error:
            if not _is_too_much(error) or query.points < 2 * FEWEST_POINTS:
                raise
            halves = [self._in_parts(half) for half in cut(query, -(-query.points // 2))]
            return joined(halves)
        for words in set(result.warnings) - self._warned:
            self._warned.add(words)
            self._warn(words)
        return Grid(query.step, query.first, query.last, tracks_of(result.series, step=query.step))

    def _asked(self, ask: Callable[[float], Result]) -> Result:
        from tenacity import Retrying, stop_after_attempt, wait_exponential

        def once() -> Result:
            self._pace.wait(self._stopping)
            return ask(self.api.timeout)

        def pause(seconds: float) -> None:
            self._stopping.wait(seconds)

        return Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
            retry=self._may_pass,
            sleep=pause,
            reraise=True,
        )(once)

    def _may_pass(self, state: RetryCallState) -> bool:
        """Tell whether to ask again: one that is busy more often than one that is broken."""
        error = state.outcome.exception() if state.outcome is not None else None
        if self._stopping.is_set() or not isinstance(error, CallFailed) or _is_too_much(error):
            return False
        if isinstance(error, NotConfigured | BadQuery):
            return False
        busy = any(words in error.detail for words in _BUSY)
        return state.attempt_number < (ATTEMPTS if busy else _ATTEMPTS.get(error.reason, 1))


def _is_too_much(error: CallFailed) -> bool:
    words = error.detail.lower()
    return any(part in words for part in _TOO_MUCH)


def is_final(error: CallFailed) -> bool:
    """Tell whether the next window would fail in the same way: it is not about this one."""
    return isinstance(error, NotConfigured | BadQuery) or error.reason not in (
        NoDataReason.TIMEOUT,
        NoDataReason.PROVIDER_ERROR,
    )


def unreadable(error: CallFailed) -> GuardError:
    """Return the error that ends a backtest whose history cannot be read."""
    return GuardError(
        f"history cannot be read: {error.detail}",
        help="guard check --target runs each query of a policy once and says what is wrong",
    )


class _Pace:
    """Spreads the beginnings of requests: at most so many in a second."""

    def __init__(self, per_second: float) -> None:
        self._between = 1 / per_second if per_second > 0 else 0.0
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self, stopping: threading.Event) -> None:
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._next)
            self._next = begin + self._between
        if begin > now:
            stopping.wait(begin - now)
