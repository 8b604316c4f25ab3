"""`guard check`: what is wrong with policies, without a cluster; every file on its own.

Decides what counts as a failed check, and in which forms it is told. The rules are the policy's
own; reading signals of a live target is `check_live`'s.
"""

from __future__ import annotations

from deploy_guard.check.as_json import document, problem_document
from deploy_guard.check.as_text import show
from deploy_guard.check.reading import check, each
from deploy_guard.check.reports import FileReport, Report, Tally

__all__ = [
    "FileReport",
    "Report",
    "Tally",
    "check",
    "document",
    "each",
    "problem_document",
    "show",
]
