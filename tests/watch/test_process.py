"""`guard watch` as a pipeline runs it: a process with streams, signals and an exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from watch.shop import FIRST, POLICY, SECOND, Shop

BAD = {"ERROR_RATIO": "0.8"}


@contextmanager
def guard(
    shop: Shop, folder: Path, *arguments: str, duration: str = "4s"
) -> Iterator[subprocess.Popen[str]]:
    """Run `guard watch` on the shop; killed at the end if it still runs."""
    policy = folder / "policy.yaml"
    policy.write_text(POLICY.replace("FOR", duration))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "deploy_guard", "watch", "deployment/web"),
            *("-p", str(policy), *arguments),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "KUBECONFIG": str(shop.kubeconfig)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_exit_code_is_the_verdict_and_the_result_is_on_stdout(
    busy: Shop, tmp_path: Path
) -> None:
    """Talk goes to stderr, one JSON document to stdout, 10 to the pipeline."""
    busy.release(SECOND, BAD)
    with guard(busy, tmp_path, "-o", "json", "--report", str(tmp_path / "report")) as process:
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 10, stderr
    found = json.loads(stdout)
    assert (found["verdict"], found["action"], found["exit_code"]) == (
        "regressed",
        "rolled_back",
        10,
    )
    assert "verdict" in stderr
    assert json.loads((tmp_path / "report" / "outcome.json").read_text()) == found
    assert busy.image() == FIRST


def test_a_healthy_deploy_exits_0(busy: Shop, tmp_path: Path) -> None:
    """A pipeline goes on after a healthy deploy."""
    busy.release(SECOND)
    with guard(busy, tmp_path) as process:
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert stdout.startswith("HEALTHY")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly(busy: Shop, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and a lost terminal end it at once, saying what was and was not done."""
    busy.release(SECOND)
    with guard(busy, tmp_path, duration="60s") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "watching for" in line:
                break
        process.send_signal(number)
        sent = time.monotonic()
        stdout, stderr = process.communicate(timeout=60)
        took = time.monotonic() - sent
    assert process.returncode == 130, stderr
    assert stdout.startswith("INTERRUPTED")
    assert "nothing was changed" in stdout
    assert "Traceback" not in stderr
    assert took < 5  # a second is promised; the machine that runs the tests may be busy


def test_a_signal_during_the_verification_says_that_the_rollback_was_done(
    busy: Shop, tmp_path: Path
) -> None:
    """An interruption after the rollback does not claim that nothing was changed."""
    busy.release(SECOND, BAD)
    with guard(busy, tmp_path, "-o", "json") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "  rollback " in line and "accepted" in line:
                break
        process.send_signal(signal.SIGTERM)
        stdout, _ = process.communicate(timeout=60)
    found = json.loads(stdout)
    assert process.returncode == found["exit_code"] == 130
    assert found["rolled_back_at"] is not None
    assert "accepted" in found["reason"]
    assert busy.image() == FIRST


def test_an_unknown_namespace_is_told_without_a_traceback(shop: Shop, tmp_path: Path) -> None:
    """A wrong name ends with 1 and says which object was looked for."""
    with guard(shop, tmp_path, "-n", "nowhere") as process:
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert 'deployments.apps "web" in namespace "nowhere"' in stderr
    assert "Traceback" not in stderr
    assert stdout == ""


def test_a_cluster_that_cannot_be_reached_is_told(shop: Shop, tmp_path: Path) -> None:
    """No connection ends with 1 and names what to check."""
    shop.embedded.close()
    with guard(shop, tmp_path) as process:
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cannot be reached" in stderr
    assert "help:" in stderr
