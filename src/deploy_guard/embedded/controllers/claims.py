"""The volumes of a StatefulSet's pods: a claim per template and number, made before the pod.

Decides names, labels and volumes. Claims stay when pods go (the default, Retain); nothing binds
them, and pods do not wait for it. Source: kubernetes/pkg/controller/statefulset/
stateful_set_utils.go (getPersistentVolumeClaims, updateStorage).
"""

from __future__ import annotations

from deploy_guard.embedded.controllers.objects import private
from deploy_guard.embedded.defaults import set_defaults
from deploy_guard.embedded.store import AlreadyExistsError, Object, Store

CLAIMS = "persistentvolumeclaims"


def create_claims(store: Store, owner: Object, ordinal: int) -> list[str]:
    """Make the claims of the pod with that number that are missing; return their names."""
    made = []
    for template in _templates(owner):
        claim: Object = {
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            "metadata": {
                "name": _claim_name(owner, template, ordinal),
                "namespace": owner["metadata"]["namespace"],
                "labels": {
                    **(template["metadata"].get("labels") or {}),
                    **(owner["spec"]["selector"].get("matchLabels") or {}),
                },
            },
            "spec": private(template["spec"]),
        }
        set_defaults(claim)
        try:
            made.append(store.create(CLAIMS, claim)["metadata"]["name"])
        except AlreadyExistsError:
            continue
    return made


def add_volumes(spec: Object, owner: Object, ordinal: int) -> None:
    """Put the claims of the pod with that number first into the volumes of its spec, in place."""
    claimed = {
        template["metadata"]["name"]: _claim_name(owner, template, ordinal)
        for template in _templates(owner)
    }
    others = [volume for volume in spec.get("volumes") or [] if volume["name"] not in claimed]
    volumes = [
        {"name": name, "persistentVolumeClaim": {"claimName": claim}}
        for name, claim in claimed.items()
    ]
    if volumes:
        spec["volumes"] = [*volumes, *others]


def _templates(owner: Object) -> list[Object]:
    return list(owner["spec"].get("volumeClaimTemplates") or [])


def _claim_name(owner: Object, template: Object, ordinal: int) -> str:
    return f"{template['metadata']['name']}-{owner['metadata']['name']}-{ordinal}"
