"""The commands that stand in the examples, read from the files as CI servers would read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
FENCE = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
JENKINS = re.compile(r"\bsh '([^']+)'|\bscript: '([^']+)'")


def load(file: str) -> Any:
    """Return the content of a YAML file of the examples."""
    return yaml.safe_load((EXAMPLES / file).read_text())


def github(file: str = "github-actions.yml") -> list[str]:
    """Return the `run:` scripts of all jobs, in order."""
    jobs = load(file)["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def gitlab() -> list[str]:
    """Return the script lines of all jobs, each job begun by `before_script`, in order."""
    content = load("gitlab-ci.yml")
    before = content["default"]["before_script"]
    jobs = [job for job in content.values() if isinstance(job, dict) and "script" in job]
    return [line for job in jobs for line in (*before, *job["script"])]


def jenkins() -> list[str]:
    """Return the shell steps, in order."""
    text = (EXAMPLES / "Jenkinsfile").read_text()
    return [one or other for one, other in JENKINS.findall(text)]


def fenced(file: str) -> list[str]:
    """Return the fenced bash blocks of a Markdown file, in order."""
    return [block.strip() for block in FENCE.findall((EXAMPLES / file).read_text())]


def hook(file: Path, name: str) -> dict[str, Any]:
    """Return the hook of this id in a pre-commit file."""
    content = yaml.safe_load(file.read_text())
    hooks = content if isinstance(content, list) else content["repos"][0]["hooks"]
    (found,) = (hook for hook in hooks if hook["id"] == name)
    return dict(found)
