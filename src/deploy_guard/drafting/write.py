"""The text of a drafted policy: YAML with comments, as a person would have written it.

Decides layout and quoting, nothing else. No text from outside can end a comment or a value.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence

from deploy_guard.drafting.compose import Draft, SignalDraft
from deploy_guard.policy.problems import visible

WIDTH = 100
_TOGETHER = "\u00a0%"  # with a space at which no line ends
_PLAIN = re.compile(
    r"[A-Za-z0-9/][A-Za-z0-9 ./%_-]*|https?://[A-Za-z0-9][A-Za-z0-9./:_-]*[a-z0-9/]"
)
_FLOW = re.compile(r"\{[a-z_]+: [0-9A-Za-z_.%]+(, [a-z_]+: [0-9A-Za-z_.%]+)*\}")
_WORDS = re.compile(r"(true|false|yes|no|on|off|null|~|y|n)", re.IGNORECASE)


def write(
    draft: Draft,
    *,
    name: str,
    head: Sequence[str],
    prometheus: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the text of a policy file; `head` are the paragraphs of its first comment."""
    lines: list[str] = []
    for number, paragraph in enumerate(head):
        lines += [*(["#"] if number else []), *comment(paragraph)]
    lines += ["version: 1", f"name: {scalar(name)}", ""]
    if prometheus:
        lines += ["prometheus:", *(f"  {key}: {scalar(value)}" for key, value in prometheus), ""]
    lines.append("watch:")
    for key, choice in draft.watch:
        lines += [*comment(_sentence(choice.why), 2), f"  {key}: {choice.value}"]
    if draft.kubernetes is not None:
        lines += ["", "kubernetes:", *comment(_sentence(draft.kubernetes.why), 2)]
        lines.append(f"  unready: {draft.kubernetes.value}")
    lines.append("")
    lines.append("signals:" if draft.signals else "signals: []")
    for number, signal in enumerate(draft.signals):
        lines += [*([""] if number else []), *_signal(signal)]
    if draft.remarks:
        lines += ["", *comment("Not watched, and what was seen beside it:")]
        lines += [line for remark in draft.remarks for line in _bullet(remark)]
    return "\n".join(lines) + "\n"


def _signal(signal: SignalDraft) -> list[str]:
    lines = comment(signal.about, 2)
    for key, value, why in signal.keys:
        lead = "  - " if key == "name" else "    "
        lines += comment(why, 4) if why else []
        if isinstance(value, dict):
            lines.append(f"{lead}{key}:")
            for role, query in value.items():
                lines += [f"      {role}: >-", f"        {query}"]
        elif key == "latency":
            lines += [f"{lead}{key}: >-", f"      {value}"]
        else:
            lines.append(f"{lead}{key}: {scalar(value)}")
    return lines


def comment(text: str, indent: int = 0) -> list[str]:
    """Return the lines of a comment."""
    lead = " " * indent + "# "
    return _wrapped(text, lead, lead)


def _bullet(text: str) -> list[str]:
    return _wrapped(f"{text}.", "# - ", "#   ")


def _wrapped(text: str, first: str, later: str) -> list[str]:
    """Return the lines of a text; a number and its percent sign stay together."""
    lines = textwrap.wrap(
        visible(text).replace(" %", _TOGETHER),
        WIDTH,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_TOGETHER, " %") for line in lines]


def scalar(value: str) -> str:
    """Return a value as YAML: plain where that is safe, else in double quotes."""
    if _FLOW.fullmatch(value) or value in ("true", "false"):
        return value
    if _PLAIN.fullmatch(value) and not _WORDS.fullmatch(value) and value == value.strip():
        return value
    return json.dumps(visible(value), ensure_ascii=False)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."
