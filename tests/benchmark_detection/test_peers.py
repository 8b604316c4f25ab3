"""The peers' rules are the documented ones."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.detection import peers
from scipy import stats

from .traces import hand_made


def test_argo_fails_at_the_first_of_five_measurements() -> None:
    """More than 5 % in the last scrape before a full minute ends the run; limit 0."""
    assert peers.argo_five_minutes(hand_made([0.06])) == 60
    assert peers.argo_five_minutes(hand_made([0.05])) == np.inf
    late = [0.0] * 19 + [0.06, 0.0]
    assert peers.argo_five_minutes(hand_made(late)) == 300
    unseen = [0.9, 0.9, 0.9, 0.0] * 5 + [0.9]  # an irate sees one scrape; after 5 it is over
    assert peers.argo_five_minutes(hand_made(unseen)) == np.inf


def test_argo_tolerates_three_failures() -> None:
    """With failureLimit 3 the fourth failed measurement fails the run."""
    assert peers.argo_every_5_minutes(hand_made([0.06])) == 1200
    three = [0.06] * 60 + [0.0]
    assert peers.argo_every_5_minutes(hand_made(three)) == np.inf


def test_flagger_needs_five_failed_checks() -> None:
    """Five minutes below 99 %, consecutive or not, and the next look rolls back."""
    assert peers.flagger(hand_made([0.011])) == 360
    assert peers.flagger(hand_made([0.01])) == np.inf
    assert peers.flagger(hand_made([0.011] * 16 + [0.0])) == np.inf
    assert peers.flagger(hand_made(([0.02] * 4 + [0.0] * 4) * 5 + [0.0])) == 600


def test_the_burn_rate_needs_both_windows() -> None:
    """The long window must be over its threshold, and the short one still."""
    # Of 6 h only the hour before exists: 6 · 0.1 % are exceeded after 15 s · k where
    # (240 · 0.001 + k · 0.1) / (240 + k) > 0.006, which is k > 12.8: at 195 s, looked at by 210 s.
    assert peers.burn_rate(hand_made([0.1]), 0.001) == 210
    assert peers.burn_rate(hand_made([0.005]), 0.001) == np.inf
    assert peers.burn_rate(hand_made([0.1] * 10 + [0.0]), 0.001) == np.inf


def test_kayenta_judges_every_ten_minutes() -> None:
    """A clear shift is high at the first judgement, a decrease never."""
    random = np.random.default_rng(1)
    before = random.uniform(0.001, 0.002, 240).tolist()
    assert peers.kayenta(hand_made([0.004], before=before)) == 600
    assert peers.kayenta(hand_made([0.0005], before=before)) == np.inf
    late = [0.0015] * 24 + [0.004]
    assert peers.kayenta(hand_made(late, before=before)) == 1200


def test_kayentas_interval_inverts_the_rank_sum_test() -> None:
    """Shifted by the interval's lower end, the samples have scipy's p-value of 1 %."""
    random = np.random.default_rng(2)
    control, experiment = random.normal(0, 1, (1, 60)), random.normal(1, 1, (1, 20))
    lower, estimate = peers.shift(control, experiment)
    p = stats.mannwhitneyu(
        experiment[0] - lower[0] - 1e-9,
        control[0],
        alternative="greater",
        method="asymptotic",
        use_continuity=False,
    ).pvalue
    assert p == pytest.approx(0.01, abs=0.001)
    assert estimate[0] == pytest.approx(np.median(experiment[0][:, None] - control[0]))
