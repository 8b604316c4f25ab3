"""Cases in virtual time: the verdict, its time, and that it is what a watch would decide."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy_guard import decide
from deploy_guard.model import Finding, Verdict
from deploy_guard.policy.models import Policy
from deploy_guard.policy_tests.models import Setting
from deploy_guard.policy_tests.running import Ran, Runner
from deploy_guard.policy_tests.world import DEPLOYED_AT, World

from .cases import DEFAULTS, POLICY, case, policy


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """Return the policy of most tests."""
    return policy(tmp_path_factory.mktemp("policy"))


def _run(shop: Policy, faults: Any = (), **others: Any) -> Ran:
    return Runner(shop).run(case(faults=faults, **others), DEFAULTS)


BAD = {"errors": {"errors": {"before": "0.5%", "new": "20%"}}}


def test_a_deploy_that_changes_nothing_is_healthy_at_the_end(shop: Policy) -> None:
    """Healthy is told when the watch ends, not sooner."""
    ran = _run(shop)
    assert (ran.verdict, ran.at, ran.accused) == (Verdict.HEALTHY, 600.0, ())


def test_a_regression_is_told_when_a_reading_proves_it(shop: Policy) -> None:
    """The verdict falls at a reading of the signal that is accused."""
    ran = _run(shop, signals=BAD)
    assert ran.verdict is Verdict.REGRESSED and ran.accused == ("errors",)
    assert ran.at == 45.0 and ran.steps[-1].watched.name == "errors"


def test_a_fault_is_not_told_before_it_begins(shop: Policy) -> None:
    """What is bad from three minutes on is told after three minutes."""
    ran = _run(shop, signals={"errors": {"errors": {"before": "0.5%", "new": {"3m": "30%"}}}})
    assert ran.verdict is Verdict.REGRESSED and 180 < ran.at <= 240


def test_a_probe_that_fails_three_times_condemns(shop: Policy) -> None:
    """The third failed call in a row since a new pod serves is the one."""
    ran = _run(shop, signals={"payments": {"answers": {"before": "ok", "new": 503}}})
    assert ran.verdict is Verdict.REGRESSED and ran.accused == ("payments",)
    assert ran.at == 45.0 and "got 503" in ran.decision.reason


def test_a_probe_may_change_at_times(shop: Policy) -> None:
    """Two failures in a row are no regression when three are needed."""
    answers = {"0s": "ok", "60s": "fail", "80s": "ok", "2m": "3s", "2m25s": "ok"}
    assert _run(shop, signals={"payments": {"answers": answers}}).verdict is Verdict.HEALTHY


def test_a_value_must_stay_beyond_its_limit(shop: Policy) -> None:
    """A queue that is too long for a minute is bad, one that is for half a minute is not."""
    long = _run(shop, signals={"queue": {"value": {"before": "10", "new": "10x4 500x40"}}})
    assert long.accused == ("queue",) and long.at == 135.0
    short = _run(shop, signals={"queue": {"value": {"before": "10", "new": "10x4 500x2 10x40"}}})
    assert short.verdict is Verdict.HEALTHY


def test_an_optional_signal_of_which_nothing_is_said_has_no_data(tmp_path: Path) -> None:
    """It reads nothing, and not 0, which would be below its limit."""
    text = POLICY.replace("above: 100", "below: 3")
    few = {name: one for name, one in DEFAULTS.signals.items() if name in ("errors", "latency")}
    ran = Runner(policy(tmp_path, text)).run(case(), Setting(signals=few))
    found = {e.signal: e.finding for e in ran.decision.evidence}
    assert found["queue"] is found["payments"] is Finding.NO_DATA
    assert ran.verdict is Verdict.HEALTHY


def test_old_pods_that_are_as_bad_acquit_the_deploy(shop: Policy) -> None:
    """A fault of the world is no regression, and the reason says so."""
    world = {"errors": {"errors": {"before": "0.5%", "old": "20%", "new": "20%"}}}
    ran = _run(shop, rollout="5m", signals=world)
    assert ran.verdict is Verdict.INCONCLUSIVE and "not the deploy" in ran.decision.reason


def test_a_crash_during_the_rollout_stops_it(shop: Policy) -> None:
    """A new pod that does not get ready leaves the old ones where they are."""
    fault = {"at": "5s", "what": "unready"}
    ran = _run(shop, [fault])
    look = ran.scene.world.latest(200.0)
    assert (look.rollout.updated, look.rollout.old, look.rollout.complete) == (1, 4, False)
    assert ran.verdict is Verdict.REGRESSED and ran.at == 300.0 and "Unready" in ran.decision.reason


def test_a_stuck_rollout_passes_its_deadline(tmp_path: Path) -> None:
    """After ten minutes without progress the controller gives up, and that is a regression."""
    text = (
        POLICY.replace("for: 10m, interval", "for: 15m, interval") + "kubernetes: {unready: 1h}\n"
    )
    ran = _run(policy(tmp_path, text), [{"at": "5s", "what": "unready"}])
    assert ran.verdict is Verdict.REGRESSED and 600 <= ran.at <= 610
    assert "ProgressDeadlineExceeded" in ran.decision.reason


def test_without_any_reading_there_is_no_data(shop: Policy) -> None:
    """When no signal can be read, the verdict is no data."""
    ran = _run(shop, [{"what": "unreachable"}])
    assert ran.verdict is Verdict.NO_DATA and ran.at == 600.0


def test_a_cluster_that_cannot_be_seen_ends_inconclusive(shop: Policy) -> None:
    """Nobody knows then whether the rollout is complete."""
    ran = _run(shop, [{"at": "1m", "signal": "kubernetes", "what": "timeout"}])
    assert ran.verdict is Verdict.INCONCLUSIVE and "cannot be seen" in ran.decision.reason


def test_slow_readings_come_late(shop: Policy) -> None:
    """A reading that takes ten seconds is folded ten seconds later, with the numbers of its begin.

    One that takes longer than the interval delays the next.
    """
    quick = _run(shop, signals=BAD)
    late = _run(shop, [{"signal": "errors", "what": "slow", "takes": "10s"}], signals=BAD)
    assert (quick.at, late.at) == (45.0, 55.0) and late.decision.at == quick.decision.at
    slower = _run(shop, [{"signal": "errors", "what": "slow", "takes": "40s"}], signals=BAD)
    assert [step.at for step in slower.steps if step.watched.name == "errors"] == [40.0, 80.0]


def test_chance_is_the_same_every_time(shop: Policy) -> None:
    """Noise depends on the seed only; another seed draws other counts."""
    one, again, other = (_run(shop, noise="poisson", seed=seed) for seed in (1, 1, 2))
    assert list(one.observations()) == list(again.observations())
    assert list(one.observations()) != list(other.observations())


PARTS = st.sampled_from(["0%", "0.5%", "4%", "30%", "100%", "1/s", "0.5%x8 30%x40"])
VALUES = st.sampled_from(["10", "10x5 500x40", "_ 500x40", "500x9 _x9 stale NaN 10x30"])
ANSWERS = st.sampled_from(["ok", "fail", "503", "5s"])
FAULTS = st.fixed_dictionaries(
    {
        "at": st.sampled_from(["0s", "20s", "75s", "5m"]),
        "what": st.sampled_from(
            [
                "no data",
                "NaN",
                "unreachable",
                "slow",
                "crash",
                "restart",
                "unready",
                "OOMKilled",
                "unschedulable",
                "ImagePullBackOff",
            ]
        ),
    },
    optional={"for": st.sampled_from(["5s", "1m", "4m"])},
)


def _by_group(parts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    steady = parts.filter(lambda text: "x" not in text and "_" not in text)  # before the deploy
    return parts | st.fixed_dictionaries({"before": steady, "old": parts, "new": parts})


CASES = st.fixed_dictionaries(
    {
        "pods": st.sampled_from([1, 3, 4]),
        "rollout": st.sampled_from(["0s", "30s", "3m", "20m"]),
        "noise": st.sampled_from(["none", "poisson"]),
        "baseline": st.sampled_from(["0s", "5m", "1h"]),
        "faults": st.lists(FAULTS, max_size=2),
        "signals": st.fixed_dictionaries(
            {
                "errors": st.fixed_dictionaries(
                    {
                        "requests": st.sampled_from(["40/s", "3/m", "0/s"]),
                        "errors": _by_group(PARTS),
                    }
                ),
                "latency": st.fixed_dictionaries(
                    {"requests": st.just("40/s"), "slow": _by_group(PARTS)}
                ),
                "queue": st.fixed_dictionaries({"value": _by_group(VALUES)}),
                "payments": st.fixed_dictionaries({"answers": ANSWERS}),
            }
        ),
    }
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(cases=st.lists(CASES, min_size=1, max_size=3))
def test_a_case_ends_as_the_replay_of_what_was_observed(
    shop: Policy, cases: list[dict[str, Any]]
) -> None:
    """Verdict, time, reason and evidence are those of `decide.replay`, also of work shared."""
    runner = Runner(shop)
    for one in cases:
        ran = runner.run(case(**one), DEFAULTS)
        replayed = decide.replay(shop, DEPLOYED_AT, ran.observations())
        assert replayed == ran.decision
        slow = any(fault["what"] == "slow" for fault in one["faults"])
        assert replayed.at - DEPLOYED_AT == pytest.approx(ran.at, abs=10 if slow else 1e-6)
        assert (ran.verdict is Verdict.REGRESSED) == bool(ran.accused)
        bad = {e.signal for e in ran.decision.evidence if e.finding is Finding.BAD}
        assert set(ran.accused) == bad


def test_cases_that_share_a_story_do_not_share_the_rest(shop: Policy) -> None:
    """A runner gives each case what a runner of its own would."""
    cases = [
        case(),
        case(signals=BAD),
        case(signals={"latency": {"slow": {"before": "0.3%", "new": "9%"}}}),
        case(faults=[{"at": "1m", "for": "3m", "what": "no data"}]),
        case(pods=7, signals=BAD),
        case(),
    ]
    shared = Runner(shop)
    for one in cases:
        ran, alone = shared.run(one, DEFAULTS), Runner(shop).run(one, DEFAULTS)
        assert (ran.decision, ran.at) == (alone.decision, alone.at)
        assert list(ran.observations()) == list(alone.observations())


def test_a_large_workload_takes_no_time() -> None:
    """A look at the workload is worked out once, and only if a reading needs it."""
    world = World(500, 300.0, 600.0)
    assert len(world.changes) == 501
    assert world.latest(299.0) is world.latest(299.3) is not world.latest(299.9)
    assert world.present(299.0) is world.present(299.0)
