"""The text of a draft: whatever names come from outside, it is a policy that says the same."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy_guard.drafting.choose import Chosen, Ratio, Slow, choose
from deploy_guard.drafting.compose import LADDER, Draft, Origin, compose
from deploy_guard.drafting.known import FAMILIES
from deploy_guard.drafting.measure import Bound, Share, Traffic
from deploy_guard.drafting.sources import (
    Peer,
    Peers,
    Pick,
    Rates,
    Scope,
    Sighting,
    equals,
)
from deploy_guard.drafting.tests import cases_of
from deploy_guard.drafting.write import comment, scalar, write
from deploy_guard.policy import yaml
from deploy_guard.policy.load import STDIN, Loaded, inspect
from deploy_guard.policy.models import LatencyLimit, Metrics
from deploy_guard.policy.promql import parse_selector
from deploy_guard.policy.source import Source
from deploy_guard.policy_tests.suite import run

PAGES = Origin((("provider", "pods"), ("port", "8080")))
PAGE = Scope(page=True)
CALLS = next(family for family in FAMILIES if family.title == "calls to APIs")
SERVER = next(family for family in FAMILIES if family.title == "HTTP server")
NAMES = st.text(max_size=40) | st.sampled_from(["{{ name }}", '"', "\\", "a'b", "x\ny", "\x1b[2J"])


def read(parts: Draft, *head: str) -> tuple[str, Loaded]:
    """Write a draft and read it as a policy."""
    text = write(parts, name="web", head=["Head.", *head])
    return text, inspect([STDIN], stdin=io.BytesIO(text.encode()))


def composed(*ratios: Ratio, slow: tuple[Slow, ...] = (), remarks: tuple[str, ...] = ()) -> Draft:
    """Return the parts of a policy that reads pods."""
    chosen = Chosen([*ratios], [*slow], [*remarks])
    return compose(chosen, PAGES, starts=(), scraped=None)


class OneCounter:
    """A source whose only metric has one label with values from outside."""

    def __init__(self, names: list[str]) -> None:
        self.problems: list[str] = []
        self.names = names

    seconds = 300.0

    def metrics(self) -> list[Sighting]:
        return [Sighting(PAGE, frozenset({"api_client_requests_total"}), FAMILIES)]

    def labels(self, pick: Pick) -> frozenset[str]:
        return frozenset({"integration", "code"})

    def values(self, pick: Pick, label: str) -> tuple[str, ...]:
        return ()

    def rates(self, pick: Pick) -> Rates:
        return {1.0: 0.01 if any("code" in c for c in pick.conditions) else 5.0}

    def buckets(self, pick: Pick) -> dict[str, Rates]:
        return {}

    def peers(self, pick: Pick, label: str, most: int) -> Peers:
        return Peers(tuple(Peer(name, 5.0) for name in self.names[:most]), len(self.names))

    def interval(self, pick: Pick) -> float | None:
        return None


@settings(max_examples=200, deadline=None)
@given(st.lists(NAMES, max_size=20, unique=True))
def test_names_of_integrations_never_break_out_of_their_place(names: list[str]) -> None:
    """Each signal asks for exactly one of the names; the rest of the policy is as ever."""
    chosen = choose(OneCounter(names))
    text, loaded = read(compose(chosen, PAGES, starts=(), scraped=None))
    assert loaded.policy is not None, (loaded.problems, text)
    asked = []
    for spec in loaded.policy.signals:
        assert isinstance(spec, Metrics)
        assert spec.ratio is not None
        (matcher,) = parse_selector(spec.ratio.requests).matchers
        asked.append(matcher.value)
        assert spec.description == f"Calls to {matcher.value} fail."
    assert asked == [ratio.peer for ratio in chosen.ratios]
    assert set(asked) <= set(names)
    assert len(asked) <= 5
    assert text.isprintable() or all(c.isprintable() or c == "\n" for c in text)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_a_comment_ends_no_line_early(words: str) -> None:
    """Whatever a remark says, the policy is the same as without it."""
    plain = read(composed())[1].policy
    found = read(composed(remarks=(words,)), words)[1].policy
    assert found == plain
    assert all(line.startswith("# ") for line in comment(words))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_a_value_is_read_as_it_was(words: str) -> None:
    """Quoted where it has to be; what no terminal shows is replaced."""
    root, problems = yaml.parse(Source("t", f"key: {scalar(words)}\n"))
    assert root is not None
    assert not problems
    value = yaml.plain(root)["key"]
    if words.isprintable():
        assert str(value) == words


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.0025, 0.0025), (0.0000625, 0.0000625), (0.25, 0.25), (2.5, 2.5), (90.0, 90.0)],
)
def test_a_bound_is_written_exactly(seconds: float, written: float) -> None:
    """A limit beside a bound would count requests as slow that are not."""
    none, few = Share(0.0, 0.0), Share(0.5, 0.5)
    bounds = (
        Bound("x", seconds / 10, few),
        Bound("y", seconds, none),
    )
    buckets = Pick("http_request_duration_seconds_bucket", PAGE)
    slow = Slow(SERVER, buckets, Traffic(10.0, 10.0), bounds)
    loaded = read(composed(slow=(slow,)))[1]
    assert loaded.policy is not None
    spec = loaded.policy.signals[0]
    assert isinstance(spec, Metrics)
    assert isinstance(spec.limit, LatencyLimit)
    assert spec.limit.below == pytest.approx(written, rel=1e-9)


@pytest.mark.parametrize("strict", LADDER)
@pytest.mark.parametrize("failed", [None, Share(0.0, 0.0), Share(0.3, 0.4)])
@pytest.mark.parametrize("rate", [0.0, 0.001, 1000.0])
def test_every_step_of_the_ladder_is_a_policy_without_a_complaint(
    strict: object, failed: Share | None, rate: float
) -> None:
    """Whatever was measured, however loose: guard check has nothing to say."""
    pick = Pick("http_requests_total", PAGE)
    own = Pick("api_client_requests_total", PAGE, (equals("integration", "a"),))
    traffic = Traffic(rate, rate)
    ratios = [
        Ratio(SERVER, pick, pick.where('code="500"'), traffic, failed),
        Ratio(CALLS, own, own.where('code="500"'), traffic, failed, "a"),
    ]
    slow = Slow(SERVER, Pick("http_request_duration_seconds_bucket", PAGE), traffic, ())
    chosen = Chosen(ratios, [slow])
    for origin in (PAGES, Origin(PAGES.keys, history=True)):
        parts = compose(
            chosen,
            origin,
            starts=(400.0,),
            scraped=None,
            strict=next(step for step in LADDER if step == strict),
        )
        text, loaded = read(parts)
        assert loaded.problems == (), text
        assert loaded.policy is not None
        assert len(loaded.policy.signals) == 3


@pytest.mark.parametrize("rate", [0.0005, 0.01, 0.2, 3.0, 5000.0])
def test_the_tests_beside_a_draft_pass_at_any_traffic(rate: float, tmp_path: Path) -> None:
    """Cases for which too few requests come are left out."""
    pick = Pick("http_requests_total", PAGE)
    ratio = Ratio(SERVER, pick, pick, Traffic(rate, rate / 3), Share(0.001, 0.002))
    parts = composed(ratio)
    tests = cases_of(parts, name="web")
    assert tests is not None
    (tmp_path / "web.yaml").write_text(read(parts)[0])
    (tmp_path / "web.test.yaml").write_text(tests)
    results = run([tmp_path / "web.test.yaml"])
    assert [problem for one in results.files for problem in one.failures()] == [], tests
    assert len(results.cases) == (2 if rate < 0.1 else 4)


def test_a_number_stays_with_its_percent_sign() -> None:
    """Wherever a comment is wrapped; an ordinary space is between them."""
    lines = comment("about 95 % of them " * 40)
    assert len(lines) > 5
    assert not [line for line in lines if line.startswith("# %")]
    assert "95 % of" in lines[0]
