"""Reads texts as policy files."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir
from pathlib import Path

import pytest

from deploy_guard.policy.load import Loaded, inspect
from deploy_guard.policy.values import read_values

from .good import Read

ReadAll = Callable[..., Loaded]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that writes a text (or bytes) to policy.yaml and reads it as a policy."""

    def read_text(text: str | bytes, *, prometheus_given: bool = False) -> Loaded:
        file = tmp_path / "policy.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return inspect([file], prometheus_given=prometheus_given)

    return read_text


@pytest.fixture
def read_all(tmp_path: Path) -> Iterator[ReadAll]:
    """Give a function that writes files and reads the first one (or `only`) as a policy.

    The folder is the current directory, so that problems have short names. `given` are settings
    of --set; files that end in .values.yaml are files of --values.
    """

    def read_files(
        files: Mapping[str, str],
        *given: str,
        only: str | list[str] | None = None,
        abstract_too: bool = False,
    ) -> Loaded:
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        values = read_values([n for n in files if n.endswith(".values.yaml")], given)
        names = only or next(iter(files))
        names = [names] if isinstance(names, str) else names
        return inspect(names, values=values, abstract_too=abstract_too)

    with chdir(tmp_path):
        yield read_files
