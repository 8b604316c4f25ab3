"""Reads a text as a policy file."""

from pathlib import Path

import pytest

from deploy_guard.policy.load import Loaded, inspect

from .good import Read


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that writes a text (or bytes) to policy.yaml and reads it as a policy."""

    def read_text(text: str | bytes, *, prometheus_given: bool = False) -> Loaded:
        file = tmp_path / "policy.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return inspect([file], prometheus_given=prometheus_given)

    return read_text
