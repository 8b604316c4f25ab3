"""`guard backtest`: what would a policy have done?"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from deploy_guard.cli.options import (
    cluster_options,
    connected,
    duration,
    option,
    output_option,
    policy_option,
    prometheus_option,
    say,
    terminal_width,
    write_json,
)
from deploy_guard.errors import UsageError

if TYPE_CHECKING:
    from deploy_guard.backtest.command import Options, Source
    from deploy_guard.backtest.model import Deploy
    from deploy_guard.backtest.progress import Progress
    from deploy_guard.policy.models import Policy
    from deploy_guard.policy.values import Values

STDIN = "-"
_MONTH = 30 * 86400.0  # seconds


@click.command(short_help="Try a policy on history: past deploys, and ordinary days.")
@click.argument("target", required=False)
@policy_option
@option(
    "--at",
    "at",
    multiple=True,
    metavar="TIME",
    help="A deploy, RFC 3339 or Unix seconds; TIME=bad or TIME=good where that is known. May be "
    "given several times. With it, and with --deploys, no cluster is asked.",
)
@option(
    "--deploys",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="File with one deploy a line, as --at has them.",
)
@option(
    "--ordinary",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    metavar="N",
    help="How many ordinary days to try: moments at which nothing was deployed.",
)
@option(
    "--since",
    metavar="DURATION",
    type=duration,
    default=_MONTH,
    show_default="30d",
    help="How far back to look.",
)
@option("--until", metavar="TIME", help="Look at the time before this (default: now).")
@option(
    "--records",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Instead of a TARGET: the records of watches below this directory.",
)
@option(
    "--csv",
    metavar="FILE",
    help="Instead of a TARGET: a CSV file of the signals, or - for standard input.",
)
@option("--sweep", is_flag=True, help="Try other values of watch.sensitivity, and suggest one.")
@option(
    "--max-false-rollbacks",
    type=click.FloatRange(0),
    metavar="N",
    help="Exit with 3 if the estimate is above N a month.",
)
@option(
    "--deploys-per-month",
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="Instead of how many the cluster knows of, else 20.",
)
@option("--seed", type=int, default=0, show_default=True, metavar="N", help="Of what is drawn.")
@option(
    "--cache",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Keep what Prometheus answers in this directory, and read it from there next time.",
)
@option(
    "--processes",
    type=click.IntRange(1),
    metavar="N",
    help="How many processes may compute (default: one for each CPU).",
)
@prometheus_option
@cluster_options
@output_option
def backtest(
    *,
    target: str | None,
    policies: tuple[Path, ...],
    values: Values | None,
    at: tuple[str, ...],
    deploys: Path | None,
    ordinary: int,
    since: float,
    until: str | None,
    records: Path | None,
    csv: str | None,
    sweep: bool,
    max_false_rollbacks: float | None,
    deploys_per_month: float | None,
    seed: int,
    cache: Path | None,
    processes: int | None,
    prometheus_url: str | None,
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    output: str,
) -> int:
    """Say what a policy would have done: on past deploys of TARGET, and on ordinary days.

    TARGET is kubectl's form, such as deployment/checkout; its past deploys are read from the
    cluster, the signals from the history in Prometheus. On ordinary days nothing was deployed, so
    that every regression seen there is a false rollback. Nothing is written to the cluster.

    \b
    Examples:
      guard backtest deployment/checkout -n shop -p policies/combined.yaml --sweep
      guard backtest deployment/checkout -p policy.yaml --at 2026-05-01T12:00:00Z=bad --ordinary 0
      guard backtest -p policy.yaml --csv errors.csv --max-false-rollbacks 1
      guard backtest -p policy.yaml --records guard-reports/
    """
    _one_source(target, records, csv)
    from deploy_guard.backtest import Options
    from deploy_guard.backtest import backtest as run
    from deploy_guard.backtest.progress import Progress

    policy = _policy(policies, values, prometheus_url, read_from_prometheus=target is not None)
    options = Options(
        sweep=sweep,
        seed=seed,
        ordinary=ordinary,
        max_false_rollbacks=max_false_rollbacks,
        deploys_per_month=deploys_per_month,
        processes=processes,
    )
    with Progress(sys.stderr, environ=os.environ) as progress:
        if records is not None:
            _nothing_drawn(at, deploys, sweep=sweep, limit=max_false_rollbacks)
            from deploy_guard.backtest import records_source

            source = records_source(records, policy)
        elif csv is not None:
            source = _csv(csv, policy, _listed(at, deploys), options)
        else:
            listed = _listed(at, deploys) if at or deploys is not None else None
            source = _history(
                target or "",
                policy,
                listed,
                options,
                span=(since, until),
                where=(kubeconfig, context, namespace),
                cache=cache,
                progress=progress,
            )
        result = run(source, options, tell=progress)
    from deploy_guard.backtest.as_json import document
    from deploy_guard.backtest.show import NARROWEST, WIDTH, show
    from deploy_guard.outputs.screen import coloured

    if output == "json":
        write_json(document(result))
    else:
        width = max(NARROWEST, min(WIDTH, terminal_width(sys.stdout) or WIDTH))
        click.echo(show(result, width=width, colour=coloured(sys.stdout, os.environ)))
    if result.interrupted:
        say("guard: interrupted")
    return int(result.exit_code)


def _policy(
    files: tuple[Path, ...], values: Values | None, url: str | None, *, read_from_prometheus: bool
) -> Policy:
    """Return the policy; where no Prometheus is asked, it need not say where one is."""
    from deploy_guard.policy.load import find, inspect, load_all
    from deploy_guard.policy.problems import PolicyError

    if read_from_prometheus:
        return load_all(files, prometheus_url=url, values=values)
    loaded = inspect(find(files), prometheus_given=True, values=values)
    undeclared = []
    if values is not None and loaded.declared is not None:
        undeclared = values.undeclared(loaded.declared)
    if loaded.policy is None or undeclared:
        raise PolicyError([*loaded.problems, *undeclared])
    return loaded.policy


def _one_source(target: str | None, records: Path | None, csv: str | None) -> None:
    """Raise UsageError unless there is exactly one source."""
    given = [name for name, value in _sources(target, records, csv) if value is not None]
    if len(given) == 1:
        return
    message = f"{' and '.join(given)} exclude each other" if given else "source is missing"
    raise UsageError(
        message,
        help="name one: TARGET such as deployment/checkout, --csv FILE, or --records DIR; "
        "guard backtest -h has examples",
    )


def _sources(
    target: str | None, records: Path | None, csv: str | None
) -> tuple[tuple[str, object], ...]:
    return (("TARGET", target), ("--csv", csv), ("--records", records))


def _nothing_drawn(
    at: tuple[str, ...], deploys: Path | None, *, sweep: bool, limit: float | None
) -> None:
    """Raise UsageError for what only makes sense with a history around the deploys."""
    for name, given in (
        ("--at", at),
        ("--deploys", deploys),
        ("--sweep", sweep),
        ("--max-false-rollbacks", limit),
    ):
        if given:
            raise UsageError(
                f"{name} needs a history: records are of deploys alone, without ordinary days",
                help="use it with TARGET or --csv",
            )


def _listed(at: tuple[str, ...], file: Path | None) -> list[Deploy]:
    """Return the deploys that the options name."""
    from deploy_guard.backtest.deploys import deploys_at

    lines: list[str] = list(at)
    if file is not None:
        try:
            lines += file.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise UsageError(f"the list of deploys {file} is not UTF-8") from None
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise UsageError(f"the list of deploys {file} cannot be read: {why}") from error
    return deploys_at(lines)


def _csv(name: str, policy: Policy, deploys: list[Deploy], options: Options) -> Source:
    """Read a CSV file or standard input; its problems are told line by line."""
    from deploy_guard.backtest import csv_source
    from deploy_guard.backtest.table import TableError

    try:
        with _lines(name) as lines:
            shown = "standard input" if name == STDIN else name
            return csv_source(lines, shown, policy, deploys, options)
    except TableError as error:
        for problem in error.problems:
            say(problem)
        raise


@contextmanager
def _lines(name: str) -> Iterator[TextIO]:
    if name == STDIN:
        yield sys.stdin
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(name).open(encoding="utf-8-sig", newline=""))
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise UsageError(f"the CSV file {name} cannot be read: {why}") from error
        yield file


def _history(
    target: str,
    policy: Policy,
    listed: list[Deploy] | None,
    options: Options,
    *,
    span: tuple[float, str | None],
    where: tuple[str | None, str | None, str | None],
    cache: Path | None,
    progress: Progress,
) -> Source:
    """Find the deploys, in the cluster unless they are listed, and read their history."""
    import time

    from deploy_guard.backtest import history_source
    from deploy_guard.backtest.deploys import deploys_in, known_since, moment
    from deploy_guard.cluster.snapshot import take
    from deploy_guard.cluster.target import parse_target

    since, until = span
    end = time.time() if until is None else moment(until)
    if listed is None:
        with connected(target, *where) as (cluster, workload):
            snapshot = take(cluster, workload, pods=False)
        found, known = deploys_in(snapshot), known_since(snapshot)
    else:
        found, known = listed, None
        workload = parse_target(target, namespace=where[2] or "default")
    return history_source(
        policy,
        workload,
        found,
        options,
        span=(end - since, end),
        known_since=known,
        environ=os.environ,
        cache=cache,
        tell=progress,
        say=progress.say,
    )
