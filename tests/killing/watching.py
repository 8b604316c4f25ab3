"""Scenes in which a real `guard watch` is killed, and what has to hold after the next one.

Decides what is deployed, under which policy, and by which words each write of guard's is named.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from cluster.scripted import kubeconfig
from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.cluster.snapshot import Json
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.custom import GITOPS_KINDS
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.rollback.revisions import history
from killing.proxy import KillingProxy, Side, Write
from killing.running import PATIENCE, run_and_kill
from killing.scenes import Scene
from rollback.shop import WEB, Shop

OLD, GOOD, NEW = "web:0.9", "web:1.0", "web:2.0"
STRATEGY = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
TRACKING = {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"}
APPLICATION = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
SYNC = {"prune": True, "selfHeal": True}
SECRET = base64.b64encode(b"good-password").decode()
WATCH: Json = {"for": "3s", "interval": "100ms", "warm_up": "0s"}
ERRORS: Json = {
    **{"name": "errors", "provider": "pods", "port": "http", "limit": "20%", "min_requests": 10},
    "ratio": {"errors": 'http_requests_total{code=~"5.."}', "requests": "http_requests_total"},
}


@dataclass(frozen=True, slots=True)
class Story:
    """What is deployed and how it is watched: `bad` is the new version, `rules` the policy's."""

    name: str
    bad: bool
    rollback: Mapping[str, Any] = field(default_factory=dict)
    hold: Mapping[str, Any] = field(default_factory=dict)
    watch: Mapping[str, Any] = field(default_factory=dict)
    argocd: bool = False
    in_place: bool = False  # the new version is good, and its configuration is changed afterwards

    def __str__(self) -> str:
        return self.name

    @property
    def env(self) -> dict[str, str]:
        """The new version's environment: at a gate it starts slowly, so that guard is in time."""
        env = {"ERROR_RATIO": "1"} if self.bad else {}
        return env | ({"WARMUP_SECONDS": "1"} if self.hold else {})

    @property
    def policy(self) -> Json:
        """The policy; JSON is YAML."""
        hold = {"hold": dict(self.hold)} if self.hold else {}
        return {
            "version": 1,
            "watch": {**WATCH, **self.watch},
            "rollback": {"timeout": "20s", "verify": "8s", **self.rollback},
            "signals": [ERRORS],
            **hold,
        }


@dataclass(frozen=True, slots=True)
class Watched(Scene):
    """The shop after a deploy, with traffic, and a policy to watch it by."""

    policy: Path

    @property
    def command(self) -> tuple[str, ...]:
        """The command line of the watch."""
        return ("watch", str(WEB), "-n", "shop", "-p", str(self.policy), "-o", "json")

    def watch(self) -> CompletedProcess[str]:
        """Watch to the end."""
        return self.guard(self.command)

    def killed(
        self, step: str, side: Side, command: Sequence[str] | None = None
    ) -> CompletedProcess[str]:
        """Watch, or do that command, and be killed at the first write of that name."""
        run = run_and_kill(
            self.proxy,
            command or self.command,
            self.kubeconfig,
            number=1,
            side=side,
            among=lambda write: step_of(write) == step,
        )
        assert run.returncode == -9, f"it never came to {step!r}: {run.stdout}{run.stderr}"
        assert self.proxy.killed.wait(20)
        return run

    @property
    def steps(self) -> list[str]:
        """The names of all writes so far."""
        return [step_of(write) for write in self.proxy.writes]

    @property
    def numbers(self) -> dict[str, list[int]]:
        """The numbers that each version's revision ever had: a new one each time it went live."""
        return {
            past.revision.images[0]: [*past.revision.former_numbers, past.revision.number]
            for past in history(self.shop.look().revisions)
        }

    def contents(self) -> tuple[str, str]:
        """Read the value in the ConfigMap and that in the Secret, as it is encoded."""
        read = self.shop.cluster.get
        core = "/api/v1/namespaces/shop"
        return (
            read(f"{core}/configmaps/app")["data"]["WORD"],
            read(f"{core}/secrets/db")["data"]["WORD"],
        )

    def application(self) -> Json:
        """Read Argo CD's Application."""
        return self.shop.cluster.get(f"{APPLICATION}/shop")

    def lease(self) -> Json:
        """Read the lease on the Deployment."""
        path = "/apis/coordination.k8s.io/v1/namespaces/shop/leases/deploy-guard-deployment-web"
        return self.shop.cluster.get(path)

    def verdicts(self) -> dict[str, str]:
        """Return guard's verdict on each image that has one."""
        found = {}
        for replicaset in self.shop.look().revisions:
            notes = replicaset["metadata"].get("annotations") or {}
            if "deploy-guard/verdict" in notes:
                image = replicaset["spec"]["template"]["spec"]["containers"][0]["image"]
                found[image] = json.loads(notes["deploy-guard/verdict"])["verdict"]
        return found


@contextmanager
def watched(story: Story, folder: Path) -> Iterator[Watched]:
    """Give a shop with two good versions, and the story's new one just deployed."""
    with (
        EmbeddedCluster(start_up=0.05, kinds=GITOPS_KINDS) as embedded,
        Shop(embedded, folder) as shop,
        KillingProxy(embedded.url) as proxy,
    ):
        policy = folder / "policy.yaml"
        policy.write_text(json.dumps(story.policy))
        scene = Watched(shop, proxy, kubeconfig(folder / "guard", proxy.url), policy)
        configure(scene, "good")
        for image in (OLD, GOOD):
            deploy(scene, image, argocd=story.argocd)
            embedded.wait_complete("shop", "web")
        if story.rollback.get("restore_config") and not story.in_place:
            keep_and_spoil(scene)
        embedded.load("shop", "web", rate=50)
        proxy.writes.clear()
        with deployed(scene, story):
            if story.in_place:
                embedded.wait_complete("shop", "web")
                keep_and_spoil(scene)
            yield scene


@contextmanager
def deployed(scene: Watched, story: Story) -> Iterator[None]:
    """Deploy the new version; where there is a gate, let it begin once a guard has the lease.

    Else the rollout could be over before the guard has started, on a busy machine.
    """
    embedded = scene.shop.embedded
    deploy(scene, NEW, story.env, argocd=story.argocd, paused=bool(story.hold))
    if not story.hold:
        embedded.wait_for(lambda: live_hash(scene.shop.look()) is not None)
        yield
        return

    def begin() -> None:
        lease = ("leases.coordination.k8s.io", "shop", "deploy-guard-deployment-web")
        embedded.wait_for(lambda: embedded.store.find(*lease) is not None, timeout=PATIENCE)
        scene.shop.patch({"spec": {"paused": None}})

    thread = threading.Thread(target=begin)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def deploy(
    scene: Scene,
    image: str,
    env: Mapping[str, str] | None = None,
    *,
    argocd: bool = False,
    **spec: Any,
) -> None:
    """Deploy a version of the shop that reads a ConfigMap and a Secret."""
    manifest = toy_deployment(
        "web", "shop", image, env or {}, replicas=3, strategy=STRATEGY, **spec
    )
    sources = [{"configMapRef": {"name": "app"}}, {"secretRef": {"name": "db"}}]
    manifest["spec"]["template"]["spec"]["containers"][0]["envFrom"] = sources
    if argocd:
        manifest["metadata"]["annotations"] = TRACKING
    scene.shop.embedded.apply(manifest)


def keep_and_spoil(scene: Scene) -> None:
    """Take a snapshot of the configuration, then change it."""
    run = scene.guard(("snapshot", str(WEB), "-n", "shop"))
    assert run.returncode == 0, run.stderr
    scene.proxy.writes.clear()
    configure(scene, "bad")


def configure(scene: Scene, word: str) -> None:
    """Write the ConfigMap and the Secret with that word; the first time Argo CD's object, too."""
    apply = scene.shop.embedded.apply
    named = {"namespace": "shop"}
    text = base64.b64encode(f"{word}-password".encode()).decode()
    for kind, name, value in (("ConfigMap", "app", word), ("Secret", "db", text)):
        metadata = {"name": name, **named}
        apply({"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": {"WORD": value}})
    if word == "good":
        metadata = {"name": "shop", "namespace": "argocd"}
        spec = {"syncPolicy": {"automated": SYNC}}
        application = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application"}
        apply({**application, "metadata": metadata, "spec": spec})


def step_of(write: Write) -> str:
    """Name a write by what it does."""
    resource, content = write.short.split()[1].partition("/")[0], write.content
    if resource == "leases":
        return _lease_step(write)
    if resource == "events":
        return str(content["reason"])
    if resource in ("deployments", "statefulsets"):
        paths = {operation["path"]: operation["op"] for operation in content}
        if paths.get("/spec/template") == "replace":
            return "roll back"
        if paths.get("/spec/strategy") in ("add", "replace"):
            return "restore strategy"
        return "hold" if paths.get("/spec/paused") == "add" else "resume"
    if resource in ("replicasets", "controllerrevisions"):
        return "snapshot" if "deploy-guard/config" in str(content) else "verdict"
    return {"applications": "suspend", "pods": "delete pod"}.get(resource, resource)


def _lease_step(write: Write) -> str:
    if write.method == "POST" or "ownerReferences" in write.content["metadata"]:
        return "take lease"
    if write.content["spec"].get("holderIdentity") == "":
        return "release lease"
    note = (write.content["metadata"].get("annotations") or {}).get("deploy-guard/watch")
    if note is None:
        return "renew lease"
    return "note verdict" if "condemned" in json.loads(note) else "note watch"
