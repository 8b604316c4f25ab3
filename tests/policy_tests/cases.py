"""Policies and cases that the tests are made of."""

from pathlib import Path
from typing import Any

from deploy_guard.policy.load import inspect
from deploy_guard.policy.models import Policy
from deploy_guard.policy_tests.load import Loaded
from deploy_guard.policy_tests.load import inspect as inspect_tests
from deploy_guard.policy_tests.models import Case, Setting

POLICY = """\
version: 1
watch: {for: 10m, interval: 15s}
signals:
  - name: errors
    provider: prometheus
    ratio:
      errors: sum by (pod) (failed_total{pod=~"{{ pods }}"})
      requests: sum by (pod) (all_total{pod=~"{{ pods }}"})
    limit: 5%
  - name: latency
    provider: prometheus
    latency: sum by (pod, le) (seconds_bucket{pod=~"{{ pods }}"})
    limit: {share: 99%, below: 500ms}
  - name: queue
    provider: prometheus
    value: max(queue_depth)
    above: 100
    optional: true
  - name: payments
    provider: http
    url: http://payments
    expect: {status: [200], latency: 2s}
    failures: 3
    optional: true
"""
WELL: dict[str, Any] = {
    "errors": {"requests": "40/s", "errors": "0.5%"},
    "latency": {"requests": "40/s", "slow": "0.3%"},
    "queue": {"value": "10"},
    "payments": {"answers": "ok"},
}
DEFAULTS = Setting.model_validate({"signals": WELL})


def policy(folder: Path, text: str = POLICY) -> Policy:
    """Return the policy of a text."""
    file = folder / "shop.yaml"
    file.write_text(text)
    loaded = inspect([file], prometheus_given=True)
    assert loaded.policy is not None, loaded.problems
    return loaded.policy


def case(expect: Any = "healthy", *, faults: Any = (), **others: Any) -> Case:
    """Return a case; `signals` are beside those of `DEFAULTS`."""
    whole = {"name": "case", "expect": expect, "faults": list(faults), **others}
    return Case.model_validate(whole)


def read(folder: Path, tests: str, *, text: str = POLICY) -> Loaded:
    """Return what is read from a test file beside its policy."""
    (folder / "shop.yaml").write_text(text)
    file = folder / "shop.test.yaml"
    file.write_text(tests)
    return inspect_tests(file)
