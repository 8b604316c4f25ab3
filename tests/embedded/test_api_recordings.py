"""The embedded API server answers as the recorded Kubernetes 1.36 does."""

from __future__ import annotations

from functools import cache

import pytest

from embedded.recordings import Step, load
from embedded.replay import Outcome, Replay, Scenario
from embedded.scenarios import SCENARIOS

STEPS = [
    pytest.param(scenario, step, id=f"{scenario.recording}: {step.label}")
    for scenario in SCENARIOS
    for step in load(scenario.recording).steps
]


@cache
def outcomes(recording: str) -> dict[str, Outcome]:
    """Replay a scenario once for all its steps."""
    scenario = next(one for one in SCENARIOS if one.recording == recording)
    return Replay(scenario).run()


@pytest.mark.parametrize(("scenario", "step"), STEPS)
def test_step(scenario: Scenario, step: Step) -> None:
    """The same request gets the same status, headers and body, up to uids, versions and times."""
    reason = scenario.reason_to_skip(step)
    if reason is not None:
        pytest.skip(reason)
    outcome = outcomes(scenario.recording)[step.label]
    assert outcome.status == outcome.wanted_status, outcome.body
    if step.label not in scenario.other_headers:
        assert outcome.headers == outcome.wanted_headers
    if step.label in scenario.status_only:
        assert outcome.body != outcome.wanted_body, "the body is the same now: remove the exception"
        return
    assert outcome.body == outcome.wanted_body


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.recording)
def test_differences_name_real_steps(scenario: Scenario) -> None:
    """Every difference in the table is about a step that exists."""
    labels = {step.label for step in load(scenario.recording).steps}
    named = {*scenario.skipped, *scenario.status_only, *scenario.compact_before}
    named |= set(scenario.other_headers)
    named |= {*scenario.done_before, *scenario.current, *scenario.bodies}
    assert named <= labels, named - labels
