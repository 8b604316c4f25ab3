"""How two contents of a ConfigMap or Secret differ, in words for a person.

Decides what is shown: of a ConfigMap the lines that differ, without what may be a secret; of binary
values their sizes; of a Secret only which keys differ, never a value or its length. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher

from deploy_guard.cluster.references import SECRET
from deploy_guard.configuration.index import Kept
from deploy_guard.configuration.objects import Contents
from deploy_guard.masking import ABSENT, HIDDEN, masked_lines
from deploy_guard.model import Change
from deploy_guard.secret_names import find

MOST_LINES = 20  # of one key that are shown
LONGEST = 5_000  # lines of a text that are compared one by one
DIFFERS = "(hidden, differs)"


def changes(kept: Kept, now: Contents, wanted: Contents) -> tuple[Change, ...]:
    """Return the differences by key, from what is live now to what a restore puts back."""
    return tuple(_changes(kept, now, wanted))


def _changes(kept: Kept, now: Contents, wanted: Contents) -> Iterator[Change]:
    for key in sorted({*now.text, *wanted.text}):
        before, after = now.text.get(key), wanted.text.get(key)
        if before != after:
            yield from _text(f"{kept} key {key}", key, before, after)
    show = _hidden if kept.kind == SECRET else _size
    for key in sorted({*now.binary, *wanted.binary}):
        before, after = now.binary.get(key), wanted.binary.get(key)
        if before != after:
            yield _told(f"{kept} key {key}", show(before), show(after))


def _text(where: str, key: str, before: str | None, after: str | None) -> Iterator[Change]:
    """Show a text by the lines that differ; in one where it is one line, new, gone or a secret."""
    both = before is not None and after is not None
    lines = max((before or "").strip().count("\n"), (after or "").strip().count("\n"))
    if both and 0 < lines < LONGEST and find(key) is None:
        yield from _lines(where, before or "", after or "")
    else:
        yield _told(where, _whole(key, before), _whole(key, after))


def _lines(where: str, before: str, after: str) -> Iterator[Change]:
    old, new = before.split("\n"), after.split("\n")
    shown_old, shown_new = masked_lines(before), masked_lines(after)
    left = MOST_LINES
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        for n in range(max(i2 - i1, j2 - j1)):
            if left == 0:
                yield Change(where, "…", "… and more lines")
                return
            left -= 1
            one = shown_old[i1 + n].strip() if i1 + n < i2 else ABSENT
            other = shown_new[j1 + n].strip() if j1 + n < j2 else ABSENT
            yield _told(f"{where} line {i1 + n + 1}", one, other)


def _told(where: str, before: str, after: str) -> Change:
    """Make a change of two texts that were shortened or hidden and may look the same by that."""
    if before == after:
        after = DIFFERS if HIDDEN in after else f"{after} (differs)"
    return Change(where, before, after)


def _whole(key: str, text: str | None) -> str:
    if text is None:
        return ABSENT
    if find(key) is not None:
        return HIDDEN
    lines = text.strip("\n").count("\n") + 1
    return f"{lines} lines" if lines > 1 else masked_lines(text.strip("\n"))[0].strip()


def _hidden(value: str | None) -> str:
    return ABSENT if value is None else HIDDEN


def _size(value: str | None) -> str:
    return ABSENT if value is None else f"{len(value.rstrip('=')) * 3 // 4} bytes"
