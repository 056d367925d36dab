"""What share, and how much more than another? Wilson intervals, their difference (Newcombe), ratios (Katz)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats import _checks
from kenpo_analytics.stats.estimate import FloatArray, Limits

NOTHING: dict[str, float | None] = {"estimate": None, "lower": None, "upper": None}
"""The cells of a number that does not exist."""


def wilson(events: Any, total: Any, *, level: float = 0.95) -> Limits:
    """Between which shares does the true proportion lie? Wilson score interval without continuity correction.

    `events` of `total`, arrays or scalars; fractional (effective) counts are allowed. 0 of n gives a lower limit of
    exactly 0, n of n an upper limit of exactly 1. A total of 0 is refused.

    Source: Wilson EB (1927) JASA 22:209-212; Newcombe RG (1998) Stat Med 17:857-872, method 3.
    """
    z = _checks.normal_quantile(level)
    k, n = _within(events, total)
    centre, half = k + z**2 / 2, z * np.sqrt(k * (n - k) / n + z**2 / 4)
    lower, upper = (centre - half) / (n + z**2), (centre + half) / (n + z**2)
    # the closed form leaves rounding residue of 1e-17 at the two ends, where the limit is known
    return Limits(np.where(k == 0, 0.0, np.clip(lower, 0, 1)), np.where(k == n, 1.0, np.clip(upper, 0, 1)))


def share(events: int, total: int, *, level: float = 0.95) -> dict[str, float | None]:
    """Which share of `total` are `events`? Cells of a row: estimate, lower, upper (Wilson); all null of nobody."""
    _checks.tail(level)
    if not total:
        return NOTHING.copy()
    limits = wilson(events, total, level=level)
    return {"estimate": events / total, "lower": float(limits.lower[0]), "upper": float(limits.upper[0])}


def newcombe(events1: Any, total1: Any, events0: Any, total0: Any, *, level: float = 0.95) -> Limits:
    """Between which values does the difference of two shares lie (first minus second)?

    Wilson's limits of both, squared and added. Source: Newcombe RG (1998) Stat Med 17:873-890, method 10.
    """
    one, zero = wilson(events1, total1, level=level), wilson(events0, total0, level=level)
    p1, p0 = np.asarray(events1) / np.asarray(total1), np.asarray(events0) / np.asarray(total0)
    below, above = np.hypot(p1 - one.lower, zero.upper - p0), np.hypot(one.upper - p1, p0 - zero.lower)
    return Limits(p1 - p0 - below, p1 - p0 + above)


def katz(events1: Any, total1: Any, events0: Any, total0: Any, *, level: float = 0.95) -> Limits:
    """Between which values does the ratio of two shares lie (first over second)? Log limits; both need events.

    Source: Katz D, Baptista J, Azen SP, Pike MC (1978) Biometrics 34:469-474.
    """
    z = _checks.normal_quantile(level)
    k1, n1 = _within(events1, total1)
    k0, n0 = _within(events0, total0)
    if none := int(((k1 == 0) | (k0 == 0)).sum()):
        raise EstimateError(f"分子が0の要素が{none}個あり、比の区間がありません。")
    ratio, spread = (k1 / n1) / (k0 / n0), np.exp(z * np.sqrt(1 / k1 - 1 / n1 + 1 / k0 - 1 / n0))
    return Limits(ratio / spread, ratio * spread)


def _within(events: Any, total: Any) -> tuple[FloatArray, FloatArray]:
    k, n = np.broadcast_arrays(_checks.counts(events, "分子"), _checks.positive(total, "分母"))
    above = int((k > n).sum())
    if above:
        raise EstimateError(f"分子が分母を超える要素が{above}個あります。")
    return k, n
