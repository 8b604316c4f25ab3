"""Which exit code and which words follow from the command and the watch: every combination."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from deploy_guard.deploy.results import Facts, unwatched, watched
from deploy_guard.embedded.manifests import toy_deployment
from deploy_guard.errors import ExitCode
from deploy_guard.model import Action, DeployResult, Outcome, Recovery, Target, Verdict
from deploy_guard.outputs import summary
from deploy_guard.outputs.json import document
from deploy_guard.outputs.markdown import markdown

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/outcome.schema.json").read_text())
TARGET = Target("deployment", "shop", "web")
LIVE = toy_deployment("web", "shop", "registry.example/web:1.0")
LIVE["metadata"]["uid"] = "uid-1"
NEW = toy_deployment("web", "shop", "registry.example/web:2.0")
NEW["metadata"]["uid"] = "uid-1"
GOING = {"metadata": {**LIVE["metadata"], "deletionTimestamp": "now"}, "spec": LIVE["spec"]}
FACTS = Facts(
    target=TARGET,
    policy="shop",
    command="./deploy.sh",
    started_at=1000.0,
    began_at=1001.0,
    ended_at=1003.0,
    now=1020.0,
    pid=4711,
    code=0,
    before=LIVE,
    after=LIVE,
)
WATCHED = Outcome(
    target=TARGET,
    verdict=Verdict.HEALTHY,
    action=Action.NONE,
    reason="all signals good",
    exit_code=0,
    started_at=1002.0,
    ended_at=1015.0,
    policy="shop",
    next_steps=("to take it back all the same: guard rollback deployment/web",),
)
HEALTHY, INCONCLUSIVE, ROLLED_BACK, REFUSED, SUPERSEDED, INTERRUPTED = (
    WATCHED,
    replace(WATCHED, verdict=Verdict.INCONCLUSIVE, exit_code=12),
    replace(
        WATCHED,
        verdict=Verdict.REGRESSED,
        action=Action.ROLLED_BACK,
        recovered=Recovery.RECOVERED,
        exit_code=10,
    ),
    replace(WATCHED, verdict=Verdict.REGRESSED, action=Action.REFUSED, exit_code=11),
    replace(WATCHED, verdict=None, action=Action.SUPERSEDED, exit_code=13),
    replace(
        WATCHED,
        verdict=None,
        action=Action.INTERRUPTED,
        exit_code=130,
        reason="SIGTERM: nothing was changed",
    ),
)


@pytest.mark.parametrize(
    ("changes", "result", "code"),
    [
        ({}, DeployResult.UNCHANGED, 0),
        ({"code": 3}, DeployResult.FAILED, 1),
        ({"code": -9}, DeployResult.FAILED, 1),
        ({"others": ("deployment/job (new)",)}, DeployResult.SOMETHING_ELSE, 2),
        ({"others": ("deployment/job (new)",), "others_ok": True}, DeployResult.SOMETHING_ELSE, 0),
        ({"others": ("deployment/job (new)",), "code": 3}, DeployResult.FAILED, 1),
        ({"before": None, "after": None}, DeployResult.MISSING, 2),
        ({"before": None, "after": None, "code": 3}, DeployResult.FAILED, 1),
        ({"after": None}, DeployResult.DELETED, 1),
        ({"after": GOING}, DeployResult.DELETED, 1),
        ({"after": None, "code": 3}, DeployResult.DELETED, 1),
        ({"code": None, "interrupted": "SIGTERM"}, DeployResult.UNFINISHED, 130),
        ({"interrupted": "SIGTERM"}, DeployResult.UNCHANGED, 130),
        ({"interrupted": "Ctrl-C", "code": -2}, DeployResult.FAILED, 130),
        ({"interrupted": "Ctrl-C", "after": NEW}, DeployResult.CHANGED, 130),
        ({"interrupted": "Ctrl-C", "after": NEW, "code": 1}, DeployResult.FAILED_AFTER_CHANGE, 130),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else str(value),
)
def test_without_a_watch(changes: dict[str, object], result: DeployResult, code: int) -> None:
    """What the command did, and the exit code that tells it."""
    outcome = unwatched(replace(FACTS, **changes))  # type: ignore[arg-type]
    assert outcome.deploy is not None
    assert (outcome.deploy.result, outcome.exit_code) == (result, code)
    assert outcome.verdict is None


@pytest.mark.parametrize(
    ("outcome", "command", "code"),
    [
        (HEALTHY, 0, 0),
        (HEALTHY, 3, 1),
        (HEALTHY, -15, 1),
        (INCONCLUSIVE, 0, 12),
        (INCONCLUSIVE, 3, 1),
        (ROLLED_BACK, 0, 10),
        (ROLLED_BACK, 3, 10),
        (REFUSED, 0, 11),
        (REFUSED, 3, 11),
        (SUPERSEDED, 0, 13),
        (SUPERSEDED, 3, 1),
        (INTERRUPTED, 0, 130),
        (INTERRUPTED, 3, 130),
        (INTERRUPTED, None, 130),
    ],
)
def test_after_a_watch(outcome: Outcome, command: int | None, code: int) -> None:
    """A regression or an interruption stays one; else a failed command is never a success."""
    found = watched(outcome, replace(FACTS, code=command, after=NEW))
    assert found.exit_code == code
    assert found.verdict is outcome.verdict
    if command:
        assert "exit code 3" in found.reason or "SIGTERM" in found.reason


def test_a_verdict_and_an_interruption_while_the_command_ran_on() -> None:
    """Whoever interrupts a deploy gets 130, unless a regression was told before."""
    facts = replace(FACTS, code=-15, after=NEW, interrupted="SIGTERM")
    assert watched(HEALTHY, facts).exit_code == 130
    assert "all signals good" in watched(HEALTHY, facts).reason
    assert watched(ROLLED_BACK, facts).exit_code == 10


def test_an_interrupted_deploy_does_not_claim_that_nothing_was_changed() -> None:
    """Guard changed nothing, the command did."""
    found = watched(INTERRUPTED, replace(FACTS, after=NEW))
    assert found.reason.startswith("SIGTERM: the command ended with exit code 0 after 2 s")
    assert "nothing was changed" not in found.reason
    assert "nothing was changed" not in summary.text(found)


def test_a_rollback_that_was_sent_is_told_at_any_end() -> None:
    """A second interruption in the middle of a rollback does not hide it."""
    facts = replace(FACTS, code=None, interrupted="SIGTERM", rollback="a rollback was sent")
    assert "a rollback was sent" in unwatched(facts).reason


def test_what_else_changed_is_told_when_the_command_failed() -> None:
    """A deploy that broke off half way names what it has changed before."""
    facts = replace(FACTS, code=3, others=("deployment/job (changed by kubectl)",))
    assert "deployment/job (changed by kubectl)" in unwatched(facts).reason


@pytest.mark.parametrize(
    ("code", "after", "interrupted"),
    [*product((None, 0, 3, -9), (None, LIVE, NEW), ("", "SIGTERM"))],
)
def test_every_ending_has_words_and_fits_the_schema(
    code: int | None, after: dict[str, object] | None, interrupted: str
) -> None:
    """Final screen, Markdown and JSON exist for each, and never promise what a watch would."""
    facts = replace(FACTS, code=code, after=after, interrupted=interrupted)
    outcome = unwatched(facts)
    Draft202012Validator(SCHEMA).validate(document(outcome))
    screen = summary.text(outcome)
    assert screen.splitlines()[0] == screen.splitlines()[0].lstrip()
    assert "HEALTHY" not in screen + markdown(outcome)
    assert outcome.exit_code in set(ExitCode)
