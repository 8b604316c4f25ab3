"""The count of a DaemonSet's templates, which the API server keeps in an annotation.

Decides the annotation's value at create and update; what a client writes there is replaced.
Source: kubernetes/pkg/registry/apps/daemonset/strategy.go, pkg/apis/apps/v1/conversion.go.
"""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


def count_template(obj: Object, before: Object | None) -> None:
    """Set the annotation of a DaemonSet that is written (`before`: what is stored), in place."""
    if obj.get("kind") != "DaemonSet":
        return
    count = 1
    if before is not None:
        changed = before["spec"].get("template") != obj["spec"].get("template")
        count = template_generation(before) + changed
    metadata = obj["metadata"]
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        TEMPLATE_GENERATION: str(count),
    }


def template_generation(obj: Object) -> int:
    """Return the DaemonSet's count of templates, 1 where there is none."""
    text = (obj["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION, "")
    return int(text) if text.isdigit() else 1
