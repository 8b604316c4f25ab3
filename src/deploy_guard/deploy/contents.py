"""The contents of the ConfigMaps and Secrets that the target reads: did the command change them?

Decides which keys differ, and how running pods get to see that, which depends on how they read
them. Contents stay in memory and are never shown; the copies that last are `configuration`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from deploy_guard.cluster.client import Cluster
from deploy_guard.cluster.errors import ApiError, NotFound
from deploy_guard.cluster.references import Use, mentions
from deploy_guard.cluster.snapshot import Json
from deploy_guard.configuration.at_once import at_once
from deploy_guard.configuration.objects import Contents, contents, path_of, sources
from deploy_guard.model import Target

_NOTHING = Contents({}, {})
_SEEN = {
    Use.ENV: "as environment: running pods keep the old values until they are restarted",
    Use.FIXED_FILES: "as files by subPath: running pods keep the old ones until they are restarted",
    Use.FILES: "as files: running pods get the new ones within a minute or two",
}


@dataclass(frozen=True, slots=True, order=True)
class Changed:
    """One ConfigMap or Secret with other contents: the keys, and how pods get to see them."""

    kind: str
    name: str
    keys: tuple[str, ...]
    uses: tuple[Use, ...]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def needs_restart(self) -> bool:
        """Whether running pods see the change only after a restart."""
        return bool({Use.ENV, Use.FIXED_FILES} & {*self.uses})

    @property
    def words(self) -> str:
        """What changed and how pods see it; never a value."""
        keys = ", ".join(self.keys[:5]) + (", …" if len(self.keys) > 5 else "")
        seen = "; ".join(words for use, words in _SEEN.items() if use in self.uses)
        named = f"{self} ({keys})" if keys else str(self)
        return f"{named} is read {seen}" if seen else f"{named}: no container reads what changed"


Known = dict[tuple[str, str], Contents]


def read_contents(
    cluster: Cluster, target: Target, template: Json | None
) -> tuple[Known, tuple[str, ...]]:
    """Read what a template refers to by (kind, name), and name what cannot be read.

    What does not exist has no contents.
    """
    wanted = sources(template) if template is not None else ()
    paths = [path_of(target, source.kind, source.name) for source in wanted]
    answers = at_once([partial(_read, cluster, path) for path in paths])
    known: Known = {}
    unseen = []
    for source, answer in zip(wanted, answers, strict=True):
        if isinstance(answer, ApiError):
            unseen.append(f"{source.kind} {source.name}")
        else:
            known[source.kind, source.name] = answer
    return known, tuple(unseen)


def changed_contents(template: Json | None, before: Known, after: Known) -> tuple[Changed, ...]:
    """Return what has other contents now, where both were seen, and how the template reads it."""
    found = []
    for kind, name in sorted(before.keys() & after.keys()):
        old, new = before[kind, name], after[kind, name]
        if old == new:
            continue
        keys = old.differing(new)
        uses = {
            m.use
            for m in mentions(template or {})
            if (m.kind, m.name) == (kind, name) and (not m.key or m.key in keys)
        }
        found.append(Changed(kind, name, keys, tuple(sorted(uses))))
    return tuple(found)


def _read(cluster: Cluster, path: str) -> Contents:
    try:
        return contents(cluster.get(path, patient=False))
    except NotFound:
        return _NOTHING
