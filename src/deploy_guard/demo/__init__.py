"""`guard demo`: a story on the embedded cluster, watched and rolled back by the real code.

Decides the order of the story and whether it ended as it should. The stories themselves are in
`stories`; everything that watches, decides and rolls back is what `guard watch` runs.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from importlib import resources
from pathlib import Path
from typing import TextIO

from deploy_guard import text
from deploy_guard.cluster.client import Cluster
from deploy_guard.demo.stories import NAME, NAMESPACE, STORIES, Story, manifest
from deploy_guard.embedded.cluster import EmbeddedCluster
from deploy_guard.embedded.load import Load
from deploy_guard.errors import ExitCode
from deploy_guard.model import Action, Event, Outcome, Target
from deploy_guard.outputs import open_output
from deploy_guard.outputs.base import Output
from deploy_guard.outputs.report import tell_result
from deploy_guard.policy.load import load_file
from deploy_guard.policy.models import Policy
from deploy_guard.watch.command import watch_once

RATE = 60.0  # requests a second
QUIET = 4.0  # seconds of normal traffic before the deploy
POSTMORTEM = 3.5 * 3600  # seconds that the original outage lasted


def run_demo(
    name: str, *, serve: bool = False, report: Path | None = None, json_output: bool = False
) -> int:
    """Play a story; return 0 when it ended as it should, 1 when it did not, 130 when interrupted.

    With `serve` the cluster stays up until Ctrl-C or SIGTERM, which does not change the code.
    """
    story = STORIES[name]
    with (
        tempfile.TemporaryDirectory(prefix="guard-demo-") as folder,
        EmbeddedCluster(start_up=0.5) as embedded,
    ):
        kubeconfig = embedded.kubeconfig_file(Path(folder) / "kubeconfig", namespace=NAMESPACE)
        with open_output(sys.stderr, environ=os.environ) as output:
            load = _first_release(embedded, story, output)
            outcome = _second_release(embedded, story, output, kubeconfig, report)
        as_it_should = _ended_as_it_should(story, outcome)
        tell_result(outcome, sys.stdout, environ=os.environ, form="json" if json_output else "text")
        if not json_output:
            _tell_numbers(story, outcome, load, as_it_should=as_it_should)
        if serve and outcome.action is not Action.INTERRUPTED:
            stream = sys.stderr if json_output else sys.stdout  # stdout is the document alone
            _serve(embedded, kubeconfig, Path(folder), stream)
    if outcome.action is Action.INTERRUPTED:
        return int(ExitCode.INTERRUPTED)
    return int(ExitCode.OK if as_it_should else ExitCode.FAILED)


def demo_policy() -> Policy:
    """Return the demo's policy."""
    with resources.as_file(resources.files(__name__) / "policy.yaml") as path:
        return load_file(path)


def _tell(output: Output, words: str) -> None:
    output.show(Event(time.time(), "story", words))


def _first_release(embedded: EmbeddedCluster, story: Story, output: Output) -> Load:
    _tell(output, f"{story.title}: {story.ending}")
    embedded.apply(manifest(embedded, story, version=1))
    embedded.wait_complete(NAMESPACE, NAME)
    load = embedded.load(NAMESPACE, NAME, RATE)
    _tell(output, f"version 1 serves {RATE:g} requests a second; every one calls the payments API")
    time.sleep(QUIET)
    return load


def _second_release(
    embedded: EmbeddedCluster, story: Story, output: Output, kubeconfig: Path, report: Path | None
) -> Outcome:
    _tell(output, f"version 2 is deployed: {story.release}")
    embedded.apply(manifest(embedded, story, version=2))
    trouble = None
    if story.fails_at is not None:
        trouble = threading.Timer(story.fails_at, _fail_payments, (embedded, output))
        trouble.daemon = True
        trouble.start()
    target = Target("deployment", NAMESPACE, NAME)
    try:
        with Cluster.connect(kubeconfig=str(kubeconfig)) as cluster:
            return watch_once(
                cluster,
                target,
                demo_policy(),
                output=output,
                report=report,
                environ=os.environ,
            )
    finally:
        if trouble is not None:
            trouble.cancel()


def _fail_payments(embedded: EmbeddedCluster, output: Output) -> None:
    _tell(output, "the payments API itself fails now, for old and new pods alike")
    embedded.payments.fail = True


def _ended_as_it_should(story: Story, outcome: Outcome) -> bool:
    return (outcome.verdict, outcome.action, outcome.recovered) == (
        story.verdict,
        story.action,
        story.recovered,
    )


def _tell_numbers(story: Story, outcome: Outcome, load: Load, *, as_it_should: bool) -> None:
    """Print how long it took, against the original outage."""
    lines = []
    deployed = outcome.deployed_at or outcome.started_at
    if outcome.regressed_at is not None and outcome.restored_at is not None:
        detected = text.seconds(outcome.regressed_at - deployed)
        restored = text.seconds(outcome.restored_at - deployed)
        lines.append(
            f"detected {detected} after the deploy, version 1 serves again after {restored}"
        )
        if story.name == "outage":
            lines.append(f"the original outage lasted {text.seconds(POSTMORTEM)}")
    asked = sum(load.counts.values())
    failed = asked - load.counts["200"]
    share = text.percent(failed / asked if asked else 0.0)
    lines.append(f"{text.count(failed)} of {text.count(asked)} requests failed in all ({share})")
    if not as_it_should and outcome.action is not Action.INTERRUPTED:
        lines.append(f"this story should have ended otherwise: {story.ending}")
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    sys.stdout.flush()


def _serve(embedded: EmbeddedCluster, kubeconfig: Path, folder: Path, stream: TextIO) -> None:
    """Keep the cluster up until Ctrl-C, and say how to play with it."""
    policy = folder / "policy.yaml"
    policy.write_text(
        resources.files(__name__).joinpath("policy.yaml").read_text(encoding="utf-8"),
        encoding="utf-8",
    )
    wrong = embedded.payments.url.replace("/v1/", "/v2-beta/")
    stream.write(
        f"""
The cluster stays up at {embedded.url} until Ctrl-C. In another terminal:

  export KUBECONFIG={kubeconfig}
  kubectl get deployments,pods
  kubectl set env deployment/{NAME} PAYMENTS_URL={wrong}
  guard watch deployment/{NAME} -p {policy}
  guard history deployment/{NAME}
  guard rollback deployment/{NAME}
"""
    )
    stream.flush()
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        stream.write("\nthe cluster is gone\n")
