"""The ids of problems that only test files have; the others are those of policies."""

from __future__ import annotations

CODES: dict[str, str] = {
    "missing-signal": "A signal of the policy of which nothing says what it reads.",
    "more-than-all": "A rate of errors or slow requests above that of the requests.",
    "no-tests": "A policy or a directory without test files.",
    "test-failed": "A case that did not end as it has to.",
    "unknown-signal": "A signal that the policy does not have.",
    "wrong-key": "A key that is not for the measure of its signal.",
}
