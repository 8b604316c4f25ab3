"""JSON patch, merge patch and strategic merge patch do what kube-apiserver's do."""

from __future__ import annotations

from typing import Any

import pytest

from deploy_guard.embedded.json_patch import PatchFailedError, apply_json_patch
from deploy_guard.embedded.merge_patch import (
    BadPatchError,
    apply_merge_patch,
    apply_strategic_merge_patch,
)

Object = dict[str, Any]


@pytest.mark.parametrize(
    ("document", "operation", "result"),
    [
        pytest.param({}, {"op": "add", "path": "/a", "value": 1}, {"a": 1}, id="add a member"),
        pytest.param([1], {"op": "add", "path": "/-", "value": 2}, [1, 2], id="append"),
        pytest.param([1], {"op": "add", "path": "/0", "value": 2}, [2, 1], id="insert"),
        pytest.param({"a": 1}, {"op": "remove", "path": "/a"}, {}, id="remove"),
        pytest.param(
            {}, {"op": "replace", "path": "/a", "value": 1}, {"a": 1}, id="replace absent"
        ),
        pytest.param({"a": 1}, {"op": "move", "from": "/a", "path": "/b"}, {"b": 1}, id="move"),
        pytest.param(
            {"a": [1]}, {"op": "copy", "from": "/a", "path": "/b"}, {"a": [1], "b": [1]}, id="copy"
        ),
        pytest.param(
            {"a/b~c": 1},
            {"op": "replace", "path": "/a~1b~0c", "value": 2},
            {"a/b~c": 2},
            id="escaped",
        ),
        pytest.param({}, {"op": "test", "path": "/a", "value": None}, {}, id="null is absence"),
        pytest.param(
            {"a": None}, {"op": "test", "path": "/a", "value": None}, {"a": None}, id="null"
        ),
        pytest.param({"a": 1}, {"op": "test", "path": "", "value": {"a": 1}}, {"a": 1}, id="whole"),
        pytest.param({"a": 1}, {"op": "add", "path": "", "value": {}}, {}, id="replace the whole"),
    ],
)
def test_json_patch_applies(document: Any, operation: Object, result: Any) -> None:
    """Each operation changes the document as RFC 6902 and evanphx/json-patch say."""
    assert apply_json_patch(document, [operation]) == result


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param({"op": "test", "path": "/a", "value": "1"}, id="text is not a number"),
        pytest.param({"op": "test", "path": "/a", "value": True}, id="true is not 1"),
        pytest.param({"op": "test", "path": "/a", "value": None}, id="null while present"),
        pytest.param({"op": "test", "path": "/absent", "value": 1}, id="test of an absent member"),
        pytest.param({"op": "test", "path": "/absent/x", "value": None}, id="absent parent"),
        pytest.param({"op": "remove", "path": "/absent"}, id="remove an absent member"),
        pytest.param({"op": "add", "path": "/absent/x", "value": 1}, id="add below nothing"),
        pytest.param({"op": "replace", "path": "/list/7", "value": 1}, id="index out of range"),
        pytest.param({"op": "add", "path": "/list/x", "value": 1}, id="index that is no number"),
        pytest.param({"op": "frobnicate", "path": "/a"}, id="unknown operation"),
        pytest.param({"op": "add", "value": 1}, id="no path"),
        pytest.param({"op": "add", "path": "a", "value": 1}, id="path without a slash"),
        pytest.param({"op": "move", "path": "/b"}, id="move from nowhere"),
        pytest.param("add", id="operation that is text"),
    ],
)
def test_json_patch_fails(operation: Any) -> None:
    """An operation that does not apply fails the patch and leaves the document alone."""
    document = {"a": 1, "list": [0]}
    with pytest.raises(PatchFailedError):
        apply_json_patch(document, [{"op": "add", "path": "/new", "value": 1}, operation])
    assert document == {"a": 1, "list": [0]}


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        pytest.param({"a": 1}, {"b": 2}, {"a": 1, "b": 2}, id="add"),
        pytest.param({"a": 1}, {"a": None}, {}, id="null removes"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}, id="nested"),
        pytest.param({"a": [1, 2]}, {"a": [3]}, {"a": [3]}, id="lists are replaced"),
        pytest.param(
            {"a": 1}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}, id="nulls in a new part"
        ),
    ],
)
def test_merge_patch(document: Object, patch: Object, result: Object) -> None:
    """A merge patch follows RFC 7386."""
    assert apply_merge_patch(document, patch) == result


def spec(**fields: Any) -> Object:
    return {"kind": "Deployment", "spec": fields}


def containers(*names: str) -> list[Object]:
    return [{"name": name, "image": "x"} for name in names]


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        pytest.param(
            {"containers": containers("a", "b")},
            {"containers": [{"name": "b", "image": "y"}]},
            {"containers": [*containers("a"), {"name": "b", "image": "y"}]},
            id="containers merge by name",
        ),
        pytest.param(
            {"containers": containers("a")},
            {"containers": [{"name": "b"}]},
            {"containers": [*containers("a"), {"name": "b"}]},
            id="a new element is appended",
        ),
        pytest.param(
            {"containers": containers("a", "b")},
            {"containers": [{"name": "a", "$patch": "delete"}]},
            {"containers": containers("b")},
            id="$patch: delete takes an element",
        ),
        pytest.param(
            {"containers": containers("a", "b")},
            {"containers": [{"$patch": "replace"}, {"name": "c"}]},
            {"containers": [{"name": "c"}]},
            id="$patch: replace takes the list",
        ),
        pytest.param(
            {"template": {"a": 1, "b": 2}},
            {"template": {"$patch": "replace", "c": 3}},
            {"template": {"c": 3}},
            id="$patch: replace takes an object",
        ),
        pytest.param(
            {"template": {"a": 1}},
            {"template": {"$patch": "delete"}},
            {"template": {}},
            id="delete",
        ),
        pytest.param(
            {"containers": containers("a", "b")},
            {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]},
            {"containers": containers("b", "a")},
            id="$setElementOrder sorts",
        ),
        pytest.param(
            {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}},
            {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}},
            {"strategy": {"type": "Recreate"}},
            id="$retainKeys drops the rest",
        ),
        pytest.param(
            {"ports": [{"containerPort": 80, "name": "a"}, {"containerPort": 81}]},
            {"ports": [{"containerPort": 80, "name": "b"}]},
            {"ports": [{"containerPort": 80, "name": "b"}, {"containerPort": 81}]},
            id="ports merge by containerPort",
        ),
        pytest.param(
            {"volumeMounts": [{"mountPath": "/a", "name": "x"}]},
            {"volumeMounts": [{"mountPath": "/a", "name": "y"}]},
            {"volumeMounts": [{"mountPath": "/a", "name": "y"}]},
            id="mounts merge by mountPath",
        ),
        pytest.param(
            {"tolerations": [{"key": "a"}]},
            {"tolerations": [{"key": "b"}]},
            {"tolerations": [{"key": "b"}]},
            id="lists without a key are replaced",
        ),
        pytest.param(
            {"finalizers": ["a", "b"]},
            {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]},
            {"finalizers": ["b", "c"]},
            id="finalizers are a set",
        ),
        pytest.param({"a": 1}, {"a": None, "b": {"c": None}}, {"b": {}}, id="null removes"),
    ],
)
def test_strategic_merge_patch(before: Object, patch: Object, after: Object) -> None:
    """A strategic merge patch merges lists by their keys and obeys its directives."""
    assert apply_strategic_merge_patch(spec(**before), {"spec": patch}) == spec(**after)


def test_service_ports_merge_by_port() -> None:
    """The ports of a Service have another key than those of a container."""
    before = {"kind": "Service", "spec": {"ports": [{"port": 80, "name": "a"}]}}
    after = apply_strategic_merge_patch(before, {"spec": {"ports": [{"port": 80, "name": "b"}]}})
    assert after["spec"]["ports"] == [{"port": 80, "name": "b"}]


def test_element_without_its_key_is_refused() -> None:
    """An element of a keyed list must carry the key."""
    with pytest.raises(BadPatchError, match="declared merge key: name"):
        apply_strategic_merge_patch(spec(containers=[]), {"spec": {"containers": [{"image": "x"}]}})
