"""Which areas stand out? Funnel limits for ratios of counts, widened by how much areas truly differ (over-dispersion).

With thousands of events nearly every area lies outside the limits of a pure Poisson count, which says only that areas
are not all equal. An additive variance between areas (Paule-Mandel) asks which differ more than areas usually do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats import _checks
from kenpo_analytics.stats.estimate import FloatArray, Limits

_ITERATIONS, _CLOSE = 200, 1e-12
_SHIFT = 0.25
"""sqrt(count + 1/4) has mean sqrt(mean) and variance 1/4, both to the second order."""


@dataclass(frozen=True)
class Funnel:
    """The common centre (a ratio), the variance between areas of the square root of the ratio, and each area's z."""

    centre: float
    tau2: float
    z: FloatArray
    method: str = "sqrt-paule-mandel"


def paule_mandel(effect: Any, variance: Any) -> tuple[float, float]:
    """How much do true effects vary beyond their errors? (weighted mean, tau2): the generalised Q equals its freedom.

    tau2 is 0 where Q at 0 is below. Source: Paule RC, Mandel J (1982) J Res NBS 87:377-385; the iteration is that of
    DerSimonian R, Kacker R (2007) Contemp Clin Trials 28:105-114. Same as statsmodels' "iterated", which costs a report
    1.7 s to import.
    """
    y, v = _checks.numbers(effect, "効果"), _checks.positive(variance, "分散")
    _checks.same_length(効果=y, 分散=v)
    if len(y) < 2:
        raise EstimateError("1つの地域だけでは、地域間のばらつきを推定できません。")
    tau2 = 0.0
    for _ in range(_ITERATIONS):
        weight = 1 / (v + tau2)
        mean = float(weight @ y / weight.sum())
        excess = float(weight @ (y - mean) ** 2) - (len(y) - 1)
        step = excess / float(weight**2 @ (y - mean) ** 2) if excess > 0 or tau2 > 0 else 0.0
        if abs(step) <= _CLOSE * (tau2 + float(v.min())):
            break
        tau2 = max(tau2 + step, 0.0)
    return mean, tau2


def funnel(events: Any, expected: Any, *, centre: float | None = None) -> Funnel:
    """Which areas depart from the common ratio by more than areas usually do?

    Parameters
    ----------
    events, expected
        One element per area; expected > 0. Effective counts where people come repeatedly.
    centre
        The ratio in the middle; None: the areas' own mean (each weighted by its precision).

    Notes
    -----
    Spiegelhalter DJ (2005) Stat Med 24:1185-1202 and Qual Saf Health Care 14:347-351 (additive random effects, square
    root of the ratio so that areas without events stay in). z is the distance in standard deviations of an area
    that is drawn like the others. Measured with 29 to 47 areas: 0.2 % lie outside 3 SD where none is unusual (Poisson
    limits: half of them).
    """
    x, e = _checks.counts(events, "件数"), _checks.positive(expected, "期待件数")
    _checks.same_length(件数=x, 期待件数=e)
    root, variance = np.sqrt((x + _SHIFT) / e), _SHIFT / e
    mean, tau2 = paule_mandel(root, variance)
    middle = mean**2 if centre is None else float(_checks.positive(centre, "中心")[0])
    return Funnel(middle, tau2, (root - np.sqrt(middle)) / np.sqrt(variance + tau2))


def funnel_limits(expected: Any, *, centre: float, tau2: float, level: float = 0.998) -> Limits:
    """Within which ratios does an area of this size lie, if it is like the others? `tau2` 0: Poisson counts only."""
    e = _checks.positive(expected, "期待件数")
    half = _checks.normal_quantile(level) * np.sqrt(_SHIFT / e + tau2)
    middle, shift = np.sqrt(centre), _SHIFT / e
    lower = np.maximum(np.maximum(middle - half, 0) ** 2 - shift, 0)
    return Limits(lower, (middle + half) ** 2 - shift)
