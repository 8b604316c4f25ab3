"""The problems of a rollback; see `deploy_guard.problems`, which lower layers use, too."""

from deploy_guard.problems import (
    Problem,
    Refused,
    Superseded,
    Weight,
    harm,
    note,
    warning,
    worst_first,
)

__all__ = ["Problem", "Refused", "Superseded", "Weight", "harm", "note", "warning", "worst_first"]
