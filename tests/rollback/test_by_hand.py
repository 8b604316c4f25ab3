from __future__ import annotations

import copy
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.scripted import connect
from deploy_guard.cluster.snapshot import Json, owner
from deploy_guard.cluster.workload import revision_of
from deploy_guard.embedded.server import ApiServer
from deploy_guard.embedded.store import Store
from deploy_guard.errors import ExitCode
from deploy_guard.history import as_json, as_text, history
from deploy_guard.model import Change, Event, Verdict
from deploy_guard.problems import Superseded
from deploy_guard.rollback.by_hand import ByHand, rollback_by_hand
from deploy_guard.rollback.preparing import Prepared
from deploy_guard.rollback.telling import Told
from deploy_guard.rollback.verdicts import record_verdict
from embedded.recordings import load
from rollback.shop import WEB, Shop


def told(shop: Shop, **options: object) -> tuple[ByHand, list[Event]]:
    """Roll back by hand; return the result and all events."""
    events: list[Event] = []
    result = rollback_by_hand(shop.cluster, WEB, report=events.append, **options)  # type: ignore[arg-type]
    return result, events


def kinds(events: list[Event]) -> set[str]:
    return {event.kind for event in events}


def verdicts(shop: Shop) -> dict[str, Verdict | None]:
    found = [revision_of(rs) for rs in shop.look().revisions]
    return {revision.images[0]: revision.verdict for revision in found}


def test_from_plan_to_restored(shop: Shop) -> None:
    """A rollback by hand tells its plan, what changes, what does not, and ends when it serves."""
    shop.release("1", env={"MODE": "a"}, cause="release 1")
    shop.release("2", env={"MODE": "b", "API_TOKEN": "hunter2"}, cause="release 2")
    result, events = told(shop, reason="errors after the deploy")
    assert result.exit_code is ExitCode.OK
    assert result.text.startswith("deployment/web serves revision 1 (web:1, release 1) again")
    assert kinds(events) == {"plan", "change", "note", "rolled-back", "progress", "restored"}
    changed = [event.text for event in events if event.kind == "change"]
    assert changed == [
        "container web image: web:2 → web:1",
        "container web env API_TOKEN: (hidden) → (none)",
        "container web env MODE: b → a",
    ]
    assert "hunter2" not in json.dumps([event.text for event in events])
    assert "errors after the deploy" in shop.notes["deploy-guard/rollback"]


def test_twice_by_hand_is_once(shop: Shop) -> None:
    """The second rollback has nothing to do, says so, and exits 0; it does not go forward."""
    shop.release("1")
    shop.release("2")
    told(shop)
    result, events = told(shop)
    assert (result.exit_code, kinds(events)) == (ExitCode.OK, {"problem", "nothing"})
    assert result.text == "nothing to do: the last rollback is in place already"
    assert "--to-revision" in result.help
    assert shop.image == "web:1"


def test_after_a_fix_the_next_rollback_goes_to_the_restored_revision(shop: Shop) -> None:
    """Rolled back, fixed, broken again: the rollback skips the revision that was condemned."""
    shop.release("1")
    shop.release("2")
    told(shop)
    shop.release("3")
    result, _ = told(shop)
    assert result.exit_code is ExitCode.OK
    assert shop.image == "web:1"
    assert verdicts(shop) == {
        "web:1": None,
        "web:2": Verdict.REGRESSED,
        "web:3": Verdict.REGRESSED,
    }


def test_a_later_release_of_the_restored_bits_is_a_new_one(shop: Shop) -> None:
    """Deploying the restored version again later is not taken for the rollback in place.

    What was live in between may have been taken back by that: it is gone to by its number only.
    """
    shop.release("1")
    shop.release("2")
    told(shop)
    shop.release("3")
    shop.release("1")
    result, _ = told(shop)
    assert result.exit_code is ExitCode.NOT_ROLLED_BACK
    assert not result.plan.nothing_to_do
    assert "revision 4 was deployed after" in result.help
    result, _ = told(shop, to_revision=4)
    assert result.exit_code is ExitCode.OK
    assert shop.image == "web:3"


def test_a_dry_run_shows_the_patch_and_stores_nothing(shop: Shop) -> None:
    """A dry run is checked by the server, prints exactly what would be sent, and asks nobody."""
    shop.release("1")
    shop.release("2", env={"API_TOKEN": "hunter2"})
    before = shop.deployment()
    result, events = told(shop, dry_run=True, confirm=lambda *_: pytest.fail("was asked"))
    assert result.exit_code is ExitCode.OK
    (patch,) = [event for event in events if event.kind == "patch"]
    shown = json.loads(patch.text)
    assert [op["op"] for op in shown][:4] == ["test", "test", "test", "replace"]
    assert shown[3]["value"] == result.plan.template
    assert "hunter2" not in patch.text
    assert shop.deployment() == before


def test_no_is_an_answer(shop: Shop) -> None:
    """Unless confirmed, nothing is changed."""
    shop.release("1")
    shop.release("2")
    asked: list[Prepared] = []

    def confirm(prepared: Prepared) -> bool:
        asked.append(prepared)
        return False

    result, _ = told(shop, confirm=confirm)
    assert result.exit_code is ExitCode.INTERRUPTED
    assert asked[0].changes == (Change("container web image", "web:2", "web:1"),)
    assert shop.image == "web:2"


def test_a_deploy_while_the_question_is_open(shop: Shop) -> None:
    """A newer deploy between question and answer is left alone."""
    shop.release("1")
    shop.release("2")

    def confirm(*_: object) -> bool:
        shop.release("3")
        return True

    with pytest.raises(Superseded):
        told(shop, confirm=confirm)
    assert shop.image == "web:3"


def test_without_waiting(shop: Shop) -> None:
    """Without waiting the command ends once the server has accepted."""
    shop.release("nopull-1", wait=False)
    shop.release("2")
    result, events = told(shop, wait=False)
    assert result.exit_code is ExitCode.OK
    assert result.restored is None
    assert "progress" not in kinds(events)


def test_a_target_that_does_not_come_up(shop: Shop) -> None:
    """A rollback whose target does not serve in time is not a success."""
    shop.release("nopull-1", wait=False)
    shop.release("2")
    result, _ = told(shop, timeout=0.3)
    assert result.exit_code is ExitCode.NOT_ROLLED_BACK
    assert "was rolled back, but: not restored within" in result.text


def test_to_a_revision_that_was_condemned(shop: Shop) -> None:
    """A number that is named is obeyed, with a warning that it was judged regressed."""
    shop.release("1")
    shop.release("2")
    told(shop)
    result, events = told(shop, to_revision=2)
    assert result.exit_code is ExitCode.OK
    assert shop.image == "web:2"
    assert [e for e in events if e.kind == "problem" and "judged regressed" in e.text]


def unseen_change(store: Store) -> Json:
    """Put a Deployment with two revisions into the store, whose controller is a moment late."""
    steps = {s.name: s.answer for s in load("19-race").steps}
    deployment = copy.deepcopy(steps["bygen: A reads the deployment"])
    deployment["metadata"] |= {"name": "web", "namespace": "shop"}
    deployment["status"]["observedGeneration"] = 0
    sets = [rs for rs in steps["bygen: A reads the replicasets"]["items"] if owner(rs)]
    created: Json = store.create("deployments.apps", deployment)
    for rs in copy.deepcopy(sets):
        rs["metadata"]["namespace"] = "shop"
        rs["metadata"]["ownerReferences"][0]["uid"] = created["metadata"]["uid"]
        store.create("replicasets.apps", {**rs, "apiVersion": "apps/v1", "kind": "ReplicaSet"})
    return created


def test_right_after_a_change_the_controller_is_waited_for(tmp_path: Path) -> None:
    """Until the controller has seen the latest change numbers may be wrong: it gets a moment."""
    store = Store()
    created = unseen_change(store)
    generation = created["metadata"]["generation"]

    def controller() -> None:
        def see(deployment: Json) -> Json:
            status = {**deployment["status"], "observedGeneration": generation}
            return {**deployment, "status": status}

        store.update("deployments.apps", "shop", "web", see)

    late = threading.Timer(0.3, controller)
    with ApiServer(store) as server, connect(tmp_path, server.url) as cluster:
        late.start()
        result = rollback_by_hand(cluster, WEB, dry_run=True)
        late.join()
    assert result.exit_code is ExitCode.OK
    assert result.plan.revision is not None


def test_a_verdict_is_found_by_the_next_rollback(shop: Shop) -> None:
    """A healthy verdict that was recorded makes its revision the preferred target."""
    shop.release("1")
    good = history(shop.cluster, WEB).rows[0].revision
    assert (
        record_verdict(shop.cluster, WEB, good, Verdict.HEALTHY, reason="all good", at=1795435200)
        is None
    )
    shop.release("2")
    shop.release("3")
    found = history(shop.cluster, WEB)
    assert found.plan.revision is not None
    assert found.plan.revision.number == 1
    assert (found.plan.revision.verdict, found.plan.revision.verdict_at) == (
        Verdict.HEALTHY,
        1795435200,
    )


def test_a_verdict_is_not_written_on_another_replicaset(shop: Shop) -> None:
    """The uid is a precondition: a ReplicaSet made anew under the same name is left alone."""
    shop.release("1")
    revision = history(shop.cluster, WEB).rows[0].revision
    other = replace(revision, uid="00000000-0000-0000-0000-000000000000")
    problem = record_verdict(shop.cluster, WEB, other, Verdict.HEALTHY, reason="x", at=0)
    assert problem is not None
    assert not problem.blocks
    assert verdicts(shop) == {"web:1": None}


def test_verdicts_do_not_spread_to_later_releases(shop: Shop) -> None:
    """An annotation that kubectl's undo carries to the Deployment condemns no later release."""
    shop.release("1")
    shop.release("2")
    told(shop)
    bad = next(rs for rs in shop.look().revisions if revision_of(rs).images == ("web:2",))
    shop.patch({"metadata": {"annotations": bad["metadata"]["annotations"]}})
    shop.release("3")
    spread = next(rs for rs in shop.look().revisions if revision_of(rs).images == ("web:3",))
    assert "deploy-guard/verdict" in spread["metadata"]["annotations"]
    assert verdicts(shop)["web:3"] is None


def test_history_as_text_and_as_json(shop: Shop) -> None:
    """The history shows what is live, where a rollback goes, and why not elsewhere."""
    shop.release("1", cause="release 1")
    shop.release("2")
    told(shop)
    shop.release("3")
    found = history(shop.cluster, WEB)
    lines = as_text(found).splitlines()
    assert lines[0] == "deployment/web in shop"
    assert lines[2].startswith("live  4")
    assert lines[3].startswith("→     3 (was 1)")
    assert "regressed" in lines[4]
    assert lines[-1].startswith("→ guard rollback would go to revision 3")
    document = as_json(found)
    assert document["version"] == 1
    assert document["rollback"]["to_revision"] == 3
    rows = {row["revision"]: row for row in document["revisions"]}
    assert (rows[4]["live"], rows[3]["rollback_target"]) == (True, True)
    assert rows[2]["passed_over"] == "was judged regressed"
    assert rows[3]["former_revisions"] == [1]
    json.dumps(document)


def test_history_fits_a_terminal(shop: Shop) -> None:
    """On a narrow terminal images lose their registry before anything else is cut."""
    shop.release("1", cause="a cause that is much too long for a terminal of 80 columns, by far")
    found = history(shop.cluster, WEB)
    images = tuple(f"registry.example/{image}" for image in found.rows[0].revision.images)
    revision = replace(found.rows[0].revision, images=images)
    found = replace(found, rows=(replace(found.rows[0], revision=revision),))
    row = as_text(found, width=80).splitlines()[2]
    assert len(row) == 80
    assert "…/web:1" in row
    assert row.endswith("…")
    assert "registry.example/web:1" in as_text(found)


def test_a_line_is_told_within_a_width() -> None:
    """On a terminal an event takes as many lines as it needs, under its own column."""
    written: list[str] = []
    told = Told(written.append, width=30)
    told(Event(0.0, "note", "databases stay as they are"))
    assert written == ["note        databases stay as\n            they are"]
    assert told.has_said("databases stay as they are")


def test_history_without_a_way_back(shop: Shop) -> None:
    """With one revision the history says that a rollback would change nothing, and why."""
    shop.release("1")
    assert as_text(history(shop.cluster, WEB)).splitlines()[-2:] == [
        "guard rollback would change nothing: there is no earlier revision",
        "  deploy a fixed version",
    ]
