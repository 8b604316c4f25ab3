"""What a code host calls a file: its path from the top of the repository."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def top(environ: Mapping[str, str]) -> Path:
    """Return the top of the repository: GitHub's workspace, else the nearest with .git.

    Without either it is the current directory.
    """
    here = Path.cwd()
    if workspace := environ.get("GITHUB_WORKSPACE"):
        return Path(workspace)
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)


def relative(path: str, root: Path) -> str:
    """Return a path from the top of the repository; an absolute one for a file outside of it."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 (keeps links)
    resolved = Path(os.path.realpath(absolute.parent), absolute.name)
    for way, base in ((absolute, root), (resolved, Path(os.path.realpath(root)))):
        if way.is_relative_to(base):
            return way.relative_to(base).as_posix()
    return absolute.as_posix()


def shown(path: str) -> str:
    """Return a path as text that can be written: bytes that are no text are replaced."""
    return path.encode(errors="surrogateescape").decode(errors="replace")
