"""Several requests at once, in few threads."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from threading import Thread
from typing import TypeVar

from deploy_guard.cluster.errors import ApiError
from deploy_guard.cluster.retry import may_pass

T = TypeVar("T")
THREADS = 8


def at_once(tasks: Sequence[Callable[[], T]]) -> list[T | ApiError]:
    """Run tasks in daemon threads, so that an interrupt does not wait for a silent server.

    Return their results in order; an ApiError is a result. After one that says that the server
    does not answer, though it was asked for long, the tasks that are left get the same error: they
    are not waited for one by one. Any other error is raised.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[int, T | BaseException]] = queue.SimpleQueue()
    silent: list[ApiError] = []

    def work() -> None:
        while True:
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                answers.put((number, silent[0] if silent else tasks[number]()))
            except ApiError as error:
                silent.extend([error] if may_pass(error) else [])
                answers.put((number, error))
            except BaseException as error:  # a bug must not become an endless wait
                answers.put((number, error))

    for number in range(len(tasks)):
        waiting.put(number)
    for _ in range(min(THREADS, len(tasks))):
        Thread(target=work, daemon=True).start()
    found = dict(answers.get() for _ in tasks)
    results: list[T | ApiError] = []
    for number in range(len(tasks)):
        answer = found[number]
        if isinstance(answer, BaseException) and not isinstance(answer, ApiError):
            raise answer
        results.append(answer)
    return results
