"""Rules of Argo Rollouts, Flagger, Kayenta and of SLO alerts, as their documentation has them.

Decides nothing of our own: where a document leaves a choice, the docstring says what was chosen.
Each rule returns the seconds from the deploy to the rollback, infinite for none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from benchmarks.detection.setting import Array
from benchmarks.detection.traces import Traces

MINUTE = 60.0
END = 1800.0


def argo_every_5_minutes(traces: Traces) -> Array:
    """Roll back at the fourth measurement below 95 %, one every 5 minutes.

    Argo Rollouts, docs/features/analysis.md, "Background Analysis": interval 5m,
    successCondition result >= 0.95, failureLimit 3, and a query that divides irates, so that a
    measurement is the last scrape's increment. The run fails when failures exceed the limit.
    """
    return _argo(traces, every=300.0, measurements=6, allowed=3)


def argo_five_minutes(traces: Traces) -> Array:
    """Roll back at the first of five measurements below 95 %, one a minute.

    Argo Rollouts, docs/features/analysis.md, "Analysis at a Predefined Step": interval 60s, count
    5, no failureLimit, which is 0; the query of the example before it. The first measurement is
    a minute after the deploy, as earlier there is nothing to measure.
    """
    return _argo(traces, every=MINUTE, measurements=5, allowed=0)


def _argo(traces: Traces, *, every: float, measurements: int, allowed: int) -> Array:
    moments = [every * (number + 1) for number in range(measurements)]
    failed = []
    for moment in moments:
        n, x = traces.last(moment)
        failed.append((n > 0) & (x > 0.05 * n))
    failures = np.cumsum(failed, axis=0).T
    return _first(failures > allowed, moments)


def flagger(traces: Traces) -> Array:
    """Roll back a minute after the fifth minute with less than 99 % success.

    Flagger, docs/gitbook/usage/metrics.md: request-success-rate, interval 1m, min 99; threshold 5
    as in its tutorials. Failed checks are added up over the analysis, and the scheduler looks
    whether the threshold was reached before it measures again. A minute without traffic is no
    failed check here.
    """
    moments = [MINUTE * (number + 1) for number in range(29)]
    failed = []
    for moment in moments:
        n, x = traces.counted(moment - MINUTE, moment)
        failed.append((n > 0) & (x > 0.01 * n))
    return _first(np.cumsum(failed, axis=0).T >= 5, [m + MINUTE for m in moments])


def burn_rate(traces: Traces, healthy: float) -> Array:
    """Roll back when the error budget burns 14.4 times or 6 times too fast.

    Google, The Site Reliability Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts": 14.4
    over 1 h and 5 min, or 6 over 6 h and 30 min. The objective is what the service had when it was
    healthy; windows are cut at the beginning of the baseline; looked at every 30 s.
    """
    moments = list(np.arange(30.0, END + 1, 30.0))
    fired = []
    for moment in moments:
        found = np.zeros(traces.count, dtype=bool)
        for times, long, short in ((14.4, 3600.0, 300.0), (6.0, 21600.0, 1800.0)):
            both = np.ones(traces.count, dtype=bool)
            for window in (long, short):
                n, x = traces.counted(moment - window, moment)
                both &= (n > 0) & (x > times * healthy * n)
            found |= both
        fired.append(found)
    return _first(np.array(fired).T, moments)


def kayenta(traces: Traces) -> Array:
    """Roll back when the judge calls the errors per minute high, every 10 minutes.

    Spinnaker Kayenta, NetflixACAJudge and MannWhitneyClassifier: the 98 % confidence interval of
    the shift between control and experiment lies above a quarter of the Hodges-Lehmann
    estimate's size. Points are minutes, as the default step is; the control is the hour before
    the deploy, the experiment all since; outliers are kept, as by default.
    """
    size = int(traces.step * traces.base_requests.shape[1])
    control = _minutes(traces, -size // 60, 0)
    moments = [600.0, 1200.0, 1800.0]
    high = []
    for moment in moments:
        lower, estimate = shift(control, _minutes(traces, 0, int(moment // MINUTE)))
        high.append(lower > 0.25 * np.abs(estimate))
    return _first(np.array(high).T, moments)


def _minutes(traces: Traces, begin: int, end: int) -> Array:
    """Return errors per request in each minute; without requests there is no error."""
    ratios = []
    for minute in range(max(begin, -60), end):
        n, x = traces.counted(minute * MINUTE, (minute + 1) * MINUTE)
        ratios.append(np.divide(x, n, out=np.zeros_like(x), where=n > 0))
    return np.array(ratios).T


def shift(control: Array, experiment: Array, *, confidence: float = 0.98) -> tuple[Array, Array]:
    """Return the lower end of the shift's confidence interval, and its Hodges-Lehmann estimate.

    The interval inverts the rank-sum test in its normal approximation (Hollander, Wolfe, Chicken,
    Nonparametric Statistical Methods, section 4.3); rows are compared with rows.
    """
    m, n = control.shape[1], experiment.shape[1]
    shifts = np.sort((experiment[:, :, None] - control[:, None, :]).reshape(len(control), -1))
    spread = norm.ppf((1 + confidence) / 2) * np.sqrt(m * n * (m + n + 1) / 12)
    return shifts[:, max(0, int(np.floor(m * n / 2 - spread)))], np.median(shifts, axis=1)


def _first(fired: NDArray[np.bool_], moments: list[float]) -> Array:
    """Return the first moment at which a deploy's rule fired."""
    at = np.array(moments)[np.argmax(fired, axis=1)]
    return np.where(fired.any(axis=1), at, np.inf)
