"""Whether a case ended as it has to, and in words what was expected and what happened."""

from __future__ import annotations

from deploy_guard import text
from deploy_guard.model import Verdict
from deploy_guard.policy_tests.models import Expectation
from deploy_guard.policy_tests.running import Ran

_WORDS = {
    Verdict.HEALTHY: "healthy",
    Verdict.REGRESSED: "regressed",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.NO_DATA: "no data",
}
_EPSILON = 1e-6


def moment(seconds: float) -> str:
    """Return a time after the deploy, in words."""
    return text.seconds(seconds) if seconds else "0 s"


def happened(ran: Ran) -> str:
    """Say how a case ended: ``regressed at 1 m 15 s (http-errors)``."""
    words = _WORDS[ran.verdict]
    if ran.verdict is not Verdict.REGRESSED:
        return f"{words} after {moment(ran.at)}"
    return f"{words} at {moment(ran.at)} ({', '.join(ran.accused)})"


def expected(expectation: Expectation) -> str:
    """Say what was expected, as a test file has it."""
    words: str = expectation.verdict
    if expectation.after is not None:
        words += f" after {moment(expectation.after)}"
    if expectation.by is not None:
        words += f" by {moment(expectation.by)}"
    if expectation.signal is not None:
        words += f" ({expectation.signal})"
    if expectation.reason is not None:
        words += f", because of '{expectation.reason}'"
    return words


def mistake(expectation: Expectation, ran: Ran) -> str:
    """Say in what a case did not end as expected; empty when it did."""
    if _WORDS[ran.verdict] != expectation.verdict:
        return f"expected {expected(expectation)}, got {happened(ran)}"
    if expectation.by is not None and ran.at > expectation.by + _EPSILON:
        late = text.seconds(ran.at - expectation.by)
        return f"expected {expected(expectation)}, got {happened(ran)}: {late} too late"
    if expectation.after is not None and ran.at < expectation.after - _EPSILON:
        early = text.seconds(expectation.after - ran.at)
        return f"expected {expected(expectation)}, got {happened(ran)}: {early} too early"
    if expectation.signal is not None and expectation.signal not in ran.accused:
        return f"expected {expected(expectation)}, got {happened(ran)}"
    reason = expectation.reason
    if reason is not None and reason.casefold() not in ran.decision.reason.casefold():
        return f"expected {expected(expectation)}, got '{ran.decision.reason}'"
    return ""
