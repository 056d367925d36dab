"""Is this month unusual? XmR chart (管理図) of a monthly figure: natural limits from month to month movement."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats import _checks
from kenpo_analytics.stats.estimate import FloatArray

_SIGMAS, _D2, _D4 = 3.0, 1.128379167, 3.266531854  # d2 = 2 / sqrt(pi); D4 = 1 + 3 d3 / d2 for ranges of two
RUN = 8
MIN_VALUES = 6


@dataclass(frozen=True)
class ControlChart:
    """One element per month. `signal` is "", "beyond" (outside the limits) or "run" (the 8th or later on one side)."""

    value: FloatArray
    moving_range: FloatArray
    centre: float
    lower: float
    upper: float
    range_limit: float
    signal: tuple[str, ...]
    method: str = "xmr"

    def as_columns(self) -> dict[str, Any]:
        """Return everything by column name, ready for a data frame with one row per month."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def xmr(values: Any, *, baseline: int | None = None) -> ControlChart:
    """Which months stand out from the usual movement of a figure?

    Parameters
    ----------
    values
        One figure per month in order, without gaps: of one definition version, and not cumulative within the year.
    baseline
        How many of the first months set the limits; None: all.

    Notes
    -----
    Centre +- 3 x mean moving range / 1.128 (2.66 times it); the first moving range is NaN. Source: Wheeler DJ, Chambers
    DS (1992) Understanding Statistical Process Control; NIST/SEMATECH e-Handbook 6.3.2.2. A run of 8 on one side of the
    centre is Western Electric's rule 4. A trend or a season makes signals by itself.

    Raises
    ------
    EstimateError
        Fewer than 6 values to set the limits from, or a missing value.
    """
    x = _checks.numbers(values, "月の値")
    used = x[: len(x) if baseline is None else baseline]
    if len(used) < MIN_VALUES:
        raise EstimateError(
            f"管理限界を引くには{MIN_VALUES}か月以上の値が要ります({len(used)}か月)。",
            hint="値がそろうまでは、管理限界なしで示してください。",
        )
    moving = np.abs(np.diff(x, prepend=np.nan))
    centre, mean_range = float(used.mean()), float(moving[1 : len(used)].mean())
    half = _SIGMAS * mean_range / _D2
    lower, upper = centre - half, centre + half
    side = np.sign(x - centre)
    signals, run = [], 0
    for i, value in enumerate(x):
        run = run + 1 if i and side[i] and side[i] == side[i - 1] else int(side[i] != 0)
        signals.append("beyond" if not lower <= value <= upper else "run" if run >= RUN else "")
    return ControlChart(x, moving, centre, lower, upper, _D4 * mean_range, tuple(signals))
