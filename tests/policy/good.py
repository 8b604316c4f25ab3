"""A good policy that tests break in one place."""

from collections.abc import Callable

from deploy_guard.policy.load import Loaded

GOOD = """\
version: 1
name: shop
watch:
  for: 10m
  interval: 15s
  baseline: 1h
  warm_up: 30s
  sensitivity: 1%
rollback:
  enabled: true
  timeout: 10m
prometheus:
  url: http://prometheus:9090
  bearer: {env: PROMETHEUS_TOKEN}
  headers: {X-Scope-OrgID: shop}
  timeout: 10s
kubernetes:
  restarts: 2
signals:
  - name: errors
    provider: prometheus
    ratio:
      errors: sum by (pod) (failed_total{namespace="{{ namespace }}"})
      requests: sum by (pod) (all_total{namespace="{{ namespace }}"})
    limit: 5%
  - name: slow
    provider: prometheus
    latency: sum by (pod, le) (seconds_bucket{pod=~"{{ pods }}"})
    limit: {share: 99%, below: 500ms}
    compare: {ratio: 2, difference: 1%}
  - name: queue
    provider: prometheus
    value: max(queue_depth)
    above: 100
    for: 1m
  - name: pages
    provider: pods
    port: 8080
    ratio:
      errors: http_requests_total{code=~"5.."}
      requests: http_requests_total
  - name: payments
    provider: http
    url: http://{{ name }}.{{ namespace }}.svc/payments
    headers: {Accept: text/plain}
    expect:
      status: [200]
      latency: 2s
      json: {path: state, equals: ok}
    failures: 3
    timeout: 5s
"""

Read = Callable[..., Loaded]


def marked(old: str, new: str) -> tuple[str, int, int, int]:
    """Break the good policy by one replacement; «» in the new text mark what is meant.

    Returns the broken text, and line, column and length of the marked part.
    """
    assert GOOD.count(old) == 1, f"{old!r} stands {GOOD.count(old)} times in the good policy"
    text = GOOD.replace(old, new)
    start, end = text.index("«"), text.index("»") - 1
    text = text.replace("«", "").replace("»", "")
    line = text[:start].count("\n") + 1
    column = start - (text[:start].rfind("\n") + 1) + 1
    return text, line, column, end - start
