"""Did a rollback help that no watch has done? The signals, before it and after it.

For `guard rollback --policy`, and for a watch that finishes what a dead guard began. Decides from
when the baseline is: from before the condemned revision, not from the time in which it ran.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from deploy_guard import decide
from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.rollouts import live_hash
from deploy_guard.cluster.workload import began_at
from deploy_guard.model import KUBERNETES, Evidence, Recovery, Target
from deploy_guard.outputs.base import Output
from deploy_guard.policy.models import Policy
from deploy_guard.rollback.execution import Done
from deploy_guard.signals import open_signals
from deploy_guard.watch.polling import Poller, Read
from deploy_guard.watch.scene import Ended, Scene
from deploy_guard.watch.taking_back import verify

LEARNING = 15.0  # seconds for the first reading of all signals


@dataclass(frozen=True, slots=True)
class Checked:
    """What the signals say after a rollback, and the words of each."""

    recovery: Recovery
    evidence: tuple[Evidence, ...]


def learn(
    scene: Scene, poller: Poller, state: decide.State, *, seconds: float = LEARNING
) -> decide.State:
    """Read every signal once while `scene.judged` is what was condemned; the poller has started.

    That reads the baseline from before it. A signal that does not answer in `seconds` is left.
    Raises Ended when the watch was interrupted.
    """
    waiting = {watched.name for watched in state.signals}
    until = time.monotonic() + seconds
    while waiting and (left := until - time.monotonic()) > 0:
        item = scene.next(min(left, 0.5))
        if isinstance(item, Read) and item.round == poller.round:
            waiting.discard(item.signal)
            for reading in item.readings:
                scene.record(reading)
                state = decide.observe(state, reading)
    return state


def check_recovery(
    cluster: Cluster,
    target: Target,
    policy: Policy,
    *,
    condemned: str,
    done: Done,
    output: Output,
    environ: Mapping[str, str],
    clock: Callable[[], float] = time.time,
) -> Checked:
    """Look at the signals of a policy after a rollback from the revision with hash `condemned`.

    Every signal that is not optional has to become good. Takes at most `rollback.verify`, and the
    time to read every signal once. Raises GuardError when the cluster cannot be asked.
    """
    scene = Scene(cluster, target, output, clock)
    signals = open_signals(policy, cluster=cluster, environ=environ)
    poller = Poller(signals, scene.look, scene.items, clock=clock)
    state = decide.begin(policy, started_at=clock())
    needed = [w.name for w in state.signals if not w.optional and w.name != KUBERNETES]
    try:
        snapshot = scene.follower.start()
        scene.expected = live_hash(snapshot) or ""
        scene.judged, scene.judged_since = condemned, began_at(snapshot, condemned)
        poller.start()
        state = learn(scene, poller, state)
        recovery, state = verify(
            scene, poller, state, done, bad=needed, seconds=policy.rollback.verify
        )
    except Ended:
        recovery = Recovery.UNKNOWN
    finally:
        poller.stop()
        scene.follower.stop()
    return Checked(recovery, decide.evidence_of(state, clock()))
