"""By which month, what share? Cumulative incidence from grouped monthly counts (Aalen-Johansen)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats import _checks
from kenpo_analytics.stats.estimate import FloatArray, Limits
from kenpo_analytics.stats.proportions import wilson

CENSORED, EVENT, COMPETING = 0, 1, 2


@dataclass(frozen=True)
class Incidence:
    """The curve, one element per month 0..horizon.

    `at_risk` are people with a time of that month or later; `events`, `competing` and `censored` happened in the
    month; `estimate` is the share with the event by its end, with standard error and limits. Where nobody is left at
    risk but the fate of some is unknown (all censored), estimate, se and limits are NaN: not observed, not carried
    forward.
    """

    month: npt.NDArray[np.int64]
    at_risk: FloatArray
    events: FloatArray
    competing: FloatArray
    censored: FloatArray
    estimate: FloatArray
    se: FloatArray
    lower: FloatArray
    upper: FloatArray
    level: float
    method: str

    def as_columns(self) -> dict[str, Any]:
        """Return the arrays by column name, ready for a data frame of horizon + 1 rows."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("level", "method")}


def cumulative_incidence(time: Any, cause: Any, weight: Any = None, *, horizon: int, level: float = 0.95) -> Incidence:
    """By month m, what share has had the event, when leaving (資格喪失) makes the event impossible to see?

    Parameters
    ----------
    time
        Whole months >= 0 at which follow-up ended. Times beyond `horizon` count as at risk throughout.
    cause
        0 censored, 1 event, 2 competing.
    weight
        Number of people per element (frequencies, not probability weights); grouped counts and one row per person
        give the same result.
    horizon
        Last month of the curve. The value at a month does not depend on it.

    Notes
    -----
    Ties: within a month, events and competing events are simultaneous, each among all people at risk at its
    beginning; people censored in a month are at risk in it and leave at its end.

    Variance by the delta method (Marubini E, Valsecchi MG (1995) Analysing Survival Data, p. 341), as Stata's
    stcompet; without censoring it is the binomial one, without competing events Greenwood's. Written in closed form
    because statsmodels' CumIncidenceRight gives no standard error with frequency weights. Limits on the log(-log) scale
    (Choudhury JB (2002) Stat Med 21:1129-1144); where the estimate is 0 or 1 that scale has no width, and Wilson's
    interval over the people whose status is known is given instead.

    Raises
    ------
    EstimateError
        Nobody to follow, a fractional or negative month, or an unknown cause.
    """
    months, causes, people = _validated(time, cause, weight, horizon)
    longest = max(horizon, int(months.max()))
    event, competing, censored = (
        _by_month(months, people * (causes == c), longest) for c in (EVENT, COMPETING, CENSORED)
    )
    at_risk = (event + competing + censored)[::-1].cumsum()[::-1]
    estimate, se, free = _curve(at_risk, event, event + competing)
    limits = _limits(estimate, se, people.sum() - (censored.cumsum() - censored), level)
    unseen = (at_risk == 0) & (free > 1e-12)
    end = horizon + 1
    value, error, low, high = (
        np.where(unseen, np.nan, array)[:end] for array in (estimate, se, limits.lower, limits.upper)
    )
    return Incidence(
        np.arange(end),
        at_risk[:end],
        event[:end],
        competing[:end],
        censored[:end],
        value,
        error,
        low,
        high,
        level=level,
        method="aalen-johansen",
    )


def net_incidence(time: Any, cause: Any, weight: Any = None, *, horizon: int, level: float = 0.95) -> Incidence:
    """By month m, what share would have had the event if nobody left? The net risk: 1 - Kaplan-Meier.

    The companion of `cumulative_incidence` in an evaluation: what was seen (leavers never have the event) beside what
    it would be without leaving. Leavers are treated as censored, which assumes that they would have behaved like those
    who stayed; report it with that assumption, never in place of the KPI.
    """
    causes = np.where(np.asarray(cause) == COMPETING, CENSORED, np.asarray(cause))
    found = cumulative_incidence(time, causes, weight, horizon=horizon, level=level)
    return replace(found, method="1-kaplan-meier")


def _validated(
    time: Any, cause: Any, weight: Any, horizon: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatArray]:
    months = _checks.counts(time, "経過月数") if np.size(time) else np.empty(0)
    causes = np.atleast_1d(np.asarray(cause))
    people = np.ones(len(months)) if weight is None else _checks.counts(weight, "人数")
    if not len(months) or people.sum() <= 0:
        raise EstimateError("追跡する人が1人もいないため、累積発生率を計算できません。")
    _checks.same_length(経過月数=months, 理由=causes, 人数=people)
    fractional = int((months != np.floor(months)).sum())
    if fractional or horizon < 0:
        raise EstimateError(f"経過月数は0以上の整数です(端数のある値が{fractional}個、追跡月数{horizon})。")
    unknown = int((~np.isin(causes, (CENSORED, EVENT, COMPETING))).sum())
    if unknown:
        raise EstimateError(f"追跡終了の理由が不明なものが{unknown}件あります。", hint="0=打切、1=発生、2=競合 です。")
    return months.astype(np.int64), causes.astype(np.int64), people


def _by_month(months: npt.NDArray[np.int64], people: FloatArray, longest: int) -> FloatArray:
    return np.bincount(months, weights=people, minlength=longest + 1).astype(np.float64)


def _curve(n: FloatArray, d: FloatArray, both: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the cumulative incidence, its standard error, and the share free of both, at each month's end."""
    seen = np.where(n > 0, n, 1.0)
    free = np.cumprod(1 - both / seen, dtype=np.float64)
    before = np.concatenate(([1.0], free[:-1]))
    incidence = np.cumsum(before * d / seen, dtype=np.float64)
    # a month in which everybody at risk leaves the state adds nothing later: incidence no longer moves
    rest = seen - both
    hazard = np.where(rest > 0, both / (seen * np.where(rest > 0, rest, 1.0)), 0.0)
    jump = before**2 * (seen - d) * d / seen**3
    cross = before * d / seen**2
    variance = (
        incidence**2 * np.cumsum(hazard)
        - 2 * incidence * np.cumsum(incidence * hazard)
        + np.cumsum(incidence**2 * hazard)
        + np.cumsum(jump)
        - 2 * incidence * np.cumsum(cross)
        + 2 * np.cumsum(incidence * cross)
    )
    return incidence, np.sqrt(np.maximum(variance, 0)), free


def _limits(estimate: FloatArray, se: FloatArray, known: FloatArray, level: float) -> Limits:
    z = _checks.normal_quantile(level)
    inside = (estimate > 0) & (estimate < 1 - 1e-12) & (se > 0)
    p = np.where(inside, estimate, 0.5)
    power = np.exp(z * se / (p * -np.log(p)))
    size = np.maximum(known, 1.0)
    plain = wilson(np.clip(np.round(estimate), 0, 1) * size, size, level=level)
    return Limits(np.where(inside, p**power, plain.lower), np.where(inside, p ** (1 / power), plain.upper))
