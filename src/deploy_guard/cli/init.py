"""`guard init`: draft a policy from what the workload's metrics show."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy_guard.cli.options import cluster_options, connected, option, say
from deploy_guard.errors import ExitCode, GuardError, UsageError

if TYPE_CHECKING:
    from deploy_guard.cluster.client import Cluster
    from deploy_guard.drafting import Drafted
    from deploy_guard.model import Target

STDOUT = "-"
FOLDER = "policies"


@click.command("init", short_help="Draft a policy from what the metrics of TARGET show.")
@click.argument("target")
@option("--prometheus-url", metavar="URL", help="The Prometheus to look at and to draft for.")
@option(
    "-o",
    "--file",
    metavar="FILE",
    help="Where to write the policy; - for standard output (default: policies/NAME.yaml).",
)
@option("--tests", is_flag=True, help="Write tests of the policy beside it, for guard test.")
@option("--force", is_flag=True, help="Replace the file if it is there.")
@option(
    "--days",
    type=click.FloatRange(0, 90, min_open=True),
    default=7.0,
    show_default=True,
    metavar="N",
    help="How many days of history to look at.",
)
@cluster_options
def init(
    *,
    target: str,
    prometheus_url: str | None,
    file: str | None,
    tests: bool,
    force: bool,
    days: float,
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
) -> int:
    """Draft a policy for TARGET: which metrics there are, and limits from their past.

    Looks at the workload and at what Prometheus has for it, and writes a policy that works, with
    the reasons in comments and how often it would have been wrong on ordinary days. Without
    Prometheus the pods' own metrics pages are read. Nothing is changed but the file; one that is
    there already is exit code 2.

    \b
    Examples:
      guard init deployment/checkout -n shop --prometheus-url http://127.0.0.1:9090
      guard init deployment/checkout -n shop --tests -o policies/checkout.yaml
      guard init deployment/checkout -n shop -o -
    """
    from deploy_guard.cluster.target import parse_target
    from deploy_guard.policy.load import require_base_url

    if math.isnan(days):  # which is in every range
        raise UsageError("--days is not a number", help="expected a number of days, such as 7")
    path = _path(file, parse_target(target, namespace="").name)
    beside = _tests_beside(path) if tests else None
    for wanted in (path, beside):
        if wanted is not None:
            _require_free(wanted, force=force)
    if prometheus_url is not None:
        require_base_url(prometheus_url)
    with connected(target, kubeconfig, context, namespace) as (cluster, workload):
        from deploy_guard.backtest.progress import Progress
        from deploy_guard.drafting import draft

        with Progress(sys.stderr, environ=os.environ) as progress:
            drafted = draft(
                cluster,
                workload,
                prometheus_url=prometheus_url,
                environ=os.environ,
                days=days,
                file="draft" if path is None else str(path),
                tell=progress.say,
                progress=progress,
            )
        _tell(drafted)
        _try(drafted, cluster, workload)
    if path is None:
        click.echo(drafted.text, nl=False)
        return int(ExitCode.OK)
    _write(path, drafted.text, force=force)
    names = ", ".join(signal.name for signal in drafted.policy.signals) or "no signals"
    click.echo(f"{path} is written: {names}")
    if beside is not None and drafted.tests is None:
        say("no tests are written: there was no traffic to measure for each signal")
    elif beside is not None and drafted.tests is not None:
        _write(beside, drafted.tests, force=force)
        click.echo(f"{beside} is written: try guard test {beside}")
    return int(ExitCode.OK)


def _path(file: str | None, name: str) -> Path | None:
    """Return where the policy is written, None for standard output."""
    if file == STDOUT:
        return None
    if file == "":
        raise UsageError("the name of the file is empty", help="-o - writes to standard output")
    path = Path(FOLDER, f"{name}.yaml") if file is None else Path(file)
    if path.stem.endswith(".test"):
        better = f"{path.stem.removesuffix('.test')}{path.suffix}"
        raise UsageError(
            f"{path} would be read as tests of a policy, not as a policy",
            help=f"name it {better}; --tests writes the tests beside it",
        )
    return path


def _tests_beside(path: Path | None) -> Path:
    """Return where the tests of a policy are; raises UsageError where there is no beside."""
    if path is None or path.suffix not in (".yaml", ".yml"):
        raise UsageError(
            "--tests needs a file that ends in .yaml, to write the tests beside it",
            help="name one with -o, or leave -o out",
        )
    return path.with_name(f"{path.stem}.test.yaml")


def _require_free(path: Path, *, force: bool) -> None:
    """Raise for a file that is there or cannot be made, before anybody is asked anything."""
    if path.is_dir():
        raise UsageError(f"{path} is a directory", help=f"name a file in it: -o {path}/NAME.yaml")
    if not force and os.path.lexists(path):
        raise UsageError(
            f"{path} exists already", help="--force replaces it; -o names another file"
        )
    folder = next(one for one in (path.parent, *path.parents) if os.path.lexists(one))
    if not folder.is_dir():
        raise GuardError(f"{path} cannot be written: {folder} is not a directory")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise GuardError(f"{path} cannot be written: no right to write in {folder}")


def _tell(drafted: Drafted) -> None:
    """Say what else was found, and how often the draft would have been wrong."""
    from deploy_guard.policy.problems import render, visible

    for note in drafted.notes:
        say(visible(note))
    if drafted.alarms is not None:
        say(drafted.alarms.sentence)
    if drafted.loaded.problems:
        say(render(drafted.loaded.problems))


def _try(drafted: Drafted, cluster: Cluster, target: Target) -> None:
    """Ask every signal once, as `guard check --target` does, and say what is not as it should be.

    What cannot be tried is told, too: the draft is written all the same.
    """
    from deploy_guard.check_live import check_live
    from deploy_guard.policy.problems import render, visible

    try:
        report = check_live(
            drafted.policy,
            cluster,
            target,
            environ=os.environ,
            places=drafted.loaded.places,
            tell=say,
        )
    except GuardError as error:
        say(visible(f"the draft could not be tried: {error.message}"))
        return
    if report.problems:
        say(render(report.problems))
    for words in (*(callout.words for callout in report.callouts), *report.notes):
        say(visible(words))
    for signal in report.signals:
        if signal.help:
            name = signal.summary.name
            say(visible(f"{name} has no data: {signal.summary.problem}; {signal.help}"))
    say(visible(f"it would say now: {report.decision.reason}"))


def _write(path: Path, text: str, *, force: bool) -> None:
    """Write the file whole or not at all; one that appeared meanwhile is not replaced."""
    import tempfile

    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(temporary).chmod(0o666 & ~_umask())
        if force:
            Path(temporary).replace(path)
        else:
            _link(temporary, path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise GuardError(f"{path} cannot be written: {reason}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _link(temporary: str, path: Path) -> None:
    """Give the file its name, if that is still free."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise UsageError(f"{path} exists already", help="--force replaces it") from None


def _umask() -> int:
    """Return the mask of new files; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
