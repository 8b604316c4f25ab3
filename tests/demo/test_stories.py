"""`guard demo STORY` as a newcomer runs it: the exit code, the verdict, and what goes where."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy_guard.cli.demo import STORIES as DOCUMENTED
from deploy_guard.demo.stories import STORIES

ENDINGS = {  # verdict, action, recovery, and the signals of which at least one is to blame
    "healthy": ("healthy", "none", None, set()),
    "shared-outage": ("inconclusive", "none", None, set()),
    "slow": ("regressed", "rolled_back", "recovered", {"latency"}),
    "never-ready": ("regressed", "rolled_back", "recovered", {"kubernetes"}),
    "outage": ("regressed", "rolled_back", "recovered", {"payments", "errors", "latency"}),
}


@contextmanager
def demo(*arguments: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run `guard demo`; killed at the end if it still runs. Temporary files go to `folder`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy_guard", "demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "TMPDIR": str(folder), "HOME": str(folder)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def lines_until(process: subprocess.Popen[str], part: str) -> list[str]:
    """Return the lines of stderr up to the first one with this part."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if part in line:
            return lines
    raise AssertionError(f"never told: {part!r}; told was:\n{''.join(lines)}")


def assert_ending(name: str, document: dict[str, Any]) -> None:
    """Fail unless the document of a story is the one that its description promises."""
    verdict, action, recovered, accused = ENDINGS[name]
    found = (document["verdict"], document["action"], document["recovered"])
    assert found == (verdict, action, recovered), document["reason"]
    bad = {e["signal"] for e in document["evidence"] if e["finding"] == "bad"}
    assert bad & accused if accused else not bad


# They mostly wait, so two at a time; the outage is played in test_serve.
@pytest.mark.parametrize("names", [("healthy", "shared-outage"), ("slow", "never-ready")])
def test_every_story_ends_as_it_is_told(names: tuple[str, ...], tmp_path: Path) -> None:
    """Each story exits with 0 and gives its documented ending, as one JSON document on stdout."""
    with ExitStack() as stack:
        processes = {}
        for name in names:
            folder = tmp_path / name
            folder.mkdir()
            arguments = (name, "-o", "json", "--report", str(folder / "report"))
            processes[name] = stack.enter_context(demo(*arguments, folder=folder))
        for name, process in processes.items():
            stdout, stderr = process.communicate(timeout=120)
            assert process.returncode == 0, stderr
            assert "Traceback" not in stderr
            found = json.loads(stdout)
            assert_ending(name, found)
            report = tmp_path / name / "report"
            assert json.loads((report / "outcome.json").read_text()) == found
            assert list((tmp_path / name).iterdir()) == [report]  # the cluster leaves nothing


def test_the_stories_are_the_documented_ones() -> None:
    """The help and the page know every story that can be played, and no other."""
    page = (Path(__file__).parents[2] / "docs/demo.md").read_text()
    assert set(STORIES) == set(DOCUMENTED) == set(ENDINGS)
    assert all(f"`guard demo {name}`" in page for name in STORIES if name != "outage")
    assert "`guard demo` (`outage`)" in page


@pytest.mark.parametrize(
    ("moment", "number"),
    [("version 1 serves", signal.SIGTERM), ("watching for", signal.SIGINT)],
)
def test_an_interrupted_story(moment: str, number: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C before or during the watch ends the story with 130 and leaves nothing behind."""
    with demo("healthy", folder=tmp_path) as process:
        lines_until(process, moment)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "should have ended otherwise" not in stdout
    assert not list(tmp_path.iterdir())
