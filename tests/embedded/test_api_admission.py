"""Pods that the API server refuses: quotas, and references that do not exist."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from deploy_guard.embedded.quantities import read_quantity, show_quantity
from embedded.http_client import PODS, ApiClient, pod

Object = dict[str, Any]

QUOTAS = "/api/v1/namespaces/default/resourcequotas"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"


def limit(api: ApiClient, name: str = "pods", **hard: str) -> None:
    """Make a quota; a dot in a name is written as two underscores."""
    wanted = {key.replace("__", ".").replace("count_", "count/"): hard[key] for key in hard}
    api.create(QUOTAS, {"metadata": {"name": name}, "spec": {"hard": wanted}})


def sized(name: str, **resources: Object) -> Object:
    """Return a pod whose container has these requests and limits."""
    made = pod(name)
    made["spec"]["containers"][0]["resources"] = resources
    return made


def refusal(api: ApiClient, body: Object, query: str = "") -> str:
    """Post a pod that must be refused with 403; return the message."""
    answer = api.call("POST", PODS + query, body)
    assert answer.status == 403, answer.body
    assert answer.body["reason"] == "Forbidden"
    assert answer.body["details"]["kind"] == "pods"
    message: str = answer.body["message"]
    return message


@pytest.mark.parametrize("query", ["", "?dryRun=All"])
def test_full_quota(api: ApiClient, query: str) -> None:
    """A pod beyond the quota is refused in the recorded words, in a dry run too."""
    limit(api, pods="1")
    api.create(PODS, pod("a"))
    assert refusal(api, pod("b"), query) == (
        'pods "b" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=1, '
        "limited: pods=1"
    )


def test_dry_run_uses_nothing(api: ApiClient) -> None:
    """A dry run of a pod that fits is accepted and takes no place."""
    limit(api, pods="1")
    assert api.call("POST", f"{PODS}?dryRun=All", pod("a")).status == 201
    api.create(PODS, pod("a"))


def test_finished_pods_do_not_count(api: ApiClient) -> None:
    """A pod that has ended leaves its place in the quota."""
    limit(api, count_pods="1")
    api.create(PODS, pod("a"))
    assert "count/pods=1" in refusal(api, pod("b"))
    api.patch(f"{PODS}/a/status", {"status": {"phase": "Succeeded"}})
    api.create(PODS, pod("b"))


def test_sums_of_requests_and_limits(api: ApiClient) -> None:
    """Requests and limits of all pods are summed; only what is exceeded is named."""
    limit(api, "sums", requests__cpu="1", limits__memory="256Mi", pods="10")
    first = {"requests": {"cpu": "300m"}, "limits": {"memory": "128Mi"}}
    api.create(PODS, sized("a", **first))
    more = {"requests": {"cpu": "0.9"}, "limits": {"memory": "64Mi"}}
    assert refusal(api, sized("b", **more)) == (
        'pods "b" is forbidden: exceeded quota: sums, requested: requests.cpu=900m, '
        "used: requests.cpu=300m, limited: requests.cpu=1"
    )
    api.create(PODS, sized("c", **{**more, "requests": {"cpu": "700m"}}))


def test_unnamed_resources(api: ApiClient) -> None:
    """Where a sum is limited every container has to say what it takes."""
    limit(api, "sums", limits__memory="1Gi", requests__cpu="1")
    assert refusal(api, pod("b")) == (
        'pods "b" is forbidden: failed quota: sums: must specify limits.memory for: web; '
        "requests.cpu for: web"
    )


def test_largest_init_container_counts(api: ApiClient) -> None:
    """Init containers run one after the other, so the largest of them counts, not their sum."""
    limit(api, "sums", requests__cpu="1")
    made = sized("a", requests={"cpu": "100m"})
    first = {"name": "i", "image": "i:1", "resources": {"requests": {"cpu": "600m"}}}
    made["spec"]["initContainers"] = [first, {**first, "name": "j"}]
    api.create(PODS, made)
    assert "used: requests.cpu=600m" in refusal(api, sized("b", requests={"cpu": "500m"}))


def test_unknown_service_account(api: ApiClient) -> None:
    """A pod with a ServiceAccount that does not exist is refused; with it, it is accepted."""
    wanted = pod("a", serviceAccountName="robot")
    assert refusal(api, wanted) == (
        'pods "a" is forbidden: error looking up service account default/robot: '
        'serviceaccount "robot" not found'
    )
    api.create(ACCOUNTS, {"metadata": {"name": "robot"}})
    api.create(PODS, wanted)


def test_generated_name_in_refusal(api: ApiClient) -> None:
    """A refusal before a name was made up names the prefix."""
    wanted = pod("a", serviceAccountName="robot")
    wanted["metadata"] = {"generateName": "web-"}
    assert refusal(api, wanted).startswith('pods "web-" is forbidden: error looking up')


def test_priority_class(api: ApiClient) -> None:
    """A pod with an unknown PriorityClass is refused; a known one gives the pod its priority."""
    wanted = pod("a", priorityClassName="high")
    assert refusal(api, wanted).endswith("no PriorityClass with name high was found")
    api.create(CLASSES, {"metadata": {"name": "high"}, "value": 1000})
    assert api.create(PODS, wanted)["spec"]["priority"] == 1000
    vital = api.create(PODS, pod("b", priorityClassName="system-node-critical"))
    assert vital["spec"]["priority"] == 2000001000


@pytest.mark.parametrize(
    ("text", "amount", "shown"),
    [
        ("500m", Fraction(1, 2), "500m"),
        ("1.5", Fraction(3, 2), "1500m"),
        ("2e3", Fraction(2000), "2k"),
        ("128974848", Fraction(128974848), "123Mi"),
        ("1Gi", Fraction(1024**3), "1Gi"),
        ("0", Fraction(0), "0"),
    ],
)
def test_quantities(text: str, amount: Fraction, shown: str) -> None:
    """Amounts are read with every suffix and written with the largest that fits."""
    assert read_quantity(text) == amount
    assert show_quantity(amount, binary="i" in shown) == shown


def test_not_a_quantity() -> None:
    """Text that is no amount is an error."""
    with pytest.raises(ValueError, match="quantity 'lots'"):
        read_quantity("lots")
