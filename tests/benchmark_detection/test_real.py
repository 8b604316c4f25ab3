"""Real traces are cut and scaled as the page says."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.detection.real import nezha_faults, nginx_deploys, worldcup_load
from benchmarks.detection.setting import Setting


def test_real_load_keeps_the_mean() -> None:
    """Each piece of the World Cup site's load is scaled to 1 on average."""
    setting = Setting(100, 0.01, count=5)
    load = worldcup_load(setting.random("x"), setting)
    assert load.shape == setting.shape
    assert load.mean(1) == pytest.approx(np.ones(5))
    assert load.std() > 0.01


def test_real_counters_are_cut_at_the_deploy() -> None:
    """Baseline and watch together are the whole record, whenever the deploy was."""
    deploys = nginx_deploys()
    sums = [d.base_requests.sum() + d.requests.sum() for d in deploys]
    assert len(deploys) == 16
    assert len(set(sums)) == 1
    assert all((d.errors <= d.requests).all() for d in deploys)


def test_real_faults_are_told_by_what_users_saw() -> None:
    """Seven of the injected faults failed requests of the front end; quiet ones did not."""
    faults = nezha_faults()
    assert [fault.kind for fault in faults if fault.visible].count("return") == 4
    assert sum(fault.visible for fault in faults) == 7
    quiet = [f.traces.errors.sum() / f.traces.requests.sum() for f in faults if not f.visible]
    assert max(quiet) < 0.02
