"""How many cases of policy tests a second: `python -m benchmarks.policy_tests`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from deploy_guard.policy.load import load_file
from deploy_guard.policy_tests.models import Case, Setting
from deploy_guard.policy_tests.running import Runner

POLICY = Path(__file__).parents[1] / "policies/combined.yaml"
CASES = 100
ROUNDS = 3  # the best counts: others use the machine, too
DEFAULTS = Setting.model_validate(
    {
        "signals": {
            "http-errors": {"requests": "40/s", "errors": "0.5%"},
            "latency": {"requests": "40/s", "slow": "0.3%"},
        }
    }
)


def _case(errors: float, slow: float | None = None) -> Case:
    """Return a case in which each share differs from that of all other cases."""
    signals = {"http-errors": {"errors": {"before": "0.5%", "new": f"{errors:.4f}%"}}}
    if slow is not None:
        signals["latency"] = {"slow": {"before": "0.3%", "new": f"{slow:.4f}%"}}
    return Case.model_validate({"name": "one", "expect": "healthy", "signals": signals})


def measured(cases: Iterable[Case]) -> float:
    """Return the CPU seconds that one of the cases takes, with a runner that knows none of them."""
    policy = load_file(POLICY)
    policy = policy.model_copy(update={"signals": policy.signals[:2]})
    some, best = list(cases), float("inf")
    for _ in range(ROUNDS):
        runner = Runner(policy)
        began = time.process_time()
        for case in some:
            runner.run(case, DEFAULTS)
        best = min(best, time.process_time() - began)
    return best / len(some)


def main() -> None:
    """Print the table."""
    kinds = {
        "a regression, found in a minute": [_case(20 + k / 50) for k in range(CASES)],
        "healthy to the end, one signal differs": [_case(0.4 + k / 1e4) for k in range(CASES)],
        "healthy to the end, both differ": [
            _case(0.4 + k / 1e4, 0.3 + k / 1e4) for k in range(CASES)
        ],
    }
    print("| cases | per second |")
    print("|---|---|")
    for name, cases in kinds.items():
        print(f"| {name} | {1 / measured(cases):,.0f} |")


if __name__ == "__main__":
    main()
