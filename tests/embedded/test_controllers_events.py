"""Events: repetitions are counted, similar ones combined, floods dropped."""

from __future__ import annotations

import pytest

from deploy_guard.embedded.controllers.events import Recorder
from deploy_guard.embedded.store import Object, Store

ABOUT: Object = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "n", "uid": "u", "resourceVersion": "7"},
}


@pytest.fixture
def store() -> Store:
    return Store()


def written(store: Store) -> list[tuple[str, int]]:
    """Return message and count of every event, in the order of their names."""
    return [(e["message"], e["count"]) for e in store.list_all("events", "n")[0]]


def test_the_same_event_again_is_counted(store: Store) -> None:
    """One object per message; the count and the last time say how often."""
    recorder = Recorder(store, "deployment-controller")
    for _ in range(3):
        recorder.event(ABOUT, "Normal", "ScalingReplicaSet", "Scaled up")
    recorder.event(ABOUT, "Normal", "ScalingReplicaSet", "Scaled down")
    assert sorted(written(store)) == [("Scaled down", 1), ("Scaled up", 3)]


def test_the_tenth_different_message_is_combined(store: Store) -> None:
    """Nine messages with one reason stay apart, further ones share one event."""
    recorder = Recorder(store, "replicaset-controller")
    for number in range(12):
        recorder.event(ABOUT, "Warning", "FailedCreate", f"Error creating: pod {number}")
    found = written(store)
    assert len(found) == 10
    assert ("(combined from similar events): Error creating: pod 11", 3) in found


def test_a_flood_about_one_object_is_cut(store: Store) -> None:
    """After 25 events about one object the next has to wait."""
    recorder = Recorder(store, "deployment-controller")
    for number in range(40):
        recorder.event(ABOUT, "Normal", f"Reason{number}", "text")
    assert len(written(store)) == 25


def test_an_event_that_was_deleted_is_written_anew(store: Store) -> None:
    """A repetition of an event that somebody deleted starts again at 1."""
    recorder = Recorder(store, "deployment-controller")
    recorder.event(ABOUT, "Normal", "ScalingReplicaSet", "Scaled up")
    name = store.list_all("events", "n")[0][0]["metadata"]["name"]
    store.delete("events", "n", name)
    recorder.event(ABOUT, "Normal", "ScalingReplicaSet", "Scaled up")
    assert written(store) == [("Scaled up", 1)]
