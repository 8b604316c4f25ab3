"""Kubernetes' timestamps."""

from __future__ import annotations

from datetime import UTC, datetime


def seconds(timestamp: str) -> float:
    """Return a Kubernetes timestamp as Unix seconds; 0 for none.

    Raises ValueError for what is none, and for a moment that has no year in UTC; TypeError.
    """
    if not timestamp:
        return 0.0
    try:
        return datetime.fromisoformat(timestamp).astimezone(UTC).timestamp()
    except OverflowError as error:
        raise ValueError(str(error)) from error
