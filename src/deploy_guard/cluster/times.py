"""Kubernetes' timestamps."""

from __future__ import annotations

from datetime import datetime


def seconds(timestamp: str) -> float:
    """Return a Kubernetes timestamp as Unix seconds; 0 for none."""
    return datetime.fromisoformat(timestamp).timestamp() if timestamp else 0.0
