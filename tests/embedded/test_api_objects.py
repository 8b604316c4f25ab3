"""Objects over HTTP: what the recordings do not show."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from deploy_guard.embedded.server import ApiServer
from deploy_guard.embedded.store import Store
from embedded.http_client import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    JSON_PATCH,
    PODS,
    ApiClient,
    config_map,
    deployment,
    pod,
)

Object = dict[str, Any]


def test_defaults_are_stable(api: ApiClient) -> None:
    """Writing back what was read changes nothing: no new version, no new generation."""
    created = api.create(DEPLOYMENTS, deployment())
    answer = api.call("PUT", f"{DEPLOYMENTS}/web", created)
    assert answer.body == created


def test_limits_become_requests_and_latest_is_always_pulled(api: ApiClient) -> None:
    """Defaults depend on the content: requests follow limits, the pull policy follows the tag."""
    wanted = deployment(image="registry.example:5000/web")
    container = wanted["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"limits": {"cpu": 1, "memory": "64Mi"}}
    container["readinessProbe"] = {"httpGet": {"port": 8080}}
    stored = api.create(DEPLOYMENTS, wanted)["spec"]["template"]["spec"]["containers"][0]
    assert stored["imagePullPolicy"] == "Always"
    assert stored["resources"]["requests"] == {"cpu": "1", "memory": "64Mi"}
    assert stored["readinessProbe"] == {
        "httpGet": {"path": "/", "port": 8080, "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }


@pytest.mark.parametrize("field", ["paused", "minReadySeconds"])
def test_zero_values_are_absent(api: ApiClient, field: str) -> None:
    """A field that Kubernetes' types omit when it is zero is not stored."""
    wanted = deployment()
    wanted["spec"][field] = False if field == "paused" else 0
    assert field not in api.create(DEPLOYMENTS, wanted)["spec"]


def test_yaml_bodies_are_read(api: ApiClient) -> None:
    """A body may be YAML."""
    text = "kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: a\ndata:\n  k: v\n"
    answer = api.call("POST", CONFIG_MAPS, text, kind="application/yaml")
    assert (answer.status, answer.body["data"]) == (201, {"k": "v"})


def test_status_is_written_only_through_its_subresource(api: ApiClient) -> None:
    """A write to the object leaves the status alone, a write to /status the rest."""
    api.create(DEPLOYMENTS, {**deployment(), "status": {"replicas": 9}})
    api.patch(f"{DEPLOYMENTS}/web", {"status": {"replicas": 9}})
    assert api.get(f"{DEPLOYMENTS}/web")["status"] == {}
    api.patch(f"{DEPLOYMENTS}/web/status", {"status": {"replicas": 2}, "spec": {"replicas": 7}})
    after = api.get(f"{DEPLOYMENTS}/web")
    assert (after["status"], after["spec"]["replicas"]) == ({"replicas": 2}, 2)
    assert after["metadata"]["generation"] == 1


def test_scale_cannot_be_negative(api: ApiClient) -> None:
    """The scale subresource checks what it is given."""
    api.create(DEPLOYMENTS, deployment())
    answer = api.call("PUT", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": -1}})
    assert answer.status == 422


def test_concurrent_patches_lose_nothing(api: ApiClient) -> None:
    """Every patch is applied to the newest state, however many are sent at once."""
    api.create(CONFIG_MAPS, config_map("shared"))

    def patch(number: int) -> None:
        api.patch(f"{CONFIG_MAPS}/shared", {"data": {f"k{number}": "x"}})

    threads = [threading.Thread(target=patch, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(api.get(f"{CONFIG_MAPS}/shared")["data"]) == 13


def test_only_one_of_many_guarded_patches_wins(api: ApiClient) -> None:
    """A test of the resourceVersion lets exactly one of several writers through."""
    version = api.create(CONFIG_MAPS, config_map("lock"))["metadata"]["resourceVersion"]
    answers = []

    def take(number: int) -> None:
        operations = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/data/holder", "value": str(number)},
        ]
        path = f"{CONFIG_MAPS}/lock"
        answers.append(api.call("PATCH", path, operations, kind=JSON_PATCH).status)

    threads = [threading.Thread(target=take, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 422, 422, 422, 422, 422]


def test_pod_on_a_node_gets_time_to_end(api: ApiClient) -> None:
    """A pod on a node is marked and stays; without grace it goes at once."""
    api.create(PODS, pod("a", nodeName="n", terminationGracePeriodSeconds=7))
    answer = api.call("DELETE", f"{PODS}/a")
    assert answer.body["metadata"]["deletionGracePeriodSeconds"] == 7
    assert "deletionTimestamp" in api.get(f"{PODS}/a")["metadata"]
    api.call("DELETE", f"{PODS}/a", {"gracePeriodSeconds": 0})
    assert api.call("GET", f"{PODS}/a").status == 404


def test_pod_without_a_node_goes_at_once(api: ApiClient) -> None:
    """A pod that no node has needs no time to end."""
    api.create(PODS, pod("a"))
    api.call("DELETE", f"{PODS}/a")
    assert api.call("GET", f"{PODS}/a").status == 404


def test_deletecollection_takes_what_is_selected(api: ApiClient) -> None:
    """Only the selected objects of the namespace are deleted."""
    for name, tier in (("a", "x"), ("b", "x"), ("c", "y")):
        api.create(CONFIG_MAPS, config_map(name, tier=tier))
    deleted = api.call("DELETE", f"{CONFIG_MAPS}?labelSelector=tier%3Dx").body
    assert [item["metadata"]["name"] for item in deleted["items"]] == ["a", "b"]
    assert [item["metadata"]["name"] for item in api.get(CONFIG_MAPS)["items"]] == ["c"]


def test_namespace_takes_its_objects_along(api: ApiClient) -> None:
    """Deleting a namespace deletes what is in it."""
    api.create("/api/v1/namespaces", {"metadata": {"name": "shop"}})
    api.create("/api/v1/namespaces/shop/configmaps", config_map("a"))
    api.call("DELETE", "/api/v1/namespaces/shop")
    assert api.get("/api/v1/configmaps")["items"] == []
    answer = api.call("POST", "/api/v1/namespaces/shop/configmaps", config_map("a"))
    assert answer.status == 404


def test_first_namespaces_stay(api: ApiClient) -> None:
    """The namespaces that every cluster has cannot be deleted."""
    answer = api.call("DELETE", "/api/v1/namespaces/default")
    assert (answer.status, answer.body["reason"]) == (403, "Forbidden")


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("tier=a", ["a"]),
        ("tier!=a", ["b", "none"]),
        ("tier in (a,b)", ["a", "b"]),
        ("tier notin (a)", ["b", "none"]),
        ("tier", ["a", "b"]),
        ("!tier", ["none"]),
        ("tier==b,app=web", ["b"]),
        ("tier=", []),
    ],
)
def test_label_selectors(api: ApiClient, selector: str, names: list[str]) -> None:
    """Equality-based and set-based selectors choose as Kubernetes does."""
    api.create(CONFIG_MAPS, config_map("a", tier="a"))
    api.create(CONFIG_MAPS, config_map("b", tier="b", app="web"))
    api.create(CONFIG_MAPS, config_map("none"))
    encoded = selector.replace(" ", "+").replace("=", "%3D").replace("!", "%21")
    found = api.get(f"{CONFIG_MAPS}?labelSelector={encoded}")["items"]
    assert [item["metadata"]["name"] for item in found] == names


def test_pods_are_selected_by_node_and_phase(api: ApiClient) -> None:
    """Field selectors of pods look into spec and status."""
    api.create(PODS, pod("here", nodeName="n"))
    api.create(PODS, pod("there", nodeName="m"))
    found = api.get(f"{PODS}?fieldSelector=spec.nodeName%3Dn%2Cstatus.phase%3DPending")["items"]
    assert [item["metadata"]["name"] for item in found] == ["here"]


def test_lists_of_all_namespaces_are_paged(api: ApiClient) -> None:
    """A continue token carries on over the border of a namespace."""
    for namespace in ("default", "kube-system"):
        for name in ("a", "b"):
            api.create(f"/api/v1/namespaces/{namespace}/configmaps", config_map(name))
    first = api.get("/api/v1/configmaps?limit=3")
    rest = api.get(f"/api/v1/configmaps?limit=3&continue={first['metadata']['continue']}")
    assert len(first["items"]) == 3
    assert [item["metadata"]["namespace"] for item in rest["items"]] == ["kube-system"]


def test_server_side_apply_is_refused_clearly(api: ApiClient) -> None:
    """A server-side apply is answered 415 with a text that says why."""
    answer = api.call("PATCH", f"{DEPLOYMENTS}/web", "{}", kind="application/apply-patch+yaml")
    assert answer.status == 415
    assert "server-side apply is not supported" in answer.body["message"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="list"),
        pytest.param("null", id="null"),
        pytest.param('"x"', id="text"),
        pytest.param('{"metadata": 1}', id="metadata is a number"),
        pytest.param('{"metadata": {"name": 1}}', id="name is a number"),
        pytest.param('{"metadata": {"name": "a"}}', id="no spec"),
        pytest.param('{"metadata": {"name": "a"}, "spec": []}', id="spec is a list"),
        pytest.param('{"metadata": {"name": "a"}, "spec": {"template": 1}}', id="template"),
        pytest.param('{"metadata": {"name": "a"}, "spec": {"selector": {}}}', id="empty selector"),
        pytest.param('{"metadata": {"labels": {"a": 1}}}', id="label is a number"),
        pytest.param(b"\xff\xfe", id="not utf-8"),
        pytest.param('{"a":' * 400, id="deep and cut off"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_broken_bodies_are_the_senders_fault(api: ApiClient, method: str, body: Any) -> None:
    """Whatever is sent is answered with a Status that says what is wrong, never with a 500."""
    path = DEPLOYMENTS
    if method == "PUT":
        api.create(DEPLOYMENTS, deployment("a"))
        path = f"{DEPLOYMENTS}/a"
    answer = api.call(method, path, body)
    assert answer.status in (400, 422), answer.body
    assert answer.body["kind"] == "Status"


def test_connection_is_kept(server: ApiServer) -> None:
    """Several requests go over one connection."""
    client = ApiClient(server.url)
    connection = client._connect()
    for _ in range(3):
        connection.request("GET", "/version")
        socket = connection.sock
        assert connection.getresponse().read()
        assert connection.sock is socket
    connection.close()


def test_closed_server_frees_its_port(store: Store) -> None:
    """After close the port can be taken again at once."""
    first = ApiServer(store)
    first.start()
    first.close()
    port = int(first.url.rpartition(":")[2])
    with ApiServer(store, port=port) as second:
        assert ApiClient(second.url).get("/version")["minor"] == "36"


def test_server_that_never_started_can_be_closed(store: Store) -> None:
    """Closing needs no start."""
    ApiServer(store).close()
