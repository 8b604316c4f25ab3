"""What a backtest found as text for people: each deploy, all in all, and the sweep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploy_guard import text
from deploy_guard.backtest.inject import Injection
from deploy_guard.backtest.judging import Judged
from deploy_guard.backtest.result import Result
from deploy_guard.backtest.statistics import PerMonth, Rate
from deploy_guard.backtest.sweep import Row, Seen, Sweep
from deploy_guard.model import KUBERNETES, Verdict
from deploy_guard.outputs import format as fmt

WIDTH = 100  # columns at most
NARROWEST = 40
_ALARMS = 10  # ordinary days that are told one by one
_MARKS = {
    Verdict.HEALTHY: ("✓", "32"),
    Verdict.REGRESSED: ("✗", "31"),
    Verdict.INCONCLUSIVE: ("…", "36"),
    Verdict.NO_DATA: ("?", "33"),
}


def show(result: Result, *, width: int = WIDTH, colour: bool = False) -> str:
    """Return the result as text of `width` columns, tables apart, without a newline at its end."""
    name = result.policy.name or "policy"
    lines = _wrapped(width, "", f"{name} on {result.source}")
    if result.interrupted:
        done = len(result.deploys) + len(result.ordinary)
        lines.append(f"interrupted: {done:,} of {result.asked:,} deploys were judged")
    lines += [line for note in result.notes for line in _wrapped(width, "  ! ", note)]
    for missing, why, count in result.missing:
        whole = len(result.deploys) + len(result.ordinary)
        of = "" if count == whole else f" (in {count:,} of {whole:,})"
        is_left_out = "" if missing == KUBERNETES else " is left out"  # some of it is seen
        lines += _wrapped(width, "  ! ", f"{missing}{is_left_out}{of}: {why}")
    if result.deploys:
        lines += ["", "deploys"]
        lines += [line for j in result.deploys for line in _deploy(j, result, width, colour=colour)]
    alarms = [j for j in result.ordinary if j.regressed]
    if alarms:
        lines += ["", "ordinary days that would have been rolled back"]
        lines += [x for j in alarms[:_ALARMS] for x in _deploy(j, result, width, colour=colour)]
        if len(alarms) > _ALARMS:
            lines.append(f"  … and {len(alarms) - _ALARMS:,} more")
    lines += ["", "in all", *_in_all(result, width)]
    if result.sweep is not None:
        lines += ["", *_sweep(result.sweep, width)]
    return "\n".join(lines)


def _deploy(judged: Judged, result: Result, width: int, *, colour: bool) -> Iterator[str]:
    deploy = judged.deploy
    mark, tone = _MARKS[judged.verdict] if judged.verdict is not None else ("–", "33")
    verdict = f"{mark} {_word(judged.verdict)}"
    if judged.seconds is not None:
        verdict += f" after {text.seconds(judged.seconds)}"
    if colour:
        verdict = f"\x1b[{tone}m{verdict}\x1b[0m"
    known = {True: " (known to be bad)", False: " (known to be good)", None: ""}[deploy.bad]
    at = fmt.stamp(deploy.at)
    label = f"  {fmt.clean(deploy.label)}" if deploy.label not in ("", at) else ""
    line = f"  {at}{label}{known}  {verdict}"
    if deploy.label in result.recorded:
        line += f"; the recorded watch: {_word(result.recorded[deploy.label])}"
    yield line
    if judged.verdict is not Verdict.HEALTHY:
        yield from _wrapped(width, "      ", judged.reason)


def _word(verdict: Verdict | None) -> str:
    return "no verdict" if verdict is None else verdict.value.replace("_", " ")


def _in_all(result: Result, width: int) -> Iterator[str]:
    whole = len(result.deploys) + len(result.ordinary)
    if not result.judged:
        why = "no deploy has data up to a verdict" if whole else "there is no deploy to judge"
        yield from _row(width, "judged", f"nothing: {why}")
    false, month = result.false, result.month
    if month is not None:
        days = text.plural(false.of, "ordinary day")
        yield from _row(width, "false rollbacks", f"{false.count} of {days}: {_share(false)}")
        of = f"{_number(month.deploys)} deploys a month ({result.frequency.origin})"
        yield from _row(width, "a month", f"{_monthly(month)}, at {of}")
        if result.limit is not None:
            above = month.estimate > result.limit + 1e-9
            word = "is above" if above else "is within"
            accepted = f"the accepted {_number(result.limit)}"
            yield from _row(width, "", f"{_number(month.estimate)} {word} {accepted}")
        yield from _row(width, "sensitivity", result.promise)
    real = [j for j in result.deploys if j.counts]
    if real:
        seen = sum(j.regressed for j in real)
        words = f"{seen} of {text.plural(len(real), 'deploy')} would have been rolled back"
        after = f", after {text.seconds(result.seconds)} (median)" if seen else ""
        yield from _row(width, "deploys", words + after)
    if result.caught.of:
        words = f"{result.caught.count} of {result.caught.of} known to be bad: "
        bad = sum(bool(j.deploy.bad) for j in result.deploys)
        unseen = bad - result.caught.of
        of_others = f"; {unseen} more could not be judged" if unseen else ""
        yield from _row(width, "caught", words + _share(result.caught) + of_others)
    if result.wronged.of:
        words = f"{result.wronged.count} of {result.wronged.of} known to be good"
        yield from _row(width, "wronged", f"{words} would have been rolled back")
    if result.recorded:
        yield from _row(width, "recorded", _agreement(result))
    if result.silent:
        count = sum(number for _, number in result.silent)
        why = ", ".join(f"{words} ({number:,})" for words, number in result.silent)
        yield from _row(width, "left open", f"{count:,} of {whole:,}: {why}")
    if whole < result.asked and not result.interrupted:
        yield from _row(width, "not read", f"{result.asked - whole:,} of {result.asked:,}")


def _row(width: int, name: str, words: str) -> list[str]:
    return fmt.wrap(fmt.clean(words), width=width, first=f"  {name:<17}", rest=" " * 19)


def _agreement(result: Result) -> str:
    pairs = [
        (j.verdict, result.recorded[j.deploy.label])
        for j in result.deploys
        if j.deploy.label in result.recorded
    ]
    same = sum(mine == theirs for mine, theirs in pairs)
    return (
        f"the same verdict as the recorded watch in {same} of {text.plural(len(pairs), 'record')}"
    )


def _share(found: Rate) -> str:
    """Return ``1 % (0.025 % to 5.4 %)``."""
    low, high = text.percent(found.low), text.percent(found.high)
    return f"{text.percent(found.share)} ({low} to {high}, 95 % confidence)"


def _monthly(month: PerMonth) -> str:
    return f"{_number(month.estimate)} ({_number(month.low)} to {_number(month.high)})"


def _number(value: float) -> str:
    """Write a number that is an estimate: two digits say all that is known."""
    if value >= 10 or value == 0:
        return text.number(float(round(value)))
    if value < 0.01:
        return "< 0.01"
    return text.number(float(f"{value:.2g}"))


def _wrapped(width: int, first: str, told: str) -> list[str]:
    rest = " " * fmt.cells(first)
    return fmt.wrap(fmt.clean(told), width=width, first=first, rest=rest)


def _sweep(found: Sweep, width: int) -> Iterator[str]:
    yield "sensitivity: false rollbacks against the time until a regression is seen"
    if all(row.month is None for row in found.rows):
        yield from _wrapped(width, "  → ", found.why)
        return
    yield from _wrapped(
        width,
        "  ",
        "injected on ordinary days: so many of the new pods' requests fail, or become slow; the "
        "median time until that is seen, and the share of the days on which it is seen at all; "
        "on average one that is never seen counts as the whole watch",
    )
    yield ""
    yield from _table(found)
    if drawn := _plot(found):
        yield ""
        yield from ("  " + line for line in drawn.splitlines())
        yield "    from left to right: the time on average, the most sensitive setting first"
    yield ""
    yield from _wrapped(width, "  → ", found.why)


def _table(found: Sweep) -> Iterator[str]:
    injections = [seen.injection for row in found.rows for seen in row.seen]
    columns = list(dict.fromkeys(injections))
    bad = any(row.bad.of for row in found.rows)
    heads = ["", "false", "a month"]
    heads += [f"{text.percent(i.share)} {i.kind}" for i in columns]
    heads += ["on average", *(["known bad"] if bad else [])]
    rows = [heads, *(_cells(row, found, columns, bad=bad) for row in found.rows)]
    widths = [max(fmt.cells(cell) for cell in column) for column in zip(*rows, strict=True)]
    for cells in rows:
        padded = [" " * (w - fmt.cells(c)) + c for c, w in zip(cells, widths, strict=True)]
        yield ("  " + "  ".join(padded)).rstrip()


def _cells(row: Row, found: Sweep, columns: Sequence[Injection], *, bad: bool) -> list[str]:
    own = "*" if row.sensitivity == found.own else " "
    mark = "→" if row.sensitivity == found.suggestion else " "
    seen = {each.injection: each for each in row.seen}
    cells = [
        f"{mark} {text.percent(row.sensitivity)}{own}",
        f"{row.false.count}/{row.false.of}",
        _monthly(row.month) if row.month is not None else fmt.NONE,
    ]
    cells += [_seen(seen[i]) if i in seen else fmt.NONE for i in columns]
    cells.append(text.seconds(row.delay))
    return [*cells, f"{row.bad.count}/{row.bad.of}"] if bad else cells


def _seen(seen: Seen) -> str:
    return f"{text.seconds(seen.median)} {text.percent(seen.caught.share):>5}"


def _plot(found: Sweep) -> str:
    """Draw the false rollbacks a month over the mean time until an injected regression is seen."""
    from deploy_guard.outputs.charts import Line, chart

    rows = [(r.delay, r.month) for r in found.rows if r.delay is not None and r.month is not None]
    estimate = Line("false rollbacks a month", [(d, m.estimate) for d, m in rows])
    upper = Line("upper estimate", [(d, m.high) for d, m in rows])
    return chart([estimate, upper], width=64, x=text.seconds, y=_number, limit=found.accepted)
