"""The pipelines of the examples, step by step, with a good and a bad release."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import commands
from .conftest import Team

PIPELINES = {"github": commands.github, "gitlab": commands.gitlab, "jenkins": commands.jenkins}

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="NOT TESTED: the deploy steps need kubectl"
)


def run_all(team: Team, steps: list[str]) -> tuple[int, str]:
    """Run the steps until one fails; return its exit code, or 0, and its script."""
    for step in steps:
        done = team.run(step)
        if done.returncode != 0:
            return done.returncode, f"{step}\n{done.stdout}{done.stderr}"
    return 0, ""


@needs_kubectl
@pytest.mark.kubectl
@pytest.mark.parametrize("steps", PIPELINES.values(), ids=PIPELINES)
def test_a_good_release_passes(team: Team, steps: Callable[[], list[str]]) -> None:
    """Every step of the pipeline ends with 0 and the new version stays."""
    team.prepare("2.0.0")
    code, told = run_all(team, steps())
    assert code == 0, told
    assert team.image().endswith(":2.0.0")
    assert (team.folder / "guard-report").is_dir()


@needs_kubectl
@pytest.mark.kubectl
@pytest.mark.parametrize("steps", PIPELINES.values(), ids=PIPELINES)
def test_a_bad_release_fails_the_deploy_and_is_rolled_back(
    team: Team, steps: Callable[[], list[str]]
) -> None:
    """The deploy is the step that fails, with exit code 10, and the old version is back."""
    team.prepare("2.0.0", ERROR_RATIO="0.7")
    code, told = run_all(team, steps())
    assert code == 10, told
    assert told.startswith("guard deploy deployment/checkout")
    assert team.image().endswith(":1.0.0")


@needs_kubectl
@pytest.mark.kubectl
@pytest.mark.parametrize("steps", PIPELINES.values(), ids=PIPELINES)
def test_the_same_release_again_is_no_deploy(team: Team, steps: Callable[[], list[str]]) -> None:
    """A pipeline that runs again with the same manifests passes and watches nothing."""
    assert team.run("kubectl apply -f k8s/").returncode == 0
    team.environment["GUARD_SETTLE"] = "500ms"
    code, told = run_all(team, steps())
    assert code == 0, told
    outcome = json.loads((team.folder / "guard-report/outcome.json").read_text())
    assert (outcome["verdict"], outcome["deploy"]["result"]) == (None, "unchanged")
    assert team.image().endswith(":1.0.0")


@pytest.mark.parametrize("steps", PIPELINES.values(), ids=PIPELINES)
def test_a_wrong_policy_fails_before_the_deploy(team: Team, steps: Callable[[], list[str]]) -> None:
    """The check of the policies is the step that fails, with exit code 3; nothing is deployed."""
    team.prepare("2.0.0")
    policy = team.folder / "policies/checkout.yaml"
    policy.write_text(policy.read_text().replace("limit: 5%", "limit: 500%"))
    code, told = run_all(team, steps())
    assert code == 3, told
    assert told.startswith("guard check")
    assert team.image().endswith(":1.0.0")


def test_the_pipelines_run_the_same_commands() -> None:
    """Apart from logging in, the three pipelines check and deploy in the same way."""
    seen = []
    for steps in PIPELINES.values():
        words = [" ".join(step.replace("--policy", "-p").split()) for step in steps()]
        seen.append(
            [step for step in dict.fromkeys(words) if step.startswith(("guard", "kubectl"))]
        )
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0]) == 2


@pytest.mark.parametrize("file", ["github-actions.yml", "gitlab-ci.yml", "Jenkinsfile"])
def test_a_pipeline_waits_longer_than_its_policy(file: str) -> None:
    """The job's own timeout of 40 minutes is longer than the longest watch with a rollback."""
    from deploy_guard.policy.load import load_file

    policy = load_file(commands.EXAMPLES / "policies/checkout.yaml")
    longest = policy.watch.duration + policy.rollback.timeout + policy.rollback.verify
    assert longest < 40 * 60
    assert "40" in (commands.EXAMPLES / file).read_text()


@pytest.mark.parametrize("name", ["examples/pre-commit-config.yaml", ".pre-commit-hooks.yaml"])
def test_the_pre_commit_hook(team: Team, name: str) -> None:
    """The hook passes a good policy and stops a commit with a wrong one."""
    hook = commands.hook(commands.ROOT / name, "deploy-guard-check")
    file, others = (
        "policies/checkout.yaml",
        ["policies/checkout.test.yaml", "policies/a.values.yaml"],
    )
    assert [name for name in (file, *others) if _is_for(hook, name)] == [file]
    assert team.run(f"{hook['entry']} {file}").returncode == 0
    (team.folder / file).write_text("version: 1\nsingals: []\n")
    done = team.run(f"{hook['entry']} {file}")
    assert done.returncode == 3
    assert f"{file}:2:1: error:" in done.stdout


@pytest.mark.parametrize(("verdict", "code"), [("healthy", 0), ("no data", 3)])
def test_the_pre_commit_hook_of_tests(team: Team, verdict: str, code: int) -> None:
    """The hook runs the tests of all policies whatever was changed, and stops a wrong one."""
    hook = commands.hook(commands.ROOT / ".pre-commit-hooks.yaml", "deploy-guard-test")
    (team.folder / "policies/plain.yaml").write_text("version: 1\nwatch: {for: 1m}\n")
    (team.folder / "policies/plain.test.yaml").write_text(
        f"version: 1\ncases:\n  - name: calm\n    expect: {verdict}\n"
    )
    for file in ("policies/plain.yaml", "policies/plain.test.yaml", "policies/base.yaml"):
        assert _is_for(hook, file)
    assert hook["pass_filenames"] is False
    done = team.run(" ".join([hook["entry"], *hook["args"]]))
    assert done.returncode == code, done.stdout


def _is_for(hook: dict[str, Any], file: str) -> bool:
    """Tell whether pre-commit would pass a file to a hook."""
    excluded = "exclude" in hook and re.search(hook["exclude"], file)
    return bool(re.search(hook["files"], file)) and not excluded


@pytest.mark.parametrize(("limit", "code", "alerts"), [("5%", 0, 0), ("500%", 3, 1)])
def test_policies_are_checked_in_a_pull_request(
    team: Team, limit: str, code: int, alerts: int
) -> None:
    """The alerts are written before the step that fails, and the same mistake is in the log."""
    policy = team.folder / "policies/checkout.yaml"
    policy.write_text(policy.read_text().replace("limit: 5%", f"limit: {limit}"))
    install, write, check = commands.github("github-policies.yml")
    assert team.run(write).returncode == 0
    log = json.loads((team.folder / "guard.sarif").read_text())
    assert len(log["runs"][0]["results"]) == alerts
    done = team.run(check)
    assert done.returncode == code, done.stderr
    assert done.stdout.count("::error file=policies/checkout.yaml,line=") == alerts
    assert "pip install" in install


def test_every_yaml_file_of_the_examples_can_be_read() -> None:
    """Each YAML file of the examples is YAML."""
    files = [*commands.EXAMPLES.rglob("*.yml"), *commands.EXAMPLES.rglob("*.yaml")]
    assert len(files) >= 6
    for file in files:
        assert list(yaml.safe_load_all(file.read_text())), file


def test_every_example_is_in_the_list() -> None:
    """The list of examples names each file, and no file that does not exist."""
    listed = (commands.EXAMPLES / "README.md").read_text()
    for file in commands.EXAMPLES.rglob("*"):
        if file.is_file() and file.name != "README.md":
            assert f"]({file.relative_to(commands.EXAMPLES)})" in listed
    assert Path(commands.EXAMPLES / "README.md").exists()
