"""What the rules say of real traffic: deploys that changed nothing, and injected faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.detection.outcome import Times
from benchmarks.detection.real import nezha_faults, nginx_deploys
from benchmarks.detection.rules import ALONE, Rule
from benchmarks.detection.sequential import Truth
from benchmarks.detection.setting import Array


@dataclass(frozen=True, slots=True)
class Real:
    """A rule's rollbacks over nginx.org's counters, and its times in Nezha's faults.

    `visible` has a time for each fault that users saw, infinite for never; `quiet` those of the
    faults that they did not see.
    """

    rule: str
    nginx: Times
    visible: Array
    quiet: Times


def real_results(rules: Sequence[Rule]) -> list[Real]:
    """Ask the rules that need no truth and are for any poll interval."""
    deploys, faults = nginx_deploys(), nezha_faults()
    visible = np.array([fault.visible for fault in faults])
    found = []
    for rule in rules:
        if rule.clairvoyant or rule.poll or rule.name == ALONE:
            continue
        healthy = Times()
        for traces in deploys:
            # The objective of a burn rate is what the baseline had, on average over the rows.
            usual = float(traces.base_errors.sum() / traces.base_requests.sum())
            healthy += Times.of(rule.judge([traces], Truth(usual)).declared, 0.0)
        said = [rule.judge([fault.traces], Truth(0.001)).declared[0] for fault in faults]
        times = np.array(said)
        found.append(Real(rule.name, healthy, times[visible], Times.of(times[~visible], 0.0)))
    return found
