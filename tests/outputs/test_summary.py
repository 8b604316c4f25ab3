"""The final screen and its Markdown, for every way in which a watch can end."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from io import FileIO
from itertools import product
from pathlib import Path
from typing import Literal

import pytest

from deploy_guard.model import Action, Finding, Outcome, Recovery, Verdict
from deploy_guard.outputs import summary
from deploy_guard.outputs.format import cells
from deploy_guard.outputs.markdown import append_step_summary, markdown
from deploy_guard.outputs.report import tell_result

from .samples import HEALTHY, HTTP, OUTCOMES, PAYMENTS, REGRESSED, evidence_of
from .terminals import Screen, Terminal

GOLDEN = Path(__file__).parent / "screens"
HOSTILE = "\x1b[2J\x1b]0;owned\x07a\nb\r::error::x | <script>alert(1)</script> `c` " + "支払" * 5000


def screen(outcome: Outcome) -> str:
    """Return the final screen as one run of words, as a reader takes it."""
    return " ".join(summary.text(outcome).split())


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_screen_is_as_reviewed(name: str, request: pytest.FixtureRequest) -> None:
    """Each ending has the screen that was reviewed (docs/output.md says how to renew them)."""
    assert summary.text(OUTCOMES[name]) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_screen_is_one_screen(name: str) -> None:
    """At most 80 columns and, in the usual cases, 24 lines; a few more with what was changed."""
    lines = summary.text(OUTCOMES[name]).splitlines()
    assert max(cells(line) for line in lines) <= 80
    assert len(lines) <= 29


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("healthy", "HEALTHY: revision 8 of deployment/checkout stays"),
        ("recovered", "REGRESSED, ROLLED BACK, RECOVERED: deployment/checkout runs revision 7"),
        ("still-bad", "STILL BAD AFTER THE ROLLBACK: the deploy was not the cause"),
        ("recovery-unknown", "REGRESSED, ROLLED BACK, RECOVERY UNKNOWN: deployment/checkout"),
        ("dry-run", "REGRESSED, NOT ROLLED BACK: dry run;"),
        ("report-only", "REGRESSED, NOT ROLLED BACK: the policy only reports;"),
        ("refused", "REGRESSED, NOT ROLLED BACK: the rollback of deployment/checkout was refused"),
        ("rollback-failed", "REGRESSED, ROLLBACK FAILED: revision 7 of"),
        ("inconclusive", "INCONCLUSIVE: revision 8 of deployment/checkout is neither"),
        ("not-the-deploy", "INCONCLUSIVE: what is bad is not the fault of revision 8 of"),
        ("no-data", "NO DATA: revision 8 of deployment/checkout could not be judged"),
        ("superseded", "SUPERSEDED: a newer deploy of deployment/checkout arrived"),
        ("interrupted", "INTERRUPTED: deployment/checkout, before a verdict; nothing was changed"),
        ("interrupted-in-rollback", "INTERRUPTED: deployment/checkout, after the rollback had"),
        ("interrupted-after-rollback", "INTERRUPTED: deployment/checkout, after the rollback, bef"),
        (
            "rolled-back-then-superseded",
            "REGRESSED, ROLLED BACK: revision 7 of deployment/checkout was not seen to serve",
        ),
    ],
)
def test_the_first_line_says_verdict_and_action(name: str, first: str) -> None:
    """Who reads one line only knows what happened."""
    assert summary.text(OUTCOMES[name]).startswith(first)


def test_every_combination_has_a_screen() -> None:
    """No combination of verdict, action, recovery and knowledge fails or says nothing."""
    combinations = product(
        [None, *Verdict], Action, [None, *Recovery], [True, False], [HEALTHY, REGRESSED]
    )
    for verdict, action, recovered, dry_run, base in combinations:
        for known in (base.candidate, None):
            outcome = replace(
                base,
                verdict=verdict,
                action=action,
                recovered=recovered,
                dry_run=dry_run,
                candidate=known,
                target_revision=known,
            )
            assert re.match(r"[A-Z ]+", summary.text(outcome))
            assert "Now\n  runs" in summary.text(outcome)
            assert markdown(outcome).startswith("### ")


def test_still_bad_is_loud() -> None:
    """A rollback that cured nothing says so first, in its own paragraph, and at the end."""
    text = screen(OUTCOMES["still-bad"])
    assert "!! The rollback did not cure it: the deploy was not the cause" in text
    assert "signals STILL BAD; now http-errors 50 %" in text


def test_the_evidence_is_there_with_its_numbers() -> None:
    """Why: the bad signal first and in full, the others after it."""
    text = screen(REGRESSED)
    assert HTTP.text in text
    assert text.index("✗ http-errors bad") < text.index("? payments-api no data")
    assert text.index("? payments-api no data") < text.index("and 2 good (kubernetes, latency)")


def test_a_reason_is_not_told_twice() -> None:
    """The reason stands on its own only when no finding says the same."""
    assert screen(REGRESSED).count("errors 412 of 824") == 1
    assert "the ConfigMap checkout-1.9 that revision 7 needs" in screen(OUTCOMES["refused"])


def test_many_signals_are_counted() -> None:
    """Beyond the first few the findings are counted, so that the screen stays one."""
    many = [
        replace(evidence_of(PAYMENTS), signal=f"api-{n}", finding=Finding.GOOD) for n in range(30)
    ]
    text = screen(replace(REGRESSED, evidence=(*many, evidence_of(HTTP))))
    assert "✗ http-errors bad" in text
    assert "and 30 good (api-0, api-1, api-2, …)" in text


def test_times_are_told_from_the_deploy() -> None:
    """Deploy, detection, rollback and restoration, each with its distance."""
    text = summary.text(REGRESSED)
    assert "  detected     17:40:46Z  36 s after the deploy\n" in text
    assert "  restored     17:41:05Z  18 s after the rollback, 55 s after the deploy\n" in text


def test_a_newer_deploy_after_the_rollback_is_told_with_the_rollback() -> None:
    """Nothing that was written is hidden by what came later."""
    text = screen(replace(REGRESSED, action=Action.SUPERSEDED, recovered=None))
    assert "runs a newer deploy, which arrived after the rollback to revision 7" in text
    assert "guard changed nothing" not in text


def test_a_rollback_that_was_never_written_is_told_so() -> None:
    """A refused patch leaves the candidate running."""
    failed = replace(OUTCOMES["rollback-failed"], rolled_back_at=None)
    assert "it could not be written" in screen(failed)
    assert "runs revision 8" in screen(failed)
    assert "guard changed nothing" in screen(failed)


def test_hostile_texts_are_harmless() -> None:
    """Whatever stands in reasons, evidence and steps, the screen is short, narrow and plain."""
    outcome = replace(
        REGRESSED,
        reason=HOSTILE,
        evidence=tuple(replace(evidence_of(HTTP), signal=HOSTILE, text=HOSTILE) for _ in range(9)),
        next_steps=(HOSTILE,),
        policy=HOSTILE,
    )
    text = summary.text(outcome)
    assert all(cells(line) <= 80 for line in text.splitlines())
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert not re.search(r"^\s*::", text, re.MULTILINE)
    page = markdown(outcome)
    assert "<script>" not in page
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", page)
    row = next(line for line in page.splitlines() if "script" in line and line.startswith("| "))
    assert len(re.findall(r"(?<!\\)\|", row)) == 7


def test_a_terminal_gets_colours_and_the_same_words() -> None:
    """Colour adds nothing that is not in the words."""
    with Terminal(80, 40) as terminal:
        tell_result(REGRESSED, terminal.stream, environ={"TERM": "xterm"})
        written = terminal.close()
    assert "\x1b[1;32mREGRESSED, ROLLED BACK, RECOVERED" in written
    assert Screen(80, 40).feed(written).text() == "\n" + summary.text(REGRESSED)


@pytest.mark.parametrize("environ", [{"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_without_colours_gets_plain_text(environ: dict[str, str]) -> None:
    """NO_COLOR and dumb terminals count."""
    with Terminal(80, 40) as terminal:
        tell_result(REGRESSED, terminal.stream, environ=environ)
        assert terminal.close().replace("\r", "") == summary.text(REGRESSED)


def test_a_narrow_terminal_gets_a_narrow_screen() -> None:
    """At 60 columns no line is broken by the terminal."""
    with Terminal(60, 40) as terminal:
        tell_result(REGRESSED, terminal.stream, environ={"TERM": "xterm"})
        assert Screen(60, 40).feed(terminal.close()).longest <= 60


def test_the_summary_page_of_a_job_gets_the_outcome(tmp_path: Path) -> None:
    """GitHub's summary file is appended to, after what other steps wrote."""
    page = tmp_path / "summary.md"
    page.write_text("before\n")
    stdout = io.StringIO()
    assert tell_result(HEALTHY, stdout, environ={"GITHUB_STEP_SUMMARY": str(page)}) == ""
    assert page.read_text(encoding="utf-8") == "before\n" + markdown(HEALTHY) + "\n"
    assert stdout.getvalue() == summary.text(HEALTHY)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full (Linux)")
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_stdout_that_is_full_takes_nothing_else_away(
    form: Literal["text", "json"], tmp_path: Path
) -> None:
    """The summary page is written; the exit code stays, unless it would say that all is well."""
    page = tmp_path / "summary.md"
    full = io.TextIOWrapper(FileIO("/dev/full", "w"), encoding="utf-8", write_through=True)
    environ = {"GITHUB_STEP_SUMMARY": str(page)}
    told = tell_result(REGRESSED, full, environ=environ, form=form)
    assert told == "the result cannot be written: no space left on device"
    assert page.read_text(encoding="utf-8") == markdown(REGRESSED) + "\n"
    with pytest.raises(OSError, match="No space left"):
        tell_result(HEALTHY, full, environ=environ, form=form)
    full.buffer.close()
    assert "closed file" in tell_result(REGRESSED, full, environ={}, form=form)


def test_a_summary_page_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    """The exit code is not changed by a page that cannot be written."""
    warning = append_step_summary(HEALTHY, {"GITHUB_STEP_SUMMARY": str(tmp_path)})
    assert warning == "the job's summary page could not be written: Is a directory"
    assert append_step_summary(HEALTHY, {}) == ""
