"""The report names everything that was measured, and says whether each bar is met."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.detection import bars, plot, report, rules
from benchmarks.detection.__main__ import BEGIN, END, Results, main, run, sized, write
from benchmarks.detection.cells import Cell, Plan, planned
from benchmarks.detection.edges import EDGES
from benchmarks.detection.families import HARD, REPORTING, TUNING
from benchmarks.detection.faults import AFTERWARDS, SHARED
from benchmarks.detection.outcome import Found, Outcome, Times
from benchmarks.detection.regressions import CASES, HARDER, WITH_CONTROL
from benchmarks.detection.time_bars import MET, NOT_MET

ROOT = Path(__file__).parents[2]
TINY = Plan((10,), (10,), {60: 2}, {60: 2})


def parsed(picture: str) -> list[ET.Element]:
    """Return the elements of a picture that we drew."""
    return list(ET.fromstring(picture).iter())  # noqa: S314


def invented(cell: Cell, rule: str, *, count: int = 1000, fired: int = 0, at: float = 9.0) -> Found:
    """Return an outcome in which so many of the deploys were rolled back at one moment."""
    times = np.full(count, np.inf)
    times[:fired] = at
    said = Times.of(times, 0.0)
    return Found(cell, rule, Outcome(said, said))


def verdicts(found: list[Found]) -> dict[str, str]:
    """Return the verdict on each bar."""
    return {bar.wanted: bar.verdict for bar in bars.bars(found)}


def test_a_run_has_every_table_and_the_plot() -> None:
    """A tiny run names all families, cases, faults, edges and rules, and draws each fair rule."""
    results = run(TINY, rules.chosen([]))
    names = [family.name for family in (*TUNING, *REPORTING, *HARD)]
    names += [case.name for case in (*CASES, *HARDER, *WITH_CONTROL)]
    names += [fault.name for fault in (*SHARED, *AFTERWARDS)] + [edge.name for edge in EDGES]
    for name in names:
        assert f"| {name} |" in results.tables
    assert results.picture is not None
    texts = [element.text for element in parsed(results.picture)]
    for rule in rules.RULES:
        if rule.poll:
            continue  # it is for other polls
        assert f" {rule.name} |" in results.tables
        assert rule.clairvoyant or rule.name == rules.ALONE or rule.name in texts


def test_one_part_can_be_asked_alone() -> None:
    """Only its sections are there, and the bars that it can answer."""
    results = run(TINY, rules.chosen(["guard"]), ["shared"])
    assert "### Not the deploy's fault, polls of 60 s" in results.tables
    assert "shared outages" in results.tables
    assert "Seconds to detect" not in results.tables
    assert "Real traces" not in results.tables
    assert results.picture is None


def test_without_guard_or_oracle_there_is_less() -> None:
    """Peers alone have their tables, no columns of guard, no bars, and no plot."""
    results = run(TINY, rules.chosen(["Flagger", "burn rate"]), ["healthy", "regressions", "real"])
    assert "| case | bound | Flagger | burn rate |" in results.tables
    assert "guard" not in results.tables
    assert "The bars" not in results.tables
    assert results.picture is None


@pytest.mark.parametrize(
    ("counts", "mean", "worst"),
    [
        ((4, 5), MET, MET),
        ((0, 19), f"{MET}, within chance", MET),
        ((0, 25), f"{NOT_MET}, within chance", NOT_MET),
        ((60, 60), NOT_MET, NOT_MET),
    ],
)
def test_false_rollbacks_have_two_bars(counts: tuple[int, int], mean: str, worst: str) -> None:
    """A family's mean is held against 1 %, each of its cells against 2 %."""
    cells = planned(TINY, ["healthy"], rules.chosen(["guard"]))
    cells = [cell for cell in cells if cell.kind == REPORTING[0].name]
    found = [invented(c, "guard", fired=fired) for c, fired in zip(cells, counts, strict=True)]
    said = verdicts(found)
    assert said["false rollbacks, reporting: each family's mean ≤ 1 %"] == mean
    assert said["false rollbacks, reporting: no cell above 2 %"] == worst


def test_a_small_cell_proves_nothing() -> None:
    """Cells with less than 1,000 deploys are not held against the bar of cells."""
    cell = planned(TINY, ["healthy"], rules.chosen(["guard"]))[0]
    found = [invented(cell, "guard", count=999, fired=99)]
    assert verdicts(found)["false rollbacks, tuning: no cell above 2 %"] == bars.OPEN


def test_only_peers_that_hold_the_level_are_a_bar() -> None:
    """A quicker peer counts if it holds 1 % in each family for reporting, and else it does not."""
    healthy = [
        cell
        for cell in planned(TINY, ["healthy"], rules.chosen(["Flagger"]))
        if cell.kind in {family.name for family in REPORTING}
    ]
    worse = planned(TINY, ["regressions"], rules.chosen([]))[0]
    times = [
        invented(worse, "guard", fired=1000, at=60.0),
        invented(worse, "Flagger", fired=1000, at=50.0),
    ]
    wanted = "polls of 60 s: never behind a peer that holds the level"
    for fired, verdict in ((5, NOT_MET), (11, MET)):
        quiet = [invented(cell, "Flagger", fired=fired) for cell in healthy]
        assert verdicts([*quiet, *times])[wanted] == verdict


def test_old_pods_may_cost_a_quarter() -> None:
    """The medians with and without old pods are compared where nothing disturbs the old ones."""
    cells = planned(TINY, ["control"], rules.chosen(["guard"]))
    plain = next(cell for cell in cells if "under" not in cell.kind)
    noisy = next(cell for cell in cells if "under" in cell.kind)
    wanted = "polls of 60 s: with old pods at most 1.25 × the time without"
    for cell, at, verdict in ((plain, 125.0, MET), (plain, 126.0, NOT_MET)):
        pair = [
            invented(cell, "guard", fired=1000, at=at),
            invented(cell, rules.ALONE, fired=1000, at=100.0),
        ]
        assert verdicts(pair)[wanted] == verdict
        assert verdicts([replace(one, cell=noisy) for one in pair]) == {}


def test_a_late_outage_is_rolled_back_by_default() -> None:
    """After the old pods have gone an outage is the deploy's, and a mild shift nobody's."""
    cells = planned(TINY, ["shared"], rules.chosen(["guard"]))
    late = [cell for cell in cells if cell.kind.endswith("after")]
    outage = "polls of 60 s: an outage 3 min after the old pods: ≥ 99 % rolled back, by default"
    mild = "polls of 60 s: a ×3 level 3 min after the old pods: ≤ 1 % rolled back"
    assert verdicts([invented(cell, "guard") for cell in late]) == {outage: NOT_MET, mild: MET}
    all_fired = [invented(cell, "guard", fired=1000) for cell in late]
    assert verdicts(all_fired) == {outage: MET, mild: NOT_MET}


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


def test_a_poll_that_is_not_planned_has_the_size_of_the_next() -> None:
    """Polls of 10 s get as many traces as those of 15 s."""
    plan = sized(Plan((10,), (10,), {2: 1, 15: 2, 60: 3}, {2: 4, 15: 5, 60: 6}), "10,60", 7)
    assert (plan.healthy, plan.others, plan.seed) == ({10: 2, 60: 3}, {10: 5, 60: 6}, 7)


def test_wrong_arguments_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown rule, part or poll ends with status 2 and says what was expected."""
    for arguments, message in (
        (["--rules", "guards"], "did you mean 'guard'?"),
        (["--polls", "90"], "expected 1 to 60 s"),
        (["--part", "helthy"], "did you mean 'healthy'?"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert message in capsys.readouterr().err


def test_the_page_lists_the_families() -> None:
    """The table of families in the docs is the generated one."""
    page = (ROOT / "docs" / "detection.md").read_text(encoding="utf-8")
    assert report.families() in page
