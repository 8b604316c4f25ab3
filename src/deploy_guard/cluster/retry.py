"""The one place that tries again: which errors, how often, and how long in all.

Decides nothing about writes: only reads are handed to it. The rollback's patch is never sent again
blindly; `rollback.execution` reads the object and plans anew instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from deploy_guard.cluster.errors import (
    ApiError,
    ServerError,
    Stale,
    TooManyRequests,
    Unreachable,
    Untrusted,
)

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")
PASSING = (500, 502, 503, 504)


def may_pass(error: BaseException) -> bool:
    """Tell whether the same read may succeed a moment later."""
    if isinstance(error, ServerError):
        return error.code in PASSING
    passing = isinstance(error, TooManyRequests | Unreachable | Stale)
    return passing and not isinstance(error, Untrusted)


@dataclass(frozen=True, slots=True)
class Retries:
    """How a read is tried again: at most `attempts` times within `seconds` in all.

    Waits double from `first_wait` to `longest_wait` seconds; a Retry-After of the server counts
    instead. `tell` is called before each new attempt with its number (from 2), the error and the
    wait. `sleep` waits; the client hands in one that ends when it is closed.
    """

    attempts: int = 5
    seconds: float = 30.0
    first_wait: float = 0.2
    longest_wait: float = 5.0
    tell: Callable[[int, ApiError, float], None] | None = None

    def call(self, function: Callable[[], T], *, sleep: Callable[[float], object]) -> T:
        """Call `function` until it succeeds; the last error is raised as it is."""
        if self.attempts <= 1:
            return function()
        from tenacity import (
            Retrying,
            retry_if_exception,
            stop_after_attempt,
            stop_before_delay,
        )

        def pause(seconds: float) -> None:
            sleep(seconds)

        return Retrying(
            stop=stop_after_attempt(self.attempts) | stop_before_delay(self.seconds),
            wait=self._wait,
            retry=retry_if_exception(may_pass),
            before_sleep=self._tell,
            sleep=pause,
            reraise=True,
        )(function)

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, ApiError) and error.retry_after is not None:
            return error.retry_after
        return float(min(self.first_wait * 2 ** (state.attempt_number - 1), self.longest_wait))

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if self.tell is not None and isinstance(error, ApiError):
            self.tell(state.attempt_number + 1, error, state.upcoming_sleep)


NO_RETRIES = Retries(attempts=1)
