"""The commands that only read: guard history, guard check, guard schema."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster

from .conftest import GUARD, Guard, clean_environment

ROOT = Path(__file__).parents[2]


def test_history_marks_what_is_live_and_where_a_rollback_goes(
    guard: Guard, kubeconfig: str
) -> None:
    """The table has the newest revision first, marks both, and says why in its last line."""
    done = guard("history", "deployment/checkout", "--kubeconfig", kubeconfig)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[2:4]] == [["live", "2"], ["→", "1"]]
    assert lines[-1].startswith("→ guard rollback would go to revision 1: ")


def test_history_shows_nothing_that_a_terminal_obeys(
    guard: Guard, kubeconfig: str, cluster: EmbeddedCluster
) -> None:
    """A change-cause with escapes and line breaks is one harmless line of the table."""
    found = cluster.store.get("deployments.apps", "shop", "checkout")
    cause = "\x1b]0;owned\x07\x1b[2Jfixed\u202e\n::error::it"
    annotations = {**found["metadata"].get("annotations", {}), "kubernetes.io/change-cause": cause}
    manifest = {key: found[key] for key in ("apiVersion", "kind", "spec")}
    metadata = {"name": "checkout", "namespace": "shop", "annotations": annotations}
    cluster.apply(manifest | {"metadata": metadata})
    cluster.wait_complete("shop", "checkout")
    done = guard("history", "deployment/checkout", "--kubeconfig", kubeconfig)
    assert "fixed" in done.stdout
    assert not any(sign in done.stdout for sign in ("\x1b", "\x07", "\u202e", "\n::"))


def test_history_as_json(guard: Guard, kubeconfig: str) -> None:
    """-o json has every revision and the choice."""
    done = guard("history", "deployment/checkout", "-o", "json", "--kubeconfig", kubeconfig)
    document = json.loads(done.stdout)
    assert document["version"] == 1
    assert [row["revision"] for row in document["revisions"]] == [2, 1]
    assert document["rollback"]["to_revision"] == 1


def test_history_of_what_does_not_exist(guard: Guard, kubeconfig: str) -> None:
    """A Deployment that does not exist is exit 1, named with its namespace."""
    done = guard("history", "deployment/chekout", "--kubeconfig", kubeconfig)
    assert done.returncode == 1
    assert '"chekout" in namespace "shop"' in done.stderr


def test_the_namespace_of_the_command_line_wins(
    guard: Guard, kubeconfig: str, cluster: EmbeddedCluster
) -> None:
    """-n counts before the context's namespace."""
    done = guard("history", "deployment/checkout", "-n", "other", "--kubeconfig", kubeconfig)
    assert done.returncode == 1
    assert 'in namespace "other"' in done.stderr


def test_check_of_the_shipped_policies(guard: Guard) -> None:
    """A directory stands for its policies; all that are shipped are valid."""
    done = guard("check", str(ROOT / "policies"))
    assert done.returncode == 0
    assert "no errors" in done.stdout.splitlines()[-1]


def test_check_shows_every_mistake_with_its_place(guard: Guard, tmp_path: Path) -> None:
    """Exit 3, and file:line:column for each mistake of each file."""
    (tmp_path / "one.yaml").write_text("version: 1\nwacth: {}\n")
    (tmp_path / "two.yaml").write_text("version: 2\nrollback: {timeout: 10}\n")
    done = guard("check", "one.yaml", "two.yaml")
    assert done.returncode == 3
    for place in ("one.yaml:2:1: error:", "two.yaml:1:10: error:", "two.yaml:2:21: error:"):
        assert place in done.stdout


def test_check_as_json(guard: Guard, tmp_path: Path) -> None:
    """-o json has the problems as values."""
    (tmp_path / "one.yaml").write_text("version: 1\nwacth: {}\n")
    done = guard("check", "one.yaml", "-o", "json")
    document = json.loads(done.stdout)
    assert document["exit_code"] == done.returncode == 3
    errors = [p for p in document["files"][0]["problems"] if p["severity"] == "error"]
    assert [(problem["line"], problem["column"]) for problem in errors] == [(2, 1)]


def test_check_reads_standard_input() -> None:
    """- is standard input."""
    done = subprocess.run(
        [*GUARD, "check", "-"],
        input="version: 1\nwacth: {}\n",
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "<stdin>:2:1: error:" in done.stdout


def test_check_reads_the_text_of_an_editor(tmp_path: Path) -> None:
    """With --stdin-filename each line begins with file:line:column, as editors want it."""
    done = subprocess.run(
        [*GUARD, "check", "-", "--stdin-filename", "policies/shop.yaml"],
        input="version: 2\n",
        env=clean_environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "policies/shop.yaml:1:10: error: " in done.stdout


def test_check_wants_standard_input_for_its_name(guard: Guard) -> None:
    """--stdin-filename without - is a mistake of the caller."""
    done = guard("check", "one.yaml", "--stdin-filename", "one.yaml")
    assert done.returncode == 2
    assert "--stdin-filename needs standard input" in done.stderr


@pytest.mark.parametrize("form", ["github", "sarif", "junit"])
def test_check_in_the_forms_of_code_hosts(guard: Guard, tmp_path: Path, form: str) -> None:
    """stdout has nothing but the form, with paths of the repository; stderr has the summary."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/bad.yaml").write_text("version: 2\n")
    done = guard("check", "-o", form, GITHUB_WORKSPACE="")
    assert done.returncode == 3
    assert done.stderr == "1 file checked: 1 error, 1 warning\n"
    found = done.stdout
    if form == "sarif":
        found = json.loads(found)["runs"][0]["artifacts"][0]["location"]["uri"]
    elif form == "junit":
        found = ElementTree.fromstring(found)[0][0].attrib["file"]  # noqa: S314 (our own)
    else:
        found = found.splitlines()[1].split(",")[0].removeprefix("::error file=")
    assert found == "policies/bad.yaml"


def test_check_names_files_from_githubs_workspace(guard: Guard, tmp_path: Path) -> None:
    """In a job that works in a directory of the repository paths still begin at its top."""
    (tmp_path / "bad.yaml").write_text("version: 2\n")
    done = guard("check", "bad.yaml", "-o", "github", GITHUB_WORKSPACE=str(tmp_path.parent))
    assert f"file={tmp_path.name}/bad.yaml,line=1" in done.stdout


@pytest.mark.parametrize("flag", [[], ["--prometheus-url", "http://prometheus:9090"]])
def test_check_takes_the_connection_from_the_command_line(
    guard: Guard, tmp_path: Path, flag: list[str]
) -> None:
    """A policy without a connection is wrong, unless the command line gives one."""
    (tmp_path / "one.yaml").write_text(
        "version: 1\nsignals:\n"
        "  - {name: a, provider: prometheus, limit: 5%,"
        " ratio: {errors: sum by (pod) (bad), requests: sum by (pod) (all)}}\n"
    )
    done = guard("check", "one.yaml", *flag)
    assert done.returncode == (0 if flag else 3), done.stdout


def test_schema_is_the_shipped_one(guard: Guard) -> None:
    """guard schema prints the very file that the shipped policies name for editors."""
    done = guard("schema")
    assert done.returncode == 0
    assert done.stdout == (ROOT / "policies/policy.schema.json").read_text()


def test_check_looks_where_policies_are_kept(guard: Guard, tmp_path: Path) -> None:
    """Without a path, the directory policies/ is checked if there is one."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "broken.yaml").write_text("version: 1\nsignal: []\n")
    done = guard("check")
    assert done.returncode == 3
    assert "policies/broken.yaml:2:1: error" in done.stdout
