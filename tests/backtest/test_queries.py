"""What is asked of history for a signal, and what cannot be asked."""

from __future__ import annotations

from typing import Any

import pytest

from deploy_guard.backtest.model import Deploy
from deploy_guard.backtest.queries import Wanted, baseline_step, wanted
from deploy_guard.model import Revision, Target
from deploy_guard.policy.models import Policy
from deploy_guard.policy.template import render
from deploy_guard.signals import measures

REVISION = Revision(2, "web-5f9c7d8b49", "", "5f9c7d8b49", (), 0.0)
KNOWN = Deploy(0.0, "known", revision=REVISION)
UNKNOWN = Deploy(0.0, "unknown")
ORDINARY = Deploy(0.0, "ordinary", ordinary=True)
ALL = "web-[a-z0-9]+-[a-z0-9]+"


def ask(
    query: str, deploy: Deploy, *, kind: str = "deployment", **watch: Any
) -> tuple[Wanted | None, str]:
    """Return how a value is asked for, or why it is not."""
    policy = Policy.model_validate(
        {
            "version": 1,
            "watch": watch,
            "signals": [{"name": "one", "provider": "prometheus", "value": query, "above": 1}],
        }
    )
    found, missing = wanted(policy, Target(kind, "shop", "web"), deploy)
    return (found[0] if found else None), dict(missing).get("one", "")


def text_of(query: str, deploy: Deploy, **more: Any) -> str:
    found, why = ask(query, deploy, **more)
    assert found is not None, why
    (text,) = found.texts.values()
    # What the signal itself will ask is what was fetched.
    (asked,) = measures.queries(found.spec).values()
    assert render(asked, found.variables) == text
    return text


@pytest.mark.parametrize("deploy", [KNOWN, UNKNOWN, ORDINARY], ids=lambda deploy: deploy.label)
def test_a_query_over_all_pods_is_asked_as_it_is(deploy: Deploy) -> None:
    """Whatever is known of the deploy, so that deploys share their windows."""
    found = text_of('up{namespace="{{ namespace }}", pod=~"{{ pods }}"}', deploy)
    assert found == f'up{{namespace="shop", pod=~"{ALL}"}}'


@pytest.mark.parametrize("deploy", [KNOWN, UNKNOWN, ORDINARY], ids=lambda deploy: deploy.label)
@pytest.mark.parametrize("variable", ["candidate_pods", "baseline_pods"])
def test_pods_of_a_revision_are_asked_for_as_all_pods(deploy: Deploy, variable: str) -> None:
    """Who is who is told by the label pod afterwards."""
    query = f'sum by (pod) (up{{pod=~"{{{{ {variable} }}}}"}})'
    assert text_of(query, deploy) == f'sum by (pod) (up{{pod=~"{ALL}"}})'
    found, _ = ask(query, deploy)
    assert found is not None
    assert len(found.candidates) == (variable == "candidate_pods")
    assert len(found.controls) == (variable == "baseline_pods")


@pytest.mark.parametrize("quote", ['"', "'", "`"])
def test_a_hash_becomes_an_expression(quote: str) -> None:
    """Also where it was compared for equality, whatever the quotes."""
    query = f"up{{hash={quote}{{{{ candidate_hash }}}}{quote}}}"
    assert text_of(query, UNKNOWN) == f"up{{hash=~{quote}[a-z0-9]+{quote}}}"


def test_a_sum_over_new_pods_is_asked_with_their_hash() -> None:
    """Where it is known; on an ordinary day it is a sum over all of them."""
    query = 'sum(up{pod=~"{{ candidate_pods }}"})'
    assert text_of(query, KNOWN) == 'sum(up{pod=~"web-5f9c7d8b49-[a-z0-9]+"})'
    assert text_of(query, ORDINARY) == f'sum(up{{pod=~"{ALL}"}})'


@pytest.mark.parametrize(
    ("query", "deploy", "kind", "words"),
    [
        ('sum(up{pod=~"{{ candidate_pods }}"})', UNKNOWN, "deployment", "drops the label pod"),
        ('sum(up{pod=~"{{ candidate_pods }}"})', KNOWN, "statefulset", "drops the label pod"),
        ('sum(up{pod=~"{{ baseline_pods }}"})', KNOWN, "deployment", "drops the label pod"),
        ('up{pod!~"{{ baseline_pods }}"}', KNOWN, "deployment", "leaves out"),
        (
            'sum(up{pod=~"{{ candidate_pods }}"}) / sum(up{pod=~"{{ baseline_pods }}"})',
            ORDINARY,
            "deployment",
            "within one query",
        ),
    ],
    ids=["unknown-hash", "a-set", "old-pods", "left-out", "compared"],
)
def test_what_history_cannot_tell_is_missing(
    query: str, deploy: Deploy, kind: str, words: str
) -> None:
    """The reason is told; nothing is read in its place."""
    found, why = ask(query, deploy, kind=kind)
    assert found is None
    assert words in why


@pytest.mark.parametrize(
    ("interval", "baseline", "expected"),
    [(15, 3600, 15), (5, 3600, 30), (20, 3600, 20), (60, 3600, 60), (15, 86_400, 225)],
)
def test_baselines_are_asked_for_as_coarsely_as_they_are_read(
    interval: float, baseline: float, expected: float
) -> None:
    """In multiples of the interval; up to twice its length the watch's own points do."""
    assert baseline_step(interval, baseline) == expected
