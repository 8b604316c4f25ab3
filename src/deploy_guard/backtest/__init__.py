"""`guard backtest`: what a policy would have done, over past deploys and ordinary days.

A source gives deploys and what a watch of each would have observed (`reading` from Prometheus,
`csv_source`, `record_source`), `judging` folds each with the policy, `result` and `sweep` count.
"""

from deploy_guard.backtest.command import (
    Options,
    Source,
    backtest,
    csv_source,
    records_source,
)
from deploy_guard.backtest.model import Deploy, Trial
from deploy_guard.backtest.prometheus_source import history_source
from deploy_guard.backtest.result import Result

__all__ = [
    "Deploy",
    "Options",
    "Result",
    "Source",
    "Trial",
    "backtest",
    "csv_source",
    "history_source",
    "records_source",
]
