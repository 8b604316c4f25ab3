"""Write the reviewed screens anew: run it from the directory `tests`, then read the difference.

python -m outputs.renew_screens
"""

from __future__ import annotations

from deploy_guard.outputs import summary
from outputs.samples import OUTCOMES
from outputs.test_summary import GOLDEN


def main() -> None:
    """Write one file for each way in which a watch can end."""
    GOLDEN.mkdir(exist_ok=True)
    for name, outcome in OUTCOMES.items():
        (GOLDEN / f"{name}.txt").write_text(summary.text(outcome), encoding="utf-8")


if __name__ == "__main__":
    main()
