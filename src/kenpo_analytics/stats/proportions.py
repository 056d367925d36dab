"""What share, and how sure? Wilson intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats import _checks
from kenpo_analytics.stats.estimate import Estimate, Limits


def wilson(events: Any, total: Any, *, level: float = 0.95) -> Limits:
    """Between which shares does the true proportion lie? Wilson score interval without continuity correction.

    `events` of `total`, arrays or scalars; fractional (effective) counts are allowed. 0 of n gives a lower limit of
    exactly 0, n of n an upper limit of exactly 1. A total of 0 is refused.

    Source: Wilson EB (1927) JASA 22:209-212; Newcombe RG (1998) Stat Med 17:857-872, method 3.
    """
    z = _checks.normal_quantile(level)
    k, n = np.broadcast_arrays(_checks.counts(events, "分子"), _checks.positive(total, "分母"))
    above = int((k > n).sum())
    if above:
        raise EstimateError(f"分子が分母を超える要素が{above}個あります。")
    centre, half = k + z**2 / 2, z * np.sqrt(k * (n - k) / n + z**2 / 4)
    lower, upper = (centre - half) / (n + z**2), (centre + half) / (n + z**2)
    # the closed form leaves rounding residue of 1e-17 at the two ends, where the limit is known
    return Limits(np.where(k == 0, 0.0, np.clip(lower, 0, 1)), np.where(k == n, 1.0, np.clip(upper, 0, 1)))


def proportion(
    events: float, total: float, *, level: float = 0.95, definition_version: str = "", as_of: int | None = None
) -> Estimate:
    """Which share of `total` are `events`, with its Wilson interval? One record."""
    limits = wilson(events, total, level=level)
    return Estimate(
        float(events) / float(total),
        float(limits.lower[0]),
        float(limits.upper[0]),
        level,
        "wilson",
        float(events),
        float(total),
        definition_version,
        as_of,
    )
