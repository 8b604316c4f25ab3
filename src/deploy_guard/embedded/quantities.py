"""Amounts as Kubernetes writes them: ``500m``, ``1.5``, ``128Mi``, ``2e3``.

Decides how an amount is read and how a sum is written (apimachinery/pkg/api/resource/quantity.go).
"""

from __future__ import annotations

import re
from fractions import Fraction

FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d+))?")
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY: dict[str, int] = {
    f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", start=1)
}


def read_quantity(text: object) -> Fraction:
    """Return the amount that a quantity means. Raises ValueError for what is none."""
    match = FORM.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"quantity {text!r}: expected a number with a suffix such as m or Mi")
    number, suffix, exponent = match.groups()
    amount = Fraction(str(number))
    if exponent:
        return Fraction(amount * Fraction(10) ** int(exponent))
    if suffix in BINARY:
        return amount * BINARY[suffix]
    return Fraction(amount * Fraction(10) ** DECIMAL[suffix or ""])


def show_quantity(amount: Fraction, *, binary: bool) -> str:
    """Write an amount with the largest suffix that leaves a whole number."""
    if amount == 0:
        return "0"
    if binary and amount.denominator == 1:
        for suffix, size in reversed(BINARY.items()):
            if amount % size == 0:
                return f"{amount // size}{suffix}"
        return str(amount)
    for suffix, power in reversed(DECIMAL.items()):
        scaled = amount / Fraction(10) ** power
        if scaled.denominator == 1:
            return f"{scaled}{suffix}"
    return str(-(-amount * 10**9 // 1)) + "n"
