"""Ordinary days: moments without a deploy, away from deploys and from holes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from backtest.service_history import BEGIN, HOUR, RELEASES, history
from deploy_guard.backtest.model import Deploy
from deploy_guard.backtest.ordinary import Survey, draw, ordinary_days, survey, survey_plan
from deploy_guard.model import Target
from deploy_guard.policy.models import Policy
from prometheus_server import PrometheusServer, needs_prometheus

WEB = Target("deployment", "shop", "web")
STEP = 300.0
END = 1_000_000.0


def policy(url: str = "http://localhost:9", **watch: Any) -> Policy:
    errors = {
        "errors": 'sum by (pod) (http_requests_total{pod=~"{{ pods }}", code=~"5.."})',
        "requests": 'sum by (pod) (http_requests_total{pod=~"{{ pods }}"})',
    }
    signals = [
        {"name": "errors", "provider": "prometheus", "ratio": errors},
        {"name": "sums", "provider": "prometheus", "value": "sum(sums_total)", "above": 1e12},
    ]
    return Policy.model_validate(
        {
            "version": 1,
            "prometheus": {"url": url},
            "watch": {"for": "10m", "interval": "15s", "baseline": "1h", **watch},
            "signals": signals,
        }
    )


def surveyed(*, rollouts: tuple[float, ...] = (), hole: tuple[float, float] = (0, 0)) -> Survey:
    ticks = (n for n in range(-100, round(END / STEP) + 100) if not hole[0] <= n * STEP < hole[1])
    return Survey(0.0, END, STEP, frozenset(ticks), rollouts)


def times(found: list[Deploy]) -> list[float]:
    assert all(deploy.ordinary for deploy in found)
    return [deploy.at for deploy in found]


def test_the_same_seed_draws_the_same_days() -> None:
    """Another seed draws others; watches do not overlap, and begin on the grid of the interval."""
    one, again, other = (
        times(draw(policy(), surveyed(), count=50, start=0.0, end=END, seed=seed))
        for seed in (1, 1, 2)
    )
    assert one == again != other
    assert len(one) == 50
    assert all(later - earlier >= 600 for earlier, later in pairwise(one))
    assert all(at % 15 == 0 for at in one)


@pytest.mark.parametrize("known", ["told", "seen"])
def test_no_deploy_is_in_a_baseline_or_a_watch(known: str) -> None:
    """Neither those that were told, nor those that pods of another revision show."""
    at = END / 2
    avoid = [Deploy(at, "")] if known == "told" else []
    found = surveyed(rollouts=(at,) if known == "seen" else ())
    drawn = times(draw(policy(), found, count=10_000, start=0.0, end=END, avoid=avoid))
    near = [moment for moment in drawn if at - 600 <= moment <= at + 4200]
    assert near == []
    assert len(drawn) > 1600  # all the rest of the time is used


def test_no_hole_is_in_a_baseline_or_a_watch() -> None:
    """A day needs data from the beginning of its baseline to the end of its watch."""
    hole = (500_000.0, 503_000.0)
    drawn = times(draw(policy(), surveyed(hole=hole), count=10_000, start=0.0, end=END))
    assert not any(hole[0] - 600 < at < hole[1] + 3600 - STEP for at in drawn)


def test_fewer_days_are_drawn_where_there_is_no_room() -> None:
    """An hour has six watches of ten minutes at most."""
    assert 5 <= len(draw(policy(), surveyed(), count=100, start=10_000, end=13_600)) <= 6


@needs_prometheus[0]
@needs_prometheus[1]
def test_deploys_and_holes_are_seen_in_prometheus(tmp_path: Path) -> None:
    """Nobody told of the three rollouts; one query for each signal finds them and the hole."""
    hole = (BEGIN + 18 * HOUR, BEGIN + 18 * HOUR + 1200)
    with PrometheusServer(tmp_path / "prometheus", history=history(hole=hole)) as server:
        asked = policy(server.url)
        start, end = BEGIN + HOUR + STEP, BEGIN + 23 * HOUR
        told: list[tuple[int, int]] = []
        found = survey(
            asked,
            WEB,
            start=start,
            end=end,
            environ={},
            progress=lambda done, total: told.append((done, total)),
        )
        assert len(survey_plan(asked, WEB, start=start, end=end).queries) == 2
        assert told == [(1, 2), (2, 2)]
        assert len(found.rollouts) == 3
        for seen, release in zip(found.rollouts, RELEASES[1:], strict=True):
            assert 0 <= seen - release.at <= found.step + 60
        days = times(ordinary_days(asked, WEB, count=200, start=start, end=end, environ={}, seed=3))
        assert days
        for release in RELEASES[1:]:
            assert not any(release.at - 600 < at < release.at + 3600 for at in days)
        assert not any(hole[0] - 300 < at < hole[1] + 3000 for at in days)
