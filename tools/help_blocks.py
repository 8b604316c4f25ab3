"""Write the help texts in Markdown files anew: tools/help_blocks.py FILE…

A fenced block that begins with `$ guard … --help` is followed by what that command prints.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"^```console\n\$ guard( \w+)? --help\n.*?^```$", re.MULTILINE | re.DOTALL)


def filled(block: re.Match[str]) -> str:
    """Return the block with the command's output of now."""
    words = [word for word in [(block[1] or "").strip()] if word]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GUARD_")}
    done = subprocess.run(
        [sys.executable, "-m", "deploy_guard", *words, "--help"],
        env={**kept, "COLUMNS": "100"},
        check=True,
        capture_output=True,
        text=True,
    )
    command = " ".join(["guard", *words, "--help"])
    return f"```console\n$ {command}\n{done.stdout.strip()}\n```"


def main() -> None:
    """Renew the files that are named on the command line."""
    for name in sys.argv[1:]:
        file = Path(name)
        file.write_text(BLOCK.sub(filled, file.read_text()))


if __name__ == "__main__":
    main()
