"""Numbers as on-call engineers read them: percentages, durations, counts, p-values."""

from __future__ import annotations

import math

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def percent(fraction: float | None) -> str:
    """Return ``0.11 %``, ``3.2 %``, ``50 %``, ``99.9 %``.

    Two significant digits, whole above 10 %; above 99 % two digits of what is missing to 100 %.
    """
    if fraction is None or math.isnan(fraction):
        return "–"
    value = fraction * 100
    if value == 0:
        return "0 %"
    if value < 0:
        return "-" + percent(-fraction)
    if value < 0.001:
        return "< 0.001 %"
    missing = 100 - value
    if 1e-9 < missing < 1:
        return "> 99.999 %" if missing < 0.001 else f"{_rounded(value, missing)} %"
    return f"{value:.0f} %" if value >= 9.95 else f"{_rounded(value, value)} %"


def _rounded(value: float, size: float) -> str:
    """Return the value with as many decimals as give `size`, below 10, two significant digits."""
    digits = max(0, 1 - math.floor(math.log10(size)))
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def seconds(value: float | None) -> str:
    """Return ``340 ms``, ``1.2 s``, ``2 m 5 s``, ``3 h 30 m``, ``2 d 4 h``."""
    if value is None or math.isnan(value):
        return "–"
    if value < 0:
        return "-" + seconds(-value)
    if math.isinf(value):
        return "∞"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms" if value >= 0.0095 else f"{value * 1000:.2g} ms"
    if value < 9.95:
        return f"{value:.1f}".rstrip("0").rstrip(".") + " s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    for size, unit, part, part_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m")):
        if whole >= size:
            rest = whole % size // part
            return (
                f"{whole // size} {unit} {rest} {part_unit}" if rest else f"{whole // size} {unit}"
            )
    return f"{whole // 60} m {whole % 60} s" if whole % 60 else f"{whole // 60} m"


def count(value: float) -> str:
    """Return ``1,204``; fractions (estimated counts) keep one digit below 100."""
    if not math.isfinite(value):
        return "–"
    if abs(value - round(value)) < 0.05 or abs(value) >= 100:
        return f"{round(value):,}"
    return f"{value:.1f}"


def number(value: float | None) -> str:
    """Return a plain number with at most four significant digits, thousands separated."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if abs(value) >= 999.95:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def quantity(value: float | None, unit: str) -> str:
    """Return the value of a signal in its unit: ``ratio``, ``seconds``, or a plain number."""
    if unit == "ratio":
        return percent(value)
    return seconds(value) if unit == "seconds" else number(value)


def chance(p_value: float) -> str:
    """Return ``p < 10⁻⁶`` (the next power of ten above) or ``p = 0.03``."""
    if p_value >= 0.001:
        return f"p = {p_value:.2g}"
    exponent = -300 if p_value <= 1e-300 else math.floor(math.log10(p_value)) + 1
    return f"p < 10{str(exponent).translate(_SUPERSCRIPTS)}"


def plural(n: int, word: str) -> str:
    """Return ``1 pod``, ``3 pods``."""
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"
