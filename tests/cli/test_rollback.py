"""guard rollback as a person and as a pipeline use it, on the embedded cluster."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from deploy_guard.embedded.cluster import EmbeddedCluster

from .conftest import GUARD, Guard, clean_environment, release

TARGET = "deployment/checkout"


def image(cluster: EmbeddedCluster) -> str:
    """Return the image that the Deployment asks for now."""
    deployment = cluster.store.get("deployments.apps", "shop", "checkout")
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def test_in_a_pipeline_it_needs_yes(
    guard: Guard, kubeconfig: str, cluster: EmbeddedCluster
) -> None:
    """Without a terminal and without -y nothing is done: exit 2 and what to add."""
    done = guard("rollback", TARGET, "--kubeconfig", kubeconfig)
    assert done.returncode == 2
    assert "-y" in done.stderr
    assert image(cluster).endswith(":2")


def test_yes_rolls_back_and_waits(guard: Guard, kubeconfig: str, cluster: EmbeddedCluster) -> None:
    """With -y the old revision serves again when the command ends; the result is on stdout."""
    done = guard("rollback", TARGET, "-y", "--reason", "INC-12", "--kubeconfig", kubeconfig)
    assert done.returncode == 0, done.stderr
    assert image(cluster).endswith(":1")
    assert done.stdout.startswith("deployment/checkout serves revision 1 ")
    assert len(done.stdout.splitlines()) == 1
    notes = cluster.store.get("deployments.apps", "shop", "checkout")["metadata"]["annotations"]
    assert json.loads(notes["deploy-guard/rollback"])["reason"] == "INC-12"


def test_it_shows_what_changes_but_no_secret(guard: Guard, kubeconfig: str) -> None:
    """Image and environment are shown from live to restored; what may be a secret is hidden."""
    done = guard("rollback", TARGET, "--dry-run", "--kubeconfig", kubeconfig)
    assert "registry.example/checkout:2 → registry.example/checkout:1" in done.stdout
    assert "env PAYMENTS_URL: http://payments/wrong → http://payments/v1" in done.stdout
    assert "env API_KEY: (hidden) → (hidden)" in done.stdout
    assert "key-value" not in done.stdout + done.stderr


def test_a_dry_run_needs_no_yes_and_changes_nothing(
    guard: Guard, kubeconfig: str, cluster: EmbeddedCluster
) -> None:
    """A dry run says on stdout what would be done, and the cluster stays as it is."""
    version = cluster.store.version
    done = guard("rollback", TARGET, "--dry-run", "--kubeconfig", kubeconfig)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("dry run: deployment/checkout would go back to")
    assert cluster.store.version == version


def test_again_is_nothing_to_do(guard: Guard, kubeconfig: str, cluster: EmbeddedCluster) -> None:
    """A second rollback does not go forward to the bad revision; it says that all is done."""
    first = guard("rollback", TARGET, "-y", "--kubeconfig", kubeconfig)
    second = guard("rollback", TARGET, "-y", "--kubeconfig", kubeconfig)
    assert (first.returncode, second.returncode) == (0, 0)
    assert second.stdout.startswith("nothing to do")
    assert image(cluster).endswith(":1")


def test_a_revision_by_number(guard: Guard, kubeconfig: str, cluster: EmbeddedCluster) -> None:
    """--to-revision names another revision than the one that would be chosen."""
    release(cluster, 3)
    done = guard("rollback", TARGET, "-y", "--to-revision", "1", "--kubeconfig", kubeconfig)
    assert done.returncode == 0
    assert image(cluster).endswith(":1")


def test_a_revision_that_does_not_exist_is_refused(
    guard: Guard, kubeconfig: str, cluster: EmbeddedCluster
) -> None:
    """Exit 11: not rolled back, with the revisions that there are."""
    done = guard("rollback", TARGET, "-y", "--to-revision", "9", "--kubeconfig", kubeconfig)
    assert done.returncode == 11
    assert done.stdout.startswith("not rolled back: revision 9 is not in the history")
    assert "there are: 2, 1" in done.stderr
    assert image(cluster).endswith(":2")


def test_a_paused_deployment_needs_resume(
    guard: Guard, kubeconfig: str, cluster: EmbeddedCluster
) -> None:
    """Paused, it is refused with the help to use --resume, which then does it."""
    deployment = cluster.store.get("deployments.apps", "shop", "checkout")
    cluster.apply({**deployment, "spec": {**deployment["spec"], "paused": True}})
    refused = guard("rollback", TARGET, "-y", "--kubeconfig", kubeconfig)
    assert refused.returncode == 11
    assert "--resume" in refused.stderr
    done = guard("rollback", TARGET, "-y", "--resume", "--kubeconfig", kubeconfig)
    assert done.returncode == 0, done.stderr
    assert image(cluster).endswith(":1")


@pytest.mark.parametrize(
    ("arguments", "action", "code"),
    [
        (["--dry-run"], "would_roll_back", 0),
        (["-y"], "rolled_back", 0),
        (["-y", "--no-wait"], "rolled_back", 0),
        (["-y", "--to-revision", "9"], "refused", 11),
        (["-y", "--to-revision", "2"], "none", 0),
    ],
)
def test_json_says_what_was_done(
    guard: Guard, kubeconfig: str, arguments: list[str], action: str, code: int
) -> None:
    """-o json prints one document, and nothing else, on stdout."""
    done = guard("rollback", TARGET, *arguments, "-o", "json", "--kubeconfig", kubeconfig)
    document = json.loads(done.stdout)
    assert document["version"] == 1
    assert document["action"] == action
    assert document["exit_code"] == done.returncode == code
    assert document["candidate"]["images"] == ["registry.example/checkout:2"]
    assert "key-value" not in done.stdout


def test_json_has_the_times_and_the_changes(guard: Guard, kubeconfig: str) -> None:
    """The document of a rollback has what changed and when it was accepted and restored."""
    done = guard("rollback", TARGET, "-y", "-o", "json", "--kubeconfig", kubeconfig)
    document = json.loads(done.stdout)
    assert document["rolled_back_at"] <= document["restored_at"]
    assert document["changes"][0] == {
        "where": "container checkout image",
        "before": "registry.example/checkout:2",
        "after": "registry.example/checkout:1",
    }
    assert document["target_revision"]["revision"] == 1


def test_nobody_has_to_listen(kubeconfig: str, cluster: EmbeddedCluster) -> None:
    """With a reader that leaves at once the rollback is done all the same, and exits with 0."""
    with subprocess.Popen(
        [*GUARD, "rollback", TARGET, "-y", "--kubeconfig", kubeconfig],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        assert process.wait(timeout=60) == 0
    assert image(cluster).endswith(":1")


def test_without_standard_input_it_needs_yes(kubeconfig: str, cluster: EmbeddedCluster) -> None:
    """A closed standard input is no terminal either: exit 2."""
    done = subprocess.run(
        ["bash", "-c", '"$@" <&-', "bash", *GUARD, "rollback", TARGET, "--kubeconfig", kubeconfig],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert image(cluster).endswith(":2")


@contextmanager
def in_a_terminal(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Run guard on a terminal of its own; give the process and the terminal's other end."""
    ours, theirs = pty.openpty()
    with (
        os.fdopen(ours, "r+b", buffering=0) as terminal,
        subprocess.Popen(
            [*GUARD, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=clean_environment(),
            start_new_session=True,
        ) as process,
    ):
        os.close(theirs)
        try:
            yield process, terminal
        finally:
            process.kill()  # it has ended, unless the test fails


def read_until(terminal: IO[bytes], text: bytes) -> bytes:
    """Read what the terminal shows up to a text, or to the end."""
    shown = b""
    while text not in shown:
        try:
            part = terminal.read(4096)
        except OSError:  # how Linux tells that the other side closed a terminal
            break
        if not part:
            break
        shown += part
    return shown


@pytest.mark.parametrize(
    ("answer", "code", "version"),
    [
        (b"y\n", 0, ":1"),
        (b"Yes\n", 0, ":1"),
        (b"n\n", 130, ":2"),
        (b"\n", 130, ":2"),
        (b"sure\n", 130, ":2"),
        (b"\x04", 130, ":2"),
    ],
)
def test_in_a_terminal_it_asks(
    kubeconfig: str, cluster: EmbeddedCluster, answer: bytes, code: int, version: str
) -> None:
    """In a terminal it shows what changes, then asks; only a yes changes anything."""
    with in_a_terminal("rollback", TARGET, "--kubeconfig", kubeconfig) as (process, terminal):
        shown = read_until(terminal, b"Roll back?")
        assert "registry.example/checkout:2 → registry.example/checkout:1" in shown.decode()
        terminal.write(answer)
        read_until(terminal, b"(nothing that is ever shown)")
        assert process.wait(timeout=30) == code
    assert image(cluster).endswith(version)


def test_an_interrupt_at_the_question_changes_nothing(
    kubeconfig: str, cluster: EmbeddedCluster
) -> None:
    """Ctrl-C at the question ends with 130 and says that nothing was changed."""
    with in_a_terminal("rollback", TARGET, "--kubeconfig", kubeconfig) as (process, terminal):
        read_until(terminal, b"Roll back?")
        process.send_signal(signal.SIGINT)
        told = read_until(terminal, b"(nothing that is ever shown)")
        assert process.wait(timeout=30) == 130
    assert b"nothing was changed" in told
    assert image(cluster).endswith(":2")


def test_an_interrupt_after_the_patch_says_that_it_was_rolled_back(
    kubeconfig: str, cluster: EmbeddedCluster
) -> None:
    """Ctrl-C while waiting for the old revision ends with 130 and does not hide the rollback."""
    deployment = cluster.store.get("deployments.apps", "shop", "checkout")
    cluster.apply({**deployment, "spec": {**deployment["spec"], "minReadySeconds": 500}})
    with subprocess.Popen(
        [*GUARD, "rollback", TARGET, "-y", "-o", "json", "--kubeconfig", kubeconfig],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(),
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith("progress"):
                    break
            process.send_signal(signal.SIGINT)
            document = json.loads(process.communicate(timeout=30)[0])
        finally:
            process.kill()
    assert process.returncode == document["exit_code"] == 130
    assert "was rolled back, but: interrupted while waiting" in document["text"]
    assert document["rolled_back_at"] is not None
    assert document["restored_at"] is None
    assert image(cluster).endswith(":1")


def test_a_secret_in_the_reason_is_not_kept(guard: Guard, kubeconfig: str) -> None:
    """The reason stands in annotations and Events, which many may read."""
    reason = "INC-12: curl https://bot:hunter2@ci.example said password=hunter2"
    options = ("-y", "--no-wait", "--reason", reason, "--kubeconfig", kubeconfig)
    assert guard("rollback", "deployment/checkout", *options).returncode == 0
    found = guard("history", "deployment/checkout", "--kubeconfig", kubeconfig, "-o", "json").stdout
    assert "INC-12" in found
    assert "hunter2" not in found
