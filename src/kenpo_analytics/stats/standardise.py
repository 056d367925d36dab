"""What if the ages were the same? Direct and indirect standardisation; strata are aligned by the caller.

The standard is taken as known without error. Each result carries two intervals: for independent events, and for
repeat visitors (compound Poisson, from the sums of squared per-person counts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.stats import _checks, poisson
from kenpo_analytics.stats.estimate import FloatArray
from kenpo_analytics.stats.proportions import wilson

DirectMethod = Literal["dobson", "gamma"]


@dataclass(frozen=True)
class Standardised:
    """A standardised rate, share or ratio. `lower_repeat`/`upper_repeat` are None without sums of squares."""

    value: float
    lower: float
    upper: float
    lower_repeat: float | None
    upper_repeat: float | None
    level: float
    method: str
    numerator: float
    denominator: float
    variance: float
    """Of `value`: for repeat visitors where their sums of squares are given, else for independent events."""


def direct(
    events: Any,
    denominator: Any,
    weight: Any,
    *,
    events_sq: Any = None,
    level: float = 0.95,
    method: DirectMethod = "dobson",
    count_method: poisson.CountMethod = "exact",
    jump: float = 1.0,
) -> Standardised:
    """What would the rate be with the standard's age mix? sum(W_i x_i / n_i) / sum(W_i).

    Parameters
    ----------
    events, denominator, weight
        One element per stratum: events x_i, person-time n_i (> 0) and size of the standard W_i in that stratum.
    events_sq
        Sums of squared per-person counts; adds the interval for repeat visitors.
    method
        "dobson" scales the interval of the total count (Dobson AJ, Kuulasmaa K, Eberle E, Scherer J (1991) Stat Med
        10:457-462); "gamma" is Fay MP, Feuer EJ (1997) Stat Med 16:791-801, conservative with tiny strata.
    count_method, jump
        Interval of the total count (dobson), and repetition to assume where no event was seen.

    Notes
    -----
    With no event at all both methods give 0 and the Fay-Feuer upper limit (largest weight times the exact limit of
    0). A stratum without person-time is refused: its rate does not exist.
    """
    x, n, w = _strata(events, denominator, weight)
    value = float((w * x).sum())
    low, high = _direct_limits(x, x, w, level, method, count_method, 1.0)
    low_r = high_r = None
    if events_sq is not None:
        q = _checks.counts(events_sq, "個人別件数の二乗和")
        _checks.same_length(件数=x, 個人別件数の二乗和=q)
        low_r, high_r = _direct_limits(x, q, w, level, method, None, jump)
    variance = float((w**2 * (x if events_sq is None else q)).sum())
    total, time = float(x.sum()), float(n.sum())
    return Standardised(value, low, high, low_r, high_r, level, f"direct-{method}", total, time, variance)


def direct_share(events: Any, denominator: Any, weight: Any, *, level: float = 0.95) -> Standardised:
    """What would the share of people be with the standard's age mix? Binomial within each stratum.

    The interval is Wilson's at the effective sample size p(1-p)/V, V = sum(W_i^2 p_i(1-p_i)/n_i); where V is 0
    (nobody or everybody), at 1/sum(W_i^2/n_i). One stratum gives the plain Wilson interval.
    """
    x, n, w = _strata(events, denominator, weight)
    share = x / n
    above = int((share > 1).sum())
    if above:
        raise EstimateError(f"分子が分母を超える層が{above}個あります。")
    mix = w * n  # w = W_i / (sum W * n_i)
    value = float(np.clip((mix * share).sum(), 0, 1))
    variance = float((mix**2 * share * (1 - share) / n).sum())
    certain = variance <= 0 or not 0 < value < 1
    size = 1 / float((mix**2 / n).sum()) if certain else value * (1 - value) / variance
    found = wilson(value * size, size, level=level)
    low, high = float(found.lower[0]), float(found.upper[0])
    total, people = float(x.sum()), float(n.sum())
    return Standardised(value, low, high, None, None, level, "direct-wilson", total, people, variance)


def indirect(
    events: Any,
    expected: Any,
    *,
    events_sq: Any = None,
    level: float = 0.95,
    method: poisson.CountMethod = "exact",
    jump: float = 1.0,
) -> Standardised:
    """How many times the expected number were observed? sum(O_i) / sum(E_i), E_i = n_i times the standard's rate.

    `events` and `expected` have one element per stratum (a stratum may expect 0 if it also observes 0). The interval
    is that of the observed count over the expected one (exact or Byar), and the compound Poisson one if `events_sq`
    is given. No event gives 0 with an exact upper limit. Source: Breslow & Day (1987), chapter 2.
    """
    x, e = _checks.counts(events, "件数"), _checks.counts(expected, "期待件数")
    _checks.same_length(件数=x, 期待件数=e)
    impossible = int(((e == 0) & (x > 0)).sum())
    if impossible:
        raise EstimateError(
            f"期待件数が0なのに件数のある層が{impossible}個あります。", hint="基準集団の層を確認してください。"
        )
    observed, total = float(x.sum()), float(e.sum())
    if total <= 0:
        raise EstimateError("期待件数の合計が0のため、比を計算できません。")
    plain = poisson.limits(observed, level=level, method=method).scaled(1 / total)
    low_r = high_r = None
    q = observed
    if events_sq is not None:
        q = float(_checks.counts(events_sq, "個人別件数の二乗和").sum())
        repeat = poisson.compound(observed, q, level=level, jump=jump).scaled(1 / total)
        low_r, high_r = float(repeat.lower[0]), float(repeat.upper[0])
    low, high = float(plain.lower[0]), float(plain.upper[0])
    name = f"indirect-{method}"
    return Standardised(observed / total, low, high, low_r, high_r, level, name, observed, total, q / total**2)


def _strata(events: Any, denominator: Any, weight: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return events, denominators, and the weight of one event in the standardised rate."""
    x, n = _checks.counts(events, "件数"), _checks.positive(denominator, "分母")
    standard = _checks.counts(weight, "標準人口")
    _checks.same_length(件数=x, 分母=n, 標準人口=standard)
    if standard.sum() <= 0:
        raise EstimateError("標準人口の合計が0です。")
    return x, n, standard / standard.sum() / n


def _direct_limits(
    x: FloatArray,
    q: FloatArray,
    w: FloatArray,
    level: float,
    method: str,
    count_method: poisson.CountMethod | None,
    jump: float,
) -> tuple[float, float]:
    """Limits of sum(w x) when stratum i has variance q_i; q = x and count_method given is the plain case."""
    total, squares = float(x.sum()), float(q.sum())
    per_stratum = np.where(x > 0, q / np.where(x > 0, x, 1.0), jump)
    if total == 0:
        return 0.0, float((w * per_stratum).max() * poisson.exact(0, level=level).upper[0])
    value, variance = float((w * x).sum()), float((w**2 * q).sum())
    if method == "gamma":
        return _gamma_limits(value, variance, float((w * per_stratum).max()), level)
    if method != "dobson":
        raise EstimateError(f"直接法の区間の方法が不明です: {method}", hint="dobson または gamma を指定してください。")
    if count_method is None:
        count = poisson.compound(total, squares, level=level)
    else:
        count = poisson.limits(total, level=level, method=count_method)
    scale = float(np.sqrt(variance / squares))
    low = value + scale * (float(count.lower[0]) - total)
    return max(low, 0.0), value + scale * (float(count.upper[0]) - total)


def _gamma_limits(value: float, variance: float, largest: float, level: float) -> tuple[float, float]:
    from scipy.special import gammainccinv, gammaincinv

    alpha = _checks.tail(level)
    low = 0.0
    if value > 0:
        low = float(gammaincinv(value**2 / variance, alpha)) * variance / value
    up_value, up_variance = value + largest, variance + largest**2
    return low, float(gammainccinv(up_value**2 / up_variance, alpha)) * up_variance / up_value
