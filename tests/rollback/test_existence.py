"""What the old template refers to: what is gone, what cannot be used, what is not known."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from cluster.scripted import ScriptedServer, answer, connect, silence
from deploy_guard.problems import Problem, Weight
from deploy_guard.rollback.planning import Plan, plan
from deploy_guard.rollback.preflight.check import check_again, check_references
from rollback.roles import as_account, rules_of, without
from rollback.shop import Shop

VALUE = "hunter2-of-the-database"


def ready(shop: Shop, spec: dict[str, Any]) -> Plan:
    """Return the plan of a rollback to a template with these further fields."""
    shop.release("1")
    shop.release("2")
    made = plan(shop.look())
    assert made.template is not None
    template = {**made.template, "spec": {**made.template["spec"], **spec}}
    return dataclasses.replace(made, template=template)


def environment(**sources: Any) -> dict[str, Any]:
    """Return the fields of a pod whose only container takes variables from elsewhere."""
    variables = [{"name": name.upper(), "valueFrom": value} for name, value in sources.items()]
    return {"containers": [{"name": "web", "image": "web:1", "env": variables}]}


def make(shop: Shop, kind: str, name: str, **content: Any) -> None:
    namespaced = {} if kind == "PriorityClass" else {"namespace": "shop"}
    group = "scheduling.k8s.io/v1" if kind == "PriorityClass" else "v1"
    metadata = {"name": name, **namespaced}
    shop.embedded.apply({"apiVersion": group, "kind": kind, "metadata": metadata, **content})


CLAIM = {
    "accessModes": ["ReadWriteOnce"],
    "resources": {"requests": {"storage": "1Gi"}},
}
OBJECTS = [
    ("ConfigMap", {"volumes": [{"name": "v", "configMap": {"name": "it"}}]}, {}),
    ("Secret", {"volumes": [{"name": "v", "secret": {"secretName": "it"}}]}, {}),
    ("ServiceAccount", {"serviceAccountName": "it"}, {}),
    (
        "PersistentVolumeClaim",
        {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "it"}}]},
        {"spec": CLAIM},
    ),
    ("PriorityClass", {"priorityClassName": "it"}, {"value": 5}),
]


@pytest.mark.parametrize(("kind", "spec", "content"), OBJECTS, ids=lambda case: str(case)[:24])
def test_what_is_gone_would_be_a_second_outage(
    shop: Shop, kind: str, spec: dict[str, Any], content: dict[str, Any]
) -> None:
    """An object without which pods do not start blocks while it is gone, and only then."""
    made = ready(shop, spec)
    (problem,) = check_references(shop.cluster, made)
    assert problem.text == f'the old template needs {kind} "it", which does not exist any more'
    assert problem.weight is Weight.HARMS
    assert problem.blocks
    make(shop, kind, "it", **content)
    assert check_references(shop.cluster, made) == ()


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_a_key_that_is_gone_would_be_a_second_outage(shop: Shop, kind: str) -> None:
    """A variable from a key that its object has lost keeps the container from starting.

    No value of the object is in what is told.
    """
    field = f"{kind[0].lower()}{kind[1:]}KeyRef"
    made = ready(shop, environment(url={field: {"name": "it", "key": "url"}}))
    value = base64.b64encode(VALUE.encode()).decode() if kind == "Secret" else VALUE
    make(shop, kind, "it", data={"uri": value})
    (problem,) = check_references(shop.cluster, made)
    assert problem.text == (
        f'the old template needs key "url" of {kind} "it", which does not exist any more'
    )
    assert problem.blocks
    assert VALUE not in repr(problem)
    assert value not in repr(problem)
    make(shop, kind, "it", data={"url": value})
    assert check_references(shop.cluster, made) == ()


def test_keys_of_volumes_and_binary_data_count(shop: Shop) -> None:
    """A key that a volume's items name must be there, as text or as bytes."""
    items = [{"key": key, "path": key} for key in ("a", "b", "c")]
    made = ready(shop, {"volumes": [{"name": "v", "configMap": {"name": "it", "items": items}}]})
    make(shop, "ConfigMap", "it", data={"a": "1"}, binaryData={"b": "AA=="})
    (problem,) = check_references(shop.cluster, made)
    assert 'key "c" of ConfigMap "it"' in problem.text


def test_what_is_optional_is_merely_noted(shop: Shop) -> None:
    """Pods start without objects and keys that the template calls optional."""
    some = {"name": "gone", "key": "a", "optional": True}
    key = {"name": "there", "key": "a", "optional": True}
    spec = environment(one={"configMapKeyRef": some}, two={"configMapKeyRef": key})
    make(shop, "ConfigMap", "there", data={"b": "1"})
    found = check_references(shop.cluster, ready(shop, spec))
    assert [problem.weight for problem in found] == [Weight.NOTE, Weight.NOTE]


def test_an_object_that_one_place_needs_is_needed(shop: Shop) -> None:
    """A second, optional mention does not make a needed object optional."""
    spec = environment(
        one={"configMapKeyRef": {"name": "gone", "key": "a", "optional": True}},
        two={"configMapKeyRef": {"name": "gone", "key": "b"}},
    )
    (problem,) = check_references(shop.cluster, ready(shop, spec))
    assert problem.blocks


def test_a_pull_secret_that_is_gone_is_a_warning(shop: Shop) -> None:
    """Images may be on the node already, or need no login."""
    made = ready(shop, {"imagePullSecrets": [{"name": "registry"}]})
    (problem,) = check_references(shop.cluster, made)
    assert problem.weight is Weight.WARNING
    assert 'pulls its images with Secret "registry"' in problem.text


@pytest.mark.parametrize(
    ("metadata", "status", "text"),
    [
        ({}, {"phase": "Lost"}, "has lost its volume"),
        ({"finalizers": ["kubernetes.io/pvc-protection"]}, {}, "is being deleted"),
    ],
)
def test_a_claim_that_no_pod_can_use_would_be_a_second_outage(
    shop: Shop, metadata: dict[str, Any], status: dict[str, Any], text: str
) -> None:
    """A claim can be there and yet keep every new pod from starting."""
    made = ready(shop, {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "it"}}]})
    name = {"name": "it", "namespace": "shop"}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": CLAIM}
    shop.embedded.store.create(
        "persistentvolumeclaims", {**claim, "metadata": {**name, **metadata}, "status": status}
    )
    path = "/api/v1/namespaces/shop/persistentvolumeclaims/it"
    if metadata:
        shop.embedded.store.update("persistentvolumeclaims", "shop", "it", _deleted)
    assert shop.cluster.get(path)["metadata"]["name"] == "it"
    (problem,) = check_references(shop.cluster, made)
    assert text in problem.text
    assert problem.blocks


def _deleted(claim: dict[str, Any]) -> None:
    claim["metadata"]["deletionTimestamp"] = "2026-11-23T17:40:12Z"


def test_built_in_priority_classes_are_not_asked_for(shop: Shop, tmp_path: Path) -> None:
    """Every cluster has them, so nothing is said of them even where nothing may be read."""
    made = ready(shop, {"priorityClassName": "system-node-critical"})
    with as_account(shop, tmp_path, []) as cluster:
        assert check_references(cluster, made) == ()


EVERYTHING = {
    **environment(
        a={"configMapKeyRef": {"name": "settings", "key": "a"}},
        b={"secretKeyRef": {"name": "keys", "key": "b"}},
    ),
    "serviceAccountName": "web",
    "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "disk"}}],
}


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        ("configmaps", "ConfigMap settings"),
        ("secrets", "Secret keys"),
        ("serviceaccounts", "ServiceAccount web"),
        ("persistentvolumeclaims", "PersistentVolumeClaim disk"),
    ],
)
def test_a_right_that_is_missing_is_named_with_what_is_unknown(
    shop: Shop, tmp_path: Path, resource: str, name: str
) -> None:
    """What may not be read is a warning with object and right, and no reason to refuse."""
    made = ready(shop, EVERYTHING)
    rules = without(rules_of("role.yaml", "role-config.yaml"), "get", resource)
    with as_account(shop, tmp_path, rules) as cluster:
        found = check_references(cluster, made)
    (problem,) = [problem for problem in found if problem.kind == "reference-unknown"]
    assert f'{name} (the account lacks the right "get" on {resource})' in problem.text
    assert problem.weight is Weight.WARNING
    assert len(found) == 4  # each of the others was looked for, and is gone


def test_a_priority_class_that_may_not_be_read_is_a_note(shop: Shop, tmp_path: Path) -> None:
    """No Role of a namespace can grant it, so nobody is bothered."""
    made = ready(shop, {"priorityClassName": "high"})
    with as_account(shop, tmp_path, rules_of("role.yaml")) as cluster:
        (problem,) = check_references(cluster, made)
    assert problem.weight is Weight.NOTE
    assert "priorityclasses.scheduling.k8s.io" in problem.text


def many(shop: Shop) -> Plan:
    names = [{"configMapRef": {"name": f"settings-{i}"}} for i in range(30)]
    return ready(shop, {"containers": [{"name": "web", "image": "web:1", "envFrom": names}]})


@pytest.mark.parametrize("behaviour", [answer(503, "overloaded"), silence], ids=["503", "silent"])
def test_a_server_that_cannot_answer_does_not_hold_up_the_rollback(
    shop: Shop, tmp_path: Path, behaviour: Any
) -> None:
    """However many references there are, one warning is told once the time for all is over."""
    made = many(shop)
    (tmp_path / "slow").mkdir()
    with (
        ScriptedServer(behaviour) as server,
        connect(tmp_path / "slow", server.url) as cluster,
    ):
        problems = check_references(cluster, made, seconds=1.0)
    told = " ".join(problem.text for problem in problems)
    assert all(f"settings-{i}" in told for i in range(30))
    assert not any(problem.blocks for problem in problems)


def test_before_the_patch_rights_and_references_are_looked_at_again(
    shop: Shop, tmp_path: Path
) -> None:
    """What was taken away since second 0 is known before the patch is sent."""
    made = ready(shop, {"serviceAccountName": "web"})
    rules = without(rules_of("role.yaml"), "patch", "deployments")
    with as_account(shop, tmp_path, rules) as cluster:
        found: tuple[Problem, ...] = check_again(cluster, made)
    assert [(problem.kind, problem.blocks) for problem in found] == [
        ("access", True),
        ("reference", True),
    ]
