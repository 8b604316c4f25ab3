"""The benchmark of the detector: its noise is what it says, its rules are the documented ones."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from benchmarks.detection import peers, plot, report, rules, sequential
from benchmarks.detection.__main__ import BEGIN, END, Results, main, run, sized, write
from benchmarks.detection.families import HARD, REPORTING, TUNING, Family, healthy, wander
from benchmarks.detection.measure import Plan, wilson
from benchmarks.detection.real import nezha_faults, nginx_deploys, worldcup_load
from benchmarks.detection.regressions import CASES, SHARED, WHOLE, Case
from benchmarks.detection.traces import Control, Setting, Traces
from scipy import integrate, stats

from deploy_guard.detect import replay

FAMILIES = [*TUNING, *REPORTING, *HARD]
ROOT = Path(__file__).parents[1]


def hand_made(
    ratios: Sequence[float], *, before: Sequence[float] = (0.001,) * 240, poll: float = 15.0
) -> Traces:
    """Return one deploy with 1,000 requests per read and exactly these ratios, the last for good.

    Polls fall on the minutes.
    """
    number = int(1800 // poll)
    watch = np.array([*ratios, *[ratios[-1]] * number][:number])[None, :]
    base = np.array(before)[None, :]
    n, m = np.full(base.shape, 1000.0), np.full(watch.shape, 1000.0)
    return Traces(poll, poll, np.array([poll]), n, 1000 * base, m, 1000 * watch)


# --- noise ------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_has_the_mean_that_it_claims(family: Family) -> None:
    """All errors by all requests before the deploy are the claimed multiple of the ratio."""
    setting = Setting(500, 0.01, poll=60, count=80)
    traces = healthy(family, setting)
    n, x = traces.base_requests.sum(1), traces.base_errors.sum(1)
    excess = x - family.mean * setting.ratio * n
    error = excess.std() / np.sqrt(setting.count)
    assert abs(excess.mean()) <= 3.5 * error
    assert error < 0.15 * x.mean()  # so that the line above can fail


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_depends_on_the_seed_only(family: Family) -> None:
    """The same seed gives the same counts, another one others."""
    first, same, other = (
        healthy(family, Setting(50, 0.01, count=2, baseline=600, watch=300, seed=seed))
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first.errors, same.errors)
    assert np.array_equal(first.base_requests, same.base_requests)
    assert not np.array_equal(first.base_requests, other.base_requests)


def test_families_for_reporting_are_no_families_for_tuning() -> None:
    """Each name and each formula occurs once."""
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    assert len({family.formula for family in FAMILIES}) == len(FAMILIES)


def test_noise_forgets_after_its_memory() -> None:
    """Autocorrelated noise has its deviation, and the correlation 1/e after tau seconds."""
    setting = Setting(1, 0.01, count=200, baseline=600, watch=300)
    z = wander(setting.random("z"), setting, sd=0.5, tau=60)
    assert z.std() == pytest.approx(0.5, rel=0.05)
    assert (z[:, :-60] * z[:, 60:]).mean() / z.var() == pytest.approx(np.exp(-1), abs=0.07)


def test_errors_in_groups_are_overdispersed() -> None:
    """Geometric groups of 3 on average have 2·3 − 1 times the variance of single errors."""
    clusters = next(family for family in TUNING if family.name == "clusters")
    x = healthy(clusters, Setting(100, 0.001, count=100)).base_errors
    assert x.var() / x.mean() == pytest.approx(5, rel=0.1)


def test_nobody_deploys_just_when_a_poll_is_due() -> None:
    """The first interval has any length up to the poll's, the others have all of it."""
    traces = healthy(TUNING[0], Setting(10, 0.01, poll=15, count=200))
    assert set(traces.phase) == set(range(1, 16))
    assert (traces.ends[:, -1] <= 1800).all()
    baseline, watch, control = traces.of_one(0)
    assert [seconds for seconds, _, _ in watch] == [traces.phase[0], *[15.0] * 119]
    assert sum(seconds for seconds, _, _ in baseline) == 3600
    assert control is None


# --- deploys that are worse, faults of the world ----------------------------------------------


def test_a_regression_begins_with_the_deploy() -> None:
    """The ratio is the healthy one before and the worse one after; old pods stay healthy."""
    case = Case(0.01, 0.05, 1000)
    traces = case.traces(case.setting(poll=15, count=20, seed=1), control=Control(WHOLE))
    assert traces.old_requests is not None and traces.old_errors is not None
    assert traces.base_errors.sum() / traces.base_requests.sum() == pytest.approx(0.01, rel=0.03)
    assert traces.errors.sum() / traces.requests.sum() == pytest.approx(0.05, rel=0.03)
    assert traces.old_errors.sum() / traces.old_requests.sum() == pytest.approx(0.01, rel=0.03)
    assert traces.old_requests.sum() == pytest.approx(traces.requests.sum(), rel=0.03)


def test_old_pods_share_the_fault_and_die() -> None:
    """Old and new pods fail alike while the old ones live; then there is no control."""
    outage = next(shared for shared in SHARED if shared.name == "outage 50 %")
    traces = outage.traces(Setting(100, 0.001, poll=2, count=5), Control(60))
    for row in range(5):
        _, watch, control = traces.of_one(row)
        assert control is not None
        alive = [seconds for (seconds, _, _), old in zip(watch, control, strict=True) if old]
        assert 60 <= sum(alive) < 62
        last = control[len(alive) - 2]
        assert last is not None and last[2] >= 0.2 * last[1]
        assert watch[-1][2] / watch[-1][1] == pytest.approx(0.5, abs=0.2)


# --- peers ------------------------------------------------------------------------------------


def test_argo_fails_at_the_first_of_five_measurements() -> None:
    """More than 5 % in the last scrape before a full minute ends the run; limit 0."""
    assert peers.argo_five_minutes(hand_made([0.06])) == 60
    assert peers.argo_five_minutes(hand_made([0.05])) == np.inf
    late = [0.0] * 19 + [0.06, 0.0]
    assert peers.argo_five_minutes(hand_made(late)) == 300
    unseen = [0.9, 0.9, 0.9, 0.0] * 5 + [0.9]  # an irate sees one scrape; after 5 it is over
    assert peers.argo_five_minutes(hand_made(unseen)) == np.inf


def test_argo_tolerates_three_failures() -> None:
    """With failureLimit 3 the fourth failed measurement fails the run."""
    assert peers.argo_every_5_minutes(hand_made([0.06])) == 1200
    three = [0.06] * 60 + [0.0]
    assert peers.argo_every_5_minutes(hand_made(three)) == np.inf


def test_flagger_needs_five_failed_checks() -> None:
    """Five minutes below 99 %, consecutive or not, and the next look rolls back."""
    assert peers.flagger(hand_made([0.011])) == 360
    assert peers.flagger(hand_made([0.01])) == np.inf
    assert peers.flagger(hand_made([0.011] * 16 + [0.0])) == np.inf
    assert peers.flagger(hand_made(([0.02] * 4 + [0.0] * 4) * 5 + [0.0])) == 600


def test_the_burn_rate_needs_both_windows() -> None:
    """The long window must be over its threshold, and the short one still."""
    # Of 6 h only the hour before exists: 6 · 0.1 % are exceeded after 15 s · k where
    # (240 · 0.001 + k · 0.1) / (240 + k) > 0.006, which is k > 12.8: at 195 s, looked at by 210 s.
    assert peers.burn_rate(hand_made([0.1]), 0.001) == 210
    assert peers.burn_rate(hand_made([0.005]), 0.001) == np.inf
    assert peers.burn_rate(hand_made([0.1] * 10 + [0.0]), 0.001) == np.inf


def test_kayenta_judges_every_ten_minutes() -> None:
    """A clear shift is high at the first judgement, a decrease never."""
    random = np.random.default_rng(1)
    before = random.uniform(0.001, 0.002, 240).tolist()
    assert peers.kayenta(hand_made([0.004], before=before)) == 600
    assert peers.kayenta(hand_made([0.0005], before=before)) == np.inf
    late = [0.0015] * 24 + [0.004]
    assert peers.kayenta(hand_made(late, before=before)) == 1200


def test_kayentas_interval_inverts_the_rank_sum_test() -> None:
    """Shifted by the interval's lower end, the samples have scipy's p-value of 1 %."""
    random = np.random.default_rng(2)
    control, experiment = random.normal(0, 1, (1, 60)), random.normal(1, 1, (1, 20))
    lower, estimate = peers.shift(control, experiment)
    p = stats.mannwhitneyu(
        experiment[0] - lower[0] - 1e-9,
        control[0],
        alternative="greater",
        method="asymptotic",
        use_continuity=False,
    ).pvalue
    assert p == pytest.approx(0.01, abs=0.001)
    assert estimate[0] == pytest.approx(np.median(experiment[0][:, None] - control[0]))


# --- sequential tests -------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "x", "p"), [(100, 3, 0.01), (5000, 20, 0.001), (40, 0, 0.05)])
def test_the_mixture_is_an_integral(n: float, x: float, p: float) -> None:
    """The closed form is the likelihood ratio averaged over the beta distribution."""
    mixture = stats.beta(1.0, max(1.0, 1 / (2 * p) - 1))
    expected, _ = integrate.quad(
        lambda q: mixture.pdf(q) * np.exp(x * np.log(q / p) + (n - x) * np.log((1 - q) / (1 - p))),
        0,
        1,
        points=[x / n, 2 * p] if x else [2 * p],
        limit=200,
    )
    found = sequential.log_mixture(np.array([n]), np.array([x]), np.array([p]))[0]
    assert found == pytest.approx(np.log(expected), abs=1e-6)


def test_the_oracle_is_near_walds_bound() -> None:
    """Its mean time is the bound and an overshoot of a few requests."""
    case = Case(0.01, 0.05, 20)
    traces = case.traces(case.setting(poll=1, count=400, seed=3))
    mean = sequential.oracle(traces, 0.01, 0.05).mean()
    bound = sequential.bound(0.01, 0.05, 20)
    assert 0.95 * bound <= mean <= 1.25 * bound + 1


def test_the_oracle_holds_its_level() -> None:
    """On independent errors without a change it fires in at most 1 %; so does the mixture."""
    traces = healthy(TUNING[0], Setting(20, 0.01, poll=15, count=600, baseline=7200))
    for times in (sequential.oracle(traces, 0.01, 0.02), sequential.cusum(traces)):
        assert np.isfinite(times).mean() <= 0.02


def test_the_blind_oracle_waits() -> None:
    """It sees nothing of the first 30 s, not even part of an increment."""
    case = Case(0.001, 0.5, 1000)
    traces = case.traces(case.setting(poll=15, count=50, seed=1))
    times = sequential.oracle_30(traces, 0.001, 0.5)
    assert (times >= 45).all() and (times <= 60).all()
    assert (sequential.oracle(traces, 0.001, 0.5) <= 15).all()


def test_cusum_and_mixture_find_a_rise() -> None:
    """Both fire soon on a clearly higher ratio, and never on the same one."""
    for test in (sequential.mixture_sprt, sequential.cusum):
        assert 15 <= test(hand_made([0.1], before=[0.01] * 240))[0] <= 45
        assert test(hand_made([0.01], before=[0.01] * 240))[0] == np.inf


# --- ours -------------------------------------------------------------------------------------


def test_guard_is_the_replay() -> None:
    """The rule called guard says what `detect.replay` says, deploy by deploy."""
    case = Case(0.001, 0.5, 100)
    traces = case.traces(case.setting(poll=15, count=3, seed=1))
    times = rules.guard(traces)
    assert list(times) == [replay(*traces.of_one(row)) for row in range(3)]
    assert np.isfinite(times).all()


def test_an_unknown_rule_is_an_error() -> None:
    """The message suggests a name."""
    with pytest.raises(ValueError, match="'Flager' is unknown: did you mean 'Flagger'"):
        rules.chosen(["Flager"])


# --- real traces ------------------------------------------------------------------------------


def test_real_load_keeps_the_mean() -> None:
    """Each piece of the World Cup site's load is scaled to 1 on average."""
    setting = Setting(100, 0.01, count=5)
    load = worldcup_load(setting.random("x"), setting)
    assert load.shape == setting.shape
    assert load.mean(1) == pytest.approx(np.ones(5))
    assert load.std() > 0.01


def test_real_counters_are_cut_at_the_deploy() -> None:
    """Baseline and watch together are the whole record, whenever the deploy was."""
    deploys = nginx_deploys()
    sums = [d.base_requests.sum() + d.requests.sum() for d in deploys]
    assert len(deploys) == 16
    assert len(set(sums)) == 1
    assert all((d.errors <= d.requests).all() for d in deploys)


def test_real_faults_are_told_by_what_users_saw() -> None:
    """Seven of the injected faults failed requests of the front end; quiet ones did not."""
    faults = nezha_faults()
    assert [fault.kind for fault in faults if fault.visible].count("return") == 4
    assert sum(fault.visible for fault in faults) == 7
    quiet = [f.traces.errors.sum() / f.traces.requests.sum() for f in faults if not f.visible]
    assert max(quiet) < 0.02


# --- the report -------------------------------------------------------------------------------


def parsed(picture: str) -> list[ET.Element]:
    """Return the elements of a picture that we drew."""
    return list(ET.fromstring(picture).iter())  # noqa: S314


@pytest.mark.parametrize(("fired", "deploys"), [(0, 20), (3, 400), (50, 50)])
def test_wilsons_interval_is_scipys(fired: int, deploys: int) -> None:
    """The interval of a share agrees with `scipy.stats`."""
    expected = stats.binomtest(fired, deploys).proportion_ci(0.95, method="wilson")
    assert wilson(fired, deploys) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_run_has_every_table_and_the_plot() -> None:
    """A tiny run names all families, cases, faults and rules, and draws each fair rule."""
    results = run(Plan((10,), {60: 2}, {60: 2}), rules.chosen([]))
    for name in [*(f.name for f in FAMILIES), *(c.name for c in CASES), *(s.name for s in SHARED)]:
        assert f"| {name} |" in results.tables
    assert results.picture is not None
    texts = [element.text for element in parsed(results.picture)]
    for rule in rules.RULES:
        assert f" {rule.name} |" in results.tables
        assert rule.clairvoyant or rule.name in texts


def test_labels_of_the_plot_keep_apart() -> None:
    """Rules at the same place have labels one below the other."""
    points = [plot.Point(name, 0.0, 0.0, 0.1, np.inf, np.inf) for name in "abc"]
    drawn = parsed(plot.svg(points, title="t", best=50.0))
    places = sorted(float(e.attrib["y"]) for e in drawn if e.text in {"a", "b", "c"})
    assert places[1] - places[0] >= plot.LINE
    assert places[2] - places[1] >= plot.LINE


def test_results_replace_those_before(tmp_path: Path) -> None:
    """Only what stands between the marks changes, and writing twice changes nothing."""
    page = tmp_path / "detection.md"
    page.write_text(f"before\n\n{BEGIN}\n\nold\n\n{END}\n\nafter\n", encoding="utf-8")
    for _ in range(2):
        write(Results("| new |", "<svg/>"), tmp_path, "command")
        text = page.read_text(encoding="utf-8")
        assert text == (
            f"before\n\n{BEGIN}\n\nWritten by `command`.\n\n| new |\n\n{END}\n\nafter\n"
        )
    assert (tmp_path / "detection.svg").read_text(encoding="utf-8") == "<svg/>"


def test_without_guard_or_oracle_there_is_less() -> None:
    """Peers alone have their tables, no columns of guard, and no plot without oracle+30."""
    results = run(Plan((10,), {60: 2}, {60: 2}), rules.chosen(["Flagger", "burn rate"]))
    assert "| case | bound | Flagger | burn rate |" in results.tables
    assert "guard" not in results.tables
    assert results.picture is None


def test_a_poll_that_is_not_planned_has_the_size_of_the_next() -> None:
    """Polls of 10 s get as many traces as those of 15 s."""
    plan = sized(Plan((10,), {2: 1, 15: 2, 60: 3}, {2: 4, 15: 5, 60: 6}), "10,60", 7)
    assert (plan.healthy, plan.worse, plan.seed) == ({10: 2, 60: 3}, {10: 5, 60: 6}, 7)


def test_wrong_arguments_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown rule or a poll out of range ends with status 2 and says what was expected."""
    for arguments, message in (
        (["--rules", "guards"], "did you mean 'guard'?"),
        (["--polls", "90"], "expected 1 to 60 s"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert message in capsys.readouterr().err


def test_the_page_lists_the_families() -> None:
    """The table of families in the docs is the generated one."""
    page = (ROOT / "docs" / "detection.md").read_text(encoding="utf-8")
    assert report.families() in page
