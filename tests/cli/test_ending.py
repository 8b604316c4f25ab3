"""How commands end: messages on stderr, exit codes, pipes, signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy_guard.cli.ending import run
from deploy_guard.cli.options import write_json

from .conftest import GUARD, Guard, clean_environment

BUG = """
import sys
import click
from deploy_guard.cli import guard

@click.command()
def boom():
    raise ZeroDivisionError("one by zero")

guard.add_command(boom)
sys.argv[1:] = ["boom"]
from deploy_guard.__main__ import main
main()
"""


def kubeconfig_for(port: int, folder: Path) -> str:
    """Write a kubeconfig for a server on this port and return its path."""
    cluster = {"name": "a", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    context = {"name": "a", "context": {"cluster": "a"}}
    file = folder / "config"
    file.write_text(
        json.dumps({"clusters": [cluster], "contexts": [context], "current-context": "a"})
    )
    return str(file)


@pytest.mark.parametrize(
    ("arguments", "message", "help"),
    [
        ([], "command is missing", "guard -h"),
        (["wach"], "command 'wach' does not exist", "did you mean guard watch?"),
        (["frobnicate"], "command 'frobnicate' does not exist", "guard -h"),
        (["watch"], "missing argument 'TARGET'", "guard watch -h"),
        (["watch", "deployment/x"], "missing option '-p'", "guard watch -h"),
        (["history", "checkout"], "not of the form KIND/NAME", "deployment/checkout"),
        (["history", "deploymnet/x"], "target kind 'deploymnet'", "deployment/x"),
        (["history", "deployment/x", "-o", "yaml"], "'yaml' is not one of", "guard history -h"),
        (["check"], "policy is missing", "guard check policies/"),
        (["rollback", "deployment/x", "--timeout", "5"], "'5' is not a duration", "rollback -h"),
        (["rollback", "deployment/x", "--to-revision", "0"], "--to-revision", "rollback -h"),
        (["demo", "earthquake"], "'earthquake' is not one of", "guard demo -h"),
    ],
)
def test_wrong_arguments_exit_with_2_and_say_what_to_do(
    guard: Guard, arguments: list[str], message: str, help: str
) -> None:
    """A wrong argument is one line that names it and one line of help, on stderr."""
    done = guard(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    error, hint = done.stderr.splitlines()
    assert error.startswith("guard: error: ")
    assert message in error
    assert hint.startswith("  help: ")
    assert help in hint


def test_a_missing_kubeconfig_is_told_without_a_traceback(guard: Guard) -> None:
    """Without a cluster guard could not do its work: exit code 1 and how to name one."""
    done = guard("history", "deployment/checkout", KUBECONFIG="missing")
    assert done.returncode == 1
    assert "kubeconfig missing does not exist" in done.stderr
    assert "--kubeconfig" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unreachable_cluster_is_told_without_a_traceback(guard: Guard, tmp_path: Path) -> None:
    """A refused connection is one sentence; GUARD_DEBUG=1 adds the traceback."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    config = kubeconfig_for(port, tmp_path)
    arguments = ("rollback", "deployment/checkout", "-y", "--kubeconfig", config)
    done = guard(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("guard: error: ")
    assert "Traceback" not in done.stderr
    assert "Traceback" in guard(*arguments, GUARD_DEBUG="1").stderr


def test_an_invalid_policy_of_a_watch_shows_every_problem(guard: Guard, tmp_path: Path) -> None:
    """A watch with a wrong policy ends with 3 before anything is connected, all mistakes shown."""
    (tmp_path / "wrong.yaml").write_text("version: 1\nwacth: {}\nrollback: {timeout: 10}\n")
    done = guard("watch", "deployment/checkout", "-p", "wrong.yaml")
    assert done.returncode == 3
    assert "wrong.yaml:2:1: error:" in done.stderr
    assert "wrong.yaml:3:" in done.stderr
    assert "^" in done.stderr
    assert done.stderr.rstrip().splitlines()[-1].startswith("guard: error: policy is invalid: ")


def test_several_policies_come_from_one_variable(guard: Guard, tmp_path: Path) -> None:
    """GUARD_POLICY separates files by colons, as a PATH does; the mistakes of all are shown."""
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text("version: 1\nwacth: {}\n")
    done = guard("watch", "deployment/checkout", GUARD_POLICY="one.yaml:two.yaml")
    assert done.returncode == 3
    assert "one.yaml:2:1: error:" in done.stderr
    assert "two.yaml:2:1: error:" in done.stderr


@pytest.mark.parametrize(("debug", "traceback"), [("", False), ("1", True)])
def test_a_bug_is_called_a_bug(debug: str, traceback: bool) -> None:
    """An error that nobody foresaw is told as a bug with exit code 1; its traceback on demand."""
    done = subprocess.run(
        [sys.executable, "-c", BUG],
        env=clean_environment(GUARD_DEBUG=debug),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "this is a bug in guard: ZeroDivisionError: one by zero" in done.stderr
    assert ("Traceback" in done.stderr) is traceback


def test_a_reader_that_leaves_is_no_error() -> None:
    """`guard schema | head` says nothing about the broken pipe."""
    with subprocess.Popen(
        [*GUARD, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full (Linux)")
def test_a_result_that_cannot_be_written_is_no_success() -> None:
    """A full disk turns exit code 0 into 1, with the reason."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*GUARD, "schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=clean_environment(),
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "no space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_does_not_change_the_exit_code(closed: str, tmp_path: Path) -> None:
    """A parent that closes stdin, stdout or stderr gets the command's own exit code."""
    (tmp_path / "bad.yaml").write_text("x: 1\n")
    done = subprocess.run(
        ["sh", "-c", f'"$0" "$@" {closed}', *GUARD, "check", str(tmp_path / "bad.yaml")],
        capture_output=True,
        env=clean_environment(),
        check=False,
    )
    assert (done.returncode, done.stderr) == (3, b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_with_130(number: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM end a command that waits for a silent server, without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = kubeconfig_for(silent.getsockname()[1], tmp_path)
        with subprocess.Popen(
            [*GUARD, "history", "deployment/checkout", "--kubeconfig", config],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(),
            text=True,
        ) as process:
            try:
                connection, _ = silent.accept()
                with connection:
                    process.send_signal(number)
                    _, told = process.communicate(timeout=60)
            finally:
                process.kill()
    assert process.returncode == 130
    assert "guard: interrupted" in told
    assert "Traceback" not in told


def test_an_interrupt_during_start_up_ends_with_130() -> None:
    """Ctrl-C while modules are still loaded ends with 130 too, and quietly."""
    slow = (
        "import sys, os, signal\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'deploy_guard.cli': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv[1:] = ['--help']\n"
        "from deploy_guard.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", slow],
        capture_output=True,
        text=True,
        env=clean_environment(),
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_an_encoding_without_arrows_is_no_error(guard: Guard, tmp_path: Path) -> None:
    """What a terminal's encoding does not have is spelled out."""
    (tmp_path / "one.yaml").write_text("version: 1\n")
    done = guard("check", "one.yaml", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0, done.stderr
    assert "\\u2713 one.yaml" in done.stdout


def test_an_ignored_interrupt_stays_ignored() -> None:
    """A command started with SIGINT ignored, as by nohup, is not ended by it."""
    kill_me = "import os, signal, sys; sys.argv[1:] = ['--version']\n"
    kill_me += "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    kill_me += "from deploy_guard.__main__ import main\n"
    kill_me += "import atexit; atexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
    kill_me += "main()\n"
    done = subprocess.run(
        [sys.executable, "-c", kill_me], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0
    assert done.stdout.startswith("guard, version ")


def test_completion_of_the_shell_knows_the_commands() -> None:
    """click's completion protocol lists the commands that begin as typed."""
    environment = clean_environment(
        _GUARD_COMPLETE="bash_complete", COMP_WORDS="guard ro", COMP_CWORD="1"
    )
    done = subprocess.run(GUARD, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.strip() == "plain,rollback"


def test_json_has_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    """Other people's control characters are escaped in JSON, and half surrogates are no crash."""
    document = {"by": "a\u202eb\x9b31m\x1b]0;x\x07\ud800 é 😀"}
    write_json(document)
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert "é 😀" in out
    assert json.loads(out) == document


def test_an_error_has_nothing_that_a_terminal_or_a_runner_obeys(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A server's words in an error stay on one line and lose their escapes."""
    assert run(["history", "deployment/\x1b[31m\n::error::x"]) == 2
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "\n::error" not in err
