"""The revisions of a workload, and which of them a rollback returns to.

Decides by identity and by what runs, not by "the second highest number": a restart makes a new
number with the same bits, an undo moves numbers, and a second undo would go forward again. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from deploy_guard.cluster.notes import parsed
from deploy_guard.cluster.snapshot import Json, Snapshot
from deploy_guard.cluster.templates import pruned, same_template, template_of
from deploy_guard.cluster.times import seconds
from deploy_guard.cluster.workload import revision_of
from deploy_guard.model import Revision, Verdict

ROLLBACK = "deploy-guard/rollback"  # guard's note on the workload about its last rollback
_LEFT = "was deployed after the one that is rolled back, which was then returned to"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
RESTARTS = (RESTARTED,)  # annotations that only say "start again"


@dataclass(frozen=True, slots=True)
class Past:
    """A revision and its template as read, ready to be put into the workload."""

    revision: Revision
    template: Json


@dataclass(frozen=True, slots=True)
class Note:
    """What guard wrote on the workload at its last rollback.

    `number` is the revision number that the target got by it, if nothing else came between. One of
    `configuration` alone left the template as it was, but for a restart at `restarted`.
    """

    from_hash: str
    to_hash: str
    number: int
    at: float
    reason: str = ""
    by: str = ""
    configuration: bool = False
    restarted: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The revision to return to, or why there is none; and why others were passed over."""

    target: Past | None
    reason: str
    passed_over: tuple[tuple[Revision, str], ...] = ()
    warnings: tuple[str, ...] = ()


def history(revisions: Iterable[Json]) -> tuple[Past, ...]:
    """Return the owned revisions, the highest number first."""
    found = [Past(revision_of(obj), template_of(obj)) for obj in revisions]
    return tuple(sorted(found, key=lambda p: (p.revision.number, p.revision.created), reverse=True))


def find(past: Iterable[Past], number: int) -> Past | None:
    """Return the revision that has, or once had, this number; its present number wins."""
    entries = tuple(past)
    for entry in entries:
        if entry.revision.number == number:
            return entry
    return next((e for e in entries if number in e.revision.former_numbers), None)


def equivalent(one: Json, other: Json) -> bool:
    """Tell whether the same would run under both templates: all but annotations is the same."""
    return same_template(_without_annotations(one), _without_annotations(other))


def only_restarted(one: Json, other: Json) -> bool:
    """Tell whether two templates differ in nothing but a restart."""
    return same_template(_without_annotations(one, RESTARTS), _without_annotations(other, RESTARTS))


def read_note(workload: Json) -> Note | None:
    """Return guard's note on the workload, None without a readable one."""
    text = (workload["metadata"].get("annotations") or {}).get(ROLLBACK, "")
    try:
        value = parsed(text)
        return Note(
            str(value["from"]["template"]),
            str(value["to"]["template"]),
            int(value["to"]["revision"]),
            seconds(value["at"]),
            str(value.get("reason", "")),
            str(value.get("by", "")),
            bool(value.get("configuration")),
            str(value.get("restarted", "")),
        )
    except (ValueError, KeyError, TypeError):
        return None


def in_place(note: Note | None, live: Past | None) -> bool:
    """Tell whether the live revision is the result of guard's last rollback, still.

    A later release that goes back to the same template has got a higher number since.
    """
    if note is None or live is None:
        return False
    if note.configuration and note.restarted:
        return restarted_at(live.template) == note.restarted
    return live.revision.template_hash == note.to_hash and live.revision.number <= note.number


def restarted_at(template: Json) -> str:
    """Return the time of the last restart that a template names, empty without one."""
    notes = (template.get("metadata") or {}).get("annotations") or {}
    return str(notes.get(RESTARTED, ""))


def choose_target(
    past: tuple[Past, ...],
    candidate: Past | None,
    *,
    template: Json,
    note: Note | None = None,
    other_config: str = "",
) -> Choice:
    """Choose the revision to return to from `candidate`, whose template is `template`.

    The newest revision that guard judged healthy; without any, the newest that runs something else
    and was not condemned: by a verdict, by being rolled back from, or by a return of somebody else
    to what ran before it. One that differs in annotations alone is a last resort unless it was
    judged healthy; one that differs in a restart alone is none, but for the one with the uid
    `other_config`, whose configuration was another and is restored.
    """
    open_to: list[Past] = []
    resort: list[Past] = []
    passed: list[tuple[Revision, str]] = []
    back = None if note is None or went_forward(past, note) else note
    for entry in past:
        revision = entry.revision
        if candidate is not None and revision.uid == candidate.revision.uid:
            continue
        reason = _disqualified(entry, template, back) or _left(entry, candidate)
        if revision.uid == other_config and revision.verdict is not Verdict.REGRESSED:
            open_to.append(entry)
        elif reason:
            passed.append((revision, reason))
        elif equivalent(entry.template, template):
            resort.append(entry)
        else:
            open_to.append(entry)
    fit = [e for e in past if e in open_to or e in resort]
    healthy = [e for e in fit if e.revision.verdict is Verdict.HEALTHY]
    chosen = next(iter(healthy or open_to or resort), None)
    passed += _passed_for(chosen, open_to, resort)
    passed.sort(key=lambda pair: pair[0].number, reverse=True)
    if chosen is None:
        return Choice(None, _why_none(past, passed), tuple(passed))
    warnings = [] if chosen not in resort else ["it differs from what runs in annotations alone"]
    twin = unrestarted(past, candidate, template=template)
    if twin is not None and twin.revision.number > chosen.revision.number:
        warnings.append(
            f"revision {twin.revision.number} runs the same, only not restarted: "
            "a rollback goes further back than to it"
        )
    if _returned_from(chosen, candidate):
        warnings.append(f"it {_LEFT}: guard had judged it healthy before")
    return Choice(chosen, _why(chosen, healthy), tuple(passed), tuple(warnings))


def unrestarted(past: tuple[Past, ...], candidate: Past | None, *, template: Json) -> Past | None:
    """Return the newest other revision that differs from `template` in a restart alone."""
    others = (p for p in past if candidate is None or p.revision.uid != candidate.revision.uid)
    return next((p for p in others if only_restarted(p.template, template)), None)


def find_unrestarted(past: tuple[Past, ...], snapshot: Snapshot) -> Past | None:
    """Return the newest other revision that runs what is live, only not restarted."""
    if snapshot.workload is None:
        return None
    template = template_of(snapshot.workload)
    live = next((p for p in past if same_template(p.template, template)), None)
    return unrestarted(past, live, template=template)


def _disqualified(entry: Past, template: Json, note: Note | None) -> str:
    revision = entry.revision
    if only_restarted(entry.template, template):
        return "runs the same as the one that is rolled back"
    if revision.verdict is Verdict.REGRESSED:
        return "was judged regressed"
    judged = revision.verdict_at or 0.0
    condemned = note.from_hash if note is not None and not note.configuration else None
    if note is not None and revision.template_hash == condemned and judged <= note.at:
        return "was rolled back from before"
    return ""


def went_forward(past: tuple[Past, ...], note: Note) -> bool:
    """Tell whether guard's last rollback returned to a newer version, as after a false alarm.

    That says nothing against the one that was left for it.
    """
    known = {p.revision.template_hash: p.revision for p in past}
    one, other = known.get(note.to_hash), known.get(note.from_hash)
    if one is None or other is None or one.created > note.at:  # both are in whole seconds
        return False  # the rollback made it anew, since its revision had been collected
    numbered = one.replicas is None or _first(one) < note.number
    return numbered and came_after(one, other)


def _passed_for(
    chosen: Past | None, open_to: list[Past], resort: list[Past]
) -> list[tuple[Revision, str]]:
    """Say why newer revisions that would have been possible are not the choice."""
    if chosen is None:
        return []
    passed = [
        (e.revision, f"has no verdict, and revision {chosen.revision.number} was judged healthy")
        for e in open_to
        if e.revision.number > chosen.revision.number
    ]
    if chosen not in resort:
        passed += [
            (e.revision, "differs from the one that is rolled back in annotations alone")
            for e in resort
        ]
    return passed


def _left(entry: Past, candidate: Past | None) -> str:
    """Say that a return from this revision to the candidate was its end, unless it was healthy."""
    if entry.revision.verdict is Verdict.HEALTHY or not _returned_from(entry, candidate):
        return ""
    return _LEFT


def _returned_from(entry: Past, candidate: Past | None) -> bool:
    """Tell whether the candidate ran before this revision, and was returned to.

    As after `kubectl rollout undo`: to roll back to it would be to roll forward to what was undone.
    It holds also before the controller has renumbered the candidate.
    """
    return candidate is not None and came_after(entry.revision, candidate.revision)


def came_after(one: Revision, other: Revision) -> bool:
    """Tell whether a revision was deployed after another, each for the first time.

    A ControllerRevision does not say which numbers it had before; it is as old as its first use.
    """
    if one.replicas is None or other.replicas is None:
        return one.created > other.created
    return _first(one) > _first(other)


def _first(revision: Revision) -> int:
    return min((revision.number, *revision.former_numbers))


def _why(chosen: Past, healthy: list[Past]) -> str:
    if chosen in healthy:
        return "the newest revision that guard judged healthy"
    return "the newest revision before it; guard has judged none of those healthy"


def _why_none(past: tuple[Past, ...], passed: list[tuple[Revision, str]]) -> str:
    if len(past) <= 1:
        return "there is no earlier revision"
    if len(passed) == 1:
        return "the only other revision is not fit to return to"
    return f"none of the {len(passed)} other revisions is fit to return to"


def _without_annotations(template: Json, keys: tuple[str, ...] | None = None) -> Json:
    metadata = dict(template.get("metadata") or {})
    kept = dict(metadata.pop("annotations", None) or {})
    if keys is not None:
        metadata["annotations"] = {k: v for k, v in kept.items() if k not in keys}
    return {**template, "metadata": pruned(metadata)}
