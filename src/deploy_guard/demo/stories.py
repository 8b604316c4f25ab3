"""The stories of the demo: what version 2 does, and how the watch has to end.

Decides what is deployed and what happens meanwhile. Tells nothing and watches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.model import Action, Recovery, Verdict

NAMESPACE = "demo"
NAME = "shop"
FIRST_IMAGE = "registry.example/shop:1.0"
SECOND_IMAGE = "registry.example/shop:2.0"


@dataclass(frozen=True, slots=True)
class Story:
    """One story: how version 2 differs, what else happens, and the ending that is right."""

    name: str
    title: str
    release: str  # what version 2 changes, in words
    ending: str  # what a good guard does, in words
    verdict: Verdict
    action: Action
    recovered: Recovery | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    wrong_payments_path: bool = False
    fails_at: float | None = None  # seconds after the deploy when the payments API itself fails


STORIES = {
    story.name: story
    for story in (
        Story(
            name="outage",
            title="A code change misconfigures an API integration",
            release="the new payments client, configured with a wrong path",
            ending="errors loop and cascade; guard takes the release back",
            verdict=Verdict.REGRESSED,
            action=Action.ROLLED_BACK,
            recovered=Recovery.RECOVERED,
            wrong_payments_path=True,
        ),
        Story(
            name="healthy",
            title="A good release",
            release="nothing that users notice",
            ending="guard watches to the end and lets it stay",
            verdict=Verdict.HEALTHY,
            action=Action.NONE,
        ),
        Story(
            name="slow",
            title="A release that answers, but much more slowly",
            release="a slow query in every request",
            ending="no error at all, yet guard takes the release back",
            verdict=Verdict.REGRESSED,
            action=Action.ROLLED_BACK,
            recovered=Recovery.RECOVERED,
            env={"LATENCY_MS": "120"},
        ),
        Story(
            name="never-ready",
            title="A release that never becomes ready",
            release="a program that crashes when it starts",
            ending="old pods still serve; guard takes the release back",
            verdict=Verdict.REGRESSED,
            action=Action.ROLLED_BACK,
            recovered=Recovery.RECOVERED,
            env={"CRASH": "yes"},
        ),
        Story(
            name="shared-outage",
            title="The payments API fails for everybody during a good release",
            release="nothing that users notice",
            ending="old and new pods fail alike: a rollback would cure nothing, so guard does none",
            verdict=Verdict.INCONCLUSIVE,
            action=Action.NONE,
            fails_at=5.0,
        ),
    )
}


def manifest(cluster: EmbeddedCluster, story: Story, *, version: int) -> dict[str, Any]:
    """Return the shop's Deployment as version 1 or 2 of the story."""
    payments = cluster.payments.url
    env = {"PAYMENTS_URL": payments}
    image = FIRST_IMAGE
    if version == 2:
        image = SECOND_IMAGE + ("-crash" if "CRASH" in story.env else "")
        env |= {key: value for key, value in story.env.items() if key != "CRASH"}
        if story.wrong_payments_path:
            env["PAYMENTS_URL"] = payments.replace("/v1/", "/v2-beta/")
    found: dict[str, Any] = toy_deployment(
        NAME,
        NAMESPACE,
        image,
        env,
        replicas=4,
        minReadySeconds=2,
        progressDeadlineSeconds=30,
        strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
    )
    found["metadata"]["annotations"] = {"kubernetes.io/change-cause": f"release {version}.0"}
    return found
