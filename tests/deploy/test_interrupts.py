"""Ctrl-C and SIGTERM during a deploy: the command gets them once, guard waits and says what is."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import time
from contextlib import suppress

import pytest

from watch.shop import SECOND

from .conftest import Runner, deployer, wait_for


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_handed_on_to_the_command(guard: Runner, number: signal.Signals) -> None:
    """A signal to guard alone reaches the command once; guard waits for it and ends with 130."""
    with guard.running("-o", "json", command=deployer("until-told")) as process:
        wait_for(process, "ready for signals")
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    found = json.loads(stdout)
    assert process.returncode == found["exit_code"] == 130, stderr
    assert f"got {number.name}\n" in stderr
    assert found["action"] == "interrupted"
    assert found["deploy"]["exit_code"] == 5
    assert "nothing of the template" in found["reason"]


def test_a_command_that_ignores_signals_is_waited_for(guard: Runner) -> None:
    """Guard never kills it: its end is awaited, and what it did is told."""
    steps = ("deaf", "pause 2", f"image web {SECOND}", "say finished")
    with guard.running("-o", "json", command=deployer(*steps)) as process:
        wait_for(process, "deaf now")
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=60)
    found = json.loads(stdout)
    assert process.returncode == 130, stderr
    assert "finished" in stderr
    assert (found["deploy"]["result"], found["deploy"]["exit_code"]) == ("changed", 0)
    assert "was changed and is not watched" in found["reason"]
    assert any("guard watch deployment/web" in step for step in found["next_steps"])


def test_a_second_signal_ends_guard_and_leaves_the_command(guard: Runner) -> None:
    """Who insists gets the terminal back at once; the command goes on, with its number told."""
    with guard.running("-o", "json", command=deployer("deaf", "pause 60")) as process:
        wait_for(process, "deaf now")
        process.send_signal(signal.SIGTERM)
        wait_for(process, "guard waits for it")
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        found = json.loads(process.stdout.read())
        process.wait(timeout=30)
        assert process.returncode == 130
        assert found["deploy"]["result"] == "unfinished"
        left = int(found["reason"].partition("pid ")[2].partition(")")[0])
        os.kill(left, 0)  # it is there
        os.kill(left, signal.SIGKILL)


def test_a_signal_during_the_watch(guard: Runner) -> None:
    """The watch ends at once, and what was deployed is told as not judged."""
    guard.duration = "60s"
    with guard.running("-o", "json", command=deployer(f"image web {SECOND}")) as process:
        wait_for(process, "the command ended", "watching for")
        process.send_signal(signal.SIGTERM)
        sent = time.monotonic()
        stdout, stderr = process.communicate(timeout=60)
    found = json.loads(stdout)
    assert time.monotonic() - sent < 5  # a second is promised; the machine may be busy
    assert process.returncode == 130, stderr
    assert (found["action"], found["deploy"]["result"]) == ("interrupted", "changed")
    assert found["reason"].startswith("SIGTERM: the command ended with exit code 0")
    assert "nothing was changed" not in found["reason"]
    assert "Traceback" not in stderr


def test_a_signal_during_the_watch_while_the_command_runs(guard: Runner) -> None:
    """Watch and command both end: guard waits for the command."""
    guard.duration = "60s"
    steps = (f"image web {SECOND}", "until-told")
    with guard.running("-o", "json", command=deployer(*steps)) as process:
        wait_for(process, "watching for")
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=60)
    found = json.loads(stdout)
    assert process.returncode == 130, stderr
    assert "got SIGTERM\n" in stderr
    assert found["deploy"]["result"] == "failed_after_change"


def test_ctrl_c_in_a_terminal_reaches_the_command_once(guard: Runner) -> None:
    """The terminal sends it to both, so guard does not send it again."""
    ours, theirs = pty.openpty()
    environment = {**guard.environment, "TERM": "xterm", "COLUMNS": "120"}
    words = guard.words(deployer("until-told"), ["-o", "json"])
    with (
        os.fdopen(ours, "r+b", buffering=0) as terminal,
        subprocess.Popen(
            ["setsid", "--ctty", "--wait", *words],
            env=environment,
            cwd=guard.folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        ) as process,
    ):
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # the other side closes the terminal
            while part := terminal.read(4096):
                shown += part
                if b"ready for signals" in shown and b"^C" not in shown:
                    terminal.write(b"\x03")
        assert process.wait(timeout=60) == 130, shown.decode()
    assert b"got SIGINT\r\n" in shown, shown.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_command(guard: Runner, number: signal.Signals) -> None:
    """While the cluster is still asked, an interruption ends guard at once; nothing was run."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = json.loads(guard.shop.kubeconfig.read_text())
        config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        guard.shop.kubeconfig.write_text(json.dumps(config))
        with guard.running(command=["touch", str(guard.folder / "trace")]) as process:
            wait_for(process, "before the deploy")
            connection, _ = silent.accept()
            process.send_signal(number)
            stdout, stderr = process.communicate(timeout=60)
            connection.close()
    assert process.returncode == 130, stderr
    assert "interrupted: the command was not run" in stderr
    assert "Traceback" not in stderr
    assert stdout == ""
    assert not (guard.folder / "trace").exists()
