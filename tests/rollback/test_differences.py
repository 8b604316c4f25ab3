from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest

from deploy_guard.model import Change
from deploy_guard.rollback.differences import HIDDEN, differences, masked

BASE: dict[str, Any] = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {
        "containers": [
            {
                "name": "web",
                "image": "web:1",
                "args": ["--port", "8080"],
                "env": [{"name": "MODE", "value": "live"}],
                "resources": {"limits": {"memory": "64Mi"}},
            }
        ],
        "volumes": [{"name": "config", "configMap": {"name": "web-1", "defaultMode": 420}}],
    },
}


def container(template: Any) -> Any:
    return template["spec"]["containers"][0]


def changes(change: Any) -> list[Change]:
    """Return the differences from a changed template back to BASE."""
    live = copy.deepcopy(BASE)
    change(live)
    return differences(live, BASE)


def test_the_same_template_has_no_differences() -> None:
    """Nothing differs from itself, nor by what is null or empty."""
    assert changes(lambda t: t["spec"].update(nodeSelector={}, hostname=None)) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda t: container(t).update(image="web:2"),
            Change("container web image", "web:2", "web:1"),
        ),
        (
            lambda t: container(t).update(args=["--port", "9090"]),
            Change("container web args", "--port 9090", "--port 8080"),
        ),
        (
            lambda t: container(t)["env"].append({"name": "DEBUG", "value": "1"}),
            Change("container web env DEBUG", "1", "(none)"),
        ),
        (
            lambda t: container(t)["env"].clear(),
            Change("container web env MODE", "(none)", "live"),
        ),
        (
            lambda t: container(t).update(envFrom=[{"configMapRef": {"name": "extra"}}]),
            Change("container web envFrom", "{configMapRef: {name: extra}}", "(none)"),
        ),
        (
            lambda t: container(t)["resources"]["limits"].update(memory="1Gi"),
            Change("container web resources limits memory", "1Gi", "64Mi"),
        ),
        (
            lambda t: t["spec"]["volumes"][0]["configMap"].update(name="web-2"),
            Change(
                "volume config",
                "configMap {defaultMode: 420, name: web-2}",
                "configMap {defaultMode: 420, name: web-1}",
            ),
        ),
        (
            lambda t: t["spec"]["containers"].append({"name": "proxy", "image": "envoy:9"}),
            Change("container proxy", "image envoy:9", "(none)"),
        ),
        (
            lambda t: t["metadata"]["labels"].update(version="2"),
            Change("metadata labels version", "2", "(none)"),
        ),
        (
            lambda t: t["spec"].update(hostNetwork=True),
            Change("spec hostNetwork", "true", "(none)"),
        ),
    ],
)
def test_each_kind_of_change(change: Any, expected: Change) -> None:
    """Every difference is named by where it is, with what is live and what comes back."""
    assert changes(change) == [expected]


def test_images_come_first() -> None:
    """What people look for first is told first."""

    def change(template: Any) -> None:
        container(template).update(image="web:2", args=[])
        container(template)["env"][0]["value"] = "test"

    assert changes(change)[0].where == "container web image"


SECRETS: dict[str, Any] = {
    "by its name": {"name": "DB_PASSWORD", "value": "hunter2"},
    "a key": {"name": "STRIPE_API_KEY", "value": "hunter2"},
    "a token": {"name": "GithubToken", "value": "hunter2"},
    "in a URL": {"name": "DATABASE", "value": "postgres://shop:hunter2@db/shop"},
    "in a flag": {"name": "OPTS", "value": "--verbose --db-password=hunter2"},
}


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_never_shown(name: str) -> None:
    """A literal value that looks like a secret is hidden in differences and in the patch."""
    variable = SECRETS[name]
    (change,) = changes(lambda t: container(t)["env"].append(variable))
    assert HIDDEN in change.before
    live = copy.deepcopy(BASE)
    container(live)["env"].append(variable)
    patch = [{"op": "test", "path": "/spec/template", "value": live}]
    assert "hunter2" not in f"{change} {json.dumps(masked(patch))}"


def test_secrets_in_arguments_are_never_shown() -> None:
    """A password among the arguments is hidden, whether behind a blank or an equals sign."""
    (change,) = changes(lambda t: container(t).update(args=["--password", "hunter2", "--x=1"]))
    assert change.before == f"--password {HIDDEN} --x=1"
    patch = masked([{"op": "replace", "path": "/x", "value": {"args": ["--token=hunter2", "-v"]}}])
    assert "hunter2" not in json.dumps(patch)
    assert "-v" in json.dumps(patch)
    apart = masked({"args": ["--password", "hunter2", "-v"]})
    assert "hunter2" not in json.dumps(apart)
    assert "-v" in apart["args"]


def test_references_to_secrets_are_shown() -> None:
    """A reference names the Secret and its key, which is what one needs to know."""
    source = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}}
    (change,) = changes(lambda t: container(t)["env"].append(source))
    assert change.before == "from Secret api, key token"
    assert masked(source) == source


def test_a_masked_patch_is_else_unchanged() -> None:
    """Masking changes nothing but what may be a secret."""
    patch = [
        {"op": "test", "path": "/metadata/uid", "value": "u-1"},
        {"op": "test", "path": "/spec/paused", "value": None},
        {"op": "replace", "path": "/spec/template", "value": BASE},
    ]
    assert masked(patch) == patch


def test_a_huge_argument_takes_no_time() -> None:
    """An argument of a hundred thousand dashes is shown, cut, and not pondered for minutes."""

    def huge(template: Any) -> None:
        container(template)["args"] = ["-" * 100_000]

    began = time.perf_counter()
    (change,) = changes(huge)
    assert time.perf_counter() - began < 2
    assert len(change.after) < 1000
