"""What goes wrong around a watch: the API server, the pods, rivals, rights, files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from deploy_guard import record
from deploy_guard.cluster.client import Cluster
from deploy_guard.embedded.access import Authorizer, RoleAuthorizer, service_account
from deploy_guard.embedded.server import ApiServer
from deploy_guard.errors import GuardError
from deploy_guard.model import Action, Counts, Event, Finding, Recovery, Sample, Verdict
from deploy_guard.outputs.base import Item
from watch.shop import FIRST, NAME, NAMESPACE, SECOND, THIRD, Heard, Shop, policy

BAD = {"ERROR_RATIO": "0.8"}
DEPLOYMENTS, PODS, CONFIGMAPS = "deployments.apps", "pods", "configmaps"
ROLE = Path(__file__).parents[2] / "examples/manifests/role.yaml"
TOKEN = "robot-token"


class Front:
    """An API server in front of the shop's store that can go away and come back on its port."""

    def __init__(self, shop: Shop, authorizer: Authorizer | None = None) -> None:
        self._shop, self._authorizer = shop, authorizer
        self._server = self._open(0)
        self.port = urlsplit(self._server.url).port or 0

    def _open(self, port: int) -> ApiServer:
        embedded = self._shop.embedded
        server = ApiServer(
            embedded.store, port=port, pod_proxy=embedded.kubelet, authorizer=self._authorizer
        )
        server.start()
        return server

    def stop(self) -> None:
        """Go away, with all connections."""
        self._server.close()

    def start(self) -> None:
        """Come back."""
        self._server = self._open(self.port)

    def kubeconfig(self, token: str | None) -> dict[str, Any]:
        """Return a kubeconfig for this server."""
        return self._server.kubeconfig(namespace=NAMESPACE, token=token)


@contextmanager
def behind(
    shop: Shop, folder: Path, *, authorizer: Authorizer | None = None
) -> Iterator[tuple[Shop, Front]]:
    """Give the shop as guard sees it through a server of its own."""
    front = Front(shop, authorizer)
    kubeconfig = folder / "front"
    kubeconfig.write_text(json.dumps(front.kubeconfig(TOKEN if authorizer else None)))
    try:
        with Cluster.connect(kubeconfig=str(kubeconfig)) as cluster:
            yield Shop(shop.embedded, cluster, kubeconfig), front
    finally:
        front.stop()


@dataclass
class Rival(Heard):
    """An output that does something to the cluster at the moment of the verdict."""

    act: Callable[[], object] = field(default=lambda: None)

    def show(self, item: Item) -> None:
        """Remember, and act between the verdict and the rollback."""
        super().show(item)
        if isinstance(item, Event) and item.kind == "verdict":
            self.act()


# --- the API server ---------------------------------------------------------------------------


def test_a_server_that_goes_away_and_comes_back(busy: Shop, tmp_path: Path) -> None:
    """An outage of the API server is told, condemns nobody, and the watch goes on after it."""
    with behind(busy, tmp_path) as (shop, front):
        shop.release(SECOND)
        with shop.watching(policy(watch={"for": 8.0})) as (_, heard, outcome):
            heard.wait_for("preflight", "errors (pods): can be read")
            front.stop()
            heard.wait_for("warning", "the cluster cannot be seen")
            front.start()
            heard.wait_for("warning", "the cluster is seen again")
            ended = outcome()
    assert ended.verdict is Verdict.HEALTHY, ended.reason
    assert (ended.action, busy.image()) == (Action.NONE, SECOND)


def test_a_server_that_stays_away(shop: Shop, tmp_path: Path) -> None:
    """Blind to the end there is no verdict and no rollback, however bad the deploy is."""
    shop.release()
    shop.complete()
    with behind(shop, tmp_path) as (seen, front):
        shop.release(SECOND, BAD)
        shop.complete()
        with seen.watching(policy()) as (_, heard, outcome):
            heard.wait_for("preflight", "watching for")
            front.stop()
            shop.embedded.load(NAMESPACE, NAME, rate=60)
            ended = outcome()
    assert ended.exit_code == 12, ended.reason
    assert ended.action is Action.NONE
    assert heard.lines("no-data")
    assert shop.image() == SECOND


def test_a_server_that_goes_away_during_the_rollback(busy: Shop, tmp_path: Path) -> None:
    """A rollback that the server did not answer is not claimed: exit 11, and what to do is told."""
    with behind(busy, tmp_path) as (shop, front):
        shop.release(SECOND, BAD)
        heard = Rival(act=front.stop)
        ended = shop.watch(policy(), output=heard).run()
    assert ended.verdict is Verdict.REGRESSED
    assert (ended.action, ended.exit_code) == (Action.ROLLBACK_FAILED, 11), ended.reason
    assert ended.next_steps
    assert busy.image() == SECOND


def test_a_history_that_the_server_has_forgotten(busy: Shop, tmp_path: Path) -> None:
    """When the server answers 410 to a watch, guard lists again and misses nothing."""
    with behind(busy, tmp_path) as (shop, front):
        shop.release(SECOND)
        busy.complete()
        with shop.watching(policy(watch={"for": 8.0})) as (_, heard, outcome):
            heard.wait_for("preflight", "errors (pods): can be read")
            front.stop()
            busy.embedded.store.update(
                DEPLOYMENTS, NAMESPACE, NAME, lambda d: d["spec"].update(replicas=5)
            )
            busy.complete()
            busy.embedded.store.forget_history()
            front.start()
            heard.wait_for("rollout", "5 of 5 pods new, 5 of them ready, complete")
            ended = outcome()
    assert ended.verdict is Verdict.HEALTHY, ended.reason


# --- the pods ---------------------------------------------------------------------------------


def pods_of(shop: Shop) -> list[str]:
    """Return the names of the shop's pods."""
    return [pod["metadata"]["name"] for pod in shop.embedded.pods(NAMESPACE, NAME)]


def test_pods_that_are_replaced_during_the_watch(busy: Shop) -> None:
    """A pod that is deleted and made anew elsewhere, with counters from zero, accuses nobody."""
    busy.release(SECOND)
    busy.complete()
    with busy.watching(policy()) as (_, heard, outcome):
        heard.wait_for("preflight", "errors (pods): can be read")
        for name in pods_of(busy)[:2]:
            busy.embedded.store.delete(PODS, NAMESPACE, name)
        ended = outcome()
    assert ended.verdict is Verdict.HEALTHY, ended.reason


def test_containers_that_start_again(busy: Shop, tmp_path: Path) -> None:
    """A counter that begins anew is neither negative nor an error; the restarts are what is bad."""
    busy.release(SECOND + "-oom")
    watch = busy.watch(policy(watch={"for": 20.0}), report=tmp_path / "report")
    ended = watch.run()
    assert watch.scene.recorder is not None
    watch.scene.recorder.close()
    assert ended.verdict is Verdict.REGRESSED
    bad = [e.signal for e in ended.evidence if e.finding is Finding.BAD]
    assert bad == ["kubernetes"], ended.reason
    found = record.read(tmp_path / "report")
    samples = [e for e in found.entries if isinstance(e, Sample) and e.signal == "errors"]
    counts = [c for s in samples for c in (s.candidate, s.control) if isinstance(c, Counts)]
    assert counts
    assert all(c.requests >= 0 and c.errors == 0 for c in counts)


def test_nothing_runs(busy: Shop) -> None:
    """A deploy that is scaled to zero gives no evidence: exit 12, left alone."""
    busy.release(SECOND, BAD, replicas=0)
    ended = busy.watch(policy()).run()
    assert ended.exit_code == 12, ended.reason
    assert ended.action is Action.NONE
    assert busy.image() == SECOND


def test_a_second_container(shop: Shop) -> None:
    """A sidecar neither hides the bad container nor survives from the bad template."""
    shop.release()
    shop.complete()
    shop.embedded.load(NAMESPACE, NAME, rate=60)
    shop.release(SECOND, BAD)
    sidecar = {"name": "proxy", "image": "registry.example/proxy:1.0"}
    shop.embedded.store.update(
        DEPLOYMENTS,
        NAMESPACE,
        NAME,
        lambda d: d["spec"]["template"]["spec"]["containers"].append(sidecar),
    )
    ended = shop.watch(policy()).run()
    assert ended.action is Action.ROLLED_BACK, ended.reason
    assert ended.recovered is Recovery.RECOVERED
    found = shop.embedded.store.get(DEPLOYMENTS, NAMESPACE, NAME)
    containers = found["spec"]["template"]["spec"]["containers"]
    assert [c["image"] for c in containers] == [FIRST]


# --- the way back -----------------------------------------------------------------------------


def test_a_history_limit_of_zero(shop: Shop) -> None:
    """The target's template is remembered from second 0, when its ReplicaSet is collected."""
    limit: dict[str, Any] = {"revisionHistoryLimit": 0}
    shop.release(**limit)
    shop.complete()
    shop.release(SECOND, BAD, **limit)
    with shop.watching(policy(watch={"for": 8.0})) as (_, heard, outcome):
        heard.wait_for("preflight", "a rollback would return to")
        shop.complete()
        store = shop.embedded.store
        shop.embedded.wait_for(lambda: len(store.list_all("replicasets.apps", NAMESPACE)[0]) == 1)
        shop.embedded.load(NAMESPACE, NAME, rate=60)
        ended = outcome()
    assert ended.action is Action.ROLLED_BACK, ended.reason
    assert shop.image() == FIRST


def test_a_config_map_that_is_gone(busy: Shop) -> None:
    """A rollback to a template whose ConfigMap was deleted would be a second outage: refused."""
    busy.embedded.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "settings", "namespace": NAMESPACE},
            "data": {"COLOUR": "blue"},
        }
    )
    source = {"envFrom": [{"configMapRef": {"name": "settings"}}]}
    busy.embedded.store.update(
        DEPLOYMENTS,
        NAMESPACE,
        NAME,
        lambda d: d["spec"]["template"]["spec"]["containers"][0].update(source),
    )
    busy.complete()
    busy.release(SECOND, BAD)
    busy.embedded.store.delete(CONFIGMAPS, NAMESPACE, "settings")
    heard = Heard()
    ended = busy.watch(policy(), output=heard).run()
    assert any('ConfigMap "settings"' in text for text in heard.lines("warning"))
    assert (ended.action, ended.exit_code) == (Action.REFUSED, 11), ended.reason
    assert 'ConfigMap "settings"' in ended.reason
    assert busy.image() == SECOND


def test_a_rival_that_annotates(busy: Shop) -> None:
    """A change of the Deployment that is no deploy does not stop the rollback."""
    busy.release(SECOND, BAD)

    def annotate() -> None:
        busy.embedded.store.update(
            DEPLOYMENTS,
            NAMESPACE,
            NAME,
            lambda d: d["metadata"].setdefault("annotations", {}).update(team="a"),
        )

    ended = busy.watch(policy(), output=Rival(act=annotate)).run()
    assert ended.action is Action.ROLLED_BACK, ended.reason
    found = busy.embedded.store.get(DEPLOYMENTS, NAMESPACE, NAME)
    assert found["metadata"]["annotations"]["team"] == "a"
    assert busy.image() == FIRST


def test_a_rival_that_deploys(busy: Shop) -> None:
    """A deploy between the verdict and the patch is not overwritten: exit 13."""
    busy.release(SECOND, BAD)
    rival = Rival(act=lambda: busy.release(THIRD))
    ended = busy.watch(policy(), output=rival).run()
    assert (ended.action, ended.exit_code) == (Action.SUPERSEDED, 13), ended.reason
    assert busy.image() == THIRD


# --- rights and files -------------------------------------------------------------------------


@contextmanager
def as_robot(shop: Shop, folder: Path, *, without: tuple[str, str] | None = None) -> Iterator[Shop]:
    """Give the shop as an account with the shipped Role sees it, less one right."""
    resource, verb = without or ("", "")
    for manifest in yaml.safe_load_all(ROLE.read_text()):
        for rule in manifest.get("rules", ()):
            if rule["resources"] == [resource]:
                rule["verbs"] = [v for v in rule["verbs"] if v != verb]
        shop.embedded.apply(manifest)
    account = shop.embedded.store.get("serviceaccounts", NAMESPACE, "deploy-guard")
    user = service_account(NAMESPACE, "deploy-guard", account["metadata"]["uid"])
    access = RoleAuthorizer(shop.embedded.store, {TOKEN: user})
    with behind(shop, folder, authorizer=access) as (seen, _):
        yield seen


def test_a_missing_right_is_named_at_second_0(busy: Shop, tmp_path: Path) -> None:
    """Without the right to patch, guard says so before it watches; later it changes nothing."""
    busy.release(SECOND, BAD)
    heard = Heard()
    with as_robot(busy, tmp_path, without=("deployments", "patch")) as shop:
        ended = shop.watch(policy(), output=heard).run()
    named = next(e for e in heard.events if '"patch" on deployments.apps' in e.text)
    begun = next(e for e in heard.events if "watching for" in e.text)
    assert heard.events.index(named) < heard.events.index(begun)
    assert (ended.verdict, ended.exit_code) == (Verdict.REGRESSED, 11)
    assert "lacks the right" in ended.reason
    assert busy.image() == SECOND


def test_a_verdict_that_cannot_be_recorded_is_a_warning(busy: Shop, tmp_path: Path) -> None:
    """Without the right to annotate ReplicaSets the verdict stands; that is only told."""
    busy.release(SECOND)
    heard = Heard()
    with as_robot(busy, tmp_path, without=("replicasets", "patch")) as shop:
        ended = shop.watch(policy(), output=heard).run()
    assert (ended.verdict, ended.exit_code) == (Verdict.HEALTHY, 0), ended.reason
    assert any("could not be recorded" in text for text in heard.lines("warning"))


def test_a_report_that_cannot_be_written(busy: Shop, tmp_path: Path) -> None:
    """A report directory that cannot be made ends guard before anything is watched or changed."""
    busy.release(SECOND, BAD)
    (tmp_path / "file").write_text("")
    with pytest.raises(GuardError, match="report directory"):
        busy.watch(policy(), report=tmp_path / "file" / "report").run()
    assert busy.image() == SECOND
