"""The project's Markdown pages, as their readers' programs see them: fences, links, anchors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")
HEADING = re.compile(r"^#{1,6} (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Fence:
    """A fenced block: its language and its text."""

    language: str
    text: str


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        """The path from the top of the project."""
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        """The content."""
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The content without fenced blocks."""
        return FENCE.sub("", self.text)

    @property
    def fences(self) -> list[Fence]:
        """The fenced blocks."""
        return [Fence(language, text) for _, language, text in FENCE.findall(self.text)]

    @property
    def anchors(self) -> set[str]:
        """The anchors of the headings, as GitHub makes them."""
        found: set[str] = set()
        for heading in HEADING.findall(self.prose):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
            anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
            number = 0
            while (unique := f"{anchor}-{number}" if number else anchor) in found:
                number += 1
            found.add(unique)
        return found


def pages() -> list[Page]:
    """Return all pages of the project."""
    folders = [ROOT, ROOT / "docs", ROOT / "examples", ROOT / "benchmarks", ROOT / "tests"]
    files = [*ROOT.glob("*.md")]
    for folder in folders[1:]:
        files += folder.rglob("*.md")
    return [Page(file) for file in sorted(files)]
