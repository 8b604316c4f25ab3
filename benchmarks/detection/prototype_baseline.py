"""What the second prototype learns from the time before the deploy.

Decides nothing of its own: fixed formulas, vectorised over deploys.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from benchmarks.detection.reference import capped, overdispersion, ratios
from benchmarks.detection.setting import Array, Mask, Rows
from benchmarks.detection.traces import Traces

WATCH = 1800.0  # seconds


@dataclass(frozen=True, slots=True)
class Learned:
    """The baseline of each deploy, as the formulas need it.

    `p` is the healthy ratio, `raw` that of all counts; `v15`, `v60` and `v300` the overdispersion
    at so many seconds; `phi` the fast one; `spread` the one for outages, `limit` their ratio.
    """

    exists: Mask
    errors: Array
    raw: Array
    p: Array
    v15: Array
    v60: Array
    v300: Array
    phi: Array
    spread: Array
    limit: Array
    level: Array

    def of(self, rows: Rows) -> Learned:
        """Return some deploys' part."""
        return Learned(*(getattr(self, field.name)[rows] for field in fields(self)))

    def variance(self, seconds: Array) -> Array:
        """Return the relative variance to expect in a window of that length."""
        longer = np.where(seconds < 300, 2.5 * self.v60, 3 * self.v300)
        return np.minimum(4, np.where(seconds < 60, 2.5 * self.v15, longer) + 0.025)

    @property
    def size_60(self) -> Array:
        """The size of the negative binomial distribution of a minute."""
        return 1 / (1 / (self.errors + 1) + np.minimum(4, 2.5 * self.v60 + 0.025))


def learn(traces: Traces) -> Learned:
    """Learn from the baseline in bins of at least 15 s."""
    group = max(1, int(np.ceil(15 / traces.step)))
    bins = traces.base_errors.shape[1] // group
    if not bins:
        return _nothing(traces.count)
    x, n = (_merged(c, group, bins) for c in (traces.base_errors, traces.base_requests))
    merged = replace(traces, step=traces.step * group, base_errors=x, base_requests=n)
    errors, requests = x.sum(1), np.maximum(1, n.sum(1))
    raw = (errors + 1) / requests
    p = (capped(x, n, np.ceil(0.2 * (x > 0).sum(1)))[0] + 1) / requests
    for seconds in (300, 900):  # the level just before the deploy, if clearly higher
        some = max(1, int(seconds // merged.step))
        late = x[:, -some:].sum(1)
        p = np.maximum(p, (late - 2 * np.sqrt(late)) / np.maximum(1, n[:, -some:].sum(1)))
    v15, v60, v300 = (
        overdispersion(merged, raw, max(1, int(s // merged.step))) for s in (15, 60, 300)
    )
    v60 = np.maximum(v60, v300)
    v15 = np.maximum(v15, v60)
    surely = ratios(x - 2 * np.sqrt(x), n).max(1)
    return Learned(
        exists=n.sum(1) > 0,
        errors=errors,
        raw=raw,
        p=p,
        v15=v15,
        v60=v60,
        v300=v300,
        phi=_fast(x, n * raw[:, None]),
        spread=np.maximum(3, 1 + v15 * raw * requests / bins),
        limit=np.minimum(0.9, np.maximum(0.05, np.maximum(3 * raw, 2 * surely))),
        level=4e-5 * np.clip(10 / (p * requests * WATCH / (bins * merged.step)), 1, 6),
    )


def _merged(counts: Array, group: int, bins: int) -> Array:
    merged: Array = counts[:, -group * bins :].reshape(len(counts), bins, group).sum(2)
    return merged


def _fast(x: Array, mu: Array) -> Array:
    """Return the dispersion from bin to bin, which is blind to drift."""
    jumps = (np.diff(x - mu, axis=1) ** 2).sum(1) / 2
    expected = (mu[:, 1:] + mu[:, :-1]).sum(1) / 2
    found: Array = np.maximum(1, jumps / np.maximum(expected, 1e-300))
    return found


def _nothing(count: int) -> Learned:
    zero, one = np.zeros(count), np.ones(count)
    return Learned(
        zero > 0, zero, zero, zero, zero, zero, zero, 3 * one, 3 * one, 0.5 * one, 4e-5 * one
    )
