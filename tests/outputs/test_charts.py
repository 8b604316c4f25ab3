"""Charts in the terminal: within their size, every line, limit and moment is to be seen."""

from __future__ import annotations

import math

from hypothesis import example, given
from hypothesis import strategies as st

from deploy_guard.outputs.charts import LIMIT, MARKS, TOGETHER, Line, Mark, chart

NUMBERS = st.floats(-1e9, 1e9) | st.just(math.nan)


def seconds(value: float) -> str:
    """Write a moment."""
    return f"{value:.0f} s"


def share(value: float) -> str:
    """Write a ratio."""
    return f"{value:.0%}"


def test_lines_limit_and_moments_are_drawn() -> None:
    """The legend names what the picture shows, the axes their ends."""
    lines = [Line("new", [(0, 0.1), (10, 0.9)]), Line("old", [(0, 0.2), (10, 0.2)])]
    drawn = chart(lines, x=seconds, y=share, marks=[Mark("verdict", 5)], limit=0.5, height=6)
    rows = drawn.splitlines()
    assert len(rows) == 8
    assert rows[0].startswith("90% ┤")
    assert rows[0].endswith(MARKS[0])
    assert rows[5].startswith(" 0% ┤")
    assert LIMIT in rows[2]
    assert rows[6].split() == ["0", "s", "10", "s"]
    assert rows[7] == "  ● new   ○ old   ┄ limit 50%   │ verdict 5 s"


def test_no_line_hides_another() -> None:
    """Where two lines have a point in one place, it says so: the old pods were as bad."""
    new, old = [(0, 1.0), (5, 0.0), (10, 1.0)], [(0, 1.0), (5, 1.0)]
    drawn = chart([Line("new", new), Line("old", old)], x=seconds, y=share, height=4, width=21)
    rows = drawn.splitlines()
    assert rows[0].split("┤")[1].split() == [TOGETHER, MARKS[1], MARKS[0]]
    assert rows[3].split("┤")[1].split() == [MARKS[0]]
    assert rows[-2:] == ["  ● new   ○ old", f"  {TOGETHER} several in one place"]


def test_without_a_number_there_is_no_chart() -> None:
    """Gaps alone give nothing."""
    assert chart([Line("new", [(0, math.nan)])], x=seconds, y=share) == ""


@example([(5e-324, 0.0)], None)
@example([(0.0, 5e-324)], None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=20), st.none() | st.floats(-1e9, 1e9))
def test_any_points_fit_into_the_chart(
    points: list[tuple[float, float]], limit: float | None
) -> None:
    """Whatever the numbers are, no row is wider than asked for."""
    drawn = chart(
        [Line("new", points)], x=lambda _: "x", y=lambda _: "y", width=30, height=5, limit=limit
    )
    assert all(len(row) <= 33 for row in drawn.splitlines()[:6])


def test_a_long_legend_has_rows() -> None:
    """The legend is no wider than the chart, and names everything in its order."""
    lines = [Line("new pods", [(0, 0.1), (90, 0.9)]), Line("old pods", [(0, 0.2), (90, 0.3)])]
    marks = [Mark("verdict", 45), Mark("expected by", 60), Mark("expected after", 30)]
    drawn = chart(lines, x=seconds, y=share, marks=marks, limit=0.5, width=40, height=4)
    legend = drawn.splitlines()[5:]
    assert len(legend) > 1 and max(map(len, legend)) <= 40 + len("90%") + 2
    words = " ".join(" ".join(legend).split())
    assert words.index("limit 50%") < words.index("verdict 45 s") < words.index("by 60 s")
    assert words.endswith("expected after 30 s")
