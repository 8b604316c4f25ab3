"""Records of real watches, each made once by a process of tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_guard.model import Outcome

from .recording import STORIES, shop

Told = tuple[Path, Outcome]
Stories = Callable[[str], Told]


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Stories:
    """Return the directory of a story's record and its outcome; watch it when first asked."""
    known: dict[str, Told] = {}

    def tell(name: str) -> Told:
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            with shop(folder) as deployed:
                known[name] = folder / "report", STORIES[name](deployed, folder / "report")
        return known[name]

    return tell
