"""Values that are given to policies: where each came from, and where a scalar has one in it.

Decides how a problem names the place of a value. Does not know types (`declared`) and does not
put values into policies (`replace`).
"""

from __future__ import annotations

from dataclasses import dataclass

from deploy_guard.policy.problems import Problem, Severity, visible
from deploy_guard.policy.scalars import Scalar
from deploy_guard.policy.source import Source


@dataclass(frozen=True, slots=True)
class Given:
    """The text of one value; without `source` it is from the command line.

    `start` and `end` are the span of the text in the source, `name_at` is that of its name.
    """

    name: str
    text: Scalar
    source: Source | None = None
    start: int = 0
    end: int = 0
    name_at: tuple[int, int] = (0, 0)

    @property
    def where(self) -> str:
        """Where it was given: ``file:line:column``, or ``--set NAME``."""
        if self.source is None:
            return f"--set {self.name}"
        line, column = self.source.spot(self.start)
        return f"{self.source.file}:{line}:{column}"

    def problem(
        self,
        code: str,
        message: str,
        *,
        help: str = "",
        severity: Severity = Severity.ERROR,
        docs: str = "",
    ) -> Problem:
        """Return a problem at the place where the value was given."""
        if self.source is None:
            text, help = visible(message), visible(help)
            return Problem(code, text, self.where, help=help, severity=severity, docs=docs)
        return self.source.problem(
            code, message, self.start, self.end, help=help, severity=severity, docs=docs
        )

    def unknown(self, *, help: str, docs: str) -> Problem:
        """Return the problem of a value that no policy declares, with what may be shown."""
        code, message = "unknown-value", f"no policy declares the value '{self.name[:60]}'"
        if self.source is None:
            return self.problem(code, message, help=help, docs=docs)
        problem = self.source.problem(code, message, *self.name_at, help=help, docs=docs)
        return self.source.illustrate(problem)

    def hide(self) -> None:
        """Let no problem show the text: it stands where a secret may be."""
        if self.source is not None:
            self.source.hidden.append((self.start, self.end))


@dataclass(frozen=True, slots=True)
class Use:
    """One value in a scalar: its span in the scalar as written, and in what became of it."""

    given: Given
    written: tuple[int, int]
    made: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Made:
    """How a scalar was made: the text as written, and the values that it has now."""

    written: Scalar
    uses: tuple[Use, ...]

    @property
    def whole(self) -> Given | None:
        """The value that is all of the scalar, if one is."""
        only = self.uses[0]
        return only.given if only.written == (0, len(self.written)) else None

    def origin(self, offset: int) -> tuple[int, int]:
        """Return the span in the written text of an index in what became of it.

        All of a value comes from all of its ``{{ values.NAME }}``.
        """
        shift = 0
        for use in self.uses:
            if offset < use.made[0]:
                break
            if offset < use.made[1]:
                return use.written
            shift = use.written[1] - use.made[1]
        return offset + shift, offset + shift + 1

    @property
    def says(self) -> str:
        """Name the values that are a part of the scalar, and where they came from."""
        found = dict.fromkeys(f"'{use.given.name}' from {use.given.where}" for use in self.uses)
        shown = ", ".join(list(found)[:3]) + (", …" if len(found) > 3 else "")
        return f"with the value{'s' if len(found) > 1 else ''} {shown}"
