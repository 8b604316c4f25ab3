"""The textbook tests and the oracle agree with theory and with `scipy`."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.detection import sequential
from benchmarks.detection.families import TUNING, healthy
from benchmarks.detection.regressions import Case
from benchmarks.detection.sequential import Truth
from benchmarks.detection.setting import Setting
from scipy import integrate, stats

from .traces import hand_made


@pytest.mark.parametrize(("n", "x", "p"), [(100, 3, 0.01), (5000, 20, 0.001), (40, 0, 0.05)])
def test_the_mixture_is_an_integral(n: float, x: float, p: float) -> None:
    """The closed form is the likelihood ratio averaged over the beta distribution."""
    mixture = stats.beta(1.0, max(1.0, 1 / (2 * p) - 1))
    expected, _ = integrate.quad(
        lambda q: mixture.pdf(q) * np.exp(x * np.log(q / p) + (n - x) * np.log((1 - q) / (1 - p))),
        0,
        1,
        points=[x / n, 2 * p] if x else [2 * p],
        limit=200,
    )
    found = sequential.log_mixture(np.array([n]), np.array([x]), np.array([p]))[0]
    assert found == pytest.approx(np.log(expected), abs=1e-6)


def test_the_oracle_is_near_walds_bound() -> None:
    """Its mean time is the bound and an overshoot of a few requests."""
    case = Case(0.01, 0.05, 20)
    traces = case.traces(case.setting(poll=1, count=400, seed=3))
    mean = sequential.oracle(traces, Truth(0.01, 0.05)).mean()
    bound = sequential.bound(0.01, 0.05, 20)
    assert 0.95 * bound <= mean <= 1.25 * bound + 1


def test_the_oracle_holds_its_level() -> None:
    """On independent errors without a change it and two textbook tests fire in about 1 %."""
    traces = healthy(TUNING[0], Setting(20, 0.01, poll=15, count=600, baseline=7200))
    told = sequential.oracle(traces, Truth(0.01, 0.02))
    for times in (told, sequential.cusum(traces), sequential.glr(traces)):
        assert np.isfinite(times).mean() <= 0.02


def test_the_blind_oracle_waits() -> None:
    """It sees nothing of the first 30 s, not even part of an increment."""
    case = Case(0.001, 0.5, 1000)
    traces = case.traces(case.setting(poll=15, count=50, seed=1))
    times = sequential.oracle_30(traces, Truth(0.001, 0.5))
    assert (times >= 45).all() and (times <= 60).all()
    assert (sequential.oracle(traces, Truth(0.001, 0.5)) <= 15).all()


def test_the_textbook_tests_find_a_rise() -> None:
    """They fire soon on a clearly higher ratio, and never on the same one."""
    for test in (sequential.mixture_sprt, sequential.cusum, sequential.glr):
        assert 15 <= test(hand_made([0.1], before=[0.01] * 240))[0] <= 45
        assert test(hand_made([0.01], before=[0.01] * 240))[0] == np.inf
