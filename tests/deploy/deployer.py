"""A deploy command for the tests: each argument is one step, such as ``image web img:2 KEY=value``.

A program of its own, which talks to the API server as kubectl does.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from deploy_guard.cluster.client import MERGE_PATCH, Cluster
from deploy_guard.cluster.errors import Call
from deploy_guard.embedded.manifests import toy_deployment

IMAGE = "/spec/template/spec/containers/0/image"
CORE, APPS = "/api/v1/namespaces/shop", "/apis/apps/v1/namespaces/shop"


def image(cluster: Cluster, name: str, image: str, *env: str) -> None:
    """Change the image and the environment of a Deployment."""
    wanted = toy_deployment(name, "shop", image, dict(pair.split("=", 1) for pair in env))
    template = {"template": wanted["spec"]["template"]}
    template["template"]["spec"]["containers"][0].setdefault("env", [])
    patch(cluster, f"{APPS}/deployments/{name}", {"spec": template})


def set_image(cluster: Cluster, resource: str, name: str, image: str) -> None:
    """Change the image of a workload of any kind."""
    path = f"{APPS}/{resource}/{name}"
    cluster.patch(path, [{"op": "replace", "path": IMAGE, "value": image}])


def create(cluster: Cluster, name: str, image: str, *env: str) -> None:
    """Make a Deployment."""
    wanted = toy_deployment(name, "shop", image, dict(pair.split("=", 1) for pair in env))
    cluster.create(f"{APPS}/deployments", wanted)


def delete(cluster: Cluster, name: str) -> None:
    """Delete a Deployment and wait until it is gone."""
    path = f"{APPS}/deployments/{name}"
    cluster._json(Call.of("delete", path), "DELETE", path)
    until(lambda: not cluster.exists(path))


def until_image(cluster: Cluster, name: str, image: str) -> None:
    """Wait until a Deployment asks for an image."""

    def there() -> bool:
        found = cluster.get(f"{APPS}/deployments/{name}")
        return bool(found["spec"]["template"]["spec"]["containers"][0]["image"] == image)

    until(there)


def config(cluster: Cluster, name: str, key: str, value: str) -> None:
    """Change one key of a ConfigMap."""
    patch(cluster, f"{CORE}/configmaps/{name}", {"data": {key: value}})


def secret(cluster: Cluster, name: str, key: str, value: str) -> None:
    """Change one key of a Secret."""
    patch(cluster, f"{CORE}/secrets/{name}", {"stringData": {key: value}})


def scale(cluster: Cluster, name: str, replicas: str) -> None:
    """Change the number of pods."""
    patch(cluster, f"{APPS}/deployments/{name}", {"spec": {"replicas": int(replicas)}})


def annotate(cluster: Cluster, name: str, key: str, value: str) -> None:
    """Set an annotation of a Deployment."""
    patch(cluster, f"{APPS}/deployments/{name}", {"metadata": {"annotations": {key: value}}})


def patch(cluster: Cluster, path: str, body: dict[str, Any]) -> None:
    """Send a merge patch."""
    cluster.patch(path, body, content_type=MERGE_PATCH)


def until(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    """Wait for a condition, or fail as a deploy tool does that waits too long."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit("timed out waiting for the condition")
        time.sleep(0.05)


def say(_: Cluster, *words: str) -> None:
    """Print something at once."""
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def pause(_: Cluster, seconds: str) -> None:
    """Wait for so long, whatever signals come meanwhile."""
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        time.sleep(0.05)


def until_told(cluster: Cluster) -> None:
    """Print signals as they come; end after the first one, with code 5."""
    got: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda n, _: got.append(n))
    say(cluster, "ready for signals")
    until(lambda: bool(got))
    time.sleep(0.3)  # another one, if it is sent twice
    say(cluster, "got", *(signal.Signals(number).name for number in got))
    sys.exit(5)


def deaf(cluster: Cluster) -> None:
    """Ignore all signals that can be ignored."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    say(cluster, "deaf now")


def leave_child(_: Cluster, seconds: str) -> None:
    """Leave a child behind that holds the output for so long."""
    program = f"import time; time.sleep({seconds})"
    subprocess.Popen([sys.executable, "-c", program], start_new_session=True)


def exit_with(_: Cluster, code: str) -> None:
    """End with this code."""
    sys.exit(int(code))


STEPS: dict[str, Callable[..., None]] = {
    "image": image,
    "set-image": set_image,
    "create": create,
    "delete": delete,
    "until-image": until_image,
    "config": config,
    "secret": secret,
    "scale": scale,
    "annotate": annotate,
    "say": say,
    "pause": pause,
    "until-told": until_told,
    "deaf": deaf,
    "leave-child": leave_child,
    "exit": exit_with,
}


def main() -> None:
    """Do the steps one after the other."""
    with Cluster.connect() as cluster:
        for step in sys.argv[1:]:
            name, *words = step.split()
            STEPS[name](cluster, *words)


if __name__ == "__main__":
    main()
