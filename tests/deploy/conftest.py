"""The shop that is deployed to, and `guard deploy` as a pipeline runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from watch.conftest import busy, shop
from watch.shop import POLICY, Shop

__all__ = ["busy", "shop"]  # fixtures of the watch's tests, which pytest finds here too

DEPLOYER = Path(__file__).with_name("deployer.py")


def deployer(*steps: str) -> list[str]:
    """Return the command line of a deploy with these steps."""
    return [sys.executable, str(DEPLOYER), *steps]


@dataclass
class Runner:
    """Runs `guard deploy deployment/web` in a folder of its own."""

    shop: Shop
    folder: Path
    target: str = "deployment/web"
    duration: str = "3s"
    extra: dict[str, str] = field(default_factory=dict)

    def words(self, command: Sequence[str], options: Sequence[str]) -> list[str]:
        """Return the command line of guard."""
        policy = self.folder / "policy.yaml"
        policy.write_text(POLICY.replace("FOR", self.duration))
        start = [sys.executable, "-m", "deploy_guard", "deploy", self.target, "-p", str(policy)]
        settle = [] if "--settle" in options else ["--settle", "500ms"]
        return [*start, *settle, *options, "--", *command]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of guard, and so of the command."""
        kubeconfig = str(self.shop.kubeconfig)
        return {"PATH": os.environ["PATH"], "KUBECONFIG": kubeconfig, **self.extra}

    def __call__(self, *options: str, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self.words(command, options),
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @contextmanager
    def running(self, *options: str, command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
        """Run it in a session of its own; killed at the end if it still runs."""
        process = subprocess.Popen(
            self.words(command, options),
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def wait_for(process: subprocess.Popen[str], *parts: str) -> None:
    """Read stderr until each of these words was told, in any order."""
    assert process.stderr is not None
    told = ""
    for line in process.stderr:
        told += line
        if all(part in told for part in parts):
            return
    raise AssertionError(f"never told: {parts}; told were:\n{told}")


@pytest.fixture
def guard(busy: Shop, tmp_path: Path) -> Runner:
    """Run `guard deploy` on the busy shop."""
    return Runner(busy, tmp_path)
