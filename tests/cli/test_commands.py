"""The shape of the command line: commands, options, their environment variables, exit codes."""

from __future__ import annotations

import click
import pytest

from deploy_guard.cli import guard
from deploy_guard.cli.demo import STORIES
from deploy_guard.errors import EXIT_CODES, ExitCode

from .conftest import Guard

OPTIONS = [
    (name, parameter)
    for name, command in guard.commands.items()
    for parameter in command.params
    if isinstance(parameter, click.Option)
]


def test_the_commands_are_those_of_the_product() -> None:
    """The commands stand in the order in which people use them."""
    assert list(guard.commands) == [
        "deploy",
        "watch",
        "rollback",
        "resume",
        "history",
        "snapshot",
        "init",
        "check",
        "test",
        "backtest",
        "explain",
        "schema",
        "demo",
    ]


@pytest.mark.parametrize(("command", "option"), OPTIONS, ids=lambda v: getattr(v, "name", v))
def test_every_option_has_an_environment_variable_and_help(
    command: str, option: click.Option
) -> None:
    """Every option can be given as GUARD_ and its long name, and says what it does."""
    long = next(text for text in option.opts if text.startswith("--"))
    assert option.envvar == "GUARD_" + long[2:].upper().replace("-", "_")
    assert option.help
    assert option.help.endswith("."), command


def test_every_exit_code_is_explained_in_the_help(guard: Guard) -> None:
    """The table of exit codes is part of guard --help, and has every code."""
    lines = [line.strip() for line in guard("--help").stdout.splitlines()]
    assert set(EXIT_CODES) == set(ExitCode)
    for code, meaning in EXIT_CODES.items():
        assert f"{int(code)}  {meaning}" in lines


@pytest.mark.parametrize("command", list(guard.commands))
def test_h_is_help(guard: Guard, command: str) -> None:
    """-h and --help say the same, on stdout."""
    short, long = guard(command, "-h"), guard(command, "--help")
    assert short.returncode == 0
    assert short.stdout == long.stdout != ""
    assert short.stderr == ""


def test_the_commands_of_the_help_are_not_cut(guard: Guard) -> None:
    """Each command's one line is whole on a terminal of 80 columns."""
    text = guard("--help").stdout
    assert "..." not in text.partition("Commands:")[2]


def test_an_environment_variable_counts_as_the_option(guard: Guard) -> None:
    """GUARD_POLICY is -p: the message is about the policy that it names."""
    done = guard("watch", "deployment/checkout", GUARD_POLICY="missing.yaml")
    assert done.returncode == 3
    assert "missing.yaml" in done.stderr


def test_the_stories_of_the_help_are_the_demos() -> None:
    """guard demo --help lists the stories that exist, without loading the demo."""
    from deploy_guard.demo.stories import STORIES as TOLD

    assert list(STORIES) == list(TOLD)


def test_kubectl_finds_guard_as_a_plugin() -> None:
    """The package installs kubectl-guard beside guard, so that `kubectl guard` works."""
    from importlib.metadata import entry_points

    found = {e.name: e.value for e in entry_points(group="console_scripts")}
    assert found["kubectl-guard"] == found["guard"] == "deploy_guard.__main__:main"
