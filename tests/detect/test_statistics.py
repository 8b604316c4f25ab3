"""The detector's probabilities against scipy's distributions and against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from deploy_guard import detect
from deploy_guard.detect.evidence import Errors, Level, chance_beside
from deploy_guard.detect.windows import Strata
from deploy_guard.model import Counts

CALM = detect.Expectation(
    observed=0.001, ratio=0.001, errors=361, variances=(0, 0, 0), least=0.025, outage=0.1
)


@pytest.mark.parametrize(("requests", "errors"), [(1000, 9), (20_000, 45), (100, 3)])
def test_chance_is_a_gamma_mixture_of_poisson_counts(requests: int, errors: int) -> None:
    """The probability is that of Poisson counts whose ratio itself varies like a gamma variable."""
    found = Level(0.001, 361).chance(CALM, 3.0, of=Errors(60.0, requests, errors))
    variance = 1 / 361 + 0.025
    rng = np.random.default_rng(7)
    ratios = rng.gamma(1 / variance, variance, 400_000) * 0.001
    expected = stats.poisson.sf(errors - 1, requests * ratios).mean()
    assert found == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("new", "old"), [(12, 2), (9, 0), (20, 4), (6, 1)])
def test_chance_beside_is_close_to_the_exact_test(new: int, old: int) -> None:
    """Next to old pods with as many requests the p-value is near the exact conditional one.

    Of both groups' errors each is the candidate's with probability one half if nothing differs
    (Przyborowski and Wilenski, 1940); ours is never the smaller one by much.
    """
    strata = Strata()
    for i in range(10):
        share = [(new * (i + 1)) // 10 - (new * i) // 10, (old * (i + 1)) // 10 - (old * i) // 10]
        strata = strata.plus(Strata.of(Counts(100, share[0]), Counts(100, share[1])))
    found = chance_beside(strata, detect.Settings(), usual=0.0001, clustering=1.0)
    exact = stats.binom.sf(new - 1, new + old, 0.5)
    assert found is not None
    assert 0.7 * exact <= found <= 4 * exact


def test_weights_cancel_what_both_groups_share() -> None:
    """Weighted errors of both groups agree, however the ratio and the shares moved together."""
    rng = np.random.default_rng(3)
    strata = Strata()
    for second in range(400):
        new, old = 10 + second, 410 - second  # the rollout
        ratio = 0.3 if second >= 300 else 0.01  # a shared fault, when most pods are new
        errors = rng.binomial(new, ratio), rng.binomial(old, ratio)
        strata = strata.plus(Strata.of(Counts(new, errors[0]), Counts(old, errors[1])))
    assert strata.new == pytest.approx(strata.old, rel=0.06)


@pytest.mark.parametrize("sd", [0.0, 0.3, 0.8])
def test_variance_is_that_of_the_noise(sd: float) -> None:
    """The estimated variance of a ratio that varies by itself is the one it was drawn with."""
    rng = np.random.default_rng(11)
    baseline = detect.Baseline()
    shape = 1 / sd**2 if sd else 0.0
    for _ in range(2000):
        factor = rng.gamma(shape, 1 / shape) if sd else 1.0
        errors = rng.poisson(15_000 * 0.002 * factor)
        baseline = baseline.add(15.0, Counts(15_000.0, float(errors)))
    found = baseline.expectation().variances[0]
    assert found == pytest.approx(sd**2, rel=0.2, abs=0.005)


def test_chance_of_an_outage_is_binomial() -> None:
    """A run's probability is the binomial one at the smallest outage, without its worst poll."""
    outage = detect.Outage()
    for errors in (6, 9, 7, 5):
        outage = outage.add(0.0, 2.0, Counts(20, errors), detect.NOTHING, least=0.1)
    assert outage.chance(0.1, 1.0) == pytest.approx(stats.binom.sf(17, 60, 0.1), rel=1e-6)
    assert outage.chance(0.1, 1.0, whole=True) == pytest.approx(
        stats.binom.sf(26, 80, 0.1), rel=1e-6
    )
    assert outage.chance(0.1, 3.0) > outage.chance(0.1, 1.0)


def test_one_bad_poll_is_no_outage() -> None:
    """Whatever a single short poll says, it is left out."""
    outage = detect.Outage().add(0.0, 2.0, Counts(200, 200), detect.NOTHING, least=0.1)
    assert outage.chance(0.1, 1.0) == 1.0
    assert outage.chance(0.1, 1.0, whole=True) < 1e-100
