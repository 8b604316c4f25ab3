"""The page docs/signals.md names everything that a signal can say."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy_guard.model import NoDataReason
from deploy_guard.policy.template import VARIABLES
from deploy_guard.signals.kubernetes import TERMINATED, WAITING

PAGE = Path(__file__).parents[2] / "docs" / "signals.md"


@pytest.mark.parametrize("reason", list(NoDataReason))
def test_every_reason_for_no_data_is_explained(reason: NoDataReason) -> None:
    """A reader finds what each reason means and what to do."""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{reason}` |")]
    assert len(rows) == 1 and len(rows[0].split("|")) == 5


@pytest.mark.parametrize("symptom", [*WAITING, *TERMINATED])
def test_every_symptom_is_listed(symptom: str) -> None:
    """A reader finds every reason that the kubernetes signal takes for a symptom."""
    assert f"`{symptom}`" in PAGE.read_text()


@pytest.mark.parametrize("variable", list(VARIABLES))
def test_every_template_variable_is_listed(variable: str) -> None:
    """A reader finds every variable that a query may use."""
    assert f"`{{{{ {variable} }}}}`" in PAGE.read_text()
