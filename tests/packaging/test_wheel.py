"""What users install is the wheel: it has all that the command needs, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with what is installed, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (found,) = folder.glob("*.whl")
    return found


def tracked() -> set[str]:
    """Return the files of the package that belong into the wheel."""
    source = ROOT / "src"
    return {
        str(file.relative_to(source))
        for file in (source / "deploy_guard").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    """Modules, py.typed and data files are all in the wheel; only metadata is added."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == tracked()
    assert "deploy_guard/py.typed" in names


def test_the_wheel_declares_both_commands(wheel: Path) -> None:
    """guard and kubectl-guard are console scripts."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        lines = archive.read(name).decode().splitlines()
    assert "guard = deploy_guard.__main__:main" in lines
    assert "kubectl-guard = deploy_guard.__main__:main" in lines


@pytest.mark.parametrize(
    "arguments", [["--version"], ["schema"], ["check", str(ROOT / "policies")]]
)
def test_the_command_runs_from_the_wheel(wheel: Path, tmp_path: Path, arguments: list[str]) -> None:
    """The code in the wheel runs by itself, away from the checkout."""
    script = (
        "import sys, deploy_guard; assert '.whl' in deploy_guard.__file__, deploy_guard.__file__\n"
        "from deploy_guard.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": str(wheel)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
