"""Whatever stands in a test file, it is tests or problems with places; nothing else comes out."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy_guard.policy.codes import CODES
from deploy_guard.policy.problems import Severity, render
from deploy_guard.policy.schema import all_sections
from deploy_guard.policy.shape import keys
from deploy_guard.policy_tests import codes
from deploy_guard.policy_tests.load import inspect
from deploy_guard.policy_tests.models import PolicyTests
from deploy_guard.policy_tests.running import Runner

from .cases import POLICY

GOOD = """\
version: 1
policy: shop.yaml
defaults:
  pods: 4
  rollout: 30s
  signals:
    errors: {requests: 40/s, errors: {before: 0.5%, old: 1%, new: 20%}}
    latency: {requests: '0+600x40', buckets: {0.1: 90%, 500ms: 99%, +Inf: 100%}}
    queue: {value: {before: 10, new: '10x4 _ stale 500x40'}}
    payments: {answers: {0s: ok, 60s: fail, 2m: 503}}
cases:
  - name: first
    noise: poisson
    seed: 3
    faults:
      - {at: 60s, for: 2m, signal: errors, what: no data}
      - {at: 45s, pods: 1, what: crash, of: both}
      - {at: 45s, what: slow, takes: 20s}
    expect: regressed after 10s by 90s (errors)
  - name: second
    baseline: 0s
    interval: 10s
    expect: {verdict: healthy, reason: good}
"""
KEYS = sorted({key for section in all_sections(PolicyTests) for key in keys(section)})
MARKS = (
    *("40/s", "5%", "5m", "0s", "0", "-1", "1e400", "~", "''", '"x', "{{ values.x }}", "_", "x3"),
    *("1x99999999999", "0+1x5", "-1-2x3", "NaN", "Inf", "1/0", "0%x9 _", "ok", "503", "healthy"),
    *("regressed by 1s", "kubernetes", "errors", "shop.yaml", "..", "/", ".", "crash", "no data"),
    *("[", "]", "{", "}", "*a", "&a", "<<", "!x", "---", "- ", "#", "|", ">", "@", "\t", "[1, 2]"),
    *(
        "{0s: 1%}",
        "{1m: 1%}",
        "{before: 1}",
        "{new: {1m: 2%}}",
        "{0.1: 5%}",
        "{a: {b: c}}",
        "<text>",
    ),
)
WORDS = st.sampled_from([*KEYS, *MARKS])
BOUNDED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _check(data: bytes) -> None:
    """Read bytes as tests; check what always holds; run what is valid."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "shop.yaml").write_text(POLICY)
        file = Path(folder) / "shop.test.yaml"
        file.write_bytes(data)
        loaded = inspect(file)
    lines = data.count(b"\n") + data.count(b"\r") + 1
    for problem in loaded.problems:
        assert problem.code in CODES or problem.code in codes.CODES
        assert "\n" not in problem.message + problem.help
        if problem.file == str(file):
            assert 0 <= problem.line <= lines and problem.column >= (problem.line > 0)
    render(loaded.problems)
    assert bool(loaded.cases) != any(p.severity is Severity.ERROR for p in loaded.problems)
    for one in loaded.cases[:3]:
        assert loaded.tests is not None
        ran = Runner(one.policy).run(one.case, loaded.tests.defaults)
        assert ran.decision.verdict is not None


def test_the_good_file_is_good() -> None:
    """What the others break is valid as it is."""
    _check(GOOD.encode())


@BOUNDED
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    """Bytes are tests or problems."""
    _check(data)


@BOUNDED
@given(st.data())
def test_a_good_file_with_words_put_into_it(data: st.DataObject) -> None:
    """A word in any place gives tests or problems."""
    text = GOOD
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        end = min(len(text), at + data.draw(st.integers(0, 12)))
        text = text[:at] + data.draw(WORDS) + text[end:]
    _check(text.encode())


SCALARS = WORDS | st.text(max_size=12) | st.integers() | st.none() | st.booleans()
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@BOUNDED
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(keys(PolicyTests), TREES)))
def test_any_structure(tree: dict[str, object]) -> None:
    """Any tree of values gives tests or problems."""
    import yaml

    _check(yaml.safe_dump({"version": 1, **tree}, allow_unicode=True).encode())
