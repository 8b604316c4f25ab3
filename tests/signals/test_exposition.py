"""Lines of a metrics page: read as prometheus_client reads them, only quicker."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy_guard.policy.promql import parse_selector
from deploy_guard.signals.exposition import Page

METRIC = parse_selector("requests_total")


@pytest.mark.parametrize(
    "line",
    [
        "requests_total 3",
        "requests_total{} 3",
        'requests_total{code="200"} 3',
        'requests_total {code="200"}\t3',
        'requests_total{code="200",} 3 1700000000000',
        'requests_total{path="/{id}",q="a \\"b\\" c"} 1e3',
        'requests_total{path="a # {b"} 3',
        'requests_total{code="200"} 3 # {trace="x"} 1',
        'requests_total{code="200"}3',
        'requests_total{code="200"} +Inf',
        'requests_total{code="200"} NaN',
    ],
)
def test_a_line_is_read_as_prometheus_client_reads_it(line: str) -> None:
    """Labels and value are the library's, at the first reading and when the labels are known."""
    families = list(text_string_to_metric_families(f"{line}\n"))
    wanted = [(s.labels, repr(float(s.value))) for family in families for s in family.samples]
    for _ in range(2):
        found = Page(f"{line}\n").select(METRIC)
        assert found is not None
        assert [(sample.labels, repr(sample.value)) for sample in found] == wanted


@pytest.mark.parametrize(
    "line",
    [
        "requests_total",
        'requests_total{code="200"}',
        'requests_total{code="200"} 1_0',
        'requests_total{code="200"} many',
        "requests_total{code=200} 1",
    ],
)
def test_a_line_that_is_none_is_an_error(line: str) -> None:
    """What the library refuses is refused, also next to a line that was read before."""
    assert Page('requests_total{code="200"} 1\n').select(METRIC)
    with pytest.raises(ValueError):
        Page(f"{line}\n").select(METRIC)
