from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from deploy_guard.cluster.workload import VERDICT
from deploy_guard.model import Verdict
from deploy_guard.rollback.revisions import (
    ROLLBACK,
    Choice,
    Note,
    Past,
    choose_target,
    equivalent,
    find,
    history,
    in_place,
    only_restarted,
    read_note,
)
from embedded.recordings import load


def revision(number: int, tag: str, **more: Any) -> dict[str, Any]:
    """Make a ReplicaSet: `verdict`, `former`, `notes` (of its template), `labels`, `env`."""
    annotations = {"deployment.kubernetes.io/revision": str(number)}
    if "former" in more:
        annotations["deployment.kubernetes.io/revision-history"] = more["former"]
    hash_of_it = more.get("hash", f"h{number}")
    if "verdict" in more:
        note = {
            "verdict": more["verdict"],
            "template": hash_of_it,
            "at": more.get("at", "2026-11-23T12:00:00Z"),
        }
        annotations[VERDICT] = json.dumps(note)
    container: dict[str, Any] = {"name": "web", "image": f"web:{tag}"}
    if "env" in more:
        container["env"] = [{"name": k, "value": v} for k, v in more["env"].items()]
    return {
        "metadata": {
            "name": f"web-{hash_of_it}",
            "uid": f"u{number}",
            "creationTimestamp": f"2026-11-23T11:{number:02d}:00Z",
            "labels": {"app": "web", "pod-template-hash": hash_of_it},
            "annotations": annotations,
        },
        "spec": {
            "template": {
                "metadata": {
                    "labels": {
                        "app": "web",
                        "pod-template-hash": hash_of_it,
                        **more.get("labels", {}),
                    },
                    "annotations": more.get("notes", {}),
                },
                "spec": {"containers": [container]},
            }
        },
    }


def choose(*replicasets: dict[str, Any], note: Note | None = None) -> Choice:
    """Choose for the revision with the highest number."""
    past = history(replicasets)
    return choose_target(past, past[0], template=past[0].template, note=note)


def chosen(choice: Choice) -> int | None:
    return choice.target.revision.number if choice.target else None


def passed(choice: Choice) -> dict[int, str]:
    return {revision.number: why for revision, why in choice.passed_over}


def test_the_previous_revision_without_any_verdict() -> None:
    """Without verdicts the newest other revision is the target."""
    assert chosen(choose(revision(1, "1"), revision(2, "2"), revision(3, "3"))) == 2


def test_the_last_healthy_revision_is_preferred() -> None:
    """A revision that guard judged healthy wins over a newer one without verdict."""
    choice = choose(revision(1, "1", verdict="healthy"), revision(2, "2"), revision(3, "3"))
    assert chosen(choice) == 1
    assert passed(choice) == {2: "has no verdict, and revision 1 was judged healthy"}


def test_a_bad_revision_is_never_chosen() -> None:
    """A revision that was judged regressed is passed over, even if nothing else is left."""
    bad = revision(2, "2", verdict="regressed")
    assert chosen(choose(revision(1, "1"), bad, revision(3, "3"))) == 1
    alone = choose(bad, revision(3, "3"))
    assert chosen(alone) is None
    assert passed(alone) == {2: "was judged regressed"}


@pytest.mark.parametrize("verdict", ["inconclusive", "no_data"])
def test_no_evidence_is_no_condemnation(verdict: str) -> None:
    """A revision without enough evidence is as good as one without verdict."""
    assert (
        chosen(choose(revision(1, "1"), revision(2, "2", verdict=verdict), revision(3, "3"))) == 2
    )


def test_a_restart_is_seen_through() -> None:
    """A restart makes a revision with the same bits: going there would change nothing."""
    at = {"kubectl.kubernetes.io/restartedAt": "2026-11-23T12:00:00Z"}
    choice = choose(revision(1, "1"), revision(2, "2"), revision(3, "2", notes=at))
    assert chosen(choice) == 1
    assert passed(choice) == {2: "runs the same as the one that is rolled back"}
    assert choice.warnings == (
        "revision 2 runs the same, only not restarted: a rollback goes further back than to it",
    )
    assert chosen(choose(revision(2, "2"), revision(3, "2", notes=at))) is None


def test_annotations_alone_are_a_last_resort() -> None:
    """A revision that differs in other annotations alone is chosen only if nothing else is left."""
    notes = {"checksum/config": "abc"}
    choice = choose(revision(1, "1"), revision(2, "2"), revision(3, "2", notes=notes))
    assert chosen(choice) == 1
    assert 2 in passed(choice)
    last = choose(revision(2, "2"), revision(3, "2", notes=notes))
    assert chosen(last) == 2
    assert last.warnings == ("it differs from what runs in annotations alone",)


def test_labels_and_environment_are_what_runs() -> None:
    """Another label or environment variable is another thing that runs, with the same image."""
    assert chosen(choose(revision(1, "1"), revision(2, "1", labels={"tier": "b"}))) == 1
    assert chosen(choose(revision(1, "1"), revision(2, "1", env={"A": "b"}))) == 1


def test_one_revision_alone() -> None:
    """Without any other revision there is no target, and the reason is plain."""
    choice = choose(revision(1, "1"))
    assert (chosen(choice), choice.reason) == (None, "there is no earlier revision")


def test_before_the_controller_made_the_new_replicaset() -> None:
    """With no ReplicaSet of the live template yet, the newest revision is the previous one."""
    past = history([revision(1, "1"), revision(2, "2")])
    template = history([revision(3, "3")])[0].template
    assert chosen(choose_target(past, None, template=template)) == 2


@pytest.mark.parametrize("former", ["1", ""], ids=["renumbered", "not renumbered yet"])
def test_what_others_undid_is_not_rolled_forward_to(former: str) -> None:
    """After an undo by somebody else, the revision that was undone is no target."""
    live = revision(3, "1", former=former) if former else revision(1, "1")
    undone = revision(2, "2")
    past = history([undone, live])
    candidate = next(p for p in past if p.revision.uid == live["metadata"]["uid"])
    choice = choose_target(past, candidate, template=candidate.template)
    assert chosen(choice) is None
    assert "was then returned to" in passed(choice)[2]


def test_after_an_undo_the_revision_before_both_is_the_target() -> None:
    """What ran before the revision that was returned to is still fit."""
    choice = choose(revision(1, "0"), revision(3, "2"), revision(4, "1", former="2"))
    assert chosen(choice) == 1


def test_a_second_try_of_a_release_goes_back_to_what_ran_between() -> None:
    """After A, B, A, B the older of the two is the target, although B was returned to as well."""
    choice = choose(revision(3, "a", former="1"), revision(4, "b", former="2"))
    assert chosen(choice) == 3


def test_an_undone_revision_that_was_judged_healthy_is_fit_with_a_warning() -> None:
    """A verdict of guard is stronger than the guess that a return was an undo."""
    choice = choose(revision(2, "2", verdict="healthy"), revision(3, "1", former="1"))
    assert chosen(choice) == 2
    assert "was then returned to" in choice.warnings[0]


def test_annotations_alone_are_fit_when_judged_healthy() -> None:
    """A healthy revision that differs in annotations alone wins over an older one."""
    notes = {"checksum/config": "abc"}
    choice = choose(
        revision(1, "1"), revision(2, "2", verdict="healthy"), revision(3, "2", notes=notes)
    )
    assert chosen(choice) == 2


NOTE = Note(from_hash="h2", to_hash="h3", number=3, at=1795435200.0)


def test_what_was_rolled_back_from_is_passed_over() -> None:
    """The revision that guard's last rollback left is not gone back to, verdict or not."""
    choice = choose(revision(1, "1"), revision(2, "2"), revision(3, "3"), note=NOTE)
    assert chosen(choice) == 1
    assert passed(choice) == {2: "was rolled back from before"}


def test_a_later_healthy_verdict_redeems() -> None:
    """A revision that was rolled back from, deployed again and judged healthy is good."""
    good = revision(2, "2", verdict="healthy", at="2027-01-01T00:00:00Z")
    assert chosen(choose(revision(1, "1"), good, revision(3, "3"), note=NOTE)) == 2


def test_a_rollback_is_in_place_until_something_newer_comes() -> None:
    """The note holds while its revision number does; a later release of the same bits is new."""
    live = history([revision(3, "3")])[0]
    assert in_place(NOTE, live)
    assert not in_place(NOTE, history([revision(5, "3", hash="h3")])[0])
    assert not in_place(NOTE, history([revision(4, "4")])[0])
    assert not in_place(None, live)
    assert not in_place(NOTE, None)


@pytest.mark.parametrize(
    "text", ["", "not JSON", "[]", "{}", '{"from": 1, "to": 2, "at": 3}', '{"from": {}}']
)
def test_an_unreadable_note_is_none(text: str) -> None:
    """Whatever stands in the annotation, reading it does no harm."""
    assert read_note({"metadata": {"annotations": {ROLLBACK: text}}}) is None
    assert read_note({"metadata": {}}) is None


def test_numbers_are_found_in_the_history_too() -> None:
    """A renumbered revision is found by its former number, unless another has that number now."""
    step = next(s for s in load("04-undo").steps if s.name == "replicasets after the first undo")
    past = history(step.answer["items"])
    assert [p.revision.number for p in past] == [4, 3, 1]
    by_former, by_number = find(past, 2), find(past, 4)
    assert by_former is not None
    assert by_former == by_number
    assert find(past, 9) is None


def test_equivalence_on_recorded_changes() -> None:
    """A recorded restart is equivalent, a recorded change of the image is not."""
    steps = load("03b-ways-to-change").steps
    lists = [s.answer for s in steps if (s.answer or {}).get("kind") == "ReplicaSetList"]
    past = history(lists[-1]["items"])
    restarted = [p for p in past if "restartedAt" in json.dumps(p.template)]
    assert restarted
    twins = [
        (a, b)
        for a in restarted
        for b in past
        if a is not b and only_restarted(a.template, b.template)
    ]
    assert twins
    for one, other in twins:
        assert equivalent(one.template, other.template)
        assert one.revision.images == other.revision.images
    others = [p for p in past if p.revision.images != restarted[0].revision.images]
    assert others
    assert not any(equivalent(p.template, restarted[0].template) for p in others)


def test_a_verdict_that_undo_copied_condemns_nobody() -> None:
    """A regressed note for another template, copied by undo and controller, is not believed."""
    bad = revision(2, "2", verdict="regressed")
    copied = revision(3, "3")
    copied["metadata"]["annotations"][VERDICT] = bad["metadata"]["annotations"][VERDICT]
    past: tuple[Past, ...] = history([bad, copied])
    verdicts = {p.revision.number: p.revision.verdict for p in past}
    assert verdicts == {2: Verdict.REGRESSED, 3: None}


def test_history_keeps_templates_as_they_are() -> None:
    """Nothing but the hash label is taken from a template, and the ReplicaSet is not changed."""
    replicaset = revision(1, "1")
    replicaset["spec"]["template"]["spec"]["newerThanUs"] = {"a": None}
    before = copy.deepcopy(replicaset)
    template = history([replicaset])[0].template
    assert replicaset == before
    before["spec"]["template"]["metadata"]["labels"].pop("pod-template-hash")
    assert template == before["spec"]["template"]
