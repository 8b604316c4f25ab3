"""Many questions at once, one deadline."""

from __future__ import annotations

import threading
import time

import pytest

from deploy_guard.cluster.errors import ApiError, Call, Timeout
from deploy_guard.rollback.preflight.asking import AT_ONCE, Asker


def test_questions_are_asked_at_the_same_time() -> None:
    """Each question is under way before any has to be answered."""
    together = threading.Barrier(AT_ONCE, timeout=30)
    asker = Asker(30)
    answers = [asker.ask(together.wait) for _ in range(AT_ONCE)]
    assert sorted(answer.wait() for answer in answers) == list(range(AT_ONCE))


def test_no_more_than_a_few_are_under_way() -> None:
    """A server is not asked everything in the same moment."""
    lock, under_way, most = threading.Lock(), 0, 0

    def question() -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.005)
        with lock:
            under_way -= 1

    asker = Asker(30)
    for answer in [asker.ask(question) for _ in range(4 * AT_ONCE)]:
        answer.wait()
    assert most == AT_ONCE


def test_all_share_one_deadline() -> None:
    """Silence costs the time once, however many questions are open; what was answered counts."""
    over = threading.Event()
    asker = Asker(0.2)
    quick = asker.ask(lambda: 7)
    assert quick.wait() == 7
    silent = [asker.ask(over.wait) for _ in range(3 * AT_ONCE)]
    begun = time.monotonic()
    for answer in silent:
        with pytest.raises(Timeout, match=r"no answer within 0\.2 s"):
            answer.wait()
    assert time.monotonic() - begun < 5
    over.set()


def test_an_error_is_raised_where_the_answer_is_wanted() -> None:
    """The server's error reaches the one who asked."""

    def refused() -> None:
        raise ApiError(Call("get", "pods"), "no")

    answer = Asker(30).ask(refused)
    with pytest.raises(ApiError, match="no"):
        answer.wait()


def test_a_bug_is_an_answer_too() -> None:
    """Any other exception becomes an error with its name, and never an endless wait."""
    answer = Asker(30).ask(lambda: 1 // 0)
    with pytest.raises(ApiError, match="a bug: ZeroDivisionError"):
        answer.wait()
