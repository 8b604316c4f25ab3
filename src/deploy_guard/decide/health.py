"""Judge what the cluster itself says of the candidate's pods."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deploy_guard import text
from deploy_guard.model import Evidence, Finding, Health, Sample, Symptom

# How long a symptom must last, in seconds, before it is a regression. None: never by itself; the
# progress deadline turns it into one. Kubelet and controllers retry these by themselves, and a
# ConfigMap applied right after the Deployment cures CreateContainerConfigError. The progress
# deadline of the rollout before can be seen for a moment after the next one has begun.
LASTING: dict[str, float | None] = {
    "CrashLoopBackOff": 0.0,
    "OOMKilled": 0.0,
    "InvalidImageName": 0.0,
    "ImagePullBackOff": 5.0,
    "ErrImageNeverPull": 5.0,
    "CreateContainerConfigError": 10.0,
    "CreateContainerError": 10.0,
    "RunContainerError": 10.0,
    "ProgressDeadlineExceeded": 2.0,
    "Restarts": 0.0,
    "Unready": 0.0,
}
MINORITY = 0.25  # of the new pods: so few crash when a node is bad, too
PATIENCE = 60.0  # seconds for which a crash of a minority must last, while all others are ready
CRASHES = ("CrashLoopBackOff", "OOMKilled")
ALIKE = 0.25  # old pods have it too if their share with a symptom is this much of the new pods'


@dataclass(frozen=True, slots=True)
class HealthJudge:
    """Remembers since when each symptom is seen on the candidate's pods."""

    name: str
    latest: Health | None = None
    since: tuple[tuple[str, float], ...] = ()
    last_at: float = 0.0
    old: tuple[tuple[str, float], ...] = ()  # the share of the old pods that have a symptom
    pod: str = "new pod"

    def take(self, sample: Sample) -> HealthJudge:
        """Return the judge after one more look."""
        control, health = sample.control, sample.candidate
        judge = self
        if isinstance(control, Health) and control.pods:
            # Kept when the old pods are gone: what they shared is still not the deploy's.
            shares = tuple((s.reason, s.pods / control.pods) for s in control.symptoms)
            judge = replace(self, old=shares)
        if not isinstance(health, Health):
            return judge
        known = dict(self.since)
        since = tuple(
            (s.reason, min(known.get(s.reason, sample.at), _began(s, sample.at)))
            for s in health.symptoms
        )
        return replace(judge, latest=health, since=since, last_at=sample.at)

    def again(self) -> HealthJudge:
        """Return a judge that has seen nothing yet."""
        return HealthJudge(self.name, pod="pod")

    def value(self, sample: Sample) -> float | None:
        """Return the number of ready pods of the candidate."""
        return float(sample.candidate.ready) if isinstance(sample.candidate, Health) else None

    def evidence(self, at: float) -> Evidence:
        """Return the finding with the worst symptom."""
        finding, words = self._finding()
        health = self.latest
        numbers = (
            {
                "pods": float(health.pods),
                "ready": float(health.ready),
                "restarts": float(health.restarts),
            }
            if health is not None
            else {}
        )
        return Evidence(
            signal=self.name,
            finding=finding,
            text=words,
            at=at,
            rule="cluster",
            current=numbers.get("ready"),
            limit=numbers.get("pods"),
            numbers=numbers,
        )

    def _finding(self) -> tuple[Finding, str]:
        health = self.latest
        if health is None:
            return Finding.LITTLE, f"no {self.pod}s seen yet"
        state = f"{health.ready} of {text.plural(health.pods, self.pod)} ready"
        shared = [s for s in health.symptoms if self._is_shared(s, health.pods)]
        own = [s for s in health.symptoms if s not in shared]
        for symptom in own:
            if self._proven(symptom):
                return Finding.BAD, f"{_words(symptom)}; {state}"
        for symptom in shared:
            if self._proven(symptom):
                return Finding.SHARED, f"{_words(symptom)}, on old pods too: not the deploy"
        if health.symptoms:
            return Finding.SUSPECT, f"{_words(health.symptoms[0])}; {state}"
        if health.pods == 0:
            return Finding.LITTLE, "no new pods yet"
        if health.ready == 0:
            return Finding.LITTLE, state
        return Finding.GOOD, f"{state}, {text.plural(health.restarts, 'restart')}"

    def _is_shared(self, symptom: Symptom, pods: int) -> bool:
        """Tell whether the old pods have it, too: not one of many while most new ones have it."""
        share = dict(self.old).get(symptom.reason, 0.0)
        return share > 0 and share >= ALIKE * symptom.pods / max(1, pods)

    def _proven(self, symptom: Symptom) -> bool:
        lasting = LASTING.get(symptom.reason)
        if lasting is None:
            return False
        if symptom.reason in CRASHES and self._is_minority(symptom):
            lasting = PATIENCE
        return self.last_at - dict(self.since)[symptom.reason] >= lasting

    def _is_minority(self, symptom: Symptom) -> bool:
        """Tell whether few pods crash and all others are well, as when one node is bad."""
        health = self.latest
        if health is None or symptom.pods >= MINORITY * health.pods:
            return False
        return health.ready >= health.pods - symptom.pods


def _began(symptom: Symptom, seen_at: float) -> float:
    return seen_at if symptom.since is None else symptom.since


def _words(symptom: Symptom) -> str:
    where = f" on {text.plural(symptom.pods, 'new pod')}" if symptom.pods else ""
    return (
        f"{symptom.reason}{where}: {symptom.detail}" if symptom.detail else symptom.reason + where
    )
