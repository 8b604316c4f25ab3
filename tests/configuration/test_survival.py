"""A process that dies, a connection that breaks, a server that refuses: between any two writes."""

from __future__ import annotations

import json

import pytest

from configuration.cutting import Cut, Killed, Side
from configuration.shop import AT, PASSWORD, WEB, Shop, config_map, encoded, secret
from deploy_guard.cluster import errors
from deploy_guard.cluster.errors import ApiError, Call
from deploy_guard.cluster.templates import hash_of, template_of
from deploy_guard.configuration.comparing import State, compare
from deploy_guard.configuration.index import CONFIG, Index, index_of
from deploy_guard.configuration.objects import path_of
from deploy_guard.configuration.restoring import Restored, restore
from deploy_guard.configuration.taking import take_snapshot

CALL = Call("patch", "configmaps", "app", "shop")
SIDES: tuple[Side, ...] = ("before", "after")


def spoiled(shop: Shop) -> Index:
    """Take a snapshot, then spoil it in every way; return its index.

    Changed, gone, immutable with other contents: four writes put it back.
    """
    shop.apply(config_map("gone", A="1"))
    shop.apply(config_map("fixed", A="1") | {"immutable": True})
    shop.release("1", maps=("app", "gone", "fixed"), secrets=("db",))
    shop.take()
    index = shop.index()
    for name in ("gone", "fixed"):
        uid = shop.read("ConfigMap", name)["metadata"]["uid"]
        shop.cluster.delete(path_of(WEB, "ConfigMap", name), uid=uid)
    shop.apply(config_map("fixed", A="wrong") | {"immutable": True})
    shop.edit("ConfigMap", "app", {"data": {"TIMEOUT": "3"}})
    shop.edit("Secret", "db", {"data": {"password": encoded("wrong")}})
    return index


WRITES = 5


def put_back(cluster: Cut, index: Index) -> Restored:
    comparison = compare(cluster, WEB, index)
    return restore(cluster, comparison, by="a", reason="b", at=AT, sleep=lambda _: None)


def assert_whole(shop: Shop, index: Index) -> None:
    """All contents are as they were, and nothing else came to be."""
    found = compare(shop.cluster, WEB, index)
    assert {each.state for each in found.differences} == {State.UNCHANGED}
    assert shop.read("Secret", "db")["data"]["password"] == encoded(PASSWORD)
    assert shop.read("ConfigMap", "fixed")["immutable"] is True


def test_a_restore_has_that_many_writes(shop: Shop) -> None:
    """The moments of death below are all that there are."""
    index = spoiled(shop)
    cluster = Cut(shop.cluster)
    assert put_back(cluster, index).complete
    assert len(cluster.writes) == WRITES
    assert_whole(shop, index)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("number", range(1, WRITES + 1))
def test_a_restore_that_dies_is_finished_by_the_next(shop: Shop, number: int, side: Side) -> None:
    """Killed before or after any write, the next run brings everything to the snapshot."""
    index = spoiled(shop)
    with pytest.raises(Killed):
        put_back(Cut(shop.cluster, at=number, side=side, error=Killed()), index)
    assert put_back(Cut(shop.cluster), index).complete
    assert_whole(shop, index)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("number", range(1, WRITES + 1))
@pytest.mark.parametrize(
    ("kind", "code"),
    [(errors.Timeout, 0), (errors.Unreachable, 0), (errors.ServerError, 500)],
    ids=["timeout", "reset", "500"],
)
def test_a_restore_whose_answer_is_lost_goes_on(
    shop: Shop, kind: type[ApiError], code: int, number: int, side: Side
) -> None:
    """Whether a write was done is not known: it is read again, and done once."""
    index = spoiled(shop)
    verb = ("patch", "create", "delete", "create", "patch")[number - 1]
    error = kind(Call(verb, "configmaps", "app", "shop"), "no answer", code=code)
    assert put_back(Cut(shop.cluster, at=number, side=side, error=error), index).complete
    assert_whole(shop, index)


def test_a_server_that_is_overloaded_is_asked_again_later(shop: Shop) -> None:
    """After 429 the write is sent again when the server said so."""
    index = spoiled(shop)
    waits: list[float] = []
    error = errors.TooManyRequests(CALL, "later", code=429, retry_after=2.0)
    cluster = Cut(shop.cluster, at=1, error=error)
    comparison = compare(cluster, WEB, index)
    done = restore(cluster, comparison, by="a", reason="b", at=AT, sleep=waits.append)
    assert done.complete
    assert waits == [2.0]


def test_an_object_that_was_deleted_and_not_made_again_is_told(shop: Shop) -> None:
    """If the creation after a deletion fails for good, it is told; the next run makes it."""
    index = spoiled(shop)
    refused = errors.Forbidden(CALL, "admission webhook says no", code=403)
    probe = Cut(shop.cluster)
    comparison = compare(probe, WEB, index)
    order = [str(each) for each in comparison.to_restore]
    number = order.index("ConfigMap fixed") + 2
    done = put_back(Cut(shop.cluster, at=number, error=refused), index)
    (problem,) = [p for p in done.problems if p.blocks]
    assert "was deleted, and could not be created again" in problem.text
    assert put_back(Cut(shop.cluster), index).complete
    assert_whole(shop, index)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("number", range(1, 4))
def test_a_snapshot_that_dies_is_finished_by_the_next(shop: Shop, number: int, side: Side) -> None:
    """Killed before or after any write, the next run has one copy of each and one note."""
    with pytest.raises(Killed):
        shop.take(Cut(shop.cluster, at=number, side=side, error=Killed()))
    note = shop.revision()["metadata"]["annotations"].get(CONFIG)
    assert note is None or (number, side) == (3, "after")
    taken = shop.take()
    assert taken.complete
    copies = [*shop.copies("ConfigMap"), *shop.copies("Secret")]
    assert len(copies) == 2
    assert {c["metadata"]["name"] for c in copies} == {k.copy for k in taken.index.kept}
    assert index_of(shop.revision()) == taken.index


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("number", range(1, 4))
def test_a_snapshot_whose_answer_is_lost_goes_on(shop: Shop, number: int, side: Side) -> None:
    """A write whose answer is lost is looked for before it is sent again."""
    cluster = Cut(shop.cluster, at=number, side=side, error=errors.Timeout(CALL, "no answer"))
    assert shop.take(cluster).complete
    assert len(shop.copies("ConfigMap")) == len(shop.copies("Secret")) == 1
    assert len(cluster.writes) == (4 if side == "before" else 3)


def test_a_note_is_written_after_the_copies(shop: Shop) -> None:
    """A note never names a copy that does not exist yet."""
    cluster = Cut(shop.cluster)
    shop.take(cluster)
    assert [write.partition(" ")[0] for write in cluster.writes] == ["create", "create", "patch"]


def test_values_in_a_servers_refusal_are_not_told(shop: Shop) -> None:
    """A 422 that quotes the whole Secret, as the recorded one does, shows nothing of it."""
    shop.take()
    shop.edit("Secret", "db", {"data": {"user": encoded("x")}})
    quoted = json.dumps({"kind": "Secret", "data": {"password": encoded(PASSWORD)}})
    message = f' "" is invalid: patch: Invalid value: "{json.dumps(quoted)[1:-1]}": illegal base64'
    status = {"code": 422, "message": message, "reason": "Invalid", "kind": "Status"}
    refusal = errors.from_status(CALL, status, {})
    told: list[str] = []
    comparison = compare(shop.cluster, WEB, shop.index())
    done = restore(
        Cut(shop.cluster, at=1, error=refusal),
        comparison,
        by="a",
        reason="b",
        at=AT,
        tell=told.append,
    )
    assert not done.complete
    assert told
    assert encoded(PASSWORD) not in repr((done, told))


def test_a_silent_server_is_not_waited_for_again_and_again(shop: Shop) -> None:
    """Once a read has failed for as long as reads are tried, the others are given up, too."""
    names = tuple(f"c-{n:02}" for n in range(60))
    shop.apply(*(config_map(name, k=name) for name in names), secret("x", a="b"))
    shop.release("1", maps=names)
    workload, revision = shop.workload(), shop.revision()
    shop.embedded.close()
    taken = take_snapshot(
        shop.cluster,
        WEB,
        workload,
        revision,
        template=template_of(workload),
        template_hash=hash_of(revision),
        at=AT,
        by="a",
        sleep=lambda _: None,
    )
    assert taken.index.kept == ()
    assert len(taken.index.without) == 60
    assert not any(problem.blocks for problem in taken.problems)
