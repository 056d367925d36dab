"""How different are two groups? Standardised mean differences for table 1 (表1)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats import _checks


def smd_mean(mean1: float, sd1: float, mean0: float, sd0: float) -> float:
    """How many standard deviations apart are two means? Pooled as sqrt((s1^2 + s0^2) / 2).

    Two constants that differ are infinitely far apart (inf); equal constants are 0.
    Source: Austin PC (2009) Stat Med 28:3083-3107.
    """
    _checks.numbers([mean1, mean0], "平均")
    _checks.counts([sd1, sd0], "標準偏差")
    return _ratio(mean1 - mean0, float(np.sqrt((sd1**2 + sd0**2) / 2)))


def smd_levels(count1: Any, count0: Any) -> float:
    """How different are two groups over several categories (one element per category, aligned by key)?

    Mahalanobis distance of the shares with one category dropped; two categories give the size of
    Austin's binary form (2009). Groups that share no category are infinitely far apart, where a pseudo-inverse would
    wrongly report almost nothing.
    Source: Yang D, Dalton JE (2012) SAS Global Forum 335-2012.
    """
    one, zero = _checks.counts(count1, "群1の人数"), _checks.counts(count0, "群0の人数")
    _checks.same_length(群1=one, 群0=zero)
    if one.sum() <= 0 or zero.sum() <= 0:
        raise EstimateError("どちらかの群に1人もいないため、標準化差を計算できません。")
    p1, p0 = one / one.sum(), zero / zero.sum()
    used = (p1 + p0) > 0
    p1, p0 = p1[used][1:], p0[used][1:]
    if not len(p1):
        return 0.0
    spread = (np.diag(p1) - np.outer(p1, p1) + np.diag(p0) - np.outer(p0, p0)) / 2
    gap = p1 - p0
    solved = np.linalg.pinv(spread, hermitian=True) @ gap
    if not np.allclose(spread @ solved, gap, atol=1e-9):
        return float("inf")
    return float(np.sqrt(max(gap @ solved, 0.0)))


def _ratio(gap: float, spread: float) -> float:
    if spread > 0:
        return gap / spread
    return 0.0 if gap == 0 else float(np.copysign(np.inf, gap))
