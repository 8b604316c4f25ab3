"""Whole counts from exact amounts, evenly or by chance."""

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_guard.policy_tests.counting import Counter, poisson

AMOUNTS = st.lists(st.tuples(st.floats(0, 500), st.floats(0, 1)), min_size=1, max_size=60)


@given(AMOUNTS)
def test_no_fraction_is_lost(amounts: list[tuple[float, float]]) -> None:
    """The counts add up to the amounts, and a part never counts more than its whole."""
    counter = Counter(2)
    counts = [counter.take([whole, whole * share]) for whole, share in amounts]
    assert sum(c[0] for c in counts) == pytest.approx(sum(w for w, _ in amounts), abs=1)
    assert all(c[0] >= c[1] >= 0 and c[0] == int(c[0]) for c in counts)


@given(st.integers(0, 1000), AMOUNTS)
def test_by_chance_a_part_is_no_more_than_its_whole(
    seed: int, amounts: list[tuple[float, float]]
) -> None:
    """Drawn counts keep the order of whole and part, and the same source draws the same."""
    one, again = Counter(3, str(seed)), Counter(3, str(seed))
    for whole, share in amounts:
        exact = [whole, whole * share, whole * share / 2]
        drawn = one.take(exact)
        assert drawn == again.take(exact)
        assert drawn[0] >= drawn[1] >= drawn[2] >= 0


@pytest.mark.parametrize("mean", [0.0, 0.3, 4.0, 29.0, 31.0, 250.0, 4000.0])
def test_chance_has_its_mean_and_variance(mean: float) -> None:
    """Drawn numbers are Poisson: mean and variance are equal, within chance."""
    source = random.Random(7)
    drawn = [poisson(mean, source) for _ in range(3000)]
    error = (mean / 3000) ** 0.5
    assert abs(statistics.mean(drawn) - mean) <= 4 * error
    assert statistics.variance(drawn) == pytest.approx(mean, rel=0.15, abs=1e-9)
