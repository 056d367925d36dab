"""How many, and how sure? Intervals for counts: exact, Byar, and compound Poisson for repeat visitors.

A count of visits is not a Poisson count when one person comes many times. The compound interval lets a person's
visits arrive together: the variance of the count is the sum of squared per-person counts, not the count.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats import _checks
from kenpo_analytics.stats.estimate import FloatArray, Limits

CountMethod = Literal["exact", "byar"]


def exact(count: Any, *, level: float = 0.95) -> Limits:
    """Between which means does a Poisson count lie? Exact central interval; 0 events give a lower limit of 0.

    Source: Garwood F (1936) Biometrika 28:437-442.
    """
    from scipy.special import gammainccinv, gammaincinv

    alpha = _checks.tail(level)
    x = _checks.counts(count, "件数")
    return Limits(np.where(x > 0, gammaincinv(np.where(x > 0, x, 1.0), alpha), 0.0), gammainccinv(x + 1, alpha))


def byar(count: Any, *, level: float = 0.95) -> Limits:
    """Between which means does a Poisson count lie? Byar's approximation (within 0.2 % of exact from 10 events).

    Negative lower limits, which the cube gives for 1 event at high levels, are set to 0.

    Source: Breslow NE, Day NE (1987) Statistical Methods in Cancer Research II, IARC, eq. 2.13-2.14.
    """
    z = _checks.normal_quantile(level)
    x = _checks.counts(count, "件数")
    safe = np.where(x > 0, x, 1.0)
    lower = safe * np.maximum(1 - 1 / (9 * safe) - z / (3 * np.sqrt(safe)), 0) ** 3
    above = x + 1
    upper = above * (1 - 1 / (9 * above) + z / (3 * np.sqrt(above))) ** 3
    return Limits(np.where(x > 0, lower, 0.0), upper)


def limits(count: Any, *, level: float = 0.95, method: CountMethod = "exact") -> Limits:
    """Give the interval of a count by the named method."""
    if method == "exact":
        return exact(count, level=level)
    if method == "byar":
        return byar(count, level=level)
    raise EstimateError(f"件数の区間の方法が不明です: {method}", hint="exact または byar を指定してください。")


def mean_jump(count: Any, count_sq: Any) -> FloatArray:
    """How many visits come with one visit? Sum of squares over count: 1 when nobody comes twice."""
    x, q = _squares(count, count_sq)
    return np.where(x > 0, q / np.where(x > 0, x, 1.0), 1.0)


def compound(count: Any, count_sq: Any, *, level: float = 0.95, jump: float = 1.0) -> Limits:
    """Between which means does a count of repeat visits lie? Gamma interval of a compound Poisson count.

    Parameters
    ----------
    count
        Number of visits.
    count_sq
        Sum over people of (visits of that person) squared; its estimate of the variance of `count`. Squares add up
        over different people only: never sum them over months or visit types of the same person.
    jump
        Visits per visitor to assume where `count` is 0 and repetition cannot be estimated (take the nation's
        `mean_jump`; 1 is the plain exact limit).

    Notes
    -----
    The count is a weighted sum of Poisson counts (people with k visits, weight k), so the gamma interval for
    weighted sums applies (Fay MP, Feuer EJ (1997) Stat Med 16:791-801), with the size-weighted mean weight in place
    of their maximum, which cells do not carry (as Tiwari RC, Clegg LX, Zou Z (2006) Stat Methods Med Res
    15:547-569 do for strata). Variance as Stukel TA, Glynn RJ, Fisher ES, Sharp SM, Lu-Yao G, Wennberg JE (1994)
    Stat Med 13:1781-1791. With no repeat visits it is the exact Poisson interval.

    Coverage in simulation: 95 % where visits per visitor are geometric; 90-93 % where 1 visitor in 200 comes 30
    times (the upper limit is too low when such a person happens to be absent), against 64-73 % of the exact one.
    """
    from scipy.special import gammainccinv, gammaincinv

    alpha = _checks.tail(level)
    x, q = _squares(count, count_sq)
    if jump < 1:
        raise EstimateError(f"1人あたりの反復は1以上です: {jump}")
    weight = np.where(x > 0, mean_jump(x, q), jump)
    effective = x / weight
    lower = np.where(x > 0, gammaincinv(np.where(x > 0, effective, 1.0), alpha), 0.0)
    return Limits(weight * lower, weight * gammainccinv(effective + 1, alpha))


def _squares(count: Any, count_sq: Any) -> tuple[FloatArray, FloatArray]:
    x, q = np.broadcast_arrays(_checks.counts(count, "件数"), _checks.counts(count_sq, "個人別件数の二乗和"))
    below = int((q < x * (1 - 1e-12)).sum())
    if below:
        raise EstimateError(
            f"個人別件数の二乗和が件数より小さい要素が{below}個あります。",
            hint="個人ごとの件数を二乗してから合計した列を渡してください。",
        )
    return x, q
