"""What is kept of a command line and of its output holds no secret."""

from __future__ import annotations

import pytest

from deploy_guard.deploy.redaction import redacted_command, redacted_lines

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "words",
    [
        ["helm", "upgrade", "shop", "--set", f"db.password={SECRET}"],
        ["helm", "upgrade", "shop", "--set", f"image.tag=v1,db.password={SECRET}"],
        ["helm", "upgrade", "shop", f"--set=db.password={SECRET}"],
        ["helm", "upgrade", "shop", "--set", f"env[0].apiToken={SECRET}"],
        ["kubectl", "--token", SECRET, "apply"],
        ["kubectl", f"--token={SECRET}", "apply"],
        ["env", f"AWS_SECRET_ACCESS_KEY={SECRET}", "deploy"],
        ["curl", f"https://deployer:{SECRET}@deploy.example/hook"],
        ["sh", "-c", f"PASSWORD={SECRET} ./deploy.sh"],
        ["sh", "-c", f"PASSWORD='{SECRET}' ./deploy.sh"],
        ["sh", "-c", f"helm upgrade shop --set password={SECRET} && kubectl --token {SECRET} get"],
        ["curl", "-H", f"Authorization: Bearer {SECRET}", "https://deploy.example"],
        ["curl", f"https://deploy.example/hook?token={SECRET}&x=1"],
    ],
    ids=" ".join,
)
def test_secrets_of_the_command_line_are_hidden(words: list[str]) -> None:
    """Values under a secret's name do not stand in what is kept, nor in its output."""
    assert SECRET not in redacted_command(words, environ={})
    assert words[0] in redacted_command(words, environ={})
    lines = redacted_lines([f"using {SECRET} now"], words=words, environ={})
    assert SECRET not in "".join(lines)


def test_an_innocent_command_line_is_kept_as_a_shell_takes_it() -> None:
    """Only what may be a secret is hidden."""
    words = ["kubectl", "apply", "-f", "k8s/my file.yaml", "--namespace=shop"]
    assert (
        redacted_command(words, environ={})
        == "kubectl apply -f 'k8s/my file.yaml' --namespace=shop"
    )


def test_secrets_of_the_environment_are_hidden_in_the_output() -> None:
    """What the environment holds under a secret's name is hidden wherever it is printed."""
    environ = {"DB_PASSWORD": SECRET, "SSH_AUTH_SOCK": "/run/agent.1", "REGION": "europe-1"}
    lines = redacted_lines(
        [f"login as shop with {SECRET}", "agent at /run/agent.1 in europe-1"],
        words=["deploy"],
        environ=environ,
    )
    assert lines == ("login as shop with (hidden)", "agent at /run/agent.1 in europe-1")


def test_secrets_of_the_environment_are_hidden_in_the_command_line() -> None:
    """A shell has put them there, under whatever name."""
    words = ["helm", "upgrade", "shop", "--set", f"db.entry={SECRET}"]
    shown = redacted_command(words, environ={"DB_PASSWORD": SECRET})
    assert shown == "helm upgrade shop --set 'db.entry=(hidden)'"


def test_named_secrets_are_hidden_in_the_output() -> None:
    """A line that names a secret is kept up to its name."""
    lines = redacted_lines([f"db-password: {SECRET}", "done"], words=["deploy"], environ={})
    assert SECRET not in "".join(lines)
    assert len(lines) == 2


def test_no_output_is_no_line() -> None:
    """A silent command leaves nothing."""
    assert redacted_lines([], words=["deploy"], environ={}) == ()
