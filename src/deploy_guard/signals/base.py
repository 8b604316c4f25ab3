"""The interface of a signal: one method."""

from __future__ import annotations

from typing import Protocol

from deploy_guard.model import Reading, Workload


class Signal(Protocol):
    """Something that can be read again and again after a deploy.

    `interval` is the time between two readings in seconds; `warnings` has what the last reading
    left out or was told by its provider, in words.
    """

    name: str
    interval: float
    warnings: tuple[str, ...]

    def read(self, workload: Workload, now: float) -> list[Reading]:
        """Read what is new since the last call.

        Returns samples, oldest first (the first call may bring the baseline: samples from before
        the deploy, with only `control` set), or one `NoData` with its reason; both when the old
        pods could be read and the candidate could not, or the baseline could not; nothing on the
        first reading of a counter, which has no increment yet. Never raises for anything the
        outside world does.
        """
        ...
