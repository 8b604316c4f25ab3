"""--set, --values and policies made of others on the command line, with their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from .conftest import Guard

BASE = """\
version: 1
abstract: true
values:
  limit: {type: percentage, default: 5%}
  port: {type: integer}
signals:
  - name: errors
    provider: pods
    port: "{{ values.port }}"
    ratio: {errors: failed, requests: all}
    limit: "{{ values.limit }}"
"""
OWN = "version: 1\nextends: base.yaml\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the directory in which guard is run, with a base, a policy and values."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/base.yaml").write_text(BASE)
    (tmp_path / "policies/own.yaml").write_text(OWN)
    (tmp_path / "policies/prod.values.yaml").write_text("port: 80\nlimit: 2%\n")
    return tmp_path


def test_check_takes_values_of_options_and_of_the_environment(folder: Path, guard: Guard) -> None:
    """A required value is missing, or comes from --set, --values, GUARD_SET or GUARD_VALUES."""
    assert folder
    prod = "policies/prod.values.yaml"
    done = guard("check", "policies/own.yaml")
    assert done.returncode == 3
    assert "policies/base.yaml:5:3: error: the value 'port' has no default" in done.stdout
    assert guard("check", "--set", "port=80").returncode == 0
    assert guard("check", "--values", prod).returncode == 0
    assert guard("check", GUARD_SET="port=80 limit=1%").returncode == 0
    assert guard("check", GUARD_VALUES=prod).returncode == 0
    done = guard("check", GUARD_VALUES=f"{prod}:missing.yaml")
    assert (done.returncode, "missing.yaml" in done.stdout) == (3, True)


def test_the_resolved_policy_is_yaml_on_stdout(folder: Path, guard: Guard) -> None:
    """One document per complete policy; a later --values wins over an earlier, --set over both."""
    (folder / "policies/more.values.yaml").write_text("limit: 3%\n")
    files = ("--values", "policies/prod.values.yaml", "--values", "policies/more.values.yaml")
    done = guard("check", "--resolved", *files, "--set", "port=8080")
    assert (done.returncode, done.stderr) == (0, "")
    (policy,) = yaml.safe_load_all(done.stdout)
    assert (policy["name"], policy["signals"][0]["limit"]) == ("own", "3%")
    assert policy["signals"][0]["port"] == 8080
    done = guard("check", "--resolved", "-o", "json")
    assert (done.returncode, "--resolved" in done.stderr) == (2, True)


def test_an_undeclared_value_fails_a_check_only_if_no_file_declares_it(
    folder: Path, guard: Guard
) -> None:
    """It is told once, at the end, where it was given; the JSON has it too."""
    (folder / "other.yaml").write_text("version: 1\nvalues: {own: {type: text, default: a}}\n")
    values = ("--set", "port=80", "--set", "own=b", "--set", "prot=81")
    done = guard("check", "policies", "other.yaml", *values)
    assert done.returncode == 3
    assert done.stdout.count("no policy declares the value") == 1
    assert "--set prot: error: no policy declares the value 'prot'" in done.stdout
    assert "did you mean 'port'?" in done.stdout
    document = json.loads(guard("check", "policies", *values, "-o", "json").stdout)
    found = [p["code"] for file in document["files"] for p in file["problems"]]
    assert found == ["unknown-value", "unknown-value"]
    assert guard("check", "policies", "other.yaml", *values[:4]).returncode == 0


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif", "junit"])
def test_every_form_tells_of_a_file_of_values_that_is_none(
    form: str, folder: Path, guard: Guard
) -> None:
    """A report is written, so that what takes it up shows the mistake; no policy is checked."""
    (folder / "policies/prod.values.yaml").write_text("port: [80]\nlimit: 2%\n")
    done = guard("check", "--values", "policies/prod.values.yaml", "-o", form)
    assert done.returncode == 3
    assert "expected a text, a number, true or false" in done.stdout
    assert "own.yaml" not in done.stdout


@pytest.mark.parametrize("form", ["json", "github", "sarif", "junit"])
def test_every_form_tells_the_file_of_the_file_of_a_wrong_value(
    form: str, folder: Path, guard: Guard
) -> None:
    """The place is that of the values, not of the policy that is checked."""
    (folder / "policies/prod.values.yaml").write_text("port: 80\nlimit: 2\n")
    wrong = ("--values", "policies/prod.values.yaml", "--set", "nothing=1")
    done = guard("check", "policies/own.yaml", *wrong, "-o", form)
    assert done.returncode == 3
    assert "policies/prod.values.yaml" in done.stdout
    assert "write 2%" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "ends"),
    [
        (["-p", "policies/base.yaml", "--set", "port=1"], (3, "this policy is abstract")),
        (["-p", "policies/own.yaml"], (3, "the value 'port' has no default")),
        (["-p", "policies/own.yaml", "--set", "port"], (2, "--set has no '='")),
        (["-p", "policies/own.yaml", "--set", "port=x"], (3, "--set port: ")),
        (["-p", "policies/own.yaml", "--set", "port=1", "--set", "a=1"], (3, "no policy declares")),
        (["-p", "policies/own.yaml", "--values", "policies"], (3, "cannot be read")),
    ],
)
@pytest.mark.parametrize("command", ["watch", "deploy", "rollback"])
def test_a_wrong_value_ends_a_command_before_the_cluster_is_asked(
    command: str, arguments: list[str], ends: tuple[int, str], folder: Path, guard: Guard
) -> None:
    """Exit 3 for policies and values that cannot be used, 2 for what is no NAME=VALUE."""
    assert folder
    rest = {"deploy": ["--", "true"], "rollback": ["-y"]}.get(command, [])
    done = guard(command, "deployment/web", *arguments, "--kubeconfig", "missing", *rest)
    assert done.returncode == ends[0], done.stderr
    assert ends[1] in done.stderr


@pytest.mark.parametrize("command", ["watch", "deploy", "rollback"])
def test_a_right_value_lets_a_command_go_on(command: str, folder: Path, guard: Guard) -> None:
    """The next mistake is that of the kubeconfig."""
    assert folder
    rest = {"deploy": ["--", "true"], "rollback": ["-y"]}.get(command, [])
    policy = ("-p", "policies/own.yaml", "--values", "policies/prod.values.yaml")
    done = guard(command, "deployment/web", *policy, "--kubeconfig", "missing", *rest)
    assert done.returncode == 1
    assert "missing" in done.stderr


def test_a_rollback_without_a_policy_needs_no_values(guard: Guard) -> None:
    """A pipeline's GUARD_VALUES does not stand in the way of a rollback at night."""
    done = guard("rollback", "deployment/web", "-y", "--kubeconfig", "missing", GUARD_VALUES="gone")
    assert done.returncode == 1
    assert "gone" not in done.stderr
