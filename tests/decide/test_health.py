"""What the cluster itself says of the candidate's pods."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy_guard.decide.health import LASTING, HealthJudge
from deploy_guard.model import Evidence, Finding, Health, Sample, Symptom, Verdict

from .building import START, Entry, judge, look, pods, policy, sample, seen

CRASH = Symptom("CrashLoopBackOff", "back-off 10s restarting failed container")
CONFIG = Symptom("CreateContainerConfigError", 'configmap "checkout" not found')


def evidence(entries: list[Entry]) -> Evidence:
    """Return the cluster's evidence at the end."""
    return seen(policy(), entries, "kubernetes")


@pytest.mark.parametrize("reason", [r for r, seconds in LASTING.items() if seconds == 0])
def test_immediate_symptoms(reason: str) -> None:
    """Some symptoms are a regression at once, told with the pods and the cluster's own words."""
    decision = judge(policy(), [pods(10, Symptom(reason, "the cluster's words", pods=2))])
    assert decision.verdict is Verdict.REGRESSED
    assert decision.reason == (
        f"kubernetes: {reason} on 2 new pods: the cluster's words; 3 of 3 new pods ready"
    )


@pytest.mark.parametrize("reason", ["CrashLoopBackOff", "OOMKilled"])
def test_one_bad_node_is_no_bad_deploy_yet(reason: str) -> None:
    """A crash of less than a quarter of the pods, while all others are ready, has to last."""
    few = Health(8, 7, 3, (Symptom(reason, "", pods=1),))
    many = Health(8, 6, 3, (Symptom(reason, "", pods=2),))
    others_wait = Health(8, 6, 3, (Symptom(reason, "", pods=1),))
    early: list[Entry] = [of_all(1, few), of_all(59, few)]
    assert judge(policy(), early).verdict is None
    assert judge(policy(), [*early, of_all(62, few)]).verdict is Verdict.REGRESSED
    assert judge(policy(), [of_all(1, many)]).verdict is Verdict.REGRESSED
    assert judge(policy(), [of_all(1, others_wait)]).verdict is Verdict.REGRESSED


def of_all(seconds: float, health: Health) -> Sample:
    return Sample("kubernetes", START + seconds, 1.0, candidate=health)


@pytest.mark.parametrize(
    ("reason", "seconds"), [(r, s) for r, s in LASTING.items() if s is not None and s > 0]
)
def test_grace(reason: str, seconds: float) -> None:
    """A symptom that may cure itself is a regression only when it lasts."""
    symptom = Symptom(reason, "")
    before: list[Entry] = [pods(0, symptom), pods(seconds - 1, symptom)]
    assert judge(policy(), before).verdict is None
    assert evidence(before).finding is Finding.SUSPECT
    assert judge(policy(), [*before, pods(seconds, symptom)]).verdict is Verdict.REGRESSED


def test_symptom_that_goes_away() -> None:
    """A symptom that went away in time starts anew when it comes back."""
    entries: list[Entry] = [pods(0, CONFIG), pods(8), pods(12, CONFIG)]
    assert judge(policy(), entries).verdict is None
    assert evidence([pods(0, CONFIG), pods(8)]).finding is Finding.GOOD


def test_symptom_is_older_than_the_first_look() -> None:
    """A symptom that the cluster has seen for long needs no more grace."""
    old = Symptom(CONFIG.reason, CONFIG.detail, since=START - 30)
    assert judge(policy(), [pods(1, old)]).verdict is Verdict.REGRESSED


def test_unknown_symptom() -> None:
    """A symptom that is no regression by itself withholds a healthy verdict."""
    symptom = Symptom("Unschedulable", "0/3 nodes are available")
    entries: list[Entry] = [look(0), *[pods(at, symptom) for at in range(0, 601, 10)]]
    decision = judge(policy(), entries)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "Unschedulable" in decision.reason


SICK, WELL = Health(3, 0, 4, (CRASH,)), Health(3, 3, 0)
ONE_OF_TEN, ALL = Health(10, 9, 4, (CRASH,)), replace(CRASH, pods=3)


def test_one_old_pod_of_many_does_not_acquit_new_pods_that_all_crash() -> None:
    """A pod that crashes on its node for days is no sign that all pods would, deploy or not."""
    assert evidence([pods(1, ALL, control=ONE_OF_TEN)]).finding is Finding.BAD
    assert evidence([pods(1, CRASH, control=ONE_OF_TEN)]).finding is Finding.SHARED


@pytest.mark.parametrize(
    ("controls", "finding"),
    [
        ([SICK, SICK], Finding.SHARED),
        ([SICK, None], Finding.SHARED),
        ([SICK, Health(0, 0, 0)], Finding.SHARED),
        ([SICK, WELL], Finding.BAD),
        ([WELL, WELL], Finding.BAD),
        ([None, None], Finding.BAD),
    ],
    ids=[
        "old pods too",
        "old pods, until they were gone",
        "old pods, until none was left",
        "old pods recovered",
        "old pods are well",
        "no old pods",
    ],
)
def test_shared_symptoms(controls: list[Health | None], finding: Finding) -> None:
    """A symptom that the old pods have too, or had to their end, is not the deploy's fault."""
    entries: list[Entry] = [pods(i, CRASH, control=c) for i, c in enumerate(controls)]
    assert evidence(entries).finding is finding


def test_symptom_before_the_deploy() -> None:
    """A symptom that the pods had before the deploy is not the deploy's fault."""
    before = Sample("kubernetes", START - 1, 1.0, control=SICK)
    assert evidence([before, pods(1, CRASH)]).finding is Finding.SHARED


def test_own_symptom_next_to_a_shared_one() -> None:
    """A symptom of the new pods alone counts although another one is shared."""
    killed = Symptom("OOMKilled", "")
    entries: list[Entry] = [pods(1, CRASH, killed, control=SICK)]
    found = evidence(entries)
    assert found.finding is Finding.BAD
    assert found.text.startswith("OOMKilled on 1 new pod;")


@pytest.mark.parametrize(
    ("health", "finding", "words"),
    [
        (Health(0, 0, 0), Finding.LITTLE, "no new pods yet"),
        (Health(3, 0, 0), Finding.LITTLE, "0 of 3 new pods ready"),
        (Health(3, 2, 1), Finding.GOOD, "2 of 3 new pods ready, 1 restart"),
        (None, Finding.NO_DATA, "no new pods seen yet"),
    ],
    ids=["no pods", "none ready yet", "well", "not seen"],
)
def test_without_symptoms(health: Health | None, finding: Finding, words: str) -> None:
    """Without symptoms the evidence counts pods that are ready, and restarts."""
    found = evidence([sample(1, health, WELL, signal="kubernetes")])
    assert found.finding is finding
    assert found.text == words


def test_after_a_rollback_no_pod_is_called_new() -> None:
    """Those that serve again are the old ones."""
    judge = HealthJudge("kubernetes")
    assert judge.evidence(START).text == "no new pods seen yet"
    assert judge.again().evidence(START).text == "no pods seen yet"
