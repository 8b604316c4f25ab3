"""What several commands share: options, the target, the two forms of a result.

Every option has an environment variable GUARD_….
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

import click

if TYPE_CHECKING:
    from deploy_guard.cluster.client import Cluster
    from deploy_guard.model import Target

F = TypeVar("F", bound=Callable[..., Any])


def option(*names: str, **settings: Any) -> Callable[[F], F]:
    """Declare an option with the environment variable that its long name gives."""
    long = next(name for name in names if name.startswith("--"))
    settings.setdefault("envvar", "GUARD_" + long[2:].upper().replace("-", "_"))
    return click.option(*names, show_envvar=True, **settings)


def duration(text: str | float) -> float:
    """Read a duration as policies write it, such as 90s or 10m, as seconds."""
    if isinstance(text, float):  # a default
        return text
    from deploy_guard.policy.scalars import parse_duration

    try:
        return parse_duration(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a duration, such as 90s or 10m") from None


def cluster_options(command: F) -> F:
    """Add kubectl's own ways to name a cluster and a namespace."""
    for add in (
        option("-n", "--namespace", metavar="NAME", help="Namespace (default: the context's)."),
        option("--context", metavar="NAME", help="Context of the kubeconfig."),
        option("--kubeconfig", metavar="FILE", help="Kubeconfig file (default: $KUBECONFIG)."),
    ):
        command = add(command)
    return command


def output_option(command: F) -> F:
    """Add `-o text|json`."""
    return option(
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Form of the result on stdout.",
    )(command)


def policy_option(command: F) -> F:
    """Add `-p/--policy FILE`, which is needed, and `--set` and `--values`.

    The command gets `policies: tuple[Path, ...]` and `values: Values | None`, and makes a policy:

        policy = load_all(policies, prometheus_url=prometheus_url, values=values)

    `inspect(files, values=values)` tells problems instead of raising them. A command that has
    its policies by other means takes `values_options` alone.
    """
    return option(
        "-p",
        "--policy",
        "policies",
        multiple=True,
        required=True,
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Policy file; may be given several times, their signals are watched together.",
    )(values_options(command))


def values_options(command: F) -> F:
    """Add `--set NAME=VALUE` and `--values FILE`; the command gets `values: Values | None`.

    Files are read before the command runs: raises UsageError and PolicyError for what is in them.
    """

    @wraps(command)
    def with_values(
        *args: Any, settings: tuple[str, ...], value_files: tuple[Path, ...], **others: Any
    ) -> Any:
        values = None
        if (settings or value_files) and others.get("policies") != ():  # without, none is used
            from deploy_guard.policy.values import read_values

            values = read_values(value_files, settings)
        return command(*args, values=values, **others)

    return cast("F", settings_options(with_values))


def settings_options(command: F) -> F:
    """Add `--set` and `--values` as they are written: `settings` and `value_files`."""
    for add in (
        option(
            "--values",
            "value_files",
            multiple=True,
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="YAML file of values, NAME: VALUE; a later one wins.",
        ),
        option(
            "--set",
            "settings",
            multiple=True,
            metavar="NAME=VALUE",
            help="Value that the policy declares under `values`; wins over --values.",
        ),
    ):
        command = add(command)
    return command


def prometheus_option(command: F) -> F:
    """Add `--prometheus-url URL`."""
    return option(
        "--prometheus-url", metavar="URL", help="Instead of the policy's prometheus.url."
    )(command)


def report_option(command: F) -> F:
    """Add `--report DIR`."""
    return option(
        "--report",
        metavar="DIR",
        type=directory,
        help="Write the record of the watch into this directory.",
    )(command)


def directory(text: str) -> Path:
    """Read the name of a directory; an empty one is that of a variable which was not set."""
    if not text:
        raise click.BadParameter("the name of the directory is empty")
    return Path(text)


@contextmanager
def connected(
    target: str, kubeconfig: str | None, context: str | None, namespace: str | None
) -> Iterator[tuple[Cluster, Target]]:
    """Give a client for the cluster that the options name, and TARGET in it; close it at the end.

    A TARGET that cannot be right is told before anything is connected.
    """
    from deploy_guard.cluster.target import parse_target

    parse_target(target, namespace="")
    from deploy_guard.cluster.client import Cluster

    with Cluster.connect(kubeconfig=kubeconfig, context=context, namespace=namespace) as cluster:
        yield cluster, parse_target(target, namespace=cluster.namespace)


def write_json(document: dict[str, Any]) -> None:
    """Write a JSON document to stdout; what a terminal would obey is written as its number."""
    import json

    text = json.dumps(document, indent=2, ensure_ascii=False)
    if not text.isascii():
        harmless = (c if c.isascii() or c.isprintable() else json.dumps(c)[1:-1] for c in text)
        text = "".join(harmless)
    click.echo(text)


def say(text: str) -> None:
    """Write to stderr; with nobody there to read it, the exit code has to do."""
    with suppress(OSError):
        click.echo(text, err=True)


def terminal_width(stream: TextIO | None) -> int | None:
    """Return the columns of the terminal behind a stream; None where lines have no end."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None if stream else None
    except (OSError, ValueError):
        return None
